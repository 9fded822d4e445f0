//! The program `phantom-relay`: what it prints, what it says when it cannot start, and its exit status.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod program;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::Command;

use common::{Client, Pair, tcp};
use phantom_core::wire::{ClientFrame, RelayFrame, VERSION};
use phantom_mio::CloseCode;
use program::{PROGRAM, Running, on_free_port, program, refuses};

#[test]
fn says_where_it_is_and_serves_and_stops_when_told() {
    for signal in ["TERM", "INT"] {
        let relay = Running::start(&mut on_free_port());
        let address = relay.address;
        assert_eq!(
            relay.line,
            format!("phantom-relay listens on {address}; clients reach it at ws://{address}\n")
        );
        let mut pair = Pair::meet(address);
        pair.exchange(b"hello");
        relay.signal(signal);
        assert!(matches!(pair.a.frame(), RelayFrame::Drain { .. }));
        assert_eq!(pair.a.close_code(), CloseCode::GoingAway);
        drop(pair);
        assert_eq!(relay.end(), (Some(0), String::new()), "{signal}");
    }
}

#[test]
fn listens_where_the_environment_says() {
    let relay = Running::start(program().env("PHANTOM_RELAY_LISTEN", "localhost:0"));
    assert!(relay.address.ip().is_loopback());
    Client::join(relay.address);
}

#[test]
fn a_port_in_use_is_one_clear_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program().args(["--listen", &address]).output().unwrap();
    refuses(&output, 3, &[&address, "in use", "choose another port"]);
}

#[test]
fn an_address_that_is_none_is_one_clear_sentence() {
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:70000"] {
        let output = program().args(["--listen", address]).output().unwrap();
        refuses(&output, 2, &["--listen", "host:port"]);
    }
    for address in ["203.0.113.7:7777", "no-such-host.invalid:7777", "unix:/no/such/folder/socket"] {
        let output = program().args(["--log-level", "error", "--listen", address]).output().unwrap();
        refuses(&output, 3, &["--listen"]);
    }
}

#[test]
fn wrong_arguments_are_status_2_and_help_has_examples() {
    for (arguments, word) in [
        (&["--lisen", "x"][..], "--listen"),
        (&["--max-connections", "many"], "--max-connections"),
        (&["--listen", ""], "--listen"),
        (&["--listen"], "--listen"),
        (&["--max-connections", "1", "--max-connections", "2"], "--max-connections"),
        (&["extra"], "extra"),
    ] {
        refuses(&program().args(arguments).output().unwrap(), 2, &[word]);
    }
    let help = program().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(
        ["Examples:", "Exit status:", "PHANTOM_RELAY_MAX_CONNECTIONS"].iter().all(|word| text.contains(word)),
        "{text}"
    );
}

#[test]
fn with_a_secret_file_an_id_outlives_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.secret");
    let start = || Running::start(on_free_port().arg("--secret-file").arg(&file));
    let relay = start();
    let welcome = {
        let mut client = Client::dial(relay.address);
        client.register(1)
    };
    relay.signal("TERM");
    relay.end();

    let relay = start();
    let mut client = Client::dial(relay.address);
    let RelayFrame::Hello { challenge, .. } = client.frame() else { panic!() };
    let mac = |key: &[u8; 32]| {
        let hash = blake3::Hasher::new_keyed(key).update(b"reclaim").update(&challenge).finalize();
        hash.as_bytes()[..16].try_into().unwrap()
    };
    client.send(ClientFrame::Reclaim {
        version: VERSION,
        channels: 1,
        kid: welcome.kid,
        id: welcome.id,
        owner: welcome.owner,
        expiry: welcome.expiry,
        mac: mac(&welcome.token_key),
    });
    let RelayFrame::Welcome(again) = client.frame() else { panic!() };
    assert_eq!((again.id, again.reclaimed), (welcome.id, true));
}

#[test]
fn a_secret_file_that_is_none_is_one_clear_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.secret");
    std::fs::write(&file, "my shopping list").unwrap();
    let run = || on_free_port().arg("--secret-file").arg(&file).output().unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    refuses(&run(), 4, &["chmod 600"]);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refuses(&run(), 4, &["is no secret file"]);
}

#[test]
fn every_place_has_its_line_and_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let mut relay = Running::start(on_free_port().args(["--listen", "127.0.0.1:0", "--listen", &unix]));
    let second: SocketAddr = relay.next_line().split("ws://").nth(1).unwrap().trim().parse().unwrap();
    assert_eq!(
        relay.next_line(),
        format!("phantom-relay listens on {unix}; a reverse proxy on this machine forwards clients to it")
    );
    let ((mut a, _), (mut b, b_id)) = (Client::join(relay.address), Client::join(second));
    common::connect(&mut a, 1, &mut b, b_id);
    drop((a, b));
    UnixStream::connect(&path).unwrap();
    relay.signal("TERM");
    relay.end();
    assert!(!path.exists());
}

