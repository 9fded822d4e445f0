//! What attackers do, each from sixteen loopback addresses, as fast as they are let, until their time is over.
//!
//! Each attack is a number of units: sockets that write without end, and perhaps read. A unit that the relay ends is replaced
//! at once. Nothing here waits for the relay: what it does not take is tried again.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use phantom_core::id::PeerId;
use phantom_core::rng::Rng;
use phantom_core::wire::{ClientFrame, FRAME_MAX, ForwardHeader, PAYLOAD_MAX};

use crate::raw::{self, BINARY, PING, Pair, Raw};

/// The attacks by name, and what each is.
pub const ATTACKS: [(&str, &str); 13] = [
    ("connections", "connections opened without end, four hundred held"),
    ("slow-handshake", "a thousand requests, one byte every half second"),
    ("half-open", "five hundred that say nothing, five hundred that have closed their side"),
    ("slow-reader", "fifty pairs whose receiver never reads"),
    ("tiny-frames", "one byte in a message, empty fragments, empty pings"),
    ("by-turns", "one byte to one receiver, then one to another"),
    ("rejoins", "five hundred that each wait to be found again sixty-four times"),
    ("largest-frames", "four pairs with the largest frames, as fast as it goes"),
    ("partial-frames", "two thousand large frames without their last byte"),
    ("requests", "CONNECT to the honest clients, and WITHDRAW"),
    ("id-scan", "CONNECT to IDs drawn at random"),
    ("random-bytes", "random bytes before and after the handshake"),
    ("tls-garbage", "the beginning of TLS, and random bytes behind it"),
];

/// Where and how long an attack goes.
pub struct Ground {
    /// The relay.
    pub to: SocketAddr,
    /// When it is over.
    pub until: Instant,
    /// Whom it bothers.
    pub victims: Vec<PeerId>,
    /// Chance, the same each time.
    pub rng: Rng,
    turn: u8,
}

impl Ground {
    /// An attack on this relay that begins now.
    #[must_use]
    pub fn new(to: SocketAddr, time: Duration, victims: Vec<PeerId>) -> Self {
        Self { to, until: Instant::now() + time, victims, rng: Rng::from_seed(&[7; 32]), turn: 0 }
    }

    fn over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn source(&mut self) -> IpAddr {
        self.turn = (self.turn + 1) % 16;
        IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1 + self.turn))
    }

    fn dial(&mut self) -> io::Result<TcpStream> {
        let socket = raw::dial(self.source(), self.to)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn join(&mut self, channels: u8) -> io::Result<TcpStream> {
        let raw = Raw::join(self.source(), self.to, channels)?;
        raw.socket.set_nonblocking(true)?;
        Ok(raw.socket)
    }

    fn id(&mut self) -> PeerId {
        const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let digits = self.rng.bytes::<6>().map(|byte| DIGITS[usize::from(byte) % DIGITS.len()]);
        PeerId::from_bytes(digits).expect("these are the digits of IDs")
    }

    fn random(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes.chunks_mut(32).for_each(|part| part.copy_from_slice(&self.rng.bytes::<32>()[..part.len()]));
        bytes
    }
}

/// Runs the attack of this name; `None` if there is none.
#[must_use]
pub fn run(name: &str, ground: &mut Ground) -> Option<u64> {
    let opened = match name {
        "connections" => connections(ground),
        "slow-handshake" => trickle(ground),
        "half-open" => flood(ground, 1000, half_open),
        "slow-reader" => flood(ground, 50, |ground| pair(ground, false, forward_of(BULK))),
        "tiny-frames" => flood(ground, 16, |ground| pair(ground, true, tiny)),
        "by-turns" => flood(ground, 4, by_turns),
        "rejoins" => flood(ground, 500, rejoins),
        "largest-frames" => flood(ground, 4, |ground| pair(ground, true, forward_of(PAYLOAD_MAX))),
        "partial-frames" => flood(ground, 2000, partial),
        "requests" => flood(ground, 64, requests),
        "id-scan" => flood(ground, 64, scan),
        "random-bytes" => flood(ground, 64, random_bytes),
        "tls-garbage" => flood(ground, 64, tls_garbage),
        _ => return None,
    };
    Some(opened)
}

const BULK: usize = 16 * 1024;

/// Sockets that live and die together.
type Unit = Vec<Flow>;

/// A socket that writes the same bytes again and again.
struct Flow {
    socket: TcpStream,
    /// What is written once, at first.
    first: Vec<u8>,
    /// What is written for ever; nothing, if it is empty.
    again: Vec<u8>,
    at: usize,
    hears: Hears,
}

