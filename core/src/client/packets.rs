//! Packets in a row, laid out as the records that will carry them.
//!
//! * A packet that fits into a record is copied once, when it comes, to the place where it will be sealed: behind its length, in a
//!   draft that has room for the headers before it and the tag behind it. A longer packet is kept as it is, and cut when it is sealed.
//! * A draft is filled before the next is begun. Its buffer grows as it fills, so that a small record is not held in a large one.
//! * Under load the buffers of confirmed records are used again: memory that is given back and taken anew for each record costs as much as
//!   a copy of it. Where nothing is under way, none is kept.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::limits::PACKET_OVERHEAD;
use super::message::item;
use super::unread::get_leb128;
use crate::crypto::record::{HEADER, PLAINTEXT_SEND_MAX, TAG};
use crate::wire::FORWARD_HEADER;

/// What stands before the body of a record: the frame's header, the record's, and the item.
const PREFIX: usize = FORWARD_HEADER + HEADER + 1;
/// The longest body of a record.
const BODY_MAX: usize = PLAINTEXT_SEND_MAX - 1;
/// The longest frame with a record.
const FRAME_MAX: usize = PREFIX + BODY_MAX + TAG;
/// The smallest buffer of a draft.
const FRAME_MIN: usize = 256;
/// Buffers of full length that are kept to be used again, in one place.
const SPARE_MAX: usize = 32;

/// The longest packet that travels in one record, in bytes. A longer one is cut, and put together by the other side.
pub const PACKET_WHOLE_MAX: usize = BODY_MAX - 2;

const _: () = assert!(fits_draft(PACKET_WHOLE_MAX) && !fits_draft(PACKET_WHOLE_MAX + 1));

/// Packets in order, to be queued at once by [`Client::send_all`](super::Client::send_all).
///
/// Putting in a packet of up to 16 KiB copies it to where it will be sealed; that is the only copy on its way through the client. A longer
/// one is kept in the buffer it came in.
#[derive(Default)]
pub struct Packets {
    entries: VecDeque<Entry>,
    len: u64,
    cost: usize,
    spare: Spare,
}

/// Buffers for the longest frame, to be used again.
#[derive(Default)]
pub(super) struct Spare(Vec<BytesMut>);

enum Entry {
    Draft(Draft),
    /// Too long for a record with its length before it.
    Long(Bytes),
}

/// A record that is being written: packets, at least one, each behind its length.
#[derive(Default)]
struct Draft {
    /// Room for the prefix, or packets that are gone; then packets.
    frame: BytesMut,
    /// Where the packets begin, at [`PREFIX`] or behind it.
    start: usize,
    packets: u64,
    /// What they count towards limits.
    cost: usize,
}

/// A frame with a record to be sealed: its body stands, and there is room for what stands before it.
pub(super) struct Unsealed {
    pub(super) frame: BytesMut,
    /// Packets that are complete with it.
    pub(super) packets: u64,
}

impl Packets {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a packet behind the others.
    pub fn push(&mut self, packet: Bytes) {
        if fits_draft(packet.len()) { self.push_short(&packet) } else { self.push_long(packet) }
    }

    /// Puts a copy of a packet behind the others.
    pub fn push_slice(&mut self, packet: &[u8]) {
        self.push_slices([packet, &[]]);
    }

    /// Puts a copy of a packet behind the others that lies in two pieces.
    pub fn push_slices(&mut self, packet: [&[u8]; 2]) {
        if fits_draft(len_of(packet)) {
            self.push_pieces(packet);
        } else {
            self.push_long(packet.concat().into());
        }
    }

    fn push_short(&mut self, packet: &[u8]) {
        self.push_pieces([packet, &[]]);
    }

    fn push_pieces(&mut self, packet: [&[u8]; 2]) {
        let len = len_of(packet);
        self.len += 1;
        self.cost += cost_of(len);
        if let Some(Entry::Draft(draft)) = self.entries.back_mut()
            && draft.has_room(many_len(len))
        {
            return draft.push(packet);
        }
        let mut draft = Draft::new(many_len(len), &mut self.spare);
        draft.push(packet);
        self.entries.push_back(Entry::Draft(draft));
    }

