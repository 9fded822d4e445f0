//! What a client and a channel have done so far, in numbers that only grow, and rates from two looks.

use phantom_core::client::{Fate, Held, Traffic};
use phantom_core::time::Duration;

/// A client's numbers: [`Client::stats`](crate::Client::stats).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ClientStats {
    /// How long the relay took for its latest answer; nothing while it is not reached. Measured when the client goes online and with
    /// every ping, that is, every 15 seconds by default.
    pub round_trip: Option<Duration>,
    /// Times online again, the first not counted.
    pub reconnects: u64,
    /// Channels that are there now.
    pub channels: usize,
}

/// A channel's numbers: [`Channel::stats`](crate::Channel::stats).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ChannelStats {
    /// How long ago the channel was opened; after its end, how long there was one.
    pub age: Duration,
    /// What became of the packets sent so far. The three numbers add up to those that `send` took.
    pub packets: Fate,
    /// Bytes of the packets that `send` took, as the application gave them.
    pub bytes_sent: u64,
    /// Packets that were received and taken.
    pub packets_received: u64,
    /// Bytes of those.
    pub bytes_received: u64,
    /// How long the latest packet that was measured took from `send` until it was known to have arrived: the round trip between the two
    /// programs, and what it waited in queues, and up to 200 ms that a receiver with nothing to say gathers confirmations.
    pub delivery_time: Option<Duration>,
    /// How often the way to the other side was cut.
    pub interruptions: u64,
    /// Records sealed and sent; when one was lost on its way it was sent again, which is counted apart. Zero after the channel's end.
    pub traffic: Traffic,
    /// What it holds in memory. Zero after the channel's end.
    pub held: Held,
}

impl ChannelStats {
    /// How much went through per second since `earlier`, a look at the same channel. Everything is zero if no time has passed.
    #[must_use]
    pub fn rates_since(&self, earlier: &Self) -> Rates {
        let seconds = self.age.saturating_sub(earlier.age).as_secs_f64();
        // Precise enough up to 2^53.
        let rate = |now: u64, then: u64| match now.saturating_sub(then) {
            0 => 0.0,
            _ if seconds <= 0.0 => 0.0,
            more => more as f64 / seconds,
        };
        Rates {
            bytes_sent: rate(self.bytes_sent, earlier.bytes_sent),
            bytes_received: rate(self.bytes_received, earlier.bytes_received),
            packets_delivered: rate(self.packets.delivered, earlier.packets.delivered),
            packets_received: rate(self.packets_received, earlier.packets_received),
        }
    }
}

/// How much goes through a channel, per second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Rates {
    /// Bytes that `send` took.
    pub bytes_sent: f64,
    /// Bytes that were received and taken.
    pub bytes_received: f64,
    /// Packets that have arrived at the other side.
    pub packets_delivered: f64,
    /// Packets that were received and taken.
    pub packets_received: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_never_absurd() {
        let earlier =
            ChannelStats { age: Duration::from_secs(1), bytes_sent: 100, ..ChannelStats::default() };
        let later = ChannelStats {
            age: Duration::from_millis(1500),
            bytes_sent: 300,
            packets_received: 7,
            ..ChannelStats::default()
        };
        let rates = later.rates_since(&earlier);
        assert!((rates.bytes_sent - 400.0).abs() < 1e-9, "{rates:?}");
        assert!((rates.packets_received - 14.0).abs() < 1e-9, "{rates:?}");
        assert_eq!(later.rates_since(&later), Rates::default());
        assert_eq!(earlier.rates_since(&later), Rates::default());
    }
}
