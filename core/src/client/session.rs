//! What a secured channel has: two directions of records, and one message, STATE, that says where each side stands.
//!
//! STATE does acknowledgement, flow control, resume and the detection of a lost tail at once (`PROTOCOL.md`, "STATE"). It is
//! idempotent: a newer one supersedes every older one, and a lost one is made good by the next. At most one waits to be sent.

use bytes::{Buf, Bytes, BytesMut};

use super::event::{Held, Traffic};
use super::inbound::{Inbound, Refused};
use super::limits::{
    ACK_BYTES, ACK_DELAY, ACK_RECORDS, ASK_IDLE, ASK_STALLED, ASKS_MAX, ClientLimits, GAP_MAX, GAPS_MAX,
    RETRANSMIT_PAUSE, WRONG_PARTNERS_MAX,
};
use super::message::{State, control};
use super::outbound::Outbound;
use super::queue::SendQueue;
use super::unread::{Batch, Unread};
use crate::crypto::exchange::Secured;
use crate::crypto::record::{Ctrl, HEADER, OpenError, Opener, SealError, Sealer, TAG};
use crate::time::Instant;
use crate::wire::{FORWARD_HEADER, ForwardHeader};

pub(super) struct Session {
    out: Outbound,
    inb: Inbound,
    ctrl_tx: Sealer<Ctrl>,
    ctrl_rx: Opener<Ctrl>,
    rendezvous: [u8; 16],
    verifier: [u8; 16],
    packet_max: usize,
    /// A STATE to be sent, and what it asks for.
    due: Option<Flags>,
    /// The first record opened since the last STATE must be acknowledged by then.
    ack_at: Option<Instant>,
    opened_records: u32,
    opened_bytes: u64,
    /// The edge last told to the other side.
    told_edge: u64,
    window_max: u64,
    /// When to ask for a STATE if nothing comes.
    ask_at: Instant,
    /// Requests in a row without a record in return.
    asked: u8,
    /// Records are missing: since when, and when they were last asked for.
    gap: Option<Gap>,
    /// Attachments in a row left for a gap without progress.
    gaps: u8,
    way: Way,
    /// Wrong tags at the start of attachments, ever.
    wrong_partners: u8,
    /// A record of the other side has opened: it is secured, too.
    peer_opened: bool,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    ask: bool,
    retransmit: bool,
}

#[derive(Clone, Copy)]
struct Gap {
    since: Instant,
    asked: Instant,
    /// Everything up to here is known to have been sent.
    until: u64,
}

/// What is known of the way to the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// The channel's first: the key agreement came over it.
    First,
    /// Found by REJOIN; no record has proved yet that the right side is at its end, and nothing but STATE may be sent.
    Unproven,
    /// Found by REJOIN; a record has opened, but no STATE has come: new DATA would run ahead of what is missing.
    Held,
    /// Found by REJOIN; everything may be sent.
    Open,
}

/// What a record led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The session goes on.
    Fine,
    /// This way does not lead to the other side, or loses what is sent: leave it and look for another.
    Leave,
    /// The session is over.
    Fatal(Fault),
}

/// Why a session ends for a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// A record was altered.
    Tampered { seq: u64 },
    /// The other side broke the protocol in a record that it sealed.
    Violation,
    /// The relay loses what it is given.
    RelayLoss,
    /// The other side ended the channel at once.
    Aborted { code: u8 },
    /// All sequence numbers are used.
    Exhausted,
}

impl Fault {
    /// The number in ABORT that tells the other side.
    pub(super) const fn abort_code(self) -> u8 {
        match self {
            Self::Tampered { .. } => 1,
            Self::Violation => 2,
            Self::RelayLoss => 3,
            Self::Exhausted => 4,
            Self::Aborted { .. } => 0,
        }
    }
}

