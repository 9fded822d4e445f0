//! A token names one socket for ever: it is never confused with the socket that later takes the same place.
//!
//! mio hands a number back with each event, and an event may lie in the queue while its socket ends and another begins. So the number
//! is a place in a table and how often that place has been used, and a number that is out of date finds nothing.

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

/// The table of all sockets.
pub(crate) struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        if let Some(at) = self.free.pop() {
            let place = &mut self.places[at];
            place.value = Some(value);
            return place.key;
        }
        let key = Key::new(self.places.len(), 0);
        self.places.push(Place { key, value: Some(value) });
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.place()).filter(|place| place.key == key)?;
        let value = place.value.take()?;
        place.key = Key::new(key.place(), (key.0 >> HALF) + 1);
        self.free.push(key.place());
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.place())?;
        if place.key == key { place.value.as_mut() } else { None }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
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
    fn the_tokens_of_the_loop_name_no_socket() {
        let mut slots = Slots::new();
        slots.insert(());
        for token in [WAKER, listener(0), listener(7)] {
            assert_eq!(slots.get_mut(token.into()), None);
        }
    }
}
