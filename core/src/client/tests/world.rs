//! Clients and a relay that is the test itself: it says and forwards exactly what the test wants.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::client::{Client, ClientConfig, ClientLimits, Event, Input, Output};
use crate::crypto::EncryptionKey;
use crate::id::{ChannelId, PeerId};
use crate::time::{Duration, Instant};
use crate::wire::{CloseCode, FORWARD, OpenedBy, RelayFrame, VERSION, Welcome, Writer};

pub(super) const S: Duration = Duration::from_secs(1);

pub(super) fn id(text: &str) -> PeerId {
    text.parse().unwrap()
}

/// A client, what it told its application, and what it said to the relay since it was last asked.
pub(super) struct Puppet {
    pub(super) client: Client,
    pub(super) now: Instant,
    pub(super) events: Vec<Event>,
    pub(super) sent: Vec<Bytes>,
    pub(super) hung_up: Option<CloseCode>,
    pub(super) name: PeerId,
}

impl Puppet {
    pub(super) fn new(name: &str, key: &str, limits: ClientLimits) -> Self {
        let key = Some(EncryptionKey::parse(key).unwrap());
        let config = ClientConfig { key, limits, ..ClientConfig::default() };
        let seed = *blake3::hash(name.as_bytes()).as_bytes();
        Self {
            client: Client::new(config, seed),
            now: Instant::ZERO,
            events: Vec::new(),
            sent: Vec::new(),
            hung_up: None,
            name: id(name),
        }
    }

    /// One that is online.
    pub(super) fn online(name: &str, key: &str, limits: ClientLimits) -> Self {
        let mut puppet = Self::new(name, key, limits);
        puppet.join();
        puppet
    }

    pub(super) fn join(&mut self) {
        while !self.wait_once() {}
        self.input(Input::Connected);
        self.relay(RelayFrame::Hello { version: VERSION, challenge: [0; 16], work: 0 });
        self.relay(self.welcome());
        assert_eq!(self.client.id(), Some(self.name));
        self.sent.clear();
    }

    pub(super) fn welcome(&self) -> RelayFrame {
        RelayFrame::Welcome(Welcome {
            id: self.name,
            reclaimed: false,
            owner: [0; 8],
            kid: 0,
            expiry: 0,
            token_key: [0x77; 32],
            channels: 8,
            idle_s: 30,
            request_s: 60,
        })
    }

    pub(super) fn input(&mut self, input: Input) {
        self.client.handle(self.now, input);
        self.drain();
    }

    pub(super) fn drain(&mut self) -> bool {
        let mut dialled = false;
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Transmit(frame) => self.sent.push(frame),
                Output::Event(event) => self.events.push(event),
                Output::HangUp(code) => self.hung_up = Some(code),
                Output::Dial { .. } => dialled = true,
            }
        }
        dialled
    }

    pub(super) fn relay(&mut self, frame: RelayFrame) {
        self.raw(&frame.encode());
    }

    pub(super) fn raw(&mut self, frame: &[u8]) {
        self.input(Input::Received(BytesMut::from(frame)));
    }

    /// Time runs until the next deadline; says whether that was for a dial.
    pub(super) fn wait_once(&mut self) -> bool {
        let Some(deadline) = self.client.poll_timeout() else { panic!("nothing is waited for") };
        self.now = self.now.max(deadline.at);
        self.client.handle(self.now, Input::Timeout);
        let dialled = self.drain();
        let next = self.client.poll_timeout();
        assert!(
            next.is_none_or(|next| next.at > self.now),
            "the deadline moves on: {next:?} at {:?}",
            self.now
        );
        dialled
    }

    /// Time runs, with a relay that answers every ping and does nothing else.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.client.poll_timeout().filter(|deadline| deadline.at <= end) {
            self.now = self.now.max(deadline.at);
            self.wait_once();
            if self.client.id().is_some() {
                self.relay(RelayFrame::Pong { token: 0 });
            }
        }
        self.now = end;
    }

    pub(super) fn take_sent(&mut self) -> Vec<Bytes> {
        core::mem::take(&mut self.sent)
    }

    pub(super) fn heard(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    /// The latest channel it was told of.
    pub(super) fn channel(&self) -> ChannelId {
        let opened = |event: &Event| match event {
            Event::Opened { channel, .. } => Some(*channel),
            _ => None,
        };
        self.events.iter().rev().find_map(opened).unwrap()
    }

    /// Asks `peer`; the nonce of its CONNECT, and its number.
    pub(super) fn ask(&mut self, peer: PeerId) -> (u32, [u8; 16]) {
        self.client.connect(self.now, peer).unwrap();
        self.drain();
        let frame = self.sent.pop().unwrap();
        (u32::from_be_bytes(frame[1..5].try_into().unwrap()), frame[11..27].try_into().unwrap())
    }

    /// Is asked by `peer`, and accepts; the nonce of its ACCEPT.
    pub(super) fn accept(&mut self, peer: PeerId, request: u32, nonce: [u8; 16]) -> [u8; 16] {
        self.relay(RelayFrame::Incoming { request, source: peer, nonce });
        let shown = self.events.iter().rev().find_map(|event| match event {
            Event::Incoming { request, from } if *from == peer => Some(*request),
            _ => None,
        });
        self.client.accept(self.now, shown.unwrap()).unwrap();
        self.drain();
        self.sent.pop().unwrap()[5..21].try_into().unwrap()
    }
}

/// Opens a channel between two puppets that is number 1 at both. SHAREs are on their way.
pub(super) fn meet(a: &mut Puppet, b: &mut Puppet) {
    let (number, nonce_a) = a.ask(b.name);
    let nonce_b = b.accept(a.name, 7, nonce_a);
    a.relay(RelayFrame::Opened { by: OpenedBy::Approval, request: number, channel: 1, nonce: nonce_b });
    b.relay(RelayFrame::Opened { by: OpenedBy::Acceptance, request: 7, channel: 1, nonce: nonce_a });
}

/// Forwards everything both say, until both are silent; everything else that they say to the relay is returned.
pub(super) fn forward(a: &mut Puppet, b: &mut Puppet) -> [Vec<Bytes>; 2] {
    let mut to_relay = [Vec::new(), Vec::new()];
    loop {
        let (from_a, from_b) = (a.take_sent(), b.take_sent());
        if from_a.is_empty() && from_b.is_empty() {
            return to_relay;
        }
        for (frames, to, other) in [(from_a, &mut *b, 0), (from_b, &mut *a, 1)] {
            for frame in frames {
                if frame[0] == FORWARD { to.raw(&frame) } else { to_relay[other].push(frame) }
            }
        }
    }
}

/// Two clients with a secured channel.
pub(super) fn secured(limits: &ClientLimits) -> (Puppet, Puppet) {
    let mut a = Puppet::online("AAAAAA", "one key", limits.clone());
    let mut b = Puppet::online("BBBBBB", "one key", limits.clone());
    meet(&mut a, &mut b);
    forward(&mut a, &mut b);
    assert!(a.client.is_secured(a.channel()) && b.client.is_secured(b.channel()));
    (a, b)
}

/// A FORWARD frame with this payload.
pub(super) fn payload(channel: u32, payload: &[u8]) -> Vec<u8> {
    let (head, len) = Writer::<5>::new().u8(FORWARD).u32(channel).finish();
    [&head[..len], payload].concat()
}

/// The rendezvous value of the REJOIN among these frames.
pub(super) fn rejoin_of(frames: &[Bytes]) -> Option<[u8; 16]> {
    frames.iter().find(|frame| frame[0] == 0x08).map(|frame| frame[1..17].try_into().unwrap())
}
