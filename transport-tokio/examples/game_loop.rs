//! A game at 60 frames per second, with the synchronous core and no runtime: all networking is done between two frames, in the thread
//! of the game, and never waits.
//!
//! Two players and the relay are in this process: `cargo run --example game_loop`.

use std::error::Error;
use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant as Clock};

use bytes::{Bytes, BytesMut};
use phantom_core::client::{Client, ClientConfig, Event, Input, Output};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::{ChannelId, PeerId};
use phantom_core::packet::{self, Packet};
use phantom_core::time::Instant;
use phantom_core::wire::SUBPROTOCOL;
use phantom_mio::RelayServer;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// Where a player is.
#[derive(Clone, Copy, PartialEq, Debug, Packet)]
#[packet(id = 1)]
struct Position {
    x: f32,
    y: f32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (one, two) = run(60)?;
    println!("they saw {one} and {two} positions of each other");
    Ok(())
}

/// One player: the machine, its socket, and what it knows of the other.
struct Player {
    machine: Client,
    socket: Option<WebSocket<TcpStream>>,
    address: std::net::SocketAddr,
    start: Clock,
    id: Option<PeerId>,
    channel: Option<ChannelId>,
    seen: usize,
    other: Option<Position>,
}

impl Player {
    fn new(address: std::net::SocketAddr, key: EncryptionKey) -> Result<Self, Box<dyn Error>> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let machine = Client::new(ClientConfig { key: Some(key), ..ClientConfig::default() }, seed);
        let start = Clock::now();
        Ok(Self { machine, socket: None, address, start, id: None, channel: None, seen: 0, other: None })
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// All networking of one frame.
    fn network(&mut self) -> Result<(), Box<dyn Error>> {
        while let Some(socket) = &mut self.socket {
            let input = match socket.read() {
                Ok(Message::Binary(frame)) => Input::Received(BytesMut::from(&*frame)),
                Ok(_) => continue,
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.socket = None;
                    Input::Disconnected { code: None }
                }
            };
            self.machine.handle(self.now(), input);
        }
        if self.machine.poll_timeout().is_some_and(|deadline| deadline.at <= self.now()) {
            self.machine.handle(self.now(), Input::Timeout);
        }
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Dial { .. } => {
                    // The one thing that waits. A game would do it in a thread of its own.
                    self.socket = dial(self.address).ok();
                    let input = if self.socket.is_some() { Input::Connected } else { Input::DialFailed };
                    self.machine.handle(self.now(), input);
                }
                Output::Transmit(frame) => self.transmit(frame)?,
                Output::HangUp(_) => self.socket = None,
                Output::Event(Event::Online { id, .. }) => self.id = Some(id),
                Output::Event(Event::Incoming { request, .. }) => self.machine.accept(self.now(), request)?,
                Output::Event(Event::Opened { channel, .. }) => self.channel = Some(channel),
                Output::Event(Event::Closed { end, .. }) => return Err(end.to_string().into()),
                Output::Event(_) => {}
            }
        }
        if let Some(socket) = &mut self.socket {
            // What the system does not take now waits for the next frame; an error shows when reading.
            let _ = socket.flush();
        }
        while let Some(packet) = self.channel.and_then(|channel| self.machine.receive(self.now(), channel)) {
            self.other = Some(packet::decode::<Position>(&packet)?);
            self.seen += 1;
        }
        Ok(())
    }

    fn transmit(&mut self, frame: Bytes) -> Result<(), Box<dyn Error>> {
        match self.socket.as_mut().map(|socket| socket.write(Message::Binary(frame))) {
            Some(Err(tungstenite::Error::Io(error))) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Some(result) => Ok(result?),
            None => Ok(()),
        }
    }

    /// One frame of the game.
    fn frame(&mut self, number: u16) -> Result<(), Box<dyn Error>> {
        self.network()?;
        let position = Position { x: f32::from(number), y: 0.5 };
        if let Some(channel) = self.channel.filter(|&channel| self.machine.is_secured(channel)) {
            // A queue that is full means that the other side is away: this position is old news by then.
            let _ = self.machine.send(self.now(), channel, packet::encode(&position)?);
        }
        self.network()
    }
}

fn dial(address: std::net::SocketAddr) -> Result<WebSocket<TcpStream>, Box<dyn Error>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{address}/").into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (socket, _) = tungstenite::client(request, stream)?;
    socket.get_ref().set_nonblocking(true)?;
    Ok(socket)
}

/// Plays this many frames once the two have found each other. Returns how many positions each has seen of the other.
pub fn run(frames: u16) -> Result<(usize, usize), Box<dyn Error>> {
    let relay = RelayServer::bind("127.0.0.1:0")?.spawn()?;
    let key = EncryptionKey::parse("player one and player two")?;
    let mut one = Player::new(relay.local_addr(), key.clone())?;
    let mut two = Player::new(relay.local_addr(), key)?;
    let (mut asked, mut number, mut next) = (false, 0, Clock::now());
    while number < frames {
        one.frame(number)?;
        two.frame(number)?;
        if let (Some(_), Some(id), false) = (one.id, two.id, asked) {
            one.machine.connect(one.now(), id)?;
            asked = true;
        }
        number += u16::from(one.other.is_some() && two.other.is_some());
        next += FRAME;
        thread::sleep(next.saturating_duration_since(Clock::now()));
    }
    Ok((one.seen, two.seen))
}
