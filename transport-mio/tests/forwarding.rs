//! Frames arrive as they were sent, whatever the portions they travel in.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::sync::mpsc;
use std::thread;

use common::{Client, Pair, forward, masked, read_to_end, relay, relay_with, tcp, upgrade_request};
use phantom_core::wire::{Answer, ClientFrame, ForwardHeader, PAYLOAD_MAX, RelayFrame, VERSION};
use phantom_mio::RelayServer;
use tungstenite::Message;

#[test]
fn two_clients_meet_and_every_length_passes() {
    let relay = relay();
    let mut pair = Pair::meet(relay.local_addr());
    for len in [1, 2, 100, 119, 120, 121, 125, 126, 4091, 65_530, 65_531, PAYLOAD_MAX] {
        let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        pair.exchange(&payload);
    }
    let stats = relay.handle().stats();
    assert_eq!((stats.relay.channels, stats.relay.frames_forwarded, stats.outbox_bytes), (1, 24, 0));
}

#[test]
fn a_client_that_sends_byte_by_byte_is_understood() {
    let relay = relay();
    let (mut honest, honest_id) = Client::join(relay.local_addr());
    let mut slow = tcp(relay.local_addr());
    let dribble = |socket: &mut std::net::TcpStream, bytes: &[u8]| {
        for byte in bytes {
            socket.write_all(&[*byte]).unwrap();
        }
    };
    dribble(&mut slow, upgrade_request("phantom.1").as_bytes());
    dribble(&mut slow, &masked(0x82, &ClientFrame::Register { version: VERSION, channels: 1 }.encode()));
    let connect = ClientFrame::Connect { request: 1, target: honest_id, nonce: [7; 16] };
    dribble(&mut slow, &masked(0x82, &connect.encode()));
    let RelayFrame::Incoming { request, nonce, .. } = honest.frame() else { panic!() };
    assert_eq!(nonce, [7; 16]);
    honest.send(ClientFrame::Accept { request, nonce: [8; 16] });
    let RelayFrame::Opened { channel, .. } = honest.frame() else { panic!() };
    // The first channel of any client has this number; the slow one does not read.
    dribble(&mut slow, &masked(0x82, &forward(0x100, b"drop by drop")));
    assert_eq!(honest.payload(channel), b"drop by drop");
}

#[test]
fn a_handshake_and_many_messages_in_one_segment_are_all_handled() {
    let relay = relay();
    let mut socket = tcp(relay.local_addr());
    let mut bytes = upgrade_request("phantom.1").into_bytes();
    bytes.extend(masked(0x82, &ClientFrame::Register { version: VERSION, channels: 1 }.encode()));
    for token in 0..500 {
        bytes.extend(masked(0x82, &ClientFrame::Ping { token }.encode()));
    }
    bytes.extend(masked(0x89, b"a ping of the WebSocket layer"));
    bytes.extend(masked(0x88, &1000u16.to_be_bytes()));
    socket.write_all(&bytes).unwrap();
    let answer = read_to_end(&mut socket);
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let mut rest = &answer[body..];
    let mut frames = Vec::new();
    while let [kind, len, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(usize::from(*len));
        frames.push((*kind, payload.to_vec()));
        rest = tail;
    }
    assert!(matches!(RelayFrame::decode(&frames[0].1), Ok(RelayFrame::Hello { .. })));
    assert!(matches!(RelayFrame::decode(&frames[1].1), Ok(RelayFrame::Welcome(_))));
    let pongs: Vec<_> = frames[2..502].iter().map(|(_, bytes)| RelayFrame::decode(bytes).unwrap()).collect();
    assert!((0..).zip(&pongs).all(|(token, pong)| *pong == RelayFrame::Pong { token }));
    assert_eq!(frames[502], (0x8a, b"a ping of the WebSocket layer".to_vec()));
    assert_eq!(frames[503..], [(0x88, 1000u16.to_be_bytes().to_vec())]);
}

