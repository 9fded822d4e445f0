//! The sending half of a session: what waits, what is sealed, what the other side has not confirmed yet.
//!
//! * A packet waits unsealed until the transport asks for bytes. Then the next record takes as many whole packets as fit, so
//!   an idle link sends at once and a busy one shares records, with no delay and no timer. They are sealed where they wait.
//! * A sealed record is final. It is kept as it is until the other side confirms it; what is sent again is these bytes.
//! * Nothing is sealed beyond the edge that the other side promised, nor beyond the own limit of unconfirmed bytes.

use alloc::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use super::event::Traffic;
use super::limits::{
    CONTROL_RECORDS, ClientLimits, FIRST_WINDOW, KEY_AGE, KEY_BYTES, KEY_RECORDS, PART_MIN, RETRANSMIT_PAUSE,
};
use super::message::item;
use super::packets::{Spare, Unsealed, frame_of};
use super::queue::SendQueue;
use crate::crypto::record::{Data, HEADER, PLAINTEXT_SEND_MAX, SealError, Sealer, TAG};
use crate::time::Instant;
use crate::wire::{FORWARD_HEADER, ForwardHeader};

/// One sealed record, as the frame it was sent in, until it is confirmed.
struct Retained {
    frame: Bytes,
    /// What it takes of the window; control items take nothing.
    cost: u64,
    /// Packets of the channel complete with it.
    packets: u64,
}

enum Fin {
    Open,
    /// To be sealed when the queue is empty.
    Wanted,
    Sealed,
}

pub(super) struct Outbound {
    sealer: Sealer<Data>,
    retained: VecDeque<Retained>,
    retained_bytes: u64,
    /// The sequence number of the first retained record.
    base: u64,
    /// Window bytes of all records before `base`, and of all records sealed.
    acked_total: u64,
    sealed_total: u64,
    /// The other side takes window bytes up to here.
    edge: u64,
    max_bytes: u64,
    max_records: usize,
    /// A packet of which a part is sealed.
    cut: Option<Bytes>,
    /// Packets sealed completely, and confirmed completely.
    packets_sealed: u64,
    packets_acked: u64,
    /// The next record to send again, during a pass.
    resend: Option<u64>,
    /// Records sent again, ever.
    resent: u64,
    /// Where and when the last pass began.
    last_pass: Option<(u64, Instant)>,
    fin: Fin,
    key_since: Instant,
    key_records: u64,
    key_bytes: u64,
}

/// What the next record is.
enum Next {
    Resend(u64),
    KeyUpdate,
    /// Whole packets, as many as fit into this much plaintext.
    Packets(usize),
    /// This much of a packet, of which more follows.
    Part(usize),
    Fin,
}

/// A confirmation that the peer cannot mean: of what was never sent.
#[derive(Debug)]
pub(super) struct AckBeyondSent;

impl Outbound {
    pub(super) fn new(now: Instant, sealer: Sealer<Data>, limits: &ClientLimits) -> Self {
        Self {
            sealer,
            retained: VecDeque::new(),
            retained_bytes: 0,
            base: 0,
            acked_total: 0,
            sealed_total: 0,
            edge: FIRST_WINDOW,
            max_bytes: limits.unacked_max_bytes as u64,
            max_records: limits.unacked_max_records,
            cut: None,
            packets_sealed: 0,
            packets_acked: 0,
            resend: None,
            resent: 0,
            last_pass: None,
            fin: Fin::Open,
            key_since: now,
            key_records: 0,
            key_bytes: 0,
        }
    }

    /// Everything queued goes out, then the end of the direction.
    pub(super) fn finish(&mut self) {
        if matches!(self.fin, Fin::Open) {
            self.fin = Fin::Wanted;
        }
    }

    pub(super) fn is_finishing(&self) -> bool {
        !matches!(self.fin, Fin::Open)
    }

    /// Whether there is a record to send now.
    pub(super) fn wants_to_send(&self, now: Instant, queue: &SendQueue) -> bool {
        self.next(now, queue).is_some()
    }

