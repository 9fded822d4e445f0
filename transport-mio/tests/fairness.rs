//! One memory budget and one pace for each client: the greediest suffer first, and whoever is modest notices nothing.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use common::{Client, Pair, await_stats, connect, forward, masked, relay_with, tcp_from};
use phantom_core::wire::{ClientFrame, FRAME_MAX, RelayFrame};
use phantom_mio::CloseCode;

const MIB: usize = 1024 * 1024;
const GREEDY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1));
const MODEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1));

fn client_from(address: IpAddr, relay: SocketAddr) -> Client {
    Client::over(tcp_from(address, relay))
}

fn pair_from(address: IpAddr, relay: SocketAddr) -> Pair {
    let (mut a, mut b) = (client_from(address, relay), client_from(address, relay));
    a.register(1);
    let b_id = b.register(1).id;
    let (a_channel, b_channel) = connect(&mut a, 1, &mut b, b_id);
    Pair { a, b, a_channel, b_channel }
}

/// Most of a frame that is never finished.
fn unfinished() -> Vec<u8> {
    let mut frame = masked(0x82, &vec![0; FRAME_MAX]);
    frame.truncate(FRAME_MAX - 100);
    frame
}

#[test]
fn whoever_makes_the_relay_keep_most_is_given_up_first() {
    let relay = relay_with(|config| {
        config.server.memory = 16 * MIB;
        // Less than what they hold together, more than what a modest client needs.
        config.relay.register_timeout = common::PATIENCE;
    });
    let address = relay.local_addr();
    let mut modest = pair_from(MODEST, address);
    let mut greedy: Vec<Client> = (0..200).map(|_| client_from(GREEDY, address)).collect();
    for client in &mut greedy {
        // Some are closed before they have sent it all.
        common::send_quietly(client.raw(), &unfinished());
        modest.exchange(b"unharmed");
    }
    await_stats(&relay.handle(), "somebody is given up", |stats| stats.shed > 0);
    let stats = relay.handle().stats();
    assert!(stats.memory_used <= stats.memory_limit, "{stats:?}");
    modest.exchange(&[7; 60_000]);
    let codes: Vec<_> = greedy
        .into_iter()
        .map(|mut client| {
            client.raw().set_nonblocking(true).unwrap();
            client.close_code_if_any()
        })
        .collect();
    assert!(codes.contains(&Some(CloseCode::Throttled)), "{codes:?}");
}

#[test]
fn new_work_is_refused_before_old_work_is_hurt() {
    let relay = relay_with(|config| {
        config.server.memory = 16 * MIB;
        config.relay.register_timeout = common::PATIENCE;
    });
    let address = relay.local_addr();
    let mut modest = pair_from(MODEST, address);
    let mut greedy: Vec<Client> = Vec::new();
    loop {
        let mut client = client_from(GREEDY, address);
        let stats = relay.handle().stats();
        if stats.memory_limit - stats.memory_used < stats.memory_limit / 16 {
            break;
        }
        assert!(matches!(client.frame(), RelayFrame::Hello { .. }), "refused too early: {stats:?}");
        client.raw().write_all(&unfinished()).unwrap();
        let before = stats.memory_used;
        await_stats(&relay.handle(), "it is kept", |stats| stats.memory_used > before + 60_000);
        greedy.push(client);
    }
    assert_eq!(client_from(MODEST, address).close_code(), CloseCode::RelayFull);
    modest.exchange(b"unharmed");
    assert_eq!(relay.handle().stats().shed, 0);
    drop(greedy);
    await_stats(&relay.handle(), "there is room again", |stats| stats.memory_used < 10 * MIB);
    client_from(MODEST, address).register(1);
}

/// A stuck receiver of a greedy address may have less and less waiting, and gives everything back.
#[test]
fn what_may_wait_for_an_address_depends_on_what_is_free() {
    let relay = relay_with(|config| config.server.memory = 16 * MIB);
    let address = relay.local_addr();
    let mut modest = pair_from(MODEST, address);
    let mut greedy: Vec<Pair> = (0..16).map(|_| pair_from(GREEDY, address)).collect();
    for pair in &greedy {
        let mut socket = pair.a.socket.get_ref().try_clone().unwrap();
        let frame = masked(0x82, &forward(pair.a_channel, &[0; 60_000]));
        std::thread::spawn(move || while socket.write_all(&frame).is_ok() {});
    }
    // Sixteen times 512 KiB are allowed by themselves; the budget has 8 MiB for everybody.
    let stats = await_stats(&relay.handle(), "all are held up", |stats| stats.held_up >= 16);
    assert!(stats.memory_used < 15 * MIB && stats.outbox_bytes > MIB, "{stats:?}");
    modest.exchange(&[7; 60_000]);
    assert_eq!((stats.shed, stats.relay.closed.len()), (0, 0));
    for pair in greedy.drain(..) {
        pair.a.socket.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    }
    await_stats(&relay.handle(), "it is given back", |stats| stats.memory_used < 9 * MIB);
    modest.exchange(b"unharmed");
}

