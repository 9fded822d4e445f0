//! Relay, pipe, forward, doctor, bench and demo as a person at a terminal sees them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use common::terminal::Terminal;
use common::{relay, relay_at};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

/// Two that do this, one as host and one as guest.
fn two(host: &[&str], guest: &[&str], columns: u16) -> (Terminal, Terminal) {
    let host = Terminal::start(columns, host);
    host.shows("Waiting for the");
    let invitation = host.word("phantom://");
    (host, Terminal::start(columns, &[guest, &[invitation.as_str()]].concat()))
}

#[test]
fn a_relay_until_ctrl_c() {
    let mut relay = Terminal::start(40, &["relay", "--listen", "127.0.0.1:0"]);
    relay.shows("Ctrl-C ends it.");
    relay.press(CTRL_C);
    let (status, screen) = relay.end();
    assert_eq!(status, 0, "for a relay that is the good end");
    let port = screen.split("ws://127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    insta::assert_snapshot!("relay", screen.replace(&port, "PORT").replace("^C", ""));
}

#[test]
fn a_pipe_between_two_terminals() {
    let (_relay, url) = relay();
    let (mut host, mut guest) = two(&["pipe", "--relay", &url], &["pipe"], 80);
    host.shows("Secured");
    guest.shows("Secured");
    host.press("from here\r");
    guest.shows("from here");
    host.press(CTRL_D);
    guest.press("and back\r");
    host.shows("and back");
    guest.press(CTRL_D);
    assert_eq!((host.end().0, guest.end().0), (0, 0));
}

#[test]
fn ctrl_c_in_the_middle_of_a_pipe() {
    let (_relay, url) = relay();
    let (mut host, mut guest) = two(&["pipe", "--relay", &url], &["pipe"], 40);
    host.shows("Secured");
    guest.press("something\r");
    host.shows("something");
    guest.press(CTRL_C);
    assert_eq!(guest.end().0, 130);
    let (status, screen) = host.end();
    assert_eq!(status, 4);
    assert!(screen.contains("phantom: the other side stopped"), "{screen}");
}

#[test]
fn a_pipe_with_a_wrong_key_and_to_nobody() {
    let (first, url) = relay();
    let host = Terminal::start(80, &["pipe", "--relay", &url, "--key", "blue-elephants"]);
    host.shows("Waiting for the");
    let invitation = host.word("phantom://");
    let wrong = invitation.replace("blue", "grey");
    let (status, screen) = Terminal::start(80, &["pipe", &wrong]).end();
    assert_eq!(status, 5);
    assert!(screen.contains("the keys differ"), "{screen}");
    host.shows("Still waiting.");
    drop(host);
    drop(first);
    let (status, screen) = Terminal::start(80, &["pipe", &invitation]).end();
    assert_eq!(status, 3, "the relay is away, too");
    assert!(screen.contains("nobody listens at"), "{screen}");
}

#[test]
fn a_forward_over_a_relay_that_restarts_until_ctrl_c() {
    let (first, url) = relay();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut tcp in target.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut reader = tcp.try_clone().unwrap();
                std::io::copy(&mut reader, &mut tcp)
            });
        }
    });
    let (mut host, mut guest) =
        two(&["forward", "--to", &address, "--relay", &url], &["forward", "--listen", "0"], 40);
    host.shows("Connections of the other");
    guest.shows("Ctrl-C ends it.");
    let screen = guest.contents();
    let port = screen.split("127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let mut tcp = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let mut echo = |text: &[u8]| {
        let mut back = vec![0; text.len()];
        tcp.write_all(text).unwrap();
        tcp.read_exact(&mut back).unwrap();
        assert_eq!(back, text);
    };
    echo(b"before");
    drop(first);
    guest.shows("Interrupted;");
    let _second = relay_at(url.strip_prefix("ws://").unwrap());
    echo(b"after");
    guest.press(CTRL_C);
    assert_eq!(guest.end().0, 130);
    assert_eq!(host.end().0, 4);
}

#[test]
fn a_doctor_and_a_demo_in_forty_columns() {
    let (relay, url) = relay();
    let (status, screen) = Terminal::start(40, &["doctor", &url]).end();
    assert_eq!(status, 0);
    assert!(screen.lines().all(|line| line.chars().count() <= 40), "{screen}");
    drop(relay);
    let (status, screen) = Terminal::start(40, &["doctor", &url]).end();
    assert_eq!(status, 3);
    assert!(screen.contains("✗ TCP connection") && screen.contains("Try: check that"), "{screen}");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (status, screen) = Terminal::start_in(here, 40, &["demo", "Cargo.toml"]).end();
    assert_eq!(status, 0, "{screen}");
    let (status, _) = Terminal::start_in(here, 40, &["demo", "Cargo.toml", "--wrong-key"]).end();
    assert_eq!(status, 5);
}

#[test]
fn a_bench_stopped_in_the_middle() {
    let (_relay, url) = relay();
    let mut bench = Terminal::start(80, &["bench", &url, "--duration", "600"]);
    bench.until("its bar", |screen| screen.trim_end().len() > 10);
    bench.press(CTRL_C);
    let (status, screen) = bench.end();
    assert_eq!(status, 130);
    assert!(screen.contains("phantom: stopped"), "{screen}");
}
