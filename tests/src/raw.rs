//! A client that is only a socket: blocking, from an address of one's choice, without keys. For load, where the relay is measured and
//! not the client, and for attacks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use phantom_core::id::PeerId;
use phantom_core::wire::{ClientFrame, ForwardHeader, RelayFrame, SUBPROTOCOL, VERSION};
use socket2::{Domain, Socket, Type};

/// The first byte of a whole binary message.
pub const BINARY: u8 = 0x82;
/// The first byte of a close frame.
pub const CLOSE: u8 = 0x88;
/// The first byte of a ping.
pub const PING: u8 = 0x89;

const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_millis(500);

/// A TCP connection from this address, which the system need not remember after it is dropped.
///
/// # Errors
/// Nobody listens, or not in time, or no port is left.
pub fn dial(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), CONNECT_PATIENCE)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The request that makes a connection a WebSocket of this protocol.
#[must_use]
pub fn upgrade_request() -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    )
}

/// The header of a client's WebSocket frame whose mask is zero, so that the payload follows as it is.
pub fn header(into: &mut Vec<u8>, first: u8, len: usize) {
    into.push(first);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if short < 126 => into.push(0x80 | short),
        (_, Ok(medium)) => {
            into.push(0x80 | 126);
            into.extend(medium.to_be_bytes());
        }
        _ => {
            into.push(0x80 | 127);
            into.extend((len as u64).to_be_bytes());
        }
    }
    into.extend([0; 4]);
}

/// A client's WebSocket frame.
pub fn frame(into: &mut Vec<u8>, first: u8, payload: &[u8]) {
    header(into, first, payload.len());
    into.extend(payload);
}

/// A message that forwards this.
pub fn forward(into: &mut Vec<u8>, channel: u32, payload: &[u8]) {
    let number = ForwardHeader { channel }.to_bytes();
    header(into, BINARY, number.len() + payload.len());
    into.extend(number);
    into.extend(payload);
}

/// A message that asks the relay for something.
pub fn say(into: &mut Vec<u8>, frame_said: ClientFrame) {
    frame(into, BINARY, &frame_said.encode());
}

/// Messages out of the bytes of a server.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// The next whole message: its first byte and its payload.
    pub fn message(&mut self) -> Option<(u8, &[u8])> {
        let (first, head, len) = match self.bytes[self.start..self.end] {
            [first, 127, a, b, c, d, e, f, g, h, ..] => {
                (first, 10, u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            [first, 126, a, b, ..] => (first, 4, u64::from(u16::from_be_bytes([a, b]))),
            [first, short @ ..126, ..] => (first, 2, u64::from(short)),
            _ => return None,
        };
        let begin = self.start + head;
        let end = begin + usize::try_from(len).ok()?;
        if end > self.end {
            return None;
        }
        self.start = end;
        Some((first, &self.bytes[begin..end]))
    }

    /// Reads once; says how much.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read(&mut self, socket: &mut impl Read) -> io::Result<usize> {
        const ROOM: usize = 128 * 1024;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.bytes.len() - self.end < ROOM / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.bytes.resize(self.end + ROOM, 0);
        }
        let read = socket.read(&mut self.bytes[self.end..])?;
        self.end += read;
        Ok(read)
    }
}

/// A client that has an ID.
pub struct Raw {
    /// Its socket.
    pub socket: TcpStream,
    /// What came.
    pub inbox: Inbox,
    /// Its ID.
    pub id: PeerId,
}

impl Raw {
    /// Dials, shakes hands and registers for this many channels.
    ///
    /// # Errors
    /// The relay does not let it in.
    pub fn join(from: IpAddr, to: SocketAddr, channels: u8) -> io::Result<Self> {
        let mut socket = dial(from, to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        // All at once: whoever is let in is let in.
        let mut hello = upgrade_request().into_bytes();
        say(&mut hello, ClientFrame::Register { version: VERSION, channels });
        socket.write_all(&hello)?;
        let mut inbox = Inbox::default();
        loop {
            let came = &inbox.bytes[inbox.start..inbox.end];
            if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
                if !came.starts_with(b"HTTP/1.1 101") {
                    return Err(ErrorKind::ConnectionRefused.into());
                }
                inbox.start += end + 4;
                break;
            }
            if inbox.read(&mut socket)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let mut raw =
            Self { socket, inbox, id: PeerId::from_bytes(*b"000000").ok_or(ErrorKind::InvalidData)? };
        loop {
            if let RelayFrame::Welcome(welcome) = raw.hear()? {
                raw.id = welcome.id;
                return Ok(raw);
            }
        }
    }

    /// The next frame of the relay that is no FORWARD.
    ///
    /// # Errors
    /// The relay closes, or says nothing for long.
    pub fn hear(&mut self) -> io::Result<RelayFrame> {
        loop {
            match self.inbox.message() {
                Some((BINARY, payload)) => {
                    if let Ok(frame) = RelayFrame::decode(payload) {
                        return Ok(frame);
                    }
                }
                Some((CLOSE, payload)) => {
                    let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                    return Err(io::Error::other(format!("the relay closes with {code}")));
                }
                Some(_) => {}
                None => {
                    if self.inbox.read(&mut self.socket)? == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }

    /// Says one thing.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn say(&mut self, frame: ClientFrame) -> io::Result<()> {
        let mut bytes = Vec::new();
        say(&mut bytes, frame);
        self.socket.write_all(&bytes)
    }

    /// Calls another, who accepts; says each one's number of the channel.
    ///
    /// # Errors
    /// The relay does not let them.
    pub fn call(&mut self, request: u32, other: &mut Self) -> io::Result<(u32, u32)> {
        self.say(ClientFrame::Connect { request, target: other.id, nonce: [1; 16] })?;
        let prompt = loop {
            if let RelayFrame::Incoming { request, .. } = other.hear()? {
                break request;
            }
        };
        other.say(ClientFrame::Accept { request: prompt, nonce: [2; 16] })?;
        Ok((self.opened()?, other.opened()?))
    }

    fn opened(&mut self) -> io::Result<u32> {
        loop {
            match self.hear()? {
                RelayFrame::Opened { channel, .. } => return Ok(channel),
                RelayFrame::Answer { answer, .. } if !answer.is_interim() => {
                    return Err(io::Error::other(format!("the request was answered {answer:?}")));
                }
                _ => {}
            }
        }
    }
}

/// Two clients and each one's number of the channel between them.
pub struct Pair {
    /// Who asked.
    pub a: Raw,
    /// Its number of the channel.
    pub a_channel: u32,
    /// Who accepted.
    pub b: Raw,
    /// Its number of the channel.
    pub b_channel: u32,
}

impl Pair {
    /// Two clients from this address meet.
    ///
    /// # Errors
    /// The relay does not let them.
    pub fn meet(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let (mut a, mut b) = (Raw::join(from, to, 1)?, Raw::join(from, to, 1)?);
        let (a_channel, b_channel) = a.call(1, &mut b)?;
        Ok(Self { a, a_channel, b, b_channel })
    }
}
