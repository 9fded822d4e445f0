//! What can go wrong with a request, a channel or a packet.

use std::fmt;

use phantom_core::bits::WriteError;
use phantom_core::client::{ConnectError, End, Fate, SetKeyError};
use phantom_core::packet::{DecodeError, DispatchError};
use phantom_core::wire::Answer;

/// Why there is no channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AskError {
    /// This became of the request.
    Answer(Answer),
    /// It was not even made.
    Connect(ConnectError),
    /// The client has left.
    Left,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => answer.fmt(f),
            Self::Connect(error) => error.fmt(f),
            Self::Left => f.write_str("the client has left the relay; make a new one"),
        }
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            _ => None,
        }
    }
}

/// What is wrong with a channel. The last variant is for ever, the others until something is done about them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ChannelError {
    /// The two keys are not the same. Set the right one and wait again.
    KeysDiffer {
        /// Attempts left on this channel before the key must be changed or unlocked.
        guesses_left: u8,
    },
    /// The relay changed or mixed the messages of the key agreement.
    HandshakeAltered,
    /// The other side does not confirm its key. It may still do so.
    PeerSilent,
    /// Too many attempts with this key failed; somebody may be guessing it. Set another key, or unlock this one.
    Locked {
        /// Attempts that failed.
        failed: u32,
    },
    /// The channel is over.
    Ended {
        /// Why.
        end: End,
        /// What became of the packets sent.
        fate: Fate,
    },
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeysDiffer { guesses_left } => write!(
                f,
                "the two sides have different keys; compare them and set the right one ({guesses_left} tries left)"
            ),
            Self::HandshakeAltered => {
                f.write_str("the relay altered the key agreement; use another relay if it happens again")
            }
            Self::PeerSilent => f.write_str("the other side does not confirm its key; it may have left"),
            Self::Locked { failed } => write!(
                f,
                "{failed} attempts with this key failed and somebody may be guessing it; set another key"
            ),
            Self::Ended { end, .. } => end.fmt(f),
        }
    }
}

impl std::error::Error for ChannelError {}

/// Why a packet was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The packet is longer than the other side takes.
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The longest the other side takes, in bytes. Before the channel is secured, 64 KiB.
        max: usize,
    },
    /// A field of the packet has a value without a form.
    Encode(WriteError),
    /// The channel is being closed, by this side or the other.
    Closing,
    /// The channel is over.
    Ended {
        /// Why.
        end: End,
        /// What became of the packets sent.
        fate: Fate,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { len, max } => {
                write!(f, "a packet of {len} bytes is too long, at most {max} are allowed here; split it")
            }
            Self::Encode(error) => write!(f, "the packet cannot be written: {error}"),
            Self::Closing => f.write_str("the channel is being closed; open a new one to send more"),
            Self::Ended { end, .. } => end.fmt(f),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(error) => Some(error),
            _ => None,
        }
    }
}

/// Why no packet of the type wanted was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The channel is over, and not in good order.
    Channel(ChannelError),
    /// What came is not that packet. It has been taken; the next one may be.
    Packet(DecodeError),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(error) => error.fmt(f),
            Self::Packet(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReceiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Channel(error) => error,
            Self::Packet(error) => error,
        })
    }
}

impl From<ChannelError> for ReceiveError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

/// Why a packet was not handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HandleError<E> {
    /// The channel is over, and not in good order.
    Channel(ChannelError),
    /// The packet is unknown or malformed, or its handler failed. It has been taken; the next one may be handled.
    Packet(DispatchError<E>),
}

impl<E: fmt::Display> fmt::Display for HandleError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(error) => error.fmt(f),
            Self::Packet(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for HandleError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Channel(error) => error,
            Self::Packet(error) => error,
        })
    }
}

impl<E> From<ChannelError> for HandleError<E> {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

/// Why the key of a channel was not set: see [`SetKeyError`].
pub(crate) const NO_CHANNEL: SetKeyError = SetKeyError::NoChannel;
