//! The life of `phantom-relay`: signals, systemd, files that change.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod program;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Client, Pair, tcp};
use phantom_core::wire::RelayFrame;
use program::{PROGRAM, Running, on_free_port, program, refuses};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

#[test]
fn stopping_takes_no_longer_than_it_may() {
    let relay = Running::start(on_free_port().args(["--drain-timeout", "100ms"]));
    let (_mute, _) = Client::join(relay.address);
    let begin = Instant::now();
    relay.signal("TERM");
    assert_eq!(relay.end(), (Some(0), String::new()));
    assert!(begin.elapsed() < Duration::from_secs(4), "as long as by default");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let relay = Running::start(on_free_port().args(["--drain-timeout", "30s"]));
        let (mut mute, _) = Client::join(relay.address);
        relay.signal("TERM");
        // It has understood, and would wait for 30 seconds now.
        assert!(matches!(mute.frame(), RelayFrame::Drain { .. }));
        relay.signal(signal);
        assert_eq!(relay.end(), (Some(status), String::new()));
    }
}

#[test]
fn clients_are_told_when_to_come_back() {
    let relay = Running::start(on_free_port().args(["--come-back-after", "7s"]));
    let (mut client, _) = Client::join(relay.address);
    relay.signal("TERM");
    let RelayFrame::Drain { after_ms } = client.frame() else { panic!() };
    assert_eq!(after_ms, 7000);
}

#[test]
fn a_reload_disturbs_nobody() {
    let relay = Running::start(&mut on_free_port());
    let mut pair = Pair::meet(relay.address);
    relay.signal("HUP");
    pair.exchange(b"still here");
    relay.signal("HUP");
    Pair::meet(relay.address).exchange(b"and welcome");
    relay.signal("TERM");
    drop(pair);
    assert_eq!(relay.end().0, Some(0));
}

/// A certificate for `relay.example` and its key, in one file each.
struct Identity {
    folder: tempfile::TempDir,
}

impl Identity {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes new ones.
    fn renew(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["relay.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        fs::write(self.path("tls.crt"), certificate.pem()).unwrap();
        fs::write(self.path("tls.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(self.path("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
        certificate.der().clone()
    }
}

/// A client that believes this certificate and no other.
fn dial(
    address: SocketAddr,
    certificate: &CertificateDer<'static>,
) -> Client<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), "relay.example".try_into().unwrap()).unwrap();
    Client::over(StreamOwned::new(session, tcp(address)))
}

#[test]
fn a_reload_serves_the_new_certificate_and_a_bad_one_changes_nothing() {
    let (identity, manager) = (Identity::new(), Manager::new());
    let first = identity.renew();
    let mut command = program();
    command.args(["--listen", "", "--listen-tls", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &manager.path);
    command.args(["--log-level", "info"]);
    command.arg("--tls-certificate").arg(identity.path("tls.crt"));
    let mut relay = Running::start(command.arg("--tls-key").arg(identity.path("tls.key")));
    assert!(relay.line.contains("clients reach it at wss://"), "{}", relay.line);
    manager.hears("READY=1");
    let (mut a, mut b) = (dial(relay.address, &first), dial(relay.address, &first));
    a.register(1);
    let b_id = b.register(1).id;

    let second = identity.renew();
    relay.signal("HUP");
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    dial(relay.address, &second).register(1);
    relay.hears("the certificate and its key have been read again");

    fs::write(identity.path("tls.key"), "my shopping list").unwrap();
    relay.signal("HUP");
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    dial(relay.address, &second).register(1);
    let said = relay.hears("the certificate that was read before stays in use");
    assert!(said.contains(&format!("--tls-key: {}", identity.path("tls.key").display())), "{said}");

    // Whoever came before all that is still there.
    common::connect(&mut a, 1, &mut b, b_id);
}

#[test]
fn a_certificate_that_cannot_be_used_is_one_clear_sentence() {
    let identity = Identity::new();
    identity.renew();
    let run = |check: bool| {
        let mut command = program();
        command.env("PHANTOM_RELAY_LISTEN_TLS", "127.0.0.1:0");
        command.env("PHANTOM_RELAY_TLS_CERTIFICATE", identity.path("tls.crt"));
        command.env("PHANTOM_RELAY_TLS_KEY", identity.path("tls.key"));
        command.args(check.then_some("--check-config")).output().unwrap()
    };
    let good = run(true);
    assert_eq!((good.status.code(), good.stdout.as_slice()), (Some(0), &b"configuration is good\n"[..]));
    let other = Identity::new();
    other.renew();
    fs::copy(other.path("tls.key"), identity.path("tls.key")).unwrap();
    for check in [true, false] {
        refuses(&run(check), 5, &["PHANTOM_RELAY_TLS_KEY: ", "does not belong to the certificate"]);
    }
    fs::remove_file(identity.path("tls.crt")).unwrap();
    for check in [true, false] {
        refuses(&run(check), 5, &["PHANTOM_RELAY_TLS_CERTIFICATE: ", "tls.crt cannot be read"]);
    }
}

/// A new token: what the client sends, and the line for the file.
fn new_token(name: &str) -> (String, String) {
    let output = program().args(["new-token", name]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let mut values = said.lines().map(|line| line.split_once(':').unwrap().1.trim().to_owned());
    (values.next().unwrap(), values.next().unwrap())
}

#[test]
fn tokens_are_made_and_asked_for_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, manager) = (folder.path().join("tokens"), Manager::new());
    let ((first, first_line), (second, second_line)) = (new_token("first"), new_token("second"));
    assert!(first_line.ends_with(" first") && !first_line.contains(&first), "{first_line}");
    fs::write(&file, &first_line).unwrap();
    let mut command = on_free_port();
    command.arg("--access-tokens").arg(&file).env("NOTIFY_SOCKET", &manager.path);
    let mut relay = Running::start(command.args(["--log-level", "info"]));
    manager.hears("READY=1");
    let dial = |token: &str| {
        let value = format!("Bearer {token}");
        Client::over_with(tcp(relay.address), "/", &[("Authorization", &value)]).map(drop)
    };
    assert_eq!((dial(&first), dial(&second)), (Ok(()), Err(401)));

    fs::write(&file, &second_line).unwrap();
    relay.signal("HUP");
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    assert_eq!((dial(&first), dial(&second)), (Err(401), Ok(())));

    fs::write(&file, "my shopping list").unwrap();
    relay.signal("HUP");
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    assert_eq!((dial(&first), dial(&second)), (Err(401), Ok(())));
    relay.hears("access tokens has been read again");
    relay.hears("the tokens that were read before stay valid");
    for check in [&[][..], &["--check-config"]] {
        let output = on_free_port().arg("--access-tokens").arg(&file).args(check).output().unwrap();
        refuses(&output, 6, &["--access-tokens: line 1 of the token file"]);
    }
}