    fn next(&self, now: Instant, queue: &SendQueue) -> Option<Next> {
        if let Some(seq) = self.resend {
            return Some(Next::Resend(seq));
        }
        let content = match (self.cut.as_ref().map(Bytes::len), queue.first_len()) {
            (Some(len), _) | (None, Some(len)) => self.room_for(len),
            (None, None) if matches!(self.fin, Fin::Wanted) => Some(Next::Fin),
            (None, None) => None,
        }?;
        let slots = self.max_records + if matches!(content, Next::Fin) { CONTROL_RECORDS } else { 0 };
        if self.retained.len() >= slots {
            return None;
        }
        let key_is_old = self.key_records >= KEY_RECORDS
            || self.key_bytes >= KEY_BYTES
            || (self.key_records > 0 && now.since(self.key_since) >= KEY_AGE);
        Some(if key_is_old { Next::KeyUpdate } else { content })
    }

    /// The next record's content if `len` bytes of packet are the next to go.
    fn room_for(&self, len: usize) -> Option<Next> {
        let window = self.edge.saturating_sub(self.sealed_total);
        let own = self.max_bytes.saturating_sub(self.retained_bytes);
        let wire = usize::try_from(window.min(own)).unwrap_or(usize::MAX);
        // Behind the item byte.
        let room = wire.saturating_sub(HEADER + TAG).min(PLAINTEXT_SEND_MAX).checked_sub(1)?;
        if len <= room {
            Some(Next::Packets(room))
        } else if room >= PART_MIN {
            Some(Next::Part(room))
        } else {
            None
        }
    }

