//! The relay machine and the sockets it speaks through: what happens to one socket, and what follows for others.
//!
//! The rule: a socket gets a *turn*, in which it is read once, everything it brought is handled, and everybody for whom something came
//! of it is written to once. A turn is bounded by the read buffer. A full receiver costs its senders their turns and nobody else anything.

mod pressure;

use std::collections::VecDeque;
use std::mem;
use std::net::IpAddr;

use mio::event::Event;
use phantom_core::id::ConnId;
use phantom_core::relay::{Handled, Input, Output, Place, Relay};
use phantom_core::time::Instant;
use phantom_core::wire::CloseCode;

use crate::config::ServerLimits;
use crate::conn::{Conn, Phase, Received};
use crate::handshake::{HandshakeFailure, Progress};
use crate::inbound::{Inbound, Incoming};
use crate::socket::Socket;
use crate::stats::ServerStats;
use crate::timers::{Timers, Wait};
use crate::token::{Key, Links, Slots};

pub(crate) struct Switchboard {
    relay: Relay,
    limits: ServerLimits,
    conns: Slots<Conn>,
    links: Links,
    timers: Timers,
    /// Who gets a turn, in order.
    ready: VecDeque<Key>,
    /// Who has something to write.
    dirty: Vec<Key>,
    stats: ServerStats,
    /// What a turn reads into.
    input: Box<[u8]>,
    /// The frame at hand: the machine rewrites its header here.
    frame: Vec<u8>,
    /// What the WebSocket layer answers by itself.
    replies: Vec<u8>,
}

impl Switchboard {
    pub(crate) fn new(relay: Relay, limits: ServerLimits) -> Self {
        Self {
            relay,
            input: vec![0; limits.read_bytes_per_turn].into_boxed_slice(),
            limits,
            conns: Slots::new(),
            links: Links::default(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            stats: ServerStats::default(),
            frame: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// A socket has been accepted; it waits for its first event.
    pub(crate) fn admit(&mut self, now: Instant, socket: Socket, address: Option<IpAddr>) -> Key {
        self.stats.accepted += 1;
        let key = self.conns.insert(Conn::new(socket, address, now));
        self.set_timer(key, Some((Wait::Handshake, now + self.limits.handshake_timeout)));
        if self.timers.count(Wait::Handshake) > self.limits.handshakes_max
            && let Some((_, oldest)) = self.timers.first(Wait::Handshake)
        {
            self.fail_handshake(now, oldest, HandshakeFailure::Crowded);
        }
        key
    }

    /// The socket with this key, to register it.
    pub(crate) fn socket(&mut self, key: Key) -> Option<&mut Socket> {
        self.conns.get_mut(key).map(|conn| &mut conn.socket)
    }

    /// Drops a socket that could not be registered.
    pub(crate) fn discard(&mut self, now: Instant, key: Key) {
        self.remove(now, key);
    }

    /// The poll says that something can be done with a socket.
    pub(crate) fn event(&mut self, now: Instant, key: Key, event: &Event) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.note(event);
        if conn.held_by.is_some() && event.is_error() {
            return self.lose(now, key);
        }
        if !conn.outbox.is_empty() {
            mark(&mut self.dirty, key, conn);
        }
        queue(&mut self.ready, key, conn);
    }

    /// Gives a turn to everybody who waits for one now.
    pub(crate) fn turns(&mut self, now: Instant) {
        self.settle(now);
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else { break };
            self.turn(now, key);
            self.settle(now);
        }
    }

    /// Whether somebody still waits for a turn.
    pub(crate) fn is_busy(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Handles every deadline that has passed.
    pub(crate) fn timeout(&mut self, now: Instant) {
        while let Some((wait, key)) = self.timers.due(now) {
            match wait {
                Wait::Handshake => self.fail_handshake(now, key, HandshakeFailure::Timeout),
                Wait::Stall => self.check_stall(now, key),
                Wait::Linger => self.remove(now, key),
            }
        }
        if self.relay.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
            let _done = self.relay.handle(now, Input::Timeout);
            self.apply_outputs(now);
        }
        self.settle(now);
    }

    /// When [`timeout`](Self::timeout) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let machine = self.relay.poll_timeout().map(|deadline| deadline.at);
        self.timers.next().into_iter().chain(machine).min()
    }

