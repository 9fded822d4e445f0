//! Packets that have arrived and wait for the application, in order.
//!
//! A record with many packets is kept whole, and packets are cut from it as they are taken: sixteen thousand empty packets in one
//! record must not become as many allocations. What a record costs of the window is given back when its last packet is taken.

use alloc::collections::VecDeque;

use bytes::{Buf, Bytes};

#[derive(Default)]
pub(super) struct Unread {
    ready: VecDeque<Ready>,
    /// The sum of the costs in `ready`.
    cost: u64,
}

/// Packets of one record, or one packet of several records.
struct Ready {
    content: Content,
    cost: u64,
}

enum Content {
    One(Bytes),
    /// Passed [`is_many`] when it came.
    Many(Bytes),
}

impl Unread {
    pub(super) fn push_one(&mut self, packet: Bytes, cost: u64) {
        self.cost += cost;
        self.ready.push_back(Ready { content: Content::One(packet), cost });
    }

    /// Packets each behind its length; `body` must have passed [`is_many`].
    pub(super) fn push_many(&mut self, body: Bytes, cost: u64) {
        self.cost += cost;
        self.ready.push_back(Ready { content: Content::Many(body), cost });
    }

    /// The next packet for the application.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let first = self.ready.front_mut()?;
        let (packet, is_last) = match &mut first.content {
            Content::One(packet) => (core::mem::take(packet), true),
            Content::Many(rest) => {
                let len = get_leb128(rest).expect("checked when the record came");
                (rest.split_to(len), rest.is_empty())
            }
        };
        if is_last {
            self.cost -= first.cost;
            self.ready.pop_front();
        }
        Some(packet)
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
fn get_leb128(from: &mut impl Buf) -> Option<usize> {
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
