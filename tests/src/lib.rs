//! An in-memory world for the Phantom machines: one real relay, many real clients, links that delay, stall and break, and a
//! clock that jumps to the next thing that happens.
//!
//! Whoever embeds `phantom-core` can run it against machines of their own making: nothing here is private to our tests.

pub mod actions;
pub mod attackers;
pub mod bare;
pub mod crowd;
pub mod exhaustive;
pub mod honest;
pub mod hostile;
pub mod identity;
pub mod link;
pub mod node;
#[cfg(test)]
mod planted;
pub mod program;
pub mod proxy;
pub mod puppet;
pub mod raw;
pub mod scenario;
pub mod simulation;
pub mod stranger;
pub mod visits;
pub mod world;

pub use hostile::{Meddler, Passage};
pub use link::Conditions;
pub use node::Node;
pub use world::World;

use phantom_core::client::ClientConfig;
use phantom_core::crypto::EncryptionKey;

/// The key that this text is.
///
/// # Panics
/// It is none.
#[must_use]
pub fn key(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).expect("a key")
}

/// A client with this key, and else the defaults.
#[must_use]
pub fn keyed(text: &str) -> ClientConfig {
    ClientConfig { key: Some(key(text)), ..ClientConfig::default() }
}

/// Compiles, and where it can be done runs, every Rust block of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
