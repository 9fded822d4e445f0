//! The client protocol of iroh-relay over plain WebSockets, spoken here and not by its crate, so that a client costs as much as every
//! other. A challenge is signed; then `4 | key | ecn | data` goes out, and `6 | key | ecn | data` comes in.

use std::io;

use ed25519_dalek::{Signer, SigningKey};

use super::websocket::{self, Decoder, Upgraded};
use super::{Codec, Dialect, End, Pair, Template, number, unexpected};
use crate::system;

const CHALLENGE: u8 = 0;
const SIGNATURE: u8 = 1;
const CONFIRMED: u8 = 2;
const DATAGRAM_OUT: u8 = 4;
const DATAGRAM_IN: u8 = 6;
const PING: u8 = 9;
const PONG: u8 = 10;
const CONTEXT: &str = "iroh-relay handshake v1 challenge signature";

/// Bytes of a datagram before its data.
const HEADER: usize = 34;

/// An iroh-relay.
pub(crate) struct Iroh {
    pub(crate) port: u16,
}

impl Iroh {
    fn join(&self, number: u64) -> io::Result<Upgraded> {
        let key = key(number);
        let headers = "Sec-WebSocket-Protocol: iroh-relay-v2\r\n";
        let mut socket = websocket::upgrade(system::connect(self.port, number)?, "/relay", headers)?;
        let (_, challenge) = socket.receive()?;
        if challenge.len() != 17 || challenge[0] != CHALLENGE {
            return Err(unexpected("no challenge"));
        }
        let signed = key.sign(&blake3::derive_key(CONTEXT, &challenge[1..])).to_bytes();
        socket.send(&[&[SIGNATURE], &key.verifying_key().as_bytes()[..], &[64], &signed[..]].concat())?;
        match socket.receive()? {
            (_, answer) if answer.first() == Some(&CONFIRMED) => Ok(socket),
            (_, answer) => Err(unexpected(format!("denied: {answer:?}"))),
        }
    }
}

impl Dialect for Iroh {
    fn pair(&self, number: u64) -> io::Result<Pair> {
        let end = |own, other| -> io::Result<End> {
            let socket = self.join(own)?;
            let to = *key(other).verifying_key().as_bytes();
            let mut codec = Datagrams { to, decoder: Decoder::default(), replies: Vec::new() };
            codec.feed(&socket.unread, &mut |_| {})?;
            Ok(End { stream: socket.stream, codec: Box::new(codec) })
        };
        let (near, far) = (2 * number, 2 * number + 1);
        Ok(Pair { near: end(near, far)?, far: end(far, near)? })
    }

    /// A frame has 64 KiB with its header.
    fn frame_max(&self) -> usize {
        64 * 1024 - 64
    }

    /// It drops what comes when 512 packets wait for a client.
    fn in_flight_max(&self) -> usize {
        384
    }
}

fn key(number: u64) -> SigningKey {
    SigningKey::from_bytes(blake3::hash(&number.to_le_bytes()).as_bytes())
}

struct Datagrams {
    to: [u8; 32],
    decoder: Decoder,
    replies: Vec<u8>,
}

impl Codec for Datagrams {
    fn template(&self, payload: &[u8]) -> Template {
        websocket::template(&[&[DATAGRAM_OUT], &self.to[..], &[0]].concat(), payload)
    }

    fn feed(&mut self, bytes: &[u8], got: &mut dyn FnMut(u64)) -> io::Result<()> {
        let replies = &mut self.replies;
        self.decoder.feed(bytes, &mut |message| match message.first() {
            Some(&DATAGRAM_IN) if message.len() >= HEADER => got(number(&message[HEADER..])),
            Some(&PING) => {
                let pong = [&[PONG], &message[1..]].concat();
                replies.extend_from_slice(&websocket::masked(websocket::BINARY, &pong).0);
            }
            _ => {}
        })?;
        replies.append(&mut self.decoder.replies);
        Ok(())
    }

    fn replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }
}
