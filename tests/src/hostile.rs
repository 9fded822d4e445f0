//! Hostile relays: what may be done with a frame between the relay and its receiver.
//!
//! A payload begins behind the header of a FORWARD frame; its first byte is its kind. Nothing here knows a key.

use phantom_core::rng::Rng;
use phantom_core::wire::{FORWARD, FORWARD_HEADER};

/// A frame that leaves the relay, and what may be done with it by a hostile one.
pub struct Passage<'a> {
    /// The client it came from; none if it is the relay's own.
    pub from: Option<usize>,
    /// The client it goes to.
    pub to: usize,
    /// At first the one frame. Whatever is in this list at the end is delivered instead, in order.
    pub frames: &'a mut Vec<Vec<u8>>,
    /// For choices.
    pub rng: &'a mut Rng,
}

/// The kinds of payloads.
pub mod kind {
    /// The share of a run.
    pub const SHARE: u8 = 0x01;
    /// The confirmation of a run.
    pub const CONFIRM: u8 = 0x02;
    /// A record with packets.
    pub const DATA: u8 = 0x10;
    /// A record of the session's own.
    pub const CTRL: u8 = 0x11;
}

impl Passage<'_> {
    /// The kind of the payload, if the frame has one.
    #[must_use]
    pub fn kind(&self) -> Option<u8> {
        kind_of(self.frames.first()?)
    }

    /// Puts another payload in the place of the one that came.
    pub fn replace_payload(&mut self, payload: &[u8]) {
        for frame in self.frames.iter_mut().filter(|frame| kind_of(frame).is_some()) {
            frame.truncate(FORWARD_HEADER);
            frame.extend_from_slice(payload);
        }
    }
}

/// The kind of a frame's payload, if it has one.
#[must_use]
pub fn kind_of(frame: &[u8]) -> Option<u8> {
    (frame.first() == Some(&FORWARD)).then(|| frame.get(FORWARD_HEADER).copied()).flatten()
}

/// What a hostile relay does with each frame it sends.
pub trait Meddler {
    /// Changes what will be delivered.
    fn meddle(&mut self, passage: Passage<'_>);
}

impl<F: FnMut(Passage<'_>)> Meddler for F {
    fn meddle(&mut self, passage: Passage<'_>) {
        self(passage);
    }
}

/// Flips one bit, once, in the first payload of a kind that passes; whatever its direction, or only towards one client.
pub struct FlipOnce {
    /// The kind of payload.
    pub kind: u8,
    /// How many payloads of the kind pass before.
    pub skip: usize,
    /// Which bit of the payload, counted from its kind byte; beyond the end it is taken modulo the length.
    pub bit: usize,
    /// Only payloads for this client.
    pub to: Option<usize>,
}

impl Meddler for FlipOnce {
    fn meddle(&mut self, passage: Passage<'_>) {
        if passage.kind() != Some(self.kind)
            || self.skip == usize::MAX
            || self.to.is_some_and(|to| to != passage.to)
        {
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.skip = usize::MAX;
        let payload = &mut passage.frames[0][FORWARD_HEADER..];
        let bit = self.bit % (payload.len() * 8);
        payload[bit / 8] ^= 0x80 >> (bit % 8);
    }
}

/// Does anything it can, at random: each weight is the chance in 256 that a forwarded frame meets with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights {
    /// It is not delivered.
    pub drop: u8,
    /// It is delivered twice.
    pub repeat: u8,
    /// It is held back until the next one to the same client has passed.
    pub reorder: u8,
    /// An earlier payload for the same client is delivered as well.
    pub replay: u8,
    /// Its payload is one of another pair's.
    pub swap: u8,
    /// Its payload is one that its receiver sent.
    pub reflect: u8,
    /// One bit of it is flipped.
    pub flip: u8,
    /// A made-up payload is delivered as well.
    pub invent: u8,
}

/// A relay that does what its weights say.
pub struct Chaos {
    weights: Weights,
    /// Payloads that passed lately, with their sender and receiver.
    seen: Vec<(usize, usize, Vec<u8>)>,
    held: Vec<(usize, Vec<u8>)>,
}

const SEEN_MAX: usize = 64;

impl Chaos {
    /// With these weights.
    #[must_use]
    pub fn new(weights: Weights) -> Self {
        Self { weights, seen: Vec::new(), held: Vec::new() }
    }

    fn remembered(
        &self,
        rng: &mut Rng,
        wanted: impl Fn(&(usize, usize, Vec<u8>)) -> bool,
    ) -> Option<Vec<u8>> {
        let fitting: Vec<_> = self.seen.iter().filter(|seen| wanted(seen)).collect();
        let [choice] = rng.bytes();
        let index = usize::from(choice) % fitting.len().max(1);
        fitting.get(index).map(|(_, _, payload)| payload.clone())
    }
}

impl Meddler for Chaos {
    fn meddle(&mut self, mut passage: Passage<'_>) {
        let (Some(from), to) = (passage.from, passage.to) else { return };
        let Some(header) = passage.frames[0].first_chunk::<FORWARD_HEADER>().copied() else { return };
        let with_header = |payload: &[u8]| [&header, payload].concat();
        let payload = passage.frames[0][FORWARD_HEADER..].to_vec();
        let Weights { drop, repeat, reorder, replay, swap, reflect, flip, invent } = self.weights;
        let mut strikes = |weight: u8| passage.rng.bytes::<1>()[0] < weight;
        let (drop, repeat, reorder, replay) =
            (strikes(drop), strikes(repeat), strikes(reorder), strikes(replay));
        let (swap, reflect, flip, invent) = (strikes(swap), strikes(reflect), strikes(flip), strikes(invent));
        if swap
            && let Some(other) = self.remembered(passage.rng, |&(f, t, _)| t != to && f != to && f != from)
        {
            passage.replace_payload(&other);
        }
        if reflect && let Some(own) = self.remembered(passage.rng, |&(f, _, _)| f == to) {
            passage.replace_payload(&own);
        }
        if flip {
            let bit = u32::from_be_bytes(passage.rng.bytes()) as usize % (payload.len() * 8);
            // A payload that was replaced may be shorter.
            if let Some(byte) = passage.frames[0].get_mut(FORWARD_HEADER + bit / 8) {
                *byte ^= 0x80 >> (bit % 8);
            }
        }
        if repeat {
            passage.frames.push(passage.frames[0].clone());
        }
        if replay && let Some(old) = self.remembered(passage.rng, |&(_, t, _)| t == to) {
            passage.frames.insert(0, with_header(&old));
        }
        if invent {
            let made_up: [u8; 40] = passage.rng.bytes();
            let kind = [kind::SHARE, kind::CONFIRM, kind::DATA, kind::CTRL][usize::from(made_up[0] & 3)];
            let mut payload = made_up;
            payload[0] = kind;
            if made_up[1] & 1 == 0 {
                payload[1..8].fill(0); // a sequence number that may be the next
            }
            passage.frames.push(with_header(&payload));
        }
        if drop {
            passage.frames.clear();
        }
        let held: Vec<_> = self.held.extract_if(.., |(receiver, _)| *receiver == to).collect();
        if reorder {
            self.held.extend(passage.frames.drain(..).map(|frame| (to, frame)));
        }
        passage.frames.extend(held.into_iter().map(|(_, frame)| frame));
        if self.seen.len() == SEEN_MAX {
            self.seen.remove(0);
        }
        self.seen.push((from, to, payload));
    }
}
