//! The relay, whatever its clients do: nothing is said to a connection that is gone, a frame is forwarded to the other end of its own
//! channel and to nobody else, a channel opens only between two who asked, every request and every channel ends for both sides,
//! deadlines move on, and when all have left nothing remains.

mod model;

use std::collections::BTreeMap;

use phantom_core::id::{ConnId, PeerId};
use phantom_core::relay::{Handled, Input, Rate, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{
    CHANNELS_MAX, ClientFrame, CloseCode, FORWARD_HEADER, FRAME_MAX, ForwardHeader, VERSION, Welcome,
};

use crate::feed::Feed;
use model::{Forwarding, Model};

const STEPS_MAX: usize = 500;
/// Connections that a story may see, one after the other.
const ENDS_MAX: usize = 32;
/// Outputs that one input may lead to.
const OUTPUTS_MAX: usize = 200;

pub(crate) const CONNECTIONS_MAX: usize = 6;
pub(crate) const REQUESTS_OUT_MAX: usize = 2;
pub(crate) const REQUESTS_IN_MAX: usize = 3;
pub(crate) const SOURCES_MAX: usize = 3;
/// How often it may be told that nobody has an ID: so often at once, and once more after so long.
pub(crate) const NOT_FOUND_MAX: u64 = 4;
pub(crate) const NOT_FOUND_EACH: Duration = Duration::from_secs(20);
const START: Instant = Instant::from_micros(1_000_000);

/// Lets `data` tell the story of a relay.
pub fn relay_inputs(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut world = World::new();
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        world.step(&mut feed);
    }
    world.end();
}

struct World {
    relay: Relay,
    now: Instant,
    /// The latest moment the relay has heard of.
    latest: Instant,
    /// Every connection there ever was: those that are gone are spoken of, too.
    ends: Vec<ConnId>,
    /// What each client has learned; it outlives the connection.
    known: BTreeMap<ConnId, Known>,
    model: Model,
    nonces: u64,
}

/// What a client knows, and steers its frames by.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) challenge: [u8; 16],
    pub(crate) welcome: Option<Welcome>,
    pub(crate) last_request: u32,
    pub(crate) prompts: Vec<u32>,
    pub(crate) channels: Vec<u32>,
}

impl World {
    fn new() -> Self {
        let mut config = RelayConfig::new(RelaySecret::new(2, [2; 32]), 1_800_000_000);
        config.previous_secret = Some(RelaySecret::new(1, [1; 32]));
        config.limits.connections_max = CONNECTIONS_MAX;
        config.limits.requests_out_max = REQUESTS_OUT_MAX;
        config.limits.requests_in_max = REQUESTS_IN_MAX;
        config.limits.retired_max = 4;
        config.limits.sources_max = SOURCES_MAX;
        config.limits.pairs_max = CONNECTIONS_MAX * REQUESTS_OUT_MAX;
        config.limits.connect_rate = Rate::new(20, Duration::from_secs(1));
        config.limits.prompt_rate = Rate::new(20, Duration::from_secs(1));
        config.limits.exact_rate = Rate::new(3, Duration::from_secs(30));
        config.limits.exact_total_rate = Rate::new(NOT_FOUND_MAX as u32, NOT_FOUND_EACH);
        let now = START;
        Self {
            relay: Relay::new(config, [7; 32]),
            now,
            latest: now,
            ends: Vec::new(),
            known: BTreeMap::new(),
            model: Model::default(),
            nonces: 0,
        }
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        match feed.byte() % 20 {
            0 => self.open(),
            1 => {
                // A whole client at once.
                self.open();
                if let Some(&end) = self.ends.last() {
                    let channels = 1 + feed.byte() % CHANNELS_MAX;
                    self.frame(end, &ClientFrame::Register { version: VERSION, channels });
                }
            }
            2 => {
                let (version, channels) = (feed.byte() % 3, feed.byte());
                self.anybody(feed, |_, _, _| Some(ClientFrame::Register { version, channels }));
            }
            3 => self.anybody(feed, Self::reclaim),
            4 | 5 => self.anybody(feed, |world, end, feed| {
                let target = world.some_id(feed)?;
                let last = world.known.get(&end).map_or(0, |known| known.last_request);
                let request = if feed.byte() < 240 { last.wrapping_add(1) } else { feed.near(&[last]) };
                Some(ClientFrame::Connect { request, target, nonce: world.nonce() })
            }),
            6 | 7 => self.anybody(feed, |world, end, feed| {
                let request = feed.near(&world.known.get(&end)?.prompts);
                Some(ClientFrame::Accept { request, nonce: world.nonce() })
            }),
            8 => self.anybody(feed, |world, end, feed| {
                Some(ClientFrame::Cancel { request: feed.near(&world.known.get(&end)?.prompts) })
            }),
            9 => self.anybody(feed, |world, end, feed| {
                Some(ClientFrame::Withdraw { request: feed.near(&[world.known.get(&end)?.last_request]) })
            }),
            10 => self.anybody(feed, |world, end, feed| {
                Some(ClientFrame::Close { channel: feed.near(&world.known.get(&end)?.channels) })
            }),
            11 => self.anybody(feed, |_, _, feed| {
                Some(ClientFrame::Rejoin { rendezvous: [feed.byte() % 4; 16], role: feed.byte() % 2 })
            }),
            12 => self.anybody(feed, |_, _, feed| Some(ClientFrame::Ping { token: feed.u32() })),
            13 | 14 => self.forward(feed),
            15 => {
                if let Some(end) = feed.pick(&self.ends) {
                    let mut frame = feed.bytes().to_vec();
                    self.raw(end, &mut frame);
                }
            }
            16 => {
                if let Some(end) = feed.pick(&self.ends) {
                    match feed.byte() % 4 {
                        0 => self.invalid(end),
                        _ => self.closed(end),
                    }
                }
            }
            17 => {
                if let (Some(from), Some(to)) = (feed.pick(&self.ends), feed.pick(&self.ends)) {
                    if feed.bool() {
                        self.model.blocked(from);
                        self.input(Input::Blocked { from, to });
                    } else {
                        self.model.unblocked(from);
                        self.input(Input::Unblocked { from });
                    }
                }
            }
            18 => {
                self.relay.drain(self.now, Duration::from_millis(u64::from(feed.u32())));
                self.settle();
            }
            _ => self.time(feed),
        }
    }

