//! The Phantom protocol as sans-IO state machines.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bits;
pub mod crypto;
pub mod packet;
