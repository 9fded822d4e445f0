//! From bytes to frames: tungstenite decodes, this file feeds it and says what came out.
//!
//! The WebSocket layer never touches the socket. It reads from the bytes that one system call brought into a buffer shared by all
//! connections, and what it answers by itself (pongs, the reply to a close frame) is collected for the outbox. So an idle connection
//! holds one small buffer, and a busy one costs one read for many messages.

use std::io::{self, ErrorKind, Read, Write};

use bytes::Bytes;
use phantom_core::wire::{CloseCode, FRAME_MAX};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// What tungstenite keeps per connection between reads, and reads at once. A longer message gets a buffer of its own, as long as it is.
const READ_BUFFER: usize = 4 * 1024;
/// Above the longest control frame, which is all that tungstenite writes here.
const WRITE_BUFFER_MAX: usize = 1024;

/// The receiving side of an open WebSocket.
pub(crate) struct Inbound {
    socket: WebSocketContext,
    /// Bytes read from the socket but not yet decoded, because their sender was held up in the middle of them.
    pub(crate) backlog: Option<Vec<u8>>,
}

/// What came.
pub(crate) enum Incoming {
    /// A whole binary message.
    Frame(Bytes),
    /// Something that no client of this protocol sends.
    Invalid(CloseCode),
    /// The peer closes; the reply is among the replies.
    Closed,
    /// Nothing more until more bytes come.
    Nothing,
}

impl Inbound {
    pub(crate) fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_MAX)
            .max_frame_size(Some(FRAME_MAX))
            .max_message_size(Some(FRAME_MAX));
        Self { socket: WebSocketContext::new(Role::Server, Some(config)), backlog: None }
    }

    /// The next thing in `input`, of which what was used is cut off. Answers of the WebSocket layer are added to `replies`.
    ///
    /// After `Invalid` or `Closed` it must not be asked again: tungstenite does not say what it does after an error.
    pub(crate) fn next(&mut self, input: &mut &[u8], replies: &mut Vec<u8>) -> Incoming {
        let mut pipe = Pipe { input, replies };
        loop {
            return match self.socket.read(&mut pipe) {
                Ok(Message::Binary(frame)) => Incoming::Frame(frame),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Close(_)) => {
                    // Writes the reply, and says ConnectionClosed because that ends it for a server.
                    let _ended = self.socket.flush(&mut pipe);
                    Incoming::Closed
                }
                Ok(Message::Text(_)) | Err(Error::Utf8(_)) => Incoming::Invalid(CloseCode::NotBinary),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Incoming::Nothing,
                Err(Error::Capacity(_)) => Incoming::Invalid(CloseCode::TooLarge),
                Err(_) => Incoming::Invalid(CloseCode::Malformed),
            };
        }
    }
}

/// What tungstenite takes for the socket.
struct Pipe<'a, 'b> {
    input: &'a mut &'b [u8],
    replies: &'a mut Vec<u8>,
}

impl Read for Pipe<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buf)
    }
}

impl Write for Pipe<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        let mask = [9, 8, 7, 6];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Everything that comes out of `bytes`, fed in portions, as (what, length or code), and the replies.
    fn decode(bytes: &[u8], portion: usize) -> (Vec<(&'static str, usize)>, Vec<u8>) {
        let (mut inbound, mut out, mut replies) = (Inbound::new(), Vec::new(), Vec::new());
        for mut input in bytes.chunks(portion) {
            loop {
                match inbound.next(&mut input, &mut replies) {
                    Incoming::Frame(frame) => out.push(("frame", frame.len())),
                    Incoming::Nothing => break,
                    Incoming::Closed => {
                        out.push(("closed", 0));
                        return (out, replies);
                    }
                    Incoming::Invalid(code) => {
                        out.push(("invalid", usize::from(code.to_wire())));
                        return (out, replies);
                    }
                }
            }
        }
        (out, replies)
    }

    #[test]
    fn portions_do_not_matter() {
        let mut bytes = Vec::new();
        for len in [1, 0, 125, 126, 5000, FRAME_MAX, 7] {
            bytes.extend(masked(0x82, &vec![1; len]));
        }
        bytes.extend(masked(0x89, b"ping"));
        bytes.extend(masked(0x02, b"frag"));
        bytes.extend(masked(0x80, b"ment"));
        bytes.extend(masked(0x88, &1000u16.to_be_bytes()));
        let lens = [1, 0, 125, 126, 5000, FRAME_MAX, 7, 8];
        let mut expected: Vec<_> = lens.iter().map(|&len| ("frame", len)).collect();
        expected.push(("closed", 0));
        for portion in [1, 3, 4096, 1 << 20] {
            let (out, replies) = decode(&bytes, portion);
            assert_eq!(out, expected, "portion {portion}");
            assert_eq!(replies, b"\x8a\x04ping\x88\x02\x03\xe8", "portion {portion}");
        }
    }

    #[test]
    fn what_no_client_sends_has_its_code() {
        let too_long = masked(0x82, &vec![0; FRAME_MAX + 1]);
        let mut fragments = masked(0x02, &vec![0; FRAME_MAX]);
        fragments.extend(masked(0x80, &[0]));
        for (bytes, code) in [
            (too_long, CloseCode::TooLarge),
            (fragments, CloseCode::TooLarge),
            (masked(0x81, b"text"), CloseCode::NotBinary),
            (masked(0x81, &[0xff]), CloseCode::NotBinary),
            (masked(0x83, b"reserved opcode"), CloseCode::Malformed),
            (masked(0xc2, b"reserved bit"), CloseCode::Malformed),
            (masked(0x80, b"continues nothing"), CloseCode::Malformed),
            (b"\x82\x01unmasked".to_vec(), CloseCode::Malformed),
        ] {
            assert_eq!(decode(&bytes, 1 << 20).0, [("invalid", usize::from(code.to_wire()))]);
        }
    }

    #[test]
    fn an_illegal_close_code_is_not_sent_back() {
        let (out, replies) = decode(&masked(0x88, &1005u16.to_be_bytes()), 100);
        assert_eq!((out, &replies[2..4]), (vec![("closed", 0)], &1002u16.to_be_bytes()[..]));
    }
}
