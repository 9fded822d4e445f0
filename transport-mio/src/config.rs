//! Every limit of the adapter, with its default. Those of the protocol are [`RelayLimits`].

use std::time::Duration;

use phantom_core::relay::{RelayLimits, RelaySecret};
use phantom_core::wire::FRAME_MAX;

use crate::access::Access;
use crate::inbound::INPUT_MIN;
use crate::proxy::ClientAddresses;

/// How a relay is run.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The limits of the protocol: connections, channels, requests, times.
    pub relay: RelayLimits,
    /// The limits of the sockets.
    pub server: ServerLimits,
    /// Who may connect.
    pub access: Access,
    /// How the addresses of clients are known.
    pub addresses: ClientAddresses,
    /// What reclaim tokens are made with. `None`: a random secret, so that clients keep their IDs as long as this relay runs.
    pub secret: Option<RelaySecret>,
    /// What reclaim tokens were made with before; still honoured.
    pub previous_secret: Option<RelaySecret>,
}

/// What the relay allows its sockets. The defaults are safe on the open internet.
///
/// Values too small to work with are raised to the smallest that does: see each field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerLimits {
    /// How long a WebSocket handshake may take.
    pub handshake_timeout: Duration,
    /// Handshakes under way at once; beyond it the oldest is ended. At least 1.
    pub handshakes_max: usize,
    /// Bytes of data that may wait for one receiver before whoever sends to it is no longer read. Each of its senders may add what one turn
    /// brings beyond it. Less when the memory budget is nearly used up. It need not hold a whole window of a peer: what is held up waits
    /// where it is kept anyway. At least one frame, about 64 KiB.
    pub outbox_bytes_max: usize,
    /// Its senders are read again when no more than this waits. Less than `outbox_bytes_max`.
    pub outbox_bytes_low: usize,
    /// Bytes of control frames that may wait for one receiver; beyond it the connection is closed as
    /// [`Stalled`](phantom_core::wire::CloseCode::Stalled). At least 1 KiB.
    pub control_bytes_max: usize,
    /// How long what waits for a receiver may make no progress before the connection is closed as
    /// [`Stalled`](phantom_core::wire::CloseCode::Stalled).
    pub stall_timeout: Duration,
    /// How long a connection that is being closed may take to receive why, and to close its side.
    pub close_linger: Duration,
    /// Connections accepted before others get their turn. At least 1.
    pub accept_batch: usize,
    /// Bytes read from one connection before others get their turn; of long frames, as many again if nobody waits for one. The one buffer
    /// that all share is twice as long. At least 32 KiB.
    pub read_bytes_per_turn: usize,
    /// Bytes of memory that the relay holds at most, for everything; what happens near the limit stands in the operator's page. At least 16 MiB.
    pub memory: usize,
    /// Bytes that one client may send per second; it is read no faster. 0: no limit.
    pub client_bytes_per_second: u64,
    /// WebSocket frames that one client may send per second; it is read no faster. A frame for the relay itself counts as 50. 0: no limit.
    pub client_messages_per_second: u64,
    /// How long no connection is accepted after the system had no room for one.
    pub accept_pause: Duration,
    /// When clients are told to come back after [`stop`](crate::Handle::stop).
    pub drain_after: Duration,
    /// How long after [`stop`](crate::Handle::stop) a connection may take to receive what waits for it, and to close its side.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 4096,
            outbox_bytes_max: 512 * 1024,
            outbox_bytes_low: 384 * 1024,
            control_bytes_max: 64 * 1024,
            stall_timeout: Duration::from_secs(30),
            close_linger: Duration::from_secs(1),
            accept_batch: 64,
            read_bytes_per_turn: 128 * 1024,
            memory: 512 * 1024 * 1024,
            client_bytes_per_second: 1024 * 1024 * 1024,
            client_messages_per_second: 100_000,
            accept_pause: Duration::from_millis(100),
            drain_after: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl ServerLimits {
    /// The same limits, each at least as large as the relay needs.
    pub(crate) fn sane(mut self) -> Self {
        self.handshakes_max = self.handshakes_max.max(1);
        self.outbox_bytes_max = self.outbox_bytes_max.max(FRAME_MAX);
        self.outbox_bytes_low = self.outbox_bytes_low.min(self.outbox_bytes_max - 1);
        self.control_bytes_max = self.control_bytes_max.max(1024);
        self.accept_batch = self.accept_batch.max(1);
        self.read_bytes_per_turn = self.read_bytes_per_turn.max(INPUT_MIN);
        self
    }
}
