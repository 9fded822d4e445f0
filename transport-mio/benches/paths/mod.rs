//! The relay's way from socket to socket, in a form that can be repeated: timed by `cargo bench -p phantom-mio`, counted by `.ci/counts`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use phantom_core::wire::{ClientFrame, ForwardHeader, RelayFrame, VERSION};
use phantom_mio::stage::Stage;

/// Does the work once.
pub(crate) type Run = Box<dyn FnMut()>;

/// Frames that are written, forwarded and read at once.
const BURST: usize = 50;
/// What a client masks with. Any that is not zero costs the same.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A burst of frames with payloads of `size` bytes, from one client through the relay to the other.
///
/// The client's own instructions are two copies by the kernel, which nobody counts.
pub(crate) fn burst(size: usize) -> Run {
    let mut stage = Stage::new().expect("a poll");
    let mut a = Peer::join(&mut stage);
    let mut b = Peer::join(&mut stage);
    a.say(&mut stage, ClientFrame::Connect { request: 1, target: b.id(), nonce: [1; 16] });
    let request = b.hear(|frame| match frame {
        RelayFrame::Incoming { request, .. } => Some(request),
        _ => None,
    });
    b.say(&mut stage, ClientFrame::Accept { request, nonce: [2; 16] });
    let channel = a.hear(|frame| match frame {
        RelayFrame::Opened { channel, .. } => Some(channel),
        _ => None,
    });
    b.hear(|frame| matches!(frame, RelayFrame::Opened { .. }).then_some(()));
    let frame = masked(&[&ForwardHeader { channel }.to_bytes()[..], &vec![7; size]].concat());
    let written = frame.repeat(BURST);
    let mut read = vec![0; BURST * (frame.len() - MASK.len())];
    Box::new(move || {
        a.socket.write_all(&written).expect("it fits the socket's buffer");
        stage.round().expect("a poll");
        b.socket.read_exact(&mut read).expect("all of it was forwarded");
    })
}

/// How many bytes of payload a burst moves.
pub(crate) const fn payload(size: usize) -> u64 {
    (BURST * size) as u64
}

struct Peer {
    socket: UnixStream,
    heard: Vec<u8>,
    id: Option<phantom_core::id::PeerId>,
}

impl Peer {
    fn join(stage: &mut Stage) -> Self {
        let socket = stage.connect().expect("a pair of sockets");
        socket.set_nonblocking(true).expect("any socket can");
        let mut peer = Self { socket, heard: Vec::new(), id: None };
        peer.socket
            .write_all(
                b"GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Protocol: phantom.1\r\n\r\n",
            )
            .expect("room");
        stage.round().expect("a poll");
        peer.listen();
        let end = peer.heard.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
        peer.heard.drain(..end + 4);
        peer.say(stage, ClientFrame::Register { version: VERSION, channels: 1 });
        let id = peer.hear(|frame| match frame {
            RelayFrame::Welcome(welcome) => Some(welcome.id),
            _ => None,
        });
        peer.id = Some(id);
        peer
    }

    fn id(&self) -> phantom_core::id::PeerId {
        self.id.expect("it has joined")
    }

    fn say(&mut self, stage: &mut Stage, frame: ClientFrame) {
        self.socket.write_all(&masked(&frame.encode())).expect("room");
        stage.round().expect("a poll");
    }

    /// The first of the frames heard by now that is wanted; those before it are forgotten.
    fn hear<T>(&mut self, wanted: impl Fn(RelayFrame) -> Option<T>) -> T {
        self.listen();
        loop {
            let len = usize::from(*self.heard.get(1).expect("the relay has more to say"));
            let message: Vec<u8> = self.heard.drain(..2 + len).collect();
            let frame = RelayFrame::decode(&message[2..]).expect("the relay's own");
            if let Some(found) = wanted(frame) {
                return found;
            }
        }
    }

    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = self.socket.read(&mut bytes) {
            self.heard.extend_from_slice(&bytes[..read]);
        }
    }
}

/// A binary message as a client sends it.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x82];
    match u8::try_from(payload.len()) {
        Ok(short @ ..126) => bytes.push(0x80 | short),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(payload.len()).expect("64 KiB at most").to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
