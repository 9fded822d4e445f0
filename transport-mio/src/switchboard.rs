//! The relay machine and the sockets it speaks through: what happens to one socket, and what follows for others.
//!
//! The rule: a socket gets a *turn*, in which it is read once, or to the end of a long frame, everything it brought is handled, and
//! everybody for whom something came of it is written to once. A turn is bounded by the read buffer. A full receiver costs its senders
//! their turns and nobody else anything.

mod forward;
mod pressure;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::Range;
use std::{fmt, mem};

use mio::event::Event;
use phantom_core::id::ConnId;
use phantom_core::relay::{Handled, Input, Output, Place, Relay, Source};
use phantom_core::time::Instant;
use phantom_core::websocket::opcode;
use phantom_core::wire::{CloseCode, FRAME_MAX};

use self::forward::Run;
use crate::access::{Access, SITE_FACTOR, Visits};
use crate::addresses::Addresses;
use crate::budget::Budget;
use crate::certificate::TlsConfig;
use crate::config::ServerLimits;
use crate::conn::{Conn, Phase, Received};
use crate::handshake::{self, Handshake, HandshakeFailure, Progress};
use crate::inbound::{self, Fault, Inbound, Incoming, Rules};
use crate::pace::Rate;
use crate::proxy::{ClientAddresses, Introduction};
use crate::socket::Socket;
use crate::stats::{Refusal, ServerStats};
use crate::timers::{Timers, Wait};
use crate::token::{Key, Links, Slots};

/// Once so many bytes have been read, it is time to look for new events.
const ROUND_WORK: usize = 256 * 1024;
/// The rest of a frame this long is read in the same turn. What there is of a shorter one is sooner copied than another read is done.
const LONG_FRAME: usize = 8 * 1024;
/// The buffer is longer than two reads by so much, so that their headers do not keep four frames of 64 KiB out of it.
const HEADERS: usize = 1024;
/// A turn costs as much as reading so many bytes, even if it brings none.
const TURN_WORK: usize = 4 * 1024;
/// And a frame as much as so many bytes more.
const FRAME_WORK: usize = 64;
/// Control frames that one turn handles: each may cost as much as hundreds of bytes that are only passed on.
const CONTROL_PER_TURN: usize = 64;
/// Runs of forwarded frames that one turn ends: each is a call of the system. Whoever sends to one receiver at a time never comes near.
const RUNS_PER_TURN: usize = 16;
/// And a run costs as much as reading so many bytes.
const RUN_WORK: usize = 4 * 1024;
/// As far as its pace goes, a control frame counts for so many that are only passed on. No client has much to say to its relay.
const CONTROL_WEIGHT: usize = 50;

/// Connections that have something to write that there is always room for.
const DIRTY_MAX: usize = 1024;

pub(crate) struct Switchboard {
    relay: Relay,
    limits: ServerLimits,
    /// Each in memory of its own: a place that is free takes hardly any, and none moves when the table grows.
    conns: Slots<Box<Conn>>,
    links: Links,
    timers: Timers,
    access: Access,
    visits: Visits,
    client_addresses: ClientAddresses,
    addresses: Addresses,
    budget: Budget,
    /// The budget is nearly used up.
    short: bool,
    rules: Rules,
    bytes_rate: Rate,
    messages_rate: Rate,
    /// Who has something to write.
    dirty: Vec<Key>,
    stats: ServerStats,
    /// What a turn reads into: first the one half, and then the other if that ends within a long frame.
    input: Box<[u8]>,
    run: Run,
    /// What the WebSocket layer answers by itself.
    replies: Vec<u8>,
}

