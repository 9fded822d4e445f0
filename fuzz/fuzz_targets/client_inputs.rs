//! Anything that can happen to a client, the relay being hostile.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::CLIENT_INPUTS);
