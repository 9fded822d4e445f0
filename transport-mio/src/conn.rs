//! One socket: shaking hands, open, or closing.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::ops::Range;

use phantom_core::id::ConnId;
use phantom_core::relay::{Source, SourceGroup};
use phantom_core::time::Instant;

use crate::handshake::Handshake;
use crate::inbound::{Filled, Inbound};
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::socket::Socket;
use crate::timers::Timer;
use crate::token::Key;

/// Pieces of memory that [`Conn::send_now`] takes at once.
pub(crate) const PLACES_MAX: usize = 32;

/// What every connection costs: itself, and its places in tables and queues.
const FIXED: usize = size_of::<Conn>() + 256;

/// A socket and everything that belongs to it alone.
pub(crate) struct Conn {
    /// How many had been accepted when it was: its name in the log.
    pub(crate) number: u64,
    pub(crate) socket: Socket,
    pub(crate) phase: Phase,
    pub(crate) outbox: Outbox,
    pub(crate) timer: Option<Timer>,
    /// Set while it is not read because it is ahead of its pace.
    pub(crate) rest: Option<Timer>,
    pub(crate) pace: Pace,
    /// Where it comes from.
    pub(crate) source: Source,
    /// Bytes of memory that it is charged with.
    pub(crate) charged: usize,
    /// Bytes of the relay machine's memory that its address is charged with for it.
    pub(crate) share: usize,
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
        inbound: Inbound,
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
    /// So many bytes, and where they are.
    Bytes(Filled),
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
    pub(crate) fn new(
        number: u64,
        socket: Socket,
        source: Source,
        handshake: Handshake,
        now: Instant,
    ) -> Self {
        Self {
            number,
            socket,
            phase: Phase::Handshaking(handshake),
            outbox: Outbox::default(),
            timer: None,
            rest: None,
            pace: Pace::default(),
            source,
            charged: 0,
            share: 0,
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

    /// With whom it shares its turns and its memory.
    pub(crate) const fn home(&self) -> SourceGroup {
        self.source.group()
    }

    /// Notes what an event says.
    pub(crate) fn note(&mut self, event: &mio::event::Event) {
        self.ended |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.ended;
        self.writable |= event.is_writable() || event.is_write_closed();
    }

    /// Begins TLS, if there is any, with these bytes, which have been read already; says whether it takes them.
    pub(crate) fn begin_tls(&mut self, early: &[u8]) -> bool {
        let begun = self.socket.begin(early);
        self.readable |= begun;
        begun
    }

    /// Whether reading may give something.
    pub(crate) fn wants_turn(&self) -> bool {
        let undecoded = matches!(&self.phase, Phase::Open { inbound, .. } if inbound.has_undecoded());
        self.held_by.is_none() && self.rest.is_none() && (self.readable || undecoded)
    }

    /// The decoder of an open WebSocket.
    pub(crate) fn inbound(&mut self) -> Option<&mut Inbound> {
        match &mut self.phase {
            Phase::Open { inbound, .. } => Some(inbound),
            Phase::Handshaking(_) | Phase::Closing { .. } => None,
        }
    }

    /// Reads once, into `input` or where the decoder keeps the frame that has begun to come.
    pub(crate) fn receive(&mut self, input: &mut [u8]) -> Received {
        loop {
            let result =
                match &mut self.phase {
                    Phase::Open { inbound, .. } => inbound.fill(&mut self.socket, input),
                    Phase::Handshaking(_) | Phase::Closing { .. } => self
                        .socket
                        .read(input)
                        .map(|read| Filled { frame: false, input: read, read, short: read < input.len() }),
                };
            match result {
                Ok(Filled { read: 0, .. }) => return Received::End,
                Ok(filled) => {
                    // A short read has emptied the socket, and what comes later is a new event; but an end that has been
                    // announced is not announced again.
                    self.readable =
                        !filled.short || self.ended || self.socket.has_ended() || self.socket.has_more();
                    return Received::Bytes(filled);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        self.readable = self.socket.has_more();
                        return Received::Nothing;
                    }
                    _ => return Received::End,
                },
            }
        }
    }

    /// Reads once more while the decoder is taken out, if the last read says that there is more. How many bytes came; an end is told by the
    /// next [`receive`](Self::receive).
    pub(crate) fn read_on(&mut self, room: &mut [u8]) -> usize {
        if !self.readable {
            return 0;
        }
        match self.receive(room) {
            Received::Bytes(Filled { read, .. }) => read,
            Received::Nothing | Received::End => 0,
        }
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn send(&mut self, now: Instant) -> Sent {
        while self.writable && self.wants_to_send() {
            let sent = match self.outbox.is_empty() {
                true => self.socket.flush().map(|()| 1),
                false => self.outbox.write_to(&mut self.socket),
            };
            match sent {
                Ok(0) => return Sent::Dead,
                Ok(_) => self.progress = now,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.writable = false,
                    _ => return Sent::Dead,
                },
            }
        }
        if self.wants_to_send() { Sent::Waiting } else { Sent::All }
    }

    /// Whether something waits to be written.
    pub(crate) fn wants_to_send(&self) -> bool {
        !self.outbox.is_empty() || self.socket.wants_flush()
    }

    /// Writes frames that stand encoded in these places of `buf`, if nothing waits before them; says how many bytes were taken.
    /// What goes wrong is told by the next [`send`](Self::send).
    pub(crate) fn send_now(&mut self, now: Instant, buf: &[u8], places: &[Range<usize>]) -> usize {
        if !self.writable || !self.outbox.is_empty() {
            return 0;
        }
        let mut slices = [IoSlice::new(&[]); PLACES_MAX];
        for (slice, place) in slices.iter_mut().zip(places) {
            *slice = IoSlice::new(&buf[place.clone()]);
        }
        let written = match &slices[..places.len().min(PLACES_MAX)] {
            [one] => self.socket.write(one),
            many => self.socket.write_vectored(many),
        };
        if written.is_ok() {
            self.progress = now;
        }
        written.unwrap_or(0)
    }

    /// Bytes of memory that are held for it.
    pub(crate) fn memory(&self) -> usize {
        let phase = match &self.phase {
            Phase::Handshaking(handshake) => handshake.memory(),
            Phase::Open { inbound, .. } => inbound.memory(),
            Phase::Closing { .. } => 0,
        };
        FIXED + phase + self.outbox.memory() + self.holds.capacity() * size_of::<Key>() + self.socket.memory()
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
        let mut conn = Conn::new(
            1,
            Socket::Tcp(mio::net::TcpStream::from_std(socket)),
            Source::Unknown,
            Handshake::default(),
            Instant::ZERO,
        );
        let mut poll = Poll::new().unwrap();
        conn.socket.register(poll.registry(), Token(0), Interest::READABLE).unwrap();
        let mut events = Events::with_capacity(8);
        while !conn.ended {
            poll.poll(&mut events, Some(std::time::Duration::from_secs(60))).unwrap();
            assert!(!events.is_empty(), "waited in vain");
            events.iter().for_each(|event| conn.note(event));
        }
        let mut buf = [0; 100];
        assert!(matches!(conn.receive(&mut buf), Received::Bytes(Filled { input: 10, .. })));
        assert!(conn.wants_turn());
        assert!(matches!(conn.receive(&mut buf), Received::End));
    }
}
