//! How fast one client may send: so many bytes and so many messages per second, and as much at once as it could send in one second.
//!
//! What comes is never refused or dropped for this: a client that is ahead of its pace is not read until it is no longer.

use std::time::Duration;

use phantom_core::time::Instant;

/// How far ahead a client may be that has been slow before.
const BURST: Duration = Duration::from_secs(1);

/// So many units per second; none means no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate(Option<u64>);

impl Rate {
    /// Zero stands for no limit.
    pub(crate) const fn per_second(units: u64) -> Self {
        Self(if units == 0 { None } else { Some(units) })
    }

    /// How long so many units take, in nanoseconds.
    fn time(self, units: u64) -> u64 {
        let Some(rate) = self.0 else { return 0 };
        u64::try_from(u128::from(units) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX)
    }
}

/// How much of its time one client has used up.
#[derive(Default)]
pub(crate) struct Pace {
    /// When everything that came would have come at exactly the allowed rate, in nanoseconds of the relay's clock.
    bytes_until: u64,
    messages_until: u64,
}

impl Pace {
    /// Counts what came. If that was ahead of its pace: until when nothing more is taken.
    pub(crate) fn spend(
        &mut self,
        now: Instant,
        (bytes, bytes_rate): (u64, Rate),
        (messages, messages_rate): (u64, Rate),
    ) -> Option<Instant> {
        let nanos = now.as_micros().saturating_mul(1000);
        let advance = |until: &mut u64, time: u64| {
            *until = (*until).max(nanos).saturating_add(time);
            *until
        };
        let bytes = advance(&mut self.bytes_until, bytes_rate.time(bytes));
        let messages = advance(&mut self.messages_until, messages_rate.time(messages));
        let burst = u64::try_from(BURST.as_nanos()).unwrap_or(u64::MAX);
        let rest_until = bytes.max(messages).saturating_sub(burst);
        (rest_until > nanos).then(|| Instant::from_micros(rest_until.div_ceil(1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1000;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_second_is_free_and_then_everything_takes_its_time() {
        let (bytes, messages) = (Rate::per_second(1_000_000), Rate::per_second(1000));
        let mut pace = Pace::default();
        assert_eq!(pace.spend(at(0), (1_000_000, bytes), (1, messages)), None);
        assert_eq!(pace.spend(at(0), (5000, bytes), (1, messages)), Some(at(5 * MILLI)));
        assert_eq!(pace.spend(at(5 * MILLI), (0, bytes), (0, messages)), None);
        assert_eq!(pace.spend(at(5 * MILLI), (10, bytes), (998, messages)), Some(at(5 * MILLI + 10)));
        // After a pause there is a second again, and no more than one.
        let later = 100_000 * MILLI;
        assert_eq!(pace.spend(at(later), (0, bytes), (1000, messages)), None);
        assert_eq!(pace.spend(at(later), (0, bytes), (3, messages)), Some(at(later + 3 * MILLI)));
    }

    #[test]
    fn without_a_limit_nobody_rests() {
        let free = Rate::per_second(0);
        assert_eq!(Pace::default().spend(at(0), (u64::MAX, free), (u64::MAX, free)), None);
    }
}
