//! Clients by TLS: as any other client, and whoever does not speak it is told so and counted.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use common::tls::{Identity, renew, stream, trusting};
use common::{Client, await_stats, connect, failures, forward, masked, read_to_end, tcp, upgrade_request};
use phantom_core::wire::{ClientFrame, FRAME_MAX};
use phantom_mio::{
    CloseCode, HandshakeFailure, Listener, LocalAddress, RelayServer, Reload, RunningRelay, ServerConfig,
    TlsConfig,
};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion};
use tungstenite::Message;

fn relay(identity: &Identity) -> RunningRelay {
    relay_with(identity, |_| {})
}

fn relay_with(identity: &Identity, change: impl FnOnce(&mut ServerConfig)) -> RunningRelay {
    let mut config = ServerConfig::default();
    config.server.close_linger = Duration::from_millis(300);
    change(&mut config);
    let listener = Listener::tcp("127.0.0.1:0").unwrap().tls(identity.load());
    RelayServer::with_listeners(vec![listener], config).unwrap().spawn().unwrap()
}

#[test]
fn both_versions_and_every_kind_of_key_carry_every_length() {
    for identity in [
        Identity::new(),
        Identity::stored("rsa.pem", "rsa-pkcs1.key"),
        Identity::stored("ec.pem", "ec-sec1.key"),
        Identity::stored("ed25519.pem", "ed25519.key"),
    ] {
        let relay = relay(&identity);
        assert_eq!(relay.url(), format!("wss://{}", relay.local_addr()));
        for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
            let alpn = identity.client(&[version], &["h2", "http/1.1"]);
            let mut a = Client::over(stream(relay.local_addr(), alpn));
            let session = &a.socket.get_ref().conn;
            assert_eq!(session.protocol_version(), Some(number));
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            a.register(1);
            let (mut b, b_id) = identity.join(relay.local_addr());
            let (a_channel, b_channel) = connect(&mut a, 1, &mut b, b_id);
            for len in [FRAME_MAX - 5].into_iter().chain(1..200).chain([16_384, 30_000]) {
                let payload: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
                a.socket.write(Message::binary(forward(a_channel, &payload))).unwrap();
                a.socket.flush().unwrap();
            }
            for len in [FRAME_MAX - 5].into_iter().chain(1..200).chain([16_384, 30_000]) {
                assert_eq!(b.payload(b_channel).len(), len);
            }
            b.send_bytes(&forward(b_channel, b"and back"));
            assert_eq!(a.payload(a_channel), b"and back");
        }
    }
}

#[test]
fn plain_and_tls_clients_of_one_relay_meet() {
    let identity = Identity::new();
    let listeners = vec![
        Listener::tcp("127.0.0.1:0").unwrap(),
        Listener::tcp("127.0.0.1:0").unwrap().tls(identity.load()),
    ];
    let relay = RelayServer::with_listeners(listeners, ServerConfig::default()).unwrap();
    let [plain, secure] = [0, 1].map(|n| LocalAddress::tcp(&relay.local_addrs()[n]).unwrap());
    let relay = relay.spawn().unwrap();
    assert_eq!(relay.url(), format!("ws://{plain}"));
    let (mut a, _) = Client::join(plain);
    let (mut b, b_id) = identity.join(secure);
    let (a_channel, b_channel) = connect(&mut a, 1, &mut b, b_id);
    a.send_bytes(&forward(a_channel, b"over the fence"));
    assert_eq!(b.payload(b_channel), b"over the fence");
}

#[test]
fn a_session_is_resumed_and_no_early_data_is_taken() {
    let identity = Identity::new();
    let relay = relay(&identity);
    for version in [&TLS12, &TLS13] {
        let mut config = Arc::unwrap_or_clone(identity.client(&[version], &[]));
        config.enable_early_data = true;
        let config = Arc::new(config);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = stream(relay.local_addr(), config.clone());
            assert!(stream.conn.early_data().is_none());
            let mut client = Client::over(&mut stream);
            client.register(1);
            drop(client);
            assert_eq!(stream.conn.handshake_kind(), Some(kind), "{version:?}");
        }
    }
}

