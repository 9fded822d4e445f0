//! The relay: gives IDs, lets two clients agree to meet, and forwards between them what it cannot read.
//!
//! This module tree never imports `crypto`: it has no way to read a payload. Where things are: who is connected and with
//! which channels in `conn`, who holds which ID in `ids`, requests and their state table in `pairing`, what becomes of a CONNECT in
//! `judge`, requests whose source learns nothing in `blind`, who may ask how much in `source`, `budget`, `ledger` and `bucket`,
//! forwarding in `channels`, ends that find each other again in `rejoin`, tokens in `token`, every limit in `limits`.

mod blind;
mod bucket;
mod budget;
mod channels;
mod conn;
mod ids;
mod judge;
mod ledger;
mod limits;
mod memory;
mod pairing;
mod rejoin;
mod source;
mod stats;
#[cfg(test)]
mod tests;
mod token;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

pub use bucket::Rate;
pub use limits::RelayLimits;
pub use source::{Source, SourceGroup};
pub use stats::RelayStats;
pub use token::RelaySecret;
pub(crate) use token::reclaim_mac;

use crate::Deadline;
use crate::arena::Arena;
use crate::id::{ConnId, PeerId};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::{
    CHANNELS_MAX, ClientFrame, CloseCode, ControlFrame, FORWARD, ForwardHeader, RelayFrame, VERSION, Welcome,
};
use bucket::Bucket;
use budget::Budgets;
use conn::{Channels, Conn, Peer, Phase, RequestKey};
use ids::Ids;
use pairing::Request;
use rejoin::Waiting;

/// How far ahead of the relay's clock the end of a token may lie beyond its lifetime.
const EXPIRY_SLACK: Duration = Duration::from_secs(3600);

/// Outputs that there is always room for.
const OUT_MAX: usize = 1024;

/// What a relay is made of.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Every limit and time.
    pub limits: RelayLimits,
    /// What tokens are made with.
    pub secret: RelaySecret,
    /// What tokens were made with before; still honoured.
    pub previous_secret: Option<RelaySecret>,
    /// Unix time, in seconds, of [`Instant::ZERO`]. Tokens end at a time of day, not at a moment of this process.
    pub unix_origin: u64,
}

impl RelayConfig {
    /// The defaults, with this secret and origin.
    #[must_use]
    pub fn new(secret: RelaySecret, unix_origin: u64) -> Self {
        Self { limits: RelayLimits::default(), secret, previous_secret: None, unix_origin }
    }
}

/// The relay machine.
///
/// Tell it what happened with [`open`](Self::open) and [`handle`](Self::handle), then drain
/// [`poll_output`](Self::poll_output), then wait until [`poll_timeout`](Self::poll_timeout) or the next thing that happens.
///
/// * Nothing happens except inside `open`, `handle` and `drain`. The machine reads no clock and draws no entropy but its seed.
/// * The same seed and the same calls give the same output, byte for byte.
/// * While output is queued, the deadline is now. After `handle(t, Input::Timeout)` and a drain it is later than `t`, or absent.
/// * Handling time early, twice, or slightly backwards is harmless.
/// * No frame can make it panic, exceed a limit of [`RelayLimits`], or affect a connection that is not its own.
/// * A [`ConnId`] that has ended is ignored by every call, and is never given out again.
pub struct Relay {
    limits: RelayLimits,
    secret: RelaySecret,
    previous_secret: Option<RelaySecret>,
    unix_origin: u64,
    rng: Rng,
    conns: Arena<Conn>,
    ids: Ids,
    requests: Arena<Request>,
    budgets: Budgets,
    waiting: BTreeMap<[u8; 16], Waiting>,
    /// Places in the channel tables of all clients.
    places: usize,
    timers: BTreeSet<(Instant, Timer)>,
    out: VecDeque<Output>,
    stats: RelayStats,
    /// The latest moment heard of.
    now: Instant,
}

/// What can happen to a relay.
#[derive(Debug)]
pub enum Input<'a> {
    /// A whole binary message came from a connection.
    Frame {
        /// Which connection.
        from: ConnId,
        /// Its bytes. If they are to be forwarded, the header is rewritten where it lies.
        frame: &'a mut [u8],
    },
    /// Something came that is no frame at all: a text message, a message too long to be read.
    Invalid {
        /// Which connection.
        from: ConnId,
        /// What is wrong.
        code: CloseCode,
    },
    /// The connection is gone, or the embedder has closed it.
    Closed {
        /// Which connection.
        conn: ConnId,
    },
    /// The embedder has stopped reading from `from`, because what it sends to `to` finds no room.
    Blocked {
        /// The sender.
        from: ConnId,
        /// The receiver that is full.
        to: ConnId,
    },
    /// The embedder reads from `from` again.
    Unblocked {
        /// The sender.
        from: ConnId,
    },
    /// Time has passed.
    Timeout,
}