    fn open(&mut self) {
        if self.ends.len() == ENDS_MAX {
            return;
        }
        let full = self.model.connections() >= CONNECTIONS_MAX;
        match self.relay.open(self.now, source(self.ends.len())) {
            Ok(conn) => {
                assert!(!full && !self.ends.contains(&conn), "a name is never given out again");
                self.ends.push(conn);
                self.known.insert(conn, Known::default());
                self.model.opened(conn);
            }
            Err(code) => assert!(full && code == CloseCode::RelayFull),
        }
        self.settle();
    }

    /// A frame of one of those who are or were there.
    fn anybody(
        &mut self,
        feed: &mut Feed<'_>,
        make: impl FnOnce(&mut Self, ConnId, &mut Feed<'_>) -> Option<ClientFrame>,
    ) {
        if let Some(end) = feed.pick(&self.ends)
            && let Some(frame) = make(self, end, feed)
        {
            self.frame(end, &frame);
        }
    }

    /// A claim with the token of anybody, now and then a bit wrong.
    fn reclaim(&mut self, end: ConnId, feed: &mut Feed<'_>) -> Option<ClientFrame> {
        let holder = feed.pick(&self.ends)?;
        let Welcome { id, owner, kid, expiry, token_key, .. } = self.known.get(&holder)?.welcome?;
        let mac = proof(&token_key, &self.known.get(&end)?.challenge);
        let mut claim = ClientFrame::Reclaim { version: VERSION, channels: 3, kid, id, owner, expiry, mac };
        if let ClientFrame::Reclaim { kid, id, owner, expiry, mac, .. } = &mut claim {
            match feed.byte() {
                0 => *kid ^= 3,
                1 => *id = self.some_id(feed)?,
                2 => owner[feed.below(8)] ^= 1,
                3 => *expiry = expiry.wrapping_add(u64::from(feed.u32())),
                4 => mac[feed.below(16)] ^= 1 << feed.below(8),
                _ => {}
            }
        }
        Some(claim)
    }

    /// Whether a claim is of what somebody was given, with its token, for this connection.
    fn is_proven(&self, from: ConnId, claim: &ClientFrame) -> bool {
        let &ClientFrame::Reclaim { kid, id, owner, expiry, mac, .. } = claim else { return false };
        let Some(Known { challenge, .. }) = self.known.get(&from) else { return false };
        self.known.values().filter_map(|known| known.welcome.as_ref()).any(|given| {
            (given.kid, given.id, given.owner, given.expiry) == (kid, id, owner, expiry)
                && proof(&given.token_key, challenge) == mac
        })
    }

    fn some_id(&self, feed: &mut Feed<'_>) -> Option<PeerId> {
        match feed.pick(&self.ends).and_then(|end| self.known.get(&end)?.welcome) {
            Some(welcome) => Some(welcome.id),
            None => PeerId::from_bytes(*b"nobody"),
        }
    }

    fn nonce(&mut self) -> [u8; 16] {
        self.nonces += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonces.to_be_bytes());
        nonce
    }

    fn forward(&mut self, feed: &mut Feed<'_>) {
        let Some(end) = feed.pick(&self.ends) else { return };
        let channel = self.known.get(&end).map_or(0, |known| feed.near(&known.channels));
        let mut frame = ForwardHeader { channel }.to_bytes().to_vec();
        match feed.byte() {
            0 => frame.resize(FRAME_MAX, 0xee),
            1 => frame.resize(FRAME_MAX + 1, 0xee),
            _ => frame.extend_from_slice(feed.bytes()),
        }
        self.raw(end, &mut frame);
    }

