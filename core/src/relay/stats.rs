//! What the relay has counted. Numbers only: no ID, no key, no address.

use alloc::collections::BTreeMap;

use crate::wire::{Answer, CloseCode};

/// Counters since the relay was made, and two figures of now.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct RelayStats {
    /// Channels open now.
    pub channels: u64,
    /// Connections open now.
    pub connections: u64,
    /// FORWARD frames passed on.
    pub frames_forwarded: u64,
    /// Their bytes, headers included.
    pub bytes_forwarded: u64,
    /// FORWARD frames for a channel that was no longer there.
    pub frames_dropped: u64,
    /// What became of requests, by answer. What both sides are told is counted once.
    pub answers: BTreeMap<Answer, u64>,
    /// Connections that this relay ended, by code.
    pub closed: BTreeMap<CloseCode, u64>,
}

impl RelayStats {
    pub(super) fn count_answer(&mut self, answer: Answer) {
        *self.answers.entry(answer).or_default() += 1;
    }

    pub(super) fn count_close(&mut self, code: CloseCode) {
        *self.closed.entry(code).or_default() += 1;
    }
}
