//! Who may connect: by address, by origin, by token, and not too many of one address at once.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use common::tls::Identity;
use common::{
    Client, Pair, await_stats, failures, read_to_end, refusals, relay_with, send_quietly, tcp,
    upgrade_request,
};
use phantom_mio::{
    Access, AccessToken, ClientAddress, HandshakeFailure, Listener, Refusal, RelayServer, Reload,
    RunningRelay, ServerConfig, TokenFile,
};
use socket2::{Domain, Socket, Type};

fn relay(change: impl FnOnce(&mut Access)) -> RunningRelay {
    relay_with(|config| change(&mut config.access))
}

fn ask(relay: &RunningRelay, path: &str, headers: &[(&'static str, &str)]) -> Result<Client, u16> {
    Client::over_with(tcp(relay.local_addr()), path, headers)
}

/// A client that comes from this address of the loopback.
fn dial_from(from: [u8; 4], relay: &RunningRelay) -> std::net::TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&relay.local_addr().into()).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    socket.into()
}

/// Whether the relay closes without a word.
fn is_dropped(mut socket: std::net::TcpStream) -> bool {
    send_quietly(&mut socket, upgrade_request("phantom.1").as_bytes());
    read_to_end(&mut socket).is_empty()
}

fn reload(relay: &RunningRelay, change: impl FnOnce(&mut Access)) {
    let mut access = Access::default();
    change(&mut access);
    let mut reload = Reload::default();
    reload.access = Some(access);
    relay.handle().reload(reload);
    let _taken = relay.handle().stats();
}

#[test]
fn an_address_that_may_not_connect_is_dropped_at_once() {
    let relay = relay(|access| access.deny = vec!["127.0.0.2".parse().unwrap()]);
    let mut honest = Pair::meet(relay.local_addr());
    assert!(is_dropped(dial_from([127, 0, 0, 2], &relay)));
    Client::over(dial_from([127, 0, 0, 3], &relay)).register(1);
    assert_eq!(refusals(&relay, Refusal::Denied), 1);

    // Whoever is in stays, although it would not be let in any more.
    reload(&relay, |access| access.allow = vec!["127.0.0.2/31".parse().unwrap()]);
    assert!(is_dropped(tcp(relay.local_addr())));
    Client::over(dial_from([127, 0, 0, 2], &relay)).register(1);
    assert_eq!(refusals(&relay, Refusal::Denied), 2);
    honest.exchange(b"unharmed");
}

#[test]
fn a_token_opens_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let [old, new] = [(); 2].map(|()| AccessToken::draw().unwrap());
    fs::write(&path, format!("# clients\n{} the first\n", old.hash())).unwrap();
    let relay = relay(|access| access.tokens = Some(TokenFile::load(&path).unwrap()));
    let bearer = |token: &AccessToken| format!("Bearer {}", token.reveal());
    let mut by_header = ask(&relay, "/", &[("authorization", &bearer(&old))]).unwrap();
    by_header.register(1);
    let mut by_path = ask(&relay, &format!("/?token={}", old.reveal()), &[]).unwrap();
    by_path.register(1);
    assert_eq!(ask(&relay, "/", &[]).err(), Some(401));
    assert_eq!(ask(&relay, "/?token=guess", &[]).err(), Some(401));
    assert_eq!(ask(&relay, "/", &[("authorization", &bearer(&new))]).err(), Some(401));
    assert_eq!(failures(&relay, HandshakeFailure::Token), 3);
    let mut socket = tcp(relay.local_addr());
    send_quietly(&mut socket, upgrade_request("phantom.1").as_bytes());
    let answer = String::from_utf8(read_to_end(&mut socket)).unwrap();
    assert!(answer.contains("WWW-Authenticate: Bearer\r\n") && answer.contains("needs a token"), "{answer}");

    // A file that cannot be used changes nothing.
    fs::write(&path, "nonsense").unwrap();
    TokenFile::load(&path).unwrap_err();
    ask(&relay, "/", &[("authorization", &bearer(&old))]).unwrap();

    fs::write(&path, format!("{}\n", new.hash())).unwrap();
    reload(&relay, |access| access.tokens = Some(TokenFile::load(&path).unwrap()));
    assert_eq!(ask(&relay, "/", &[("authorization", &bearer(&old))]).err(), Some(401));
    ask(&relay, "/", &[("authorization", &bearer(&new))]).unwrap();
    by_header.send(phantom_core::wire::ClientFrame::Ping { token: 1 });
    by_header.frame();
}

