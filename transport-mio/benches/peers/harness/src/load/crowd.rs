//! Clients that have joined and say nothing.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, Figures, percentile};
use crate::dialect::Phantom;
use crate::system;

/// Joined before the first is counted: what a relay needs at all is no client's.
const FEW: usize = 100;
/// How long what was needed to join them may take to be given back.
const REST: Duration = Duration::from_secs(2);
/// How many joins are timed.
const TIMED: usize = 200;

/// What each of half of them costs, and each of all.
pub(crate) fn crowd(phantom: &Phantom, bench: Bench, clients: usize) -> io::Result<Figures> {
    let mut crowd = Vec::with_capacity(clients);
    let mut measured = Vec::new();
    for count in [FEW, clients / 2, clients] {
        while crowd.len() < count {
            crowd.push(phantom.join(crowd.len() as u64)?);
        }
        thread::sleep(REST);
        measured.push((count, system::resident(bench.relay)));
    }
    let [(_, few), half, all] = measured[..] else { unreachable!("three were measured") };
    let each = |(count, bytes): (usize, u64)| (bytes as f64 - few as f64) / 1024.0 / (count - FEW) as f64;
    Ok(vec![("kib_half", each(half)), ("kib_all", each(all)), ("clients", clients as f64)])
}

/// How long it takes to join while 10 are there, and while so many are.
pub(crate) fn joined(phantom: &Phantom, bench: Bench, clients: usize) -> io::Result<Figures> {
    let mut crowd = Vec::with_capacity(clients);
    let mut figures = Figures::new();
    let names = [("among_few_us", "among_few_cpu_us"), ("among_all_us", "among_all_cpu_us")];
    for (count, (time, cpu)) in [10, clients - TIMED].into_iter().zip(names) {
        while crowd.len() < count {
            crowd.push(phantom.join(crowd.len() as u64)?);
        }
        let meter = bench.meter();
        let mut taken = Vec::with_capacity(TIMED);
        for number in 0..TIMED {
            let begun = Instant::now();
            // Joined and gone: there are never more than one beyond those that stay.
            drop(phantom.join((clients + number) as u64)?);
            taken.push(begun.elapsed().as_nanos() as u64);
        }
        let busy = bench.busy_since(&meter).as_secs_f64() / TIMED as f64 * 1e6;
        figures.extend([(time, percentile(&mut taken, 0.5)), (cpu, busy)]);
    }
    figures.push(("clients", clients as f64));
    Ok(figures)
}
