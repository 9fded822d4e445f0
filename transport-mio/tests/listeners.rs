//! A relay listens in several places at once, takes none that is not free, and leaves nothing behind.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use common::{Client, PATIENCE, connect, forward, relay, tcp};
use phantom_mio::{Listener, LocalAddress, RelayServer, RunningRelay, ServerConfig, StartError};

fn unix(path: &Path) -> UnixStream {
    let socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn run(listeners: Vec<Listener>) -> RunningRelay {
    RelayServer::with_listeners(listeners, ServerConfig::default()).unwrap().spawn().unwrap()
}

/// Whether this machine has IPv6 on its loopback.
fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn clients_of_every_listener_meet_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.socket");
    let listeners = vec![
        Listener::unix(&path).unwrap(),
        Listener::tcp("127.0.0.1:0").unwrap(),
        Listener::tcp("127.0.0.2:0").unwrap(),
    ];
    let relay = RelayServer::with_listeners(listeners, ServerConfig::default()).unwrap();
    let [LocalAddress::Unix(file), LocalAddress::Tcp(first), LocalAddress::Tcp(second)] = relay.local_addrs()
    else {
        panic!("{:?}", relay.local_addrs())
    };
    let (first, second) = (*first, *second);
    assert_eq!((file, relay.local_addr()), (&path, first));
    assert_eq!(relay.local_addrs()[0].to_string(), format!("unix:{}", path.display()));
    let relay = relay.spawn().unwrap();
    let mut local = Client::over(unix(&path));
    let local_id = local.register(2).id;
    for address in [first, second] {
        let (mut remote, _) = Client::join(address);
        let (there, here) = connect(&mut remote, 1, &mut local, local_id);
        remote.send_bytes(&forward(there, b"from afar"));
        assert_eq!(local.payload(here), b"from afar");
    }
    relay.stop().unwrap();
    assert!(!path.exists(), "the file is left behind");
}

#[test]
fn both_families_stand_side_by_side_on_one_port() {
    if !has_ipv6() {
        eprintln!("no IPv6 on this machine: not tested");
        return;
    }
    let four = Listener::tcp("0.0.0.0:0").unwrap();
    let port = four.local_address().tcp().unwrap().port();
    let six = Listener::tcp(("::", port)).unwrap();
    let _relay = run(vec![four, six]);
    Client::join(SocketAddr::from(([127, 0, 0, 1], port)));
    Client::join(format!("[::1]:{port}").parse().unwrap());
}

#[test]
fn what_somebody_listens_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.socket");
    let _busy = UnixListener::bind(&path).unwrap();
    let error = Listener::unix(&path).unwrap_err();
    assert!(matches!(&error, StartError::ListenUnix { source, .. } if source.kind() == ErrorKind::AddrInUse));
    assert!(error.to_string().starts_with(&format!("unix:{} is in use", path.display())), "{error}");
    UnixStream::connect(&path).expect("it is still listened on");

    let running = relay();
    let error = Listener::tcp(running.local_addr()).unwrap_err();
    assert!(matches!(error, StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse));
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_other_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let relay = run(vec![Listener::unix(&path).unwrap()]);
    Client::over(unix(&path)).register(1);
    drop(relay);

    fs::write(&path, "precious").unwrap();
    let error = Listener::unix(&path).unwrap_err();
    assert!(error.to_string().contains("is no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let nowhere = folder.path().join("missing/relay.socket");
    let error = Listener::unix(&nowhere).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[test]
fn only_its_own_file_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.socket");
    let relay = run(vec![Listener::unix(&path).unwrap()]);
    fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    drop(relay);
    UnixStream::connect(&path).expect("the successor's file is still there");
}

#[test]
fn sockets_that_listen_already_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.socket");
    let inherited = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = inherited.local_addr().unwrap();
    // Whoever connects before the relay runs is served when it does.
    let early = tcp(address);
    let relay = run(vec![
        Listener::from_tcp(inherited).unwrap(),
        Listener::from_unix(UnixListener::bind(&path).unwrap()).unwrap(),
    ]);
    Client::over(early).register(1);
    Client::over(unix(&path)).register(1);
    relay.stop().unwrap();
    assert!(path.exists(), "the file belongs to whoever made it");
}

#[test]
fn a_relay_that_listens_nowhere_is_not_made() {
    assert!(matches!(
        RelayServer::with_listeners(Vec::new(), ServerConfig::default()),
        Err(StartError::Address(_))
    ));
}