#[test]
fn a_burst_larger_than_a_turn_arrives_in_order_in_both_directions() {
    let relay = relay_with(|config| config.server.read_bytes_per_turn = 4096);
    let Pair { mut a, mut b, a_channel, b_channel } = Pair::meet(relay.local_addr());
    let payload = |number: u32| {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(4 + (number as usize * 37) % 3000, 0x5a);
        payload
    };
    let senders = [(&a, a_channel), (&b, b_channel)].map(|(client, channel)| {
        let mut socket = client.socket.get_ref().try_clone().unwrap();
        thread::spawn(move || {
            let burst: Vec<u8> =
                (0..3000).flat_map(|n| masked(0x82, &forward(channel, &payload(n)))).collect();
            socket.write_all(&burst).unwrap();
        })
    });
    let reader = thread::spawn(move || (0..3000).for_each(|n| assert_eq!(b.payload(b_channel), payload(n))));
    (0..3000).for_each(|n| assert_eq!(a.payload(a_channel), payload(n)));
    reader.join().unwrap();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

/// Nearly every read ends within a frame, whose rest is read in the same turn, or finds no room there, or has not come yet.
#[test]
fn long_frames_arrive_and_every_byte_is_counted() {
    let relay = relay_with(|config| config.server.read_bytes_per_turn = 40_000);
    let Pair { a, mut b, a_channel, b_channel } = Pair::meet(relay.local_addr());
    let payload = |number: usize| vec![number as u8; 20_000 + (number * 7919) % 45_000];
    let burst: Vec<u8> = (0..200).flat_map(|n| masked(0x82, &forward(a_channel, &payload(n)))).collect();
    let before = relay.handle().stats().bytes_received;
    let sent = burst.len() as u64;
    let mut socket = a.socket.get_ref().try_clone().unwrap();
    let writer = thread::spawn(move || socket.write_all(&burst).unwrap());
    (0..200).for_each(|n| assert!(b.payload(b_channel) == payload(n), "number {n}"));
    writer.join().unwrap();
    assert_eq!(relay.handle().stats().bytes_received - before, sent);
}

#[test]
fn a_fragmented_message_is_one_frame() {
    let relay = relay();
    let mut pair = Pair::meet(relay.local_addr());
    let header = ForwardHeader { channel: pair.a_channel }.to_bytes();
    pair.a.raw().write_all(&masked(0x02, &header[..3])).unwrap();
    pair.a.raw().write_all(&masked(0x89, b"between")).unwrap();
    pair.a.raw().write_all(&masked(0x00, &header[3..])).unwrap();
    pair.a.raw().write_all(&masked(0x80, b"whole")).unwrap();
    assert_eq!(pair.b.payload(pair.b_channel), b"whole");
}

#[test]
fn a_close_is_answered_and_the_other_end_is_told() {
    let relay = relay();
    let Pair { mut a, mut b, b_channel, .. } = Pair::meet(relay.local_addr());
    a.socket.close(None).unwrap();
    a.ends();
    let reason = phantom_core::wire::Ended::Detached;
    assert_eq!(b.frame(), RelayFrame::Closed { channel: b_channel, reason });
    drop(b);
    let stats = common::await_stats(&relay.handle(), "both are gone", |stats| stats.sockets == 0);
    assert_eq!((stats.closed_by_client, stats.lost, stats.relay.connections), (1, 1, 0));
}

#[test]
fn stop_tells_everybody_and_ends_promptly() {
    let relay = RelayServer::bind("127.0.0.1:0").unwrap();
    let (address, handle) = (relay.local_addr(), relay.handle());
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || done.send(relay.run().map_err(|error| error.to_string())).unwrap());
    let mut pair = Pair::meet(address);
    handle.stop();
    for client in [&mut pair.a, &mut pair.b] {
        assert_eq!(client.frame(), RelayFrame::Drain { after_ms: 1000 });
        assert_eq!(client.close_code().to_wire(), 1001);
    }
    let Pair { a, b, .. } = pair;
    a.ends();
    b.ends();
    assert_eq!(ended.recv_timeout(common::PATIENCE).unwrap(), Ok(()));
    thread.join().unwrap();
    let answers = [Answer::Requested, Answer::Approved, Answer::ConnectionDone, Answer::Incoming];
    assert_eq!(
        (handle.stats().sockets, handle.stats().relay.answers),
        (0, answers.map(|answer| (answer, 1)).into())
    );
    RelayServer::bind(address).expect("the port is free again");
}

#[test]
fn stop_ends_although_clients_do_not_answer() {
    let relay = relay();
    let (client, _) = Client::join(relay.local_addr());
    relay.stop().unwrap();
    drop(client);
}

#[test]
fn a_relay_is_reached_through_its_url() {
    let relay = relay();
    let mut client = Client::dial(relay.local_addr());
    assert_eq!(relay.url(), format!("ws://{}", relay.local_addr()));
    client.socket.send(Message::Ping("x".into())).unwrap();
    assert!(matches!(client.frame(), RelayFrame::Hello { .. }));
    assert!(matches!(client.socket.read(), Ok(Message::Pong(_))));
}
