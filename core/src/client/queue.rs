//! Packets of one channel that are not sealed yet. They wait here before the channel is secured, too.
//!
//! The queue is bounded in bytes, each packet counting [`PACKET_OVERHEAD`] more than it has, so that empty packets are bounded as
//! well. An empty queue takes a packet of any length: otherwise one longer than the queue could never be sent.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::limits::{ClientLimits, PACKET_OVERHEAD};

pub(super) struct SendQueue {
    packets: VecDeque<Bytes>,
    bytes: usize,
    max_bytes: usize,
    /// Packets ever taken; also the number of the latest.
    accepted: u64,
    /// The most that a packet would have cost that was refused, until there is room for it.
    refused: Option<usize>,
}

impl SendQueue {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            max_bytes: limits.queue_max_bytes,
            accepted: 0,
            refused: None,
        }
    }

    /// Whether a packet of `len` bytes finds room now. If not, [`take_room`](Self::take_room) tells when it does.
    pub(super) fn admits(&mut self, len: usize) -> bool {
        let cost = len + PACKET_OVERHEAD;
        let room = self.has_room(cost);
        if !room {
            self.refused = self.refused.max(Some(cost));
        }
        room
    }

    /// Takes a packet and gives it its number, counting from 1; nothing if there is no room.
    pub(super) fn push(&mut self, packet: Bytes) -> Option<u64> {
        if !self.admits(packet.len()) {
            return None;
        }
        self.bytes += packet.len() + PACKET_OVERHEAD;
        self.packets.push_back(packet);
        self.accepted += 1;
        Some(self.accepted)
    }

    /// The next packet to be sealed.
    pub(super) fn first(&self) -> Option<&Bytes> {
        self.packets.front()
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.len() + PACKET_OVERHEAD;
        Some(packet)
    }

    /// Whether there is room again for an application that was refused; true once per refusal. Half of the queue must be free, too,
    /// so that the application is not woken for each packet that leaves.
    pub(super) fn take_room(&mut self) -> bool {
        let room = self.refused.is_some_and(|cost| self.has_room(cost) && self.bytes <= self.max_bytes / 2);
        if room {
            self.refused = None;
        }
        room
    }

    /// At least as many bytes as all waiting packets have, each behind its length.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(super) fn clear(&mut self) {
        self.packets = VecDeque::new();
        self.bytes = 0;
    }

    fn has_room(&self, cost: usize) -> bool {
        self.packets.is_empty() || self.bytes.saturating_add(cost) <= self.max_bytes
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
        assert!(queue.admits(1000), "an empty queue takes a packet of any length");
        assert_eq!((1..).map_while(|_| queue.push(packet.clone())).last(), Some(3));
        assert!(!queue.take_room());
        assert!(!queue.admits(100));
        queue.pop();
        assert!(!queue.take_room(), "half of the queue must be free");
        queue.pop();
        assert!(queue.take_room());
        assert!(!queue.take_room(), "once for each refusal");
    }
}
