//! Why connections and channels end.

use core::fmt;

/// Why a transport link was closed: the close code of the WebSocket (`PROTOCOL.md`, "Close codes").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
#[repr(u16)]
pub enum CloseCode {
    /// Done; nothing went wrong.
    Normal = 1000,
    /// The relay stops; come back later.
    GoingAway = 1001,
    /// A frame had a wrong length or field.
    Malformed = 4001,
    /// A frame of a kind that does not exist in this direction.
    UnknownFrame = 4002,
    /// A frame longer than allowed.
    TooLarge = 4003,
    /// A text message; frames are binary.
    NotBinary = 4004,
    /// A frame before REGISTER or RECLAIM.
    NotRegistered = 4005,
    /// A second REGISTER or RECLAIM.
    AlreadyRegistered = 4006,
    /// No common protocol version.
    VersionUnsupported = 4007,
    /// A well-formed frame that is not allowed now.
    Violation = 4008,
    /// The first frame did not come in time.
    RegisterTimeout = 4009,
    /// Nothing was heard for too long.
    Idle = 4010,
    /// What was sent to this side was not taken in time.
    Stalled = 4011,
    /// The same ID was reclaimed on a newer connection. Do not reconnect by itself.
    Superseded = 4012,
    /// The relay has as many connections as it takes.
    RelayFull = 4013,
    /// No unused ID was found.
    IdsExhausted = 4014,
    /// Too much in too short a time.
    Throttled = 4015,
    /// The relay's policy does not allow it.
    Refused = 4016,
}

impl CloseCode {
    /// Every code.
    pub const ALL: [Self; 18] = [
        Self::Normal,
        Self::GoingAway,
        Self::Malformed,
        Self::UnknownFrame,
        Self::TooLarge,
        Self::NotBinary,
        Self::NotRegistered,
        Self::AlreadyRegistered,
        Self::VersionUnsupported,
        Self::Violation,
        Self::RegisterTimeout,
        Self::Idle,
        Self::Stalled,
        Self::Superseded,
        Self::RelayFull,
        Self::IdsExhausted,
        Self::Throttled,
        Self::Refused,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u16 {
        self as u16
    }

    /// The code with this number.
    #[must_use]
    pub fn from_wire(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.to_wire() == number)
    }

    /// Whether a client that is closed so may dial again by itself.
    #[must_use]
    pub const fn may_redial(self) -> bool {
        !matches!(self, Self::Normal | Self::VersionUnsupported | Self::Superseded | Self::Refused)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "closed",
            Self::GoingAway => "the relay stops or restarts",
            Self::Malformed => "a frame had a wrong length or field",
            Self::UnknownFrame => "a frame of an unknown kind",
            Self::TooLarge => "a frame longer than allowed",
            Self::NotBinary => "a text message where only binary ones are allowed",
            Self::NotRegistered => "a frame before registration",
            Self::AlreadyRegistered => "a second registration on one connection",
            Self::VersionUnsupported => "no common protocol version; update the older program",
            Self::Violation => "a frame that is not allowed now",
            Self::RegisterTimeout => "no registration in time",
            Self::Idle => "nothing was heard for too long",
            Self::Stalled => "what was sent was not taken in time",
            Self::Superseded => "the same ID was taken over by a newer connection of its owner",
            Self::RelayFull => "the relay has as many connections as it takes; try later or another relay",
            Self::IdsExhausted => "the relay has no unused ID left; try later or another relay",
            Self::Throttled => "too much in too short a time; wait a while",
            Self::Refused => "the relay's policy does not allow it",
        })
    }
}

impl core::error::Error for CloseCode {}

/// Why the relay ended a channel. The relay's word only: it never proves that the other side finished.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Ended {
    /// The other side closed the channel.
    Closed = 1,
    /// The other side's connection is gone; it may come back and rejoin.
    Detached = 2,
    /// One side did not take what the other sent, for too long.
    Stuck = 3,
    /// There is no such channel (any more).
    NotConnected = 4,
}

impl Ended {
    /// The reason with this number on the wire.
    #[must_use]
    pub const fn from_wire(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Closed,
            2 => Self::Detached,
            3 => Self::Stuck,
            4 => Self::NotConnected,
            _ => return None,
        })
    }

    /// The number on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the other side closed the channel",
            Self::Detached => "the other side lost its connection to the relay",
            Self::Stuck => "one side did not take what the other sent, for too long",
            Self::NotConnected => "there is no such channel any more",
        })
    }
}
