//! Our own: two clients of one relay and a channel between them. A frame is a FORWARD.

use std::io;

use super::websocket::{self, Decoder, Upgraded};
use super::{Codec, Dialect, End, Pair, Template, number, unexpected};
use crate::system;

const REGISTER: u8 = 0x01;
const CONNECT: u8 = 0x03;
const ACCEPT: u8 = 0x04;
const FORWARD: u8 = 0x20;
const HELLO: u8 = 0x81;
const WELCOME: u8 = 0x82;
const INCOMING: u8 = 0x84;
const OPENED: u8 = 0x86;

/// Bytes of a FORWARD before the payload.
const HEADER: usize = 5;

/// A Phantom relay.
pub(crate) struct Phantom {
    pub(crate) port: u16,
}

impl Phantom {
    /// A client that has joined.
    pub(crate) fn join(&self, number: u64) -> io::Result<Client> {
        let stream = system::connect(self.port, number)?;
        let socket = websocket::upgrade(stream, "/", "Sec-WebSocket-Protocol: phantom.1\r\n")?;
        let mut client = Client { socket, id: [0; 6] };
        client.wait_for(HELLO)?;
        client.socket.send(&[REGISTER, 1, 1])?;
        client.id =
            *client.wait_for(WELCOME)?[1..].first_chunk().ok_or_else(|| unexpected("a short WELCOME"))?;
        Ok(client)
    }
}

impl Dialect for Phantom {
    fn pair(&self, number: u64) -> io::Result<Pair> {
        let mut near = self.join(2 * number)?;
        let mut far = self.join(2 * number + 1)?;
        near.socket.send(&[&[CONNECT, 0, 0, 0, 1], &far.id[..], &[1; 16]].concat())?;
        let incoming = far.wait_for(INCOMING)?;
        far.socket.send(&[&[ACCEPT], &incoming[1..5], &[2; 16]].concat())?;
        Ok(Pair { near: near.into_end()?, far: far.into_end()? })
    }

    fn frame_max(&self) -> usize {
        64 * 1024
    }
}

/// A client of a Phantom relay.
pub(crate) struct Client {
    socket: Upgraded,
    id: [u8; 6],
}

impl Client {
    fn wait_for(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            match self.socket.receive()? {
                (websocket::BINARY, frame) if frame.first() == Some(&kind) => return Ok(frame),
                (8, reason) => {
                    return Err(unexpected(format!("closed: {}", String::from_utf8_lossy(&reason))));
                }
                _ => {}
            }
        }
    }

    fn into_end(mut self) -> io::Result<End> {
        let opened = self.wait_for(OPENED)?;
        let mut header = [FORWARD; HEADER];
        header[1..].copy_from_slice(&opened[6..10]);
        let mut codec = Channel { header, decoder: Decoder::default() };
        codec.feed(&self.socket.unread, &mut |_| {})?;
        Ok(End { stream: self.socket.stream, codec: Box::new(codec) })
    }
}

struct Channel {
    header: [u8; HEADER],
    decoder: Decoder,
}

impl Codec for Channel {
    fn template(&self, payload: &[u8]) -> Template {
        websocket::template(&self.header, payload)
    }

    fn feed(&mut self, bytes: &[u8], got: &mut dyn FnMut(u64)) -> io::Result<()> {
        self.decoder.feed(bytes, &mut |message| {
            if message.first() == Some(&FORWARD) {
                got(number(&message[HEADER..]));
            }
        })
    }

    fn replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.decoder.replies)
    }
}
