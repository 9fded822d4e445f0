//! A rate: so much at once, and so much in the long run.
//!
//! A bucket of tokens, kept as one number: the moment at which it will be whole again. Taking a token moves that moment on by the
//! time in which one comes back; a bucket is empty when it has been moved as far as it holds tokens. Whole numbers only, nothing to
//! be done as time passes, and a moment before the last one finds no token that was not there.

use crate::time::{Duration, Instant};

/// How often something may be done: at most `burst` times at once, and once more after each `refill`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How often at once. Zero forbids it.
    pub burst: u32,
    /// How long until one more. Zero allows it without end.
    pub refill: Duration,
}

impl Rate {
    /// `burst` at once, and one more after each `refill`.
    #[must_use]
    pub const fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill }
    }

    /// So many times as often: for a source that stands for so many.
    #[must_use]
    pub(super) fn times(self, factor: u32) -> Self {
        Self { burst: self.burst.saturating_mul(factor), refill: self.refill / factor.max(1) }
    }
}

/// What is left of a [`Rate`]. A new one is whole.
#[derive(Clone, Copy, Default)]
pub(super) struct Bucket {
    whole_at: Instant,
}

impl Bucket {
    pub(super) const fn new() -> Self {
        Self { whole_at: Instant::ZERO }
    }

    /// Whether a token is there.
    pub(super) fn has(self, now: Instant, rate: Rate) -> bool {
        let others = rate.burst.checked_sub(1);
        others.is_some_and(|others| self.whole_at <= now + rate.refill.saturating_mul(others))
    }

    /// Takes a token that [is there](Self::has).
    pub(super) fn take(&mut self, now: Instant, rate: Rate) {
        self.whole_at = self.whole_at.max(now) + rate.refill;
    }

    /// Puts back a token that was taken.
    pub(super) fn give_back(&mut self, rate: Rate) {
        self.whole_at = self.whole_at - rate.refill;
    }

    /// From when on there is nothing to remember.
    pub(super) const fn whole_at(self) -> Instant {
        self.whole_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MICRO: Duration = Duration::from_micros(1);
    const START: Instant = Instant::from_micros(1_000_000_000);

    /// Takes what is there, up to 100.
    fn take_all(bucket: &mut Bucket, now: Instant, rate: Rate) -> usize {
        (0..100).take_while(|_| bucket.has(now, rate).then(|| bucket.take(now, rate)).is_some()).count()
    }

    #[test]
    fn so_much_at_once_and_so_much_in_the_long_run() {
        let (rate, mut bucket) = (Rate::new(3, SECOND), Bucket::default());
        assert_eq!(take_all(&mut bucket, START, rate), 3);
        assert_eq!(take_all(&mut bucket, START + SECOND - MICRO, rate), 0);
        assert_eq!(take_all(&mut bucket, START + SECOND, rate), 1);
        assert_eq!(take_all(&mut bucket, START + SECOND * 3 + SECOND / 2, rate), 2);
        assert_eq!(take_all(&mut bucket, START + SECOND * 4, rate), 1, "halves add up");
        assert_eq!(take_all(&mut bucket, START + SECOND * 100, rate), 3, "never more than it holds");
    }

    #[test]
    fn it_is_whole_when_nothing_need_be_remembered() {
        let (rate, mut bucket) = (Rate::new(3, SECOND), Bucket::default());
        assert!(bucket.whole_at() <= START);
        take_all(&mut bucket, START, rate);
        assert_eq!(bucket.whole_at(), START + SECOND * 3);
        bucket.give_back(rate);
        assert_eq!(take_all(&mut bucket, START, rate), 1);
    }

    #[test]
    fn a_clock_that_jumps_back_gives_nothing_and_takes_nothing() {
        let (rate, mut bucket) = (Rate::new(3, SECOND), Bucket::default());
        take_all(&mut bucket, START, rate);
        assert_eq!(take_all(&mut bucket, Instant::ZERO, rate), 0);
        assert_eq!(take_all(&mut bucket, START + SECOND * 2, rate), 2);
    }

    #[test]
    fn nothing_everything_and_more_than_can_be_counted() {
        let mut bucket = Bucket::default();
        assert_eq!(take_all(&mut bucket, START, Rate::new(0, SECOND)), 0);
        assert_eq!(take_all(&mut bucket, START, Rate::new(0, Duration::ZERO)), 0);
        assert_eq!(take_all(&mut bucket, START, Rate::new(1, Duration::ZERO)), 100);
        let most = Rate::new(u32::MAX, Duration::MAX);
        assert_eq!(take_all(&mut bucket, START, most.times(10)), 100);
    }

    #[test]
    fn many_times_as_often() {
        let rate = Rate::new(3, SECOND).times(10);
        let mut bucket = Bucket::default();
        assert_eq!(take_all(&mut bucket, START, rate), 30);
        assert_eq!(take_all(&mut bucket, START + SECOND, rate), 10);
    }
}
