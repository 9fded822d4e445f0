//! Two honest clients with a hostile relay between them: no packet is handed out that the other side did not send, in its order and
//! once; nothing is delivered that the other side has not got; a channel that finished has lost nothing; channels open only with
//! whom the user agreed to, end once, and are not heard of afterwards; deadlines move on.
//!
//! In the middle runs a real relay, so that a few bytes of input are enough to reach a secured channel. Around it the input loses,
//! repeats, reorders, alters and invents whatever travels.

mod model;
mod world;

use bytes::{Bytes, BytesMut};
use phantom_core::client::Input;
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::PeerId;
use phantom_core::time::Duration;
use phantom_core::wire::{Answer, CloseCode, Ended, FRAME_MAX, ForwardHeader, OpenedBy, RelayFrame, Welcome};

use crate::beginning::Beginnings;
use crate::feed::Feed;
use world::{Link, World};

const STEPS_MAX: usize = 300;
/// Handshakes take most of the time; an input has no more of them than this many steps that may lead to one.
const KEYS_MAX: usize = 40;

const KEYS: u8 = 3;

/// The keys of the users; a wrong one is as good as any other.
fn key(number: u8) -> EncryptionKey {
    let text = ["ABCDE12345", "another one", "4T2V and so on"][usize::from(number)];
    EncryptionKey::parse(text).expect("a passphrase")
}

thread_local! {
    static BEGINNINGS: Beginnings<World> = const { Beginnings::new() };
}

/// Lets `data` tell the story of two clients.
pub fn client_inputs(data: &[u8]) {
    let mut feed = Feed::new(data);
    let (first, second) = (feed.byte(), feed.byte());
    // Two bits each: the keys of both, and how far they have got.
    let beginning = first & 0xc0 | (second & 3) << 2 | first & 3;
    let story = |mut world: World| {
        let mut story = Story { world: &mut world, keys_left: KEYS_MAX };
        for _ in 0..STEPS_MAX {
            if feed.is_empty() {
                break;
            }
            story.step(&mut feed);
        }
        world.end();
    };
    // SAFETY: the story drops the world, and keeps nothing of it.
    BEGINNINGS.with(|made| unsafe { made.tell(beginning, || begun(beginning), story) });
}

/// Two clients with keys that may differ: just made, online, or connected, with whatever the keys have led to.
fn begun(beginning: u8) -> World {
    let choices = [beginning & 3, beginning >> 2 & 3];
    let mut world = World::new(choices.map(|choice| (choice < KEYS).then(|| key(choice))));
    for (side, choice) in choices.into_iter().enumerate() {
        // Without a key the client makes one of its own.
        world.sides[side].log.keys.insert(if choice < KEYS { choice } else { KEYS + side as u8 });
    }
    match beginning >> 6 {
        0 => {}
        1 => world.settle(),
        _ => {
            world.meet(0);
            world.settle();
        }
    }
    world
}

struct Story<'a> {
    world: &'a mut World,
    keys_left: usize,
}

