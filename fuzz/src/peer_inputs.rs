//! A client against another side that holds the key and seals whatever it likes, and a relay that is of its party: the client keeps
//! to the window it is given, hands out exactly the packets it is sent, holds no more than its limits, sends nothing that does not open
//! in order, and its deadlines move on.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use phantom_core::client::{Client, ClientConfig, Event, Input, Output};
use phantom_core::crypto::exchange::{Exchange, Inputs, Secured, Verdict};
use phantom_core::crypto::record::{HEADER, OpenError, PLAINTEXT_SEND_MAX, TAG};
use phantom_core::crypto::{EncryptionKey, Role};
use phantom_core::id::{ChannelId, PeerId};
use phantom_core::rng::Rng;
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{
    ClientFrame, Ended, FORWARD_HEADER, ForwardHeader, OpenedBy, RelayFrame, VERSION, Welcome,
};

use crate::beginning::Beginnings;
use crate::feed::Feed;

const STEPS_MAX: usize = 300;
const OUTPUTS_MAX: usize = 2000;
/// What a sender may send before the first STATE.
const FIRST_WINDOW: u64 = 64 << 10;
/// What the client takes: in its window, and in one packet.
const WINDOW: usize = 128 << 10;
const PACKET_MAX: usize = 64 << 10;
const OWN: [u8; 6] = *b"client";
const PEER: [u8; 6] = *b"friend";
const KEY: &str = "ABCDE12345";
/// With patience and without, times sixteen lists of capabilities.
const CONFIGS: u8 = 32;

thread_local! {
    static BEGINNINGS: Beginnings<World> = const { Beginnings::new() };
}

/// Lets `data` be the other side.
pub fn peer_inputs(data: &[u8]) {
    let mut feed = Feed::new(data);
    let config = feed.byte() % CONFIGS;
    let story = |mut world: World| {
        for _ in 0..STEPS_MAX {
            if feed.is_empty() {
                break;
            }
            world.step(&mut feed);
        }
        world.end();
    };
    // SAFETY: the story drops the world, and keeps nothing of it.
    BEGINNINGS.with(|made| unsafe { made.tell(config, || World::new(config), story) });
}

struct World {
    now: Instant,
    client: Client,
    channel: ChannelId,
    /// What the relay calls the channel; none while it is cut.
    number: Option<u32>,
    last_number: u32,
    peer: Secured,
    sent: VecDeque<Bytes>,
    /// What the client must hand out, as far as it is known here: packets sealed and sent in order, none lost.
    due: VecDeque<Bytes>,
    /// A packet of which parts were sent.
    parts: Option<Vec<u8>>,
    /// Nothing has been lost, and nothing sent that may end the channel: all that is due must be handed out.
    clean: bool,
    /// A DATA record was sealed while the channel was cut; what is sealed later is out of order.
    lost: bool,
    /// The packets of every record are known here.
    exact: bool,
    /// Bytes of DATA records sent.
    spent: usize,
    /// Window bytes the client has used, and may use.
    used: u64,
    edge: u64,
    opened: u64,
    /// Packets complete with each record the client has sent.
    complete: Vec<u64>,
    /// Records the client has been told of.
    acked: u64,
    /// Packets the client has taken to send.
    queued: u64,
    closed: bool,
    rendezvous: Option<[u8; 16]>,
}