    fn push_long(&mut self, packet: Bytes) {
        self.len += 1;
        self.cost += cost_of(packet.len());
        self.entries.push_back(Entry::Long(packet));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What they count towards limits: their bytes, and 32 more for each.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// The length of the first.
    pub(super) fn first_len(&self) -> Option<usize> {
        self.entries.front().map(|entry| match entry {
            Entry::Draft(draft) => draft.first().len(),
            Entry::Long(packet) => packet.len(),
        })
    }

    /// Takes the first.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let packet = match self.entries.front_mut()? {
            Entry::Draft(draft) => {
                let packet = Bytes::copy_from_slice(draft.first());
                draft.forget(many_len(packet.len()), 1, cost_of(packet.len()));
                packet
            }
            Entry::Long(packet) => core::mem::take(packet),
        };
        self.on_taken(1, cost_of(packet.len()));
        Some(packet)
    }

    /// Takes as many as a record with a body of `room` bytes carries whole: several behind their lengths, or one alone. Nothing if the
    /// first does not fit.
    pub(super) fn take_record(&mut self, room: usize) -> Option<Unsealed> {
        let (record, cost) = match self.entries.front_mut()? {
            Entry::Long(packet) if packet.len() <= room => {
                let frame = frame_of(item::END, packet, &mut self.spare);
                (Unsealed { frame, packets: 1 }, cost_of(packet.len()))
            }
            Entry::Long(_) => return None,
            Entry::Draft(draft) if draft.fits(room) => {
                let cost = draft.cost;
                (core::mem::take(draft).into_unsealed(), cost)
            }
            Entry::Draft(draft) => draft.take_fitting(room)?,
        };
        self.on_taken(record.packets, cost);
        Some(record)
    }

    /// The first entry has lost packets, perhaps its last.
    fn on_taken(&mut self, packets: u64, cost: usize) {
        self.len -= packets;
        self.cost -= cost;
        if !matches!(self.entries.front(), Some(Entry::Draft(Draft { packets: 1.., .. }))) {
            self.entries.pop_front();
        }
    }

    /// What [`append_first`](Self::append_first) would move: what it counts, and the longest packet in it.
    pub(super) fn first_entry(&self) -> Option<(usize, usize)> {
        self.entries.front().map(|entry| match entry {
            // No side refuses so short a packet.
            Entry::Draft(draft) => (draft.cost, 0),
            Entry::Long(packet) => (cost_of(packet.len()), packet.len()),
        })
    }

    /// Moves the first packets of `from` behind the others: as many as lie together.
    pub(super) fn append_first(&mut self, from: &mut Self) {
        let Some(entry) = from.entries.pop_front() else { return };
        let (packets, cost) = match &entry {
            Entry::Draft(draft) => (draft.packets, draft.cost),
            Entry::Long(packet) => (1, cost_of(packet.len())),
        };
        from.len -= packets;
        from.cost -= cost;
        self.len += packets;
        self.cost += cost;
        match (self.entries.back_mut(), entry) {
            // Two short ones make one record.
            (Some(Entry::Draft(last)), Entry::Draft(next)) if last.has_room(next.body().len()) => {
                last.append(&next);
                from.spare.put(next.frame);
            }
            (_, entry) => {
                self.entries.push_back(entry);
                // For the next one there.
                from.spare.0.extend(self.spare.0.pop());
            }
        }
    }

    /// Buffers for packets to come.
    pub(super) fn spare(&mut self) -> &mut Spare {
        &mut self.spare
    }

    /// Gives back memory that was kept for packets to come: at most 512 KiB, and only where packets have been moved from here by
    /// [`Client::send_all`](super::Client::send_all) while others were under way.
    pub fn relax(&mut self) {
        self.spare = Spare::default();
    }
}

