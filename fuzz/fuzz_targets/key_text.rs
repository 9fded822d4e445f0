//! Keys and IDs as users type them.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::KEY_TEXT);
