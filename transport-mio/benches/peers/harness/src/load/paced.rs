//! Pairs that each send 64 B now and then. The time counts from when a message was due, so that one late message makes the next late too.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::link::{Interest, Link, Watch};
use super::percentile;
use crate::dialect::{Dialect, Template};

const SIZE: usize = 64;
/// Messages that a pair sends in a second.
const RATE: u32 = 50;

/// Some pairs.
pub(super) struct Paced {
    near: Vec<(Link, Template)>,
    far: Vec<Link>,
    watch: Watch,
    buffer: Vec<u8>,
}

impl Paced {
    /// As many pairs as there are numbers.
    pub(super) fn join(dialect: &dyn Dialect, numbers: impl Iterator<Item = u64>) -> io::Result<Self> {
        let watch = Watch::new()?;
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for (place, number) in numbers.enumerate() {
            let pair = dialect.pair(number)?;
            let link = Link::new(pair.near)?;
            let template = link.template(SIZE);
            near.push((link, template));
            let link = Link::new(pair.far)?;
            watch.add(&link, place, Interest { read: true, write: false })?;
            far.push(link);
        }
        Ok(Self { near, far, watch, buffer: vec![0; 4096] })
    }

    /// Sends for so long; the 99th percentile of the time one way, in microseconds, and how many were lost.
    pub(super) fn run(&mut self, time: Duration) -> io::Result<(f64, u64)> {
        let gap = Duration::from_secs(1) / RATE / self.near.len() as u32;
        let mut due = vec![VecDeque::new(); self.near.len()];
        let mut taken = Vec::new();
        let (mut sent, mut got) = (0_u64, 0_u64);
        let start = Instant::now();
        let mut next = start;
        while start.elapsed() < time || (got < sent && start.elapsed() < time + Duration::from_secs(2)) {
            let now = Instant::now();
            if now >= next && now - start < time {
                let place = sent as usize % self.near.len();
                let (link, template) = &mut self.near[place];
                link.push(template, sent);
                link.flush()?;
                due[place].push_back(next);
                sent += 1;
                next += gap;
            }
            for place in self.watch.wait(Duration::ZERO)? {
                let due = &mut due[place];
                self.far[place].read(&mut self.buffer, &mut |_| {
                    got += 1;
                    taken.extend(due.pop_front().map(|due: Instant| due.elapsed().as_nanos() as u64));
                })?;
            }
        }
        Ok((percentile(&mut taken, 0.99), sent - got))
    }
}