#[test]
fn a_web_page_of_another_origin_is_refused() {
    let relay = relay(|access| {
        access.origins = vec!["https://example.org".parse().unwrap(), "*.example.org".parse().unwrap()];
    });
    for welcome in ["https://example.org", "https://chat.example.org"] {
        ask(&relay, "/", &[("origin", welcome)]).unwrap().register(1);
    }
    ask(&relay, "/", &[]).unwrap().register(1);
    for foreign in ["https://evil.test", "https://example.org.evil.test", "null"] {
        assert_eq!(ask(&relay, "/", &[("origin", foreign)]).err(), Some(403), "{foreign}");
    }
    assert_eq!(failures(&relay, HandshakeFailure::Origin), 3);
}

#[test]
fn one_address_has_so_many_connections_and_others_have_theirs() {
    let relay = relay(|access| access.connections_per_address = 3);
    let mut kept: Vec<_> = (0..3).map(|_| Client::join(relay.local_addr()).0).collect();
    for _ in 0..5 {
        assert!(is_dropped(tcp(relay.local_addr())));
    }
    assert_eq!(refusals(&relay, Refusal::AddressFull), 5);
    Client::over(dial_from([127, 0, 0, 2], &relay)).register(1);
    // A place that is free is given again.
    kept.pop();
    await_stats(&relay.handle(), "one is gone", |stats| stats.relay.connections == 2);
    Client::join(relay.local_addr());
}

#[test]
fn whoever_comes_too_often_has_to_wait() {
    let relay = relay(|access| {
        access.connections_per_second_per_address = 2;
        access.connection_burst_per_address = 3;
    });
    let begin = std::time::Instant::now();
    let _burst: Vec<_> = (0..3).map(|_| Client::join(relay.local_addr())).collect();
    let mut dropped = 0;
    while !is_dropped(tcp(relay.local_addr())) {
        dropped += 1;
        assert!(dropped < 10, "as often as it likes");
    }
    Client::over(dial_from([127, 0, 0, 2], &relay)).register(1);
    // In time it may come again: at two in a second, and no more.
    let mut socket = tcp(relay.local_addr());
    loop {
        send_quietly(&mut socket, upgrade_request("phantom.1").as_bytes());
        let mut answer = [0; 12];
        if std::io::Read::read_exact(&mut socket, &mut answer).is_ok() {
            break;
        }
        socket = tcp(relay.local_addr());
        assert!(begin.elapsed() < common::PATIENCE);
    }
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
    assert!(refusals(&relay, Refusal::AddressRate) > 0);
}

#[test]
fn behind_a_proxy_the_client_is_judged_and_not_the_proxy() {
    let identity = Identity::new();
    let start = |from, tls: bool| {
        let mut config = ServerConfig::default();
        config.addresses.from = from;
        config.addresses.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.access.deny = vec!["192.0.2.1".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
        config.access.connections_per_address = 1;
        let listener = Listener::tcp("127.0.0.1:0").unwrap();
        let listener = if tls { listener.tls(identity.load()) } else { listener };
        RelayServer::with_listeners(vec![listener], config).unwrap().spawn().unwrap()
    };
    let by_request = start(ClientAddress::XForwardedFor, false);
    let ask = |address: &str| ask(&by_request, "/", &[("x-forwarded-for", address)]);
    assert_eq!(ask("192.0.2.1").err(), Some(403));
    let _first = ask("192.0.2.2").unwrap();
    assert_eq!(ask("192.0.2.2").err(), Some(429));
    let _other = ask("192.0.2.3").unwrap();
    assert_eq!(refusals(&by_request, Refusal::AddressFull), 1);

    for tls in [false, true] {
        let by_header = start(ClientAddress::ProxyProtocol, tls);
        let say = |address: &str| {
            let mut socket = tcp(by_header.local_addr());
            send_quietly(&mut socket, format!("PROXY TCP4 {address} 10.0.0.1 1 2\r\n").as_bytes());
            socket
        };
        assert_eq!(read_to_end(&mut say("192.0.2.1")), b"");
        let _first = if tls {
            Client::over(identity.over(say("192.0.2.2"))).register(1);
            None
        } else {
            let mut client = Client::over(say("192.0.2.2"));
            client.register(1);
            Some(client)
        };
        assert_eq!(refusals(&by_header, Refusal::Denied), 1);
        if !tls {
            assert_eq!(read_to_end(&mut say("192.0.2.2")), b"");
            assert_eq!(refusals(&by_header, Refusal::AddressFull), 1);
        }
    }
}
