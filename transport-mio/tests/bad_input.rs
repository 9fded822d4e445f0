//! Whatever a client sends, it ends at most its own connection, with the code that is documented, in bounded time.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::time::Duration;

use common::{
    Client, Pair, await_stats, forward, masked, read_to_end, relay, relay_with, send_quietly, tcp,
    upgrade_request,
};
use phantom_core::id::PeerId;
use phantom_core::wire::{ClientFrame, FRAME_MAX, VERSION};
use phantom_mio::{CloseCode, HandshakeFailure};
use tungstenite::Message;

fn connect_to_nobody(request: u32) -> Vec<u8> {
    let target = PeerId::from_bytes(*b"nobody").unwrap();
    ClientFrame::Connect { request, target, nonce: [0; 16] }.encode().to_vec()
}

/// What a client sends, as raw bytes, and the code it is closed with.
fn frames_of_a_stranger() -> Vec<(&'static str, Vec<u8>, CloseCode)> {
    let binary = |payload: &[u8]| masked(0x82, payload);
    let register = |version, channels| ClientFrame::Register { version, channels }.encode().to_vec();
    vec![
        ("an empty frame", binary(b""), CloseCode::Malformed),
        ("a truncated REGISTER", binary(&register(VERSION, 1)[..2]), CloseCode::Malformed),
        ("a lengthened REGISTER", binary(&[&register(VERSION, 1)[..], b"x"].concat()), CloseCode::Malformed),
        ("no channels", binary(&register(VERSION, 0)), CloseCode::Malformed),
        ("an unknown kind", binary(&[0x7f, 1, 2]), CloseCode::UnknownFrame),
        ("a frame of the relay's", binary(&[0x81; 19]), CloseCode::UnknownFrame),
        ("a frame that is too long", binary(&vec![0x20; FRAME_MAX + 1]), CloseCode::TooLarge),
        ("a length of 2^62", b"\x82\xff\x40\0\0\0\0\0\0\0\x01\x02\x03\x04".to_vec(), CloseCode::TooLarge),
        (
            "fragments without end",
            [masked(0x02, &vec![0; FRAME_MAX]), masked(0, b"x")].concat(),
            CloseCode::TooLarge,
        ),
        ("text", masked(0x81, b"hello"), CloseCode::NotBinary),
        ("text that is no UTF-8", masked(0x81, b"\xff\xfe"), CloseCode::NotBinary),
        ("CONNECT before REGISTER", binary(&connect_to_nobody(1)), CloseCode::NotRegistered),
        ("PING before REGISTER", binary(&ClientFrame::Ping { token: 1 }.encode()), CloseCode::NotRegistered),
        ("FORWARD before REGISTER", binary(&forward(0x100, b"x")), CloseCode::NotRegistered),
        ("another version", binary(&register(9, 1)), CloseCode::VersionUnsupported),
        ("an unmasked frame", b"\x82\x03\x01\x01\x01".to_vec(), CloseCode::Malformed),
        ("a reserved bit", masked(0xf2, b"x"), CloseCode::Malformed),
        ("a reserved opcode", masked(0x8b, b"x"), CloseCode::Malformed),
        ("a continuation of nothing", masked(0x80, b"x"), CloseCode::Malformed),
        ("a ping in fragments", masked(0x09, b"x"), CloseCode::Malformed),
    ]
}

/// The same for a client that has registered.
fn frames_of_a_member() -> Vec<(&'static str, Vec<u8>, CloseCode)> {
    let binary = |payload: &[u8]| masked(0x82, payload);
    let register = ClientFrame::Register { version: VERSION, channels: 1 }.encode();
    vec![
        ("a second REGISTER", binary(&register), CloseCode::AlreadyRegistered),
        ("a FORWARD without payload", binary(&forward(0x100, b"")), CloseCode::Malformed),
        (
            "a request number used twice",
            [connect_to_nobody(5), connect_to_nobody(5)].iter().flat_map(|f| binary(f)).collect(),
            CloseCode::Violation,
        ),
    ]
}

#[test]
fn each_ends_its_own_connection_with_its_code() {
    let relay = relay();
    let mut honest = Pair::meet(relay.local_addr());
    let mut counted = std::collections::BTreeMap::new();
    let strangers = frames_of_a_stranger().into_iter().map(|case| (case, false));
    let members = frames_of_a_member().into_iter().map(|case| (case, true));
    for ((what, bytes, code), joined) in strangers.chain(members) {
        let mut client =
            if joined { Client::join(relay.local_addr()).0 } else { Client::dial(relay.local_addr()) };
        send_quietly(client.raw(), &bytes);
        assert_eq!(client.close_code(), code, "{what}");
        client.ends();
        honest.exchange(what.as_bytes());
        *counted.entry(code).or_insert(0) += 1;
    }
    let stats = await_stats(&relay.handle(), "they are gone", |stats| stats.sockets == 2);
    assert_eq!(stats.relay.closed, counted);
}

