//! Packets of one channel that are not sealed yet. They wait here before the channel is secured, too.
//!
//! The queue is bounded in bytes, each packet counting 32 more than it has, so that empty packets are bounded as
//! well. An empty queue takes a packet of any length: otherwise one longer than the queue could never be sent.

use bytes::Bytes;

use super::limits::ClientLimits;
use super::packets::{Packets, Spare, Unsealed, cost_of};

pub(super) struct SendQueue {
    packets: Packets,
    max_bytes: usize,
    /// Packets ever taken; also the number of the latest.
    accepted: u64,
    /// The most that a packet would have cost that was refused, until there is room for it.
    refused: Option<usize>,
}

impl SendQueue {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        Self { packets: Packets::new(), max_bytes: limits.queue_max_bytes, accepted: 0, refused: None }
    }

    /// Whether packets that count so much find room now. If not, [`take_room`](Self::take_room) tells when they do.
    fn admits(&mut self, cost: usize) -> bool {
        let room = self.has_room(cost);
        if !room {
            self.refused = self.refused.max(Some(cost));
        }
        room
    }

    /// Takes a packet and gives it its number, counting from 1; nothing if there is no room.
    pub(super) fn push(&mut self, packet: Bytes) -> Option<u64> {
        if !self.admits(cost_of(packet.len())) {
            return None;
        }
        self.packets.push(packet);
        self.accepted += 1;
        Some(self.accepted)
    }

    /// Takes the first packets of `from` that lie together, which count `cost`. Returns whether there was room.
    pub(super) fn push_first(&mut self, from: &mut Packets, cost: usize) -> bool {
        let room = self.admits(cost);
        if room {
            let before = from.len();
            self.packets.append_first(from);
            self.accepted += before - from.len();
        }
        room
    }

    /// The length of the next packet to be sealed.
    pub(super) fn first_len(&self) -> Option<usize> {
        self.packets.first_len()
    }

    /// The next packet to be sealed.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.packets.pop()
    }

    /// The next packets to be sealed: as many as a record with a body of `room` bytes carries whole. Nothing if the first does not fit.
    pub(super) fn take_record(&mut self, room: usize) -> Option<Unsealed> {
        self.packets.take_record(room)
    }

    /// Buffers for records to come.
    pub(super) fn spare(&mut self) -> &mut Spare {
        self.packets.spare()
    }

    /// Whether there is room again for an application that was refused; true once per refusal. Half of the queue must be free, too,
    /// so that the application is not woken for each packet that leaves.
    pub(super) fn take_room(&mut self) -> bool {
        let room = self.refused.is_some_and(|cost| self.has_room(cost) && self.bytes() <= self.max_bytes / 2);
        if room {
            self.refused = None;
        }
        room
    }

    /// What the waiting packets count.
    pub(super) fn bytes(&self) -> usize {
        self.packets.cost()
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(super) fn clear(&mut self) {
        self.packets = Packets::new();
    }

    fn has_room(&self, cost: usize) -> bool {
        self.packets.is_empty() || self.bytes().saturating_add(cost) <= self.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_ask_for_room_in_vain_is_remembered_like_a_refusal() {
        let limits = ClientLimits { queue_max_bytes: 400, ..ClientLimits::default() };
        let mut queue = SendQueue::new(&limits);
        let packet = Bytes::from_static(&[7; 100]);
        assert!(queue.admits(1000), "an empty queue takes packets of any length");
        assert_eq!((1..).map_while(|_| queue.push(packet.clone())).last(), Some(3));
        assert!(!queue.take_room());
        assert!(!queue.admits(132));
        queue.pop();
        assert!(!queue.take_room(), "half of the queue must be free");
        queue.pop();
        assert!(queue.take_room());
        assert!(!queue.take_room(), "once for each refusal");
    }
}
