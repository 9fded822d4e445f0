//! From bytes to messages: RFC 6455 as a server reads it, in the buffer that the bytes came in.
//!
//! A message that is one frame, as every message of a Phantom client is, is unmasked where it lies and never copied. A frame that is not
//! all there when there is nothing more to read is carried over: it goes in front of what is read next. A long one does that once, and is
//! then read into where it is kept, so that a peer that sends little by little has nothing copied again and again. So a connection
//! that says nothing keeps nothing.

use std::io::{self, Read};
use std::ops::Range;

use phantom_core::websocket::{Header, apply_mask, opcode, write_header};

/// What is carried over of one frame is copied in front of what is read next as often as it takes up to this length; beyond it, once.
const COPY_MAX: usize = 16 * 1024;
/// What one read has room for, at the least.
pub(crate) const INPUT_MIN: usize = 2 * COPY_MAX;
/// Answers to pings that wait; beyond it only the latest ping is answered (section 5.5.3 allows it).
const REPLIES_MAX: usize = 16 * 1024;

/// What is taken for a message.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The longest message, in bytes.
    pub(crate) message_max: usize,
    /// Text messages are messages too.
    pub(crate) text: bool,
}

/// The receiving side of an open WebSocket.
#[derive(Default)]
pub(crate) struct Inbound {
    carry: Carry,
    /// The message of which not all frames have come.
    message: Option<Box<Message>>,
    /// Frames read, of whatever kind.
    pub(crate) frames: usize,
}

/// Bytes that have been read and not been decoded.
#[derive(Default)]
struct Carry {
    /// As many bytes of these as `filled` says are there.
    bytes: Vec<u8>,
    filled: usize,
    /// How long the frame that begins here is, header included, if that is known.
    frame: Option<usize>,
    /// It, or what the last read began with, had been carried over before.
    again: bool,
    /// There may be whole frames here, which must be decoded before anything is read.
    undecoded: bool,
}

/// A message that comes in several frames.
struct Message {
    text: bool,
    payload: Vec<u8>,
}

/// What came.
pub(crate) enum Incoming {
    /// A whole message, unmasked, in this place of the input.
    Message {
        /// Where its payload is. The bytes of its header stand before it.
        payload: Range<usize>,
        /// It is text.
        text: bool,
    },
    /// A whole message that came in several frames.
    Gathered {
        /// Its payload.
        payload: Vec<u8>,
        /// It is text.
        text: bool,
    },
    /// Something that must not come.
    Invalid(Fault),
    /// The peer closes; the reply is among the replies.
    Closed,
    /// Nothing more until more bytes come.
    Nothing,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It breaks a rule of RFC 6455.
    Protocol,
    /// It is text, where only binary messages are taken.
    Text,
    /// Its text is no UTF-8.
    Utf8,
    /// The message is longer than allowed.
    TooLarge,
}

/// What one read gave.
pub(crate) struct Filled {
    /// A frame that was carried over is complete where it is kept: take it with [`Inbound::take_frame`] and decode it.
    pub(crate) frame: bool,
    /// Bytes in the input that are to be decoded.
    pub(crate) input: usize,
    /// Bytes read now.
    pub(crate) read: usize,
    /// There was room for more than there was to read.
    pub(crate) short: bool,
}

impl Inbound {
    /// Reads once: behind what was carried over, at most as much as `input` has room for, of which it has [`INPUT_MIN`] or more.
    pub(crate) fn fill(&mut self, socket: &mut impl Read, input: &mut [u8]) -> io::Result<Filled> {
        let carry = &mut self.carry;
        match carry.frame {
            Some(frame) if carry.filled > COPY_MAX && (carry.again || frame > input.len()) => {
                // It grows as it fills: neither room for what may never come, nor a copy for every byte that does.
                if carry.bytes.len() == carry.filled {
                    let len = frame.min(4 * carry.filled);
                    carry.bytes.reserve_exact(len - carry.filled);
                    carry.bytes.resize(len, 0);
                }
                let room = &mut carry.bytes[carry.filled..];
                let read = socket.read(room)?;
                let short = read < room.len();
                carry.filled += read;
                Ok(Filled { frame: carry.filled == frame, input: 0, read, short })
            }
            _ => {
                let (front, room) = input.split_at_mut(carry.filled);
                let read = socket.read(room)?;
                front.copy_from_slice(&carry.bytes[..carry.filled]);
                let short = read < room.len();
                let input = carry.filled + read;
                *carry = Carry { again: carry.filled > 0, ..Carry::default() };
                Ok(Filled { frame: false, input, read, short })
            }
        }
    }

