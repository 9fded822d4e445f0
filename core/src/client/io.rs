//! What goes into a client, and what comes out.

use core::fmt;

use bytes::{Bytes, BytesMut};

use super::{ClientLimits, Event};
use crate::crypto::EncryptionKey;
use crate::wire::CloseCode;

/// What a client is made of.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// Every limit and time.
    pub limits: ClientLimits,
    /// How many relays the embedder has addresses for; 0 counts as 1. One that was
    /// reached is dialled again before the next of the list.
    pub relays: usize,
    /// The encryption key, if it is known already; otherwise the client makes a random one.
    pub key: Option<EncryptionKey>,
}

/// What can happen to a client.
pub enum Input {
    /// The transport that was asked for by [`Output::Dial`] stands.
    Connected,
    /// It could not be had.
    DialFailed,
    /// A whole binary message came from the relay. A buffer of about its own size is best: a long packet lives in it until it is
    /// taken.
    Received(BytesMut),
    /// Something came that is no frame at all: a text message, a message too long to be read.
    Invalid(CloseCode),
    /// The transport takes this many bytes from now on, until it says so again. Before it first does there is no limit. Data waits
    /// when they are used up; the frame that uses them up may be longer by up to 16 KiB, and other frames never wait.
    Writable(usize),
    /// The transport is gone.
    Disconnected {
        /// The code it was closed with by the relay, if it was.
        code: Option<CloseCode>,
    },
    /// Time has passed.
    Timeout,
}

/// What the client wants done.
#[derive(Clone)]
pub enum Output {
    /// Make a transport to this relay of the list, then say `Connected` or `DialFailed`.
    Dial {
        /// Its place in the list.
        relay: usize,
    },
    /// Send these bytes as one message.
    Transmit(Bytes),
    /// Close the transport, or give up making it, with this code. Say nothing more of it: the client has
    /// forgotten it, and would take it for the next.
    HangUp(CloseCode),
    /// News for the application.
    Event(Event),
}

/// Shows no bytes of a message: a WELCOME holds a secret.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("Connected"),
            Self::DialFailed => f.write_str("DialFailed"),
            Self::Received(frame) => write!(f, "Received({} bytes)", frame.len()),
            Self::Invalid(code) => write!(f, "Invalid({code:?})"),
            Self::Writable(bytes) => write!(f, "Writable({bytes})"),
            Self::Disconnected { code } => f.debug_struct("Disconnected").field("code", code).finish(),
            Self::Timeout => f.write_str("Timeout"),
        }
    }
}

/// Shows no bytes of a message.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial { relay } => write!(f, "Dial({relay})"),
            Self::Transmit(frame) => write!(f, "Transmit({} bytes)", frame.len()),
            Self::HangUp(code) => write!(f, "HangUp({code:?})"),
            Self::Event(event) => write!(f, "Event({event:?})"),
        }
    }
}
