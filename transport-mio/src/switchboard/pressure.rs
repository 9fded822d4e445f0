//! Full receivers: who is held up, for how long, and who is freed.
//!
//! A receiver whose outbox is full holds whoever sends to it: that sender is not read until the outbox is low again, or the machine has
//! ended the channel. A receiver that takes nothing for too long is closed.

use std::mem;

use phantom_core::id::ConnId;
use phantom_core::relay::Input;
use phantom_core::time::Instant;
use phantom_core::wire::CloseCode;

use super::{Switchboard, mark, queue};
use crate::conn::{Phase, Sent};
use crate::timers::Wait;
use crate::token::Key;

impl Switchboard {
    /// Hands the frame at hand to its receiver; says whether that was more than it takes, so that its sender is held up.
    pub(super) fn forward(&mut self, now: Instant, key: Key, from: ConnId, to: ConnId) -> bool {
        let Some(to_key) = self.links.key(to) else { return false };
        let Some(receiver) = self.conns.get_mut(to_key) else { return false };
        receiver.outbox.push_data(&self.frame);
        mark(&mut self.dirty, to_key, receiver);
        let waiting = receiver.outbox.data_bytes();
        self.stats.outbox_bytes_peak = self.stats.outbox_bytes_peak.max(waiting);
        if waiting <= self.limits.outbox_bytes_max {
            return false;
        }
        receiver.holds.push(key);
        if let Some(sender) = self.conns.get_mut(key) {
            sender.held_by = Some(to_key);
        }
        self.stats.held_up += 1;
        let _done = self.relay.handle(now, Input::Blocked { from, to });
        true
    }

    /// Writes to everybody for whom something waits.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(key) = self.dirty.pop() {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.dirty = false;
            match (conn.send(now), &conn.phase) {
                (Sent::Dead, _) => {
                    self.lose(now, key);
                    continue;
                }
                (Sent::All, &Phase::Closing { theirs: true, .. }) => {
                    self.remove(now, key);
                    continue;
                }
                (Sent::All, Phase::Closing { .. }) => conn.shut(),
                (Sent::All, _) => {
                    if matches!(conn.timer, Some((Wait::Stall, _))) {
                        self.set_timer(key, None);
                    }
                }
                (Sent::Waiting, _) => {
                    if conn.timer.is_none() {
                        conn.progress = now;
                        self.set_timer(key, Some((Wait::Stall, now + self.limits.stall_timeout)));
                    }
                }
            }
            if let Some(conn) = self.conns.get_mut(key)
                && conn.outbox.data_bytes() <= self.limits.outbox_bytes_low
                && !conn.holds.is_empty()
            {
                self.release_senders(now, key);
            }
        }
    }

    pub(super) fn check_stall(&mut self, now: Instant, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let patience_ends = conn.progress + self.limits.stall_timeout;
        let &Phase::Open { conn: from, .. } = &conn.phase else { return self.set_timer(key, None) };
        if patience_ends > now {
            return self.set_timer(key, Some((Wait::Stall, patience_ends)));
        }
        let _done = self.relay.handle(now, Input::Invalid { from, code: CloseCode::Stalled });
        self.apply_outputs(now);
    }

    /// Reads again from everybody whom this receiver held up.
    pub(super) fn release_senders(&mut self, now: Instant, receiver: Key) {
        let Some(conn) = self.conns.get_mut(receiver) else { return };
        for key in mem::take(&mut conn.holds) {
            if let Some(sender) = self.conns.get_mut(key)
                && sender.held_by == Some(receiver)
            {
                sender.held_by = None;
                queue(&mut self.ready, key, sender);
                if let Phase::Open { conn: from, .. } = sender.phase {
                    let _done = self.relay.handle(now, Input::Unblocked { from });
                }
            }
        }
    }

    /// Reads again from this sender.
    pub(super) fn release(&mut self, key: Key) {
        let Some(sender) = self.conns.get_mut(key) else { return };
        queue(&mut self.ready, key, sender);
        if let Some(receiver) = sender.held_by.take()
            && let Some(receiver) = self.conns.get_mut(receiver)
        {
            receiver.holds.retain(|&held| held != key);
        }
    }
}