    /// Tells every client when to come back, and closes every socket.
    pub(crate) fn drain(&mut self, now: Instant) {
        self.relay.drain(now, self.limits.drain_after);
        self.apply_outputs(now);
        for key in self.conns.keys().collect::<Vec<_>>() {
            // The machine is not told: it would tell each client that the others are gone.
            match self.conns.get_mut(key).map(|conn| &conn.phase) {
                Some(Phase::Open { .. }) => self.close(now, key, Ending::Ours(CloseCode::GoingAway)),
                Some(Phase::Handshaking(_)) => self.remove(now, key),
                Some(Phase::Closing { .. }) | None => {}
            }
        }
        self.settle(now);
    }

    /// Sockets open now.
    pub(crate) fn len(&self) -> usize {
        self.conns.len()
    }

    /// Notes that the system had no room for a connection.
    pub(crate) fn count_accept_failure(&mut self) {
        self.stats.accept_failures += 1;
    }

    /// The counters and the figures of now.
    pub(crate) fn stats(&self) -> ServerStats {
        ServerStats {
            relay: self.relay.stats().clone(),
            sockets: self.conns.len(),
            outbox_bytes: self.conns.values().map(|c| c.outbox.data_bytes() + c.outbox.control_bytes()).sum(),
            ..self.stats.clone()
        }
    }

    /// One turn: what was left over when its sender was held up, or one read.
    fn turn(&mut self, now: Instant, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.queued = false;
        if !conn.wants_turn() {
            return;
        }
        if let Some(backlog) = conn.take_backlog() {
            self.take(now, key, &backlog);
        } else {
            let mut buf = mem::take(&mut self.input);
            match conn.receive(&mut buf) {
                Received::Nothing => {}
                Received::Bytes(n) => self.take(now, key, &buf[..n]),
                Received::End => self.lose(now, key),
            }
            self.input = buf;
        }
        if let Some(conn) = self.conns.get_mut(key)
            && conn.wants_turn()
        {
            queue(&mut self.ready, key, conn);
        }
    }

