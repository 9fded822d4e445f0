//! Two WebSocket clients of one path; binary messages are passed on as they are.

use std::io;

use super::websocket::{self, Decoder};
use super::{Codec, Dialect, End, Pair, Template, number};
use crate::system;

/// A relay that joins the clients of one path.
pub(crate) struct Room {
    pub(crate) port: u16,
}

impl Dialect for Room {
    fn pair(&self, number: u64) -> io::Result<Pair> {
        let path = format!("/{number}");
        let end = |side| -> io::Result<End> {
            let upgraded = websocket::upgrade(system::connect(self.port, 2 * number + side)?, &path, "")?;
            let mut codec = Plain::default();
            codec.feed(&upgraded.unread, &mut |_| {})?;
            Ok(End { stream: upgraded.stream, codec: Box::new(codec) })
        };
        Ok(Pair { near: end(0)?, far: end(1)? })
    }
}

#[derive(Default)]
struct Plain(Decoder);

impl Codec for Plain {
    fn template(&self, payload: &[u8]) -> Template {
        websocket::template(&[], payload)
    }

    fn feed(&mut self, bytes: &[u8], got: &mut dyn FnMut(u64)) -> io::Result<()> {
        self.0.feed(bytes, &mut |message| got(number(message)))
    }

    fn replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0.replies)
    }
}
