//! What the relay has counted. Numbers only: no ID, no key, no address.

use alloc::collections::BTreeMap;

use crate::wire::{Answer, CloseCode};

/// Counters since the relay was made, and figures of now.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct RelayStats {
    /// Channels open now.
    pub channels: u64,
    /// Connections open now.
    pub connections: u64,
    /// Connections that have an ID now.
    pub peers: u64,
    /// Requests that wait now.
    pub requests: u64,
    /// Rendezvous values that somebody waits at now.
    pub rejoins: u64,
    /// IDs kept back now.
    pub retired: u64,
    /// Sources remembered now, an IPv6 /48 beside its /64s.
    pub sources: u64,
    /// Pairs of a source and an ID remembered now.
    pub pairs: u64,
    /// FORWARD frames passed on.
    pub frames_forwarded: u64,
    /// Their bytes, headers included.
    pub bytes_forwarded: u64,
    /// FORWARD frames for a channel that was no longer there.
    pub frames_dropped: u64,
    /// Requests that waited without their source being told anything but consent.
    pub blind: u64,
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
