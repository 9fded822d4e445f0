//! Every limit and time of the relay, with its default (`PROTOCOL.md`, "Limits and times").

use super::bucket::Rate;
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
    /// Requests that wait for one client's decision. Further ones are not shown to it.
    pub requests_in_max: usize,
    /// Requests of one source that wait for an answer; ten times as many of an IPv6 /48.
    pub requests_source_max: usize,
    /// CONNECTs of one client.
    pub connect_rate: Rate,
    /// CONNECTs of one source; ten times as many of an IPv6 /48.
    pub connect_source_rate: Rate,
    /// Requests of one source for one ID. One that is accepted does not count.
    pub pair_rate: Rate,
    /// Requests shown to one client. One that is accepted does not count. Further ones are not shown to it.
    pub prompt_rate: Rate,
    /// Times that one source is told that nobody has an ID; ten times as many to an IPv6 /48. Beyond it, it is told the same
    /// whether somebody has it or not.
    pub exact_rate: Rate,
    /// Times that all sources together are told so.
    pub exact_total_rate: Rate,
    /// Sources, and IPv6 /48s, that are remembered. One that finds no place is told what a source without budget is told.
    pub sources_max: usize,
    /// Pairs of a source and an ID that are remembered; beyond it the one nearest to its end is forgotten early. At least
    /// `connections_max` times `requests_out_max`, or requests of new pairs may reach nobody.
    pub pairs_max: usize,
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
            requests_in_max: 3,
            requests_source_max: 64,
            connect_rate: Rate::new(10, Duration::from_secs(6)),
            connect_source_rate: Rate::new(60, Duration::from_secs(2)),
            pair_rate: Rate::new(3, Duration::from_secs(200)),
            prompt_rate: Rate::new(10, Duration::from_secs(60)),
            exact_rate: Rate::new(5, Duration::from_secs(120)),
            exact_total_rate: Rate::new(50, Duration::from_millis(20)),
            sources_max: 65_536,
            pairs_max: 262_144,
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
