//! Bit streams.
