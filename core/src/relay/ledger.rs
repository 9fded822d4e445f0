//! A bounded table of accounts, each forgotten as soon as there is nothing to remember of it.

use alloc::collections::{BTreeMap, BTreeSet};
use core::iter;

use crate::time::Instant;

/// Accounts forgotten in one go, at most: a crowd that comes due at once is no pause for everybody else.
const RELEASED_AT_ONCE: usize = 64;

/// What is remembered under a key. A default one says nothing, and is what a key without an entry has.
pub(super) trait Account: Default {
    /// After which moment it says nothing. None while that cannot be told: something it counts is still going on.
    fn whole_at(&self) -> Option<Instant>;
}

pub(super) struct Ledger<K, A> {
    entries: BTreeMap<K, Entry<A>>,
    /// The entries that will have nothing to say, by the moment of it.
    due: BTreeSet<(Instant, K)>,
}

struct Entry<A> {
    account: A,
    due: Option<Instant>,
}

impl<K: Ord + Copy, A: Account> Ledger<K, A> {
    pub(super) const fn new() -> Self {
        Self { entries: BTreeMap::new(), due: BTreeSet::new() }
    }

    pub(super) fn get(&self, key: K) -> Option<&A> {
        self.entries.get(&key).map(|entry| &entry.account)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all of these have an entry, or have one now: none gets one if there is no room for all of them beside those that have
    /// something to say.
    pub(super) fn enter<I>(&mut self, now: Instant, keys: I, max: usize) -> bool
    where
        I: Iterator<Item = K> + Clone,
    {
        if keys.clone().all(|key| self.entries.contains_key(&key)) {
            return true;
        }
        self.release(now);
        let missing = keys.clone().filter(|key| !self.entries.contains_key(key)).count();
        if self.entries.len() + missing > max {
            return false;
        }
        for key in keys {
            if !self.entries.contains_key(&key) {
                self.insert(now, key);
            }
        }
        true
    }

    /// As [`enter`](Self::enter) with one key, but the entry that would have been forgotten first is forgotten early if there is no room.
    pub(super) fn enter_in_place_of_another(&mut self, now: Instant, key: K, max: usize) -> bool {
        if self.enter(now, iter::once(key), max) {
            return true;
        }
        let Some((_, oldest)) = (if max > 0 { self.due.pop_first() } else { None }) else { return false };
        self.entries.remove(&oldest);
        self.insert(now, key);
        true
    }

    fn insert(&mut self, now: Instant, key: K) {
        self.entries.insert(key, Entry { account: A::default(), due: Some(now) });
        self.due.insert((now, key));
    }

    /// Changes the entry of `key`, if there is one.
    pub(super) fn change<R>(&mut self, key: K, change: impl FnOnce(&mut A) -> R) -> Option<R> {
        let entry = self.entries.get_mut(&key)?;
        let result = change(&mut entry.account);
        let (before, after) = (entry.due, entry.account.whole_at());
        if before != after {
            entry.due = after;
            before.map(|at| self.due.remove(&(at, key)));
            after.map(|at| self.due.insert((at, key)));
        }
        Some(result)
    }

    /// Forgets entries that have nothing to say any more.
    pub(super) fn release(&mut self, now: Instant) {
        for _ in 0..RELEASED_AT_ONCE {
            let Some(&(at, key)) = self.due.first().filter(|&&(at, _)| at < now) else { break };
            self.due.remove(&(at, key));
            self.entries.remove(&key);
        }
    }

    /// Each entry is listed by the moment of its end, and no other is. Then all accounts.
    #[cfg(test)]
    pub(super) fn check(&self) -> impl Iterator<Item = &A> {
        for (key, entry) in &self.entries {
            assert!(entry.due.is_none_or(|at| self.due.contains(&(at, *key))));
        }
        assert_eq!(self.due.len(), self.entries.values().filter(|entry| entry.due.is_some()).count());
        self.entries.values().map(|entry| &entry.account)
    }

    /// The memory it takes, an upper estimate.
    pub(super) fn memory(&self) -> usize {
        use super::memory::tree;
        tree::<(K, Entry<A>)>(self.entries.len()) + tree::<(Instant, K)>(self.due.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    /// Says something until a moment, or without end.
    #[derive(Default)]
    struct Until(Option<Instant>, bool);

    impl Account for Until {
        fn whole_at(&self) -> Option<Instant> {
            if self.1 { None } else { Some(self.0.unwrap_or(Instant::ZERO)) }
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn enter(ledger: &mut Ledger<u32, Until>, now: u64, key: u32, until: u64) -> bool {
        let entered = ledger.enter(at(now), iter::once(key), 2);
        ledger.change(key, |entry| entry.0 = Some(at(until)));
        assert!(ledger.due.len() <= ledger.entries.len() && ledger.entries.len() <= 2);
        entered
    }

    #[test]
    fn what_has_something_to_say_is_kept_and_the_rest_makes_room() {
        let mut ledger = Ledger::new();
        assert!(enter(&mut ledger, 0, 1, 10) && enter(&mut ledger, 0, 2, 20));
        assert!(!enter(&mut ledger, 9, 3, 30) && ledger.get(3).is_none());
        assert!(enter(&mut ledger, 9, 1, 15), "who is there, is there");
        assert!(!enter(&mut ledger, 15, 3, 30), "it has something to say for longer now");
        assert!(enter(&mut ledger, 16, 3, 30) && ledger.get(1).is_none());
    }

    #[test]
    fn those_who_come_together_all_have_a_place_or_none() {
        let mut ledger = Ledger::<u32, Until>::new();
        assert!(enter(&mut ledger, 0, 1, 10));
        assert!(!ledger.enter(at(9), [2, 3].into_iter(), 2) && ledger.len() == 1);
        assert!(
            !ledger.enter(at(11), [1, 2, 3].into_iter(), 2),
            "who says nothing takes no place, and has none"
        );
        assert!(ledger.enter(at(11), [2, 3].into_iter(), 2) && ledger.len() == 2);
        assert!(ledger.enter(at(11), [3, 2].into_iter(), 0), "who is there, is there");
    }

    #[test]
    fn where_there_is_no_place_at_all_nobody_makes_room() {
        let mut ledger = Ledger::new();
        enter(&mut ledger, 0, 1, 10);
        assert!(!ledger.enter_in_place_of_another(at(1), 2, 0));
        assert!(ledger.enter_in_place_of_another(at(1), 3, 1) && ledger.len() == 1);
    }

    #[test]
    fn what_goes_on_is_kept_until_it_is_over() {
        let mut ledger = Ledger::new();
        enter(&mut ledger, 0, 1, 10);
        ledger.change(1, |entry| entry.1 = true);
        assert!(enter(&mut ledger, 0, 2, 1000));
        assert!(!enter(&mut ledger, 999, 3, 1000));
        ledger.change(1, |entry| entry.1 = false);
        assert!(enter(&mut ledger, 999, 3, 1000));
        assert!(ledger.change(1, |_| ()).is_none());
    }

    #[test]
    fn the_first_to_be_forgotten_yields_but_never_what_goes_on() {
        let mut ledger = Ledger::new();
        enter(&mut ledger, 0, 1, 20);
        enter(&mut ledger, 0, 2, 10);
        assert!(ledger.enter_in_place_of_another(at(1), 3, 2));
        assert!(ledger.get(1).is_some() && ledger.get(2).is_none());
        ledger.change(1, |entry| entry.1 = true);
        ledger.change(3, |entry| entry.1 = true);
        assert!(!ledger.enter_in_place_of_another(at(1), 4, 2));
        assert!(!Ledger::<u32, Until>::new().enter_in_place_of_another(at(1), 4, 0));
    }

    #[test]
    fn a_crowd_is_forgotten_a_part_at_a_time() {
        let mut ledger = Ledger::<u32, Until>::new();
        for key in 0..1000 {
            assert!(ledger.enter(at(0), iter::once(key), 1000));
        }
        ledger.release(at(1));
        assert_eq!(ledger.len(), 1000 - RELEASED_AT_ONCE);
        assert!(ledger.enter(at(1), iter::once(2000), 1000));
    }
}
