//! One connection as the relay sees it, and the channel ends it holds.

use alloc::vec::Vec;

use super::bucket::Bucket;
use super::source::SourceGroup;
use crate::arena::Key;
use crate::id::{ConnId, PeerId};
use crate::time::Instant;

/// Names a request, at both clients that it belongs to.
pub(super) type RequestKey = Key;

pub(super) struct Conn {
    pub(super) source: SourceGroup,
    pub(super) phase: Phase,
    /// When something was last heard.
    pub(super) heard: Instant,
    /// When its timer is set for.
    pub(super) timer: Instant,
    /// Set while the embedder does not read from it, because this receiver is full.
    pub(super) blocked: Option<Blocked>,
}

/// Whom a sender waits for, and when the relay loses its patience.
#[derive(Clone, Copy)]
pub(super) struct Blocked {
    pub(super) by: ConnId,
    pub(super) deadline: Instant,
}

pub(super) enum Phase {
    /// HELLO has been sent; REGISTER or RECLAIM is awaited.
    Greeted { challenge: [u8; 16] },
    /// It has an ID.
    Joined(Peer),
}

pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) owner: [u8; 8],
    /// When the token was last sent.
    pub(super) token_at: Instant,
    /// The number of its latest own request.
    pub(super) last_request: u32,
    /// The number of the latest request shown to it.
    pub(super) last_prompt: u32,
    /// What is left of its CONNECTs.
    pub(super) connects: Bucket,
    /// What is left of the prompts it is shown.
    pub(super) prompts: Bucket,
    /// Its own requests that wait.
    pub(super) asked: Vec<RequestKey>,
    /// The requests that wait for its decision.
    pub(super) asking: Vec<RequestKey>,
    /// The rendezvous values it waits at.
    pub(super) rejoining: Vec<[u8; 16]>,
    pub(super) channels: Channels,
}

impl Conn {
    pub(super) fn peer(&self) -> Option<&Peer> {
        match &self.phase {
            Phase::Joined(peer) => Some(peer),
            Phase::Greeted { .. } => None,
        }
    }

    pub(super) fn peer_mut(&mut self) -> Option<&mut Peer> {
        match &mut self.phase {
            Phase::Joined(peer) => Some(peer),
            Phase::Greeted { .. } => None,
        }
    }
}

/// Where the other end of a channel is. The one answer to that question; the other end may one day be a link to another relay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct OtherEnd {
    pub(super) conn: ConnId,
    pub(super) channel: u32,
}

pub(super) struct Slot {
    /// The number of the channel that is or was last here: `generation << 8 | place`.
    number: u32,
    other: Option<OtherEnd>,
}

/// A client's channel ends. A channel number is a place in this table and how often the place has been used, so a frame sent for
/// a channel that has just closed never reaches the one that took its place.
pub(super) struct Channels {
    slots: Vec<Slot>,
    open: u8,
    max: u8,
}

const PLACE_BITS: u32 = 8;
const _: () = assert!((crate::wire::CHANNELS_MAX as u32) <= 1 << PLACE_BITS);

impl Channels {
    pub(super) const fn new(max: u8) -> Self {
        Self { slots: Vec::new(), open: 0, max }
    }

    /// The other end of the channel with this number.
    pub(super) fn other_end(&self, number: u32) -> Option<OtherEnd> {
        let slot = self.slots.get((number & ((1 << PLACE_BITS) - 1)) as usize)?;
        if slot.number == number { slot.other } else { None }
    }

    pub(super) const fn max(&self) -> u8 {
        self.max
    }

    pub(super) const fn is_full(&self) -> bool {
        self.open >= self.max
    }

    /// Places in the table, taken or not.
    pub(super) const fn places(&self) -> usize {
        self.slots.len()
    }

    /// The number of the channel whose other end is at `conn`.
    pub(super) fn with(&self, conn: ConnId) -> Option<u32> {
        self.slots
            .iter()
            .find(|slot| slot.other.is_some_and(|other| other.conn == conn))
            .map(|slot| slot.number)
    }

    /// Takes a number for a new channel. [`attach`](Self::attach) must follow.
    pub(super) fn reserve(&mut self) -> u32 {
        let place = self.slots.iter().position(|slot| slot.other.is_none()).unwrap_or_else(|| {
            let place = u32::try_from(self.slots.len()).expect("at most CHANNELS_MAX places");
            self.slots.push(Slot { number: place, other: None });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[place];
        slot.number = slot.number.wrapping_add(1 << PLACE_BITS);
        slot.number
    }

    pub(super) fn attach(&mut self, number: u32, other: OtherEnd) {
        self.slots[(number & ((1 << PLACE_BITS) - 1)) as usize].other = Some(other);
        self.open += 1;
    }

    pub(super) fn detach(&mut self, number: u32) -> Option<OtherEnd> {
        self.other_end(number)?;
        let slot = &mut self.slots[(number & ((1 << PLACE_BITS) - 1)) as usize];
        self.open -= 1;
        slot.other.take()
    }

    /// The numbers of all open channels, in the order of their places.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.slots.iter().filter(|slot| slot.other.is_some()).map(|slot| slot.number).collect()
    }
}
