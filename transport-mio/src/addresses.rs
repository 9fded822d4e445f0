//! Who shares an address shares its turns and its memory: a client with many connections gets no more of the relay than one with one.
//! What counts as one address is the relay machine's to say ([`SourceGroup`]).

use std::collections::{BTreeMap, VecDeque};

use phantom_core::relay::SourceGroup;

use crate::token::Key;

/// Addresses in the queue that there is always room for.
const ORDER_MAX: usize = 1024;

/// What the connections of one address have together.
#[derive(Default)]
struct Entry {
    connections: usize,
    /// Bytes of memory held for them.
    memory: usize,
    /// Those that wait for a turn, in order.
    ready: VecDeque<Key>,
}

/// All addresses that have connections.
#[derive(Default)]
pub(crate) struct Addresses {
    entries: BTreeMap<SourceGroup, Entry>,
    /// Connections of each IPv6 /48.
    sites: BTreeMap<SourceGroup, usize>,
    /// Addresses with connections that wait for a turn, in the order of their turns.
    order: VecDeque<SourceGroup>,
}

impl Addresses {
    /// A connection has come.
    pub(crate) fn enter(&mut self, home: SourceGroup) {
        self.entries.entry(home).or_default().connections += 1;
        if let Some(site) = home.site() {
            *self.sites.entry(site).or_default() += 1;
        }
    }

    /// A connection is gone; nothing is held for it any more.
    pub(crate) fn leave(&mut self, home: SourceGroup) {
        if let Some(entry) = self.entries.get_mut(&home) {
            entry.connections -= 1;
            if entry.connections == 0 {
                self.entries.remove(&home);
            }
        }
        if let Some(site) = home.site()
            && let Some(connections) = self.sites.get_mut(&site)
        {
            *connections -= 1;
            if *connections == 0 {
                self.sites.remove(&site);
            }
        }
    }

    /// Connections from the same IPv6 /48.
    pub(crate) fn connections_of_site(&self, home: SourceGroup) -> usize {
        home.site().and_then(|site| self.sites.get(&site)).copied().unwrap_or(0)
    }

    /// Connections from there.
    pub(crate) fn connections(&self, home: SourceGroup) -> usize {
        self.entries.get(&home).map_or(0, |entry| entry.connections)
    }

    /// What is held for one of its connections has changed.
    pub(crate) fn charge(&mut self, home: SourceGroup, before: usize, after: usize) {
        if let Some(entry) = self.entries.get_mut(&home) {
            entry.memory = entry.memory + after - before;
        }
    }

    /// Bytes held for all of its connections.
    pub(crate) fn memory(&self, home: SourceGroup) -> usize {
        self.entries.get(&home).map_or(0, |entry| entry.memory)
    }

    /// The address for which most is held.
    pub(crate) fn greediest(&self) -> Option<SourceGroup> {
        self.entries.iter().max_by_key(|(_, entry)| entry.memory).map(|(&home, _)| home)
    }

    /// Addresses that have connections.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A connection waits for a turn.
    pub(crate) fn queue(&mut self, home: SourceGroup, key: Key) {
        let Some(entry) = self.entries.get_mut(&home) else { return };
        if entry.ready.is_empty() {
            self.order.push_back(home);
        }
        entry.ready.push_back(key);
    }

    /// Whose turn it is: one connection of each address, then one of each again.
    pub(crate) fn next(&mut self) -> Option<Key> {
        loop {
            let Some(home) = self.order.pop_front() else {
                if self.order.capacity() > ORDER_MAX {
                    self.order = VecDeque::new();
                }
                return None;
            };
            let Some(entry) = self.entries.get_mut(&home) else { continue };
            let key = entry.ready.pop_front();
            if entry.ready.is_empty() {
                entry.ready = VecDeque::new();
            } else {
                self.order.push_back(home);
            }
            if key.is_some() {
                return key;
            }
        }
    }

    /// Addresses with connections that wait for a turn.
    pub(crate) fn waiting(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use phantom_core::relay::Source;

    use super::*;
    use crate::token::Slots;

    fn home(text: &str) -> SourceGroup {
        Source::Address(text.parse().unwrap()).group()
    }

    #[test]
    fn turns_go_round_the_addresses() {
        let (mut slots, mut addresses) = (Slots::new(), Addresses::default());
        let [crowd, single] = [home("192.0.2.1"), home("192.0.2.2")];
        let keys: Vec<_> = (0..5).map(|_| slots.insert(())).collect();
        for &key in &keys[..4] {
            addresses.enter(crowd);
            addresses.queue(crowd, key);
        }
        addresses.enter(single);
        addresses.queue(single, keys[4]);
        assert_eq!(addresses.waiting(), 2);
        let turns: Vec<_> = std::iter::from_fn(|| addresses.next()).collect();
        assert_eq!(turns, [0, 4, 1, 2, 3].map(|n| keys[n]));
        assert_eq!((addresses.waiting(), addresses.next()), (0, None));
    }

    #[test]
    fn what_is_held_counts_for_the_address() {
        let mut addresses = Addresses::default();
        let [a, b] = [home("192.0.2.1"), home("192.0.2.2")];
        addresses.enter(a);
        addresses.enter(b);
        addresses.enter(b);
        addresses.charge(a, 0, 1000);
        addresses.charge(b, 0, 600);
        addresses.charge(b, 0, 600);
        assert_eq!((addresses.greediest(), addresses.memory(b)), (Some(b), 1200));
        addresses.charge(b, 600, 0);
        addresses.leave(b);
        assert_eq!((addresses.greediest(), addresses.memory(b), addresses.len()), (Some(a), 600, 2));
        addresses.charge(b, 600, 0);
        addresses.leave(b);
        assert_eq!((addresses.memory(b), addresses.len()), (0, 1));
    }
}
