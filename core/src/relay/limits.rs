//! Every limit and time of the relay, with its default (`PROTOCOL.md`, "Limits and times").

use crate::time::Duration;
use crate::wire::CHANNELS_MAX;

/// What a relay allows. The defaults are safe on the open internet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayLimits {
    /// Connections at once.
    pub connections_max: usize,
    /// Channels of one client at once, whatever it asks for.
    pub channels_max: u8,
    /// Own requests of one client that wait for an answer.
    pub requests_out_max: usize,
    /// Requests that wait for one client's decision.
    pub requests_in_max: usize,
    /// How long a request waits for a decision.
    pub request_lifetime: Duration,
    /// How long a new connection may take to register.
    pub register_timeout: Duration,
    /// How long a connection may be silent.
    pub idle_timeout: Duration,
    /// How long a receiver may hold up a sender before their channel is closed.
    pub stuck_timeout: Duration,
    /// How long a REJOIN waits for the other end.
    pub rejoin_lifetime: Duration,
    /// How long an ID that was given up is not given to anybody else.
    pub retired_for: Duration,
    /// IDs given up that are remembered; beyond it the oldest is forgotten early.
    pub retired_max: usize,
    /// How long a reclaim token is good.
    pub token_lifetime: Duration,
    /// After how long a client that stays connected is given a new token.
    pub token_renewal: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            connections_max: 65_536,
            channels_max: CHANNELS_MAX,
            requests_out_max: 3,
            requests_in_max: 16,
            request_lifetime: Duration::from_secs(60),
            register_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            stuck_timeout: Duration::from_secs(20),
            rejoin_lifetime: Duration::from_secs(120),
            retired_for: Duration::from_secs(600),
            retired_max: 65_536,
            token_lifetime: Duration::from_secs(24 * 3600),
            token_renewal: Duration::from_secs(12 * 3600),
        }
    }
}
