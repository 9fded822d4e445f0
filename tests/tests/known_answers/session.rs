//! `session.json`: two clients meet through a relay, agree, talk, lose a link, find each other again, and part. Every message of it,
//! and every secret that a second implementation needs to follow.
//!
//! The messages are the machines'. Keys and plaintexts are worked out here a second time, from the text of `PROTOCOL.md`, with nothing
//! but a hash function, a cipher, and CPace, which has vectors of its own in `core`.

use std::collections::VecDeque;

use bytes::BytesMut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use phantom_core::client::{self, Client, ClientConfig, Event};
use phantom_core::crypto::cpace::CpaceState;
use phantom_core::crypto::{EncryptionKey, lv_cat};
use phantom_core::id::{ChannelId, ConnId, PeerId};
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::rng::Rng;
use phantom_core::time::{Duration, Instant};
use serde_json::{Value, json};

use super::{assert_frozen, hex, unhex};

const KEY: &str = "ABCDE12345";
const RELAY_SECRET: [u8; 32] = [0x5e; 32];
const KID: u8 = 1;
const UNIX_ORIGIN: u64 = 1_800_000_000;
const SEED_RELAY: [u8; 32] = [0x01; 32];
/// The connector's and the acceptor's.
const SEEDS: [[u8; 32]; 2] = [[0xc0; 32], [0xa0; 32]];
const NAMES: [&str; 2] = ["connector", "acceptor"];

#[test]
fn the_session_is_the_frozen_one() {
    let (messages, ids) = Play::perform();
    let secrets = Secrets::derive(ids);
    let mut told: Vec<Value> = Vec::new();
    for message in &messages {
        told.push(secrets.explain(message));
    }
    secrets.assert_said(&told);
    let computed = json!({
        "about": "Known answers of the Phantom protocol, version 1: one session. Byte strings are lower-case hexadecimal. \
                  A FORWARD frame stands here as its sender sent it and as its receiver got it.",
        "inputs": {
            "key": KEY,
            "relay_secret": hex(RELAY_SECRET),
            "kid": KID,
            "unix_time": UNIX_ORIGIN,
            "randomness_connector": hex(randomness(0).1),
            "randomness_acceptor": hex(randomness(1).1),
        },
        "keys": secrets.to_json(),
        "messages": told,
    });
    assert_frozen("session.json", &computed);
}

/// One message on its way, `None` being the relay.
#[derive(Clone)]
struct Sent {
    scene: &'static str,
    from: Option<usize>,
    to: Option<usize>,
    frame: Vec<u8>,
}

/// A relay and two clients without any delay; time passes when the play says so.
struct Play {
    now: Instant,
    relay: Relay,
    clients: [Client; 2],
    conns: [Option<ConnId>; 2],
    on_the_way: VecDeque<Sent>,
    delivered: Vec<Sent>,
    scene: &'static str,
}

impl Play {
    fn perform() -> (Vec<Sent>, [PeerId; 2]) {
        let config =
            || ClientConfig { key: Some(EncryptionKey::parse(KEY).unwrap()), ..ClientConfig::default() };
        let mut play = Self {
            now: Instant::ZERO,
            relay: Relay::new(RelayConfig::new(RelaySecret::new(KID, RELAY_SECRET), UNIX_ORIGIN), SEED_RELAY),
            clients: SEEDS.map(|seed| Client::new(config(), seed)),
            conns: [None; 2],
            on_the_way: VecDeque::new(),
            delivered: Vec::new(),
            scene: "register",
        };
        play.timeout(1);
        play.timeout(0);
        let ids = [0, 1].map(|i: usize| play.clients[i].id().expect("online"));

        play.scene = "pair";
        play.clients[0].connect(play.now, ids[1]).unwrap();
        let events = play.run();
        let request = events.iter().find_map(|(_, event)| match event {
            Event::Incoming { request, .. } => Some(*request),
            _ => None,
        });
        play.clients[1].accept(play.now, request.expect("asked")).unwrap();
        let events = play.run();
        let channels = [0, 1].map(|i| channel(&events, i));
        assert!([0, 1].iter().all(|&i: &usize| play.clients[i].is_secured(channels[i])));

        play.scene = "talk";
        // Two packets share a record; each is the string of the seed's first packet.
        play.clients[0].send(play.now, channels[0], unhex(HELLO_PACKET)).unwrap();
        play.run();
        play.clients[1].send(play.now, channels[1], unhex(HELLO_PACKET)).unwrap();
        play.clients[1].send(play.now, channels[1], unhex(HI_PACKET)).unwrap();
        play.run();
        play.pass(Duration::from_millis(200));

        play.scene = "lose a record";
        play.clients[0].send(play.now, channels[0], unhex(HI_PACKET)).unwrap();
        play.lose_link_with_what_is_sent(0);

        play.scene = "come back";
        play.pass(Duration::from_secs(1));
        play.pass(Duration::from_millis(200));
        let taken = std::iter::from_fn(|| play.clients[1].receive(play.now, channels[1])).collect::<Vec<_>>();
        assert_eq!(taken, [unhex(HELLO_PACKET), unhex(HI_PACKET)]);

        play.scene = "part";
        play.clients[0].disconnect(play.now, channels[0]).unwrap();
        play.run();
        while play.clients[0].receive(play.now, channels[0]).is_some() {}
        let events = play.run();
        assert!(events.iter().any(|(_, event)| matches!(event, Event::Closed { .. })));
        (play.delivered, ids)
    }

