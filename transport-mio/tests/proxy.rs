//! Clients behind a reverse proxy: it is believed if it is trusted, and otherwise not even heard.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::tls::Identity;
use common::{Client, PATIENCE, await_stats, failures, read_to_end, tcp};
use phantom_core::wire::ClientFrame;
use phantom_mio::{
    ClientAddress, HandshakeFailure, Listener, Refusal, RelayServer, RunningRelay, ServerConfig,
};

const TRUSTED: &str = "127.0.0.1";
const STRANGER: &str = "192.0.2.1";

fn relay(from: ClientAddress, trusted: &str, tls: Option<&Identity>) -> RunningRelay {
    let mut config = ServerConfig::default();
    config.server.handshake_timeout = Duration::from_secs(20);
    config.addresses.from = from;
    config.addresses.trusted_proxies = vec![trusted.parse().unwrap()];
    let mut listener = Listener::tcp("127.0.0.1:0").unwrap();
    if let Some(identity) = tls {
        listener = listener.tls(identity.load());
    }
    RelayServer::with_listeners(vec![listener], config).unwrap().spawn().unwrap()
}

fn said(relay: &RunningRelay, bytes: &[u8]) -> TcpStream {
    let mut socket = tcp(relay.local_addr());
    socket.write_all(bytes).unwrap();
    socket
}

fn v1(address: &str) -> Vec<u8> {
    format!("PROXY TCP4 {address} 10.0.0.1 50000 443\r\n").into_bytes()
}

/// Version 2, with something for the reader to skip.
fn v2(address: [u8; 4]) -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12"[..], &address, &[10, 0, 0, 1, 1, 2, 3, 4], b"\x04\0\x03abc"]
        .concat()
}

/// How many addresses the relay knows of.
fn addresses(relay: &RunningRelay) -> usize {
    relay.handle().stats().addresses
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let relay = relay(ClientAddress::ProxyProtocol, TRUSTED, None);
    let mut clients = Vec::new();
    for (number, header) in [v1("192.0.2.7"), v2([192, 0, 2, 8]), v2([192, 0, 2, 9])].iter().enumerate() {
        let mut client = Client::over(said(&relay, header));
        client.register(1);
        clients.push(client);
        assert_eq!(addresses(&relay), number + 1);
    }
    // The same client as before, although by another version.
    let mut again = Client::over(said(&relay, &v1("192.0.2.9")));
    again.register(1);
    assert_eq!(addresses(&relay), 3);
    for client in &mut clients {
        client.send(ClientFrame::Ping { token: 1 });
        client.frame();
    }
    drop((clients, again));
    await_stats(&relay.handle(), "all are gone", |stats| stats.sockets == 0 && stats.addresses == 0);
}

#[test]
fn a_header_comes_before_tls_in_any_pieces() {
    let identity = Identity::new();
    let relay = relay(ClientAddress::ProxyProtocol, TRUSTED, Some(&identity));
    let header = v2([192, 0, 2, 7]);
    for cut in [0, 1, 12, 16, header.len() - 1] {
        let mut socket = said(&relay, &header[..cut]);
        await_stats(&relay.handle(), "it has come", |stats| stats.sockets == 1);
        socket.write_all(&header[cut..]).unwrap();
        let mut client = Client::over(identity.over(socket));
        client.register(1);
        drop(client);
        await_stats(&relay.handle(), "it is gone", |stats| stats.sockets == 0);
    }
}

#[test]
fn a_header_and_what_follows_may_come_at_once() {
    /// Keeps the header back until there is something behind it.
    struct Together(TcpStream, Vec<u8>);

    impl std::io::Read for Together {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buf)
        }
    }

    impl Write for Together {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let all = [&std::mem::take(&mut self.1)[..], bytes].concat();
            self.0.write_all(&all)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let identity = Identity::new();
    let secure = relay(ClientAddress::ProxyProtocol, TRUSTED, Some(&identity));
    Client::over(identity.over(Together(tcp(secure.local_addr()), v1("192.0.2.7")))).register(1);
    let plain = relay(ClientAddress::ProxyProtocol, TRUSTED, None);
    Client::over(Together(tcp(plain.local_addr()), v2([192, 0, 2, 7]))).register(1);
}