impl World {
    /// A client that has connected, agreed on the key, and is secured.
    fn new(config: u8) -> Self {
        let key = || EncryptionKey::parse(KEY).expect("a passphrase");
        let mut settings = ClientConfig { key: Some(key()), ..ClientConfig::default() };
        settings.limits.packet_max_log2 = 16;
        settings.limits.queue_max_bytes = 128 << 10;
        settings.limits.unacked_max_bytes = 128 << 10;
        settings.limits.unacked_max_records = 16;
        settings.limits.receive_window_bytes = WINDOW;
        if config & 1 != 0 {
            settings.limits.patience = Duration::ZERO;
        }
        let mut client = Client::new(settings, [5; 32]);
        let now = Instant::from_micros(1_000_000);
        let peer_id = PeerId::from_bytes(PEER).expect("six letters");

        client.handle(now, Input::Timeout);
        client.handle(now, Input::Connected);
        let hello = RelayFrame::Hello { version: VERSION, challenge: [0; 16], work: 0 };
        let welcome = RelayFrame::Welcome(Welcome {
            id: PeerId::from_bytes(OWN).expect("six letters"),
            reclaimed: false,
            owner: [0; 8],
            kid: 1,
            expiry: 1,
            token_key: [0; 32],
            channels: 1,
            idle_s: 60,
            request_s: 60,
        });
        receive(&mut client, now, &hello.encode());
        receive(&mut client, now, &welcome.encode());
        client.connect(now, peer_id).expect("online");
        let nonce = transmitted(&mut client)
            .iter()
            .find_map(|frame| match ClientFrame::decode(frame) {
                Ok(ClientFrame::Connect { nonce, .. }) => Some(nonce),
                _ => None,
            })
            .expect("it asks");
        let opened = RelayFrame::Opened { by: OpenedBy::Approval, request: 1, channel: 1, nonce: [2; 16] };
        receive(&mut client, now, &opened.encode());
        let share = transmitted(&mut client).pop().expect("it has the key, and opens a run");

        let inputs = Inputs {
            role: Role::Acceptor,
            version: VERSION,
            id_connector: OWN,
            id_acceptor: PEER,
            nonce_connector: nonce,
            nonce_acceptor: [2; 16],
            run: 1,
            caps: 16 + u32::from(config >> 1),
        };
        let exchange = Exchange::start(inputs, &key(), &mut Rng::from_seed(&[6; 32]));
        let own_share = message(1, &[&[0x01, 0, 1], &exchange.share(), &exchange.ad()]);
        receive(&mut client, now, &own_share);
        let (_, share, ad) = split::<32, 24>(&share);
        let confirming = exchange.finish(&share, &ad).expect("an honest share");
        let (check, tag) = confirming.confirm();
        let confirm = transmitted(&mut client).pop().expect("both shares are there");
        let (_, peer_check, peer_tag) = split::<16, 32>(&confirm);
        let Verdict::Secured(peer) = confirming.judge(&peer_check, &peer_tag) else { panic!("one key") };
        receive(&mut client, now, &message(1, &[&[0x02, 0, 1], &check, &tag]));
        let channel = client.channels().next().expect("it is open");
        assert!(client.is_secured(channel));
        let mut world = Self {
            now,
            client,
            channel,
            number: Some(1),
            last_number: 1,
            peer: *peer,
            sent: VecDeque::new(),
            due: VecDeque::new(),
            parts: None,
            clean: true,
            lost: false,
            exact: true,
            spent: 0,
            used: 0,
            edge: FIRST_WINDOW,
            opened: 0,
            complete: Vec::new(),
            acked: 0,
            queued: 0,
            closed: false,
            rendezvous: None,
        };
        world.drain();
        world
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        match feed.byte() % 20 {
            0..=4 => self.data(feed),
            5 => self.many(feed),
            6..=8 => self.state(feed),
            9 => {
                let plaintext = feed.bytes().to_vec();
                self.clean = false;
                self.seal_ctrl(&plaintext);
            }
            10 | 11 => {
                let len = [0, 1, 300, 5_000, 40_000, 65_536, 100_000][feed.below(7)];
                for _ in 0..=feed.byte() % 16 {
                    if let Ok(number) = self.client.send(self.now, self.channel, vec![0x5a; len]) {
                        self.queued += 1;
                        assert_eq!(number, self.queued, "packets are numbered from 1");
                    }
                }
                self.drain();
            }
            12 => {
                for _ in 0..=feed.byte() {
                    if !self.take() {
                        break;
                    }
                }
            }
            13 => {
                // A record again, or one that never was.
                self.clean = false;
                let at = feed.below(self.sent.len().max(1));
                let mut frame = self.sent.get(at).map_or_else(Vec::new, |frame| frame.to_vec());
                let place = usize::from(feed.u16()) % frame.len().max(1);
                if let Some(byte) = frame.get_mut(place) {
                    *byte ^= feed.byte() & 0x0f;
                }
                self.deliver(&frame);
            }
            14 => self.cut_or_attach(feed),
            15 => {
                if feed.byte() < 64 {
                    let _ = self.client.disconnect(self.now, self.channel);
                    self.drain();
                }
            }
            16 => {
                let credit = usize::from(feed.u16()) * usize::from(feed.byte());
                self.client.handle(self.now, Input::Writable(credit));
                self.drain();
            }
            17 => {
                self.now = self.now + Duration::from_secs(60 * u64::from(feed.byte()));
                self.timeout();
            }
            _ => {
                let at = self.client.poll_timeout().map_or(self.now, |deadline| deadline.at);
                self.now = at.max(self.now);
                self.timeout();
            }
        }
    }