impl Session {
    pub(super) fn new(now: Instant, secured: Secured, limits: &ClientLimits) -> Self {
        let Secured { data_tx, data_rx, ctrl_tx, ctrl_rx, rendezvous, verifier, peer_caps, .. } = secured;
        let own_max = 1 << limits.packet_max_log2;
        let inb = Inbound::new(data_rx, limits.receive_window_bytes, own_max);
        let (told_edge, _) = inb.edge();
        Self {
            out: Outbound::new(now, data_tx, limits),
            inb,
            ctrl_tx,
            ctrl_rx,
            rendezvous,
            verifier,
            packet_max: super::packet_max_of(peer_caps),
            due: Some(Flags::default()),
            ack_at: None,
            opened_records: 0,
            opened_bytes: 0,
            told_edge,
            window_max: limits.receive_window_bytes as u64,
            ask_at: now + ASK_IDLE,
            asked: 0,
            gap: None,
            gaps: 0,
            way: Way::First,
            wrong_partners: 0,
            peer_opened: false,
        }
    }

    /// A DATA record has come.
    pub(super) fn on_data(&mut self, now: Instant, record: BytesMut) -> Outcome {
        match self.inb.open(record) {
            Ok(wire) => {
                self.on_valid(now);
                self.gaps = 0;
                self.opened_records = self.opened_records.saturating_add(1);
                self.opened_bytes = self.opened_bytes.saturating_add(wire);
                if self.opened_records >= ACK_RECORDS
                    || self.opened_bytes >= ACK_BYTES
                    || self.inb.is_finished()
                {
                    self.due.get_or_insert_default();
                }
                self.ack_at.get_or_insert(now + ACK_DELAY);
                if let Some(gap) = &mut self.gap {
                    // What comes in order needs no asking for; the rest is behind it.
                    (gap.since, gap.asked) = (now, now);
                    if self.inb.recv_next() >= gap.until {
                        self.gap = None;
                    }
                }
                Outcome::Fine
            }
            Err(Refused::Violation) => Outcome::Fatal(Fault::Violation),
            Err(Refused::NotOpened(OpenError::Malformed | OpenError::Duplicate { .. })) => Outcome::Fine,
            Err(Refused::NotOpened(OpenError::Gap { .. })) => {
                // The header is not authenticated: it may make us ask, but it moves nothing else.
                let until = self.inb.recv_next() + 1;
                self.missing(now, until);
                Outcome::Fine
            }
            Err(Refused::NotOpened(OpenError::Forged { seq })) => self.on_forged(seq),
        }
    }

    /// A CTRL record has come. The buffers of what it confirms go to `queue`.
    pub(super) fn on_ctrl(&mut self, now: Instant, mut record: BytesMut, queue: &mut SendQueue) -> Outcome {
        match self.ctrl_rx.open(&mut record) {
            Ok(_) => {}
            Err(OpenError::Forged { seq }) => return self.on_forged(seq),
            Err(_) => return Outcome::Fine,
        }
        self.on_valid(now);
        record.truncate(record.len() - TAG);
        record.advance(HEADER);
        match record.get_u8() {
            control::STATE => match State::decode(&record) {
                Some(state) => self.on_state(now, state, queue),
                None => Outcome::Fatal(Fault::Violation),
            },
            control::ABORT if record.len() == 1 => Outcome::Fatal(Fault::Aborted { code: record[0] }),
            _ => Outcome::Fatal(Fault::Violation),
        }
    }

    fn on_state(&mut self, now: Instant, state: State, queue: &mut SendQueue) -> Outcome {
        if self.out.on_state(state.recv_next, state.window, queue.spare()).is_err() {
            return Outcome::Fatal(Fault::Violation);
        }
        self.ask_later(now);
        if self.way != Way::First {
            self.way = Way::Open;
        }
        if state.retransmit {
            self.out.begin_pass(now);
        }
        if state.send_next > self.inb.recv_next() {
            // Perhaps on its way; if not, it is the lost tail that no gap would ever show.
            match &mut self.gap {
                Some(gap) => gap.until = gap.until.max(state.send_next),
                None => self.gap = Some(Gap { since: now, asked: now, until: state.send_next }),
            }
        } else {
            // Nothing is missing, whatever a bare header made us think.
            self.gap = None;
        }
        if state.ask {
            self.due.get_or_insert_default();
        }
        Outcome::Fine
    }

