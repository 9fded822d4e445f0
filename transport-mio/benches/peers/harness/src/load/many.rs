//! Many pairs, each with a few messages under way, as fast as they go.

use std::io;
use std::time::{Duration, Instant};

use super::link::{CHUNK, Interest, Link, Watch};
use super::{Bench, Figures, stalled};
use crate::dialect::{Dialect, Template};

const SIZE: usize = 256;
/// Messages of a pair under way.
const WINDOW: u64 = 16;
const WARM_UP: Duration = Duration::from_millis(500);

struct Sender {
    link: Link,
    template: Template,
    sent: u64,
}

impl Sender {
    fn push(&mut self, count: u64) {
        for _ in 0..count {
            self.link.push(&self.template, self.sent);
            self.sent += 1;
        }
    }
}

/// So many pairs for so long.
pub(crate) fn many(
    dialect: &dyn Dialect,
    bench: Bench,
    numbers: &mut impl Iterator<Item = u64>,
    pairs: usize,
    time: Duration,
) -> io::Result<Figures> {
    let mut watch = Watch::new()?;
    let (mut near, mut far) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
    for (place, number) in numbers.take(pairs).enumerate() {
        let pair = dialect.pair(number)?;
        let link = Link::new(pair.near)?;
        watch.add(&link, pairs + place, Interest { read: false, write: false })?;
        let template = link.template(SIZE);
        near.push(Sender { link, template, sent: 0 });
        let link = Link::new(pair.far)?;
        watch.add(&link, place, Interest { read: true, write: false })?;
        far.push(link);
    }
    let mut got = vec![0_u64; pairs];
    for (place, sender) in near.iter_mut().enumerate() {
        sender.push(WINDOW);
        flush(&watch, sender, pairs + place, false)?;
    }
    let mut buffer = vec![0; CHUNK / 4];
    let (start, mut measured) = (Instant::now(), None);
    let (since, before, meter) = loop {
        let now = Instant::now();
        match measured.take() {
            None if now - start >= WARM_UP => measured = Some((now, got.clone(), bench.meter())),
            Some(first) if now - first.0 >= time => break first,
            other => measured = other,
        }
        let ready = watch.wait(Duration::from_secs(10))?;
        if ready.is_empty() {
            return Err(stalled("many pairs"));
        }
        for number in ready {
            let place = number % pairs;
            if number < pairs {
                let mut came = 0;
                far[place].read(&mut buffer, &mut |_| came += 1)?;
                got[place] += came;
                near[place].push(came);
            }
            flush(&watch, &mut near[place], pairs + place, number >= pairs)?;
        }
    };
    let elapsed = since.elapsed().as_secs_f64();
    let busy = bench.busy_since(&meter).as_secs_f64();
    let mut figures = bench.shares_since(&meter);
    let each: Vec<f64> = got.iter().zip(&before).map(|(after, before)| (after - before) as f64).collect();
    let sum: f64 = each.iter().sum();
    let squares: f64 = each.iter().map(|count| count * count).sum();
    let mean = sum / pairs as f64;
    figures.extend([
        ("messages_s", sum / elapsed),
        ("cpu_us_message", busy / sum * 1e6),
        ("jain", sum * sum / (pairs as f64 * squares)),
        ("slowest", each.iter().copied().fold(f64::INFINITY, f64::min) / mean),
    ]);
    Ok(figures)
}

/// Writes what can be written, and watches for more room only while something is left.
fn flush(watch: &Watch, sender: &mut Sender, number: usize, watched: bool) -> io::Result<()> {
    let watched = watched || sender.link.pending() > CHUNK;
    let before = sender.link.pending() > 0;
    sender.link.flush()?;
    let write = sender.link.pending() > 0;
    if write || (watched && before) {
        watch.change(&sender.link, number, Interest { read: false, write })?;
    }
    Ok(())
}
