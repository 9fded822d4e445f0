//! Frames: what travels in one message between a client and its relay (`PROTOCOL.md`, "Frames").
//!
//! The first byte of a frame is its kind. All numbers are big-endian. Every kind but [`FORWARD`] has one fixed length; a frame
//! that is longer or shorter is malformed. Decoding never panics and never allocates.
//!
//! ```text
//! client                               relay
//!    |  <-------------------- HELLO      |   version, challenge
//!    |  REGISTER or RECLAIM ---------->  |
//!    |  <------------------ WELCOME      |   the connection ID
//!    |  CONNECT ---------------------->  |   to the called side: INCOMING
//!    |  <------------------- ANSWER      |   Requested, later what became of it
//!    |                     (ACCEPT or CANCEL from the called side)
//!    |  <------------------- OPENED      |   to both sides, each with its own channel number
//!    |  FORWARD <------------> FORWARD   |   payload untouched, channel number rewritten
//!    |  CLOSE ------------------------>  |   to the other side: CLOSED
//! ```

mod answer;
mod close;
mod cursor;
mod forward;
mod frame;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use close::{CloseCode, Ended};
pub use forward::{FORWARD, FORWARD_HEADER, ForwardHeader};
pub use frame::{ClientFrame, ControlFrame, OpenedBy, RelayFrame, Welcome};

pub(crate) use cursor::{Reader, Writer};

/// The protocol version of this crate.
pub const VERSION: u8 = 1;

/// The WebSocket subprotocol that carries these frames.
pub const SUBPROTOCOL: &str = "phantom.1";

/// The longest payload of a [`FORWARD`] frame, in bytes: a record with 64 KiB of plaintext.
pub const PAYLOAD_MAX: usize = 9 + 64 * 1024 + 16;

/// The longest frame of any kind, in bytes.
pub const FRAME_MAX: usize = FORWARD_HEADER + PAYLOAD_MAX;

/// The longest frame other than [`FORWARD`], in bytes.
pub const CONTROL_MAX: usize = 64;

/// Channels that one client may have at once, at most.
pub const CHANNELS_MAX: u8 = 64;

/// Why a frame could not be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// No bytes at all.
    Empty,
    /// The first byte is no kind that this side may receive.
    UnknownKind(u8),
    /// The kind is known, but the length or a field is not as specified.
    Malformed(u8),
}

impl DecodeError {
    /// The code with which the connection ends.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::UnknownKind(_) => CloseCode::UnknownFrame,
            Self::Empty | Self::Malformed(_) => CloseCode::Malformed,
        }
    }
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Empty => f.write_str("the frame is empty"),
            Self::UnknownKind(kind) => write!(f, "no frame of kind {kind:#04x} is expected here"),
            Self::Malformed(kind) => write!(f, "the frame of kind {kind:#04x} has a wrong length or field"),
        }
    }
}

impl core::error::Error for DecodeError {}
