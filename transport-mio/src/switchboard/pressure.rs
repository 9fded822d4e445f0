//! Full receivers and a full budget: who is held up, for how long, who is freed, and who is given up.
//!
//! A receiver whose outbox is full holds whoever sends to it: that sender is not read until the outbox is low again, or the machine has
//! ended the channel. A receiver that takes nothing for too long is closed.

use std::mem;

use phantom_core::relay::Input;
use phantom_core::time::Instant;
use phantom_core::wire::CloseCode;

use super::{Switchboard, queue};
use crate::conn::{Phase, Sent};
use crate::timers::Wait;
use crate::token::Key;

/// Connections given up before the next search for the greediest address, which looks at every connection.
const SHED_AT_ONCE: usize = 16;

impl Switchboard {
    /// Writes to everybody for whom something waits.
    pub(super) fn settle(&mut self, now: Instant) {
        // In the order in which they came to have something: an answer never waits for what else came of the question.
        let mut at = 0;
        while let Some(&key) = self.dirty.get(at) {
            at += 1;
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.dirty = false;
            let waiting = conn.outbox.len();
            let sent = conn.send(now);
            self.stats.bytes_sent += (waiting - conn.outbox.len()) as u64;
            match (sent, &conn.phase) {
                (Sent::Dead, _) => {
                    self.lose(now, key);
                    continue;
                }
                (Sent::All, &Phase::Closing { theirs: true, .. }) => {
                    conn.shut();
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
            self.account(key);
            if let Some(conn) = self.conns.get_mut(key)
                && !conn.holds.is_empty()
            {
                let share = self.budget.outbox_max(self.addresses.memory(conn.home()));
                if conn.outbox.data_bytes() <= self.limits.outbox_bytes_low.min(share / 4 * 3) {
                    self.release_senders(now, key);
                }
            }
        }
        self.dirty.clear();
    }

    /// Charges a connection with what it holds now, and its address with what the machine holds for it besides, which counts in the
    /// budget as the machine's.
    pub(super) fn account(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            let share = match conn.phase {
                Phase::Open { conn, .. } => self.relay.memory_of(conn),
                Phase::Handshaking(_) | Phase::Closing { .. } => 0,
            };
            let (before, after) = (conn.charged, conn.memory());
            self.addresses.charge(conn.home(), before + conn.share, after + share);
            self.budget.charge(before, after);
            (conn.charged, conn.share) = (after, share);
        }
    }

    /// Gives up the largest connections of the address for which most is held, as long as too much is held in all.
    pub(super) fn shed(&mut self, now: Instant) {
        while self.budget.sheds() {
            let Some(home) = self.addresses.greediest() else { return };
            let theirs = self.conns.entries().filter(|(_, conn)| conn.home() == home);
            let mut theirs: Vec<_> = theirs.map(|(key, conn)| (conn.charged + conn.share, key)).collect();
            theirs.sort_unstable();
            for (_, key) in theirs.into_iter().rev().take(SHED_AT_ONCE) {
                if self.budget.sheds() {
                    self.stats.shed += 1;
                    self.give_up(now, key);
                    // What the machine held for it is free as well, and nobody else is to suffer for that.
                    self.weigh_tables();
                }
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
                queue(&mut self.addresses, key, sender);
                if let Phase::Open { conn: from, .. } = sender.phase {
                    let _done = self.relay.handle(now, Input::Unblocked { from });
                }
            }
        }
    }

    /// Reads again from this sender.
    pub(super) fn release(&mut self, key: Key) {
        let Some(sender) = self.conns.get_mut(key) else { return };
        queue(&mut self.addresses, key, sender);
        if let Some(receiver) = sender.held_by.take()
            && let Some(receiver) = self.conns.get_mut(receiver)
        {
            receiver.holds.retain(|&held| held != key);
        }
    }
}
