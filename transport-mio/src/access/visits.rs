//! How often an address has come lately.
//!
//! Each has a bucket of visits that fills at a steady rate. All that is kept of it is when it will be full again: until then the address
//! is remembered, and then forgotten. When too many are remembered, the one whose bucket is fullest goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phantom_core::relay::SourceGroup;
use phantom_core::time::Instant;

/// Addresses that are remembered at once: about 4 MiB.
const REMEMBERED: usize = 32 * 1024;

/// What one of them takes in both tables.
const ENTRY: usize = 128;

/// The buckets of all addresses that have come lately.
#[derive(Default)]
pub(crate) struct Visits {
    full_at: BTreeMap<SourceGroup, Instant>,
    order: BTreeSet<(Instant, SourceGroup)>,
}

impl Visits {
    /// Somebody comes; says whether that is not too often, for so many per second after so many at once. 0 per second is no limit.
    pub(crate) fn visit(&mut self, now: Instant, home: SourceGroup, per_second: u32, burst: u32) -> bool {
        let Some(interval) = Duration::from_secs(1).checked_div(per_second) else { return true };
        self.forget(now);
        let known = self.full_at.get(&home).copied();
        let full_at = known.unwrap_or(now).max(now);
        if full_at.since(now) > interval.saturating_mul(burst.saturating_sub(1)) {
            return false;
        }
        if let Some(known) = known {
            self.order.remove(&(known, home));
        }
        self.full_at.insert(home, full_at + interval);
        self.order.insert((full_at + interval, home));
        true
    }

    /// The memory it takes, about.
    pub(crate) fn memory(&self) -> usize {
        self.full_at.len() * ENTRY
    }

    /// Forgets whoever has not come for long enough.
    pub(crate) fn forget(&mut self, now: Instant) {
        while let Some(&(at, home)) = self.order.first()
            && (at <= now || self.order.len() > REMEMBERED)
        {
            self.order.remove(&(at, home));
            self.full_at.remove(&home);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use phantom_core::relay::Source;

    use super::*;

    fn home(number: u32) -> SourceGroup {
        Source::Address(IpAddr::V4(Ipv4Addr::from(number))).group()
    }

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let mut visits = Visits::default();
        let mut now = Instant::from_micros(1_000_000);
        let mut count = |now, home, times| (0..times).filter(|_| visits.visit(now, home, 4, 3)).count();
        assert_eq!((count(now, home(1), 10), count(now, home(2), 2)), (3, 2));
        now = now + Duration::from_millis(250);
        assert_eq!((count(now, home(1), 10), count(now, home(2), 10)), (1, 2));
        now = now + Duration::from_millis(249);
        assert_eq!(count(now, home(1), 10), 0);
        now = now + Duration::from_secs(100);
        assert_eq!(count(now, home(1), 10), 3);
    }

    #[test]
    fn without_a_limit_nobody_is_remembered() {
        let mut visits = Visits::default();
        assert!((0..1000).all(|_| visits.visit(Instant::ZERO, home(1), 0, 0)));
        assert!(visits.full_at.is_empty());
    }

    #[test]
    fn who_came_long_ago_or_seldom_is_forgotten_first() {
        let mut visits = Visits::default();
        let now = Instant::ZERO;
        assert!((0..3).all(|_| visits.visit(now, home(0), 1, 3)));
        for number in 1..=2 * REMEMBERED as u32 {
            assert!(visits.visit(now, home(number), 1, 3));
        }
        assert!(visits.full_at.len() <= REMEMBERED + 1 && visits.full_at.len() == visits.order.len());
        assert!(!visits.visit(now, home(0), 1, 3), "the greedy one is remembered");
        let later = now + Duration::from_secs(10);
        assert!(visits.visit(later, home(0), 1, 3));
        assert_eq!(visits.full_at.len(), 1);
    }
}