    fn on_valid(&mut self, now: Instant) {
        self.peer_opened = true;
        self.asked = 0;
        if self.way == Way::Unproven {
            self.way = Way::Held;
        }
        self.ask_later(now);
    }

    fn ask_later(&mut self, now: Instant) {
        self.ask_at = now + if self.out.is_waiting() { ASK_STALLED } else { ASK_IDLE };
    }

    /// A wrong tag on a way that REJOIN found, before anything valid came over it, means a wrong partner. Otherwise somebody
    /// has altered a record, and the first time is the last.
    fn on_forged(&mut self, seq: u64) -> Outcome {
        if self.way == Way::Unproven && self.wrong_partners < WRONG_PARTNERS_MAX {
            self.wrong_partners += 1;
            return Outcome::Leave;
        }
        Outcome::Fatal(Fault::Tampered { seq })
    }

    fn missing(&mut self, now: Instant, until: u64) {
        let ask = match &mut self.gap {
            None => {
                self.gap = Some(Gap { since: now, asked: now, until });
                true
            }
            Some(gap) if now.since(gap.asked) >= RETRANSMIT_PAUSE => {
                gap.asked = now;
                true
            }
            Some(_) => false,
        };
        if ask {
            self.ask_for_missing();
        }
    }

    /// Asks for an answer as well: if nothing is missing, it says so.
    fn ask_for_missing(&mut self) {
        self.due = Some(Flags { ask: true, retransmit: true });
    }

    /// The channel has been found again, over a way that must prove itself.
    pub(super) fn attached(&mut self, now: Instant) {
        self.way = Way::Unproven;
        self.out.reattach();
        self.gap = None;
        self.asked = 0;
        self.ask_at = now + ASK_STALLED;
        self.due = Some(Flags { ask: false, retransmit: true });
    }

    /// The channel is cut.
    pub(super) fn detached(&mut self) {
        self.due = None;
        self.ack_at = None;
    }

