//! Everything that can happen to few clients in few steps, in every order (`phantom_tests::exhaustive`).

use phantom_tests::exhaustive::{Bounds, explore};

/// A search that reaches less than it did has lost steps on the way; the numbers are a little below what was seen.
fn all(what: &str, at_least: usize, bounds: &Bounds) {
    let explored = explore(bounds).unwrap_or_else(|broken| panic!("{what}: {broken}"));
    println!("{what}: {explored}");
    assert!(explored.states >= at_least, "{what}: only {explored}");
}

const CROSSING: &[(usize, usize)] = &[(0, 1), (1, 0)];

#[test]
fn one_asks() {
    let bounds = Bounds { may_ask: &[(0, 1)], refuse: true, waits: 2, ..Bounds::default() };
    all("one asks, all decisions, two waits", 9000, &bounds);
}

#[test]
fn one_asks_and_either_ends_it() {
    let bounds = Bounds { may_ask: &[(0, 1)], ends: 2, waits: 1, ..Bounds::default() };
    all("one asks, either ends it, one wait", 800, &bounds);
}

#[test]
fn one_asks_twice() {
    let bounds = Bounds { may_ask: &[(0, 1)], asks: 2, refuse: true, ..Bounds::default() };
    all("one asks twice, all decisions", 4000, &bounds);
}

#[test]
fn two_ask_each_other() {
    let bounds = Bounds { may_ask: CROSSING, refuse: true, ..Bounds::default() };
    all("two ask each other, all decisions", 50_000, &bounds);
}

#[test]
fn two_ask_each_other_and_a_link_breaks() {
    let bounds = Bounds { may_ask: CROSSING, cuts: 1, ..Bounds::default() };
    all("two ask each other, one cut", 3000, &bounds);
}

#[test]
fn two_ask_each_other_and_the_relay_is_new() {
    let bounds = Bounds { may_ask: CROSSING, restarts: 1, ..Bounds::default() };
    all("two ask each other, one restart", 500, &bounds);
}

#[test]
fn three_want_one_channel_each() {
    let bounds = Bounds { clients: 3, may_ask: &[(0, 1), (2, 1)], ..Bounds::default() };
    all("two ask a third, who has room for one", 400, &bounds);
}

#[test]
fn three_in_a_row() {
    let bounds = Bounds { clients: 3, may_ask: &[(0, 1), (1, 2)], ..Bounds::default() };
    all("three in a row, room for one each", 500, &bounds);
}

#[test]
fn a_handshake_is_cut() {
    let bounds = Bounds { may_ask: &[(0, 1)], keyed: true, cuts: 1, ..Bounds::default() };
    all("one asks, with keys, one cut", 2400, &bounds);
}

#[test]
fn a_secured_channel_is_cut() {
    let bounds = Bounds { secured: &[(0, 1)], keyed: true, sends: 1, cuts: 1, ..Bounds::default() };
    all("secured, a packet each, one cut", 600, &bounds);
}

#[test]
fn a_secured_channel_is_cut_twice() {
    let bounds = Bounds { secured: &[(0, 1)], keyed: true, cuts: 2, ..Bounds::default() };
    all("secured, two cuts", 100, &bounds);
}

#[test]
fn a_secured_channel_meets_a_new_relay() {
    let bounds = Bounds { secured: &[(0, 1)], keyed: true, restarts: 1, waits: 3, ..Bounds::default() };
    all("secured, one restart, three waits", 400, &bounds);
}

#[test]
fn a_secured_channel_ends_and_is_cut() {
    let bounds = Bounds { secured: &[(0, 1)], keyed: true, ends: 1, cuts: 1, ..Bounds::default() };
    all("secured, one ends it, one cut", 800, &bounds);
}

#[test]
fn two_channels_of_one_are_cut() {
    let secured = &[(0, 1), (2, 0)];
    let bounds = Bounds { clients: 3, channels: 2, secured, keyed: true, cuts: 2, ..Bounds::default() };
    all("one with two channels, two cuts", 40, &bounds);
}
