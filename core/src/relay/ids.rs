//! Who holds which ID: drawn at random, never one in use or lately used.
//!
//! The one place that answers "who holds this ID".

use alloc::collections::VecDeque;
use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use super::RelayLimits;
use crate::id::{ConnId, PeerId};
use crate::rng::Rng;
use crate::time::Instant;

/// Draws before the space counts as exhausted. With half of all IDs in use, 64 misses in a row have probability 2^-64.
const DRAWS_MAX: usize = 64;

/// Spreads IDs over a table. They are drawn uniformly by this relay, so nobody can choose keys that collide.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type IdMap<V> = HashMap<PeerId, V, BuildHasherDefault<IdHasher>>;

pub(super) struct Ids {
    holders: IdMap<ConnId>,
    /// IDs given up, and until when they are kept back; the queue has them in the order of that time.
    retired: IdMap<Instant>,
    retirement: VecDeque<(Instant, PeerId)>,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { holders: IdMap::default(), retired: IdMap::default(), retirement: VecDeque::new() }
    }

    pub(super) fn holder(&self, id: PeerId) -> Option<ConnId> {
        self.holders.get(&id).copied()
    }

    /// IDs that somebody holds.
    pub(super) fn held(&self) -> usize {
        self.holders.len()
    }

    /// Gives a fresh ID to `conn`, or none if the space is exhausted.
    pub(super) fn assign(&mut self, now: Instant, conn: ConnId, rng: &mut Rng) -> Option<PeerId> {
        self.assign_drawn(now, conn, || PeerId::draw(rng))
    }

    fn assign_drawn(
        &mut self,
        now: Instant,
        conn: ConnId,
        mut draw: impl FnMut() -> PeerId,
    ) -> Option<PeerId> {
        self.release_retired(now);
        let id = (0..DRAWS_MAX)
            .map(|_| draw())
            .find(|id| !self.holders.contains_key(id) && !self.retired.contains_key(id))?;
        self.holders.insert(id, conn);
        Some(id)
    }

    /// Gives `id` back to `conn`, which has proved that it held it.
    pub(super) fn reclaim(&mut self, id: PeerId, conn: ConnId) {
        self.retired.remove(&id);
        self.holders.insert(id, conn);
    }

    /// Takes `id` from its holder and keeps it back for a while.
    pub(super) fn retire(&mut self, now: Instant, id: PeerId, limits: &RelayLimits) {
        self.holders.remove(&id);
        shrink(&mut self.holders);
        self.release_retired(now);
        if limits.retired_max == 0 {
            return;
        }
        while self.retirement.len() >= limits.retired_max {
            self.release_oldest();
        }
        let until = now + limits.retired_for;
        self.retired.insert(id, until);
        self.retirement.push_back((until, id));
    }

    /// IDs kept back.
    pub(super) fn retired(&self) -> usize {
        self.retired.len()
    }

    /// The memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.holders.allocation_size()
            + self.retired.allocation_size()
            + self.retirement.capacity() * size_of::<(Instant, PeerId)>()
    }

    /// Forgets those whose time is over.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.release_retired(now);
    }

    fn release_retired(&mut self, now: Instant) {
        while self.retirement.front().is_some_and(|&(until, _)| until <= now) {
            self.release_oldest();
        }
    }

    fn release_oldest(&mut self) {
        if let Some((until, id)) = self.retirement.pop_front() {
            // A later retirement of the same ID has an entry of its own.
            if self.retired.get(&id) == Some(&until) {
                self.retired.remove(&id);
            }
            if is_sparse(self.retirement.len(), self.retirement.capacity()) {
                self.retirement.shrink_to(2 * self.retirement.len());
            }
            shrink(&mut self.retired);
        }
    }
}

/// A table of so many places is no burden.
const SMALL: usize = 64;

/// Whether a table uses so little of its room that it should be given back; it then has twice what it uses.
const fn is_sparse(len: usize, room: usize) -> bool {
    room > SMALL && len < room / 8
}

