//! What happens, told to `tracing` if the feature of that name is on, and otherwise to nobody.
//!
//! The rule: at `info` and above there is nothing by which a client could be found or read. IDs are told at `debug`; keys, tokens and what
//! is in packets never.

#[cfg_attr(feature = "tracing", path = "on.rs")]
#[cfg_attr(not(feature = "tracing"), path = "off.rs")]
mod imp;

pub(crate) use imp::Trace;
