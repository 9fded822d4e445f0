//! RFC 6455 as a client speaks it, as far as a load generator needs it.

use std::io::{self, Write};
use std::net::TcpStream;

use super::{Template, read_until, unexpected};

/// Masks with this; never with zero, for some servers would skip unmasking then.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Bytes of a message that are kept: the headers of every dialect, and the number.
const KEPT: usize = 48;

pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A connection that has been upgraded, and what came behind the answer.
pub(super) struct Upgraded {
    pub(super) stream: TcpStream,
    pub(super) unread: Vec<u8>,
}

/// Upgrades a connection; `headers` are whole lines.
pub(super) fn upgrade(mut stream: TcpStream, path: &str, headers: &str) -> io::Result<Upgraded> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut unread = Vec::new();
    let answer = read_until(&mut stream, &mut unread, |bytes| {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        Some((end, bytes[..end].to_vec()))
    })?;
    if !answer.starts_with(b"HTTP/1.1 101") {
        return Err(unexpected(String::from_utf8_lossy(&answer)));
    }
    Ok(Upgraded { stream, unread })
}

impl Upgraded {
    /// Sends a binary message.
    pub(super) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&masked(BINARY, payload).0)
    }

    /// The next frame: its opcode and its payload.
    pub(super) fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        read_until(&mut self.stream, &mut self.unread, |bytes| {
            let (opcode, start, len) = header(bytes)?;
            let payload = bytes.get(start..start + len)?;
            Some((start + len, (opcode & 0x0f, payload.to_vec())))
        })
    }
}

/// The first byte of an unmasked frame, the length of its header, and that of its payload.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (start, len) = match bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
        len => (2, usize::from(len)),
    };
    Some((bytes[0], start, len))
}

/// A masked frame, and where its payload begins.
pub(super) fn masked(opcode: u8, payload: &[u8]) -> (Vec<u8>, usize) {
    let mut frame = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..126), _) => frame.push(0x80 | short),
        (_, Ok(medium)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let start = frame.len();
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    (frame, start)
}

/// A binary message of `prefix` and `payload`, the number at the beginning of the latter.
pub(super) fn template(prefix: &[u8], payload: &[u8]) -> Template {
    let (bytes, start) = masked(BINARY, &[prefix, payload].concat());
    let mut mask = [0; 8];
    for (place, byte) in mask.iter_mut().enumerate() {
        *byte = MASK[(prefix.len() + place) % 4];
    }
    Template { bytes, number_at: start + prefix.len(), mask }
}

/// Decodes frames of a server as they come, and keeps no more of each than its beginning.
#[derive(Default)]
pub(super) struct Decoder {
    header: Vec<u8>,
    first: u8,
    in_payload: bool,
    left: usize,
    kept: Vec<u8>,
    /// Pongs to be sent.
    pub(super) replies: Vec<u8>,
}

impl Decoder {
    /// Takes bytes that came; calls `got` with the beginning of each binary message that is complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], got: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        loop {
            if self.in_payload {
                let now = self.left.min(bytes.len());
                let keep = now.min(KEPT - self.kept.len());
                self.kept.extend_from_slice(&bytes[..keep]);
                self.left -= now;
                bytes = &bytes[now..];
                if self.left > 0 {
                    return Ok(());
                }
                self.in_payload = false;
                self.end_of_frame(got)?;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            if self.header.is_empty()
                && let Some((first, len, payload)) = header(bytes)
            {
                self.begin(first, payload);
                bytes = &bytes[len..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some((first, _, payload)) = header(&self.header) {
                self.header.clear();
                self.begin(first, payload);
            }
        }
    }

    fn begin(&mut self, first: u8, payload: usize) {
        if first & 0x0f != 0 {
            self.kept.clear();
        }
        (self.first, self.left, self.in_payload) = (first, payload, true);
    }

    fn end_of_frame(&mut self, got: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        match self.first & 0x0f {
            0..=BINARY if self.first & 0x80 != 0 => got(&self.kept),
            PING => self.replies.extend_from_slice(&masked(PONG, &self.kept).0),
            CLOSE => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the relay")),
            _ => {}
        }
        Ok(())
    }
}
