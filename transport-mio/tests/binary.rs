//! The program `phantom-relay`: what it prints, how it stops, what it says when it cannot start.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};

use common::{Client, Pair, tcp};
use phantom_core::wire::{ClientFrame, RelayFrame, VERSION};
use phantom_mio::CloseCode;

const PROGRAM: &str = env!("CARGO_BIN_EXE_phantom-relay");

fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    for name in ["LISTEN", "SECRET_FILE", "MAX_CONNECTIONS"] {
        command.env_remove(format!("PHANTOM_RELAY_{name}"));
    }
    command
}

/// A running program, ended with the test whatever happens.
struct Running {
    child: Child,
    address: SocketAddr,
    line: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("phantom-relay listens on ")
            .and_then(|rest| rest.split(';').next())
            .unwrap_or_else(|| panic!("{line:?}"))
            .parse()
            .unwrap();
        Self { child, address, line }
    }

    fn signal(&self, name: &str) {
        assert!(
            Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap().success()
        );
    }

    /// Its exit status and what it said on stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn on_free_port() -> Command {
    let mut command = program();
    command.args(["--listen", "127.0.0.1:0"]);
    command
}

/// One sentence on stderr, nothing on stdout, and this status.
fn refuses(output: &Output, status: i32, words: &[&str]) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(output.stdout, b"");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said:?}");
    }
    assert!(
        !said.contains("panicked") && !said.contains("Error {") && !said.contains("os error 2)"),
        "{said}"
    );
}

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
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:70000", "203.0.113.7:7777"] {
        let output = program().args(["--listen", address]).output().unwrap();
        refuses(&output, 3, &["address"]);
    }
}

#[test]
fn wrong_arguments_are_status_2_and_help_has_examples() {
    for arguments in [&["--lisen", "x"][..], &["--max-connections", "many"], &["--listen", ""], &["extra"]] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    let help = program().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(
        text.contains("Examples:") && text.contains("Exit status:") && text.contains("PHANTOM_RELAY_LISTEN"),
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
fn survives_having_no_room_for_another_connection() {
    let script = format!("ulimit -n 40; exec '{PROGRAM}' --listen 127.0.0.1:0");
    let relay = Running::start(Command::new("sh").args(["-c", &script]));
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
