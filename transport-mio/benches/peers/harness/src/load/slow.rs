//! A peer that does not read, while somebody sends to it as fast as it can; then it reads everything.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::link::{CHUNK, Link, wait};
use super::paced::Paced;
use super::{Bench, Figures};
use crate::dialect::{Dialect, Template};
use crate::system;

const SIZE: usize = 16 * 1024;
/// Pairs that go on as ever.
const OTHERS: usize = 20;
const ALONE: Duration = Duration::from_secs(3);

/// Does not read for so long.
pub(crate) fn slow(
    dialect: &dyn Dialect,
    bench: Bench,
    numbers: &mut impl Iterator<Item = u64>,
    time: Duration,
) -> io::Result<Figures> {
    let mut others = Paced::join(dialect, numbers.take(OTHERS))?;
    let pair = dialect.pair(numbers.next().unwrap_or(0))?;
    let (mut near, mut far) = (Link::new(pair.near)?, Link::new(pair.far)?);
    near.greet(&mut far)?;
    let template = near.template(SIZE);
    let (p99_alone, lost_alone) = others.run(ALONE)?;
    let before = system::resident(bench.relay);
    let (sent, peak, others_meanwhile) = thread::scope(|scope| {
        let sending = scope.spawn(|| send(&mut near, &template, bench.relay, time));
        let others = others.run(time);
        let (sent, peak) = sending.join().map_err(|_| super::stalled("the sender"))??;
        io::Result::Ok((sent, peak, others?))
    })?;
    let got = drain(&mut near, &mut far)?;
    let (p99, lost_meanwhile) = others_meanwhile;
    Ok(vec![
        ("growth_mib", peak.saturating_sub(before) as f64 / f64::from(1 << 20)),
        ("sent", sent as f64),
        ("lost", sent as f64 - got as f64 + (lost_alone + lost_meanwhile) as f64),
        ("p99_alone_us", p99_alone),
        ("p99_us", p99),
    ])
}

/// Sends for so long; how many messages left or began to, and the most memory that the relay had meanwhile.
fn send(near: &mut Link, template: &Template, relay: u32, time: Duration) -> io::Result<(u64, u64)> {
    let (start, mut sent, mut peak) = (Instant::now(), 0, 0);
    while start.elapsed() < time {
        while near.pending() < CHUNK {
            near.push(template, sent);
            sent += 1;
        }
        if !near.flush()? {
            thread::sleep(Duration::from_millis(100));
        }
        peak = peak.max(system::resident(relay));
    }
    Ok((sent - near.take_back(template.bytes.len()), peak))
}

/// Reads until nothing comes for two seconds; how many messages came.
fn drain(near: &mut Link, far: &mut Link) -> io::Result<u64> {
    let (mut buffer, mut got) = (vec![0; CHUNK], 0);
    loop {
        let mut moved = near.flush()?;
        moved |= far.read(&mut buffer, &mut |_| got += 1)?;
        if !moved && !wait((near.pending() > 0).then_some(&*near), Some(far))? {
            return Ok(got);
        }
    }
}