impl Spare {
    /// Keeps a buffer, if it is one for the longest frame and there are not too many.
    pub(super) fn put(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        if self.0.len() < SPARE_MAX && buffer.try_reclaim(FRAME_MAX) {
            self.0.push(buffer);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// An empty buffer with room for so many bytes, at most [`FRAME_MAX`].
    fn take(&mut self, capacity: usize) -> BytesMut {
        self.0.pop().unwrap_or_else(|| BytesMut::with_capacity(capacity))
    }
}

impl Draft {
    /// An empty one with room for `len` bytes.
    fn new(len: usize, spare: &mut Spare) -> Self {
        let mut capacity = FRAME_MAX;
        while capacity.div_ceil(2) >= (PREFIX + len + TAG).max(FRAME_MIN) {
            // So that, doubled again and again as it grows, it comes to the full size and not to twice that.
            capacity = capacity.div_ceil(2);
        }
        let mut frame =
            if capacity == FRAME_MAX { spare.take(capacity) } else { BytesMut::with_capacity(capacity) };
        frame.put_bytes(0, PREFIX);
        Self { frame, start: PREFIX, ..Self::default() }
    }

    fn push(&mut self, [packet, more]: [&[u8]; 2]) {
        let packet_len = packet.len() + more.len();
        let (prefix, len) = leb128(packet_len);
        self.frame.reserve(len + packet_len + TAG);
        self.frame.put_slice(&prefix[..len]);
        self.frame.put_slice(packet);
        if !more.is_empty() {
            self.frame.put_slice(more);
        }
        self.packets += 1;
        self.cost += cost_of(packet_len);
    }

    fn append(&mut self, next: &Self) {
        self.frame.reserve(next.body().len() + TAG);
        self.frame.put_slice(next.body());
        self.packets += next.packets;
        self.cost += next.cost;
    }

    /// What is gone counts, too: else a draft that is never taken whole would grow for ever.
    fn has_room(&self, len: usize) -> bool {
        self.frame.len() + len <= PREFIX + BODY_MAX
    }

    /// The packets, each behind its length.
    fn body(&self) -> &[u8] {
        &self.frame[self.start..]
    }

    fn first(&self) -> &[u8] {
        split_first(self.body()).unwrap_or_default().0
    }

    /// Whether all of it makes a record with a body of `room` bytes.
    fn fits(&self, room: usize) -> bool {
        let len = if self.packets == 1 { self.first().len() } else { self.body().len() };
        len <= room
    }

    /// Forgets packets from the front: so many bytes with their lengths.
    fn forget(&mut self, len: usize, packets: u64, cost: usize) {
        self.start += len;
        self.packets -= packets;
        self.cost -= cost;
    }

    /// The same bytes as a frame, not copied.
    fn into_unsealed(mut self) -> Unsealed {
        let one = self.packets == 1;
        // One alone goes without its length.
        let body = if one { self.frame.len() - self.first().len() } else { self.start };
        self.frame.advance(body - PREFIX);
        self.frame[PREFIX - 1] = if one { item::END } else { item::MANY };
        Unsealed { frame: self.frame, packets: self.packets }
    }

    /// Copies out what fits; and what that counts.
    fn take_fitting(&mut self, room: usize) -> Option<(Unsealed, usize)> {
        let (mut len, mut packets, mut cost) = (0, 0, 0);
        while let Some((packet, _)) = split_first(&self.body()[len..])
            && len + many_len(packet.len()) <= room
        {
            len += many_len(packet.len());
            packets += 1;
            cost += cost_of(packet.len());
        }
        let none = &mut Spare::default();
        let frame = if packets > 1 {
            frame_of(item::MANY, &self.body()[..len], none)
        } else {
            let first = Some(self.first()).filter(|first| first.len() <= room)?;
            (len, packets, cost) = (many_len(first.len()), 1, cost_of(first.len()));
            frame_of(item::END, first, none)
        };
        self.forget(len, packets, cost);
        Some((Unsealed { frame, packets }, cost))
    }
}

impl fmt::Debug for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packets").field("len", &self.len).field("cost", &self.cost).finish()
    }
}

/// A frame with this body, copied, and room for what stands before it and behind it; in a buffer that was kept, if there is one and the
/// frame is not much shorter.
pub(super) fn frame_of(item: u8, body: &[u8], spare: &mut Spare) -> BytesMut {
    let len = PREFIX + body.len() + TAG;
    let mut frame = if len > FRAME_MAX / 2 { spare.take(len) } else { BytesMut::with_capacity(len) };
    frame.put_bytes(0, PREFIX - 1);
    frame.put_u8(item);
    frame.put_slice(body);
    frame
}

const fn fits_draft(packet: usize) -> bool {
    many_len(packet) <= BODY_MAX
}

/// What a packet counts towards limits.
pub(super) const fn cost_of(packet: usize) -> usize {
    packet + PACKET_OVERHEAD
}

/// What a packet takes in a record of many.
pub(super) const fn many_len(packet: usize) -> usize {
    let bits = (usize::BITS - packet.leading_zeros()) as usize;
    packet + if bits == 0 { 1 } else { bits.div_ceil(7) }
}

fn len_of([packet, more]: [&[u8]; 2]) -> usize {
    packet.len() + more.len()
}

/// The first of packets that stand behind their lengths, and the rest.
fn split_first(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = body;
    let len = get_leb128(&mut rest)?;
    rest.split_at_checked(len)
}

/// A length in as few bytes as it needs, and how many these are.
fn leb128(mut len: usize) -> ([u8; 4], usize) {
    let (mut bytes, mut count) = ([0; 4], 1);
    while len >= 0x80 && count < 4 {
        bytes[count - 1] = (len & 0x7f) as u8 | 0x80;
        len >>= 7;
        count += 1;
    }
    bytes[count - 1] = len as u8;
    (bytes, count)
}

#[cfg(test)]
mod tests;
