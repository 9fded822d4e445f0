//! The record layer, between a sealer and an opener.
#![cfg_attr(fuzzing, no_main)]

phantom_fuzz::binary!(phantom_fuzz::RECORD);
