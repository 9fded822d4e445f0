//! The Phantom protocol as sans-IO state machines.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod arena;
pub mod bits;
pub mod client;
pub mod crypto;
pub mod id;
pub mod packet;
pub mod relay;
pub mod rng;
pub mod time;
pub mod wire;

/// When a machine wants to be called again, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// The moment.
    pub at: time::Instant,
    /// What is waited for, in words.
    pub reason: &'static str,
}
