//! The only clock that is read: tokio's, as the machine's microseconds since the client was made.

use phantom_core::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    pub(crate) fn now(self) -> Instant {
        let micros = self.origin.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The moment `at` on tokio's clock, or in a year if it is later.
    pub(crate) fn tokio(self, at: Instant) -> tokio::time::Instant {
        self.origin + at.since(Instant::ZERO).min(self.origin.elapsed() + YEAR)
    }
}

/// tokio's timers need not reach further: who is woken early asks for the deadline again.
const YEAR: Duration = Duration::from_secs(365 * 86400);
