//! What a client and a channel tell their owner beside the answers to its calls.

use phantom_core::client::{End, Fate};
use phantom_core::id::PeerId;
use phantom_core::time::Duration;
use phantom_core::wire::{Answer, CloseCode, Ended};

use crate::Error;

/// News of the link to the relay, and of requests.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The relay has given this client its ID.
    Online {
        /// The ID.
        id: PeerId,
        /// Whether it is the ID this client had before.
        kept: bool,
    },
    /// The link to the relay is gone, or could not be made. Requests that waited are over; channels wait.
    Offline {
        /// The code with which the relay closed it, if it did.
        code: Option<CloseCode>,
        /// Why it could not be made, if that is what failed.
        error: Option<Error>,
        /// How long until it is dialled again; never by itself, if there is nothing here.
        redial_in: Option<Duration>,
    },
    /// The relay is about to stop. The client comes back by itself.
    RelayRestarting {
        /// When the relay wants to be back.
        after: Duration,
    },
    /// What became of a request, of this client's or of another's. After an interim answer another will follow.
    Answer {
        /// The other side.
        peer: PeerId,
        /// What the relay says.
        answer: Answer,
    },
}

/// What a channel has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ChannelState {
    /// The other side holds the same key: packets go through.
    Secured,
    /// The two keys are not the same. Packets wait; set the right key.
    KeysDiffer {
        /// Attempts left on this channel before the key must be changed or unlocked.
        guesses_left: u8,
    },
    /// The relay changed or mixed the messages of the key agreement.
    HandshakeAltered,
    /// The other side does not confirm. It may still do so.
    PeerSilent,
    /// Too many attempts with this key failed. Set another key, or unlock this one.
    Locked {
        /// Attempts that failed.
        failed: u32,
    },
    /// A key was set while the last one was being confirmed, and the last one was right: the channel keeps it.
    KeyRefused,
    /// The way to the other side is cut. The channel looks for it again by itself; packets wait.
    Interrupted {
        /// What the relay says of the cause. Nothing vouches for it.
        relay_says: Option<Ended>,
    },
    /// The other side has been found again.
    Resumed,
    /// The channel is over.
    Ended {
        /// Why.
        end: End,
        /// What became of the packets sent.
        fate: Fate,
    },
}
