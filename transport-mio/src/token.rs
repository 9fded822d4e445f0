//! A token names one socket for ever: it is never confused with the socket that later takes the same place.
//!
//! mio hands a number back with each event, and an event may lie in the queue while its socket ends and another begins. So the number
//! is a place in a table and how often that place has been used, and a number that is out of date finds nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mio::Token;
use phantom_core::id::ConnId;

/// What wakes the loop from another thread.
pub(crate) const WAKER: Token = Token(usize::MAX);

const HALF: u32 = usize::BITS / 2;
const LOW: usize = (1 << HALF) - 1;

/// The token of the listener with this number. These and [`WAKER`] are the highest numbers there are, far above any place.
pub(crate) const fn listener(number: usize) -> Token {
    Token(usize::MAX - 1 - number)
}

/// Names one socket: the lower half is its place, the upper half how often that place has been used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key(usize);

impl Key {
    /// Not above any other key.
    pub(crate) const FIRST: Self = Self(0);

    const fn new(place: usize, generation: usize) -> Self {
        Self((generation & LOW) << HALF | place)
    }

    const fn place(self) -> usize {
        self.0 & LOW
    }
}

impl From<Key> for Token {
    fn from(key: Key) -> Self {
        Self(key.0)
    }
}

impl From<Token> for Key {
    fn from(token: Token) -> Self {
        Self(token.0)
    }
}

struct Place<T> {
    key: Key,
    value: Option<T>,
}

/// The table of all sockets. When it has become nearly empty, it gives its memory back: the lowest free place is taken first, and a place
/// that comes back later begins where the last one that was given up had ended.
pub(crate) struct Slots<T> {
    places: Vec<Place<T>>,
    /// Free places; and some that have been given up, which are skipped.
    free: BinaryHeap<Reverse<usize>>,
    len: usize,
    /// No place that was given up has been used so often.
    unused: usize,
}

/// A table of so many places is no burden.
const SMALL: usize = 64;
/// One that uses less than one place in so many is.
const SPARSE: usize = 4;

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: BinaryHeap::new(), len: 0, unused: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if let Some(Reverse(at)) = self.free.pop() {
            if let Some(place) = self.places.get_mut(at) {
                place.value = Some(value);
                return place.key;
            }
            // The lowest was given up, and so were all others.
            self.free.clear();
        }
        let key = Key::new(self.places.len(), self.unused);
        self.places.push(Place { key, value: Some(value) });
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.place()).filter(|place| place.key == key)?;
        let value = place.value.take()?;
        place.key = Key::new(key.place(), (key.0 >> HALF) + 1);
        self.free.push(Reverse(key.place()));
        self.len -= 1;
        if self.places.len() > SMALL && self.len < self.places.len() / SPARSE {
            self.give_up();
        }
        Some(value)
    }

    /// Gives up the free places at the end.
    fn give_up(&mut self) {
        while self.places.len() > SMALL
            && let Some(place) = self.places.pop_if(|place| place.value.is_none())
        {
            self.unused = self.unused.max(place.key.0 >> HALF);
        }
        if self.places.len() < self.places.capacity() / SPARSE {
            self.places.shrink_to(2 * self.places.len());
            self.free.retain(|&Reverse(at)| at < self.places.len());
            self.free.shrink_to(2 * self.places.len());
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.place())?;
        if place.key == key { place.value.as_mut() } else { None }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| place.value.as_ref())
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().filter_map(|place| Some((place.key, place.value.as_ref()?)))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.places.iter().filter(|place| place.value.is_some()).map(|place| place.key)
    }
}

/// Which socket a connection of the relay machine is on.
#[derive(Default)]
pub(crate) struct Links {
    links: Vec<Option<(ConnId, Key)>>,
}

impl Links {
    pub(crate) fn insert(&mut self, conn: ConnId, key: Key) {
        if self.links.len() <= conn.index() {
            self.links.resize(conn.index() + 1, None);
        }
        self.links[conn.index()] = Some((conn, key));
    }

    pub(crate) fn remove(&mut self, conn: ConnId) {
        if self.key(conn).is_some() {
            self.links[conn.index()] = None;
            while self.links.pop_if(|link| link.is_none()).is_some() {}
            if self.links.capacity() > SMALL && self.links.len() < self.links.capacity() / SPARSE {
                self.links.shrink_to(2 * self.links.len());
            }
        }
    }

    pub(crate) fn key(&self, conn: ConnId) -> Option<Key> {
        let &(held, key) = self.links.get(conn.index())?.as_ref()?;
        (held == conn).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_outlives_its_socket_harmlessly() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        let stale: Token = first.into();
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b');
        assert_eq!(first.place(), second.place());
        assert_eq!(slots.get_mut(stale.into()), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut 'b'));
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.keys().collect::<Vec<_>>(), [second]);
    }

    #[test]
    fn a_table_that_was_large_gives_its_memory_back_and_no_token_comes_twice() {
        let mut slots = Slots::new();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let keys: Vec<_> = (0..10_000).map(|n| slots.insert(n)).collect();
            assert!(keys.iter().all(|&key| seen.insert(key)));
            keys.iter().for_each(|&key| assert!(slots.remove(key).is_some()));
            assert!(keys.iter().all(|&key| slots.get_mut(key).is_none()));
            assert_eq!(slots.len(), 0);
            assert!(slots.places.capacity() <= 4 * SMALL && slots.free.capacity() <= 4 * SMALL);
        }
        let mut links = Links::default();
        let mut relay = phantom_core::relay::Relay::new(
            phantom_core::relay::RelayConfig::new(phantom_core::relay::RelaySecret::new(1, [1; 32]), 0),
            [1; 32],
        );
        let key = slots.insert(0);
        let open =
            |_| relay.open(phantom_core::time::Instant::ZERO, phantom_core::relay::Source::Unknown).unwrap();
        let conns: Vec<_> = (0..10_000).map(open).collect();
        conns.iter().for_each(|&conn| links.insert(conn, key));
        conns[1..].iter().for_each(|&conn| links.remove(conn));
        assert_eq!((links.key(conns[0]), links.links.capacity() <= 4 * SMALL), (Some(key), true));
    }

    #[test]
    fn the_tokens_of_the_loop_name_no_socket() {
        let mut slots = Slots::new();
        slots.insert(());
        for token in [WAKER, listener(0), listener(7)] {
            assert_eq!(slots.get_mut(token.into()), None);
        }
    }
}
