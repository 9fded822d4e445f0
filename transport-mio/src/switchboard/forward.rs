//! The hot path: from a sender's buffer to a receiver's socket.
//!
//! Frames that follow one another to the same receiver make a *run*. They stay in the buffer they came in: each payload gets its new
//! header where the old one stood, small frames move together, and the run leaves in one write. Only what the receiver's socket does
//! not take is copied, to its outbox. A run is written before anything else is done that could be seen by anybody.

use std::ops::Range;

use phantom_core::id::ConnId;
use phantom_core::relay::Input;
use phantom_core::time::Instant;
use phantom_core::websocket::{header_len, opcode, write_header};

use super::{Switchboard, mark};
use crate::conn::PLACES_MAX;
use crate::token::Key;

/// A payload up to this length moves to the frame before it; moving more would cost more than a piece of its own in the write.
const MOVE_MAX: usize = 2 * 1024;

/// Frames of one turn on their way to one receiver.
#[derive(Default)]
pub(super) struct Run {
    to: Option<(ConnId, Key)>,
    /// Where they stand in the buffer.
    places: Vec<Range<usize>>,
    /// How many bytes they are.
    bytes: usize,
    /// How many bytes may wait for the receiver, less what waits already.
    room: usize,
    /// Runs that have ended in this turn.
    pub(super) ended: usize,
}

impl Run {
    /// Adds the frame whose payload stands here; before it there is room for a header. Says whether the run is now as long as it may be.
    fn add(&mut self, buf: &mut [u8], payload: Range<usize>) -> bool {
        let whole = payload.start - header_len(payload.len())..payload.end;
        write_header(&mut buf[whole.start..payload.start], opcode::BINARY, payload.len());
        self.bytes += whole.len();
        match self.places.last_mut() {
            Some(last) if payload.len() <= MOVE_MAX => {
                let to = last.end;
                last.end += whole.len();
                buf.copy_within(whole, to);
            }
            _ => self.places.push(whole),
        }
        self.bytes > self.room || self.places.len() == PLACES_MAX
    }
}

impl Switchboard {
    /// The frame with this payload goes to this receiver. Says whether its sender is held up now.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        (from, sender): (ConnId, Key),
        to: ConnId,
        buf: &mut [u8],
        payload: Range<usize>,
    ) -> bool {
        if self.run.to.is_none_or(|(conn, _)| conn != to) {
            self.finish_run(now, buf);
            let Some(key) = self.links.key(to) else { return false };
            self.run.to = Some((to, key));
            self.run.room = self.room(key);
        }
        if !self.run.add(buf, payload) {
            return false;
        }
        let receiver = self.run.to;
        self.finish_run(now, buf);
        receiver.is_some_and(|(to, key)| self.hold(now, (from, sender), (to, key)))
    }

    /// The same for a frame that came in pieces.
    pub(super) fn forward_gathered(
        &mut self,
        now: Instant,
        sender: (ConnId, Key),
        to: ConnId,
        payload: &[u8],
    ) -> bool {
        let Some(key) = self.links.key(to) else { return false };
        let Some(receiver) = self.conns.get_mut(key) else { return false };
        receiver.outbox.push_data(opcode::BINARY, payload);
        mark(&mut self.dirty, key, receiver);
        self.hold(now, sender, (to, key))
    }

    /// Writes the run, if there is one, and leaves what is not taken in the receiver's outbox.
    pub(super) fn finish_run(&mut self, now: Instant, buf: &[u8]) {
        let Some((_, key)) = self.run.to.take() else { return };
        if let Some(receiver) = self.conns.get_mut(key) {
            let mut written = receiver.send_now(now, buf, &self.run.places);
            self.stats.bytes_sent += written as u64;
            if written < self.run.bytes {
                for place in &self.run.places {
                    let gone = written.min(place.len());
                    if gone < place.len() {
                        receiver.outbox.push_frames(&buf[place.clone()], gone);
                    }
                    written -= gone;
                }
            }
            if receiver.wants_to_send() {
                mark(&mut self.dirty, key, receiver);
            }
        }
        self.run.places.clear();
        self.run.bytes = 0;
        self.run.ended += 1;
    }

    /// Bytes that may wait for this receiver beyond what waits already.
    fn room(&mut self, key: Key) -> usize {
        let Some(receiver) = self.conns.get_mut(key) else { return 0 };
        if receiver.outbox.is_empty() {
            // It may take a whole turn's worth at once.
            return usize::MAX;
        }
        let share = self.budget.outbox_max(self.addresses.memory(receiver.home()));
        share.min(self.limits.outbox_bytes_max).saturating_sub(receiver.outbox.data_bytes())
    }

    /// Holds up the sender if its receiver has more waiting than it may; says whether.
    fn hold(&mut self, now: Instant, (from, sender): (ConnId, Key), (to, receiver): (ConnId, Key)) -> bool {
        let full = self.room(receiver) == 0;
        let Some(conn) = self.conns.get_mut(receiver) else { return false };
        self.stats.outbox_bytes_peak = self.stats.outbox_bytes_peak.max(conn.outbox.data_bytes());
        if !full {
            return false;
        }
        conn.holds.push(sender);
        if let Some(conn) = self.conns.get_mut(sender) {
            conn.held_by = Some(receiver);
        }
        self.stats.held_up += 1;
        let _done = self.relay.handle(now, Input::Blocked { from, to });
        true
    }
}
