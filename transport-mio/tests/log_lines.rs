//! What the log says of a relay's life, and what it says of nobody: no ID, no key, and no address unless that is asked for.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod program;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use common::{Client, Pair, connect, read_to_end, tcp_from};
use program::{Running, on_free_port};

const GUEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 8, 7));

/// Lives a short life, with visitors of each kind; gives the IDs there were, and its log.
fn live(format: &str) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let mut command = on_free_port();
    command.args(["--log-level", "debug", "--log-format", format]).arg("--log-file").arg(&file);
    let relay = Running::start(&mut command);
    let at = relay.address;
    let (mut a, mut b) = (Client::over(tcp_from(GUEST, at)), Client::over(tcp_from(GUEST, at)));
    let ids = [a.register(1).id, b.register(1).id];
    let (a_channel, b_channel) = connect(&mut a, 1, &mut b, ids[1]);
    Pair { a, b, a_channel, b_channel }.exchange(b"hello");
    let mut wrong = tcp_from(GUEST, at);
    wrong.write_all(b"nonsense\r\n\r\n").unwrap();
    read_to_end(&mut wrong);
    relay.signal("TERM");
    assert_eq!(relay.end(), (Some(0), String::new()));
    (ids.iter().map(ToString::to_string).collect(), fs::read_to_string(file).unwrap())
}

#[test]
fn every_step_of_a_life_has_its_line_and_no_line_shows_who_was_there() {
    let mut relay = Running::start(on_free_port().args(["--log-level", "info"]));
    let listens = relay.hears("the relay listens");
    assert!(listens.contains(&relay.address.to_string()) && listens.contains("INFO"), "{listens}");
    relay.signal("HUP");
    relay.hears("there was none to take into use");
    relay.signal("TERM");
    relay.hears("the relay drains");
    relay.hears("the relay has drained");
    assert_eq!(relay.end().0, Some(0));

    for format in ["text", "json"] {
        let (ids, log) = live(format);
        for line in [
            "a connection has come",
            "the handshake is complete",
            "the handshake fails",
            "a connection is being closed",
            "a connection is gone",
            "the relay drains",
            "the relay has drained",
        ] {
            assert!(log.contains(line), "{line} is not in\n{log}");
        }
        for secret in ids.iter().map(String::as_str).chain(["127.9.8.7"]) {
            assert!(!log.contains(secret), "{secret} is in\n{log}");
        }
    }
}

#[test]
fn addresses_are_shown_to_whoever_asks_for_them() {
    let mut relay = Running::start(on_free_port().args(["--log-level", "debug", "--log-addresses"]));
    let _guest = Client::over(tcp_from(GUEST, relay.address));
    let line = relay.hears("a connection has come");
    assert!(line.contains("127.9.8.7") && line.contains("DEBUG"), "{line}");
}

#[test]
fn a_refused_connection_says_which_rule_refused_it() {
    let mut relay = Running::start(on_free_port().args(["--log-level", "debug", "--deny", "127.9.0.0/16"]));
    read_to_end(&mut tcp_from(GUEST, relay.address));
    assert!(relay.hears("a connection is refused").contains("Denied"));
}
