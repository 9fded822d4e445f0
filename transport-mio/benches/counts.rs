//! Runs one hot path a given number of times, for `.ci/counts` to count the instructions.
//!
//! `counts` lists the paths, each behind the number of runs to count and the bytes that a run moves; `counts NAME RUNS` runs one. What one run costs is the difference
//! between two numbers of runs, divided by the difference of the numbers: so nothing of the preparation is in it.

#[path = "../../core/benches/paths/mod.rs"]
mod core_paths;
mod paths;

use std::env;

use core_paths::{Path, all};

const SWITCHBOARD: &[Path] = &[
    Path {
        name: "50 frames of 32 B through the switchboard",
        bytes: paths::payload(32),
        runs: 50,
        prepare: || paths::burst(32),
    },
    Path {
        name: "50 frames of 1 KiB through the switchboard",
        bytes: paths::payload(1024),
        runs: 50,
        prepare: || paths::burst(1024),
    },
];

fn main() {
    let mut paths = all().chain(SWITCHBOARD);
    // Cargo passes --bench to whatever it takes for a benchmark.
    let mut words = env::args().skip(1).filter(|word| word != "--bench");
    match (words.next(), words.next().and_then(|runs| runs.parse::<u32>().ok())) {
        (Some(name), Some(runs)) => {
            let path = paths.find(|path| path.name == name).expect("a path of this name");
            let mut run = (path.prepare)();
            (0..runs).for_each(|_| run());
        }
        _ => paths.for_each(|path| println!("{} {} {}", path.runs, path.bytes, path.name)),
    }
}