    fn frame(&mut self, from: ConnId, frame: &ClientFrame) {
        self.raw(from, &mut frame.encode().to_vec());
    }

    fn raw(&mut self, from: ConnId, frame: &mut [u8]) {
        let decoded = self.unique(frame);
        let before = frame.to_vec();
        if decoded.as_ref().is_some_and(|claim| self.is_proven(from, claim)) {
            self.model.proven();
        }
        let expected = self.model.frame(from, frame, decoded.as_ref());
        if let (Some(ClientFrame::Connect { request, .. }), Some(known)) =
            (decoded, self.known.get_mut(&from))
        {
            known.last_request = known.last_request.max(request);
        }
        let handled = self.relay.handle(self.now, Input::Frame { from, frame });
        self.latest = self.latest.max(self.now);
        match (handled, expected) {
            (Handled::Forward(to), Forwarding::To(end, channel)) => {
                assert_eq!((to, ForwardHeader::peek(frame)), (end, Some(ForwardHeader { channel })));
                assert_eq!(frame[FORWARD_HEADER..], before[FORWARD_HEADER..], "a payload passes untouched");
            }
            (Handled::Done, Forwarding::No) => {}
            (handled, expected) => panic!("{handled:?} where {expected:?} was due"),
        }
        self.settle();
        self.model.handled();
    }

    /// Nonces are what the model recognises requests by: each is used once, also in frames of any making.
    fn unique(&mut self, frame: &mut [u8]) -> Option<ClientFrame> {
        let mut decoded = ClientFrame::decode(frame).ok()?;
        if let ClientFrame::Connect { nonce, .. } | ClientFrame::Accept { nonce, .. } = &mut decoded {
            *nonce = self.nonce();
            frame.copy_from_slice(&decoded.encode());
        }
        Some(decoded)
    }

    fn invalid(&mut self, from: ConnId) {
        self.input(Input::Invalid { from, code: CloseCode::NotBinary });
        assert!(!self.model.is_open(from));
    }

    fn closed(&mut self, conn: ConnId) {
        self.model.gone(conn);
        self.input(Input::Closed { conn });
    }

    fn time(&mut self, feed: &mut Feed<'_>) {
        let deadline = self.relay.poll_timeout().map_or(self.now, |deadline| deadline.at);
        let amount = u64::from(feed.byte());
        self.now = match feed.byte() % 6 {
            0 | 1 => deadline.max(self.now),
            2 => self.now + Duration::from_millis(amount),
            3 => self.now + Duration::from_secs(amount),
            4 => self.now + Duration::from_secs(600 * amount),
            // Slightly backwards.
            _ => self.now - Duration::from_millis(amount),
        };
        if amount % 8 != 7 {
            self.timeout();
        }
    }

    fn timeout(&mut self) {
        self.input(Input::Timeout);
        let next = self.relay.poll_timeout();
        assert!(next.is_none_or(|next| next.at > self.now), "{next:?} does not move on from {:?}", self.now);
    }

    fn input(&mut self, input: Input<'_>) {
        assert_eq!(self.relay.handle(self.now, input), Handled::Done);
        self.settle();
    }

    /// Drains the outputs into the model.
    fn settle(&mut self) {
        self.latest = self.latest.max(self.now);
        for count in 0.. {
            assert!(count < OUTPUTS_MAX, "one input, more than {OUTPUTS_MAX} outputs");
            let deadline = self.relay.poll_timeout();
            let Some(output) = self.relay.poll_output() else { break };
            assert!(
                deadline.is_some_and(|deadline| deadline.at <= self.latest),
                "output is queued, and the deadline is {deadline:?}"
            );
            self.model.output(&output, &mut self.known);
        }
        self.model.settled(&self.relay, self.latest.since(START));
    }

    /// Everybody leaves.
    fn end(&mut self) {
        for end in self.ends.clone() {
            self.closed(end);
        }
        assert_eq!(self.relay.poll_timeout(), None, "nobody is here, and somebody is waited for");
        assert_eq!((self.relay.connections(), self.model.connections()), (0, 0));
    }
}

/// Where the connections come from, one after the other: two addresses, two subnets of a site, and nobody knows where.
fn source(number: usize) -> Source {
    match number % 5 {
        0 => Source::Unknown,
        place @ (1 | 2) => Source::Address([192, 0, 2, place as u8].into()),
        place => Source::Address([0x2001, 0xdb8, 0, place as u16, 0, 0, 0, 1].into()),
    }
}

/// What RECLAIM proves itself with.
fn proof(token_key: &[u8; 32], challenge: &[u8; 16]) -> [u8; 16] {
    let mut mac = [0; 16];
    let hash = blake3::Hasher::new_keyed(token_key).update(b"reclaim").update(challenge).finalize();
    mac.copy_from_slice(&hash.as_bytes()[..16]);
    mac
}