/// What a service manager hears, message by message.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
        Self { socket, path, _folder: folder }
    }

    /// The next message that has this line.
    fn hears(&self, line: &str) -> String {
        let deadline = Instant::now() + common::PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "{line} does not come");
            let mut buffer = [0; 1024];
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{line}: {error}"));
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if message.lines().any(|found| found == line) {
                return message;
            }
        }
    }
}

#[test]
fn systemd_hears_of_start_reload_and_stop() {
    let manager = Manager::new();
    let relay = Running::start(on_free_port().env("NOTIFY_SOCKET", &manager.path));
    manager.hears("READY=1");
    // It listens already, whoever is started next.
    Client::join(relay.address);
    relay.signal("HUP");
    let message = manager.hears("RELOADING=1");
    let time = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(time.parse::<u64>().unwrap() > 0);
    manager.hears("READY=1");
    relay.signal("TERM");
    manager.hears("STOPPING=1");
    assert_eq!(relay.end(), (Some(0), String::new()));
}

#[test]
fn the_watchdog_is_fed_and_the_status_says_how_many_there_are() {
    let manager = Manager::new();
    let mut command = on_free_port();
    let relay = Running::start(command.env("NOTIFY_SOCKET", &manager.path).env("WATCHDOG_USEC", "100000"));
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    let _client = Client::join(relay.address);
    let message = manager.hears("STATUS=serving; 1 connections");
    assert!(message.contains("WATCHDOG=1\n"), "{message}");
}

#[test]
fn sockets_that_systemd_hands_over_are_used_instead_of_the_settings() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    // Descriptors 3 and 4, as systemd passes them. The address of the settings cannot be listened on.
    let script = format!(
        "exec 3<&0 4<&2 0</dev/null 2>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=listen:phantom-relay.socket \
         exec '{PROGRAM}' --listen 203.0.113.7:1"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(OwnedFd::from(tcp)).stderr(OwnedFd::from(unix));
    let mut relay = Running::spawn(&mut command);
    assert_eq!(relay.address, address);
    let line = relay.next_line();
    assert!(line.starts_with(&format!("phantom-relay listens on unix:{};", path.display())), "{line}");
    Pair::meet(address).exchange(b"inherited");
    UnixStream::connect(&path).unwrap();
    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0));
    assert!(path.exists(), "it belongs to systemd");
}

#[test]
fn a_socket_for_something_else_is_refused_by_name() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!("exec 3<&0; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=shop exec '{PROGRAM}'");
    let output = Command::new("sh").args(["-c", &script]).stdin(OwnedFd::from(tcp)).output().unwrap();
    refuses(&output, 3, &["`shop`", "FileDescriptorName="]);
}