    // What the other side seals.

    /// A DATA record of any item: whole packets, parts, the end, a new key, and what is none of these.
    fn data(&mut self, feed: &mut Feed<'_>) {
        let (item, fill) = (feed.byte(), feed.byte());
        let mut body = feed.bytes().to_vec();
        if fill >= 200 {
            body.resize((PLAINTEXT_SEND_MAX - 1) >> (fill % 4), fill);
        }
        let item = if item < 224 { 1 + item % 5 } else { item };
        match item {
            1 if !body.is_empty() => {
                let packet = self.parts.get_or_insert_default();
                if self.number.is_some() {
                    packet.extend_from_slice(&body);
                }
                self.clean &= packet.len() <= PACKET_MAX;
            }
            2 => {
                let mut packet = self.parts.take().unwrap_or_default();
                packet.extend_from_slice(&body);
                self.clean &= packet.len() <= PACKET_MAX;
                self.expect(packet);
            }
            4 if body.is_empty() => {}
            5 => (self.clean, self.exact) = (false, false),
            _ => self.clean = false,
        }
        let mut plaintext = vec![item];
        plaintext.extend_from_slice(&body);
        self.seal_data(&plaintext);
        if item == 4 && body.is_empty() {
            self.peer.data_tx.ratchet();
        }
    }

    /// Many small packets in one record, with lengths that are true more often than not.
    fn many(&mut self, feed: &mut Feed<'_>) {
        self.clean &= self.parts.is_none();
        let mut plaintext = vec![5];
        for _ in 0..=feed.byte() % 32 {
            let packet = vec![feed.byte(); feed.below(100)];
            match feed.byte() {
                0 => {
                    (self.clean, self.exact) = (false, false);
                    plaintext.extend_from_slice(&[0x80, 0]);
                }
                1 => {
                    (self.clean, self.exact) = (false, false);
                    plaintext.push(feed.byte());
                }
                _ => plaintext.push(packet.len() as u8),
            }
            plaintext.extend_from_slice(&packet);
            self.expect(packet);
        }
        self.seal_data(&plaintext);
    }