#[test]
fn a_close_of_either_side_is_said_in_tls_too() {
    let identity = Identity::new();
    let relay = relay(&identity);
    let (mut theirs, _) = identity.join(relay.local_addr());
    theirs.socket.close(None).unwrap();
    let (mut ours, _) = identity.join(relay.local_addr());
    ours.send(ClientFrame::Register { version: 1, channels: 1 });
    let code = ours.close_code();
    assert_eq!(code, CloseCode::AlreadyRegistered);
    for mut client in [theirs, ours] {
        while client.socket.read().is_ok() {}
        // Anything but close_notify would be an error here.
        assert_eq!(client.socket.get_mut().read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(await_stats(&relay.handle(), "both are gone", |stats| stats.sockets == 0).closed_by_client, 1);
}

#[test]
fn whoever_vanishes_is_lost_whether_it_says_so_in_tls_or_not() {
    let identity = Identity::new();
    let relay = relay(&identity);
    for (n, clean) in [(1, true), (2, false)] {
        let (mut client, _) = identity.join(relay.local_addr());
        let stream = client.socket.get_mut();
        if clean {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            await_stats(&relay.handle(), "it is gone", |stats| stats.lost == n);
        }
        drop(client);
        await_stats(&relay.handle(), "it is gone", |stats| stats.lost == n && stats.sockets == 0);
    }
}

#[test]
fn what_is_no_tls_is_answered_and_counted() {
    let identity = Identity::new();
    let relay = relay(&identity);
    let (mut honest, _) = identity.join(relay.local_addr());
    let websocket = upgrade_request("phantom.1");
    for request in ["GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "POST /x HTTP/1.1\r\n\r\n", &websocket] {
        let mut socket = tcp(relay.local_addr());
        socket.write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(read_to_end(&mut socket)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("wss://"), "{answer}");
    }
    assert_eq!(failures(&relay, HandshakeFailure::PlainOnTls), 3);
    let garbage: Vec<u8> = (0..4000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    let half_true = [&b"\x16\x03\x01\x00\x10\x01\x00\x00\x0c"[..], &[0xff; 100]].concat();
    let websocket = masked(0x82, b"frame");
    for bytes in [&garbage, &half_true, &websocket, &b"\x15\x03\x03\x00\x02\x02\x28".to_vec()] {
        let mut socket = tcp(relay.local_addr());
        socket.write_all(bytes).unwrap();
        let answer = read_to_end(&mut socket);
        // An alert, unless what came was one.
        assert!(answer.is_empty() || answer[0] == 0x15, "{answer:x?}");
    }
    assert_eq!(failures(&relay, HandshakeFailure::TlsFailed), 4);
    // Nothing in common: an application protocol of another kind.
    let mut other = stream(relay.local_addr(), identity.client(&[&TLS13], &["h2"]));
    assert!(
        other.write_all(b"PRI").and_then(|()| other.flush()).and_then(|()| other.read(&mut [0])).is_err()
    );
    assert_eq!(failures(&relay, HandshakeFailure::TlsFailed), 5);
    honest.send(ClientFrame::Ping { token: 1 });
    honest.frame();
    await_stats(&relay.handle(), "they are gone", |stats| stats.sockets == 1);
}

#[test]
fn garbage_in_an_open_connection_ends_that_connection() {
    let identity = Identity::new();
    let relay = relay(&identity);
    let (mut honest, _) = identity.join(relay.local_addr());
    let (mut client, _) = identity.join(relay.local_addr());
    client.socket.get_mut().sock.write_all(&[0x17, 3, 3, 0, 30, 1, 2, 3]).unwrap();
    client.socket.get_mut().sock.write_all(&[9; 27]).unwrap();
    await_stats(&relay.handle(), "it is gone", |stats| stats.lost == 1 && stats.sockets == 1);
    honest.send(ClientFrame::Ping { token: 1 });
    honest.frame();
}

#[test]
fn a_handshake_that_stalls_anywhere_is_ended_in_time() {
    let identity = Identity::new();
    let relay = relay_with(&identity, |config| config.server.handshake_timeout = Duration::from_millis(300));
    let mut hello = Vec::new();
    let mut session =
        ClientConnection::new(identity.client(&[&TLS13], &[]), "relay.example".try_into().unwrap()).unwrap();
    session.write_tls(&mut hello).unwrap();
    let mut silent: Vec<_> = [0, 1, hello.len() / 2, hello.len()]
        .iter()
        .map(|&said| {
            let mut socket = tcp(relay.local_addr());
            socket.write_all(&hello[..said]).unwrap();
            socket
        })
        .collect();
    let mut no_request = identity.dial(relay.local_addr());
    no_request.write_all(b"GET / HT").unwrap();
    no_request.flush().unwrap();
    silent.iter_mut().for_each(|socket| {
        read_to_end(socket);
    });
    read_to_end(&mut no_request.sock);
    assert_eq!(failures(&relay, HandshakeFailure::Timeout), 5);
}

#[test]
fn a_slow_receiver_holds_up_its_sender_and_gets_everything() {
    const FRAMES: usize = 400;
    let identity = Identity::new();
    let relay = relay(&identity);
    let (mut a, _) = identity.join(relay.local_addr());
    let (mut b, b_id) = identity.join(relay.local_addr());
    let (a_channel, b_channel) = connect(&mut a, 1, &mut b, b_id);
    let payload = vec![7; 60_000];
    let sending = std::thread::spawn(move || {
        for _ in 0..FRAMES {
            a.send_bytes(&forward(a_channel, &payload));
        }
        a
    });
    let stats = await_stats(&relay.handle(), "the sender is held up", |stats| stats.held_up > 0);
    assert!(stats.outbox_bytes_peak <= 2 * 1024 * 1024 + FRAME_MAX + 10, "{stats:?}");
    for _ in 0..FRAMES {
        assert_eq!(b.payload(b_channel).len(), 60_000);
    }
    let mut a = sending.join().unwrap();
    b.send_bytes(&forward(b_channel, b"thanks"));
    assert_eq!(a.payload(a_channel), b"thanks");
}

#[test]
fn a_new_certificate_serves_new_connections_and_drops_nobody() {
    let mut identity = Identity::new();
    let relay = relay(&identity);
    let (mut old, _) = identity.join(relay.local_addr());
    let half_way = identity.dial(relay.local_addr());
    await_stats(&relay.handle(), "the second one is there", |stats| stats.accepted == 2);

    let outdated = identity.certificate.clone();
    identity.certificate = renew(&identity.files);
    let mut reload = Reload::default();
    reload.tls = Some(identity.load());
    relay.handle().reload(reload);
    let _taken = relay.handle().stats();
    let (mut new, new_id) = identity.join(relay.local_addr());
    let mut distrusted = stream(relay.local_addr(), trusting(&outdated, &[&TLS13], &[]));
    distrusted.write_all(b"GET / ").and_then(|()| distrusted.flush()).unwrap_err();

    // A file that cannot be used changes nothing.
    fs::write(&identity.files.key, "nonsense").unwrap();
    TlsConfig::load(&identity.files).unwrap_err();
    let _also_new = Client::over(stream(relay.local_addr(), identity.client(&[&TLS13], &[])));

    let mut half_way = Client::over(half_way);
    half_way.register(1);
    let (there, here) = connect(&mut old, 1, &mut new, new_id);
    old.send_bytes(&forward(there, b"still here"));
    assert_eq!(new.payload(here), b"still here");
    let stats = relay.handle().stats();
    assert_eq!((stats.lost, stats.open, stats.plain), (0, 4, 0), "{stats:?}");
    assert!(stats.certificate_not_after > Some(4_000_000_000), "{stats:?}");
}

#[test]
fn stopping_says_goodbye_by_tls() {
    let identity = Identity::new();
    let relay = relay(&identity);
    let (mut client, _) = identity.join(relay.local_addr());
    let stopping = std::thread::spawn(move || relay.stop());
    assert_eq!(client.close_code(), CloseCode::GoingAway);
    let _sent = client.socket.flush();
    while client.socket.read().is_ok() {}
    assert_eq!(client.socket.get_mut().read(&mut [0]).unwrap(), 0);
    let _gone = client.socket.get_mut().sock.shutdown(Shutdown::Both);
    stopping.join().unwrap().unwrap();
}
