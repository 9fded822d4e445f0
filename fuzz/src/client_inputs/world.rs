//! Two clients, a relay, and what travels between them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use phantom_core::client::{Client, ClientConfig, Input, Output};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::{ChannelId, ConnId, PeerId, RequestId};
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelaySecret};
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{ClientFrame, CloseCode, ForwardHeader, RelayFrame};

use super::model::{self, Log};

/// Messages that a link holds; beyond it they are lost, as anything may be.
const LINK_MAX: usize = 64;
/// Forwarded frames that the relay keeps to repeat.
const KEPT_MAX: usize = 24;
/// Rounds after which everything must have come to rest: no two machines may keep each other busy without time passing.
const ROUNDS_MAX: usize = 1000;
/// Outputs that one call may lead to.
const OUTPUTS_MAX: usize = 4000;
const CHANNELS_MAX: u8 = 2;
pub(super) const PROMPTS_MAX: usize = 2;

pub(super) struct Side {
    pub(super) client: Client,
    pub(super) link: Link,
    pub(super) log: Log,
    /// Channel numbers the relay has told it.
    pub(super) numbers: Vec<u32>,
}

pub(super) enum Link {
    Down,
    Dialing,
    Up(Up),
}

pub(super) struct Up {
    /// Until the relay has closed it.
    conn: Option<ConnId>,
    pub(super) to_relay: VecDeque<Bytes>,
    pub(super) to_client: VecDeque<Bytes>,
}

impl Side {
    fn new(key: Option<EncryptionKey>, seed: u8) -> Self {
        let mut config = ClientConfig { key, ..ClientConfig::default() };
        config.limits.channels_max = CHANNELS_MAX;
        config.limits.prompts_max = PROMPTS_MAX;
        config.limits.packet_max_log2 = 16;
        config.limits.queue_max_bytes = 128 << 10;
        config.limits.unacked_max_bytes = 128 << 10;
        config.limits.unacked_max_records = 32;
        config.limits.receive_window_bytes = 128 << 10;
        Self {
            client: Client::new(config, [seed; 32]),
            link: Link::Down,
            log: Log::default(),
            numbers: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, now: Instant, side: usize, channel: ChannelId, len: usize) {
        let place = model::place(&self.log, channel);
        let Some(known) = self.log.channels.get_mut(&channel) else { return };
        let packet = super::content(side, place, known.sent.len(), len);
        if let Ok(number) = self.client.send(now, channel, packet) {
            known.sent.push(len);
            assert_eq!(number, known.sent.len() as u64, "packets are numbered from 1");
        }
    }
}

pub(super) struct World {
    pub(super) now: Instant,
    latest: Instant,
    relay: Relay,
    pub(super) sides: [Side; 2],
    /// Forwarded frames of before.
    pub(super) kept: Vec<Bytes>,
    /// Values by which a side waits for the other.
    pub(super) rendezvous: Vec<[u8; 16]>,
}

impl World {
    pub(super) fn new(keys: [Option<EncryptionKey>; 2]) -> Self {
        let [first, second] = keys;
        let now = Instant::from_micros(1_000_000);
        Self {
            now,
            latest: now,
            relay: Relay::new(RelayConfig::new(RelaySecret::new(1, [1; 32]), 1_800_000_000), [3; 32]),
            sides: [Side::new(first, 1), Side::new(second, 2)],
            kept: Vec::new(),
            rendezvous: Vec::new(),
        }
    }

    // Time.

    pub(super) fn skip(&mut self, time: Duration) {
        self.now = self.now + time;
        self.timeouts();
    }

    /// To the next moment at which anything happens.
    pub(super) fn next(&mut self) {
        let clients = self.sides.iter().map(|side| side.client.poll_timeout());
        let at = clients.chain([self.relay.poll_timeout()]).flatten().map(|deadline| deadline.at).min();
        self.now = at.map_or(self.now, |at| at.max(self.now));
        self.timeouts();
        self.settle();
    }

    fn timeouts(&mut self) {
        self.latest = self.latest.max(self.now);
        let _ = self.relay.handle(self.now, relay::Input::Timeout);
        self.drain_relay();
        for side in 0..2 {
            self.input(side, Input::Timeout);
            let next = self.sides[side].client.poll_timeout();
            // A machine that is told an earlier moment takes it for the latest it knows.
            assert!(
                next.is_none_or(|next| next.at > self.now),
                "{next:?} does not move on from {:?}",
                self.now
            );
        }
    }