    /// A STATE with fields near the truth.
    fn state(&mut self, feed: &mut Feed<'_>) {
        let near = |feed: &mut Feed<'_>, truth: u64| match feed.byte() {
            0..160 => truth,
            160..200 => truth.saturating_sub(feed.byte().into()),
            200..240 => truth.wrapping_add(feed.byte().into()),
            _ => feed.u64(),
        };
        let recv_next = near(feed, self.opened);
        let send_next = near(feed, self.peer.data_tx.next_seq());
        let window = match feed.byte() % 6 {
            0 => 1 << 20,
            1 => 1 << 14,
            2 => 100,
            3 => 0,
            4 => u32::MAX,
            _ => feed.u32(),
        };
        let flags = feed.byte();
        let flags = if flags < 240 { flags % 4 } else { flags };
        // Only what is true lets the client go on for sure.
        self.clean &= recv_next <= self.opened && send_next <= self.peer.data_tx.next_seq() && flags < 4;
        if recv_next == self.opened {
            self.edge = self.edge.max(self.used + u64::from(window));
        } else {
            // Counted from an earlier record, this reaches no further than that.
            self.edge = self.edge.max(self.used.saturating_add(u64::from(window)));
        }
        let mut plaintext = vec![1];
        plaintext.extend_from_slice(&recv_next.to_be_bytes());
        plaintext.extend_from_slice(&send_next.to_be_bytes());
        plaintext.extend_from_slice(&window.to_be_bytes());
        plaintext.push(flags);
        self.acked = self.acked.max(recv_next.min(self.opened));
        let impossible = recv_next > self.opened || flags > 3;
        self.seal_ctrl(&plaintext);
        assert!(!impossible || self.number.is_none(), "goes on with somebody who has what was never sent");
    }

    fn seal_data(&mut self, plaintext: &[u8]) {
        let mut record = room(plaintext);
        if self.peer.data_tx.seal(&mut record).is_ok() {
            self.spent += record.len();
            self.clean &= self.spent <= WINDOW;
            self.lost |= self.number.is_none();
            self.send(&record);
        }
    }

    fn seal_ctrl(&mut self, plaintext: &[u8]) {
        let mut record = room(plaintext);
        if self.peer.ctrl_tx.seal(&mut record).is_ok() {
            self.send(&record);
        }
    }

    /// A packet that the client must hand out, unless an earlier record was lost: nobody sends that again.
    fn expect(&mut self, packet: Vec<u8>) {
        if self.number.is_some() && !self.lost {
            self.due.push_back(packet.into());
        }
    }

    fn send(&mut self, record: &[u8]) {
        let Some(number) = self.number else {
            self.clean = false;
            return;
        };
        let frame = message(number, &[record]);
        if self.sent.len() == 16 {
            self.sent.pop_front();
        }
        self.sent.push_back(frame.clone().into());
        self.deliver(&frame);
    }

    fn deliver(&mut self, frame: &[u8]) {
        receive(&mut self.client, self.now, frame);
        self.drain();
    }

    /// The relay cuts the channel, or finds it again.
    fn cut_or_attach(&mut self, feed: &mut Feed<'_>) {
        self.clean = false;
        match (self.number.take(), self.rendezvous) {
            (Some(channel), _) => {
                let reason = Ended::from_wire(1 + feed.byte() % 4).expect("one of four");
                self.deliver(&RelayFrame::Closed { channel, reason }.encode());
            }
            (None, Some(rendezvous)) => {
                self.last_number += 1;
                self.number = Some(self.last_number);
                self.deliver(&RelayFrame::Attached { rendezvous, channel: self.last_number }.encode());
            }
            (None, None) => {}
        }
    }

    // What the client does.

    fn timeout(&mut self) {
        self.client.handle(self.now, Input::Timeout);
        self.drain();
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|next| next.at > self.now), "{next:?} does not move on from {:?}", self.now);
        // The relay is a good one, but for the rest.
        self.deliver(&RelayFrame::Pong { token: 0 }.encode());
    }

    fn drain(&mut self) {
        for count in 0.. {
            assert!(count < OUTPUTS_MAX, "one call, more than {OUTPUTS_MAX} outputs");
            let Some(output) = self.client.poll_output() else { break };
            match output {
                Output::Transmit(frame) => self.transmitted(&frame),
                Output::Event(Event::Closed { channel, fate, .. }) if channel == self.channel => {
                    assert!(!self.closed, "a channel ends once");
                    assert_eq!(
                        fate.delivered + fate.uncertain + fate.unsent,
                        self.queued,
                        "every packet has a fate"
                    );
                    self.closed = true;
                }
                Output::Event(Event::Delivered { up_to, .. }) => {
                    let known = self.acked.checked_sub(1).and_then(|last| self.complete.get(last as usize));
                    assert!(Some(&up_to) <= known, "{up_to} delivered, and nobody said so");
                }
                Output::Dial { .. } => self.client.handle(self.now, Input::DialFailed),
                // It is never connected again, so that nobody can find the channel.
                Output::HangUp(_) => (self.number, self.rendezvous, self.clean) = (None, None, false),
                Output::Event(_) => {}
            }
        }
    }

    fn transmitted(&mut self, frame: &[u8]) {
        match ClientFrame::decode(frame) {
            Ok(ClientFrame::Rejoin { rendezvous, .. }) => self.rendezvous = Some(rendezvous),
            Ok(ClientFrame::Close { channel }) if Some(channel) == self.number => self.number = None,
            Ok(_) => {}
            Err(_) => {
                let mut record = frame[FORWARD_HEADER..].to_vec();
                match record[0] {
                    0x10 => self.data_came(&mut record),
                    0x11 => {
                        self.peer.ctrl_rx.open(&mut record).expect("CTRL only goes forward");
                    }
                    0x02 => {}
                    kind => panic!("sends a message of kind {kind:#04x}"),
                }
            }
        }
    }

    fn data_came(&mut self, record: &mut [u8]) {
        let wire = record.len() as u64;
        match self.peer.data_rx.open(record) {
            Ok([item, body @ ..]) => {
                let packets = match item {
                    2 => 1,
                    5 => many(body),
                    _ => 0,
                };
                self.complete.push(self.complete.last().map_or(0, |before| *before) + packets);
                let counted = !matches!(item, 3 | 4);
                let ratchet = *item == 4;
                self.opened += 1;
                self.used += if counted { wire } else { 0 };
                assert!(self.used <= self.edge, "{} bytes sent, and {} allowed", self.used, self.edge);
                if ratchet {
                    self.peer.data_rx.ratchet();
                }
            }
            // Sent again; or what was sealed while the channel was cut from here.
            Ok([]) | Err(OpenError::Duplicate { .. }) => {}
            Err(error) => panic!("what the client seals does not open: {error}"),
        }
    }

    fn take(&mut self) -> bool {
        let packet = self.client.receive(self.now, self.channel);
        if let Some(packet) = &packet {
            let due = self.due.pop_front();
            assert!(!self.exact || due.as_ref() == Some(packet), "not the packet that was sealed");
        }
        self.drain();
        packet.is_some()
    }

    fn end(&mut self) {
        while self.take() {}
        let all_sent = self.clean && self.number.is_some() && !self.closed;
        assert!(!all_sent || self.due.is_empty(), "{} packets were kept back", self.due.len());
        self.client.leave(self.now);
        self.drain();
        assert!(self.closed, "left, and the channel is not over");
        assert_eq!(self.client.poll_timeout(), None);
    }
}