    /// Bytes have come.
    fn take(&mut self, now: Instant, key: Key, mut input: &[u8]) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if let Phase::Handshaking(handshake) = &mut conn.phase {
            match handshake.feed(&mut input) {
                Progress::Waiting => return,
                Progress::Upgraded(answer) => self.open(now, key, &answer),
                Progress::Refused(failure, answer) => {
                    self.stats.count_failure(failure);
                    conn.outbox.push_raw(&answer);
                    return self.close(now, key, Ending::Said);
                }
            }
        }
        self.decode(now, key, input);
    }

    /// The WebSocket handshake is complete.
    fn open(&mut self, now: Instant, key: Key, answer: &[u8]) {
        self.set_timer(key, None);
        let Some(socket) = self.conns.get_mut(key) else { return };
        socket.outbox.push_raw(answer);
        mark(&mut self.dirty, key, socket);
        match self.relay.open(now) {
            Ok(conn) => {
                socket.phase = Phase::Open { conn, inbound: Some(Box::new(Inbound::new())) };
                self.links.insert(conn, key);
                self.apply_outputs(now);
            }
            Err(code) => self.close(now, key, Ending::Ours(code)),
        }
    }

    /// Handles every frame in `input`, until its sender is held up or closed.
    fn decode(&mut self, now: Instant, key: Key, mut input: &[u8]) {
        let Some(Phase::Open { conn: from, inbound }) = self.conns.get_mut(key).map(|conn| &mut conn.phase)
        else {
            return;
        };
        let from = *from;
        let Some(mut decoder) = inbound.take() else { return };
        loop {
            let incoming = decoder.next(&mut input, &mut self.replies);
            if !self.replies.is_empty() {
                self.reply(now, key, from);
            }
            match incoming {
                Incoming::Nothing => break,
                Incoming::Frame(frame) => {
                    self.frame.clear();
                    self.frame.extend_from_slice(&frame);
                    match self.relay.handle(now, Input::Frame { from, frame: &mut self.frame }) {
                        Handled::Forward(to) => {
                            if self.forward(now, key, from, to) {
                                decoder.backlog = Some(input.to_vec());
                                break;
                            }
                            continue;
                        }
                        Handled::Done => {}
                    }
                }
                Incoming::Invalid(code) => {
                    let _done = self.relay.handle(now, Input::Invalid { from, code });
                }
                Incoming::Closed => {
                    self.stats.closed_by_client += 1;
                    let _done = self.relay.handle(now, Input::Closed { conn: from });
                    self.close(now, key, Ending::Theirs);
                }
            }
            self.apply_outputs(now);
            if self.links.key(from).is_none() {
                return;
            }
        }
        if let Some(Phase::Open { inbound, .. }) = self.conns.get_mut(key).map(|conn| &mut conn.phase) {
            *inbound = Some(decoder);
        }
    }

    /// What the WebSocket layer has to say goes with the control frames.
    fn reply(&mut self, now: Instant, key: Key, from: ConnId) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.outbox.push_raw(&self.replies);
            mark(&mut self.dirty, key, conn);
            if conn.outbox.control_bytes() > self.limits.control_bytes_max {
                let _done = self.relay.handle(now, Input::Invalid { from, code: CloseCode::Stalled });
                self.apply_outputs(now);
            }
        }
        self.replies.clear();
    }

    /// Does what the machine wants done.
    fn apply_outputs(&mut self, now: Instant) {
        while let Some(output) = self.relay.poll_output() {
            match output {
                Output::Transmit { to, frame, place } => {
                    let Some(key) = self.links.key(to) else { continue };
                    let Some(conn) = self.conns.get_mut(key) else { continue };
                    match place {
                        Place::Ahead => conn.outbox.push_control(&frame),
                        Place::Behind => conn.outbox.push_data(&frame),
                    }
                    mark(&mut self.dirty, key, conn);
                    if conn.outbox.control_bytes() > self.limits.control_bytes_max {
                        let stalled = Input::Invalid { from: to, code: CloseCode::Stalled };
                        let _done = self.relay.handle(now, stalled);
                    }
                }
                Output::Close { conn, code } => {
                    if let Some(key) = self.links.key(conn) {
                        self.close(now, key, Ending::Ours(code));
                    }
                }
                Output::Unblock { from } => {
                    if let Some(key) = self.links.key(from) {
                        self.release(key);
                    }
                }
            }
        }
    }

    fn fail_handshake(&mut self, now: Instant, key: Key, failure: HandshakeFailure) {
        self.stats.count_failure(failure);
        self.remove(now, key);
    }

    /// The socket has ended without a close frame.
    fn lose(&mut self, now: Instant, key: Key) {
        match self.conns.get_mut(key).map(|conn| &conn.phase) {
            Some(&Phase::Open { conn, .. }) => {
                self.stats.lost += 1;
                let _done = self.relay.handle(now, Input::Closed { conn });
                self.remove(now, key);
                self.apply_outputs(now);
            }
            Some(Phase::Handshaking(_)) => self.fail_handshake(now, key, HandshakeFailure::Gone),
            Some(Phase::Closing { .. }) => self.remove(now, key),
            None => {}
        }
    }

    /// Says the last word, and lets the socket linger until the peer has heard it.
    fn close(&mut self, now: Instant, key: Key, ending: Ending) {
        self.detach(now, key);
        let Some(conn) = self.conns.get_mut(key) else { return };
        match ending {
            Ending::Ours(code) => conn.outbox.push_close(code),
            Ending::Theirs | Ending::Said => conn.outbox.drop_data(),
        }
        conn.phase = Phase::Closing { theirs: matches!(ending, Ending::Theirs), shut: false };
        mark(&mut self.dirty, key, conn);
        self.set_timer(key, Some((Wait::Linger, now + self.limits.close_linger)));
    }

    /// Drops the socket.
    fn remove(&mut self, now: Instant, key: Key) {
        self.detach(now, key);
        self.set_timer(key, None);
        self.conns.remove(key);
    }

    /// Cuts every tie to the machine and to other sockets.
    fn detach(&mut self, now: Instant, key: Key) {
        if let Some(Phase::Open { conn, .. }) = self.conns.get_mut(key).map(|conn| &conn.phase) {
            self.links.remove(*conn);
        }
        self.release(key);
        self.release_senders(now, key);
    }

    fn set_timer(&mut self, key: Key, timer: Option<(Wait, Instant)>) {
        if let Some(conn) = self.conns.get_mut(key) {
            self.timers.set(key, &mut conn.timer, timer);
        }
    }
}

/// How a socket comes to be closed.
#[derive(Clone, Copy)]
enum Ending {
    /// The relay closes the WebSocket.
    Ours(CloseCode),
    /// The client has closed it, and the reply waits.
    Theirs,
    /// It never was a WebSocket, and the HTTP answer waits.
    Said,
}

fn mark(dirty: &mut Vec<Key>, key: Key, conn: &mut Conn) {
    if !mem::replace(&mut conn.dirty, true) {
        dirty.push(key);
    }
}

fn queue(ready: &mut VecDeque<Key>, key: Key, conn: &mut Conn) {
    if !mem::replace(&mut conn.queued, true) {
        ready.push_back(key);
    }
}
