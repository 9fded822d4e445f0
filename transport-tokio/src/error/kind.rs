//! Which part failed, in one word for all errors.

use std::fmt;

use phantom_core::client::{ConnectError, End};
use phantom_core::wire::{Answer, CloseCode};

use super::{AskError, ChannelError, Error, HandleError, ReceiveError, SendError};

/// Which part failed, of everything between a program and the one at the other end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What the program or its user asks for: an address, a certificate, a token, an ID, a packet that is too long.
    Usage,
    /// This machine: it gives no random numbers.
    System,
    /// The lookup of the relay's name.
    Lookup,
    /// The TCP connection to the relay.
    Tcp,
    /// The proxy.
    Proxy,
    /// TLS with the relay, or its certificate.
    Tls,
    /// What answers there is no relay.
    NotRelay,
    /// The relay does not let this client in.
    RelayRefused,
    /// The relay has no room.
    RelayFull,
    /// Too much was asked in too short a time.
    Throttled,
    /// The two programs, or this one and the relay, speak different versions.
    Version,
    /// The link to the relay: too slow, lost, or not there now.
    Link,
    /// The other client is not at the relay, or has left it.
    PeerAbsent,
    /// One of the two clients has as many channels or requests as it takes.
    Busy,
    /// The other client's owner declined, or did not decide in time.
    Declined,
    /// The request was taken back.
    Withdrawn,
    /// The two keys are not the same, or too many were tried.
    Keys,
    /// Somebody, most likely the relay, changes or loses what is sent, or the other side does not keep to the protocol.
    Tampered,
    /// The channel is over, or being closed.
    Ended,
    /// The other side did not come back in time.
    Truncated,
    /// A packet is none, or not the one expected, or its handler failed.
    Packet,
    /// The client has left.
    Left,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usage => "usage",
            Self::System => "this machine",
            Self::Lookup => "name lookup",
            Self::Tcp => "TCP",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::NotRelay => "no relay there",
            Self::RelayRefused => "refused by the relay",
            Self::RelayFull => "relay full",
            Self::Throttled => "throttled",
            Self::Version => "version",
            Self::Link => "link to the relay",
            Self::PeerAbsent => "other side absent",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
            Self::Keys => "keys",
            Self::Tampered => "tampering",
            Self::Ended => "channel ended",
            Self::Truncated => "other side gone",
            Self::Packet => "packet",
            Self::Left => "client left",
        })
    }
}

impl Error {
    /// Which part failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRelay
            | Self::Url { .. }
            | Self::Roots { .. }
            | Self::ProxyUrl { .. }
            | Self::Token { .. } => ErrorKind::Usage,
            Self::Entropy(_) => ErrorKind::System,
            Self::Lookup { .. } => ErrorKind::Lookup,
            Self::Tcp { .. } => ErrorKind::Tcp,
            Self::Proxy { .. } => ErrorKind::Proxy,
            Self::NotPinned { .. } | Self::Certificate { .. } | Self::Tls { .. } => ErrorKind::Tls,
            Self::Unauthorized { .. } | Self::Http { status: 403, .. } => ErrorKind::RelayRefused,
            Self::Http { status: 429, .. } => ErrorKind::Throttled,
            Self::Http { status: 503, .. } => ErrorKind::RelayFull,
            Self::Http { .. } | Self::NotWebSocket { .. } | Self::NotPhantom { .. } => ErrorKind::NotRelay,
            Self::Refused { code, .. } => match code {
                CloseCode::RelayFull | CloseCode::IdsExhausted => ErrorKind::RelayFull,
                CloseCode::Throttled => ErrorKind::Throttled,
                CloseCode::VersionUnsupported => ErrorKind::Version,
                CloseCode::Refused => ErrorKind::RelayRefused,
                _ => ErrorKind::Link,
            },
            Self::Timeout { .. } | Self::Lost { .. } => ErrorKind::Link,
            Self::Left => ErrorKind::Left,
            Self::Ask(error) => error.kind(),
            Self::Channel(error) => error.kind(),
            Self::Send(error) => error.kind(),
            Self::Receive(error) => error.kind(),
        }
    }
}

impl AskError {
    /// Which part failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Answer(answer) => match answer {
                Answer::TargetNotFound | Answer::Left | Answer::Unavailable => ErrorKind::PeerAbsent,
                Answer::SourceAlreadyConnected | Answer::TargetAlreadyConnected | Answer::RequestOpen => {
                    ErrorKind::Busy
                }
                Answer::Declined | Answer::Expired => ErrorKind::Declined,
                Answer::Throttled => ErrorKind::Throttled,
                Answer::Refused => ErrorKind::RelayRefused,
                Answer::VersionUnsupported => ErrorKind::Version,
                Answer::OwnId => ErrorKind::Usage,
                _ => ErrorKind::Withdrawn,
            },
            Self::Connect(error) => match error {
                ConnectError::Offline => ErrorKind::Link,
                ConnectError::OwnId => ErrorKind::Usage,
                _ => ErrorKind::Busy,
            },
            Self::Left => ErrorKind::Left,
        }
    }
}

impl ChannelError {
    /// Which part failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::KeysDiffer { .. } | Self::Locked { .. } => ErrorKind::Keys,
            Self::HandshakeAltered => ErrorKind::Tampered,
            Self::PeerSilent => ErrorKind::PeerAbsent,
            Self::Ended { end, .. } => of_end(*end),
        }
    }
}

impl SendError {
    /// Which part failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } | Self::Encode(_) => ErrorKind::Usage,
            Self::Closing => ErrorKind::Ended,
            Self::Ended { end, .. } => of_end(*end),
        }
    }
}

impl ReceiveError {
    /// Which part failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Channel(error) => error.kind(),
            Self::Packet(_) => ErrorKind::Packet,
        }
    }
}

impl<E> HandleError<E> {
    /// Which part failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Channel(error) => error.kind(),
            Self::Packet(_) => ErrorKind::Packet,
        }
    }
}

fn of_end(end: End) -> ErrorKind {
    match end {
        End::Truncated => ErrorKind::Truncated,
        End::Left(_) => ErrorKind::PeerAbsent,
        End::NeverSecured | End::TooManyRuns => ErrorKind::Keys,
        End::HandshakeInvalid | End::Tampered { .. } | End::Violation | End::RelayLoss => ErrorKind::Tampered,
        _ => ErrorKind::Ended,
    }
}