impl Switchboard {
    pub(crate) fn new(
        relay: Relay,
        limits: ServerLimits,
        client_addresses: ClientAddresses,
        access: Access,
    ) -> Self {
        Self {
            relay,
            access,
            visits: Visits::default(),
            client_addresses,
            input: vec![0; 2 * limits.read_bytes_per_turn + HEADERS].into_boxed_slice(),
            budget: Budget::new(limits.memory),
            short: false,
            bytes_rate: Rate::per_second(limits.client_bytes_per_second),
            messages_rate: Rate::per_second(limits.client_messages_per_second),
            limits,
            conns: Slots::new(),
            links: Links::default(),
            timers: Timers::default(),
            addresses: Addresses::default(),
            rules: Rules { message_max: FRAME_MAX, text: false },
            dirty: Vec::new(),
            stats: ServerStats::default(),
            run: Run::default(),
            replies: Vec::new(),
        }
    }

    /// Lets in, from now on, whom this lets in. Whoever is in stays.
    pub(crate) fn set_access(&mut self, access: Access) {
        self.access = access;
    }

    /// A socket has been accepted; if it is let in, it waits for its first event. TLS is begun for nobody else.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        socket: Socket,
        address: Option<IpAddr>,
        tls: Option<&TlsConfig>,
    ) -> Option<Key> {
        self.stats.accepted += 1;
        let introduction = self.client_addresses.introduction(address);
        let address = address.filter(|_| introduction == Introduction::None);
        if let Err(refusal) = self.examine(now, address) {
            self.stats.count_refusal(refusal);
            log::debug!(refusal:?, address:? = Shown(address); "a connection is refused");
            return None;
        }
        let source = address.map_or(Source::Unknown, Source::Address);
        let mut socket = match tls {
            None => socket,
            Some(tls) => {
                let secured = socket.secure(tls.rustls());
                secured.inspect_err(|error| log::warn!("TLS cannot be begun: {error}")).ok()?
            }
        };
        if introduction == Introduction::Header {
            socket.hold_back();
        }
        self.addresses.enter(source.group());
        let number = self.stats.accepted;
        log::debug!(connection = number, tls = tls.is_some(), address:? = Shown(address); "a connection has come");
        let key =
            self.conns.insert(Box::new(Conn::new(number, socket, source, Handshake::new(introduction), now)));
        self.account(key);
        self.set_timer(key, Some((Wait::Handshake, now + self.limits.handshake_timeout)));
        if self.timers.count(Wait::Handshake) > self.limits.handshakes_max
            && let Some((_, oldest)) = self.timers.first(Wait::Handshake)
        {
            self.fail_handshake(now, oldest, HandshakeFailure::Crowded);
        }
        Some(key)
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
        if conn.wants_to_send() {
            mark(&mut self.dirty, key, conn);
        }
        queue(&mut self.addresses, key, conn);
    }

    /// Gives turns: one to each address that waits for one, and more, round the addresses, until enough has been read to look for
    /// new events again.
    pub(crate) fn turns(&mut self, now: Instant) {
        self.settle(now);
        let (mut first, mut work) = (self.addresses.waiting(), 0);
        while first > 0 || work < ROUND_WORK {
            let Some(key) = self.addresses.next() else { break };
            work += TURN_WORK + self.turn(now, key);
            first = first.saturating_sub(1);
            self.settle(now);
        }
        self.weigh_tables();
        self.watch_memory();
        self.shed(now);
    }

    /// Counts the memory of what belongs to no single connection.
    fn weigh_tables(&mut self) {
        self.budget.set_machine(self.relay.memory() + self.visits.memory());
    }

    /// Says once when room becomes scarce, and once when it no longer is.
    fn watch_memory(&mut self) {
        let short = self.budget.refuses();
        if mem::replace(&mut self.short, short) != short {
            let (used, limit) = (self.budget.used() >> 20, self.budget.limit() >> 20);
            if short {
                log::warn!("memory is nearly used up ({used} of {limit} MiB): new connections are refused");
            } else {
                log::warn!("there is memory again ({used} of {limit} MiB): new connections are taken");
            }
        }
    }

    /// Whether somebody still waits for a turn.
    pub(crate) fn is_busy(&self) -> bool {
        self.addresses.waiting() > 0
    }

    /// Handles every deadline that has passed.
    pub(crate) fn timeout(&mut self, now: Instant) {
        while let Some((wait, key)) = self.timers.due(now) {
            match wait {
                Wait::Handshake => self.fail_handshake(now, key, HandshakeFailure::Timeout),
                Wait::Stall => self.check_stall(now, key),
                Wait::Rest => self.end_rest(key),
                Wait::Linger => self.remove(now, key),
            }
        }
        self.visits.forget(now);
        if self.relay.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
            let _done = self.relay.handle(now, Input::Timeout);
            self.apply_outputs(now);
        }
        self.settle(now);
        if self.dirty.capacity() > DIRTY_MAX {
            self.dirty = Vec::new();
        }
    }

    /// When [`timeout`](Self::timeout) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let machine = self.relay.poll_timeout().map(|deadline| deadline.at);
        self.timers.next().into_iter().chain(machine).min()
    }

    /// Tells every client when to come back, and closes every socket.
    pub(crate) fn drain(&mut self, now: Instant) {
        self.limits.close_linger = self.limits.drain_timeout;
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
        let mut stats = ServerStats {
            relay: self.relay.stats().clone(),
            memory_used: self.budget.used(),
            memory_limit: self.budget.limit(),
            memory_short: self.budget.refuses(),
            addresses: self.addresses.len(),
            frames_sent: self.stats.frames_sent + self.relay.stats().frames_forwarded,
            ..self.stats.clone()
        };
        self.conns.values().for_each(|conn| stats.see(conn));
        stats
    }

    /// One turn: what was kept when its sender was held up, or one read. Says how much work that was, in bytes.
    fn turn(&mut self, now: Instant, key: Key) -> usize {
        let Some(conn) = self.conns.get_mut(key) else { return 0 };
        conn.queued = false;
        if !conn.wants_turn() {
            return 0;
        }
        let mut work = 0;
        self.run.ended = 0;
        if let Some(mut kept) = conn.inbound().and_then(Inbound::take_undecoded) {
            let len = kept.len();
            self.decode(now, key, &mut kept, len);
        } else {
            let mut input = mem::take(&mut self.input);
            let most = self.limits.read_bytes_per_turn;
            match conn.receive(&mut input[..most]) {
                // If there is more all the same, it was as much work as a read that brings something.
                Received::Nothing if conn.wants_turn() => work = most,
                Received::Nothing => {}
                Received::End => self.lose(now, key),
                Received::Bytes(filled) => {
                    work = filled.read;
                    if filled.frame
                        && let Some(mut frame) = conn.inbound().map(Inbound::take_frame)
                    {
                        let len = frame.len();
                        self.decode(now, key, &mut frame, len);
                    } else {
                        work += self.take(now, key, &mut input, filled.input);
                    }
                    self.stats.bytes_received += work as u64;
                }
            }
            self.input = input;
        }
        work += self.set_pace(now, key, work) * FRAME_WORK + self.run.ended * RUN_WORK;
        self.account(key);
        if let Some(conn) = self.conns.get_mut(key)
            && conn.wants_turn()
        {
            queue(&mut self.addresses, key, conn);
        }
        work
    }

    /// So many bytes have come, at the beginning of `input`. Says how many have been read besides.
    fn take(&mut self, now: Instant, key: Key, input: &mut [u8], filled: usize) -> usize {
        let mut rest = &input[..filled];
        while let Some(conn) = self.conns.get_mut(key)
            && let Phase::Handshaking(handshake) = &mut conn.phase
        {
            match handshake.feed(&mut rest, &self.client_addresses, &self.access) {
                Progress::Waiting => return 0,
                Progress::Introduced(client) => {
                    let begun = conn.begin_tls(rest);
                    if let Err(refusal) = self.relocate(now, key, client) {
                        self.stats.count_refusal(refusal);
                        self.remove(now, key);
                        return 0;
                    }
                    if begun {
                        return 0;
                    }
                }
                Progress::Upgraded { answer, forwarded_for } => {
                    if forwarded_for.is_some()
                        && let Err(refusal) = self.relocate(now, key, forwarded_for)
                    {
                        self.stats.count_refusal(refusal);
                        self.answer(now, key, &handshake::refused(refusal));
                        return 0;
                    }
                    self.open(now, key, &answer);
                }
                Progress::Refused(failure, answer) => {
                    self.count_failure(key, failure);
                    self.answer(now, key, &answer);
                    return 0;
                }
            }
        }
        let taken = filled - rest.len();
        self.decode(now, key, &mut input[taken..], filled - taken)
    }

    /// Whether somebody from here is let in now.
    fn examine(&mut self, now: Instant, address: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(address) = address else { return Ok(()) };
        if !self.access.admits(address) {
            return Err(Refusal::Denied);
        }
        let home = Source::Address(address).group();
        let most = self.access.connections_per_address.max(1);
        if self.addresses.connections(home) >= most
            || self.addresses.connections_of_site(home) >= most.saturating_mul(SITE_FACTOR)
        {
            return Err(Refusal::AddressFull);
        }
        let Access { connections_per_second_per_address: rate, connection_burst_per_address: burst, .. } =
            self.access;
        let ten = SITE_FACTOR as u32;
        // Who comes too often by itself does not count for its neighbours.
        let welcome = self.visits.visit(now, home, rate, burst)
            && home.site().is_none_or(|site| {
                self.visits.visit(now, site, rate.saturating_mul(ten), burst.saturating_mul(ten))
            });
        if welcome { Ok(()) } else { Err(Refusal::AddressRate) }
    }

    /// A proxy has said where a connection really comes from, so that it can be let in or not.
    fn relocate(&mut self, now: Instant, key: Key, client: Option<IpAddr>) -> Result<(), Refusal> {
        self.examine(now, client)?;
        let Some(conn) = self.conns.get_mut(key) else { return Ok(()) };
        let held = conn.charged + conn.share;
        self.addresses.charge(conn.home(), held, 0);
        self.addresses.leave(conn.home());
        conn.source = client.map_or(Source::Unknown, Source::Address);
        self.addresses.enter(conn.home());
        self.addresses.charge(conn.home(), 0, held);
        log::debug!(connection = conn.number, address:? = Shown(client); "a proxy says whose connection it is");
        Ok(())
    }

    /// Lets a client that is ahead of its pace rest. Says how many frames it has sent in this turn.
    fn set_pace(&mut self, now: Instant, key: Key, read: usize) -> usize {
        let Some(conn) = self.conns.get_mut(key) else { return 0 };
        let Some(inbound) = conn.inbound() else { return 0 };
        let frames = mem::take(&mut inbound.frames);
        let rest = conn.pace.spend(now, (read as u64, self.bytes_rate), (frames as u64, self.messages_rate));
        if let Some(until) = rest {
            self.stats.rested += 1;
            self.timers.set(key, &mut conn.rest, Some((Wait::Rest, until)));
        }
        frames
    }

    fn end_rest(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            self.timers.set(key, &mut conn.rest, None);
            queue(&mut self.addresses, key, conn);
        }
    }

    /// The WebSocket handshake is complete.
    fn open(&mut self, now: Instant, key: Key, answer: &[u8]) {
        self.set_timer(key, None);
        let Some(socket) = self.conns.get_mut(key) else { return };
        socket.outbox.push_raw(answer);
        mark(&mut self.dirty, key, socket);
        let source = socket.source;
        let opened = if self.budget.refuses() {
            self.stats.count_refusal(Refusal::Memory);
            Err(CloseCode::RelayFull)
        } else {
            self.relay.open(now, source)
        };
        match opened {
            Ok(conn) => {
                log::debug!(connection = socket.number; "the handshake is complete");
                socket.phase = Phase::Open { conn, inbound: Inbound::default() };
                self.links.insert(conn, key);
                self.apply_outputs(now);
            }
            Err(code) => self.close(now, key, Ending::Ours(code)),
        }
    }

    /// Handles every message in the first `filled` bytes of `input`, until its sender is held up or closed. What is
    /// missing of the last is read behind it if that is worth it: says how many bytes came so.
    fn decode(&mut self, now: Instant, key: Key, input: &mut [u8], mut filled: usize) -> usize {
        let first = filled;
        if filled == 0 {
            return 0;
        }
        let Some(conn) = self.conns.get_mut(key) else { return 0 };
        let Phase::Open { conn: from, inbound } = &mut conn.phase else { return 0 };
        let (from, mut inbound, mut at, mut control) = (*from, mem::take(inbound), 0, 0);
        loop {
            let incoming = inbound.next(&self.rules, &mut input[..filled], &mut at, &mut self.replies);
            if !self.replies.is_empty() {
                self.reply(now, key, from);
            }
            let held = match incoming {
                Incoming::Nothing => match self.read_on(key, input, at..filled) {
                    0 => break,
                    more => {
                        filled += more;
                        continue;
                    }
                },
                Incoming::Message { payload, .. } => {
                    self.stats.frames_received += 1;
                    let frame = &mut input[payload.clone()];
                    match self.relay.handle(now, Input::Frame { from, frame }) {
                        Handled::Forward(to) => {
                            let held = self.forward(now, (from, key), to, input, payload);
                            if !held && self.run.ended < RUNS_PER_TURN {
                                continue;
                            }
                            held
                        }
                        Handled::Done => {
                            control += 1;
                            false
                        }
                    }
                }
                Incoming::Gathered { mut payload, .. } => {
                    self.stats.frames_received += 1;
                    match self.relay.handle(now, Input::Frame { from, frame: &mut payload }) {
                        Handled::Forward(to) => {
                            self.finish_run(now, input);
                            self.forward_gathered(now, (from, key), to, &payload)
                        }
                        Handled::Done => {
                            control += 1;
                            false
                        }
                    }
                }
                Incoming::Invalid(fault) => {
                    let _done = self.relay.handle(now, Input::Invalid { from, code: close_code(fault) });
                    false
                }
                Incoming::Closed => {
                    self.finish_run(now, input);
                    self.stats.closed_by_client += 1;
                    let _done = self.relay.handle(now, Input::Closed { conn: from });
                    self.close(now, key, Ending::Theirs);
                    false
                }
            };
            // What the machine wants done comes after what was forwarded before.
            self.finish_run(now, input);
            self.apply_outputs(now);
            if self.links.key(from).is_none() {
                return filled - first;
            }
            if held || control == CONTROL_PER_TURN || self.run.ended >= RUNS_PER_TURN {
                inbound.keep(&input[at..filled]);
                break;
            }
        }
        inbound.frames += control * (CONTROL_WEIGHT - 1);
        self.finish_run(now, input);
        if at < filled && !inbound.has_undecoded() {
            inbound.carry(&input[at..filled]);
        }
        if let Some(Phase::Open { inbound: place, .. }) = self.conns.get_mut(key).map(|conn| &mut conn.phase)
        {
            *place = inbound;
        }
        filled - first
    }

    /// Reads the rest of the long frame that has begun here, if it is there and finds room. Says how many bytes came.
    fn read_on(&mut self, key: Key, input: &mut [u8], begun: Range<usize>) -> usize {
        let frame = inbound::frame_len(&input[begun.clone()]).filter(|&frame| frame >= LONG_FRAME);
        let Some(frame) = frame else { return 0 };
        let rest = frame - begun.len();
        // Who sends one long frame sends more that are as long: so many are read with it that the last ends where the buffer does, if nobody
        // waits for a turn and all of it may wait for somebody.
        let ample = self.budget.outbox_max(0) >= self.limits.outbox_bytes_max;
        let spare = (input.len() - begun.end).saturating_sub(rest);
        let more = if ample && !self.is_busy() { spare / frame * frame } else { 0 };
        let Some(room) = input.get_mut(begun.end..begun.end + rest + more) else { return 0 };
        self.conns.get_mut(key).map_or(0, |conn| conn.read_on(room))
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
                        Place::Behind => conn.outbox.push_data(opcode::BINARY, &frame),
                    }
                    mark(&mut self.dirty, key, conn);
                    self.stats.frames_sent += 1;
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

    /// Gives up a connection for the sake of all others.
    fn give_up(&mut self, now: Instant, key: Key) {
        match self.conns.get_mut(key).map(|conn| &conn.phase) {
            Some(&Phase::Open { conn: from, .. }) => {
                let _done = self.relay.handle(now, Input::Invalid { from, code: CloseCode::Throttled });
                self.apply_outputs(now);
                self.settle(now);
            }
            Some(Phase::Handshaking(_)) => self.fail_handshake(now, key, HandshakeFailure::Crowded),
            Some(Phase::Closing { .. }) | None => self.remove(now, key),
        }
    }

    /// Answers what will never be a WebSocket, and closes.
    fn answer(&mut self, now: Instant, key: Key, answer: &[u8]) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.outbox.push_raw(answer);
        }
        self.close(now, key, Ending::Said);
    }

    fn count_failure(&mut self, key: Key, failure: HandshakeFailure) {
        self.stats.count_failure(failure);
        if let Some(conn) = self.conns.get_mut(key) {
            log::debug!(connection = conn.number, failure:?; "the handshake fails");
        }
    }

    fn fail_handshake(&mut self, now: Instant, key: Key, failure: HandshakeFailure) {
        self.count_failure(key, failure);
        self.remove(now, key);
    }

    /// The socket has ended without a close frame.
    fn lose(&mut self, now: Instant, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        match &conn.phase {
            &Phase::Open { conn, .. } => {
                self.stats.lost += 1;
                let _done = self.relay.handle(now, Input::Closed { conn });
                self.remove(now, key);
                self.apply_outputs(now);
            }
            Phase::Handshaking(_) => match conn.socket.refuse() {
                None => self.fail_handshake(now, key, HandshakeFailure::Gone),
                Some(failure) => {
                    self.count_failure(key, failure);
                    self.close(now, key, Ending::Said);
                }
            },
            Phase::Closing { .. } => self.remove(now, key),
        }
    }

    /// Says the last word, and lets the socket linger until the peer has heard it.
    fn close(&mut self, now: Instant, key: Key, ending: Ending) {
        self.detach(now, key);
        let Some(conn) = self.conns.get_mut(key) else { return };
        log::debug!(connection = conn.number, ending:?; "a connection is being closed");
        match ending {
            Ending::Ours(code) => conn.outbox.push_close(code.to_wire(), &code.to_string()),
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
        if let Some(mut conn) = self.conns.remove(key) {
            log::debug!(connection = conn.number; "a connection is gone");
            self.timers.set(key, &mut conn.rest, None);
            self.addresses.charge(conn.home(), conn.charged + conn.share, 0);
            self.budget.charge(conn.charged, 0);
            self.addresses.leave(conn.home());
        }
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

/// An address as the log shows it, if it shows any.
struct Shown(Option<IpAddr>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// How a socket comes to be closed.
#[derive(Clone, Copy, Debug)]
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

fn queue(addresses: &mut Addresses, key: Key, conn: &mut Conn) {
    if !mem::replace(&mut conn.queued, true) {
        addresses.queue(conn.home(), key);
    }
}

/// What a client is told that sent what it must not.
const fn close_code(fault: Fault) -> CloseCode {
    match fault {
        Fault::Protocol => CloseCode::Malformed,
        Fault::Text | Fault::Utf8 => CloseCode::NotBinary,
        Fault::TooLarge => CloseCode::TooLarge,
    }
}