#[test]
fn a_client_ahead_of_its_pace_is_read_no_faster_and_loses_nothing() {
    let relay = relay_with(|config| config.server.client_messages_per_second = 10_000);
    let mut other = Pair::meet(relay.local_addr());
    let mut pair = Pair::meet(relay.local_addr());
    let frame = masked(0x82, &forward(pair.a_channel, b"x"));
    let begin = Instant::now();
    // One second's worth is free, and so is what the turn brings that goes beyond it.
    let mut socket = pair.a.socket.get_ref().try_clone().unwrap();
    let writer = std::thread::spawn(move || socket.write_all(&frame.repeat(30_000)).unwrap());
    (0..30_000).for_each(|_| assert_eq!(pair.b.payload(pair.b_channel), b"x"));
    writer.join().unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(800), "{:?}", begin.elapsed());
    other.exchange(b"unharmed");
    assert!(relay.handle().stats().rested > 0);
}

#[test]
fn bytes_have_a_pace_too() {
    let relay = relay_with(|config| config.server.client_bytes_per_second = MIB as u64);
    let mut pair = Pair::meet(relay.local_addr());
    let begin = Instant::now();
    let frame = masked(0x82, &forward(pair.a_channel, &[1; 60_000]));
    let mut socket = pair.a.socket.get_ref().try_clone().unwrap();
    let writer = std::thread::spawn(move || socket.write_all(&frame.repeat(50)).unwrap());
    (0..50).for_each(|_| assert_eq!(pair.b.payload(pair.b_channel).len(), 60_000));
    writer.join().unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(1500), "{:?}", begin.elapsed());
}

/// What the machine holds for a client is held for its address, as much as what its own buffers hold.
#[test]
fn whoever_makes_the_machine_keep_most_is_given_up_first() {
    let relay = relay_with(|config| config.server.memory = 16 * MIB);
    let address = relay.local_addr();
    let mut modest = pair_from(MODEST, address);
    let mut greedy: Vec<Client> = (0..480).map(|_| client_from(GREEDY, address)).collect();
    for client in &mut greedy {
        client.register(common::MANY);
    }
    // A receiver that is slow has more waiting than all of these connections take by themselves.
    let mut socket = modest.a.socket.get_ref().try_clone().unwrap();
    let frame = masked(0x82, &forward(modest.a_channel, &[7; 60_000]));
    let pouring = std::thread::spawn(move || (0..200).all(|_| socket.write_all(&frame).is_ok()));
    await_stats(&relay.handle(), "the slow one is held up", |stats| stats.held_up > 0);
    for (number, client) in greedy.iter_mut().enumerate() {
        let mut said = Vec::new();
        for value in 0..u64::from(common::MANY) {
            let mut rendezvous = [0; 16];
            rendezvous[..8].copy_from_slice(&(number as u64).to_be_bytes());
            rendezvous[8..].copy_from_slice(&value.to_be_bytes());
            said.extend(masked(0x82, &ClientFrame::Rejoin { rendezvous, role: 0 }.encode()));
        }
        common::send_quietly(client.raw(), &said);
    }
    let stats = await_stats(&relay.handle(), "somebody is given up", |stats| stats.shed > 0);
    assert!(stats.memory_used <= stats.memory_limit, "{stats:?}");
    (0..200).for_each(|_| assert_eq!(modest.b.payload(modest.b_channel).len(), 60_000));
    assert!(pouring.join().unwrap(), "the modest one was closed");
}

/// A frame for the relay itself costs it as much in two pieces as in one.
#[test]
fn what_the_relay_is_asked_in_pieces_counts_as_much() {
    const ASKED: u32 = 400;
    let relay = relay_with(|config| config.server.client_messages_per_second = 10_000);
    let (mut client, _) = Client::join(relay.local_addr());
    let begin = Instant::now();
    for token in 0..ASKED {
        let ping = ClientFrame::Ping { token }.encode();
        let pieces = [masked(0x02, &ping[..1]), masked(0x80, &ping[1..])].concat();
        client.raw().write_all(&pieces).unwrap();
    }
    (0..ASKED).for_each(|token| assert_eq!(client.frame(), RelayFrame::Pong { token }));
    assert!(begin.elapsed() >= Duration::from_millis(600), "{:?}", begin.elapsed());
    assert!(relay.handle().stats().rested > 0);
}

/// Each frame of such a sender is a call of the system by itself: others get their turns in between.
#[test]
fn whoever_sends_to_two_by_turns_gets_no_longer_turns() {
    const FRAMES: u64 = 50_000;
    /// Frames that one round may bring: two turns at most, each of no more runs than a turn may end.
    const PER_ROUND: u64 = 200;
    let relay = relay_with(|_| {});
    let address = relay.local_addr();
    let (mut sender, _) = Client::join_with(address, 2);
    let mut receivers = Vec::new();
    let mut both = Vec::new();
    for request in 1..=2 {
        let (mut receiver, id) = Client::join(address);
        let (channel, _) = connect(&mut sender, request, &mut receiver, id);
        both.extend(masked(0x82, &forward(channel, b"x")));
        receivers.push(receiver);
    }
    let rounds = |stats: &phantom_mio::ServerStats| stats.rounds.count();
    let before = rounds(&relay.handle().stats());
    let mut socket = sender.socket.get_ref().try_clone().unwrap();
    let writer = std::thread::spawn(move || socket.write_all(&both.repeat(FRAMES as usize / 2)).unwrap());
    let readers: Vec<_> = receivers
        .into_iter()
        .map(|mut receiver| {
            std::thread::spawn(move || (0..FRAMES / 2).for_each(|_| assert_eq!(receiver.bytes().len(), 6)))
        })
        .collect();
    writer.join().unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let took = rounds(&relay.handle().stats()) - before;
    assert!(took >= FRAMES / PER_ROUND, "{took} rounds");
}
