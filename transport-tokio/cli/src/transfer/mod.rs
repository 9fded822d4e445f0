//! Files, folders, standard input or a text over one secured channel.
//!
//! What is said is in `packets`; the two sides of the conversation in `sending` and `receiving`, and what they have in common in `talk`.
//! The sender looks at everything first (`source`) and reads it then (`reading`). The receiver checks what is announced (`plan`, `name`,
//! `link`), makes it in a folder of its own (`staging`, `sink`) and moves it to its place when it is whole (`target`). Whatever the
//! length of a file, a few chunks of it are in memory; of thousands of files, their names are.

mod early;
mod link;
pub(crate) mod message;
pub(crate) mod name;
mod packets;
mod part;
mod plan;
mod reading;
mod receiving;
mod sending;
mod sink;
mod source;
mod staging;
mod talk;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use receiving::{Arrival, Decision, Offered, receive};
pub(crate) use sending::send;
pub(crate) use source::Source;
pub(crate) use target::{Target, seen};
