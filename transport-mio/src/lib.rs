//! Relay on mio.
