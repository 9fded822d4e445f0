//! The bit reader, any fields of any bytes.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::BITS);