fn receive(client: &mut Client, now: Instant, frame: &[u8]) {
    client.handle(now, Input::Received(BytesMut::from(frame)));
}

fn transmitted(client: &mut Client) -> Vec<Bytes> {
    let outputs = std::iter::from_fn(|| client.poll_output());
    let frames = outputs.filter_map(|output| match output {
        Output::Transmit(frame) => Some(frame),
        _ => None,
    });
    frames.collect()
}

/// A FORWARD frame.
fn message(channel: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mut frame = ForwardHeader { channel }.to_bytes().to_vec();
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

/// The two fields of a SHARE or CONFIRM frame, behind kind and run.
fn split<const A: usize, const B: usize>(frame: &[u8]) -> (u16, [u8; A], [u8; B]) {
    let fields = &frame[FORWARD_HEADER + 1..];
    let run = u16::from_be_bytes([fields[0], fields[1]]);
    let first = fields[2..2 + A].try_into().expect("a field of its length");
    let second = fields[2 + A..].try_into().expect("a field of its length");
    (run, first, second)
}

/// Room for a record around its plaintext.
fn room(plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0; HEADER];
    record.extend_from_slice(plaintext);
    record.extend_from_slice(&[0; TAG]);
    record
}

/// How many packets are in the body of a record of many.
fn many(mut body: &[u8]) -> u64 {
    let mut count = 0;
    while !body.is_empty() {
        let mut len = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = body.split_first().expect("a length ends");
            body = rest;
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        body = body.get(len..).expect("a packet is as long as is said");
        count += 1;
    }
    count
}
