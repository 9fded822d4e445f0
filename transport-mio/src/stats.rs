//! What the relay has counted: numbers only, no ID, no key, no address.

use std::collections::BTreeMap;

use phantom_core::relay::RelayStats;

use crate::handshake::HandshakeFailure;

/// Counters since the relay was started, and figures of now.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct ServerStats {
    /// What the relay machine counts: channels, frames, answers, close codes.
    pub relay: RelayStats,
    /// Connections accepted.
    pub accepted: u64,
    /// Sockets open now, in whatever state.
    pub sockets: usize,
    /// Handshakes that failed, by reason.
    pub handshake_failures: BTreeMap<HandshakeFailure, u64>,
    /// WebSockets that their client closed properly.
    pub closed_by_client: u64,
    /// WebSockets that ended without a close frame.
    pub lost: u64,
    /// How often a sender was held up because its receiver was full.
    pub held_up: u64,
    /// Bytes that wait to be sent now, to all receivers.
    pub outbox_bytes: usize,
    /// The most bytes of data that ever waited for one receiver.
    pub outbox_bytes_peak: usize,
    /// Connections given up because too much memory was held.
    pub shed: u64,
    /// Bytes of memory held, of the budget.
    pub memory_used: usize,
    /// The budget.
    pub memory_limit: usize,
    /// Addresses that have connections.
    pub addresses: usize,
    /// How often a client was ahead of its pace.
    pub rested: u64,
    /// How often the system had no room for a new connection.
    pub accept_failures: u64,
}

impl ServerStats {
    pub(crate) fn count_failure(&mut self, failure: HandshakeFailure) {
        *self.handshake_failures.entry(failure).or_default() += 1;
    }
}
