//! A process without descriptors, seen from inside. A test program of its own, because the limit is that of a whole process.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::fs::File;

use common::scrape::{ask, finish, parse};
use common::{Pair, await_stats, relay, tcp};
use phantom_mio::{ProcessStats, View};

#[test]
fn no_descriptors_left_is_said_and_passes() {
    let relay = relay();
    let view = View::bind("127.0.0.1:0", relay.handle()).unwrap();
    let mut pair = Pair::meet(relay.local_addr());
    let open = || ProcessStats::read().open_descriptors.unwrap();
    let before = open();
    // Whoever looks is connected already; afterwards nobody else can.
    let mut lookers: Vec<_> = (0..2).map(|_| tcp(view.local_addr())).collect();
    assert_eq!(ask(view.local_addr(), "GET", "/readyz").0, 200);
    // Both sides of each, and none of the one that has been answered.
    while open() != before + 4 {
        std::thread::yield_now();
    }
    let limit = before + 40;
    rlimit::setrlimit(rlimit::Resource::NOFILE, limit, limit).unwrap();
    let mut files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    files.pop();
    // Takes the last descriptor, so that there is none for the relay's side of it.
    let waiting = tcp(relay.local_addr());
    let stats = await_stats(&relay.handle(), "a connection finds no room", |stats| stats.accept_failures > 0);
    assert_eq!(stats.accepted, 2);

    let (status, _, text) = finish(&mut lookers.pop().unwrap(), "/metrics");
    assert_eq!(status, 200);
    assert!(parse(&text)["phantom_relay_accept_failures_total"] >= 1.0);
    pair.exchange(b"goes on");
    let (status, _, why) = finish(&mut lookers.pop().unwrap(), "/readyz");
    assert_eq!((status, why.as_str()), (503, "the system has no room for another connection\n"));

    drop(files);
    await_stats(&relay.handle(), "it is let in", |stats| stats.accepted == 3 && stats.accepting);
    assert_eq!(ask(view.local_addr(), "GET", "/readyz").0, 200);
    drop(waiting);
}
