//! What a person gets wrong, and what the program says then: one sentence and the documented status.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::net::TcpListener;

use common::{Phantom, command, run};

#[test]
fn an_invitation_that_is_none() {
    for (invitation, sentence) in [
        ("hello", "this is no invitation"),
        ("http://relay/AF83X1#k", "begins with phantom://"),
        ("phantom://127.0.0.1:7777/AF83#k", "the ID in the invitation is not valid"),
        ("phantom://127.0.0.1:7777/AF83X1", "the invitation has no key"),
        ("phantom://127.0.0.1:77777/AF83X1#k", "the port of the relay"),
        ("phantom://127.0.0.1:7777/AF83X1#4T2V-8Z5Q-1M7C-0000-0000-0000-0000", "has a typo"),
    ] {
        for program in ["receive", "chat"] {
            let ended = run([program, invitation]);
            ended.failed(2, sentence);
            assert!(!ended.stderr.contains("4T2V"), "a key is never shown: {}", ended.stderr);
        }
    }
}

#[test]
fn a_key_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, "x").unwrap();
    let ended = run([
        "send".as_ref(),
        path.as_os_str(),
        "--key".as_ref(),
        "4T2V-8Z5Q-1M7C-0000-0000-0000-0000".as_ref(),
    ]);
    ended.failed(2, "generated key with a typo");
    assert!(!ended.stderr.contains("4T2V"), "{}", ended.stderr);
}

#[test]
fn wrong_arguments() {
    run(["sned", "x"]).failed(2, "unrecognized subcommand");
    run(["send"]).failed(2, "required");
    run(["send", "Cargo.toml", "--relay", "http://relay"]).failed(2, "begins with ws:// or wss://");
}

#[test]
fn a_file_that_cannot_be_sent() {
    run(["send", "no-such-file"]).failed(6, "there is no file no-such-file");
}

/// A port on which nobody listens.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_relay_that_is_not_there() {
    let port = free_port();
    let ended = run(["send", "Cargo.toml", "--relay", &format!("ws://127.0.0.1:{port}")]);
    ended.failed(3, &format!("127.0.0.1:{port}"));
    run(["receive", &format!("phantom://127.0.0.1:{port}/AF83X1#ABCDE12345")]).failed(3, "relay");
    let mut chat = command(["chat"]);
    chat.env("PHANTOM_RELAY", format!("127.0.0.1:{port}"));
    Phantom::spawn(chat).end().failed(3, "nobody listens");
    run(["send", "Cargo.toml", "--relay", "ws://no-such-host.invalid"]).failed(3, "no-such-host.invalid");
}

#[test]
fn an_address_that_cannot_be_listened_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(["relay", "--listen", &address]).failed(3, "is in use");
    run(["relay", "--listen", "nonsense"]).failed(3, "host:port");
}

#[test]
fn somebody_who_is_not_there() {
    let (_relay, url) = common::relay();
    let host = url.strip_prefix("ws://").unwrap();
    let ended = run(["receive", &format!("phantom://{host}/AF83X1#ABCDE12345")]);
    ended.failed(4, "AF83X1");
}

#[cfg(unix)]
#[test]
fn waiting_is_ended_by_an_interrupt() {
    let (relay, url) = common::relay();
    let mut sender = Phantom::start(["send", "Cargo.toml", "--relay", &url]);
    sender.invitation();
    sender.interrupt();
    sender.end().failed(130, "stopped");
    // For a relay that is the good end.
    relay.interrupt();
    relay.end().succeeded();
}

#[test]
fn help_has_examples_and_the_statuses() {
    for arguments in [&["--help"][..], &["send", "--help"], &["receive", "--help"], &["chat", "--help"]] {
        let ended = run(arguments);
        ended.succeeded();
        assert!(
            ended.stdout.contains("Examples:") && ended.stdout.contains("Exit status:"),
            "{}",
            ended.stdout
        );
    }
}