#[test]
fn a_log_file_that_cannot_be_written_is_one_clear_sentence() {
    for arguments in [&["--log-file", "/no/such/folder/log"][..], &["--log-file", "/", "--check-config"]] {
        let output = on_free_port().args(arguments).output().unwrap();
        refuses(&output, 7, &["--log-file: ", "cannot be written", "check that its folder exists"]);
    }
}

#[test]
fn a_full_disk_costs_lines_and_says_so_and_the_relay_serves() {
    let mut relay = Running::start(on_free_port().args(["--log-file", "/dev/full", "--log-level", "info"]));
    Pair::meet(relay.address).exchange(b"served all the same");
    relay.hears("log_file: /dev/full cannot be written");
    relay.signal("TERM");
    assert_eq!(relay.end(), (Some(0), String::new()), "said once");
}

#[test]
fn the_log_goes_where_and_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let relay = Running::start(on_free_port().arg("--log-file").arg(&file).args([
        "--log-format",
        "json",
        "--log-level",
        "info",
    ]));
    relay.signal("TERM");
    assert_eq!(relay.end(), (Some(0), String::new()));
    let log = std::fs::read_to_string(&file).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["message"], "the relay has drained", "{log}");
}

#[test]
fn metrics_are_shown_where_the_settings_say() {
    let mut relay = Running::start(on_free_port().args(["--metrics-listen", "127.0.0.1:0"]));
    // Until it has served somebody, it may still be about to begin.
    Client::join(relay.address);
    let line = relay.next_line();
    let address = line.strip_prefix("phantom-relay shows its metrics at http://").unwrap();
    let mut socket = tcp(address.strip_suffix("/metrics").unwrap().parse().unwrap());
    socket.write_all(b"GET /readyz HTTP/1.1\r\nHost: relay\r\n\r\n").unwrap();
    let answer = String::from_utf8(common::read_to_end(&mut socket)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let address = address.strip_suffix("/metrics").unwrap();
    let output = program().args(["--metrics-listen", address, "probe"]).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    drop(relay);
    let output = program().args(["--metrics-listen", address, "probe"]).output().unwrap();
    refuses(&output, 1, &[address, "does not answer"]);
    refuses(&program().arg("probe").output().unwrap(), 2, &["probe needs metrics_listen"]);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = on_free_port().args(["--metrics-listen", &address]).output().unwrap();
    refuses(&output, 3, &["--metrics-listen: ", "in use"]);
}

#[test]
fn says_when_there_is_room_for_fewer_than_it_should_take() {
    let script = format!(
        "ulimit -n 256; exec '{PROGRAM}' --listen 127.0.0.1:0 --max-connections 1000 --log-level warn"
    );
    let relay = Running::start(Command::new("sh").args(["-c", &script]));
    let mut pair = Pair::meet(relay.address);
    let crowd: Vec<_> = (0..300).map(|_| tcp(relay.address)).collect();
    pair.exchange(b"served");
    drop((crowd, pair));
    relay.signal("TERM");
    let (status, said) = relay.end();
    assert_eq!((status, said.lines().count()), (Some(0), 1), "{said}");
    for word in ["room for 96 connections", "not 1000 (max_connections)", "LimitNOFILE=", "5224"] {
        assert!(said.contains(word), "{word} in {said}");
    }
}

#[test]
fn survives_having_no_room_for_another_connection() {
    // Files that it does not know of are open already, so that there is room for far fewer than it thinks.
    let script = format!(
        "for file in {{10..34}}; do eval \"exec $file</dev/null\"; done; ulimit -n 40; exec '{PROGRAM}' --listen 127.0.0.1:0"
    );
    let relay = Running::start(Command::new("bash").args(["-c", &script]));
    let mut honest = Pair::meet(relay.address);
    let crowd: Vec<_> = (0..60).map(|_| tcp(relay.address)).collect();
    honest.exchange(b"unharmed");
    // The last of the crowd waits in the system's queue; nobody behind it is served before there is room.
    drop(crowd);
    Pair::meet(relay.address).exchange(b"room again");
    honest.exchange(b"unharmed");
    relay.signal("TERM");
    drop(honest);
    let (status, said) = relay.end();
    assert_eq!(status, Some(0));
    assert!(said.contains("no room for another connection"), "{said}");
    assert!(said.lines().count() < 1000, "it did not wait between its attempts");
}
