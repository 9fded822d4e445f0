//! One pair, 64 B there and back. The load spins, so that nobody's waking up is in it but the relay's.

use std::io;
use std::time::{Duration, Instant};

use super::link::Link;
use super::{Figures, percentile, stalled};
use crate::dialect::Dialect;

const SIZE: usize = 64;
const WARM_UP: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

/// Round trips for so long.
pub(crate) fn pingpong(dialect: &dyn Dialect, number: u64, time: Duration) -> io::Result<Figures> {
    let pair = dialect.pair(number)?;
    let (mut near, mut far) = (Link::new(pair.near)?, Link::new(pair.far)?);
    let there = near.template(SIZE);
    let back = far.template(SIZE);
    let mut buffer = vec![0; 4096];
    let mut taken = Vec::with_capacity(1 << 18);
    let start = Instant::now();
    while start.elapsed() < WARM_UP + time {
        let begun = Instant::now();
        near.push(&there, 0);
        pass(&mut near, &mut far, &mut buffer)?;
        far.push(&back, 0);
        pass(&mut far, &mut near, &mut buffer)?;
        if begun - start >= WARM_UP {
            taken.push(begun.elapsed().as_nanos() as u64);
        }
    }
    Ok(vec![("p50_us", percentile(&mut taken, 0.5)), ("p99_us", percentile(&mut taken, 0.99))])
}

fn pass(from: &mut Link, to: &mut Link, buffer: &mut [u8]) -> io::Result<()> {
    from.flush()?;
    let (begun, mut came) = (Instant::now(), false);
    while !came {
        to.read(buffer, &mut |_| came = true)?;
        if begun.elapsed() > PATIENCE {
            return Err(stalled("ping"));
        }
    }
    Ok(())
}
