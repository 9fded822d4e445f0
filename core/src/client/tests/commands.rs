//! What an application may ask of a channel, and what it is told about it.

use alloc::{vec, vec::Vec};

use bytes::Bytes;

use super::world::{Puppet, S, forward, meet, secured};
use crate::client::{
    ClientLimits, ConnectError, End, Event, Held, Packets, RequestError, SendError, SetKeyError, Traffic,
};
use crate::crypto::{EncryptionKey, Role};
use crate::id::ChannelId;
use crate::wire::{Answer, ClientFrame, RelayFrame};

fn key(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

/// Time for the pauses of the key agreement, with both hearing each other.
fn wait(a: &mut Puppet, b: &mut Puppet) {
    for _ in 0..40 {
        a.wait(S / 4);
        b.wait(S / 4);
        forward(a, b);
    }
}

#[test]
fn a_channel_can_be_looked_at() {
    let (mut a, mut b) = secured(&ClientLimits::default());
    let (at_a, at_b) = (a.channel(), b.channel());
    assert_eq!(a.client.opponent(at_a), Some(b.name));
    assert_eq!((a.client.role(at_a), b.client.role(at_b)), (Some(Role::Connector), Some(Role::Acceptor)));
    assert_eq!(a.client.packet_max(at_a), Some(1 << ClientLimits::default().packet_max_log2));
    let verifier = a.client.verifier(at_a);
    assert!(verifier.is_some() && verifier == b.client.verifier(at_b));
    assert!(![[0; 16], [1; 16]].contains(&verifier.unwrap()));
    assert_eq!(a.client.held(at_a), Some(Held::default()));
    assert_eq!(a.client.traffic(at_a), Some(Traffic::default()));

    let now = a.now;
    for _ in 0..3 {
        a.client.send(now, at_a, Bytes::from_static(b"hello")).unwrap();
    }
    assert_eq!(a.client.held(at_a).unwrap(), Held { queued: 3 * (5 + 32), ..Held::default() });
    assert_eq!(a.client.fate(at_a).unwrap().unsent, 3);
    a.drain();
    let held = a.client.held(at_a).unwrap();
    assert!(held.queued == 0 && held.unacked > 15 && held.unacked_records == 1, "{held:?}");
    let traffic = a.client.traffic(at_a).unwrap();
    assert!(traffic.records == 1 && traffic.bytes > 15 && traffic.resent == 0, "{traffic:?}");
    forward(&mut a, &mut b);
    assert!(b.client.held(at_b).unwrap().received > 15);
    wait(&mut a, &mut b);
    assert_eq!(a.client.held(at_a), Some(Held::default()));
    assert_eq!(a.client.fate(at_a).unwrap().delivered, 3);
    assert_eq!(a.client.traffic(at_a).unwrap(), traffic);

    let nobody = ChannelId(99);
    assert_eq!((a.client.opponent(nobody), a.client.role(nobody)), (None, None));
    assert_eq!((a.client.packet_max(nobody), a.client.verifier(nobody)), (None, None));
    assert_eq!((a.client.held(nobody), a.client.traffic(nobody)), (None, None));
}

#[test]
fn many_packets_go_and_come_at_once() {
    let (mut a, mut b) = secured(&ClientLimits::default());
    let (at_a, at_b) = (a.channel(), b.channel());
    let sent: Vec<Bytes> =
        [3, 0, 20_000, 5, 16_000, 70_000, 1].map(|len| Bytes::from(vec![len as u8; len])).into();
    let mut packets = Packets::new();
    sent.iter().for_each(|packet| packets.push(packet.clone()));
    assert_eq!(packets.len(), 7);
    a.client.send_all(a.now, at_a, &mut packets).unwrap();
    assert!(packets.is_empty() && packets.cost() == 0);
    let mut got: Vec<Bytes> = Vec::new();
    for _ in 0..40 {
        a.drain();
        forward(&mut a, &mut b);
        while let Some(batch) = b.client.receive_batch(b.now, at_b) {
            let (size, before) = (batch.size(), got.len());
            assert_eq!(alloc::format!("{batch:?}"), alloc::format!("Batch({size} bytes)"));
            got.extend(batch);
            let taken: usize = got[before..].iter().map(Bytes::len).sum();
            assert!(size >= taken, "{size} bytes for {taken}");
        }
        b.drain();
        a.wait(S / 10);
        b.wait(S / 10);
    }
    assert_eq!(got, sent);
    assert_eq!(b.client.held(at_b), Some(Held::default()));

    // As many as there is room for, and the rest stays; one that is too long stays for good.
    let mut packets = Packets::new();
    for _ in 0..100 {
        packets.push(Bytes::from(vec![7; 100_000]));
    }
    let (now, full) = (a.now, SendError::Full);
    assert_eq!(a.client.send_all(now, at_a, &mut packets), Err(full));
    assert!(!packets.is_empty() && packets.len() < 100);
    assert_eq!(a.client.fate(at_a).unwrap().unsent, 100 - packets.len());
    let max = a.client.packet_max(at_a).unwrap();
    let mut long = Packets::new();
    long.push(Bytes::from(vec![7; max + 1]));
    assert_eq!(b.client.send_all(b.now, at_b, &mut long), Err(SendError::TooLarge { max }));
    assert_eq!(b.client.send_all(b.now, ChannelId(99), &mut long), Err(SendError::NoChannel));
    assert_eq!(long.len(), 1);
}

#[test]
fn the_right_key_can_be_set_after_a_wrong_one() {
    let mut a = Puppet::online("AAAAAA", "one key", ClientLimits::default());
    let mut b = Puppet::online("BBBBBB", "another key", ClientLimits::default());
    meet(&mut a, &mut b);
    wait(&mut a, &mut b);
    let (at_a, at_b) = (a.channel(), b.channel());
    for puppet in [&a, &b] {
        assert!(puppet.heard(|event| matches!(event, Event::KeysDiffer { .. })) > 0);
        assert_eq!(puppet.client.verifier(puppet.channel()), None);
    }
    assert_eq!(a.client.unlock(a.now, ChannelId(99)).ok(), None);
    assert_eq!(a.client.set_channel_key(a.now, ChannelId(99), key("x")), Err(SetKeyError::NoChannel));
    b.client.set_channel_key(b.now, at_b, key("one key")).unwrap();
    b.drain();
    wait(&mut a, &mut b);
    assert!(a.client.is_secured(at_a) && b.client.is_secured(at_b));
    assert_eq!(a.client.verifier(at_a), b.client.verifier(at_b));
    let now = b.now;
    assert_eq!(b.client.set_channel_key(now, at_b, key("another key")), Err(SetKeyError::ChannelSecured));
    assert_eq!(b.client.set_channel_key(now, at_b, key("one key")), Ok(()));
    // The key of all others is still its own.
    assert!(b.client.encryption_key(now).same_as(&key("another key")));
}

#[test]
fn all_guesses_spent_lock_a_channel_until_it_is_unlocked() {
    let mut a = Puppet::online("AAAAAA", "one key", ClientLimits::default());
    let mut b = Puppet::online("BBBBBB", "another key", ClientLimits::default());
    meet(&mut a, &mut b);
    for guess in 0..40 {
        wait(&mut a, &mut b);
        if a.heard(|event| matches!(event, Event::Locked { .. })) > 0 {
            break;
        }
        let (now, at) = (b.now, b.channel());
        b.client.set_channel_key(now, at, key(&alloc::format!("guess {guess}"))).unwrap();
        b.drain();
    }
    let locked = a.events.iter().find_map(|event| match event {
        Event::Locked { failed, .. } => Some(*failed),
        _ => None,
    });
    let failed = locked.expect("somebody guesses");
    assert!(failed > 0);
    let (now, at_a, at_b) = (a.now, a.channel(), b.channel());
    assert_eq!(a.client.unlock(now, at_a), Ok(failed));
    a.drain();
    b.client.set_channel_key(b.now, at_b, key("one key")).unwrap();
    b.drain();
    wait(&mut a, &mut b);
    assert!(a.client.is_secured(at_a));
    assert_eq!(a.client.unlock(a.now, at_a), Ok(0));
}

#[test]
fn commands_that_make_no_sense_are_refused() {
    let mut a = Puppet::online("AAAAAA", "one key", ClientLimits::default());
    let b = Puppet::online("BBBBBB", "one key", ClientLimits::default());
    let now = a.now;
    assert_eq!(a.client.connect(now, a.name), Err(ConnectError::OwnId));
    let request = a.client.connect(now, b.name).unwrap();
    assert_eq!(a.client.connect(now, b.name), Err(ConnectError::RequestOpen));
    a.client.withdraw(now, request).unwrap();
    assert_eq!(a.client.withdraw(now, crate::id::RequestId(99)), Err(RequestError::NotConnected));
    let mut offline = Puppet::new("CCCCCC", "one key", ClientLimits::default());
    assert_eq!(offline.client.connect(now, b.name), Err(ConnectError::Offline));
}

#[test]
fn a_channel_that_was_never_secured_is_left_at_once() {
    let mut a = Puppet::online("AAAAAA", "one key", ClientLimits::default());
    let mut b = Puppet::online("BBBBBB", "one key", ClientLimits::default());
    meet(&mut a, &mut b);
    let (now, at) = (a.now, a.channel());
    a.client.disconnect(now, at).unwrap();
    a.drain();
    assert_eq!(a.heard(|event| matches!(event, Event::Closed { end: End::Disconnected, .. })), 1);
    assert_eq!((a.client.verifier(at), a.client.role(at)), (None, None));
}

/// A key that is set later is the key of every channel that has none of its own.
#[test]
fn the_key_of_all_channels_reaches_those_without_their_own() {
    let mut a = Puppet::online("AAAAAA", "one key", ClientLimits::default());
    let mut b = Puppet::online("BBBBBB", "another key", ClientLimits::default());
    meet(&mut a, &mut b);
    wait(&mut a, &mut b);
    let (now, at_b) = (b.now, b.channel());
    b.client.set_encryption_key(now, key("one key"));
    assert!(b.client.encryption_key(now).same_as(&key("one key")));
    b.drain();
    wait(&mut a, &mut b);
    assert!(b.client.is_secured(at_b));

    let mut c = Puppet::online("CCCCCC", "another key", ClientLimits::default());
    let mut d = Puppet::online("DDDDDD", "one key", ClientLimits::default());
    meet(&mut c, &mut d);
    let (now, at_c) = (c.now, c.channel());
    c.client.set_channel_key(now, at_c, key("its own")).unwrap();
    c.client.set_encryption_key(now, key("one key"));
    c.drain();
    wait(&mut c, &mut d);
    assert!(!c.client.is_secured(at_c), "it has a key of its own");
}

#[test]
fn requests_are_answered_cancelled_and_withdrawn() {
    let mut a = Puppet::online("AAAAAA", "one key", ClientLimits::default());
    let (now, peer) = (a.now, super::world::id("BBBBBB"));
    let (number, _) = a.ask(peer);
    a.relay(RelayFrame::Answer { request: number, answer: Answer::Declined });
    assert_eq!(a.heard(|event| matches!(event, Event::Answer { answer: Answer::Declined, .. })), 1);

    let request = a.client.connect(now, peer).unwrap();
    a.drain();
    a.take_sent();
    a.client.withdraw(now, request).unwrap();
    a.drain();
    assert!(matches!(ClientFrame::decode(&a.take_sent()[0]), Ok(ClientFrame::Withdraw { .. })));

    a.relay(RelayFrame::Incoming { request: 5, source: peer, nonce: [3; 16] });
    let shown = a.events.iter().rev().find_map(|event| match event {
        Event::Incoming { request, .. } => Some(*request),
        _ => None,
    });
    a.client.cancel(now, shown.unwrap()).unwrap();
    a.drain();
    assert_eq!(ClientFrame::decode(&a.take_sent()[0]), Ok(ClientFrame::Cancel { request: 5 }));
    assert_eq!(a.client.cancel(now, shown.unwrap()), Err(RequestError::NotConnected));
}