    /// The frame that [`fill`](Self::fill) has completed.
    pub(crate) fn take_frame(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.carry).bytes
    }

    /// What [`keep`](Self::keep) has kept undecoded.
    pub(crate) fn take_undecoded(&mut self) -> Option<Vec<u8>> {
        self.carry.undecoded.then(|| std::mem::take(&mut self.carry).bytes)
    }

    /// Whether there is something to decode before anything is read.
    pub(crate) const fn has_undecoded(&self) -> bool {
        self.carry.undecoded
    }

    /// Carries over what [`next`](Self::next) left when it had nothing more.
    pub(crate) fn carry(&mut self, rest: &[u8]) {
        let frame = frame_len(rest);
        let again = self.carry.again;
        self.carry = Carry { bytes: rest.to_vec(), filled: rest.len(), frame, again, undecoded: false };
    }

    /// Keeps what must not be decoded now.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        let undecoded = !rest.is_empty();
        self.carry = Carry { bytes: rest.to_vec(), filled: rest.len(), undecoded, ..Carry::default() };
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        self.carry.bytes.capacity()
            + self.message.as_ref().map_or(0, |message| message.payload.capacity() + 64)
    }

    /// The next thing in `input` from `at` on, which moves behind it. Answers of the WebSocket layer are added to `replies`.
    ///
    /// After `Invalid` or `Closed` nothing that comes means anything any more.
    #[inline]
    pub(crate) fn next(
        &mut self,
        rules: &Rules,
        input: &mut [u8],
        at: &mut usize,
        replies: &mut Vec<u8>,
    ) -> Incoming {
        match self.usual(rules, input, *at) {
            Some(payload) => {
                *at = payload.end;
                Incoming::Message { payload, text: false }
            }
            None => self.next_of_any_kind(rules, input, at, replies),
        }
    }

    /// Where the payload is, unmasked, of the whole binary message that stands here, if it is one and no rule has more to say.
    #[inline]
    fn usual(&mut self, rules: &Rules, input: &mut [u8], at: usize) -> Option<Range<usize>> {
        let header = Header::parse_usual(input.get(at..)?)?;
        if self.message.is_some() || header.payload > rules.message_max as u64 {
            return None;
        }
        let start = at + header.len;
        let place = start..start + header.payload as usize;
        apply_mask(input.get_mut(place.clone())?, header.mask?);
        self.count();
        Some(place)
    }

    /// A frame has been taken.
    #[inline]
    const fn count(&mut self) {
        self.carry.again = false;
        self.frames += 1;
    }

    fn next_of_any_kind(
        &mut self,
        rules: &Rules,
        input: &mut [u8],
        at: &mut usize,
        replies: &mut Vec<u8>,
    ) -> Incoming {
        loop {
            let Some(header) = Header::parse(&input[*at..]) else { return Incoming::Nothing };
            let mask = match self.judge(rules, &header) {
                Ok(mask) => mask,
                Err(fault) => return Incoming::Invalid(fault),
            };
            let start = *at + header.len;
            let end = start + header.payload as usize;
            let Some(payload) = input.get_mut(start..end) else { return Incoming::Nothing };
            apply_mask(payload, mask);
            *at = end;
            self.count();
            match (header.opcode(), header.is_final()) {
                (opcode::PING, _) => pong(replies, payload),
                (opcode::PONG, _) => {}
                (opcode::CLOSE, _) => return close(replies, payload),
                (opcode::CONTINUATION, last) => {
                    let Some(message) = &mut self.message else { return Incoming::Invalid(Fault::Protocol) };
                    message.payload.extend_from_slice(payload);
                    if last && let Some(message) = self.message.take() {
                        let Message { text, payload } = *message;
                        if text && str::from_utf8(&payload).is_err() {
                            return Incoming::Invalid(Fault::Utf8);
                        }
                        return Incoming::Gathered { payload, text };
                    }
                }
                (kind, true) => {
                    let text = kind == opcode::TEXT;
                    if text && str::from_utf8(payload).is_err() {
                        return Incoming::Invalid(Fault::Utf8);
                    }
                    return Incoming::Message { payload: start..end, text };
                }
                (kind, false) => {
                    let message = Message { text: kind == opcode::TEXT, payload: payload.to_vec() };
                    self.message = Some(Box::new(message));
                }
            }
        }
    }

    /// Sections 5.1 to 5.5: whether this frame may come now. Judged by its header alone, before its payload is there.
    fn judge(&self, rules: &Rules, header: &Header) -> Result<[u8; 4], Fault> {
        let mask = header.mask.ok_or(Fault::Protocol)?;
        if !header.is_sound() {
            return Err(Fault::Protocol);
        }
        if header.is_control() {
            return Ok(mask);
        }
        match (header.opcode(), &self.message) {
            (opcode::CONTINUATION, Some(_)) | (opcode::BINARY, None) => {}
            (opcode::TEXT, None) if rules.text => {}
            (opcode::TEXT, None) => return Err(Fault::Text),
            _ => return Err(Fault::Protocol),
        }
        let before = self.message.as_ref().map_or(0, |message| message.payload.len());
        if header.payload > (rules.message_max - before) as u64 {
            return Err(Fault::TooLarge);
        }
        Ok(mask)
    }
}

/// The length, header included, of the frame that begins here and that [`next`](Inbound::next) has left, if that is known.
pub(crate) fn frame_len(begun: &[u8]) -> Option<usize> {
    Header::parse(begun).map(|header| header.len + header.payload as usize)
}

/// Section 5.5.3.
fn pong(replies: &mut Vec<u8>, payload: &[u8]) {
    if replies.len() + 2 + payload.len() > REPLIES_MAX {
        replies.clear();
    }
    push_control(replies, opcode::PONG, payload);
}

/// Sections 5.5.1 and 7.4: the reply says the same code, unless no peer may send that.
fn close(replies: &mut Vec<u8>, payload: &[u8]) -> Incoming {
    match *payload {
        [] => push_control(replies, opcode::CLOSE, &[]),
        [a, b, ref reason @ ..] if is_sendable(u16::from_be_bytes([a, b])) => {
            if str::from_utf8(reason).is_err() {
                return Incoming::Invalid(Fault::Utf8);
            }
            push_control(replies, opcode::CLOSE, &[a, b]);
        }
        _ => return Incoming::Invalid(Fault::Protocol),
    }
    Incoming::Closed
}

/// Section 7.4 and the registry it makes: the codes that may stand in a close frame.
const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn push_control(replies: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let mut header = [0; 2];
    write_header(&mut header, opcode, payload.len()).expect("a control frame is short");
    replies.extend_from_slice(&header);
    replies.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
