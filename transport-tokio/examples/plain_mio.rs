//! A client in an event loop of one's own, with plain mio: the core, a WebSocket, and one `poll`.
//!
//! It asks an echo client for a channel, sends packets, and counts what comes back. All is in this process:
//! `cargo run --example plain_mio`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Instant as Clock;

use bytes::BytesMut;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use phantom_core::client::{Client, ClientConfig, Event, Input, Output};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::PeerId;
use phantom_core::time::Instant;
use phantom_core::wire::{CloseCode, SUBPROTOCOL};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{HandshakeError, Message, WebSocket};

/// Sends these packets to `peer`, which sends them back, and returns what came.
pub fn run(
    relay: SocketAddr,
    key: EncryptionKey,
    peer: PeerId,
    packets: &[&'static str],
) -> Result<Vec<String>, Box<dyn Error>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut machine = Client::new(ClientConfig { key: Some(key), ..ClientConfig::default() }, seed);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(16));
    let (start, mut socket, mut echoes) = (Clock::now(), None, Vec::new());
    let now = || Instant::from_micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    loop {
        // What the machine wants.
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Dial { .. } => {
                    socket = Some(dial(relay, &mut poll)?);
                    machine.handle(now(), Input::Connected);
                }
                Output::Transmit(frame) => {
                    let socket: &mut WebSocket<_> = socket.as_mut().ok_or("not connected")?;
                    would_block(socket.write(Message::Binary(frame)))?;
                }
                Output::HangUp(code) => {
                    // What was written last is still to leave.
                    socket.as_mut().map(WebSocket::flush).transpose()?;
                    return if code == CloseCode::Normal { Ok(echoes) } else { Err(code.to_string().into()) };
                }
                Output::Event(Event::Online { .. }) => drop(machine.connect(now(), peer)?),
                Output::Event(Event::Secured { channel }) => {
                    for &packet in packets {
                        machine.send(now(), channel, packet)?;
                    }
                }
                Output::Event(Event::Readable { channel }) => {
                    while let Some(packet) = machine.receive(now(), channel) {
                        echoes.push(String::from_utf8(packet.to_vec())?);
                    }
                    if echoes.len() == packets.len() {
                        machine.disconnect(now(), channel)?;
                    }
                }
                Output::Event(Event::Closed { .. }) => machine.leave(now()),
                Output::Event(_) => {}
            }
        }
        if let Some(socket) = &mut socket {
            would_block(socket.flush())?;
        }
        // What has happened. The socket is read until it has no more: only then is more of it told.
        while let Some(socket) = &mut socket
            && let Some(message) = would_block(socket.read())?
        {
            if let Message::Binary(frame) = message {
                machine.handle(now(), Input::Received(BytesMut::from(&*frame)));
            }
        }
        // Waits for the socket, or for the machine's next moment.
        let timeout = machine.poll_timeout().map(|deadline| deadline.at.since(now()));
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        machine.handle(now(), Input::Timeout);
    }
}

/// Nothing if it must wait.
fn would_block<T>(result: tungstenite::Result<T>) -> Result<Option<T>, Box<dyn Error>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the handshake is done, for brevity; from then on nothing waits.
fn dial(relay: SocketAddr, poll: &mut Poll) -> Result<WebSocket<TcpStream>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(relay)?;
    poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE)?;
    let mut events = Events::with_capacity(16);
    poll.poll(&mut events, None)?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{relay}/").into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    let mut handshake = tungstenite::client(request, stream);
    loop {
        match handshake {
            Ok((socket, _)) => return Ok(socket),
            Err(HandshakeError::Interrupted(middle)) => {
                poll.poll(&mut events, None)?;
                handshake = middle.handshake();
            }
            Err(HandshakeError::Failure(error)) => return Err(error.into()),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let relay = phantom_mio::RelayServer::bind("127.0.0.1:0")?.spawn()?;
    let key = EncryptionKey::parse("a key for the example")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let echo = phantom_tokio::Client::builder().relay(relay.url()).key(key.clone());
    let echo = runtime.block_on(echo.connect())?;
    let id = echo.id();
    runtime.spawn(async move {
        let channel = echo.next_request().await?.accept().await.ok()?;
        while let Some(packet) = channel.receive_bytes().await.ok()? {
            channel.send_bytes(packet).await.ok()?;
        }
        Some(())
    });
    for echo in run(relay.local_addr(), key, id, &["one", "two", "three"])? {
        println!("{echo}");
    }
    Ok(())
}
