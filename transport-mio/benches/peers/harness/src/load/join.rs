//! Connect both, join, one message, close: from several blocking threads.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::link::Link;
use super::{Bench, Figures};
use crate::dialect::Dialect;

const THREADS: usize = 16;
const WARM_UP: Duration = Duration::from_millis(300);
/// How long a thread waits that has failed.
const PAUSE: Duration = Duration::from_millis(5);

/// For so long; the numbers go on behind those that were used.
pub(crate) fn join(
    dialect: &dyn Dialect,
    bench: Bench,
    numbers: &mut std::ops::RangeFrom<u64>,
    time: Duration,
) -> io::Result<Figures> {
    let work = Work::new(numbers.start);
    let (joined, busy, mut figures) = thread::scope(|scope| {
        (0..THREADS).for_each(|_| drop(scope.spawn(|| work.go_on(dialect, u64::MAX))));
        thread::sleep(WARM_UP);
        let (before, meter) = (work.joined.load(Relaxed), bench.meter());
        thread::sleep(time);
        let joined = work.joined.load(Relaxed) - before;
        let (busy, figures) = (bench.busy_since(&meter), bench.shares_since(&meter));
        work.over.store(true, Relaxed);
        (joined, busy, figures)
    });
    numbers.start = work.next.load(Relaxed);
    if joined == 0 {
        return Err(super::stalled("joining"));
    }
    figures.extend([
        ("pairs_s", joined as f64 / time.as_secs_f64()),
        ("cpu_us_pair", busy.as_secs_f64() / joined as f64 * 1e6),
        ("failed", work.failed.load(Relaxed) as f64),
    ]);
    Ok(figures)
}

/// So many pairs come and go; says how many failed.
pub(crate) fn past(dialect: &dyn Dialect, numbers: &mut std::ops::RangeFrom<u64>, pairs: u64) -> u64 {
    let work = Work::new(numbers.start);
    let end = numbers.start + pairs;
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(|| work.go_on(dialect, end)))));
    numbers.start = work.next.load(Relaxed);
    work.failed.load(Relaxed)
}

struct Work {
    next: AtomicU64,
    joined: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

impl Work {
    fn new(first: u64) -> Self {
        let [joined, failed] = [0; 2].map(AtomicU64::new);
        Self { next: AtomicU64::new(first), joined, failed, over: AtomicBool::new(false) }
    }

    fn go_on(&self, dialect: &dyn Dialect, end: u64) {
        while !self.over.load(Relaxed) {
            let number = self.next.fetch_add(1, Relaxed);
            if number >= end {
                return;
            }
            match once(dialect, number) {
                Ok(()) => self.joined.fetch_add(1, Relaxed),
                Err(_) => {
                    thread::sleep(PAUSE);
                    self.failed.fetch_add(1, Relaxed)
                }
            };
        }
    }
}

fn once(dialect: &dyn Dialect, number: u64) -> io::Result<()> {
    let pair = dialect.pair(number)?;
    Link::new(pair.near)?.greet(&mut Link::new(pair.far)?)
}
