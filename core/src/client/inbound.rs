//! The receiving half of a session: opened in order, kept until the application takes it.
//!
//! * A record counts as received when it has been opened in order and its packets are in the application's queue, or, for
//!   a part, in the packet that is being put together.
//! * The window is what may still come. Records whose packets are complete and not all taken count against it; a packet that is
//!   being put together does not, else one longer than the window could never be completed. The edge moves forward only.
//! * A record with many packets is kept whole, and packets are cut from it as they are taken.

use alloc::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::message::item;
use crate::crypto::record::{Data, HEADER, OpenError, Opener, TAG};

/// Packets of one record, or one packet of several records, that wait for the application.
struct Ready {
    content: Content,
    /// What it counts against the window until all of it is taken.
    cost: u64,
}

enum Content {
    One(Bytes),
    /// `{ length LEB128, bytes }` one or more times; checked when it came.
    Many(Bytes),
}

pub(super) struct Inbound {
    opener: Opener<Data>,
    ready: VecDeque<Ready>,
    /// The sum of the costs in `ready`.
    waiting: u64,
    /// A packet of which parts have come, and what they cost.
    assembly: Option<(BytesMut, u64)>,
    /// Window bytes ever received.
    received_total: u64,
    /// Window bytes the other side may send, at most.
    edge: u64,
    window_max: u64,
    packet_max: usize,
    finished: bool,
}

/// Why a record was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It did not open.
    NotOpened(OpenError),
    /// It opened, so the other side meant it; but it is not allowed.
    Violation,
}

impl Inbound {
    pub(super) fn new(opener: Opener<Data>, window_max: usize, packet_max: usize) -> Self {
        Self {
            opener,
            ready: VecDeque::new(),
            waiting: 0,
            assembly: None,
            received_total: 0,
            edge: window_max as u64,
            window_max: window_max as u64,
            packet_max,
            finished: false,
        }
    }

    /// Opens a DATA record. Returns its size on the wire.
    pub(super) fn open(&mut self, mut record: BytesMut) -> Result<u64, Refused> {
        let wire = record.len() as u64;
        self.opener.open(&mut record).map_err(Refused::NotOpened)?;
        record.truncate(record.len() - TAG);
        record.advance(HEADER);
        let item = record.get_u8();
        self.take_item(item, record, wire).ok_or(Refused::Violation)?;
        Ok(wire)
    }

    fn take_item(&mut self, item: u8, body: BytesMut, wire: u64) -> Option<()> {
        if self.finished {
            return None;
        }
        match item {
            item::KEY_UPDATE if body.is_empty() => {
                self.opener.ratchet();
                return Some(());
            }
            item::FIN if body.is_empty() && self.assembly.is_none() => {
                self.finished = true;
                return Some(());
            }
            item::PART if !body.is_empty() => {
                self.count(wire)?;
                let (packet, cost) = self.assembly.get_or_insert_default();
                if packet.len() + body.len() > self.packet_max {
                    return None;
                }
                packet.extend_from_slice(&body);
                *cost += wire;
            }
            item::END => {
                self.count(wire)?;
                let (packet, cost) = match self.assembly.take() {
                    Some((mut packet, cost)) => {
                        packet.extend_from_slice(&body);
                        (packet, cost + wire)
                    }
                    None => (body, wire),
                };
                if packet.len() > self.packet_max {
                    return None;
                }
                self.push(Content::One(packet.freeze()), cost);
            }
            item::MANY if self.assembly.is_none() && is_many(&body, self.packet_max) => {
                self.count(wire)?;
                self.push(Content::Many(body.freeze()), wire);
            }
            _ => return None,
        }
        Some(())
    }

    /// Counts what a record takes of the window; nothing if that is more than was promised.
    fn count(&mut self, wire: u64) -> Option<()> {
        self.received_total += wire;
        (self.received_total <= self.edge).then_some(())
    }

    fn push(&mut self, content: Content, cost: u64) {
        self.waiting += cost;
        self.ready.push_back(Ready { content, cost });
        self.move_edge();
    }

    fn move_edge(&mut self) {
        let edge = (self.received_total + self.window_max).saturating_sub(self.waiting);
        self.edge = self.edge.max(edge);
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
            self.waiting -= first.cost;
            self.ready.pop_front();
            self.move_edge();
        }
        Some(packet)
    }

    /// Bytes of records whose packets were not taken, and of the packet in assembly.
    pub(super) fn held(&self) -> usize {
        let assembly = self.assembly.as_ref().map_or(0, |(packet, _)| packet.len());
        usize::try_from(self.waiting).unwrap_or(usize::MAX).saturating_add(assembly)
    }

    /// Whether a packet can be taken.
    pub(super) fn is_readable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The sequence number of the next record to be opened.
    pub(super) fn recv_next(&self) -> u64 {
        self.opener.next_seq()
    }

    /// Up to where the other side may send, and how much that is from here.
    pub(super) fn edge(&mut self) -> (u64, u32) {
        self.move_edge();
        (self.edge, u32::try_from(self.edge.saturating_sub(self.received_total)).unwrap_or(u32::MAX))
    }

    /// Whether the other side has ended its direction, and everything before it has come.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }
}

/// Whether `body` is one or more packets, each behind its length in the shortest form, to the last byte.
fn is_many(body: &[u8], packet_max: usize) -> bool {
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
