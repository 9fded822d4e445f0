//! How many lines one place in the code may write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A place in the code that logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Site {
    pub(super) level: log::Level,
    pub(super) file: &'static str,
    pub(super) line: u32,
}

impl Site {
    pub(super) fn of(record: &log::Record<'_>) -> Self {
        Self {
            level: record.level(),
            file: record.file_static().unwrap_or_default(),
            line: record.line().unwrap_or_default(),
        }
    }
}

/// Counts the lines of each place, in windows that begin with the first of them. There are as many places as calls in the code.
pub(super) struct Limiter {
    lines: u64,
    time: Duration,
    sites: BTreeMap<Site, Window>,
}

struct Window {
    ends: Instant,
    seen: u64,
}

impl Limiter {
    pub(super) const fn new(lines: u64, time: Duration) -> Self {
        Self { lines, time, sites: BTreeMap::new() }
    }

    /// Whether a line may be written. If so, how many before it were not, and have not been spoken of yet.
    pub(super) fn admit(&mut self, site: &Site, now: Instant) -> Option<u64> {
        let window = self.sites.entry(*site).or_insert(Window { ends: now + self.time, seen: 0 });
        let mut missed = 0;
        if window.ends <= now {
            missed = window.seen.saturating_sub(self.lines);
            *window = Window { ends: now + self.time, seen: 0 };
        }
        window.seen += 1;
        (window.seen <= self.lines).then_some(missed)
    }

    /// Places whose window is over, and how many lines of each were not written. Each is told once.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(Site, u64)> {
        let mut missed = Vec::new();
        let lines = self.lines;
        self.sites.retain(|site, window| {
            if window.ends > now {
                return true;
            }
            if window.seen > lines {
                missed.push((*site, window.seen - lines));
            }
            false
        });
        missed
    }

    /// After how long something is overdue.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let missing = self.sites.values().filter(|window| window.seen > self.lines);
        missing.map(|window| window.ends.saturating_duration_since(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(line: u32) -> Site {
        Site { level: log::Level::Warn, file: "a.rs", line }
    }

    #[test]
    fn a_place_writes_so_many_lines_and_then_says_how_many_it_did_not() {
        let (mut limiter, start) = (Limiter::new(3, Duration::from_secs(10)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let admitted: Vec<_> = (0..8).map(|_| limiter.admit(&site(1), at(0))).collect();
        assert_eq!(admitted, [Some(0), Some(0), Some(0), None, None, None, None, None]);
        assert_eq!(limiter.admit(&site(2), at(1)), Some(0), "another place has lines of its own");
        assert_eq!(limiter.next(at(4)), Some(Duration::from_secs(6)));
        assert_eq!(limiter.overdue(at(9)), []);
        assert_eq!(limiter.admit(&site(1), at(10)), Some(5));
        assert_eq!(limiter.admit(&site(1), at(11)), Some(0));
        assert_eq!(limiter.next(at(11)), None, "nothing is missing");
    }

    #[test]
    fn it_is_said_even_if_no_line_follows() {
        let (mut limiter, start) = (Limiter::new(3, Duration::from_secs(10)), Instant::now());
        assert_eq!((0..5).filter_map(|_| limiter.admit(&site(1), start)).count(), 3);
        let end = start + limiter.next(start).unwrap();
        assert_eq!(limiter.overdue(end), [(site(1), 2)]);
        assert_eq!((limiter.overdue(end), limiter.next(end)), (vec![], None));
        assert_eq!(limiter.admit(&site(1), end), Some(0));
    }
}