#[test]
fn a_trusted_proxy_that_does_not_say_it_is_refused() {
    let identity = Identity::new();
    for tls in [None, Some(&identity)] {
        let relay = relay(ClientAddress::ProxyProtocol, TRUSTED, tls);
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"\0"] {
            assert_eq!(read_to_end(&mut said(&relay, bytes)), b"");
        }
        for bytes in [&b"PROXY TCP4 nonsense\r\n"[..], &[b'P'; 1], &v2([1; 4])[..20]] {
            let mut socket = said(&relay, bytes);
            socket.write_all(b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n").unwrap();
            drop(socket);
        }
        await_stats(&relay.handle(), "all are gone", |stats| stats.sockets == 0);
        assert_eq!(failures(&relay, HandshakeFailure::NoProxyHeader), 4);
        assert_eq!(failures(&relay, HandshakeFailure::ProxyHeader), 1);
    }
}

#[test]
fn nobody_else_is_believed() {
    let by_header = relay(ClientAddress::ProxyProtocol, STRANGER, None);
    let header_and_end = [v1("192.0.2.7"), b"\r\n".to_vec()].concat();
    let answer = String::from_utf8(read_to_end(&mut said(&by_header, &header_and_end))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    Client::over(tcp(by_header.local_addr())).register(1);

    let by_request = relay(ClientAddress::XForwardedFor, STRANGER, None);
    let clients: Vec<_> = ["192.0.2.7", "192.0.2.8", "nonsense"]
        .iter()
        .map(|claim| {
            let claim = [("x-forwarded-for", *claim)];
            Client::over_with(tcp(by_request.local_addr()), "/", &claim).unwrap()
        })
        .collect();
    assert_eq!(addresses(&by_request), 1);
    drop(clients);
}

#[test]
fn a_request_that_was_forwarded_says_for_whom() {
    let identity = Identity::new();
    let relay = relay(ClientAddress::XForwardedFor, TRUSTED, Some(&identity));
    let ask =
        |headers: &[(&'static str, &str)]| Client::over_with(identity.dial(relay.local_addr()), "/", headers);
    let first = ask(&[("x-forwarded-for", "1.2.3.4, 192.0.2.7")]).unwrap();
    let same = ask(&[("x-forwarded-for", "9.9.9.9"), ("x-forwarded-for", "192.0.2.7, 127.0.0.1")]).unwrap();
    assert_eq!(addresses(&relay), 1);
    let other = ask(&[("x-forwarded-for", "2001:db8::1")]).unwrap();
    assert_eq!(addresses(&relay), 2);
    for headers in [&[][..], &[("x-forwarded-for", "unknown")], &[("x-forwarded-for", "")]] {
        assert_eq!(ask(headers).err(), Some(400));
    }
    assert_eq!(failures(&relay, HandshakeFailure::ForwardedFor), 3);
    drop((first, same, other));
}

#[test]
fn a_unix_socket_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.socket");
    let mut config = ServerConfig::default();
    config.addresses.from = ClientAddress::ProxyProtocol;
    let listeners = vec![Listener::unix(&path).unwrap(), Listener::tcp("127.0.0.1:0").unwrap()];
    let relay = RelayServer::with_listeners(listeners, config).unwrap().spawn().unwrap();
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&v1("192.0.2.7")).unwrap();
    let mut behind = Client::over(socket);
    behind.register(1);
    let _direct = Client::join(relay.local_addr());
    assert_eq!(addresses(&relay), 2);
}

/// Many have a /48, and so as many /64s as they like.
#[test]
fn all_of_a_site_together_have_ten_times_as_much_as_one_address() {
    for (at_once, burst, refusal) in [(2, 1000, Refusal::AddressFull), (1000, 2, Refusal::AddressRate)] {
        let mut config = ServerConfig::default();
        config.addresses.from = ClientAddress::ProxyProtocol;
        config.addresses.trusted_proxies = vec![TRUSTED.parse().unwrap()];
        config.access.connections_per_address = at_once;
        config.access.connection_burst_per_address = burst;
        config.access.connections_per_second_per_address = 1;
        let relay = RelayServer::bind_with("127.0.0.1:0", config).unwrap().spawn().unwrap();
        let from = |address: &str| said(&relay, format!("PROXY TCP6 {address} ::1 1 2\r\n").as_bytes());
        let site: Vec<_> = (0..200).map(|number| from(&format!("2001:db8:1:{number:x}::1"))).collect();
        let stats = await_stats(&relay.handle(), "all are let in or not", |stats| {
            stats.addresses as u64 + common::refusals(&relay, refusal) == 200
        });
        // By its pace it may go on a little, at ten in a second.
        assert!(
            stats.addresses == 20 || stats.addresses > 20 && at_once > 2,
            "{refusal:?}: {}",
            stats.addresses
        );
        Client::over(from("2001:db8:2::1")).register(1);
        drop(site);
    }
}
