//! What is done to a peer, and what is measured meanwhile. Every load drives both ends of all pairs on one thread.

mod crowd;
mod join;
mod link;
mod many;
mod paced;
mod pingpong;
mod slow;
mod throughput;

use std::io;
use std::time::Duration;

pub(crate) use crowd::{crowd, joined};
pub(crate) use join::{join, past};
pub(crate) use many::many;
pub(crate) use pingpong::pingpong;
pub(crate) use slow::slow;
pub(crate) use throughput::throughput;

use crate::system::{self, Ticks};

/// Named numbers.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// Where a relay runs and where its load.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    /// The process of the relay.
    pub(crate) relay: u32,
    /// Its processor.
    pub(crate) relay_core: usize,
    /// The processor of the load.
    pub(crate) load_core: usize,
}

/// What both processors and the relay had done at a moment.
struct Meter {
    relay: Duration,
    cores: [Ticks; 2],
}

impl Bench {
    fn meter(self) -> Meter {
        let cores = [self.relay_core, self.load_core].map(Ticks::now);
        Meter { relay: system::busy(self.relay), cores }
    }

    /// Processor time of the relay since then.
    fn busy_since(self, meter: &Meter) -> Duration {
        system::busy(self.relay) - meter.relay
    }

    /// How busy both processors have been since then; `stolen` is what the hypervisor took of one at most.
    fn shares_since(self, meter: &Meter) -> Figures {
        let relay = Ticks::now(self.relay_core).since(meter.cores[0]);
        let load = Ticks::now(self.load_core).since(meter.cores[1]);
        vec![("relay_core", relay.0), ("load_core", load.0), ("stolen", relay.1.max(load.1))]
    }
}

/// The value that this share of all is not above, in microseconds.
fn percentile(nanos: &mut [u64], share: f64) -> f64 {
    if nanos.is_empty() {
        return f64::NAN;
    }
    let place = (nanos.len() as f64 * share).ceil() as usize;
    let place = place.clamp(1, nanos.len()) - 1;
    *nanos.select_nth_unstable(place).1 as f64 / 1e3
}

fn stalled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what}: nothing comes any more"))
}
