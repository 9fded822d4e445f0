//! Seeded random runs: break, then heal (`phantom_tests::simulation` says what must hold).
//!
//! `PHANTOM_SIM_SEEDS=n` runs n seeds instead of the default; `PHANTOM_SIM_FIRST=s` begins at seed s.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use phantom_tests::simulation::{self, Tally};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn what_is_broken_heals_and_nothing_is_lost() {
    let first = number("PHANTOM_SIM_FIRST").unwrap_or(0);
    let seeds = number("PHANTOM_SIM_SEEDS").unwrap_or(1000);
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Tally::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                break;
            }
            match simulation::run(seed) {
                Ok(tally) => *sum.lock().expect("no worker panics holding it") += tally,
                Err(broken) => panic!(
                    "seed {seed}: {broken}\n\nAgain: PHANTOM_SIM_FIRST={seed} PHANTOM_SIM_SEEDS=1 \
                     cargo test -p phantom-tests --test simulation"
                ),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let sum = *sum.lock().expect("no worker panicked");
    println!("{seeds} seeds: {sum}");
    assert!(seeds < 1000 || sum.resumed > 0 && sum.ended > 0, "the runs reach nothing: {sum:?}");
}

#[test]
fn one_seed_is_one_run() {
    let trace = |seed| simulation::run(seed).map(|tally| tally.trace).expect("it holds");
    for seed in [3, 17] {
        assert_eq!(trace(seed), trace(seed));
    }
    assert_ne!(trace(3), trace(17));
}