    fn timeout(&mut self, client: usize) -> Vec<(usize, Event)> {
        self.clients[client].handle(self.now, client::Input::Timeout);
        self.run()
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for client in [0, 1] {
            self.timeout(client);
        }
    }

    /// The client's link goes with everything on it, and the relay notices.
    fn lose_link_with_what_is_sent(&mut self, client: usize) {
        self.drain(client, &mut Vec::new());
        for sent in self.on_the_way.drain(..) {
            self.delivered.push(Sent { to: Some(usize::MAX), ..sent });
        }
        self.clients[client].handle(self.now, client::Input::Disconnected { code: None });
        let conn = self.conns[client].take().expect("connected");
        let _ = self.relay.handle(self.now, relay::Input::Closed { conn });
        self.run();
    }

    /// Delivers message after message until nobody has more to say.
    fn run(&mut self) -> Vec<(usize, Event)> {
        let mut events = Vec::new();
        loop {
            self.drain_relay();
            for client in [0, 1] {
                self.drain(client, &mut events);
            }
            let Some(sent) = self.on_the_way.pop_front() else { return events };
            self.delivered.push(sent.clone());
            match (sent.from, sent.to) {
                (Some(from), _) => self.at_relay(from, sent.frame),
                (_, Some(to)) => {
                    let frame = BytesMut::from(&sent.frame[..]);
                    self.clients[to].handle(self.now, client::Input::Received(frame));
                }
                _ => unreachable!("the relay does not send to itself"),
            }
        }
    }

    fn at_relay(&mut self, from: usize, mut frame: Vec<u8>) {
        let Some(conn) = self.conns[from] else { return };
        let input = relay::Input::Frame { from: conn, frame: &mut frame };
        if let Handled::Forward(to) = self.relay.handle(self.now, input) {
            self.send_to(to, frame);
        }
    }

    fn drain_relay(&mut self) {
        while let Some(output) = self.relay.poll_output() {
            match output {
                relay::Output::Transmit { to, frame, .. } => self.send_to(to, frame.to_vec()),
                other => panic!("{other:?}"),
            }
        }
    }

    fn send_to(&mut self, conn: ConnId, frame: Vec<u8>) {
        let to = self.conns.iter().position(|&known| known == Some(conn));
        self.on_the_way.push_back(Sent { scene: self.scene, from: None, to, frame });
    }

    fn drain(&mut self, client: usize, events: &mut Vec<(usize, Event)>) {
        while let Some(output) = self.clients[client].poll_output() {
            match output {
                client::Output::Dial { .. } => {
                    self.conns[client] = self.relay.open(self.now, Source::Unknown).ok();
                    self.clients[client].handle(self.now, client::Input::Connected);
                    self.drain_relay();
                }
                client::Output::Transmit(frame) => {
                    let frame = frame.to_vec();
                    self.on_the_way.push_back(Sent {
                        scene: self.scene,
                        from: Some(client),
                        to: None,
                        frame,
                    });
                }
                client::Output::Event(event) => events.push((client, event)),
                client::Output::HangUp(code) => panic!("{code}"),
            }
        }
    }
}

/// The packet of ID 1 with the string of the seed's example, and one with "hi".
const HELLO_PACKET: &str = "0c46d09fd180d0b8d0b2d0b5d182d0b8d0ba212121";
const HI_PACKET: &str = "08806869";

fn channel(events: &[(usize, Event)], client: usize) -> ChannelId {
    let opened = events.iter().find_map(|(who, event)| match event {
        Event::Opened { channel, .. } if *who == client => Some(*channel),
        _ => None,
    });
    opened.expect("a channel has opened")
}

/// What a client of this seed draws for its nonce and its share.
fn randomness(client: usize) -> ([u8; 16], [u8; 64]) {
    let mut rng = after_nonce(client).1;
    (after_nonce(client).0, rng.bytes())
}

