//! What the relay has counted: numbers only, no ID, no key, no address.
//!
//! The loop owns every counter and adds to it where the thing happens; nothing here is shared or locked. What can be seen by looking
//! is not counted but looked at, once for each question.

use std::collections::BTreeMap;
use std::time::Duration;

use phantom_core::relay::RelayStats;

use crate::conn::{Conn, Phase};
use crate::handshake::HandshakeFailure;
use crate::socket::Socket;

/// Counters since the relay was started, and figures of now.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct ServerStats {
    /// What the relay machine counts: channels, frames, answers, close codes.
    pub relay: RelayStats,
    /// What the relay is doing.
    pub state: ServerState,
    /// Whether the system lets it accept connections. False for a moment after each of `accept_failures`.
    pub accepting: bool,
    /// When it was made, in seconds of Unix time.
    pub started: u64,
    /// How long ago that was.
    pub uptime: Duration,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused by a rule or a limit, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// How often the system had no room for a new connection.
    pub accept_failures: u64,
    /// Sockets open now, in whatever state.
    pub sockets: usize,
    /// Those of them whose handshake is under way.
    pub handshaking: usize,
    /// Those of them that are WebSockets.
    pub open: usize,
    /// Those of them that have had their last word.
    pub closing: usize,
    /// Those of them that speak TCP without TLS.
    pub plain: usize,
    /// Those of them that speak TLS.
    pub tls: usize,
    /// Those of them that came over a Unix socket.
    pub unix: usize,
    /// Handshakes that failed, by reason.
    pub handshake_failures: BTreeMap<HandshakeFailure, u64>,
    /// WebSockets that their client closed properly.
    pub closed_by_client: u64,
    /// WebSockets that ended without a close frame.
    pub lost: u64,
    /// Bytes read from all sockets, after decryption.
    pub bytes_received: u64,
    /// Bytes written to all sockets, before encryption.
    pub bytes_sent: u64,
    /// Messages of clients, of whatever kind.
    pub frames_received: u64,
    /// Messages for clients, of whatever kind, sent or still waiting.
    pub frames_sent: u64,
    /// How often a sender was held up because its receiver was full.
    pub held_up: u64,
    /// Senders that are held up now.
    pub held_up_now: usize,
    /// Bytes that wait to be sent now, to all receivers.
    pub outbox_bytes: usize,
    /// The most bytes that wait now for one receiver.
    pub outbox_bytes_largest: usize,
    /// The most bytes of data that ever waited for one receiver.
    pub outbox_bytes_peak: usize,
    /// Connections given up because too much memory was held.
    pub shed: u64,
    /// Bytes of memory held, of the budget.
    pub memory_used: usize,
    /// The budget.
    pub memory_limit: usize,
    /// Whether new connections find no room in it.
    pub memory_short: bool,
    /// Addresses that have connections.
    pub addresses: usize,
    /// How often a client was ahead of its pace.
    pub rested: u64,
    /// When the first of the certificates in use ends, in seconds of Unix time. None without TLS.
    pub certificate_not_after: Option<u64>,
    /// How long each round of the loop took, without its wait.
    pub rounds: Histogram,
    /// How long after its time each deadline was handled.
    pub lateness: Histogram,
}

/// What a relay is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum ServerState {
    /// It does not run yet.
    #[default]
    Waiting,
    /// It listens and serves.
    Serving,
    /// It listens no more, and its clients are being told.
    Draining,
    /// It has ended.
    Stopped,
}

/// Why a connection was refused, whatever it wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// Its address is not among those that may connect.
    Denied,
    /// Its address has as many connections as one address may have.
    AddressFull,
    /// Its address makes connections too fast.
    AddressRate,
    /// The memory budget has no room for it.
    Memory,
}

impl ServerStats {
    pub(crate) fn count_failure(&mut self, failure: HandshakeFailure) {
        *self.handshake_failures.entry(failure).or_default() += 1;
    }

    pub(crate) fn count_refusal(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal).or_default() += 1;
    }

    /// Takes one socket into the figures of now.
    pub(crate) fn see(&mut self, conn: &Conn) {
        self.sockets += 1;
        *match conn.phase {
            Phase::Handshaking(_) => &mut self.handshaking,
            Phase::Open { .. } => &mut self.open,
            Phase::Closing { .. } => &mut self.closing,
        } += 1;
        *match conn.socket {
            Socket::Tcp(_) => &mut self.plain,
            Socket::Unix(_) => &mut self.unix,
            Socket::Tls(_) => &mut self.tls,
        } += 1;
        self.held_up_now += usize::from(conn.held_by.is_some());
        let waiting = conn.outbox.len();
        self.outbox_bytes += waiting;
        self.outbox_bytes_largest = self.outbox_bytes_largest.max(waiting);
    }
}

/// Times, counted in fixed buckets.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Histogram {
    /// Times up to each bound but above the one before it; last, those above all bounds.
    counts: [u64; Self::BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// The upper bounds of the buckets, ascending.
    pub const BOUNDS: [Duration; 14] = [
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2500),
    ];

    pub(crate) fn record(&mut self, time: Duration) {
        let bucket = Self::BOUNDS.iter().take_while(|&&bound| bound < time).count();
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(time);
    }

    /// For each bound, how many times were up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut total = 0;
        Self::BOUNDS.into_iter().zip(&self.counts).map(move |(bound, count)| {
            total += count;
            (bound, total)
        })
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All times together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::default();
        for micros in [0, 100, 101, 2_500_000, 2_500_001, 90_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let cumulative: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(cumulative, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!((histogram.count(), histogram.sum()), (6, Duration::from_micros(95_000_202)));
        assert!(Histogram::BOUNDS.is_sorted());
    }
}
