//! What a channel has come to: whether it is secured, how far it has delivered, how it ended.

use std::collections::VecDeque;

use phantom_core::client::{End, Fate};
use phantom_core::time::Duration;
use tokio::time::Instant;

use crate::{ChannelError, ChannelState};

/// States that wait for [`Channel::next_state`](crate::Channel::next_state); the oldest give way.
const STATES_MAX: usize = 64;

/// How long packets take. One is measured at a time: the first that is taken after the last was measured.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// The packet that is measured, and when it was taken.
    pub(super) measured: Option<(u64, Instant)>,
    pub(super) latest: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) secured: bool,
    pub(super) verifier: Option<[u8; 16]>,
    /// What keeps the channel from being secured, until it has been told or something is done about it.
    pub(super) trouble: Option<ChannelError>,
    /// The other side has all packets up to this number.
    pub(super) delivered: u64,
    pub(super) end: Option<(End, Fate)>,
    pub(super) interruptions: u64,
    pub(super) delivery: Delivery,
    pub(super) over_at: Option<Instant>,
    pub(super) states: VecDeque<ChannelState>,
    /// The end has been told by `next_state`.
    pub(super) told_end: bool,
}

impl Status {
    /// Whether the other side has packet `number`; nothing if it may yet get it.
    pub(super) fn delivered(&self, number: u64) -> Option<Result<(), ChannelError>> {
        match self.end {
            _ if self.delivered >= number => Some(Ok(())),
            Some((end, fate)) => Some(Err(ChannelError::Ended { end, fate })),
            None => None,
        }
    }

    pub(super) fn push(&mut self, state: ChannelState) {
        if self.states.len() == STATES_MAX {
            self.states.pop_front();
        }
        self.states.push_back(state);
    }
}
