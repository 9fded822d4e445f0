//! What is measured, of whom, how often and how long.

use std::time::Duration;

use crate::peer::{FLOOR, HAPROXY, IROH, PHANTOM, PHANTOM_DEFAULTS, TUNGSTENITE};
use crate::rows::bytes;

/// The other tool that passes a file.
pub(crate) const WORMHOLE: &str = "wormhole-rs";
/// Pairs of the row with many.
pub(crate) const MANY: usize = 500;
/// Pairs that more are compared with.
pub(crate) const FEW: usize = 100;

/// One kind of measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Workload {
    /// One pair, messages of this size.
    Throughput(usize),
    PingPong,
    /// So many pairs.
    Many(usize),
    Join,
    /// Joining, by a new relay and by one with many past connections.
    Past,
    Crowd,
    Joined,
    Slow,
    File,
    Packets,
    Latency,
}

/// How much of everything.
pub(crate) struct Plan {
    pub(crate) repetitions: usize,
    /// How long one measurement takes.
    pub(crate) time: Duration,
    pub(crate) slow: Duration,
    /// Clients of a crowd.
    pub(crate) clients: usize,
    /// Pairs that have come and gone.
    pub(crate) past: u64,
    /// Size of the file in MiB.
    pub(crate) file: usize,
    /// How long to wait, in all, for a machine that is quiet.
    pub(crate) patience: Duration,
}

impl Plan {
    /// As the table wants it, on a machine where one process may open so many files.
    pub(crate) fn full(files: u64) -> Self {
        Self {
            repetitions: 5,
            time: Duration::from_millis(800),
            slow: Duration::from_secs(10),
            // Some files are for other things.
            clients: usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(250).min(20_000),
            past: 500_000,
            file: 1024,
            patience: Duration::from_secs(600),
        }
    }

    /// To see that everything works.
    pub(crate) fn quick() -> Self {
        Self {
            repetitions: 1,
            time: Duration::from_millis(300),
            slow: Duration::from_secs(2),
            clients: 1000,
            past: 2000,
            file: 64,
            patience: Duration::ZERO,
        }
    }

    /// Everything, in order.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let sizes = [32, 256, 1024, 16 << 10, 64 << 10, 1 << 20].map(Workload::Throughput);
        let mut all = sizes.to_vec();
        all.push(Workload::PingPong);
        all.extend(self.pairs().into_iter().map(Workload::Many));
        all.extend([Workload::Join, Workload::Past, Workload::Crowd, Workload::Joined, Workload::Slow]);
        all.extend([Workload::File, Workload::Packets, Workload::Latency]);
        all
    }

    /// How many pairs, from few to as many as there may be: each end is an open file of the relay, and one of the load.
    pub(crate) fn pairs(&self) -> Vec<usize> {
        let mut pairs: Vec<usize> =
            [1, 10, FEW, MANY, 1000, 10_000].map(|pairs| pairs.min(self.clients / 2)).into();
        pairs.dedup();
        pairs
    }

    /// How often a workload is repeated: less, if it is long and hardly varies.
    pub(crate) fn repetitions_of(&self, workload: Workload) -> usize {
        match workload {
            Workload::Past => 1,
            Workload::Crowd | Workload::Slow => self.repetitions.min(2),
            Workload::File => self.repetitions.min(3),
            _ => self.repetitions,
        }
    }
}

impl Workload {
    /// What it is called.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Throughput(size) => format!("throughput, {}", bytes(size)),
            Self::PingPong => "round trip, 64 B".into(),
            Self::Many(pairs) => format!("{pairs} pairs, 256 B"),
            Self::Join => "join".into(),
            Self::Past => "join, new and after many".into(),
            Self::Crowd => "idle clients".into(),
            Self::Joined => "join among others".into(),
            Self::Slow => "slow reader".into(),
            Self::File => "file".into(),
            Self::Packets => "packets, 32 B".into(),
            Self::Latency => "packet, 64 B".into(),
        }
    }

    /// The word to ask for it with.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Throughput(_) => "throughput",
            Self::PingPong => "roundtrip",
            Self::Many(_) => "many",
            Self::Join => "join",
            Self::Past => "past",
            Self::Crowd => "crowd",
            Self::Joined => "joined",
            Self::Slow => "slow",
            Self::File => "file",
            Self::Packets => "packets",
            Self::Latency => "latency",
        }
    }

    /// Who is measured.
    pub(crate) const fn peers(self) -> &'static [&'static str] {
        match self {
            Self::Throughput(_) => &[PHANTOM, FLOOR, HAPROXY, TUNGSTENITE],
            Self::PingPong | Self::Many(MANY) => &[PHANTOM, FLOOR, HAPROXY],
            Self::Many(_) => &[PHANTOM, FLOOR],
            Self::Join => &[PHANTOM, IROH],
            Self::Crowd | Self::Joined => &[PHANTOM_DEFAULTS],
            Self::Past | Self::Slow | Self::Packets => &[PHANTOM],
            Self::File => &[PHANTOM, IROH, WORMHOLE],
            Self::Latency => &[PHANTOM, HAPROXY],
        }
    }
}
