//! Messages as bytes of a WebSocket: RFC 6455, as a client of a relay writes and reads it.
//!
//! * A message that is one frame, as every message of a relay is, is cut out of the buffer it was read into, and never copied.
//! * A message that is sent is copied once, to where the system takes it from, and masked there.
//! * A frame is judged by its header, before its payload is waited for.

use bytes::{Buf, Bytes, BytesMut};
use phantom_core::websocket::{HEADER_MAX, Header, MASK_LEN, MASKED, apply_mask, opcode, write_header};

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
        // A server must not mask (section 5.1).
        if !header.is_sound() || header.mask.is_some() {
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
    let mut header = [0; HEADER_MAX];
    let len = write_header(&mut header, opcode, payload.len()).expect("there is room for the longest");
    header[1] |= MASKED;
    out.reserve(len + MASK_LEN + payload.len());
    out.extend_from_slice(&header[..len]);
    out.extend_from_slice(&mask);
    let begin = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[begin..], mask);
}

#[cfg(test)]
mod tests;
