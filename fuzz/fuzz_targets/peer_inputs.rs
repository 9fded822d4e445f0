//! Anything that the other side of a secured channel can seal.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::PEER_INPUTS);
