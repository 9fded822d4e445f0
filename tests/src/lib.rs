//! An in-memory world for the Phantom machines: one real relay, many real clients, links that delay, stall and break, and a
//! clock that jumps to the next thing that happens.
//!
//! Whoever embeds `phantom-core` can run it against machines of their own making: nothing here is private to our tests.

pub mod link;
pub mod world;

pub use link::Conditions;
pub use world::{Meddler, Node, Passage, World};
