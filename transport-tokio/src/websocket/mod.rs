//! Messages as bytes of a WebSocket: RFC 6455, as a client of a relay writes and reads it.
//!
//! * A message that is one frame, as every message of a relay is, is cut out of the buffer it was read into, and never copied.
//! * A message that is sent is copied once, masked on the way, to where the system takes it from.
//! * A frame is judged by its header, before its payload is waited for.

use bytes::{Buf, Bytes, BytesMut};

/// No continuation follows.
const FINAL: u8 = 0x80;
/// Bits that mean something only after an extension has been agreed on; none ever is.
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
/// Lengths up to this stand in the second byte; the two numbers above it say that two or eight bytes follow.
const SHORT_MAX: usize = 125;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;
/// The longest header of a frame that is sent.
pub(crate) const SENT_HEADER_MAX: usize = 14;

/// What a frame is (section 11.8).
pub(crate) mod opcode {
    pub(super) const CONTINUATION: u8 = 0;
    pub(super) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A whole binary message.
    Message(BytesMut),
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    /// The other side closes, with this code.
    Close(Option<u16>),
    /// A text message, or its beginning.
    Text,
    /// A message longer than allowed.
    TooLarge,
    /// What breaks a rule of RFC 6455. Nothing that comes after it means anything.
    Broken,
}

/// The receiving side.
pub(crate) struct Decoder {
    /// The longest message, in bytes.
    message_max: usize,
    /// The message of which not all frames have come.
    begun: Option<BytesMut>,
}

struct Header {
    first: u8,
    len: usize,
    payload: u64,
}

impl Header {
    /// Reads the header at the beginning of `bytes`; none, if it is not all there.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (len, payload) = match second & !MASKED {
            TWO_BYTES => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
            EIGHT_BYTES => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            short => (2, u64::from(short)),
        };
        // A server must not mask. As a length no frame has, a mask is refused with it.
        let payload = if second & MASKED == 0 { payload } else { u64::MAX };
        Some(Self { first, len, payload })
    }

    /// Sections 5.1, 5.2 and 5.5: what every frame must keep to.
    fn is_sound(&self) -> bool {
        let shortest = match self.payload {
            0..126 => 2,
            126..0x1_0000 => 4,
            _ => 10,
        };
        let control = self.opcode() >= opcode::CLOSE;
        self.first & RESERVED == 0
            && self.payload >> 63 == 0
            && self.len == shortest
            && (!control || (self.is_final() && self.payload <= SHORT_MAX as u64))
    }

    const fn opcode(&self) -> u8 {
        self.first & OPCODE
    }

    const fn is_final(&self) -> bool {
        self.first & FINAL != 0
    }
}

impl Decoder {
    pub(crate) fn new(message_max: usize) -> Self {
        Self { message_max, begun: None }
    }

    /// The next thing in `input`, which is cut off there; nothing if more bytes must come first.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Option<Incoming> {
        loop {
            let header = Header::parse(input)?;
            if let Err(wrong) = self.judge(&header) {
                return Some(wrong);
            }
            let payload_len = usize::try_from(header.payload).unwrap_or(usize::MAX);
            if input.len() - header.len < payload_len {
                return None;
            }
            input.advance(header.len);
            let payload = input.split_to(payload_len);
            return Some(match (header.opcode(), header.is_final(), &mut self.begun) {
                (opcode::PING, ..) => Incoming::Ping(payload.freeze()),
                (opcode::PONG, ..) => continue,
                (opcode::CLOSE, ..) => {
                    Incoming::Close(payload.first_chunk().map(|&code| u16::from_be_bytes(code)))
                }
                (_, true, None) => Incoming::Message(payload),
                (_, is_final, begun) => {
                    begun.get_or_insert_default().extend_from_slice(&payload);
                    match begun.take_if(|_| is_final) {
                        Some(message) => Incoming::Message(message),
                        None => continue,
                    }
                }
            });
        }
    }

    /// How many bytes must come, beside those in `input`, before there can be anything next.
    pub(crate) fn missing(&self, input: &[u8]) -> usize {
        let whole = Header::parse(input).map_or(2, |header| {
            header.len.saturating_add(usize::try_from(header.payload).unwrap_or(usize::MAX))
        });
        whole.saturating_sub(input.len()).max(1)
    }

    /// Whether a frame with this header may come now.
    fn judge(&self, header: &Header) -> Result<(), Incoming> {
        if !header.is_sound() {
            return Err(Incoming::Broken);
        }
        match (header.opcode(), &self.begun) {
            (opcode::CLOSE | opcode::PING | opcode::PONG, _) => return Ok(()),
            (opcode::CONTINUATION, Some(_)) | (opcode::BINARY, None) => {}
            (opcode::TEXT, None) => return Err(Incoming::Text),
            _ => return Err(Incoming::Broken),
        }
        let before = self.begun.as_ref().map_or(0, BytesMut::len);
        let room = self.message_max.saturating_sub(before) as u64;
        if header.payload > room { Err(Incoming::TooLarge) } else { Ok(()) }
    }
}

/// Puts a frame behind what is in `out`: its header, and its payload under this mask.
pub(crate) fn put_frame(out: &mut BytesMut, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.reserve(SENT_HEADER_MAX + payload.len());
    let first = FINAL | opcode;
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if payload.len() <= SHORT_MAX => out.extend_from_slice(&[first, MASKED | short]),
        (_, Ok(medium)) => {
            let [a, b] = medium.to_be_bytes();
            out.extend_from_slice(&[first, MASKED | TWO_BYTES, a, b]);
        }
        _ => {
            out.extend_from_slice(&[first, MASKED | EIGHT_BYTES]);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    // Section 5.3, as many bytes at a time as the processor takes.
    let [a, b, c, d] = mask;
    let mut blocks = payload.chunks_exact(BLOCK);
    let wide: [u8; BLOCK] = std::array::from_fn(|at| [a, b, c, d][at % 4]);
    for block in &mut blocks {
        let mut masked = wide;
        for (masked, byte) in masked.iter_mut().zip(block) {
            *masked ^= byte;
        }
        out.extend_from_slice(&masked);
    }
    out.extend(blocks.remainder().iter().zip(wide).map(|(byte, mask)| byte ^ mask));
}

/// Bytes that are masked at once.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests;
