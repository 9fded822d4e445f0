//! The only place of this crate where a clock is read.

use std::time::{SystemTime, UNIX_EPOCH};

use phantom_core::time::Instant;

/// Time as the relay machine counts it: microseconds since this clock was made.
pub(crate) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// Never goes backwards.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// Seconds of Unix time; zero on a machine whose clock stands before 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
