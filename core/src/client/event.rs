//! What a client tells its application.

use core::fmt;

use crate::crypto::Role;
use crate::id::{ChannelId, PeerId, RequestId};
use crate::time::Instant;
use crate::wire::{Answer, CloseCode, Ended};

/// News for the application (`PROTOCOL.md`, "Events").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The relay has given this client its ID. After a reconnect it is the same one if the relay could give it back.
    Online {
        /// The ID.
        id: PeerId,
        /// Whether it is the ID this client had before.
        kept: bool,
    },
    /// The link to the relay is gone. Requests that waited are over.
    Offline {
        /// The code with which the relay closed it, if it did.
        code: Option<CloseCode>,
        /// When it will be dialled again; never, if the client has stopped.
        redial_at: Option<Instant>,
    },
    /// The relay is about to stop and says when to come back. The client does so by itself.
    RelayRestarting {
        /// Milliseconds from now.
        after_ms: u32,
    },
    /// Somebody asks to connect: decide with `accept` or `cancel`.
    Incoming {
        /// This request.
        request: RequestId,
        /// Who asks, as the relay says.
        from: PeerId,
    },
    /// What became of a request: of an own one, or of one that was shown by `Incoming` and is over.
    Answer {
        /// This request.
        request: RequestId,
        /// The other side.
        peer: PeerId,
        /// What the relay says. After an interim answer another will follow.
        answer: Answer,
    },
    /// A channel is open. It is secured when both sides have set the same key.
    Opened {
        /// This channel.
        channel: ChannelId,
        /// The other side.
        peer: PeerId,
        /// Who asked, and who accepted.
        role: Role,
    },
    /// The other side holds the same key: from here on, and no earlier, packets go through.
    Secured {
        /// This channel.
        channel: ChannelId,
    },
    /// The two keys are not the same. Packets wait; set the right key.
    KeysDiffer {
        /// This channel.
        channel: ChannelId,
        /// Attempts left on this channel before the key must be changed or unlocked.
        guesses_left: u8,
    },
    /// The two sides did not see the same messages: the relay changed or mixed them.
    HandshakeAltered {
        /// This channel.
        channel: ChannelId,
    },
    /// The other side does not confirm. It may still do so.
    PeerSilent {
        /// This channel.
        channel: ChannelId,
    },
    /// Too many attempts with this key failed; somebody may be guessing it. Set another key, or unlock this one.
    Locked {
        /// This channel.
        channel: ChannelId,
        /// Attempts that failed.
        failed: u32,
    },
    /// A key was set while the last one was being confirmed, and the last one was right: the channel keeps it.
    KeyRefused {
        /// This channel.
        channel: ChannelId,
    },
    /// There are packets to take. Told again only after all of them were taken.
    Readable {
        /// This channel.
        channel: ChannelId,
    },
    /// There is room again after a `send` that was refused as full.
    Writable {
        /// This channel.
        channel: ChannelId,
    },
    /// The other side has all packets up to this number: authenticated, in order, once.
    Delivered {
        /// This channel.
        channel: ChannelId,
        /// The number that `send` gave the last of them.
        up_to: u64,
    },
    /// The way to the other side is cut. The channel looks for it again by itself; packets wait.
    Interrupted {
        /// This channel.
        channel: ChannelId,
        /// What the relay says of the cause. Nothing vouches for it.
        relay_says: Option<Ended>,
    },
    /// The other side has been found again.
    Resumed {
        /// This channel.
        channel: ChannelId,
    },
    /// The channel is over, and everything that arrived has been taken.
    Closed {
        /// This channel.
        channel: ChannelId,
        /// The other side.
        peer: PeerId,
        /// Why.
        end: End,
        /// What became of the packets sent.
        fate: Fate,
    },
}

/// How a channel ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum End {
    /// Both sides finished, and each has everything the other sent. The only end that proves it.
    Finished,
    /// The other side did not come back in time.
    Truncated,
    /// This side ended it at once, or before it was secured.
    Disconnected,
    /// The channel was cut before it was secured; the reason is the relay's word.
    Left(Option<Ended>),
    /// It was not secured in time.
    NeverSecured,
    /// What the other side sent for the key agreement is not valid.
    HandshakeInvalid,
    /// Too many attempts to agree on a key failed.
    TooManyRuns,
    /// A record was altered on its way.
    Tampered {
        /// The sequence number of the record.
        seq: u64,
    },
    /// The other side broke the protocol.
    Violation,
    /// The relay lost records again and again.
    RelayLoss,
    /// The other side ended it at once.
    Aborted {
        /// 0: it wanted to; otherwise the fault it saw (`PROTOCOL.md`, "ABORT").
        code: u8,
    },
    /// The channel has carried all it can; open a new one.
    Exhausted,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the channel was closed in good order; everything arrived"),
            Self::Truncated => f.write_str("the other side did not come back in time"),
            Self::Disconnected => f.write_str("this side ended the channel"),
            Self::Left(None) => f.write_str("the channel was cut before it was secured"),
            Self::Left(Some(word)) => {
                write!(f, "the channel was cut before it was secured; the relay says: {word}")
            }
            Self::NeverSecured => f.write_str("the two sides did not agree on a key in time"),
            Self::HandshakeInvalid => f.write_str("the other side's part of the key agreement is not valid"),
            Self::TooManyRuns => f.write_str("too many attempts to agree on a key failed"),
            Self::Tampered { seq } => {
                write!(f, "record {seq} was altered on its way; nothing of it was used")
            }
            Self::Violation => f.write_str("the other side broke the protocol"),
            Self::RelayLoss => f.write_str("the relay lost records again and again; use another relay"),
            Self::Aborted { code: 0 } => f.write_str("the other side ended the channel at once"),
            Self::Aborted { code } => write!(f, "the other side ended the channel for a fault (code {code})"),
            Self::Exhausted => f.write_str("the channel has carried all it can; open a new one"),
        }
    }
}

/// What became of the packets that were sent over a channel. The three numbers add up to those that `send` took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fate {
    /// The other side has these: the first ones, in order.
    pub delivered: u64,
    /// These left, but were not confirmed: the other side may have them or not.
    pub uncertain: u64,
    /// These never left.
    pub unsent: u64,
}

/// What a channel holds in memory, each figure bounded by the limit of [`ClientLimits`](super::ClientLimits) it is named after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Bytes of packets that wait unsealed; each packet counts 32 bytes more than it has.
    pub queued: usize,
    /// Bytes of records with packets, sealed and not yet confirmed.
    pub unacked: usize,
    /// The number of records sealed and not yet confirmed.
    pub unacked_records: usize,
    /// Bytes of records received whose packets were not taken, and of the packet that is being put together.
    pub received: usize,
}

/// What a channel has sealed and sent. It only grows, and ends with the session: before the channel is secured, and when it is over,
/// everything is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Records sealed that carry packets or the end of the direction, each counted once.
    pub records: u64,
    /// The bytes of those that carry packets, as they are sent.
    pub bytes: u64,
    /// How often one of them was sent again.
    pub resent: u64,
}
