//! FORWARD: the only frame that carries a payload, and the only one the relay passes on.

/// The kind of a FORWARD frame, the same in both directions.
pub const FORWARD: u8 = 0x20;

/// Bytes before the payload: the kind and the channel number.
pub const FORWARD_HEADER: usize = 5;

/// The header of a FORWARD frame: `0x20 | channel u32`. The payload behind it is opaque to the relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForwardHeader {
    /// The receiver's, or the sender's, own number of the channel.
    pub channel: u32,
}

impl ForwardHeader {
    /// Reads the header if `frame` is a FORWARD frame with at least one byte of payload.
    #[must_use]
    pub fn peek(frame: &[u8]) -> Option<Self> {
        match *frame {
            [FORWARD, a, b, c, d, _, ..] => Some(Self { channel: u32::from_be_bytes([a, b, c, d]) }),
            _ => None,
        }
    }

    /// The five bytes of this header.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; FORWARD_HEADER] {
        let [a, b, c, d] = self.channel.to_be_bytes();
        [FORWARD, a, b, c, d]
    }

    /// Writes this header over that of `frame`. Does nothing to a slice shorter than a header.
    pub fn rewrite(self, frame: &mut [u8]) {
        if let Some(header) = frame.first_chunk_mut() {
            *header = self.to_bytes();
        }
    }
}
