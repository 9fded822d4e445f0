//! The simulation, seed after seed, until so many links have been made: for a long run, which can be looked at on the way.
//!
//! ```text
//! cargo run --release -p phantom-tests --bin seeds -- --first 5000000 --links 10000000
//! ```
//!
//! It prints the sums so far with every 10,000 seeds, and how much faster than its clock a thread was. It fails at the first seed
//! that breaks a promise, and says which.

use std::env;
use std::num::ParseIntError;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use phantom_tests::simulation::{self, Tally};

const REPORT_EVERY: u64 = 10_000;

struct Plan {
    first: u64,
    links: u64,
    threads: usize,
}

fn main() -> ExitCode {
    match plan() {
        Ok(plan) if run(&plan) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("seeds: {error}; there are --first, --links and --threads, each with a number");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut plan = Plan { first: 0, links: 100_000, threads };
    let words: Vec<String> = env::args().skip(1).collect();
    for pair in words.chunks(2) {
        let [word, number] = pair else { return Err(format!("{} needs a number", pair[0])) };
        let wrong = |error: ParseIntError| format!("{word} {number}: {error}");
        match word.as_str() {
            "--first" => plan.first = number.parse().map_err(wrong)?,
            "--links" => plan.links = number.parse().map_err(wrong)?,
            "--threads" => plan.threads = number.parse::<usize>().map_err(wrong)?.max(1),
            _ => return Err(format!("{word} is unknown")),
        }
    }
    Ok(plan)
}

/// Whether every seed kept every promise.
fn run(plan: &Plan) -> bool {
    let begun = Instant::now();
    let next = AtomicU64::new(plan.first);
    let broken = AtomicBool::new(false);
    let sums = Mutex::new((0, Tally::default()));
    let report = |(seeds, sum): (u64, Tally)| {
        let passed = begun.elapsed().as_secs_f64();
        let factor = sum.time.as_secs_f64() / passed / plan.threads as f64;
        println!(
            "{seeds} seeds: {sum}; {passed:.0} s on {} threads, {factor:.0} x real time each",
            plan.threads
        );
    };
    let work = || {
        while !broken.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            match simulation::run(seed) {
                Ok(tally) => {
                    let mut sums = sums.lock().expect("no thread panics holding it");
                    sums.0 += 1;
                    sums.1 += tally;
                    if sums.0 % REPORT_EVERY == 0 {
                        report(*sums);
                    }
                    if sums.1.dials >= plan.links {
                        break;
                    }
                }
                Err(fault) => {
                    broken.store(true, Ordering::Relaxed);
                    eprintln!(
                        "seed {seed}: {fault}\n\nAgain: PHANTOM_SIM_FIRST={seed} PHANTOM_SIM_SEEDS=1 \
                         cargo test -p phantom-tests --test simulation"
                    );
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.threads {
            scope.spawn(work);
        }
    });
    report(*sums.lock().expect("no thread panicked"));
    !broken.load(Ordering::Relaxed)
}
