//! What became of a request to connect.

use core::fmt;

/// An answer about a request (`PROTOCOL.md`, "Answers"). *Source* is the side that asked, *target* the side that was asked,
/// whoever is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum Answer {
    /// The target has been asked; its decision is awaited.
    Requested = 1,
    /// The source already has as many channels as it takes, or one with this target.
    SourceAlreadyConnected = 2,
    /// The target already has as many channels as it takes.
    TargetAlreadyConnected = 3,
    /// No client with this ID is here.
    TargetNotFound = 4,
    /// There is no such request or channel (any more).
    NotConnected = 5,
    /// The target declined.
    Declined = 6,
    /// The target accepted.
    Approved = 7,
    /// The channel is there.
    ConnectionDone = 8,
    /// The source already waits for this target, or for as many targets as it may.
    RequestOpen = 9,
    /// Somebody asks to connect.
    Incoming = 10,
    /// The source took the request back.
    Withdrawn = 11,
    /// Nobody decided in time.
    Expired = 12,
    /// Too many requests; later again.
    Throttled = 13,
    /// The relay's policy does not allow it.
    Refused = 14,
    /// The two sides, or a side and the relay, speak no common version.
    VersionUnsupported = 15,
    /// No answer came; the relay does not say why.
    Unavailable = 16,
    /// The other side left.
    Left = 17,
    /// One cannot connect to oneself.
    OwnId = 18,
}

impl Answer {
    /// Every answer, by its number on the wire.
    pub const ALL: [Self; 18] = [
        Self::Requested,
        Self::SourceAlreadyConnected,
        Self::TargetAlreadyConnected,
        Self::TargetNotFound,
        Self::NotConnected,
        Self::Declined,
        Self::Approved,
        Self::ConnectionDone,
        Self::RequestOpen,
        Self::Incoming,
        Self::Withdrawn,
        Self::Expired,
        Self::Throttled,
        Self::Refused,
        Self::VersionUnsupported,
        Self::Unavailable,
        Self::Left,
        Self::OwnId,
    ];

    /// The answer with this number on the wire.
    #[must_use]
    pub fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The number on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        self as u8
    }

    /// Whether the request goes on after this answer; every other answer ends it.
    #[must_use]
    pub const fn is_interim(self) -> bool {
        matches!(self, Self::Requested | Self::Incoming)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "asked; waiting for the other side to accept",
            Self::SourceAlreadyConnected => "the side that asks is already connected",
            Self::TargetAlreadyConnected => "the side that was asked is already connected to somebody",
            Self::TargetNotFound => {
                "nobody with this ID is at this relay; check the ID, and that both use the same relay"
            }
            Self::NotConnected => "there is no such request or channel any more",
            Self::Declined => "the other side declined",
            Self::Approved => "the other side accepted",
            Self::ConnectionDone => "the channel is open",
            Self::RequestOpen => "a request is already waiting for an answer; withdraw it or wait",
            Self::Incoming => "somebody asks to connect",
            Self::Withdrawn => "the request was taken back",
            Self::Expired => "nobody decided in time; ask again",
            Self::Throttled => "too many requests; wait a while and ask again",
            Self::Refused => "the relay's policy does not allow this",
            Self::VersionUnsupported => "the two programs speak different versions; update the older one",
            Self::Unavailable => {
                "no answer: the ID is wrong, or the other side is away, busy or does not want to"
            }
            Self::Left => "the other side left",
            Self::OwnId => "this is your own ID; use the ID of the other side",
        })
    }
}