fn after_nonce(client: usize) -> ([u8; 16], Rng) {
    let mut rng = Rng::from_seed(&SEEDS[client]);
    // The key of its guess budget comes first.
    let _: [u8; 32] = rng.bytes();
    (rng.bytes(), rng)
}

/// Everything that follows from the inputs, by the text alone.
struct Secrets {
    prs: Vec<u8>,
    ci: Vec<u8>,
    sid: Vec<u8>,
    ads: [Vec<u8>; 2],
    shares: [[u8; 32]; 2],
    isk: [u8; 64],
    sid_output: [u8; 64],
    root: [u8; 32],
    check: Vec<u8>,
    tags: [[u8; 32]; 2],
}

impl Secrets {
    fn derive(ids: [PeerId; 2]) -> Self {
        let prs = lv_cat(&[b"phantom-key/1", &[0], KEY.as_bytes()]).to_vec();
        let ci = lv_cat(&[b"phantom/1", ids[0].as_bytes(), ids[1].as_bytes()]).to_vec();
        let nonces = [0, 1].map(|i| randomness(i).0);
        let sid = [&nonces[0][..], &nonces[1], &1u16.to_be_bytes()].concat();
        let ads = [0, 1].map(|i| [&[1, i as u8, 0, 1], &nonces[i][..], &20u32.to_be_bytes()].concat());
        let start = |i: usize| CpaceState::start(&prs, &ci, &sid, &ads[i], &mut after_nonce(i).1);
        let shares = [0, 1].map(|i| *start(i).share());
        let output = start(0).finish(&shares[1], &ads[1]).unwrap();
        let root = derive("session root", &lv_cat(&[&*output.isk, &output.sid_output, &prs]));
        let check = blake3::hash(&lv_cat(&[b"phantom check", &ci, &sid, &output.sid_output]));
        let tags = [("confirm connector", 0), ("confirm acceptor", 1)].map(|(name, i)| {
            *blake3::keyed_hash(&derive(name, &root), &lv_cat(&[&shares[i], &ads[i]])).as_bytes()
        });
        let check = check.as_bytes()[..16].to_vec();
        Self { isk: *output.isk, sid_output: output.sid_output, prs, ci, sid, ads, shares, root, check, tags }
    }

    fn subkey(&self, name: &str) -> [u8; 32] {
        derive(name, &self.root)
    }

    fn rendezvous(&self) -> String {
        hex(&self.subkey("rendezvous")[..16])
    }

    fn to_json(&self) -> Value {
        let direction = |name: &str| {
            let chain = self.subkey(name);
            let keys = record_keys(&chain);
            json!({ "chain": hex(chain), "key": hex(&keys[..32]), "iv": hex(&keys[32..]) })
        };
        json!({
            "prs": hex(&self.prs),
            "ci": hex(&self.ci),
            "sid": hex(&self.sid),
            "ad_connector": hex(&self.ads[0]),
            "ad_acceptor": hex(&self.ads[1]),
            "share_connector": hex(self.shares[0]),
            "share_acceptor": hex(self.shares[1]),
            "isk": hex(self.isk),
            "sid_output": hex(self.sid_output),
            "root": hex(self.root),
            "confirm_connector": hex(self.subkey("confirm connector")),
            "confirm_acceptor": hex(self.subkey("confirm acceptor")),
            "check": hex(&self.check),
            "tag_connector": hex(self.tags[0]),
            "tag_acceptor": hex(self.tags[1]),
            "data_c2a": direction("data connector to acceptor"),
            "data_a2c": direction("data acceptor to connector"),
            "ctrl_c2a": direction("ctrl connector to acceptor"),
            "ctrl_a2c": direction("ctrl acceptor to connector"),
            "rendezvous": self.rendezvous(),
            "verifier": hex(&self.subkey("verifier")[..16]),
        })
    }

    /// A message in words, with the plaintext of a record.
    fn explain(&self, sent: &Sent) -> Value {
        let name = |side: Option<usize>| match side {
            None => "relay",
            Some(usize::MAX) => "lost",
            Some(side) => NAMES[side],
        };
        let (kind, payload) = match sent.frame.first() {
            Some(0x20) => ("FORWARD", &sent.frame[5..]),
            Some(&kind) => (frame_name(kind), &[][..]),
            None => panic!("an empty frame"),
        };
        let mut told = json!({
            "scene": sent.scene, "from": name(sent.from), "to": name(sent.to), "name": kind, "frame": hex(&sent.frame),
        });
        // A record passes from its sender to the relay, then from the relay to its receiver.
        let sealer = sent.from.unwrap_or_else(|| 1 - sent.to.expect("one end is a client"));
        match payload.first() {
            None => {}
            Some(0x01) => told["payload"] = json!("SHARE"),
            Some(0x02) => told["payload"] = json!("CONFIRM"),
            Some(kind) => {
                let keys = ["data connector to acceptor", "data acceptor to connector"];
                let ctrl = ["ctrl connector to acceptor", "ctrl acceptor to connector"];
                let (sort, names) = if *kind == 0x10 { ("DATA", keys) } else { ("CTRL", ctrl) };
                told["payload"] = json!(sort);
                told["plaintext"] = json!(hex(open(&self.subkey(names[sealer]), payload)));
            }
        }
        told
    }

