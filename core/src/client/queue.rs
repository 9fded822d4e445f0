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

    /// Takes a packet and gives it its number, counting from 1; nothing if there is no room.
    pub(super) fn push(&mut self, packet: Bytes) -> Option<u64> {
        let cost = packet.len() + PACKET_OVERHEAD;
        if !self.has_room(cost) {
            self.refused = self.refused.max(Some(cost));
            return None;
        }
        self.bytes += cost;
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
