//! A blocking client on a real socket, and relays with short patience. Every wait has a deadline; nothing sleeps.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

pub mod scrape;
pub mod tls;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use phantom_core::id::PeerId;
use phantom_core::wire::{
    CHANNELS_MAX, ClientFrame, ForwardHeader, OpenedBy, RelayFrame, SUBPROTOCOL, VERSION, Welcome,
};
use phantom_mio::{
    CloseCode, Handle, HandshakeFailure, Refusal, RelayServer, RunningRelay, ServerConfig, ServerStats,
};
use socket2::{Domain, Socket, Type};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// Far longer than anything here takes, so that a failure is a failure and not a hanging test.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn relay() -> RunningRelay {
    relay_with(|_| {})
}

pub fn relay_with(change: impl FnOnce(&mut ServerConfig)) -> RunningRelay {
    let mut config = ServerConfig::default();
    config.server.close_linger = Duration::from_millis(300);
    config.server.drain_timeout = config.server.close_linger;
    change(&mut config);
    RelayServer::bind_with("127.0.0.1:0", config).unwrap().spawn().unwrap()
}

/// Asks for the counters until they are as wanted.
pub fn await_stats(handle: &Handle, what: &str, wanted: impl Fn(&ServerStats) -> bool) -> ServerStats {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = handle.stats();
        if wanted(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}: {stats:?}");
    }
}

pub fn tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The same from this address of the loopback network.
pub fn tcp_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Everything until the other side closes.
pub fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    all
}

/// A WebSocket frame as a client sends it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
        len @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub fn forward(channel: u32, payload: &[u8]) -> Vec<u8> {
    [&ForwardHeader { channel }.to_bytes()[..], payload].concat()
}

pub fn upgrade_request(offer: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {offer}\r\n\r\n"
    )
}

pub struct Client<S = TcpStream> {
    pub socket: WebSocket<Patient<S>>,
}

/// Goes on where a system call was interrupted: one with a time limit is never begun again by the system.
pub struct Patient<S>(pub S);

impl<S: Read> Read for Patient<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buf) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl<S: Write> Write for Patient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S> Deref for Patient<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S> DerefMut for Patient<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0
    }
}

impl Client {
    /// A WebSocket, and nothing said yet.
    pub fn dial(address: SocketAddr) -> Self {
        Self::over(tcp(address))
    }

    /// A WebSocket that has an ID.
    pub fn join(address: SocketAddr) -> (Self, PeerId) {
        Self::join_with(address, 1)
    }

    pub fn join_with(address: SocketAddr, channels: u8) -> (Self, PeerId) {
        let mut client = Self::dial(address);
        let welcome = client.register(channels);
        (client, welcome.id)
    }

    pub fn raw(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }
}

impl<S: Read + Write> Client<S> {
    /// A WebSocket over whatever carries bytes, and nothing said yet.
    pub fn over(carrier: S) -> Self {
        Self::over_with(carrier, "/", &[]).unwrap()
    }

