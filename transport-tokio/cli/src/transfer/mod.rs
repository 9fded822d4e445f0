//! One file over one secured channel.
//!
//! What is said is in `packets`; the two sides of the conversation in `sending` and `receiving`, and what they have in common in `talk`;
//! the file that is read in `source`; the
//! file that is written, and every rule of how it gets its name, in `sink` and `name`. Whatever the length of the file, a few chunks
//! of it are in memory.

pub(crate) mod name;
mod packets;
mod receiving;
mod sending;
mod sink;
mod source;
mod talk;

pub(crate) use receiving::receive;
pub(crate) use sending::send;
pub(crate) use sink::Target;
pub(crate) use source::Source;
