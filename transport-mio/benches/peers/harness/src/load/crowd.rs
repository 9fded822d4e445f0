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
/// How many joins are timed before it is the other relay's turn.
const TIMED: usize = 200;
/// How often each relay has its turn.
const ROUNDS: usize = 20;

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

/// How long it takes to join one relay where 10 are, and another where so many are: by turns, so that both are measured at the same time.
pub(crate) fn joined(relays: [(&Phantom, Bench); 2], clients: usize) -> io::Result<Figures> {
    let names = [("among_few_us", "among_few_cpu_us"), ("among_all_us", "among_all_cpu_us")];
    let mut crowds = [Vec::new(), Vec::new()];
    for (((phantom, _), crowd), count) in relays.iter().zip(&mut crowds).zip([10, clients - 11]) {
        while crowd.len() < count {
            crowd.push(phantom.join(crowd.len() as u64)?);
        }
    }
    let mut numbers = clients as u64..;
    let mut taken = [Vec::new(), Vec::new()];
    let mut busy = [0.0; 2];
    for round in 0..=ROUNDS {
        for (place, (phantom, bench)) in relays.iter().enumerate() {
            let meter = bench.meter();
            for number in numbers.by_ref().take(TIMED) {
                let begun = Instant::now();
                // Joined and gone: there is never more than one beyond those that stay.
                drop(phantom.join(number)?);
                taken[place].push(begun.elapsed().as_nanos() as u64);
            }
            busy[place] += bench.busy_since(&meter).as_secs_f64();
        }
        if round == 0 {
            // The first one only warms up.
            (taken, busy) = Default::default();
        }
    }
    let mut figures = vec![("clients", clients as f64)];
    for (((time, cpu), taken), busy) in names.into_iter().zip(&mut taken).zip(busy) {
        figures.extend([(time, percentile(taken, 0.5)), (cpu, busy / (ROUNDS * TIMED) as f64 * 1e6)]);
    }
    Ok(figures)
}