    /// The machines said what follows from the text.
    fn assert_said(&self, told: &[Value]) {
        let frames: Vec<_> = told.iter().map(|message| message["frame"].as_str().unwrap()).collect();
        let said = |bytes: &str| frames.iter().any(|frame| frame.ends_with(bytes));
        for i in [0, 1] {
            assert!(said(&[hex([1, 0, 1]), hex(self.shares[i]), hex(&self.ads[i])].concat()), "SHARE");
            assert!(said(&[hex([2, 0, 1]), hex(&self.check), hex(self.tags[i])].concat()), "CONFIRM");
            assert!(said(&format!("08{}{i:02x}", self.rendezvous())), "REJOIN");
        }
        let welcomes: Vec<_> =
            frames.iter().filter(|frame| frame.starts_with("82")).map(|f| unhex(f)).collect();
        for welcome in &welcomes {
            assert_eq!(
                hex(&welcome[25..57]),
                hex(token_key(&welcome[1..7], &welcome[8..16], &welcome[17..25]))
            );
        }
        // The last HELLO was answered with a RECLAIM of what the connector's WELCOME said.
        let challenge =
            frames.iter().rfind(|frame| frame.starts_with("81")).map(|hello| unhex(&hello[4..36]));
        let reclaim = frames.iter().find(|frame| frame.starts_with("02")).map(|frame| unhex(frame));
        let (challenge, reclaim) = (challenge.unwrap(), reclaim.unwrap());
        let token = token_key(&reclaim[4..10], &reclaim[10..18], &reclaim[18..26]);
        let mac = blake3::keyed_hash(&token, &[b"reclaim", &challenge[..]].concat());
        assert_eq!(hex(&reclaim[26..]), hex(&mac.as_bytes()[..16]));
        let lost: Vec<_> = told.iter().filter(|message| message["to"] == "lost").collect();
        assert_eq!(lost.len(), 1, "one record is lost");
    }
}

fn token_key(id: &[u8], owner: &[u8], expiry: &[u8]) -> [u8; 32] {
    let message = [b"phantom reclaim v1", &[KID][..], id, owner, expiry].concat();
    *blake3::keyed_hash(&RELAY_SECRET, &message).as_bytes()
}

fn derive(name: &str, material: &[u8]) -> [u8; 32] {
    blake3::derive_key(&["phantom v1 2026-11-22 ", name].concat(), material)
}

fn record_keys(chain: &[u8; 32]) -> [u8; 44] {
    let mut keys = [0; 44];
    let context = "phantom v1 2026-11-22 record key and iv";
    blake3::Hasher::new_derive_key(context).update(chain).finalize_xof().fill(&mut keys);
    keys
}

/// The plaintext of a record of generation 0.
fn open(chain: &[u8; 32], record: &[u8]) -> Vec<u8> {
    let keys = record_keys(chain);
    let (header, sealed) = record.split_at(9);
    let (body, tag) = sealed.split_last_chunk::<16>().unwrap();
    let mut nonce: [u8; 12] = keys[32..].try_into().unwrap();
    nonce[4..].iter_mut().zip(&header[1..]).for_each(|(byte, seq)| *byte ^= seq);
    let mut body = body.to_vec();
    let cipher = ChaCha20Poly1305::new_from_slice(&keys[..32]).unwrap();
    let inout = InOutBuf::from(&mut body[..]);
    cipher.decrypt_inout_detached(&nonce.into(), header, inout, tag.into()).expect("the tag is right");
    body
}

fn frame_name(kind: u8) -> &'static str {
    let client =
        ["REGISTER", "RECLAIM", "CONNECT", "ACCEPT", "CANCEL", "WITHDRAW", "CLOSE", "REJOIN", "PING"];
    let relay =
        ["HELLO", "WELCOME", "ANSWER", "INCOMING", "ENDED", "OPENED", "CLOSED", "ATTACHED", "PONG", "DRAIN"];
    if kind < 0x80 { client[usize::from(kind) - 1] } else { relay[usize::from(kind) - 0x81] }
}
