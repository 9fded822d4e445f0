//! One deadline per socket, kept in order.

use std::collections::BTreeSet;

use phantom_core::time::Instant;

use crate::token::Key;

/// What a socket is waited for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Wait {
    /// The WebSocket handshake must be complete.
    Handshake,
    /// What waits to be sent must make progress.
    Stall,
    /// It may be read again.
    Rest,
    /// The peer may still take the close frame and close its side.
    Linger,
}

impl Wait {
    const ALL: [Self; 4] = [Self::Handshake, Self::Stall, Self::Rest, Self::Linger];
}

/// A deadline, as the socket it belongs to keeps it.
pub(crate) type Timer = (Wait, Instant);

/// All deadlines: by kind, then by time, so that the longest waiting handshake is found at once.
#[derive(Default)]
pub(crate) struct Timers {
    ordered: BTreeSet<(Wait, Instant, Key)>,
    counts: [usize; Wait::ALL.len()],
}

impl Timers {
    /// Replaces the deadline of a socket, which stands in `slot`.
    pub(crate) fn set(&mut self, key: Key, slot: &mut Option<Timer>, timer: Option<Timer>) {
        if let Some((wait, at)) = slot.take() {
            self.ordered.remove(&(wait, at, key));
            self.counts[wait as usize] -= 1;
        }
        if let Some((wait, at)) = timer {
            self.ordered.insert((wait, at, key));
            self.counts[wait as usize] += 1;
        }
        *slot = timer;
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        Wait::ALL.into_iter().filter_map(|wait| self.first(wait)).map(|(at, _)| at).min()
    }

    /// A socket whose deadline has passed.
    pub(crate) fn due(&self, now: Instant) -> Option<(Wait, Key)> {
        Wait::ALL.into_iter().find_map(|wait| {
            let (at, key) = self.first(wait)?;
            (at <= now).then_some((wait, key))
        })
    }

    /// Sockets that are waited for in this way.
    pub(crate) fn count(&self, wait: Wait) -> usize {
        self.counts[wait as usize]
    }

    /// The earliest deadline of a kind.
    pub(crate) fn first(&self, wait: Wait) -> Option<(Instant, Key)> {
        let &(found, at, key) = self.ordered.range((wait, Instant::ZERO, Key::FIRST)..).next()?;
        (found == wait).then_some((at, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Slots;

    #[test]
    fn the_earliest_of_every_kind_is_found_and_replaced() {
        let mut slots = Slots::new();
        let (a, b) = (slots.insert(()), slots.insert(()));
        let (mut slot_a, mut slot_b) = (None, None);
        let mut timers = Timers::default();
        let at = Instant::from_micros;
        timers.set(a, &mut slot_a, Some((Wait::Handshake, at(50))));
        timers.set(b, &mut slot_b, Some((Wait::Linger, at(20))));
        assert_eq!((timers.next(), timers.due(at(19))), (Some(at(20)), None));
        assert_eq!(timers.due(at(20)), Some((Wait::Linger, b)));
        timers.set(b, &mut slot_b, None);
        timers.set(a, &mut slot_a, Some((Wait::Stall, at(70))));
        assert_eq!((timers.next(), timers.first(Wait::Handshake)), (Some(at(70)), None));
        assert_eq!(timers.due(at(70)), Some((Wait::Stall, a)));
    }
}