    /// Time has passed, while attached.
    pub(super) fn on_timeout(&mut self, now: Instant) -> Outcome {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.due.get_or_insert_default();
        }
        if let Some(gap) = &mut self.gap {
            if now.since(gap.since) >= GAP_MAX {
                self.gaps += 1;
                return if self.gaps >= GAPS_MAX { Outcome::Fatal(Fault::RelayLoss) } else { Outcome::Leave };
            }
            if now.since(gap.asked) >= RETRANSMIT_PAUSE {
                gap.asked = now;
                self.ask_for_missing();
            }
        }
        if self.ask_at <= now {
            self.ask_at = now + ASK_STALLED;
            let due = self.due.get_or_insert_default();
            // A request that the transport has not taken yet cannot have been answered.
            if !due.ask {
                if self.asked >= ASKS_MAX {
                    return Outcome::Leave;
                }
                self.asked += 1;
                due.ask = true;
            }
        }
        Outcome::Fine
    }

    /// When to call [`on_timeout`](Self::on_timeout), while attached.
    pub(super) fn deadline(&self) -> Instant {
        let gap = self.gap.map(|gap| (gap.asked + RETRANSMIT_PAUSE).min(gap.since + GAP_MAX));
        [self.ack_at.filter(|_| self.due.is_none()), gap]
            .into_iter()
            .flatten()
            .fold(self.ask_at, Instant::min)
    }

    /// The STATE that waits to be sent, sealed now.
    pub(super) fn poll_state(&mut self, channel: u32) -> Result<Option<Bytes>, SealError> {
        let Some(Flags { ask, retransmit }) = self.due.take() else { return Ok(None) };
        let (edge, window) = self.inb.edge();
        self.told_edge = edge;
        self.ack_at = None;
        (self.opened_records, self.opened_bytes) = (0, 0);
        let (recv_next, send_next) = (self.inb.recv_next(), self.out.send_next());
        let state = State { recv_next, send_next, window, ask, retransmit };
        self.seal_ctrl(channel, &state.encode()).map(Some)
    }

    /// The last word of a session that ends for a fault.
    pub(super) fn abort(&mut self, channel: u32, fault: Fault) -> Option<Bytes> {
        self.seal_ctrl(channel, &[control::ABORT, fault.abort_code()]).ok()
    }

    fn seal_ctrl(&mut self, channel: u32, plaintext: &[u8]) -> Result<Bytes, SealError> {
        let mut frame = BytesMut::zeroed(FORWARD_HEADER + HEADER + plaintext.len() + TAG);
        ForwardHeader { channel }.rewrite(&mut frame);
        frame[FORWARD_HEADER + HEADER..][..plaintext.len()].copy_from_slice(plaintext);
        self.ctrl_tx.seal(&mut frame[FORWARD_HEADER..])?;
        Ok(frame.freeze())
    }

    /// The next DATA frame to be sent.
    pub(super) fn poll_data(
        &mut self,
        now: Instant,
        queue: &mut SendQueue,
        channel: u32,
    ) -> Result<Option<Bytes>, SealError> {
        if !self.may_send_data() {
            return Ok(None);
        }
        let was_waiting = self.out.is_waiting();
        let frame = self.out.poll(now, queue, channel)?;
        if frame.is_some() && !was_waiting {
            self.ask_at = self.ask_at.min(now + ASK_STALLED);
        }
        Ok(frame)
    }

    pub(super) fn wants_to_send(&self, now: Instant, queue: &SendQueue, data: bool) -> bool {
        self.due.is_some() || (data && self.may_send_data() && self.out.wants_to_send(now, queue))
    }

    fn may_send_data(&self) -> bool {
        matches!(self.way, Way::First | Way::Open)
    }

    /// The next packet for the application.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let packet = self.inb.take();
        self.tell_edge();
        packet
    }

    /// The next packets for the application, those that came together.
    pub(super) fn take_batch(&mut self) -> Option<Batch> {
        let batch = self.inb.take_batch();
        self.tell_edge();
        batch
    }

    /// Tells the other side when a good part of the window has come free.
    fn tell_edge(&mut self) {
        let (edge, _) = self.inb.edge();
        if edge - self.told_edge >= self.window_max / 4 {
            self.due.get_or_insert_default();
        }
    }

    /// No more packets will be queued: send what is there, then the end.
    pub(super) fn finish(&mut self) {
        self.out.finish();
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.out.is_finishing()
    }

    /// The other side has ended its direction.
    pub(super) fn peer_finished(&self) -> bool {
        self.inb.is_finished()
    }

    /// Everything has arrived, both ways.
    pub(super) fn is_complete(&self, queue: &SendQueue) -> bool {
        self.inb.is_finished() && self.out.all_packets_acked(queue)
    }

    /// Nothing is left to be said: the other side knows that everything has arrived.
    pub(super) fn is_quiet(&self) -> bool {
        self.out.fin_acked() && self.due.is_none() && self.ack_at.is_none()
    }

    /// What has arrived and was not taken; everything else, keys above all, is wiped.
    pub(super) fn into_unread(self) -> Unread {
        self.inb.into_unread()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.inb.is_readable()
    }

    pub(super) fn packets_acked(&self) -> u64 {
        self.out.packets_acked()
    }

    pub(super) fn packets_started(&self) -> u64 {
        self.out.packets_started()
    }

    pub(super) fn rendezvous(&self) -> [u8; 16] {
        self.rendezvous
    }

    pub(super) fn verifier(&self) -> [u8; 16] {
        self.verifier
    }

    /// The largest packet the other side takes.
    pub(super) fn packet_max(&self) -> usize {
        self.packet_max
    }

    /// What it holds in memory; nothing is queued here.
    pub(super) fn held(&self) -> Held {
        let (unacked, unacked_records) = self.out.held();
        Held { queued: 0, unacked, unacked_records, received: self.inb.held() }
    }

    /// What it has sealed and sent.
    pub(super) fn traffic(&self) -> Traffic {
        self.out.traffic()
    }

    /// Whether a record of the other side has ever opened: then it is secured, too.
    pub(super) fn peer_opened(&self) -> bool {
        self.peer_opened
    }

    /// Whether the present way is the first, or has proved itself.
    pub(super) fn is_proven(&self) -> bool {
        self.way != Way::Unproven
    }
}

#[cfg(test)]
mod tests;