fn shrink<V>(map: &mut IdMap<V>) {
    if is_sparse(map.len(), map.capacity()) {
        map.shrink_to(2 * map.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::time::Duration;

    fn id(text: &str) -> PeerId {
        text.parse().unwrap()
    }

    #[test]
    fn a_collision_is_drawn_again_and_an_exhausted_space_is_an_error() {
        let (mut ids, mut arena, now) = (Ids::new(), Arena::new(), Instant::ZERO);
        let conn = ConnId(arena.insert(()));
        let mut draws = ["AAAAAA", "AAAAAA", "BBBBBB"].into_iter().map(id);
        let mut draw = || draws.next().unwrap();
        assert_eq!(ids.assign_drawn(now, conn, &mut draw), Some(id("AAAAAA")));
        assert_eq!(ids.assign_drawn(now, conn, &mut draw), Some(id("BBBBBB")));
        let mut drawn = 0;
        assert_eq!(
            ids.assign_drawn(now, conn, || {
                drawn += 1;
                id("AAAAAA")
            }),
            None
        );
        assert_eq!(drawn, DRAWS_MAX);
    }

    #[test]
    fn an_id_given_up_is_kept_back_for_a_while() {
        let (mut ids, mut arena, limits) = (Ids::new(), Arena::new(), RelayLimits::default());
        let conn = ConnId(arena.insert(()));
        let start = Instant::ZERO;
        assert!(ids.assign_drawn(start, conn, || id("AAAAAA")).is_some());
        ids.retire(start, id("AAAAAA"), &limits);
        assert_eq!(ids.holder(id("AAAAAA")), None);
        let before = start + limits.retired_for - Duration::from_micros(1);
        assert_eq!(ids.assign_drawn(before, conn, || id("AAAAAA")), None);
        assert!(ids.assign_drawn(start + limits.retired_for, conn, || id("AAAAAA")).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut ids, limits) = (Ids::new(), RelayLimits { retired_max: 3, ..RelayLimits::default() });
        for text in ["AAAAAA", "BBBBBB", "CCCCCC", "DDDDDD"] {
            ids.retire(Instant::ZERO, id(text), &limits);
        }
        assert_eq!((ids.retired.len(), ids.retirement.len()), (3, 3));
        assert!(!ids.retired.contains_key(&id("AAAAAA")));
    }

    #[test]
    fn what_a_crowd_took_is_given_back() {
        let (mut ids, mut arena, limits) = (Ids::new(), Arena::new(), RelayLimits::default());
        let (conn, mut rng) = (ConnId(arena.insert(())), Rng::from_seed(&[1; 32]));
        let crowd: alloc::vec::Vec<_> =
            (0..10_000).filter_map(|_| ids.assign(Instant::ZERO, conn, &mut rng)).collect();
        let full = ids.memory();
        crowd.iter().for_each(|&id| ids.retire(Instant::ZERO, id, &limits));
        assert_eq!((ids.held(), ids.retired()), (0, 10_000));
        assert!(ids.holders.allocation_size() < full / 50);
        ids.tidy(Instant::ZERO + limits.retired_for);
        assert!(ids.memory() < full / 20, "{} of {full}", ids.memory());
    }

    #[test]
    fn a_second_retirement_outlasts_the_first() {
        let (mut ids, mut arena, limits) = (Ids::new(), Arena::new(), RelayLimits::default());
        let conn = ConnId(arena.insert(()));
        let second = Instant::ZERO + Duration::from_secs(300);
        ids.retire(Instant::ZERO, id("AAAAAA"), &limits);
        ids.reclaim(id("AAAAAA"), conn);
        ids.retire(second, id("AAAAAA"), &limits);
        assert_eq!(ids.assign_drawn(Instant::ZERO + limits.retired_for, conn, || id("AAAAAA")), None);
        assert!(ids.assign_drawn(second + limits.retired_for, conn, || id("AAAAAA")).is_some());
    }
}
