//! Thousands of connections, and one more than allowed.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::thread;

use common::{Client, Pair, await_stats, relay_with};
use phantom_core::wire::ClientFrame;
use phantom_mio::CloseCode;

#[test]
fn two_thousand_join_at_once_and_all_are_served() {
    const THREADS: usize = 8;
    const EACH: usize = 250;
    phantom_mio::raise_file_limit().unwrap();
    let relay = relay_with(|config| {
        config.access.connections_per_address = 2 * THREADS * EACH;
        config.access.connections_per_second_per_address = 0;
    });
    let address = relay.local_addr();
    let joining: Vec<_> = (0..THREADS)
        .map(|_| {
            thread::spawn(move || {
                let mut clients: Vec<_> = (0..EACH).map(|_| Client::dial(address)).collect();
                let ids: Vec<_> = clients.iter_mut().map(|client| client.register(1).id).collect();
                (clients, ids)
            })
        })
        .collect();
    let (mut clients, mut ids) = (Vec::new(), Vec::new());
    for thread in joining {
        let (some, their_ids) = thread.join().unwrap();
        clients.extend(some);
        ids.extend(their_ids);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), THREADS * EACH);
    assert_eq!(relay.handle().stats().relay.connections, (THREADS * EACH) as u64);
    for (token, client) in (0..).zip(&mut clients) {
        client.send(ClientFrame::Ping { token });
    }
    for client in &mut clients {
        client.frame();
    }
    Pair::meet(address).exchange(b"room for more");
    drop(clients);
    await_stats(&relay.handle(), "all are gone", |stats| stats.sockets == 0);
}

#[test]
fn one_more_than_allowed_is_told_so_and_a_place_that_is_free_is_given_again() {
    let relay = relay_with(|config| config.relay.connections_max = 3);
    let mut honest = Pair::meet(relay.local_addr());
    let third = Client::join(relay.local_addr());
    for _ in 0..20 {
        let mut late = Client::dial(relay.local_addr());
        assert_eq!(late.close_code(), CloseCode::RelayFull);
        late.ends();
    }
    assert_eq!(relay.handle().stats().relay.closed[&CloseCode::RelayFull], 20);
    honest.exchange(b"unharmed");
    drop(third);
    await_stats(&relay.handle(), "the third is gone", |stats| stats.relay.connections == 2);
    Client::join(relay.local_addr());
}
