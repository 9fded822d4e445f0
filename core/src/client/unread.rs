//! Packets that have arrived and wait for the application, in order.
//!
//! A record with many packets is kept whole, and packets are cut from it as they are taken: sixteen thousand empty packets in one
//! record must not become as many allocations. What a record costs of the window is given back when its last packet is taken.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::{Buf, Bytes};

#[derive(Default)]
pub(super) struct Unread {
    ready: VecDeque<Ready>,
    /// The sum of the costs in `ready`.
    cost: u64,
}

struct Ready {
    packets: Batch,
    cost: u64,
}

/// Packets that have arrived together and are taken in order, with `next`.
pub struct Batch(Content);

enum Content {
    One(Option<Bytes>),
    /// Passed [`is_many`] when it came; what is left of it.
    Many(Bytes),
}

impl Batch {
    /// Bytes of memory that they take, with what stands between them.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.0 {
            Content::One(packet) => packet.as_ref().map_or(0, Bytes::len),
            Content::Many(rest) => rest.len(),
        }
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Content::One(packet) => packet.is_none(),
            Content::Many(rest) => rest.is_empty(),
        }
    }
}

impl Iterator for Batch {
    type Item = Bytes;

    #[inline]
    fn next(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Content::One(packet) => packet.take(),
            Content::Many(rest) => {
                if rest.is_empty() {
                    return None;
                }
                let len = get_leb128(rest).expect("checked when the record came");
                Some(rest.split_to(len))
            }
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} bytes)", self.size())
    }
}

impl Unread {
    pub(super) fn push_one(&mut self, packet: Bytes, cost: u64) {
        self.cost += cost;
        self.ready.push_back(Ready { packets: Batch(Content::One(Some(packet))), cost });
    }

    /// Packets each behind its length; `body` must have passed [`is_many`].
    pub(super) fn push_many(&mut self, body: Bytes, cost: u64) {
        self.cost += cost;
        self.ready.push_back(Ready { packets: Batch(Content::Many(body)), cost });
    }

    /// The next packet for the application.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let first = self.ready.front_mut()?;
        let packet = first.packets.next();
        if first.packets.is_empty() {
            self.cost -= first.cost;
            self.ready.pop_front();
        }
        packet
    }

    /// The next packets for the application: those that are left of a record, or one of several records.
    pub(super) fn take_batch(&mut self) -> Option<Batch> {
        let first = self.ready.pop_front()?;
        self.cost -= first.cost;
        Some(first.packets)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Window bytes of all records of which a packet waits.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// The same as a number of bytes in memory.
    pub(super) fn held(&self) -> usize {
        usize::try_from(self.cost).unwrap_or(usize::MAX)
    }
}

/// Whether `body` is one or more packets, each behind its length in the shortest form, to the last byte.
pub(super) fn is_many(body: &[u8], packet_max: usize) -> bool {
    let mut rest = body;
    while !rest.is_empty() {
        match get_leb128(&mut rest) {
            Some(len) if len <= packet_max && len <= rest.len() => rest = &rest[len..],
            _ => return false,
        }
    }
    !body.is_empty()
}

/// Reads a length of at most four bytes in its shortest form.
#[inline]
pub(super) fn get_leb128(from: &mut impl Buf) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        if !from.has_remaining() {
            return None;
        }
        let byte = from.get_u8();
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (byte != 0 || shift == 0).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_costs_nothing_any_more() {
        let mut unread = Unread::default();
        unread.push_one(Bytes::from_static(b"one"), 5);
        unread.push_many(Bytes::from_static(b"\x01a\x01b"), 7);
        unread.push_many(Bytes::from_static(b"\x01c\x01d"), 11);
        assert_eq!(unread.take_batch().expect("one").count(), 1);
        assert_eq!(unread.cost(), 18);
        assert_eq!(unread.take(), Some(Bytes::from_static(b"a")));
        assert_eq!(unread.cost(), 18, "a record is paid for until its last packet is taken");
        assert_eq!(unread.take_batch().expect("the rest").count(), 1);
        assert_eq!(unread.cost(), 11);
    }
}
