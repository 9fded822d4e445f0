//! A table whose keys are never mistaken for one another: one array look-up to read, and a key outlives its entry harmlessly.
//!
//! A table that has become nearly empty gives its memory back. So that it can, the lowest free place is taken first; and a place that
//! comes back later begins where the last one that was given up had ended, so that its keys are new ones.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Names an entry: its place, and how often that place has been used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

struct Place<T> {
    generation: u32,
    value: Option<T>,
}

pub(crate) struct Arena<T> {
    places: Vec<Place<T>>,
    /// Free places; and some that have been given up, which are skipped.
    free: BinaryHeap<Reverse<u32>>,
    len: usize,
    /// No place that was given up has been used so often.
    unused: u32,
}

/// A table of so many places is no burden.
const SMALL: usize = 64;
/// One that uses less than one place in so many is.
const SPARSE: usize = 4;

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: BinaryHeap::new(), len: 0, unused: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if let Some(Reverse(index)) = self.free.pop() {
            if let Some(place) = self.places.get_mut(index as usize) {
                place.value = Some(value);
                return Key { index, generation: place.generation };
            }
            // The lowest was given up, and so were all others.
            self.free.clear();
        }
        let index =
            u32::try_from(self.places.len()).expect("the embedder's limits keep a table below 2^32 entries");
        let generation = self.unused;
        self.places.push(Place { generation, value: Some(value) });
        Key { index, generation }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.index())?;
        if place.generation != key.generation {
            return None;
        }
        let value = place.value.take()?;
        self.len -= 1;
        // A place whose numbers are used up stays empty: better one place less in 2^32 uses than one key twice.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(Reverse(key.index));
        }
        if self.places.len() > SMALL && self.len < self.places.len() / SPARSE {
            self.give_up();
        }
        Some(value)
    }

    /// Gives up the free places at the end. Each was made once, and what is moved is no more than was given up.
    fn give_up(&mut self) {
        while self.places.len() > SMALL
            && let Some(place) =
                self.places.pop_if(|place| place.value.is_none() && place.generation < u32::MAX)
        {
            self.unused = self.unused.max(place.generation);
        }
        if self.places.len() < self.places.capacity() / SPARSE {
            self.places.shrink_to(2 * self.places.len());
            self.free.retain(|&Reverse(index)| (index as usize) < self.places.len());
            self.free.shrink_to(2 * self.places.len());
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.index())?;
        if place.generation == key.generation { place.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index())?;
        if place.generation == key.generation { place.value.as_mut() } else { None }
    }

    /// Entries now present.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.places.capacity() * size_of::<Place<T>>() + self.free.capacity() * size_of::<u32>()
    }

    /// Keys of all entries, in the order of their places.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        (0..)
            .zip(&self.places)
            .filter(|(_, p)| p.value.is_some())
            .map(|(index, p)| Key { index, generation: p.generation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_entry_harmlessly() {
        let mut arena = Arena::new();
        let first = arena.insert('a');
        assert_eq!(arena.remove(first), Some('a'));
        let second = arena.insert('b');
        assert_eq!(first.index(), second.index());
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!((arena.get(second), arena.len()), (Some(&'b'), 1));
        assert_eq!(arena.keys().collect::<Vec<_>>(), [second]);
    }

    #[test]
    fn a_table_that_was_large_gives_its_memory_back_and_no_key_comes_twice() {
        let mut arena = Arena::new();
        let mut seen = alloc::collections::BTreeSet::new();
        for round in 0..3 {
            let keys: Vec<_> = (0..10_000).map(|n| arena.insert(n)).collect();
            assert!(keys.iter().all(|&key| seen.insert(key)), "round {round}");
            let full = arena.memory();
            let stays = arena.insert(10_000);
            assert!(seen.insert(stays));
            // In an order that leaves holes.
            for &key in keys.iter().step_by(2).chain(keys.iter().skip(1).step_by(2)) {
                assert!(arena.remove(key).is_some());
            }
            assert!(keys.iter().all(|&key| arena.get(key).is_none()));
            // The last place is taken, and so nothing can be given up.
            assert_eq!((arena.get(stays), arena.len(), arena.memory() >= full), (Some(&10_000), 1, true));
            assert_eq!(arena.insert(1).index(), 0);
            assert!(seen.insert(arena.keys().next().unwrap()));
            arena.remove(stays);
            assert!(arena.memory() < full / 20, "{} of {full}", arena.memory());
            let last = arena.keys().next().unwrap();
            assert_eq!(arena.remove(last), Some(1));
        }
    }

    /// Whoever comes and goes at the edge of a table pays no more for it than elsewhere.
    #[test]
    fn the_free_places_are_never_more_than_there_were() {
        let mut arena = Arena::new();
        for _ in 0..20 {
            let keys: Vec<_> = (0..1000).map(|n| arena.insert(n)).collect();
            assert!(keys.iter().rev().all(|&key| arena.remove(key).is_some()));
            assert!(arena.free.len() <= 1000, "{}", arena.free.len());
        }
    }

    #[test]
    fn a_place_used_as_often_as_can_be_counted_is_not_used_again() {
        let mut arena = Arena::new();
        let key = arena.insert('a');
        arena.places[0].generation = u32::MAX;
        let last = Key { generation: u32::MAX, ..key };
        assert_eq!((arena.remove(last), arena.len()), (Some('a'), 0));
        assert_eq!(arena.remove(last), None);
        let next = arena.insert('b');
        assert_ne!(next.index(), key.index());
        assert_eq!((arena.get(key), arena.get(last), arena.len()), (None, None, 1));
    }
}