/// What to do with the frame that was handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a frame to be forwarded is lost if nobody sends it"]
pub enum Handled {
    /// Nothing; it has been dealt with.
    Done,
    /// Send the frame, whose header has been rewritten, to this connection.
    Forward(ConnId),
}

/// What the relay wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send these bytes as one message.
    Transmit {
        /// To which connection.
        to: ConnId,
        /// The message.
        frame: ControlFrame,
        /// Where it stands among forwarded frames that still wait for this connection.
        place: Place,
    },
    /// Close the connection with this code, after what was transmitted to it. The relay has forgotten it.
    Close {
        /// Which connection.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Read again from a connection that was [`Blocked`](Input::Blocked): what it waited for is gone.
    Unblock {
        /// The sender.
        from: ConnId,
    },
}

/// Where a frame of the relay's own stands among forwarded frames that wait to be sent to the same connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Ahead of them: it must not wait for data.
    Ahead,
    /// Behind them: it ends a channel, and what was sent before the end must arrive before it.
    Behind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The connection must register, or has been silent.
    Conn(ConnId),
    Request(RequestKey),
    Rejoin([u8; 16]),
    Stuck(ConnId),
}

impl Relay {
    /// A relay without connections. `seed` must be 32 bytes of real entropy: IDs and challenges come of it.
    #[must_use]
    pub fn new(config: RelayConfig, seed: [u8; 32]) -> Self {
        Self {
            limits: config.limits,
            secret: config.secret,
            previous_secret: config.previous_secret,
            unix_origin: config.unix_origin,
            rng: Rng::from_seed(&seed),
            conns: Arena::new(),
            ids: Ids::new(),
            requests: Arena::new(),
            budgets: Budgets::new(),
            waiting: BTreeMap::new(),
            places: 0,
            timers: BTreeSet::new(),
            out: VecDeque::new(),
            stats: RelayStats::default(),
            now: Instant::ZERO,
        }
    }

    /// A transport link has been made, from `source`. Its HELLO is the first output.
    ///
    /// # Errors
    /// The code to close the link with, if the relay takes no more.
    pub fn open(&mut self, now: Instant, source: Source) -> Result<ConnId, CloseCode> {
        let now = self.advance(now);
        if self.conns.len() >= self.limits.connections_max {
            self.stats.count_close(CloseCode::RelayFull);
            return Err(CloseCode::RelayFull);
        }
        let challenge = self.rng.bytes();
        let timer = now + self.limits.register_timeout;
        let conn = ConnId(self.conns.insert(Conn {
            source: source.group(),
            phase: Phase::Greeted { challenge },
            heard: now,
            timer,
            blocked: None,
        }));
        self.timers.insert((timer, Timer::Conn(conn)));
        self.transmit(conn, RelayFrame::Hello { version: VERSION, challenge, work: 0 });
        Ok(conn)
    }

    /// Handles one thing that happened.
    #[inline]
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Handled {
        let now = self.advance(now);
        match input {
            Input::Frame { from, frame } => self.frame(now, from, frame),
            other => {
                self.handle_other(now, &other);
                Handled::Done
            }
        }
    }

    /// What is no frame comes seldom: kept apart, it does not make the way of a frame longer (by 6 %, counted in instructions).
    fn handle_other(&mut self, now: Instant, input: &Input<'_>) {
        match *input {
            Input::Frame { .. } => {}
            Input::Invalid { from, code } => self.close(now, from, code),
            Input::Closed { conn } => self.forget(now, conn),
            Input::Blocked { from, to } => self.block(now, from, to),
            Input::Unblocked { from } => {
                self.clear_block(from);
            }
            Input::Timeout => self.timeout(now),
        }
    }

    /// Tells every client that the relay is about to stop, and when to come back. The embedder then closes the connections.
    pub fn drain(&mut self, now: Instant, after: Duration) {
        self.advance(now);
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let conns = self.conns.keys().map(ConnId);
        let clients: Vec<_> = conns.filter(|&conn| self.peer(conn).is_some()).collect();
        for conn in clients {
            self.transmit(conn, RelayFrame::Drain { after_ms });
        }
    }

