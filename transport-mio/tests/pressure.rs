//! A receiver that does not read costs its senders their turns, and nobody else anything.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{Client, Pair, await_stats, connect, forward, masked, relay_with};
use phantom_core::wire::{ClientFrame, Ended, FRAME_MAX, RelayFrame};
use phantom_mio::{CloseCode, RunningRelay, ServerStats};

const OUTBOX: usize = 256 * 1024;
/// Together far more than the outbox and all the buffers of the system can hold.
const FRAMES: u32 = 2000;
const FRAME: usize = 32 * 1024;

fn payload(number: u32) -> Vec<u8> {
    let mut payload = vec![number as u8; FRAME];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

/// Sends all frames from a thread of its own, as far as the relay takes them.
fn pour(client: &Client, channel: u32) -> JoinHandle<()> {
    pour_some(client, channel, FRAMES)
}

fn pour_some(client: &Client, channel: u32, frames: u32) -> JoinHandle<()> {
    let mut socket = client.socket.get_ref().try_clone().unwrap();
    thread::spawn(move || {
        for number in 0..frames {
            if socket.write_all(&masked(0x82, &forward(channel, &payload(number)))).is_err() {
                return;
            }
        }
    })
}

fn relay(change: impl FnOnce(&mut phantom_mio::ServerConfig)) -> RunningRelay {
    relay_with(|config| {
        config.server.outbox_bytes_max = OUTBOX;
        config.server.outbox_bytes_low = OUTBOX / 2;
        change(config);
    })
}

/// A sender is held up, and its receiver's outbox is full.
fn is_held(stats: &ServerStats) -> bool {
    stats.held_up > 0 && stats.outbox_bytes > OUTBOX / 2
}

#[test]
fn a_stuck_receiver_holds_its_sender_and_nobody_else_and_then_gets_everything_in_order() {
    let relay = relay(|_| {});
    let mut others = Pair::meet(relay.local_addr());
    let Pair { a, mut b, a_channel, b_channel } = Pair::meet(relay.local_addr());
    let pouring = pour(&a, a_channel);
    await_stats(&relay.handle(), "the sender is held up", is_held);

    let mut times: Vec<_> = (0..200).map(|_| others.exchange(&[7; 1000])).collect();
    times.sort();
    assert!(times[100] < Duration::from_millis(50), "median {:?}", times[100]);

    let stats = relay.handle().stats();
    assert!(stats.outbox_bytes_peak <= OUTBOX + FRAME_MAX + 10, "{stats:?}");
    assert!(!pouring.is_finished());

    (0..FRAMES).for_each(|number| assert_eq!(b.payload(b_channel), payload(number)));
    pouring.join().unwrap();
    let stats = relay.handle().stats();
    assert_eq!((stats.outbox_bytes, stats.relay.frames_dropped), (0, 0));
    assert!(stats.outbox_bytes_peak <= OUTBOX + FRAME_MAX + 10, "{stats:?}");
    Pair { a, b, a_channel, b_channel }.exchange(b"goes on");
}

#[test]
fn control_passes_a_full_outbox() {
    let relay = relay(|_| {});
    let (mut a, _) = Client::join(relay.local_addr());
    let (mut b, b_id) = Client::join_with(relay.local_addr(), 2);
    let (mut c, _) = Client::join(relay.local_addr());
    let (a_channel, _) = connect(&mut a, 1, &mut b, b_id);
    let _pouring = pour(&a, a_channel);
    await_stats(&relay.handle(), "the sender is held up", is_held);
    c.send(ClientFrame::Connect { request: 1, target: b_id, nonce: [3; 16] });
    assert!(matches!(c.frame(), RelayFrame::Answer { .. }));
    let forwarded = relay.handle().stats().relay.frames_forwarded;
    // From here on b reads. What lay in the outbox comes after the request.
    let mut before = 0;
    while !matches!(RelayFrame::decode(&b.bytes()), Ok(RelayFrame::Incoming { .. })) {
        before += 1;
    }
    let overtaken = (OUTBOX / 2 / FRAME) as u64;
    assert!(before + overtaken <= forwarded, "{before} of {forwarded} frames came before it");
}

#[test]
fn what_was_sent_before_a_close_arrives_before_it() {
    let relay = relay(|_| {});
    let Pair { a, mut b, a_channel, b_channel } = Pair::meet(relay.local_addr());
    let mut socket = a.socket.get_ref().try_clone().unwrap();
    let pouring = thread::spawn(move || {
        for number in 0..FRAMES {
            socket.write_all(&masked(0x82, &forward(a_channel, &payload(number)))).unwrap();
        }
        socket.write_all(&masked(0x82, &ClientFrame::Close { channel: a_channel }.encode())).unwrap();
    });
    await_stats(&relay.handle(), "the sender is held up", is_held);
    (0..FRAMES).for_each(|number| assert_eq!(b.payload(b_channel), payload(number)));
    assert_eq!(b.frame(), RelayFrame::Closed { channel: b_channel, reason: Ended::Closed });
    pouring.join().unwrap();
}

#[test]
fn a_receiver_that_stays_stuck_loses_the_channel_and_its_sender_goes_on() {
    let relay = relay(|config| config.relay.stuck_timeout = Duration::from_millis(200));
    let Pair { mut a, mut b, a_channel, b_channel } = Pair::meet(relay.local_addr());
    let pouring = pour(&a, a_channel);
    assert_eq!(a.frame(), RelayFrame::Closed { channel: a_channel, reason: Ended::Stuck });
    // What it still had to say is read and dropped.
    pouring.join().unwrap();
    a.send(ClientFrame::Ping { token: 9 });
    assert_eq!(a.frame(), RelayFrame::Pong { token: 9 });
    assert!(relay.handle().stats().relay.frames_dropped > 0);
    let closed = loop {
        let bytes = b.bytes();
        if let Ok(frame) = RelayFrame::decode(&bytes) {
            break frame;
        }
    };
    assert_eq!(closed, RelayFrame::Closed { channel: b_channel, reason: Ended::Stuck });
}

#[test]
fn a_connection_that_takes_nothing_at_all_is_closed() {
    let relay = relay(|config| config.server.stall_timeout = Duration::from_millis(200));
    let Pair { mut a, b, a_channel, .. } = Pair::meet(relay.local_addr());
    let pouring = pour(&a, a_channel);
    assert_eq!(a.frame(), RelayFrame::Closed { channel: a_channel, reason: Ended::Detached });
    pouring.join().unwrap();
    let stats = await_stats(&relay.handle(), "its socket is dropped", |stats| stats.sockets == 1);
    assert_eq!(stats.relay.closed.get(&CloseCode::Stalled), Some(&1));
    b.ends();
}

#[test]
fn whoever_asks_without_end_and_never_reads_the_answers_is_closed() {
    let relay = relay(|_| {});
    let mut honest = Pair::meet(relay.local_addr());
    let (mut client, _) = Client::join(relay.local_addr());
    let pings = masked(0x89, &[1; 125]).repeat(500);
    // It is not cut at once: until its close frame has had time to be read, what it sends is thrown away.
    let patience = Instant::now() + Duration::from_secs(60);
    while client.raw().write_all(&pings).is_ok() {
        assert!(Instant::now() < patience, "the relay takes whatever it is asked");
    }
    let stats = await_stats(&relay.handle(), "it is gone", |stats| stats.sockets == 2);
    assert_eq!(stats.relay.closed.get(&CloseCode::Stalled), Some(&1));
    honest.exchange(b"unharmed");
}

#[test]
fn a_receiver_that_leaves_frees_its_sender() {
    let relay = relay(|_| {});
    let Pair { mut a, b, a_channel, .. } = Pair::meet(relay.local_addr());
    let pouring = pour(&a, a_channel);
    await_stats(&relay.handle(), "the sender is held up", is_held);
    drop(b);
    assert_eq!(a.frame(), RelayFrame::Closed { channel: a_channel, reason: Ended::Detached });
    pouring.join().unwrap();
    a.send(ClientFrame::Ping { token: 9 });
    assert_eq!(a.frame(), RelayFrame::Pong { token: 9 });
}

#[test]
fn a_sender_that_leaves_while_it_is_held_up_is_forgotten() {
    let relay = relay(|_| {});
    let Pair { a, mut b, a_channel, b_channel } = Pair::meet(relay.local_addr());
    let socket = a.socket.get_ref().try_clone().unwrap();
    let pouring = pour(&a, a_channel);
    await_stats(&relay.handle(), "the sender is held up", is_held);
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    pouring.join().unwrap();
    let mut number = 0;
    loop {
        let bytes = b.bytes();
        match RelayFrame::decode(&bytes) {
            Ok(frame) => {
                assert_eq!(frame, RelayFrame::Closed { channel: b_channel, reason: Ended::Detached });
                break;
            }
            Err(_) => assert_eq!(bytes[5..], payload(number)),
        }
        number += 1;
    }
    await_stats(&relay.handle(), "only the receiver is left", |stats| stats.sockets == 1);
}

#[test]
fn many_senders_to_one_stuck_receiver_are_all_held_and_all_freed() {
    const SENDERS: usize = 8;
    const EACH: u32 = FRAMES / 4;
    let relay = relay(|_| {});
    let (mut hub, hub_id) = Client::join_with(relay.local_addr(), common::MANY);
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (mut client, _) = Client::join(relay.local_addr());
            let (channel, hub_channel) = connect(&mut client, 1, &mut hub, hub_id);
            (client, channel, hub_channel)
        })
        .collect();
    let mut next: BTreeMap<u32, u32> = senders.iter().map(|&(_, _, channel)| (channel, 0)).collect();
    let pouring: Vec<_> =
        senders.iter().map(|(client, channel, _)| pour_some(client, *channel, EACH)).collect();
    let all_held = |stats: &ServerStats| stats.held_up >= SENDERS as u64;
    let stats = await_stats(&relay.handle(), "all are held up", all_held);
    assert!(stats.outbox_bytes_peak <= OUTBOX + SENDERS * (FRAME_MAX + 10), "{stats:?}");
    while next.values().any(|&number| number < EACH) {
        let bytes = hub.bytes();
        let channel = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
        let number = next.get_mut(&channel).unwrap();
        assert_eq!(bytes[5..], payload(*number));
        *number += 1;
    }
    pouring.into_iter().for_each(|thread| thread.join().unwrap());
}
