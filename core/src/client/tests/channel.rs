//! One channel: when it does something by itself, and what it says of itself.

use alloc::{vec, vec::Vec};

use bytes::Bytes;

use super::world::{Puppet, S, forward, id, meet, rejoin_of, secured};
use crate::client::limits::{LINGER, REJOIN_REPEAT};
use crate::client::{Client, ClientConfig, ClientLimits, End, Event, Fate, Input, SendError};
use crate::crypto::EncryptionKey;
use crate::wire::{Answer, ClientFrame, CloseCode, Ended, FORWARD, FRAME_MAX, OpenedBy, RelayFrame};

fn key(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

/// One that has not been given a key, and has not been asked for its own.
fn keyless(name: &str, limits: &ClientLimits) -> Puppet {
    let mut puppet = Puppet::new(name, "replaced below", limits.clone());
    let config = ClientConfig { limits: limits.clone(), ..ClientConfig::default() };
    puppet.client = Client::new(config, [9; 32]);
    puppet.join();
    puppet
}

fn detach(puppet: &mut Puppet, channel: u32) {
    puppet.relay(RelayFrame::Closed { channel, reason: Ended::Detached });
}

fn end_of(puppet: &Puppet) -> Option<End> {
    puppet.events.iter().find_map(|event| match event {
        Event::Closed { end, .. } => Some(*end),
        _ => None,
    })
}

/// The packets that it was told of as delivered, report by report.
fn delivered(puppet: &Puppet) -> Vec<u64> {
    let up_to = |event: &Event| match event {
        Event::Delivered { up_to, .. } => Some(*up_to),
        _ => None,
    };
    puppet.events.iter().filter_map(up_to).collect()
}

fn send(puppet: &mut Puppet, packet: &'static [u8]) {
    let (now, channel) = (puppet.now, puppet.channel());
    puppet.client.send(now, channel, Bytes::from_static(packet)).unwrap();
    puppet.drain();
}

/// Time for what is confirmed with a delay.
fn exchange(a: &mut Puppet, b: &mut Puppet) {
    for _ in 0..20 {
        forward(a, b);
        a.wait(S / 4);
        b.wait(S / 4);
    }
    forward(a, b);
}

fn readable(puppet: &Puppet) -> usize {
    puppet.heard(|event| matches!(event, Event::Readable { .. }))
}

#[test]
fn a_channel_without_a_key_ends_when_its_time_is_over() {
    let limits = ClientLimits { secure_timeout: 100 * S, ..ClientLimits::default() };
    let mut a = keyless("AAAAAA", &limits);
    let mut b = Puppet::online("BBBBBB", "one key", limits);
    meet(&mut a, &mut b);
    a.wait(99 * S);
    assert_eq!(end_of(&a), None);
    a.wait(S);
    assert_eq!(end_of(&a), Some(End::NeverSecured));
}

#[test]
fn the_time_to_be_secured_begins_again_with_every_share() {
    let limits = ClientLimits { secure_timeout: 100 * S, ..ClientLimits::default() };
    let mut a = keyless("AAAAAA", &limits);
    let mut b = Puppet::online("BBBBBB", "one key", limits);
    meet(&mut a, &mut b);
    a.wait(99 * S);
    a.client.set_encryption_key(a.now, key("one key"));
    a.drain();
    a.wait(99 * S);
    assert_eq!(end_of(&a), None);
    a.wait(2 * S);
    assert_eq!(end_of(&a), Some(End::NeverSecured));
}

#[test]
fn the_clients_own_key_counts_once_it_was_looked_at() {
    let mut a = keyless("AAAAAA", &ClientLimits::default());
    let mut b = Puppet::online("BBBBBB", "one key", ClientLimits::default());
    meet(&mut a, &mut b);
    assert!(a.take_sent().is_empty(), "no key, no SHARE");
    let own = a.client.encryption_key(a.now);
    a.drain();
    assert_eq!(a.take_sent().len(), 1);
    assert!(a.client.encryption_key(a.now).same_as(&own));
    a.drain();
    assert!(a.take_sent().is_empty());
}

#[test]
fn a_new_run_begins_with_another_key_and_not_with_the_same_one() {
    let mut a = Puppet::online("AAAAAA", "one key", ClientLimits::default());
    let mut b = Puppet::online("BBBBBB", "one key", ClientLimits::default());
    meet(&mut a, &mut b);
    a.take_sent();
    for (text, shares) in [("one key", 0), ("another key", 1), ("another key", 0)] {
        a.client.set_encryption_key(a.now, key(text));
        a.drain();
        assert_eq!(a.take_sent().len(), shares, "{text}");
    }
    let (now, channel) = (a.now, a.channel());
    a.client.set_channel_key(now, channel, key("its own")).unwrap();
    a.drain();
    assert_eq!(a.take_sent().len(), 1);
    a.client.set_encryption_key(now, key("a third key"));
    a.drain();
    assert!(a.take_sent().is_empty(), "it has a key of its own");
}

#[test]
fn the_longest_packet_is_taken_and_nothing_after_the_last() {
    let (mut a, _) = secured(&ClientLimits::default());
    let (now, channel) = (a.now, a.channel());
    let max = a.client.packet_max(channel).unwrap();
    assert_eq!(a.client.send(now, channel, vec![0; max + 1]), Err(SendError::TooLarge { max }));
    a.client.send(now, channel, vec![0; max]).unwrap();
    a.client.disconnect(now, channel).unwrap();
    assert_eq!(a.client.send(now, channel, "more"), Err(SendError::NoChannel));
}

#[test]
fn readable_is_told_once_until_everything_was_taken() {
    let (mut a, mut b) = secured(&ClientLimits::default());
    let at_b = b.channel();
    send(&mut a, b"one");
    exchange(&mut a, &mut b);
    send(&mut a, b"two");
    exchange(&mut a, &mut b);
    assert_eq!(readable(&b), 1, "nothing was taken");
    for packet in ["one", "two"] {
        assert_eq!(b.client.receive(b.now, at_b), Some(Bytes::from(packet)));
        b.drain();
    }
    assert_eq!(readable(&b), 1);
    send(&mut a, b"three");
    send(&mut a, b"four");
    exchange(&mut a, &mut b);
    assert_eq!(readable(&b), 2);
    // Nor does it change when the channel ends.
    a.client.abort(a.now, a.channel()).unwrap();
    a.drain();
    forward(&mut a, &mut b);
    b.client.receive(b.now, at_b).unwrap();
    b.drain();
    assert_eq!((readable(&b), end_of(&b)), (2, None));
    b.client.receive(b.now, at_b).unwrap();
    b.drain();
    assert!(end_of(&b).is_some());
}

#[test]
fn delivered_is_told_once_for_each_step() {
    let (mut a, mut b) = secured(&ClientLimits::default());
    for _ in 0..3 {
        send(&mut a, b"packet");
    }
    exchange(&mut a, &mut b);
    send(&mut a, b"packet");
    exchange(&mut a, &mut b);
    let told = delivered(&a);
    assert!(told.is_sorted_by(|earlier, later| earlier < later) && told.last() == Some(&4), "{told:?}");
    // One more that nobody confirms, and one that does not go out.
    send(&mut a, b"on its way");
    a.input(Input::Writable(0));
    send(&mut a, b"queued");
    let fate = Fate { delivered: 4, uncertain: 1, unsent: 1 };
    assert_eq!(a.client.fate(a.channel()), Some(fate));
}

#[test]
fn writable_is_told_once_and_only_to_whom_there_was_no_room() {
    let (mut a, mut b) = secured(&ClientLimits { queue_max_bytes: 64 << 10, ..ClientLimits::default() });
    let writable = |puppet: &Puppet| puppet.heard(|event| matches!(event, Event::Writable { .. }));
    send(&mut a, b"there is room");
    exchange(&mut a, &mut b);
    assert_eq!(writable(&a), 0);
    a.input(Input::Writable(0));
    let (now, channel) = (a.now, a.channel());
    let packet = Bytes::from(vec![0; 10_000]);
    while a.client.send(now, channel, packet.clone()).is_ok() {}
    a.drain();
    assert_eq!(writable(&a), 0);
    a.input(Input::Writable(usize::MAX));
    exchange(&mut a, &mut b);
    assert_eq!(writable(&a), 1);
}

/// A way that was found and then heard from is as good as the first: the next one is asked for at once.
#[test]
fn a_proven_way_that_is_cut_is_looked_for_at_once() {
    let (mut a, mut b) = secured(&ClientLimits::default());
    for (old, new) in [(1, 2), (2, 3), (3, 4)] {
        for puppet in [&mut a, &mut b] {
            detach(puppet, old);
            let rendezvous = rejoin_of(&puppet.take_sent()).expect("asked at once");
            puppet.relay(RelayFrame::Attached { rendezvous, channel: new });
        }
        forward(&mut a, &mut b);
    }
    assert_eq!(a.heard(|event| matches!(event, Event::Resumed { .. })), 3);
}

#[test]
fn a_cut_channel_names_the_moment_of_its_next_question_and_of_its_end() {
    let (mut a, _) = secured(&ClientLimits::default());
    detach(&mut a, 1);
    let (cut, looks) = (a.now, "a cut channel looks for its other end");
    while a.client.poll_timeout().unwrap().reason != looks {
        a.wait_once();
        a.relay(RelayFrame::Pong { token: 0 });
    }
    assert_eq!(a.client.poll_timeout().unwrap().at, cut + REJOIN_REPEAT);

    let (mut a, _) = secured(&ClientLimits { patience: 5 * S, ..ClientLimits::default() });
    detach(&mut a, 1);
    let deadline = a.client.poll_timeout().unwrap();
    assert_eq!((deadline.at, deadline.reason), (a.now + 5 * S, looks));
}

#[test]
fn a_complete_channel_names_the_moment_of_its_end() {
    let (mut a, mut b) = secured(&ClientLimits::default());
    // So that no ping falls on that moment.
    a.wait(7 * S);
    b.wait(7 * S);
    let (now, channel) = (a.now, a.channel());
    a.client.disconnect(now, channel).unwrap();
    a.drain();
    a.take_sent().iter().for_each(|frame| b.raw(frame));
    b.take_sent().iter().rev().take(1).for_each(|frame| a.raw(frame));
    while end_of(&a).is_none() {
        a.wait_once();
        a.relay(RelayFrame::Pong { token: 0 });
    }
    assert_eq!((end_of(&a), a.now), (Some(End::Finished), now + LINGER));
}

#[test]
fn what_is_queued_is_due_now() {
    let (mut a, _) = secured(&ClientLimits::default());
    let (now, channel) = (a.now, a.channel());
    assert!(a.client.poll_timeout().unwrap().at > now);
    a.client.send(now, channel, "now").unwrap();
    assert_eq!(a.client.poll_timeout().unwrap().at, now);
}

#[test]
fn each_side_is_told_what_its_request_has_led_to() {
    let (a, b) = secured(&ClientLimits::default());
    let answers = |puppet: &Puppet| -> Vec<Answer> {
        let answer = |event: &Event| match event {
            Event::Answer { answer, .. } => Some(*answer),
            _ => None,
        };
        puppet.events.iter().filter_map(answer).collect()
    };
    assert_eq!((answers(&a), answers(&b)), (vec![Answer::Approved], vec![Answer::ConnectionDone]));
}

#[test]
fn a_second_channel_with_the_same_client_is_closed() {
    let limits = ClientLimits { channels_max: 2, ..ClientLimits::default() };
    let mut a = Puppet::online("AAAAAA", "one key", limits);
    let peer = id("BBBBBB");
    let (number, _) = a.ask(peer);
    a.accept(peer, 7, [3; 16]);
    a.relay(RelayFrame::Opened { by: OpenedBy::Approval, request: number, channel: 1, nonce: [4; 16] });
    assert_eq!(a.client.channels().count(), 1);
    a.take_sent();
    a.relay(RelayFrame::Opened { by: OpenedBy::Acceptance, request: 7, channel: 2, nonce: [3; 16] });
    assert_eq!(a.client.channels().count(), 1);
    assert_eq!(*a.take_sent()[0], *ClientFrame::Close { channel: 2 }.encode());
}

#[test]
fn a_found_way_with_a_number_in_use_is_closed() {
    let (mut a, _) = secured(&ClientLimits { channels_max: 2, ..ClientLimits::default() });
    let mut c = Puppet::online("CCCCCC", "one key", ClientLimits::default());
    let (number, nonce_a) = a.ask(c.name);
    let nonce_c = c.accept(a.name, 7, nonce_a);
    a.relay(RelayFrame::Opened { by: OpenedBy::Approval, request: number, channel: 2, nonce: nonce_c });
    c.relay(RelayFrame::Opened { by: OpenedBy::Acceptance, request: 7, channel: 2, nonce: nonce_a });
    forward(&mut a, &mut c);
    detach(&mut a, 2);
    let rendezvous = rejoin_of(&a.take_sent()).unwrap();
    a.relay(RelayFrame::Attached { rendezvous, channel: 1 });
    assert_eq!(*a.take_sent()[0], *ClientFrame::Close { channel: 1 }.encode());
}

#[test]
fn the_longest_frame_is_not_too_long() {
    let (mut a, _) = secured(&ClientLimits::default());
    let mut frame = vec![0; FRAME_MAX];
    frame[0] = FORWARD;
    frame[1..5].copy_from_slice(&99_u32.to_be_bytes());
    a.raw(&frame);
    assert_eq!(a.hung_up, None, "of a channel that has just been closed");
    frame.push(0);
    a.raw(&frame);
    assert_eq!(a.hung_up, Some(CloseCode::TooLarge));
}

#[test]
fn before_it_has_let_us_in_a_relay_may_only_do_that() {
    let mut a = Puppet::new("AAAAAA", "one key", ClientLimits::default());
    while !a.wait_once() {}
    a.input(Input::Connected);
    a.relay(RelayFrame::Hello { version: 1, challenge: [0; 16], work: 0 });
    a.relay(RelayFrame::Incoming { request: 1, source: id("BBBBBB"), nonce: [0; 16] });
    assert_eq!(a.hung_up, Some(CloseCode::Violation));
    assert_eq!(a.heard(|event| matches!(event, Event::Incoming { .. })), 0);
}

#[test]
fn the_way_to_the_relay_is_measured() {
    let mut a = Puppet::new("AAAAAA", "one key", ClientLimits::default());
    while !a.wait_once() {}
    assert_eq!(a.client.round_trip(), None);
    a.input(Input::Connected);
    a.relay(RelayFrame::Hello { version: 1, challenge: [0; 16], work: 0 });
    a.now = a.now + S / 20;
    a.relay(a.welcome());
    assert_eq!(a.client.round_trip(), Some(S / 20));
}