/// What becomes of what the relay says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hears {
    /// It is never read.
    Nothing,
    /// It is read and thrown away.
    All,
    /// It is the end: there is nothing to say but that the other side is gone.
    TheEnd,
}

impl Flow {
    fn new(socket: TcpStream, first: Vec<u8>, again: Vec<u8>, hears: Hears) -> Self {
        Self { socket, first, again, at: 0, hears }
    }

    /// Writes and reads what the socket takes and has; says whether it was anything.
    fn go(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        let (part, offset) = match self.first.len() {
            len if self.at < len => (&self.first, 0),
            len => (&self.again, len),
        };
        let rest = &part[self.at - offset..];
        let mut moved = false;
        if !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(written) => {
                    moved = true;
                    self.at += written;
                    if self.at == self.first.len() + self.again.len() {
                        self.at = self.first.len();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if self.hears != Hears::Nothing {
            match self.socket.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) if self.hears == Hears::TheEnd => return Err(ErrorKind::ConnectionAborted.into()),
                Ok(_) => moved = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }
}

/// Keeps so many units going; says how many connections were opened.
fn flood(ground: &mut Ground, count: usize, make: impl Fn(&mut Ground) -> io::Result<Unit>) -> u64 {
    let mut scratch = vec![0; 64 * 1024];
    let mut units: Vec<Unit> = Vec::new();
    let mut opened = 0;
    while !ground.over() {
        // A few at a time, and after a refusal a pause, so that those which stand go on meanwhile.
        let mut refused = false;
        for _ in 0..(count - units.len()).min(16) {
            match make(ground) {
                Ok(unit) => {
                    opened += unit.len() as u64;
                    units.push(unit);
                }
                Err(_) => {
                    refused = true;
                    break;
                }
            }
            if ground.over() {
                return opened;
            }
        }
        let mut moved = false;
        units.retain_mut(|unit| {
            unit.iter_mut().all(|flow| match flow.go(&mut scratch) {
                Ok(some) => {
                    moved |= some;
                    true
                }
                Err(_) => false,
            })
        });
        if refused || !moved {
            thread::sleep(Duration::from_millis(1));
        }
    }
    opened
}

/// Connections without end.
fn connections(ground: &mut Ground) -> u64 {
    const HELD: usize = 400;
    let mut held = std::collections::VecDeque::new();
    let mut opened = 0;
    while !ground.over() {
        match ground.dial() {
            Ok(socket) => {
                opened += 1;
                held.push_back(socket);
            }
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
        if held.len() > HELD {
            held.pop_front();
        }
    }
    opened
}

/// Requests that come byte by byte.
fn trickle(ground: &mut Ground) -> u64 {
    const COUNT: usize = 1000;
    const PAUSE: Duration = Duration::from_millis(500);
    let request = raw::upgrade_request().into_bytes();
    let mut sockets: Vec<(TcpStream, usize)> = Vec::new();
    let mut opened = 0;
    while !ground.over() {
        let round = Instant::now();
        while sockets.len() < COUNT && !ground.over() {
            let Ok(socket) = ground.dial() else { break };
            opened += 1;
            sockets.push((socket, 0));
        }
        sockets.retain_mut(|(socket, at)| {
            *at += 1;
            *at < request.len() && socket.write_all(&request[*at - 1..*at]).is_ok()
        });
        thread::sleep(
            PAUSE.saturating_sub(round.elapsed()).min(ground.until.saturating_duration_since(Instant::now())),
        );
    }
    opened
}

/// One that says nothing, or one that has joined and closed its side.
fn half_open(ground: &mut Ground) -> io::Result<Unit> {
    let socket = ground.dial()?;
    if ground.turn.is_multiple_of(2) {
        let mut hello = raw::upgrade_request().into_bytes();
        raw::say(&mut hello, ClientFrame::Register { version: 1, channels: 1 });
        (&socket).write_all(&hello)?;
        socket.shutdown(Shutdown::Write)?;
    }
    Ok(vec![Flow::new(socket, Vec::new(), Vec::new(), Hears::All)])
}

/// A pair of which one writes what this gives for its channel, and the other reads it or does not.
fn pair(ground: &mut Ground, reads: bool, bytes: impl Fn(u32) -> Vec<u8>) -> io::Result<Unit> {
    let Pair { a, a_channel, b, .. } = Pair::meet(ground.source(), ground.to)?;
    a.socket.set_nonblocking(true)?;
    b.socket.set_nonblocking(true)?;
    let (a_hears, b_hears) = if reads { (Hears::All, Hears::All) } else { (Hears::TheEnd, Hears::Nothing) };
    Ok(vec![
        Flow::new(a.socket, Vec::new(), bytes(a_channel), a_hears),
        Flow::new(b.socket, Vec::new(), Vec::new(), b_hears),
    ])
}

fn forward_of(len: usize) -> impl Fn(u32) -> Vec<u8> {
    move |channel| {
        let mut bytes = Vec::new();
        raw::forward(&mut bytes, channel, &vec![0; len]);
        bytes
    }
}

fn tiny(channel: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..100 {
        raw::forward(&mut bytes, channel, &[0]);
        raw::frame(&mut bytes, PING, &[]);
        // The same message in many fragments, most of them empty.
        raw::frame(&mut bytes, BINARY & 0x0f, &ForwardHeader { channel }.to_bytes());
        (0..20).for_each(|_| raw::frame(&mut bytes, 0, &[]));
        raw::frame(&mut bytes, 0x80, &[0]);
    }
    bytes
}

/// One that has channels with two, and writes to them in turns.
fn by_turns(ground: &mut Ground) -> io::Result<Unit> {
    let from = ground.source();
    let mut sender = Raw::join(from, ground.to, 2)?;
    let (mut flows, mut bytes) = (Vec::new(), Vec::new());
    for request in 1..=2 {
        let mut receiver = Raw::join(from, ground.to, 1)?;
        raw::forward(&mut bytes, sender.call(request, &mut receiver)?.0, &[0]);
        receiver.socket.set_nonblocking(true)?;
        flows.push(Flow::new(receiver.socket, Vec::new(), Vec::new(), Hears::All));
    }
    sender.socket.set_nonblocking(true)?;
    flows.push(Flow::new(sender.socket, Vec::new(), bytes.repeat(1000), Hears::All));
    Ok(flows)
}

/// One that waits at as many values as it may, for nobody.
fn rejoins(ground: &mut Ground) -> io::Result<Unit> {
    let socket = ground.join(64)?;
    let mut bytes = Vec::new();
    for _ in 0..64 {
        raw::say(&mut bytes, ClientFrame::Rejoin { rendezvous: ground.rng.bytes(), role: 0 });
    }
    Ok(vec![Flow::new(socket, bytes, Vec::new(), Hears::All)])
}

fn partial(ground: &mut Ground) -> io::Result<Unit> {
    let socket = ground.join(1)?;
    let mut bytes = Vec::new();
    raw::header(&mut bytes, BINARY, FRAME_MAX);
    bytes.resize(bytes.len() + FRAME_MAX - 1, 0x20);
    Ok(vec![Flow::new(socket, bytes, Vec::new(), Hears::All)])
}

fn requests(ground: &mut Ground) -> io::Result<Unit> {
    let socket = ground.join(1)?;
    let mut bytes = Vec::new();
    for request in 1..=4000 {
        let target = ground.victims[request as usize % ground.victims.len()];
        raw::say(&mut bytes, ClientFrame::Connect { request, target, nonce: [1; 16] });
        raw::say(&mut bytes, ClientFrame::Withdraw { request });
    }
    // After the last number it begins anew, which ends it: it comes back as somebody else.
    Ok(vec![Flow::new(socket, Vec::new(), bytes, Hears::All)])
}

fn scan(ground: &mut Ground) -> io::Result<Unit> {
    let socket = ground.join(64)?;
    let mut bytes = Vec::new();
    for request in 1..=4000 {
        let target = ground.id();
        raw::say(&mut bytes, ClientFrame::Connect { request, target, nonce: [1; 16] });
    }
    Ok(vec![Flow::new(socket, Vec::new(), bytes, Hears::All)])
}

fn random_bytes(ground: &mut Ground) -> io::Result<Unit> {
    let upgraded = ground.turn.is_multiple_of(2);
    let socket = if upgraded { ground.join(1)? } else { ground.dial()? };
    let bytes = ground.random(4096);
    Ok(vec![Flow::new(socket, Vec::new(), bytes, Hears::All)])
}

fn tls_garbage(ground: &mut Ground) -> io::Result<Unit> {
    let socket = ground.dial()?;
    let bytes = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &ground.random(4096)].concat();
    Ok(vec![Flow::new(socket, Vec::new(), bytes, Hears::All)])
}
