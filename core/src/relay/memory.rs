//! What the relay's tables take: an estimate from their lengths, at no cost, so that an embedder can hold it against its budget.
//!
//! It is an upper one: it takes tables at their fullest spacing, not at their usual one. What the embedder itself keeps for a
//! connection, above all its queues, is the embedder's to count.

use core::mem::size_of;

use super::conn::{RequestKey, Slot};
use super::pairing::Request;
use super::rejoin::Waiting;
use super::{Output, Relay, Timer};
use crate::id::ConnId;
use crate::time::Instant;

/// A tree of entries of this type. Its nodes have 11 places, of which at least 5 are taken, and as many links again.
pub(super) const fn tree<T>(len: usize) -> usize {
    const NODE: usize = 16 + 12 * size_of::<usize>();
    (len / 5 + (len > 0) as usize) * (11 * size_of::<T>() + NODE)
}

/// What each of many entries takes in such a tree.
const fn leaf<T>() -> usize {
    tree::<T>(5 * 16) / (5 * 16)
}

/// A list that grew to this length, and doubled its room on the way.
const fn list<T>(len: usize) -> usize {
    2 * len * size_of::<T>()
}

/// The least room of a list that is not empty.
const LIST_MIN: usize = 4;

/// What one end that waits to be found again takes, and one request that waits for an answer.
const REJOIN: usize = leaf::<([u8; 16], Waiting)>() + leaf::<(Instant, Timer)>() + list::<[u8; 16]>(1);
const REQUEST: usize = 2 * size_of::<Request>() + leaf::<(Instant, Timer)>() + 2 * list::<RequestKey>(1);

impl Relay {
    /// The part of [`memory`](Self::memory) that this connection has asked for: what waits in its name, and its places for channels. So
    /// an embedder can tell who takes most.
    #[must_use]
    pub fn memory_of(&self, conn: ConnId) -> usize {
        self.peer(conn).map_or(0, |peer| {
            peer.rejoining.len() * REJOIN + peer.asked.len() * REQUEST + list::<Slot>(peer.channels.places())
        })
    }

    /// The memory that the relay takes now, in bytes: an estimate that is rather too high than too low. It costs nothing to ask.
    #[must_use]
    pub fn memory(&self) -> usize {
        let peers = self.ids.held();
        let asked = LIST_MIN.max(2 * self.limits.requests_out_max.min(self.requests.len()));
        let asking = LIST_MIN.max(2 * self.limits.requests_in_max.min(self.requests.len()));
        let lists = (asked + asking) * size_of::<RequestKey>()
            + LIST_MIN * (size_of::<[u8; 16]>() + size_of::<Slot>());
        size_of::<Self>()
            + self.conns.memory()
            + peers * lists
            + list::<Slot>(self.places)
            + self.ids.memory()
            + self.requests.memory()
            + tree::<([u8; 16], Waiting)>(self.waiting.len())
            + list::<[u8; 16]>(self.waiting.len())
            + tree::<(Instant, Timer)>(self.timers.len())
            + self.budgets.memory()
            + self.out.capacity() * size_of::<Output>()
    }
}
