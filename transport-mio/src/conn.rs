//! One socket: shaking hands, open, or closing.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Shutdown};

use phantom_core::id::ConnId;
use phantom_core::time::Instant;

use crate::handshake::Handshake;
use crate::inbound::Inbound;
use crate::outbox::Outbox;
use crate::socket::Socket;
use crate::timers::Timer;
use crate::token::Key;

/// A socket and everything that belongs to it alone.
pub(crate) struct Conn {
    pub(crate) socket: Socket,
    /// Where the client is, if that is known.
    #[allow(dead_code)]
    pub(crate) address: Option<IpAddr>,
    pub(crate) phase: Phase,
    pub(crate) outbox: Outbox,
    pub(crate) timer: Option<Timer>,
    /// When something was last written, or began to wait.
    pub(crate) progress: Instant,
    /// The receiver it is held up by.
    pub(crate) held_by: Option<Key>,
    /// The senders it holds up.
    pub(crate) holds: Vec<Key>,
    /// It stands in the queue of those that get a turn.
    pub(crate) queued: bool,
    /// It stands in the list of those that have something to write.
    pub(crate) dirty: bool,
    readable: bool,
    writable: bool,
    /// The peer will send no more, or is gone: read up to the end.
    ended: bool,
}

/// What the socket is for.
pub(crate) enum Phase {
    /// The WebSocket handshake is under way.
    Handshaking(Handshake),
    /// Frames go to and fro.
    Open {
        /// As the relay machine knows it.
        conn: ConnId,
        /// The decoder; taken out while it is being fed.
        inbound: Option<Box<Inbound>>,
    },
    /// What waits is written, then this side is shut, then whatever comes is thrown away until the other side is shut as well.
    Closing {
        /// The client closed first, so that nothing more has to be waited for.
        theirs: bool,
        /// This side is shut.
        shut: bool,
    },
}

/// What reading gave.
pub(crate) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// None now.
    Nothing,
    /// There will be none any more.
    End,
}

/// What writing gave.
#[derive(PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing waits any more.
    All,
    /// The rest has to wait.
    Waiting,
    /// The socket is dead.
    Dead,
}

impl Conn {
    pub(crate) fn new(socket: Socket, address: Option<IpAddr>, now: Instant) -> Self {
        Self {
            socket,
            address,
            phase: Phase::Handshaking(Handshake::default()),
            outbox: Outbox::default(),
            timer: None,
            progress: now,
            held_by: None,
            holds: Vec::new(),
            queued: false,
            dirty: false,
            readable: true,
            writable: true,
            ended: false,
        }
    }

    /// Notes what an event says.
    pub(crate) fn note(&mut self, event: &mio::event::Event) {
        self.ended |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.ended;
        self.writable |= event.is_writable() || event.is_write_closed();
    }

    /// Whether reading may give something.
    pub(crate) fn wants_turn(&self) -> bool {
        let backlog =
            matches!(&self.phase, Phase::Open { inbound: Some(inbound), .. } if inbound.backlog.is_some());
        self.held_by.is_none() && (self.readable || backlog)
    }

    /// What was not decoded when this sender was held up. It may be empty while the decoder itself still has frames.
    pub(crate) fn take_backlog(&mut self) -> Option<Vec<u8>> {
        match &mut self.phase {
            Phase::Open { inbound: Some(inbound), .. } => inbound.backlog.take(),
            _ => None,
        }
    }

    /// Reads once.
    pub(crate) fn receive(&mut self, buf: &mut [u8]) -> Received {
        loop {
            match self.socket.read(buf) {
                Ok(0) => return Received::End,
                Ok(n) => {
                    // A short read has emptied the socket, and what comes later is a new event; but an end that has been
                    // announced is not announced again.
                    self.readable = n == buf.len() || self.ended;
                    return Received::Bytes(n);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        self.readable = false;
                        return Received::Nothing;
                    }
                    _ => return Received::End,
                },
            }
        }
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn send(&mut self, now: Instant) -> Sent {
        while self.writable && !self.outbox.is_empty() {
            match self.outbox.write_to(&mut self.socket) {
                Ok(0) => return Sent::Dead,
                Ok(_) => self.progress = now,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.writable = false,
                    _ => return Sent::Dead,
                },
            }
        }
        if self.outbox.is_empty() { Sent::All } else { Sent::Waiting }
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shut(&mut self) {
        if let Phase::Closing { shut: shut @ false, .. } = &mut self.phase {
            *shut = true;
            // A peer that is gone cannot be told, and needs not be.
            let _gone = self.socket.shutdown(Shutdown::Write);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use mio::{Events, Interest, Poll, Token};

    use super::*;

    /// Bytes and the end of them, announced by one event: nothing announces the end a second time.
    #[test]
    fn an_end_that_came_with_the_last_bytes_is_not_overlooked() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.write_all(b"last words").unwrap();
        drop(peer);
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut conn = Conn::new(Socket::Tcp(mio::net::TcpStream::from_std(socket)), None, Instant::ZERO);
        let mut poll = Poll::new().unwrap();
        conn.socket.register(poll.registry(), Token(0), Interest::READABLE).unwrap();
        let mut events = Events::with_capacity(8);
        while !conn.ended {
            poll.poll(&mut events, Some(std::time::Duration::from_secs(60))).unwrap();
            assert!(!events.is_empty(), "waited in vain");
            events.iter().for_each(|event| conn.note(event));
        }
        let mut buf = [0; 100];
        assert!(matches!(conn.receive(&mut buf), Received::Bytes(10)));
        assert!(conn.wants_turn());
        assert!(matches!(conn.receive(&mut buf), Received::End));
    }
}
