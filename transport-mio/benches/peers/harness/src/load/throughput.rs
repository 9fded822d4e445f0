//! One pair, one direction, as fast as it goes.

use std::io;
use std::time::{Duration, Instant};

use super::link::{CHUNK, Link, wait};
use super::{Bench, Figures, stalled};
use crate::dialect::Dialect;

/// Bytes under way at most, if that is four messages or more.
const WINDOW: usize = 1 << 20;
const WARM_UP: Duration = Duration::from_millis(300);

/// Messages of `size` bytes for so long. A message that is longer than a frame may be is several.
pub(crate) fn throughput(
    dialect: &dyn Dialect,
    bench: Bench,
    number: u64,
    size: usize,
    time: Duration,
) -> io::Result<Figures> {
    let frames_each = size.div_ceil(dialect.frame_max());
    let frame = size / frames_each;
    let window = (WINDOW.max(4 * size) / frame).min(dialect.in_flight_max()) as u64;
    let pair = dialect.pair(number)?;
    let (mut near, mut far) = (Link::new(pair.near)?, Link::new(pair.far)?);
    let template = near.template(frame);
    let mut buffer = vec![0; CHUNK];
    let (mut sent, mut got, mut next, mut lost) = (0, 0, 0, 0);
    let start = Instant::now();
    let mut measured = None;
    let (messages, elapsed, busy, mut figures) = loop {
        let now = Instant::now();
        match &measured {
            None if now - start >= WARM_UP && got > 0 => {
                measured = Some((Instant::now(), got, bench.meter()))
            }
            Some((since, before, meter)) if now - *since >= time && got - before >= 4 => {
                let messages = (got - before) as f64 / frames_each as f64;
                break (
                    messages,
                    (now - *since).as_secs_f64(),
                    bench.busy_since(meter),
                    bench.shares_since(meter),
                );
            }
            _ => {}
        }
        while sent - got - lost < window && near.pending() < CHUNK {
            near.push(&template, sent);
            sent += 1;
        }
        let mut moved = near.flush()?;
        moved |= far.read(&mut buffer, &mut |number| {
            got += 1;
            // Only forwards: what comes late was counted as lost already.
            if number >= next {
                lost += number - next;
                next = number + 1;
            }
        })?;
        if !moved && !wait((near.pending() > 0).then_some(&near), Some(&far))? {
            return Err(stalled("throughput"));
        }
    };
    let busy = busy.as_secs_f64();
    figures.extend([
        ("messages_s", messages / elapsed),
        ("cpu_us_message", busy / messages * 1e6),
        ("cpu_s_gib", busy / (messages * size as f64) * (1_u64 << 30) as f64),
        ("lost", lost as f64),
    ]);
    Ok(figures)
}
