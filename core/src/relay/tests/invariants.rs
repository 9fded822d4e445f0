//! What is true of the relay's tables between any two calls.

use super::*;

pub(super) fn check(relay: &Relay) {
    assert!(relay.out.is_empty());
    assert!(relay.conns.len() <= relay.limits.connections_max);
    check_timers(relay);
    check_ids(relay);
    check_channels(relay);
    check_requests(relay);
    check_rejoins(relay);
}

fn conns(relay: &Relay) -> impl Iterator<Item = (ConnId, &Conn)> {
    relay.conns.keys().map(|key| (ConnId(key), relay.conns.get(key).unwrap()))
}

fn peers(relay: &Relay) -> impl Iterator<Item = (ConnId, &Peer)> {
    conns(relay).filter_map(|(id, conn)| Some((id, conn.peer()?)))
}

/// Each thing that waits has its one timer, and there is no other.
fn check_timers(relay: &Relay) {
    let mut expected = BTreeSet::new();
    for (id, conn) in conns(relay) {
        expected.insert((conn.timer, Timer::Conn(id)));
        if let Some(blocked) = conn.blocked {
            expected.insert((blocked.deadline, Timer::Stuck(id)));
        }
    }
    for key in relay.requests.keys() {
        expected.insert((relay.requests.get(key).unwrap().deadline, Timer::Request(key)));
    }
    for (&rendezvous, waiting) in &relay.waiting {
        expected.insert((waiting.deadline, Timer::Rejoin(rendezvous)));
    }
    assert!(relay.timers == expected, "{} timers, {} expected", relay.timers.len(), expected.len());
}

/// Whoever has registered holds its ID, and nobody else holds one.
fn check_ids(relay: &Relay) {
    for (id, peer) in peers(relay) {
        assert_eq!(relay.ids.holder(peer.id), Some(id));
    }
    assert_eq!(relay.ids.held(), peers(relay).count());
}

/// Each end points at the end that points back; a pair has one channel at most; a sender waits only for a partner.
fn check_channels(relay: &Relay) {
    let mut ends = 0;
    for (id, peer) in peers(relay) {
        let numbers = peer.channels.numbers();
        let mut partners = BTreeSet::new();
        for &number in &numbers {
            let other = peer.channels.other_end(number).unwrap();
            let back =
                relay.peer(other.conn).and_then(|peer| peer.channels.other_end(other.channel)).unwrap();
            assert!(back.conn == id && back.channel == number, "the other end points back");
            assert!(other.conn != id, "no channel with oneself");
            assert!(partners.insert(other.conn), "one channel with the same client");
        }
        assert!(numbers.len() <= usize::from(peer.channels.max()));
        assert_eq!(peer.channels.is_full(), numbers.len() == usize::from(peer.channels.max()));
        ends += numbers.len() as u64;
    }
    assert_eq!(relay.stats.channels * 2, ends, "channels are counted");
    for (id, conn) in conns(relay) {
        if let Some(blocked) = conn.blocked {
            let partner = relay.peer(id).and_then(|peer| peer.channels.with(blocked.by));
            assert!(partner.is_some(), "only a partner can hold a sender up");
        }
    }
}

/// Each request is known to its source and, if it has a prompt, its target, once each, and to nobody else.
fn check_requests(relay: &Relay) {
    let (mut pairs, mut prompts) = (BTreeSet::new(), 0);
    for key in relay.requests.keys() {
        let request = relay.requests.get(key).unwrap();
        let source = relay.peer(request.source).unwrap();
        assert!(source.asked.contains(&key) && request.number <= source.last_request);
        assert!(source.id != request.target, "nobody asks himself");
        assert!(pairs.insert((request.source, request.target)), "one request of a client for an ID");
        match &request.prompt {
            Some(prompt) => {
                let target = relay.peer(prompt.target).unwrap();
                assert!(target.asking.contains(&key) && prompt.number <= target.last_prompt);
                assert_eq!(target.id, request.target, "shown to whoever it is for");
                prompts += 1;
            }
            None => assert!(request.blind, "an open request is decided by somebody"),
        }
    }
    let holds = relay.requests.keys().map(|key| relay.requests.get(key).unwrap());
    relay.budgets.check(holds.map(|request| (request.hold, request.target)));
    let (mut asked, mut asking) = (0, 0);
    let prompt = |key| relay.requests.get(key).unwrap().prompt.as_ref().unwrap().number;
    for (_, peer) in peers(relay) {
        assert!(peer.asked.len() <= relay.limits.requests_out_max);
        assert!(peer.asking.len() <= relay.limits.requests_in_max);
        let numbers: BTreeSet<_> =
            peer.asked.iter().map(|&key| relay.requests.get(key).unwrap().number).collect();
        let prompts: BTreeSet<_> = peer.asking.iter().map(|&key| prompt(key)).collect();
        assert_eq!((numbers.len(), prompts.len()), (peer.asked.len(), peer.asking.len()));
        asked += peer.asked.len();
        asking += peer.asking.len();
    }
    assert_eq!((asked, asking), (relay.requests.len(), prompts));
}

/// Each value that waits is known to its presenter, once, and to nobody else.
fn check_rejoins(relay: &Relay) {
    for (rendezvous, waiting) in &relay.waiting {
        assert!(relay.peer(waiting.conn).unwrap().rejoining.contains(rendezvous));
    }
    let mut known = 0;
    for (_, peer) in peers(relay) {
        assert!(peer.rejoining.len() <= usize::from(peer.channels.max()));
        known += peer.rejoining.len();
    }
    assert_eq!(known, relay.waiting.len());
}
