//! Anything that can happen to a relay, its clients and the links between them.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::WORLD);
