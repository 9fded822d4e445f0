//! Why a command was not carried out. Nothing has changed then.

use core::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }

        impl core::error::Error for $name {}
    )+};
}

errors! {
    /// Why a request was not made.
    ConnectError {
        /// There is no link to the relay now.
        Offline => "not connected to the relay; wait until it is reached",
        /// This is the client's own ID.
        OwnId => "this is your own ID; use the ID of the other side",
        /// There is a channel with this peer, or there are as many channels as allowed.
        AlreadyConnected => "already connected; end that channel first, or allow more channels",
        /// A request to this peer waits.
        RequestOpen => "this side has been asked already; wait for the answer or withdraw the request",
    }
    /// Why a request could not be decided or taken back.
    RequestError {
        /// It is over, or never was.
        NotConnected => "there is no such request any more",
        /// There are as many channels as allowed.
        AlreadyConnected => "already connected; end that channel first, or allow more channels",
    }
    /// Why the key of a channel was not set.
    SetKeyError {
        /// There is no such channel.
        NoChannel => "there is no such channel any more",
        /// It is secured with another key.
        ChannelSecured => "the channel is secured and keeps its key; close it and connect again to use another",
    }
}

/// There is no such channel, or it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoChannel;

impl fmt::Display for NoChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such channel any more")
    }
}

impl core::error::Error for NoChannel {}

/// Why a packet was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The queue is full; [`Event::Writable`](super::Event::Writable) tells when it is not.
    Full,
    /// There is no such channel, or it is ending.
    NoChannel,
    /// The packet is longer than the other side takes.
    TooLarge {
        /// The longest it takes, in bytes. Before the channel is secured, [`PACKET_MAX_UNSECURED`](super::PACKET_MAX_UNSECURED).
        max: usize,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the send queue is full; wait until the other side takes more"),
            Self::NoChannel => f.write_str("there is no such channel, or it is ending"),
            Self::TooLarge { max } => write!(f, "a packet may have at most {max} bytes here; split it"),
        }
    }
}

impl core::error::Error for SendError {}
