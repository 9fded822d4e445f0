//! `floor PORT`: how cheap a WebSocket relay can be on one thread. A yardstick and no server.
//!
//! Level-triggered epoll, one read buffer for all, frames unmasked and moved together in place, one write for each read, nothing kept of a
//! connection but what its peer could not take (then it is not read). No limits, no deadlines, no closing handshake; pings are dropped.
//! Two clients of one path are joined.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};

const BUFFER: usize = 256 * 1024;
const LISTENER: usize = 0;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let mut relay = Relay {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        conns: vec![None],
        free: Vec::new(),
        waiting: HashMap::new(),
        buffer: vec![0; BUFFER],
    };
    epoll::add(&relay.epoll, &listener, EventData::new_u64(LISTENER as u64), EventFlags::IN)?;
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        let _interrupted = epoll::wait(&relay.epoll, spare_capacity(&mut events), None);
        for event in &events {
            match event.data.u64() as usize {
                LISTENER => relay.accept(&listener),
                number => relay.serve(number, event.flags),
            }
        }
    }
}

struct Relay {
    epoll: OwnedFd,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    waiting: HashMap<String, usize>,
    buffer: Vec<u8>,
}

struct Conn {
    socket: TcpStream,
    peer: usize,
    request: Vec<u8>,
    path: String,
    /// The bytes of a header that came without its rest.
    part: Vec<u8>,
    left: u64,
    mask: [u8; 4],
    dropped: bool,
    kept: Vec<u8>,
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener) {
        while let Ok((socket, _)) = listener.accept() {
            let _ = (socket.set_nonblocking(true), socket.set_nodelay(true));
            let number = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            let _ = epoll::add(&self.epoll, &socket, EventData::new_u64(number as u64), EventFlags::IN);
            self.conns[number] = Some(Conn {
                socket,
                peer: 0,
                request: Vec::new(),
                path: String::new(),
                part: Vec::new(),
                left: 0,
                mask: [0; 4],
                dropped: false,
                kept: Vec::new(),
            });
        }
    }

    fn watch(&self, socket: impl AsFd, number: usize, flags: EventFlags) {
        let _ = epoll::modify(&self.epoll, socket, EventData::new_u64(number as u64), flags);
    }

    fn serve(&mut self, number: usize, flags: EventFlags) {
        let Some(mut conn) = self.conns[number].take() else { return };
        let mut dead = false;
        if flags.contains(EventFlags::OUT) && !conn.kept.is_empty() {
            dead = self.write_kept(number, &mut conn);
        }
        if !dead && flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            dead = self.read(number, &mut conn);
        }
        if dead {
            self.end(number, &conn);
        } else {
            self.conns[number] = Some(conn);
        }
    }

    fn write_kept(&mut self, number: usize, conn: &mut Conn) -> bool {
        match conn.socket.write(&conn.kept) {
            Ok(written) => {
                conn.kept.drain(..written);
                if conn.kept.is_empty() {
                    conn.kept = Vec::new();
                    if let Some(peer) = &self.conns[conn.peer] {
                        self.watch(&conn.socket, number, interest(false, !peer.kept.is_empty()));
                        self.watch(&peer.socket, conn.peer, interest(!peer.kept.is_empty(), false));
                    }
                }
                false
            }
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// One read, and one write of what it brought.
    fn read(&mut self, number: usize, conn: &mut Conn) -> bool {
        let at = conn.part.len();
        self.buffer[..at].copy_from_slice(&conn.part);
        conn.part.clear();
        let read = match conn.socket.read(&mut self.buffer[at..]) {
            Ok(0) => return true,
            Ok(read) => read,
            Err(error) => {
                conn.part = self.buffer[..at].to_vec();
                return error.kind() != ErrorKind::WouldBlock;
            }
        };
        if conn.path.is_empty() {
            conn.request.extend_from_slice(&self.buffer[..read]);
            return self.upgrade(number, conn);
        }
        let len = conn.transform(&mut self.buffer[..at + read]);
        let Some(mut peer) = self.conns[conn.peer].take() else { return false };
        let (mut written, mut dead) = (0, false);
        while peer.kept.is_empty() && written < len {
            match peer.socket.write(&self.buffer[written..len]) {
                Ok(more) => written += more,
                Err(error) => {
                    dead = error.kind() != ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        if written < len {
            peer.kept.extend_from_slice(&self.buffer[written..len]);
            self.watch(&peer.socket, conn.peer, interest(true, !conn.kept.is_empty()));
            self.watch(&conn.socket, number, interest(!conn.kept.is_empty(), true));
        }
        self.conns[conn.peer] = Some(peer);
        dead
    }

    fn upgrade(&mut self, number: usize, conn: &mut Conn) -> bool {
        let request = String::from_utf8_lossy(&conn.request).into_owned();
        if !request.ends_with("\r\n\r\n") {
            return false;
        }
        let Some(accept) = accept_key(&request) else { return true };
        conn.path = request.split(' ').nth(1).unwrap_or("/").to_owned();
        conn.request = Vec::new();
        match self.waiting.remove(&conn.path) {
            Some(peer) => {
                conn.peer = peer;
                if let Some(mut waiting) = self.conns[peer].take() {
                    waiting.peer = number;
                    self.watch(&waiting.socket, peer, EventFlags::IN);
                    self.conns[peer] = Some(waiting);
                }
            }
            None => {
                // Not read until its peer is there.
                self.waiting.insert(conn.path.clone(), number);
                self.watch(&conn.socket, number, EventFlags::empty());
            }
        }
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        conn.socket.write_all(answer.as_bytes()).is_err()
    }

    fn end(&mut self, number: usize, conn: &Conn) {
        if self.waiting.get(&conn.path) == Some(&number) {
            self.waiting.remove(&conn.path);
        }
        if conn.peer != 0
            && let Some(peer) = self.conns[conn.peer].take_if(|peer| peer.peer == number)
        {
            let _ = peer.socket.shutdown(Shutdown::Both);
            self.free.push(conn.peer);
        }
        self.free.push(number);
    }
}

impl Conn {
    /// Makes frames of a client in `bytes` into frames of a server at its beginning; returns their length.
    fn transform(&mut self, bytes: &mut [u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            if self.left == 0 {
                let Some((size, len, plain)) = header(&bytes[from..]) else {
                    self.part.extend_from_slice(&bytes[from..]);
                    return to;
                };
                self.mask.copy_from_slice(&bytes[from + plain..from + size]);
                self.dropped = bytes[from] & 0x08 != 0;
                if !self.dropped {
                    bytes[from + 1] &= 0x7f;
                    bytes.copy_within(from..from + plain, to);
                    to += plain;
                }
                from += size;
                self.left = len;
                if len == 0 {
                    continue;
                }
            }
            let now = self.left.min((bytes.len() - from) as u64) as usize;
            if now == 0 {
                break;
            }
            if !self.dropped {
                unmask(&mut bytes[from..from + now], self.mask);
                bytes.copy_within(from..from + now, to);
                to += now;
            }
            from += now;
            self.left -= now as u64;
            self.mask.rotate_left(now & 3);
        }
        to
    }
}

/// Read while the peer takes everything; write while something is kept.
fn interest(own_kept: bool, peer_kept: bool) -> EventFlags {
    let read = if peer_kept { EventFlags::empty() } else { EventFlags::IN };
    read | if own_kept { EventFlags::OUT } else { EventFlags::empty() }
}

/// The length of a client's header, of its payload, and of the header without its mask.
fn header(bytes: &[u8]) -> Option<(usize, u64, usize)> {
    let short = bytes.get(1)? & 0x7f;
    let (plain, len) = match short {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        _ => (2, u64::from(short)),
    };
    (bytes.len() >= plain + 4).then_some((plain + 4, len, plain))
}

fn unmask(payload: &mut [u8], [a, b, c, d]: [u8; 4]) {
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let word: &mut [u8; 8] = chunk.try_into().expect("chunks of eight");
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip([a, b, c, d].iter().cycle()) {
        *byte ^= mask;
    }
}

fn accept_key(request: &str) -> Option<String> {
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    })?;
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest();
    Some(data_encoding::BASE64.encode(&digest.bytes()))
}
