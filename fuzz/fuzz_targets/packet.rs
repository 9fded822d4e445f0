//! Packets of derived types from any bytes.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::PACKET);
