//! Anything that can happen to a relay.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::RELAY_INPUTS);
