//! A transport of one's own: plain TCP, each frame behind its length. The core knows nothing of sockets, so relay and clients take any
//! transport that carries whole messages in order.
//!
//! One relay and two clients, each in a thread of this process: `cargo run --example custom_transport`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use phantom_core::client::{Client, ClientConfig, End, Event, Input, Output};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::{ConnId, PeerId};
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::time::Instant;
use phantom_core::wire::FRAME_MAX;

type Failure = Box<dyn Error + Send + Sync>;

// The transport.

fn write_frame(mut stream: &TcpStream, frame: &[u8]) -> io::Result<()> {
    let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), frame].concat())
}

fn read_frame(mut stream: &TcpStream) -> io::Result<BytesMut> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > FRAME_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut frame = BytesMut::zeroed(len);
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// Passes everything that comes to `deliver`, at last nothing, from a thread of its own.
fn read_all(stream: &TcpStream, deliver: impl Fn(Option<BytesMut>) + Send + 'static) -> io::Result<()> {
    let stream = stream.try_clone()?;
    thread::spawn(move || {
        while let Ok(frame) = read_frame(&stream) {
            deliver(Some(frame));
        }
        deliver(None);
    });
    Ok(())
}

fn since(start: Clock) -> Instant {
    Instant::from_micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// How long to wait for the next thing that happens.
fn pause(deadline: Option<Instant>, now: Instant) -> Duration {
    deadline.map_or(Duration::from_secs(60), |at| at.since(now))
}

fn seed() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

// The relay.

fn serve(listener: &TcpListener) -> Result<(), Failure> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut relay = Relay::new(RelayConfig::new(RelaySecret::new(1, seed()?), unix), seed()?);
    let (start, mut streams) = (Clock::now(), BTreeMap::<ConnId, TcpStream>::new());
    let (events, happened) = mpsc::channel();
    // Two clients are enough for an example.
    for stream in listener.incoming().take(2) {
        let (stream, events) = (stream?, events.clone());
        let conn = relay.open(since(start), Source::Unknown).map_err(|code| code.to_string())?;
        read_all(&stream, move |frame| drop(events.send((conn, frame))))?;
        streams.insert(conn, stream);
    }
    while !streams.is_empty() {
        while let Some(output) = relay.poll_output() {
            match output {
                relay::Output::Transmit { to, frame, .. } => {
                    // A connection that is gone is told of by its reader.
                    let _ = streams.get(&to).map(|stream| write_frame(stream, &frame));
                }
                relay::Output::Close { conn, .. } => drop(streams.remove(&conn)),
                relay::Output::Unblock { .. } => {}
            }
        }
        let now = since(start);
        match happened.recv_timeout(pause(relay.poll_timeout().map(|deadline| deadline.at), now)) {
            Ok((from, Some(mut frame))) => {
                let input = relay::Input::Frame { from, frame: &mut frame };
                if let Handled::Forward(to) = relay.handle(since(start), input) {
                    let _ = streams.get(&to).map(|stream| write_frame(stream, &frame));
                }
            }
            Ok((conn, None)) => {
                let _ = relay.handle(since(start), relay::Input::Closed { conn });
                streams.remove(&conn);
            }
            Err(_) => drop(relay.handle(since(start), relay::Input::Timeout)),
        }
    }
    Ok(())
}

// A client: says something, and returns what the other says.

fn client(
    address: SocketAddr,
    text: &'static str,
    tell_id: impl Fn(PeerId),
    whom: impl Fn() -> Option<PeerId>,
) -> Result<String, Failure> {
    let key = Some(EncryptionKey::parse("a key for the example")?);
    let mut machine = Client::new(ClientConfig { key, ..ClientConfig::default() }, seed()?);
    let (start, mut link, mut heard) = (Clock::now(), None, String::new());
    let (events, happened) = mpsc::channel();
    loop {
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Dial { .. } => {
                    let (stream, events) = (TcpStream::connect(address)?, events.clone());
                    read_all(&stream, move |frame| drop(events.send(frame)))?;
                    link = Some(stream);
                    machine.handle(since(start), Input::Connected);
                }
                Output::Transmit(frame) => drop(link.as_ref().map(|stream| write_frame(stream, &frame))),
                Output::HangUp(code) => return Err(code.to_string().into()),
                Output::Event(Event::Online { id, .. }) => {
                    tell_id(id);
                    whom().map(|id| machine.connect(since(start), id)).transpose()?;
                }
                Output::Event(Event::Incoming { request, .. }) => machine.accept(since(start), request)?,
                Output::Event(Event::Secured { channel }) => {
                    let _ = machine.send(since(start), channel, text)?;
                }
                Output::Event(Event::Readable { channel }) => {
                    while let Some(packet) = machine.receive(since(start), channel) {
                        heard.push_str(std::str::from_utf8(&packet)?);
                    }
                    machine.disconnect(since(start), channel)?;
                }
                Output::Event(Event::Closed { end: End::Finished, .. }) => {
                    machine.leave(since(start));
                    return Ok(heard);
                }
                Output::Event(Event::Closed { end, .. }) => return Err(end.to_string().into()),
                Output::Event(_) => {}
            }
        }
        let now = since(start);
        let input =
            match happened.recv_timeout(pause(machine.poll_timeout().map(|deadline| deadline.at), now)) {
                Ok(Some(frame)) => Input::Received(frame),
                Ok(None) => Input::Disconnected { code: None },
                Err(_) => Input::Timeout,
            };
        machine.handle(since(start), input);
    }
}

fn main() -> Result<(), Failure> {
    let (one, two) = run()?;
    println!("{one} {two}");
    Ok(())
}

/// What each of the two has heard.
pub fn run() -> Result<(String, String), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || serve(&listener));
    let (tell, told) = mpsc::channel();
    let host = thread::spawn(move || {
        client(address, "Приветик!!!", |id| tell.send(id).unwrap_or_default(), || None)
    });
    let guest = client(address, "Hello!", |_| {}, || told.recv().ok())?;
    let host = host.join().map_err(|_| "the host has panicked")??;
    Ok((guest, host))
}
