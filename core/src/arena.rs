//! A table whose keys are never mistaken for one another: one array look-up to read, and a key outlives its entry harmlessly.

use alloc::vec::Vec;

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
    free: Vec<u32>,
    len: usize,
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.value = Some(value);
            return Key { index, generation: place.generation };
        }
        let index =
            u32::try_from(self.places.len()).expect("the embedder's limits keep a table below 2^32 entries");
        self.places.push(Place { generation: 0, value: Some(value) });
        Key { index, generation: 0 }
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
            self.free.push(key.index);
        }
        Some(value)
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
    pub(crate) const fn memory(&self) -> usize {
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