    /// Lets everything arrive that is on its way.
    pub(super) fn settle(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "no rest after {ROUNDS_MAX} rounds");
            let mut busy = false;
            for side in 0..2 {
                if self.sides[side].client.poll_timeout().is_some_and(|deadline| deadline.at <= self.now) {
                    self.input(side, Input::Timeout);
                    busy = true;
                }
                busy |= self.dial(side) | self.step_relay(side) | self.step_client(side);
            }
            if !busy {
                break;
            }
        }
    }

    // Messages.

    fn dial(&mut self, side: usize) -> bool {
        if !matches!(self.sides[side].link, Link::Dialing) {
            return false;
        }
        let Ok(conn) = self.relay.open(self.now, relay::Source::Unknown) else { return false };
        let up = Up { conn: Some(conn), to_relay: VecDeque::new(), to_client: VecDeque::new() };
        self.sides[side].link = Link::Up(up);
        self.input(side, Input::Connected);
        self.drain_relay();
        true
    }

    /// One message reaches the relay.
    pub(super) fn step_relay(&mut self, side: usize) -> bool {
        let Link::Up(up) = &mut self.sides[side].link else { return false };
        let Some(frame) = up.to_relay.pop_front() else { return false };
        let Some(from) = up.conn else { return true };
        if let Ok(ClientFrame::Rejoin { rendezvous, .. }) = ClientFrame::decode(&frame) {
            self.rendezvous.push(rendezvous);
        }
        let mut frame = BytesMut::from(&frame[..]);
        let handled = self.relay.handle(self.now, relay::Input::Frame { from, frame: &mut frame });
        if let Handled::Forward(to) = handled {
            let frame = frame.freeze();
            if self.kept.len() == KEPT_MAX {
                self.kept.remove(0);
            }
            self.kept.push(frame.clone());
            self.towards_client(to, &frame);
        }
        self.drain_relay();
        true
    }

    /// One message reaches the client.
    pub(super) fn step_client(&mut self, side: usize) -> bool {
        let Link::Up(up) = &mut self.sides[side].link else { return false };
        match up.to_client.pop_front() {
            Some(frame) => {
                if let Ok(RelayFrame::Opened { channel, .. } | RelayFrame::Attached { channel, .. }) =
                    RelayFrame::decode(&frame)
                {
                    self.sides[side].numbers.push(channel);
                }
                self.input(side, Input::Received(BytesMut::from(&frame[..])));
                true
            }
            None => false,
        }
    }

    /// A message of anybody's making reaches the client next.
    pub(super) fn inject(&mut self, side: usize, frame: &[u8]) {
        if let Link::Up(up) = &mut self.sides[side].link {
            up.to_client.push_front(Bytes::copy_from_slice(frame));
            self.step_client(side);
        }
    }

    fn towards_client(&mut self, conn: ConnId, frame: &Bytes) {
        for side in &mut self.sides {
            if let Link::Up(up) = &mut side.link
                && up.conn == Some(conn)
                && up.to_client.len() < LINK_MAX
            {
                up.to_client.push_back(frame.clone());
            }
        }
    }

    fn drain_relay(&mut self) {
        while let Some(output) = self.relay.poll_output() {
            match output {
                relay::Output::Transmit { to, frame, .. } => {
                    self.towards_client(to, &Bytes::copy_from_slice(&frame));
                }
                relay::Output::Close { conn, code } => {
                    let is_it = |side: &Side| matches!(&side.link, Link::Up(up) if up.conn == Some(conn));
                    if let Some(side) = self.sides.iter().position(is_it) {
                        self.cut(side, Some(code));
                    }
                }
                relay::Output::Unblock { .. } => {}
            }
        }
    }

    // The transport.

    /// The transport of a client is gone, if it has one.
    pub(super) fn cut(&mut self, side: usize, code: Option<CloseCode>) {
        if self.hang_up(side) {
            self.input(side, Input::Disconnected { code });
        }
    }

    /// The client's end is closed, and the relay hears of it.
    fn hang_up(&mut self, side: usize) -> bool {
        let Link::Up(up) = &self.sides[side].link else { return false };
        let conn = up.conn;
        self.sides[side].link = Link::Down;
        if let Some(conn) = conn {
            let _ = self.relay.handle(self.now, relay::Input::Closed { conn });
            self.drain_relay();
        }
        true
    }

    pub(super) fn dial_failed(&mut self, side: usize) {
        if matches!(self.sides[side].link, Link::Dialing) {
            self.sides[side].link = Link::Down;
            self.input(side, Input::DialFailed);
        }
    }

    /// News of a transport that is not there.
    pub(super) fn stray(&mut self, side: usize, connected: bool) {
        match self.sides[side].link {
            Link::Down if connected => self.input(side, Input::Connected),
            Link::Down => self.input(side, Input::Received(BytesMut::from(&b"\x89\0\0\0\0"[..]))),
            _ => {}
        }
    }

    // The machine.

    pub(super) fn input(&mut self, side: usize, input: Input) {
        self.sides[side].client.handle(self.now, input);
        self.drain(side);
    }

    /// Carries out what a client wants, and checks what it says.
    pub(super) fn drain(&mut self, side: usize) {
        self.latest = self.latest.max(self.now);
        for count in 0.. {
            assert!(count < OUTPUTS_MAX, "one call, more than {OUTPUTS_MAX} outputs");
            let deadline = self.sides[side].client.poll_timeout();
            let Some(output) = self.sides[side].client.poll_output() else { break };
            assert!(
                deadline.is_some_and(|deadline| deadline.at <= self.latest),
                "output is queued, and the deadline is {deadline:?}"
            );
            match output {
                Output::Dial { relay } => {
                    assert_eq!(relay, 0);
                    assert!(matches!(self.sides[side].link, Link::Down), "dials while it has a transport");
                    self.sides[side].link = Link::Dialing;
                }
                Output::Transmit(frame) => {
                    let Link::Up(up) = &mut self.sides[side].link else {
                        panic!("sends without a transport")
                    };
                    sane(&frame);
                    if up.to_relay.len() < LINK_MAX {
                        up.to_relay.push_back(frame);
                    }
                }
                Output::HangUp(_) => {
                    assert!(!matches!(self.sides[side].link, Link::Down), "hangs up what is not there");
                    self.hang_up(side);
                    self.sides[side].link = Link::Down;
                }
                Output::Event(event) => {
                    let actor = &mut self.sides[side];
                    actor.log.heard(event, &actor.client);
                }
            }
        }
        let [first, second] = &self.sides;
        model::consistent(&first.log, &second.log);
        model::consistent(&second.log, &first.log);
        assert!(self.sides[side].client.channels().count() <= usize::from(CHANNELS_MAX));
    }

    // What users do.

    pub(super) fn connect(&mut self, side: usize, peer: PeerId) {
        let actor = &mut self.sides[side];
        if let Ok(request) = actor.client.connect(self.now, peer) {
            actor.log.requests.push(request);
            actor.log.agreed.insert(peer);
        }
        self.drain(side);
    }

    pub(super) fn accept(&mut self, side: usize, request: RequestId) {
        let actor = &mut self.sides[side];
        if actor.client.accept(self.now, request).is_ok() {
            let peer = actor.log.prompts.get(&request).expect("accepted, and never shown");
            actor.log.agreed.insert(*peer);
        }
        self.drain(side);
    }

    /// One asks, the other accepts: what two honest users do.
    pub(super) fn meet(&mut self, side: usize) {
        self.settle();
        if let Some(peer) = self.sides[1 - side].client.id() {
            self.connect(side, peer);
            self.settle();
            self.accept_latest(1 - side);
        }
    }

    fn accept_latest(&mut self, side: usize) {
        if let Some((&request, _)) = self.sides[side].log.prompts.last_key_value() {
            self.accept(side, request);
        }
    }

    /// Takes one packet, if there is one.
    pub(super) fn take(&mut self, side: usize, channel: ChannelId) -> bool {
        let packet = self.sides[side].client.receive(self.now, channel);
        if let Some(packet) = &packet {
            let [first, second] = &mut self.sides;
            let (own, other) = if side == 0 { (first, second) } else { (second, first) };
            model::received(&mut own.log, &other.log, 1 - side, channel, packet);
        }
        self.drain(side);
        packet.is_some()
    }

    /// Both take what has come, and leave: every channel ends.
    pub(super) fn end(&mut self) {
        for side in 0..2 {
            let ids = self.sides[side].log.ids();
            self.sides[side].log.abort(&ids);
            self.sides[side].client.leave(self.now);
            self.drain(side);
            for channel in self.sides[side].log.ids() {
                while self.take(side, channel) {}
            }
            assert_eq!(self.sides[side].log.ids(), [], "left, and a channel is not over");
            assert_eq!(self.sides[side].client.poll_timeout(), None, "left, and something is waited for");
        }
    }
}

/// What a client sends is a frame of the right direction.
fn sane(frame: &[u8]) {
    let forward = ForwardHeader::peek(frame).is_some() && frame.len() <= phantom_core::wire::FRAME_MAX;
    assert!(forward || ClientFrame::decode(frame).is_ok(), "sends what no relay takes");
}