#[test]
fn a_frame_for_no_channel_is_dropped_and_counted() {
    let relay = relay();
    let mut honest = Pair::meet(relay.local_addr());
    let (mut client, _) = Client::join(relay.local_addr());
    for channel in [0, 0x100, honest.a_channel, u32::MAX] {
        client.send_bytes(&forward(channel, b"for somebody else"));
    }
    client.send(ClientFrame::Ping { token: 1 });
    client.frame();
    assert_eq!(relay.handle().stats().relay.frames_dropped, 4);
    honest.exchange(b"unharmed");
}

#[test]
fn what_is_no_websocket_of_ours_gets_an_http_answer_and_is_counted() {
    use HandshakeFailure as Failure;
    let relay = relay();
    let mut honest = Pair::meet(relay.local_addr());
    let random: Vec<u8> = (0..4000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(9000));
    let client_hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[7; 500]].concat();
    for (bytes, status, failure) in [
        (upgrade_request("chat").as_bytes(), "HTTP/1.1 400 ", Failure::Subprotocol),
        (upgrade_request("phantom.2, phantom").as_bytes(), "HTTP/1.1 400 ", Failure::Subprotocol),
        (b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "HTTP/1.1 426 ", Failure::PlainHttp),
        (b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 ", Failure::Method),
        (long.as_bytes(), "HTTP/1.1 431 ", Failure::TooLarge),
        (&random, "HTTP/1.1 400 ", Failure::NotHttp),
        (b"SSH-2.0-OpenSSH_9.7\r\n\r\n", "HTTP/1.1 400 ", Failure::NotHttp),
        (&client_hello, "", Failure::Tls),
    ] {
        let before = relay.handle().stats().handshake_failures.get(&failure).copied().unwrap_or(0);
        let mut socket = tcp(relay.local_addr());
        send_quietly(&mut socket, bytes);
        let answer = String::from_utf8(read_to_end(&mut socket)).unwrap();
        if status.is_empty() {
            assert_eq!(answer, "", "{failure:?}");
        } else {
            assert!(answer.starts_with(status), "{failure:?}: {answer}");
            assert!(answer.ends_with(".\n"), "a sentence: {answer}");
        }
        let stats = relay.handle().stats();
        assert_eq!(stats.handshake_failures.get(&failure), Some(&(before + 1)), "{failure:?}");
        honest.exchange(b"unharmed");
    }
}

#[test]
fn whoever_says_nothing_or_half_is_ended_in_time() {
    let relay = relay_with(|config| {
        config.server.handshake_timeout = Duration::from_millis(200);
        config.relay.register_timeout = Duration::from_millis(200);
    });
    let mut honest = Pair::meet(relay.local_addr());
    let mut silent = tcp(relay.local_addr());
    let mut half = tcp(relay.local_addr());
    half.write_all(b"GET / HTTP/1.1\r\nHost: rel").unwrap();
    let mut stranger = Client::dial(relay.local_addr());
    assert_eq!(read_to_end(&mut silent), b"");
    assert_eq!(read_to_end(&mut half), b"");
    assert_eq!(stranger.close_code(), CloseCode::RegisterTimeout);
    assert_eq!(relay.handle().stats().handshake_failures[&HandshakeFailure::Timeout], 2);
    honest.exchange(b"unharmed");
}

#[test]
fn a_member_that_falls_silent_is_ended_and_one_that_pings_is_not() {
    let relay = relay_with(|config| config.relay.idle_timeout = Duration::from_millis(400));
    let (mut silent, _) = Client::join(relay.local_addr());
    let (mut lively, _) = Client::join(relay.local_addr());
    lively.raw().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let ended = std::thread::spawn(move || silent.close_code());
    let mut token = 0;
    while !ended.is_finished() {
        token += 1;
        lively.send(ClientFrame::Ping { token });
        // Waits for a while, in which nothing else comes.
        while lively.socket.read().is_ok() {}
    }
    assert_eq!(ended.join().unwrap(), CloseCode::Idle);
    assert_eq!(relay.handle().stats().relay.connections, 1);
}

#[test]
fn the_oldest_of_too_many_handshakes_gives_way() {
    let relay = relay_with(|config| config.server.handshakes_max = 2);
    let mut silent: Vec<_> = (0..3).map(|_| tcp(relay.local_addr())).collect();
    assert_eq!(read_to_end(&mut silent[0]), b"");
    let mut honest = Pair::meet(relay.local_addr());
    honest.exchange(b"unharmed");
    // One made room for the third, one for an honest client.
    assert_eq!(relay.handle().stats().handshake_failures[&HandshakeFailure::Crowded], 2);
}

#[test]
fn a_client_that_vanishes_takes_nobody_with_it() {
    let relay = relay();
    let mut honest = Pair::meet(relay.local_addr());
    for _ in 0..50 {
        let (mut client, _) = Client::join(relay.local_addr());
        client.socket.write(Message::binary(connect_to_nobody(1))).unwrap();
        drop(client);
        drop(tcp(relay.local_addr()));
    }
    honest.exchange(b"unharmed");
    let stats = await_stats(&relay.handle(), "they are gone", |stats| stats.sockets == 2);
    assert_eq!((stats.lost, stats.handshake_failures[&HandshakeFailure::Gone]), (50, 50));
}