    /// The same, with this path and these headers. Fails with the status of the answer.
    pub fn over_with(carrier: S, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://relay{path}").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        match tungstenite::client(request, Patient(carrier)) {
            Ok((socket, response)) => {
                assert_eq!(response.headers()["Sec-WebSocket-Protocol"], SUBPROTOCOL);
                Ok(Self { socket })
            }
            Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub fn register(&mut self, channels: u8) -> Welcome {
        assert!(matches!(self.frame(), RelayFrame::Hello { version: VERSION, work: 0, .. }));
        self.send(ClientFrame::Register { version: VERSION, channels });
        match self.frame() {
            RelayFrame::Welcome(welcome) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub fn send(&mut self, frame: ClientFrame) {
        self.send_bytes(&frame.encode());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).unwrap();
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        loop {
            match self.socket.read().unwrap() {
                Message::Binary(bytes) => return bytes.to_vec(),
                Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn frame(&mut self) -> RelayFrame {
        RelayFrame::decode(&self.bytes()).unwrap()
    }

    /// The payload of the next frame, which is a FORWARD on this channel.
    pub fn payload(&mut self, channel: u32) -> Vec<u8> {
        let bytes = self.bytes();
        assert_eq!(
            ForwardHeader::peek(&bytes),
            Some(ForwardHeader { channel }),
            "{:x?}",
            &bytes[..bytes.len().min(40)]
        );
        bytes[5..].to_vec()
    }

    /// The code with which the relay closes, whatever comes before.
    pub fn close_code(&mut self) -> CloseCode {
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => return CloseCode::from_wire(frame.code.into()).unwrap(),
                Ok(Message::Close(None)) => panic!("closed without a code"),
                Ok(_) => {}
                Err(error) => panic!("ended without a close frame: {error}"),
            }
        }
    }

    /// The code with which the relay has closed, if it has; waits for nothing.
    pub fn close_code_if_any(&mut self) -> Option<CloseCode> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => return CloseCode::from_wire(frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// After the close frame, the socket ends.
    pub fn ends(mut self) {
        loop {
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::Protocol(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Two clients with a channel between them, and each one's number of it.
pub struct Pair {
    pub a: Client,
    pub b: Client,
    pub a_channel: u32,
    pub b_channel: u32,
}

impl Pair {
    pub fn meet(address: SocketAddr) -> Self {
        let (mut a, _) = Client::join(address);
        let (mut b, b_id) = Client::join(address);
        let (a_channel, b_channel) = connect(&mut a, 1, &mut b, b_id);
        Self { a, b, a_channel, b_channel }
    }

    /// One message each way; says how long that took.
    pub fn exchange(&mut self, text: &[u8]) -> Duration {
        let begin = Instant::now();
        self.a.send_bytes(&forward(self.a_channel, text));
        assert_eq!(self.b.payload(self.b_channel), text);
        self.b.send_bytes(&forward(self.b_channel, text));
        assert_eq!(self.a.payload(self.a_channel), text);
        begin.elapsed()
    }
}

/// `a` asks, `b` accepts; the channel's number at each.
pub fn connect<A: Read + Write, B: Read + Write>(
    a: &mut Client<A>,
    request: u32,
    b: &mut Client<B>,
    b_id: PeerId,
) -> (u32, u32) {
    a.send(ClientFrame::Connect { request, target: b_id, nonce: [1; 16] });
    let prompt = loop {
        if let RelayFrame::Incoming { request, .. } = b.frame() {
            break request;
        }
    };
    b.send(ClientFrame::Accept { request: prompt, nonce: [2; 16] });
    let ((a_by, a_channel), (b_by, b_channel)) = (opened(a), opened(b));
    assert_eq!((a_by, b_by), (OpenedBy::Approval, OpenedBy::Acceptance));
    (a_channel, b_channel)
}

fn opened<S: Read + Write>(client: &mut Client<S>) -> (OpenedBy, u32) {
    loop {
        if let RelayFrame::Opened { by, channel, .. } = client.frame() {
            return (by, channel);
        }
    }
}

pub const MANY: u8 = CHANNELS_MAX;

/// A write that fails is of no interest: the other side may close first.
pub fn send_quietly(socket: &mut TcpStream, bytes: &[u8]) {
    let _closed = socket.write_all(bytes);
}

/// How often handshakes have failed for this reason.
pub fn failures(relay: &RunningRelay, failure: HandshakeFailure) -> u64 {
    relay.handle().stats().handshake_failures.get(&failure).copied().unwrap_or(0)
}

/// The WebSocket layer alone: it sends back every message, until the tests end.
pub fn echo() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || phantom_mio::conformance::echo(&listener));
    address
}

/// How often connections were refused for this reason.
pub fn refusals(relay: &RunningRelay, refusal: Refusal) -> u64 {
    relay.handle().stats().refused.get(&refusal).copied().unwrap_or(0)
}
