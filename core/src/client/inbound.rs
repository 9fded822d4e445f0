//! The receiving half of a session: opened in order, kept until the application takes it.
//!
//! * A record counts as received when it has been opened in order and its packets are in the application's queue, or, for
//!   a part, in the packet that is being put together.
//! * The window is what may still come. Records whose packets are complete and not all taken count against it; a packet that is
//!   being put together does not, else one longer than the window could never be completed. The edge moves forward only.

use bytes::{Buf, Bytes, BytesMut};

use super::message::item;
use super::unread::{Batch, Unread, is_many};
use crate::crypto::record::{Data, HEADER, OpenError, Opener, PLAINTEXT_SEND_MAX, TAG};

/// A packet shorter than this is copied out of the buffer it came in: that may be a large one, shared by many frames, and would live as
/// long as the packet. One that fills a record stays where it is.
const COPY_MAX: usize = PLAINTEXT_SEND_MAX - 1024;

/// What a packet is put together in at first, unless its first part is short: it holds one of 64 KiB and what stands around that.
const ASSEMBLY_FIRST: usize = 80 << 10;

pub(super) struct Inbound {
    opener: Opener<Data>,
    unread: Unread,
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
            unread: Unread::default(),
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
                if packet.is_empty() {
                    packet.reserve((5 * body.len()).min(ASSEMBLY_FIRST).min(self.packet_max));
                }
                packet.extend_from_slice(&body);
                *cost += wire;
            }
            item::END => {
                self.count(wire)?;
                let (packet, cost) = match self.assembly.take() {
                    Some((mut packet, cost)) => {
                        packet.extend_from_slice(&body);
                        (packet.freeze(), cost + wire)
                    }
                    None => (own(body), wire),
                };
                if packet.len() > self.packet_max {
                    return None;
                }
                self.unread.push_one(packet, cost);
            }
            item::MANY if self.assembly.is_none() && is_many(&body, self.packet_max) => {
                self.count(wire)?;
                // Any of them may be kept: it must not hold more than its record.
                self.unread.push_many(Bytes::copy_from_slice(&body), wire);
            }
            _ => return None,
        }
        self.move_edge();
        Some(())
    }

    /// Counts what a record takes of the window; nothing if that is more than was promised.
    fn count(&mut self, wire: u64) -> Option<()> {
        self.received_total += wire;
        (self.received_total <= self.edge).then_some(())
    }

    fn move_edge(&mut self) {
        let edge = (self.received_total + self.window_max).saturating_sub(self.unread.cost());
        self.edge = self.edge.max(edge);
    }

    /// The next packet for the application.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let packet = self.unread.take();
        self.move_edge();
        packet
    }

    /// The next packets for the application, those that came together.
    pub(super) fn take_batch(&mut self) -> Option<Batch> {
        let batch = self.unread.take_batch();
        self.move_edge();
        batch
    }

    /// Whether a packet can be taken.
    pub(super) fn is_readable(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Bytes of records whose packets were not taken, and of the packet in assembly.
    pub(super) fn held(&self) -> usize {
        let assembly = self.assembly.as_ref().map_or(0, |(packet, _)| packet.len());
        self.unread.held().saturating_add(assembly)
    }

    /// What has arrived and was not taken; everything else, keys above all, is wiped.
    pub(super) fn into_unread(self) -> Unread {
        self.unread
    }

    /// The sequence number of the next record to be opened.
    pub(super) fn recv_next(&self) -> u64 {
        self.opener.next_seq()
    }

    /// Up to where the other side may send, and how much that is from here.
    pub(super) fn edge(&self) -> (u64, u32) {
        (self.edge, u32::try_from(self.edge.saturating_sub(self.received_total)).unwrap_or(u32::MAX))
    }

    /// Whether the other side has ended its direction, and everything before it has come.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }
}

/// `body` in a buffer of about its own size.
fn own(body: BytesMut) -> Bytes {
    if body.len() < COPY_MAX { Bytes::copy_from_slice(&body) } else { body.freeze() }
}