    /// The next frame to send for this channel number, if there is one.
    ///
    /// # Errors
    /// The sequence numbers are used up; the session must end.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        queue: &mut SendQueue,
        channel: u32,
    ) -> Result<Option<Bytes>, SealError> {
        let Some(next) = self.next(now, queue) else { return Ok(None) };
        let frame = match next {
            Next::Resend(seq) => return Ok(self.resend(seq, channel)),
            Next::KeyUpdate => {
                let spare = queue.spare();
                let frame = frame_of(item::KEY_UPDATE, &[], spare);
                let frame = self.seal(channel, frame, false, spare)?;
                self.sealer.ratchet();
                (self.key_since, self.key_records, self.key_bytes) = (now, 0, 0);
                frame
            }
            Next::Fin => {
                self.fin = Fin::Sealed;
                let spare = queue.spare();
                self.seal(channel, frame_of(item::FIN, &[], spare), false, spare)?
            }
            Next::Part(room) => {
                let mut packet = self.cut.take().or_else(|| queue.pop()).unwrap_or_default();
                let part = packet.split_to(room);
                self.cut = Some(packet);
                let spare = queue.spare();
                self.seal(channel, frame_of(item::PART, &part, spare), true, spare)?
            }
            Next::Packets(room) => {
                let Unsealed { frame, packets } = match self.cut.take() {
                    Some(rest) => Unsealed { frame: frame_of(item::END, &rest, queue.spare()), packets: 1 },
                    None => match queue.take_record(room) {
                        Some(unsealed) => unsealed,
                        None => return Ok(None),
                    },
                };
                self.packets_sealed += packets;
                self.seal(channel, frame, true, queue.spare())?
            }
        };
        Ok(Some(frame))
    }

    /// The one place where a record comes to be: sealed and retained in the same call.
    fn seal(
        &mut self,
        channel: u32,
        mut frame: BytesMut,
        counted: bool,
        spare: &mut Spare,
    ) -> Result<Bytes, SealError> {
        ForwardHeader { channel }.rewrite(&mut frame);
        frame.put_bytes(0, TAG);
        let record = &mut frame[FORWARD_HEADER..];
        let wire = record.len() as u64;
        self.sealer.seal(record)?;
        // Kept until it is confirmed: a small record must not hold a large buffer.
        let frame = if frame.len() < frame.capacity() / 2 {
            let small = Bytes::copy_from_slice(&frame);
            spare.put(frame);
            small
        } else {
            frame.freeze()
        };
        let cost = if counted { wire } else { 0 };
        self.sealed_total += cost;
        self.retained_bytes += cost;
        self.key_records += 1;
        self.key_bytes += wire;
        self.retained.push_back(Retained { frame: frame.clone(), cost, packets: self.packets_sealed });
        Ok(frame)
    }

    fn resend(&mut self, seq: u64, channel: u32) -> Option<Bytes> {
        let index = usize::try_from(seq - self.base).ok()?;
        let mut frame = BytesMut::from(&*self.retained.get(index)?.frame);
        ForwardHeader { channel }.rewrite(&mut frame);
        self.resent += 1;
        self.resend = Some(seq + 1).filter(|&next| next < self.sealer.next_seq());
        Some(frame.freeze())
    }

    /// The other side has everything before `recv_next` and takes `window` bytes from there. The buffers of what it has go to `spare`, as
    /// long as something is under way.
    ///
    /// # Errors
    /// It confirms what was never sent.
    pub(super) fn on_state(
        &mut self,
        recv_next: u64,
        window: u32,
        spare: &mut Spare,
    ) -> Result<(), AckBeyondSent> {
        if recv_next > self.sealer.next_seq() {
            return Err(AckBeyondSent);
        }
        if recv_next < self.base {
            return Ok(());
        }
        while self.base < recv_next {
            let Some(record) = self.retained.pop_front() else { break };
            self.base += 1;
            self.acked_total += record.cost;
            self.retained_bytes -= record.cost;
            self.packets_acked = record.packets;
            if let Ok(buffer) = record.frame.try_into_mut() {
                spare.put(buffer);
            }
        }
        if self.retained.is_empty() {
            *spare = Spare::default();
        }
        self.edge = self.edge.max(self.acked_total + u64::from(window));
        self.resend = self.resend.map(|seq| seq.max(self.base)).filter(|&seq| seq < self.sealer.next_seq());
        Ok(())
    }

    /// The other side asks for everything it has not got. A pass is begun only if something has moved since the last one or
    /// a second has gone by, and never during one: else 60 bytes would fetch a whole window.
    pub(super) fn begin_pass(&mut self, now: Instant) {
        let may =
            self.last_pass.is_none_or(|(base, at)| base < self.base || now.since(at) >= RETRANSMIT_PAUSE);
        if self.resend.is_none() && may && !self.retained.is_empty() {
            self.resend = Some(self.base);
            self.last_pass = Some((self.base, now));
        }
    }

    /// The channel has a new way: what was on the old one is lost.
    pub(super) fn reattach(&mut self) {
        self.resend = None;
        self.last_pass = None;
    }

    /// The sequence number of the next record.
    pub(super) fn send_next(&self) -> u64 {
        self.sealer.next_seq()
    }

    /// The number of the last packet that the other side has.
    pub(super) fn packets_acked(&self) -> u64 {
        self.packets_acked
    }

    /// The number of the last packet that may have left, in part at least.
    pub(super) fn packets_started(&self) -> u64 {
        self.packets_sealed + u64::from(self.cut.is_some())
    }

    /// Bytes of the records with packets that are not confirmed yet, and the number of all that are not.
    pub(super) fn held(&self) -> (usize, usize) {
        (usize::try_from(self.retained_bytes).unwrap_or(usize::MAX), self.retained.len())
    }

    /// What was sealed and sent, ever.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic { records: self.sealer.next_seq(), bytes: self.sealed_total, resent: self.resent }
    }

    /// Whether something sealed is not confirmed yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.retained.is_empty()
    }

    /// Whether every packet ever queued is confirmed.
    pub(super) fn all_packets_acked(&self, queue: &SendQueue) -> bool {
        self.packets_acked == queue.accepted()
    }

    #[cfg(test)]
    pub(super) fn age_key(&mut self, records: u64) {
        self.key_records += records;
    }

    /// Whether the end of the direction is confirmed.
    pub(super) fn fin_acked(&self) -> bool {
        matches!(self.fin, Fin::Sealed) && self.retained.is_empty()
    }
}

#[cfg(test)]
mod tests;