impl Story<'_> {
    fn step(&mut self, feed: &mut Feed<'_>) {
        let side = usize::from(feed.bool());
        match feed.byte() % 32 {
            0..=3 => self.world.settle(),
            4 => {
                self.world.meet(side);
                self.world.settle();
            }
            5 => drop(self.world.step_relay(side)),
            6 => drop(self.world.step_client(side)),
            7..=13 => self.command(side, feed),
            14 => self.take(side, usize::from(feed.byte())),
            15..=17 => self.travelling(side, feed),
            18..=20 => {
                let frame = self.relay_frame(side, feed).encode().to_vec();
                self.world.inject(side, &frame);
            }
            21..=23 => {
                let frame = self.forwarded(side, feed);
                self.world.inject(side, &frame);
            }
            24 => {
                let frame = feed.bytes().to_vec();
                self.world.inject(side, &frame);
            }
            25 => self.transport(side, feed),
            26 => {
                let amount = feed.byte();
                self.world.now = self.world.now - Duration::from_millis(u64::from(amount));
            }
            27 => self.world.now = self.world.now + Duration::from_secs(60 * u64::from(feed.byte())),
            _ => {
                let amount = u64::from(feed.byte());
                match amount % 4 {
                    0 => self.world.skip(Duration::from_millis(amount)),
                    1 => self.world.skip(Duration::from_secs(amount)),
                    _ => self.world.next(),
                }
            }
        }
    }

    fn command(&mut self, side: usize, feed: &mut Feed<'_>) {
        let (now, choice) = (self.world.now, feed.byte() % 14);
        let actor = &mut self.world.sides[side];
        let channel = feed.pick(&actor.log.ids());
        let request = feed.pick(&actor.log.requests);
        if choice >= 10 {
            let Some(left) = self.keys_left.checked_sub(1) else { return };
            self.keys_left = left;
        }
        match (choice, channel, request) {
            (0..=2, Some(channel), _) => {
                let len = [0, 1, 100, 3_000, 20_000, 65_000, 65_536, 70_000][feed.below(8)];
                for _ in 0..=feed.byte() % 16 {
                    actor.send(now, side, channel, len);
                }
            }
            (3, Some(channel), _) => drop(actor.client.disconnect(now, channel)),
            (4, Some(channel), _) => {
                actor.log.abort(&[channel]);
                let _over_already = actor.client.abort(now, channel);
            }
            (5, _, Some(request)) => {
                if actor.client.cancel(now, request).is_ok() {
                    actor.log.undecided.remove(&request);
                }
            }
            (6, _, Some(request)) => drop(actor.client.withdraw(now, request)),
            (7, _, _) => actor.client.dial_now(now),
            (8, _, _) if feed.byte() < 32 => {
                actor.log.abort(&actor.log.ids());
                actor.client.leave(now);
            }
            (9, _, _) => {
                let peer = [self.world.sides[1 - side].client.id(), PeerId::from_bytes(*b"nobody")];
                if let Some(peer) = peer[feed.below(2)] {
                    self.world.connect(side, peer);
                }
            }
            (10, _, Some(request)) => self.world.accept(side, request),
            (11, Some(channel), _) => {
                let number = feed.byte() % KEYS;
                if actor.client.set_channel_key(now, channel, key(number)).is_ok() {
                    actor.log.keys.insert(number);
                }
            }
            (12, _, _) => {
                let number = feed.byte() % KEYS;
                actor.client.set_encryption_key(now, key(number));
                actor.log.keys.insert(number);
            }
            (13, Some(channel), _) => drop(actor.client.unlock(now, channel)),
            _ => drop(actor.client.encryption_key(now)),
        }
        self.world.drain(side);
    }

    fn take(&mut self, side: usize, count: usize) {
        for channel in self.world.sides[side].log.ids() {
            for _ in 0..=count {
                if !self.world.take(side, channel) {
                    break;
                }
            }
        }
    }

    /// What is on its way to a client or from it is lost, doubled, swapped or altered.
    fn travelling(&mut self, side: usize, feed: &mut Feed<'_>) {
        let Link::Up(up) = &mut self.world.sides[side].link else { return };
        let choice = feed.byte();
        let queue = if choice & 0x80 == 0 { &mut up.to_client } else { &mut up.to_relay };
        if queue.is_empty() {
            return;
        }
        let at = feed.below(queue.len());
        match choice % 5 {
            0 => drop(queue.remove(at)),
            1 => {
                let again = queue[at].clone();
                queue.push_back(again);
            }
            2 => queue.swap(0, at),
            3 => {
                let mut altered = BytesMut::from(&queue[at][..]);
                let place = usize::from(feed.u16()) % altered.len().max(1);
                if let Some(byte) = altered.get_mut(place) {
                    *byte ^= feed.byte();
                }
                queue[at] = altered.freeze();
            }
            _ => {
                // Something the relay has kept from earlier, with the number the channel has now.
                if let Some(mut frame) = feed.pick_ref(&self.world.kept).map(|kept| BytesMut::from(&kept[..]))
                {
                    let channel = feed.near(&self.world.sides[side].numbers);
                    if ForwardHeader::peek(&frame).is_some() {
                        ForwardHeader { channel }.rewrite(&mut frame);
                    }
                    self.world.inject(side, &frame);
                }
            }
        }
    }

    /// A frame such as the relay might send, with numbers that mean something more often than not.
    fn relay_frame(&self, side: usize, feed: &mut Feed<'_>) -> RelayFrame {
        let actor = &self.world.sides[side];
        let known = &actor.numbers;
        let answer = Answer::ALL[feed.below(Answer::ALL.len())];
        let small = [1, 2, 3];
        match feed.byte() % 12 {
            0 => RelayFrame::Hello { version: feed.byte() % 3, challenge: [3; 16], work: feed.byte() / 250 },
            1 => RelayFrame::Welcome(Welcome {
                id: self.peer_id(side, feed),
                reclaimed: feed.bool(),
                owner: [1; 8],
                kid: 1,
                expiry: feed.u64(),
                token_key: [9; 32],
                channels: feed.byte(),
                idle_s: feed.u16(),
                request_s: feed.u16(),
            }),
            2 => RelayFrame::Answer { request: feed.near(&small), answer },
            3 | 4 => RelayFrame::Incoming {
                request: feed.near(&small),
                source: self.peer_id(side, feed),
                nonce: [feed.byte() % 3; 16],
            },
            5 => RelayFrame::Ended { request: feed.near(&small), answer },
            6 | 7 => RelayFrame::Opened {
                by: [OpenedBy::Approval, OpenedBy::Acceptance, OpenedBy::Crossing][feed.below(3)],
                request: feed.near(&small),
                channel: feed.near(known),
                nonce: [feed.byte() % 3; 16],
            },
            8 => RelayFrame::Closed {
                channel: feed.near(known),
                reason: Ended::from_wire(1 + feed.byte() % 4).expect("one of four"),
            },
            9 => RelayFrame::Attached {
                rendezvous: feed.pick(&self.world.rendezvous).unwrap_or_default(),
                channel: feed.near(known),
            },
            10 => RelayFrame::Pong { token: feed.u32() },
            _ => RelayFrame::Drain { after_ms: feed.u32() >> (feed.byte() % 32) },
        }
    }

    fn peer_id(&self, side: usize, feed: &mut Feed<'_>) -> PeerId {
        let ids = [self.world.sides[1 - side].client.id(), self.world.sides[side].client.id()];
        let drawn = ids.get(feed.below(3)).copied().flatten();
        drawn.or_else(|| PeerId::from_bytes(*b"nobody")).expect("six letters")
    }

    /// A payload with the header of a message and anything behind it.
    fn forwarded(&self, side: usize, feed: &mut Feed<'_>) -> Vec<u8> {
        let channel = feed.near(&self.world.sides[side].numbers);
        let mut frame = ForwardHeader { channel }.to_bytes().to_vec();
        let kind = feed.byte();
        let (first, len) = [(0x01, 59), (0x02, 51), (0x10, 42), (0x11, 47), (kind, 30)][feed.below(5)];
        frame.push(first);
        if first < 0x10 {
            frame.extend_from_slice(&u16::from(feed.byte() % 8).to_be_bytes());
        } else {
            frame.extend_from_slice(&(feed.u64() >> (feed.byte() % 64)).to_be_bytes());
        }
        frame.extend_from_slice(feed.bytes());
        match kind {
            0..240 => frame.resize(5 + len, kind),
            240..248 => frame.resize(FRAME_MAX, kind),
            248..252 => frame.resize(FRAME_MAX + 1, kind),
            252.. => {}
        }
        frame
    }

    fn transport(&mut self, side: usize, feed: &mut Feed<'_>) {
        let code = CloseCode::ALL[feed.below(CloseCode::ALL.len())];
        match feed.byte() % 8 {
            0 => self.world.cut(side, Some(code)),
            1 | 2 => self.world.cut(side, None),
            3 => self.world.input(side, Input::Invalid(code)),
            4 => self.world.dial_failed(side),
            // Something the client has not asked for.
            5 => self.world.stray(side, feed.bool()),
            6 => self.world.input(side, Input::Writable(0)),
            _ => self.world.input(side, Input::Writable(usize::from(feed.u16()))),
        }
    }
}

/// The content of a packet: its own, whoever sends it and wherever.
fn content(side: usize, channel: u64, number: usize, len: usize) -> Bytes {
    let name = format!("{side} {channel} {number} ").into_bytes();
    let mut bytes = name.repeat(len.div_ceil(name.len()));
    bytes.truncate(len);
    bytes.into()
}