    /// The next thing to do, until there is none.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.out.pop_front();
        if output.is_none() && self.out.capacity() > OUT_MAX {
            // Once in a while there is something for everybody.
            self.out = VecDeque::new();
        }
        output
    }

    /// When to call `handle` with [`Input::Timeout`], and what is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if !self.out.is_empty() {
            return Some(Deadline { at: self.now, reason: "output is queued" });
        }
        let &(at, ref timer) = self.timers.first()?;
        let reason = match timer {
            Timer::Conn(_) => "a connection must register or be heard",
            Timer::Request(_) => "a request expires",
            Timer::Rejoin(_) => "a rejoin expires",
            Timer::Stuck(_) => "a stuck receiver loses its channel",
        };
        Some(Deadline { at, reason })
    }

    /// The counters, and the figures of now.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        RelayStats {
            connections: self.conns.len() as u64,
            peers: self.ids.held() as u64,
            requests: self.requests.len() as u64,
            rejoins: self.waiting.len() as u64,
            retired: self.ids.retired() as u64,
            sources: self.budgets.sources() as u64,
            pairs: self.budgets.pairs() as u64,
            ..self.stats.clone()
        }
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// A moment before the latest one counts as that one.
    #[inline]
    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    #[inline]
    fn frame(&mut self, now: Instant, from: ConnId, frame: &mut [u8]) -> Handled {
        match ForwardHeader::peek(frame) {
            Some(header) => self.forward(now, from, header, frame),
            None => self.control_frame(now, from, frame),
        }
    }

    fn control_frame(&mut self, now: Instant, from: ConnId, frame: &[u8]) -> Handled {
        let Some(conn) = self.conns.get_mut(from.0) else { return Handled::Done };
        conn.heard = now;
        let joined = conn.peer().is_some();
        match ClientFrame::decode(frame) {
            // A FORWARD that `peek` refused has no payload.
            Err(_) if frame.first() == Some(&FORWARD) => self.close(now, from, CloseCode::Malformed),
            Err(error) => self.close(now, from, error.close_code()),
            Ok(ClientFrame::Register { .. } | ClientFrame::Reclaim { .. }) if joined => {
                self.close(now, from, CloseCode::AlreadyRegistered);
            }
            Ok(ClientFrame::Register { version, channels }) => {
                self.register(now, from, version, channels, None);
            }
            Ok(ClientFrame::Reclaim { version, channels, kid, id, owner, expiry, mac }) => {
                let claim = Claim { kid, id, owner, expiry, mac };
                self.register(now, from, version, channels, Some(&claim));
            }
            Ok(_) if !joined => self.close(now, from, CloseCode::NotRegistered),
            Ok(ClientFrame::Connect { request, target, nonce }) => {
                self.connect(now, from, request, target, nonce);
            }
            Ok(ClientFrame::Accept { request, nonce }) => self.accept(from, request, nonce),
            Ok(ClientFrame::Cancel { request }) => self.cancel(from, request),
            Ok(ClientFrame::Withdraw { request }) => self.withdraw(from, request),
            Ok(ClientFrame::Close { channel }) => self.close_channel(from, channel),
            Ok(ClientFrame::Rejoin { rendezvous, role }) => self.rejoin(now, from, rendezvous, role),
            Ok(ClientFrame::Ping { token }) => self.transmit(from, RelayFrame::Pong { token }),
        }
        Handled::Done
    }

    fn register(&mut self, now: Instant, from: ConnId, version: u8, channels: u8, claim: Option<&Claim>) {
        if version != VERSION {
            return self.close(now, from, CloseCode::VersionUnsupported);
        }
        if channels == 0 || channels > CHANNELS_MAX {
            return self.close(now, from, CloseCode::Malformed);
        }
        let reclaimed = claim.and_then(|claim| self.reclaim(now, from, claim));
        let (id, owner) = match reclaimed {
            Some(held) => held,
            None => match self.ids.assign(now, from, &mut self.rng) {
                Some(id) => (id, self.rng.bytes()),
                None => return self.close(now, from, CloseCode::IdsExhausted),
            },
        };
        let Some(conn) = self.conns.get_mut(from.0) else { return };
        conn.phase = Phase::Joined(Peer {
            id,
            owner,
            token_at: now,
            last_request: 0,
            last_prompt: 0,
            connects: Bucket::new(),
            prompts: Bucket::new(),
            asked: Vec::new(),
            asking: Vec::new(),
            rejoining: Vec::new(),
            channels: Channels::new(channels.min(self.limits.channels_max)),
        });
        self.set_conn_timer(from, now + self.limits.idle_timeout);
        self.welcome(now, from, reclaimed.is_some());
    }

    /// The ID and owner that a claim proves, after its old connection has been ended.
    fn reclaim(&mut self, now: Instant, from: ConnId, claim: &Claim) -> Option<(PeerId, [u8; 8])> {
        let Phase::Greeted { challenge } = self.conns.get(from.0)?.phase else { return None };
        let secret = [Some(&self.secret), self.previous_secret.as_ref()]
            .into_iter()
            .flatten()
            .find(|secret| secret.kid() == claim.kid)?;
        let token = secret.token_key(claim.id, claim.owner, claim.expiry);
        let unix = self.unix(now);
        let latest = unix.saturating_add(self.limits.token_lifetime.saturating_add(EXPIRY_SLACK).as_secs());
        let good =
            token::proves(&claim.mac, &token, &challenge) && unix < claim.expiry && claim.expiry <= latest;
        if !good {
            return None;
        }
        if let Some(holder) = self.ids.holder(claim.id) {
            // Somebody who was given the same ID by chance, after a restart, keeps it.
            if self.peer(holder).is_some_and(|peer| peer.owner != claim.owner) {
                return None;
            }
            self.close(now, holder, CloseCode::Superseded);
        }
        self.ids.reclaim(claim.id, from);
        Some((claim.id, claim.owner))
    }

    fn welcome(&mut self, now: Instant, to: ConnId, reclaimed: bool) {
        let expiry = self.unix(now).saturating_add(self.limits.token_lifetime.as_secs());
        let seconds = |d: Duration| u16::try_from(d.as_secs()).unwrap_or(u16::MAX);
        let (idle_s, request_s) = (seconds(self.limits.idle_timeout), seconds(self.limits.request_lifetime));
        let Some(peer) = self.conns.get_mut(to.0).and_then(Conn::peer_mut) else { return };
        peer.token_at = now;
        let token_key = *self.secret.token_key(peer.id, peer.owner, expiry);
        let welcome = Welcome {
            id: peer.id,
            reclaimed,
            owner: peer.owner,
            kid: self.secret.kid(),
            expiry,
            token_key,
            channels: peer.channels.max(),
            idle_s,
            request_s,
        };
        self.transmit(to, RelayFrame::Welcome(welcome));
    }

    fn timeout(&mut self, now: Instant) {
        self.budgets.tidy(now);
        self.ids.tidy(now);
        while let Some(&(at, timer)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Conn(conn) => self.conn_timeout(now, conn),
                Timer::Request(key) => self.expire(key),
                Timer::Rejoin(rendezvous) => self.forget_rejoin(&rendezvous),
                Timer::Stuck(from) => self.end_stuck(from),
            }
        }
    }

    /// The timer of a connection is set once per idle time, not once per frame: when it goes off, it asks when something was
    /// last heard.
    fn conn_timeout(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get(id.0) else { return };
        let Some(peer) = conn.peer() else { return self.close(now, id, CloseCode::RegisterTimeout) };
        // A sender that is held up cannot be heard.
        let silent_until = if conn.blocked.is_some() {
            now + self.limits.idle_timeout
        } else {
            conn.heard + self.limits.idle_timeout
        };
        if silent_until <= now {
            return self.close(now, id, CloseCode::Idle);
        }
        let renew = now.since(peer.token_at) >= self.limits.token_renewal;
        self.set_conn_timer(id, silent_until);
        if renew {
            self.welcome(now, id, true);
        }
    }

    fn set_conn_timer(&mut self, id: ConnId, at: Instant) {
        if let Some(conn) = self.conns.get_mut(id.0) {
            self.timers.remove(&(conn.timer, Timer::Conn(id)));
            conn.timer = at;
            self.timers.insert((at, Timer::Conn(id)));
        }
    }

    /// Ends a connection for a reason of the relay's own.
    fn close(&mut self, now: Instant, conn: ConnId, code: CloseCode) {
        if self.conns.get(conn.0).is_some() {
            self.stats.count_close(code);
            self.out.push_back(Output::Close { conn, code });
            self.forget(now, conn);
        }
    }

    /// Forgets a connection and tells whoever had to do with it.
    fn forget(&mut self, now: Instant, id: ConnId) {
        self.clear_block(id);
        let Some(conn) = self.conns.remove(id.0) else { return };
        self.timers.remove(&(conn.timer, Timer::Conn(id)));
        let Phase::Joined(peer) = conn.phase else { return };
        self.ids.retire(now, peer.id, &self.limits);
        for rendezvous in &peer.rejoining {
            self.forget_rejoin(rendezvous);
        }
        self.places -= peer.channels.places();
        self.end_requests_of(&peer);
        self.detach_channels(id, &peer.channels);
    }

    fn transmit(&mut self, to: ConnId, frame: RelayFrame) {
        self.out.push_back(Output::Transmit { to, frame: frame.encode(), place: Place::Ahead });
    }

    fn transmit_behind(&mut self, to: ConnId, frame: RelayFrame) {
        self.out.push_back(Output::Transmit { to, frame: frame.encode(), place: Place::Behind });
    }

    fn peer(&self, conn: ConnId) -> Option<&Peer> {
        self.conns.get(conn.0)?.peer()
    }

    fn peer_mut(&mut self, conn: ConnId) -> Option<&mut Peer> {
        self.conns.get_mut(conn.0)?.peer_mut()
    }

    fn unix(&self, now: Instant) -> u64 {
        self.unix_origin.saturating_add(now.as_micros() / 1_000_000)
    }
}

/// The fields of a RECLAIM.
struct Claim {
    kid: u8,
    id: PeerId,
    owner: [u8; 8],
    expiry: u64,
    mac: [u8; 16],
}
