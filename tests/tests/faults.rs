//! The faults of the seed's code that must not come back, one test each.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use phantom_core::client::{Client, ClientConfig, ConnectError, End, Event, SendError, SetKeyError};
use phantom_core::id::{ChannelId, PeerId};
use phantom_core::packet::{self, DispatchError, Packet, Registry};
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelayLimits, RelaySecret, Source};
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{
    Answer, ClientFrame, CloseCode, Ended, FORWARD_HEADER, FRAME_MAX, ForwardHeader, RelayFrame, VERSION,
};
use phantom_tests::bare::Bare;
use phantom_tests::hostile::kind;
use phantom_tests::puppet::Puppet;
use phantom_tests::{World, key, keyed};

const SECOND: Duration = Duration::from_secs(1);

fn online(n: usize) -> World {
    let mut world = World::new(9);
    for _ in 0..n {
        world.add(keyed("the same"));
    }
    world.join_all();
    world
}

fn secured_pair() -> (World, ChannelId, ChannelId) {
    let mut world = online(2);
    let (a, b) = world.meet(0, 1);
    world.secure((0, a), (1, b));
    world.run_for(SECOND);
    (world, a, b)
}

/// No frame of a client names a sender: the relay stamps it.
#[test]
fn a_client_cannot_speak_in_anothers_name() {
    let mut bare = Bare::new();
    let (a, a_id) = bare.register();
    let (b, b_id) = bare.register();
    let (c, _) = bare.register();
    bare.say(a, ClientFrame::Connect { request: 1, target: b_id, nonce: [7; 16] });
    let shown = bare.outputs();
    assert!(shown.iter().any(|(to, frame)| {
        *to == b && matches!(frame, Some(RelayFrame::Incoming { source, .. }) if *source == a_id)
    }));
    // C accepts, cancels and withdraws what is A's and B's, by the same numbers.
    for frame in [
        ClientFrame::Accept { request: 1, nonce: [8; 16] },
        ClientFrame::Cancel { request: 1 },
        ClientFrame::Withdraw { request: 1 },
    ] {
        bare.say(c, frame);
        let outputs = bare.outputs();
        assert!(outputs.iter().all(|(to, _)| *to == c), "{frame:?} reached somebody else: {outputs:?}");
    }
    // The request is still B's to accept.
    bare.say(b, ClientFrame::Accept { request: 1, nonce: [9; 16] });
    let opened = |to, frame: &Option<RelayFrame>| to != c && matches!(frame, Some(RelayFrame::Opened { .. }));
    assert_eq!(bare.outputs().iter().filter(|(to, frame)| opened(*to, frame)).count(), 2);
}

#[test]
fn a_client_cannot_close_or_open_others_channels_or_send_into_them() {
    let mut bare = Bare::new();
    let (a, _) = bare.register();
    let b = bare.register();
    let (c, _) = bare.register();
    let d = bare.register();
    let (ab, ba) = bare.channel(a, b, 1);
    let (cd, _) = bare.channel(c, d, 1);
    for number in [ab, ba, cd ^ 0x100, cd + 0x100, 0, 1, u32::MAX] {
        if number == cd {
            continue;
        }
        let mut frame = [&ForwardHeader { channel: number }.to_bytes()[..], b"intruder"].concat();
        assert_eq!(bare.raw(c, &mut frame), Handled::Done);
        bare.say(c, ClientFrame::Close { channel: number });
        let outputs = bare.outputs();
        assert!(outputs.iter().all(|(to, _)| *to == c), "{outputs:?}");
    }
    // C's own channel may have the number of A's: what it sends still goes to D.
    let mut frame = [&ForwardHeader { channel: cd }.to_bytes()[..], b"hello"].concat();
    assert_eq!(bare.raw(c, &mut frame), Handled::Forward(d.0));
    let mut frame = [&ForwardHeader { channel: ab }.to_bytes()[..], b"hello"].concat();
    assert_eq!(bare.raw(a, &mut frame), Handled::Forward(b.0));
}

#[test]
fn unencrypted_packets_never_reach_the_users_handler() {
    // Whatever the other side, or the relay, sends in the clear: before a key, between, and after.
    let plain: Vec<Vec<u8>> =
        (0..=255u8).flat_map(|kind| [vec![kind], vec![kind; 9], vec![kind; 26], vec![kind; 64]]).collect();
    let mut puppet = Puppet::online(ClientConfig::default());
    puppet.open();
    for payload in &plain {
        puppet.payload(payload);
    }
    assert!(puppet.received.is_empty());
    let (mut puppet, _session) = Puppet::secured(ClientConfig::default(), &key("k"));
    for payload in plain.iter().filter(|payload| !matches!(payload[0], kind::DATA | kind::CTRL)) {
        puppet.payload(payload);
    }
    assert!(puppet.received.is_empty() && puppet.end().is_none());
    puppet.payload(&[&[kind::DATA][..], &[0; 8], &[2, b'h', b'i'], &[0; 16]].concat());
    assert!(puppet.received.is_empty());
}

/// The session's own messages and the user's packets are different records under different keys: a packet whose bytes look like
/// a control message is a packet, and a control message never reaches the user.
#[test]
fn system_packets_and_users_packets_never_mix() {
    let (mut world, a, _) = secured_pair();
    let lookalikes: Vec<Bytes> = (0..=255u8).map(|kind| Bytes::from(vec![kind; 22])).collect();
    for packet in &lookalikes {
        world.act(0, |client, now| client.send(now, a, packet.clone())).unwrap();
    }
    world.run_for(10 * SECOND);
    assert_eq!(world.nodes[1].packets(), lookalikes);
    // A record of one kind does not open as the other.
    let (mut puppet, mut session) = Puppet::secured(ClientConfig::default(), &key("k"));
    let mut record = phantom_tests::puppet::seal(
        |record| session.data_tx.seal(record).map(|_| ()),
        &[2, b'p', b'a', b'c', b'k', b'e', b't'],
    );
    record[0] = kind::CTRL;
    puppet.payload(&record);
    assert!(matches!(puppet.end(), Some(End::Tampered { .. })));
    assert!(puppet.received.is_empty());
}

/// `secrecy.rs` flips every byte; here the point is that a change is noticed at all, and that it ends the channel.
#[test]
fn encryption_is_authenticated() {
    let (mut puppet, mut session) = Puppet::secured(ClientConfig::default(), &key("k"));
    let mut record =
        phantom_tests::puppet::seal(|record| session.data_tx.seal(record).map(|_| ()), b"\x02pay 100");
    record[9 + 5] ^= 1;
    puppet.payload(&record);
    assert!(puppet.received.is_empty());
    assert_eq!(puppet.end(), Some(End::Tampered { seq: 0 }));
}

/// Distinct and uniform, and nothing but the seed decides. (The generator itself is tested in core.)
#[test]
fn keys_and_ids_are_of_a_strong_generator() {
    let mut bare = Bare::new();
    let mut counts = [0u32; 256];
    let mut ids = std::collections::BTreeSet::new();
    let n: u32 = 8_000;
    for _ in 0..n {
        let (_, id) = bare.register();
        assert!(ids.insert(id), "an ID was given twice");
        for &byte in id.as_bytes() {
            counts[usize::from(byte)] += 1;
        }
    }
    let expected = f64::from(n * 6) / 62.0;
    let used: Vec<f64> = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count)).collect();
    let chi: f64 = used.iter().map(|count| (count - expected).powi(2) / expected).sum();
    assert_eq!(used.len(), 62);
    assert!(chi < 120.0, "chi-square {chi} of 61 degrees of freedom");

    let mut texts = std::collections::BTreeSet::new();
    let mut ones = 0;
    for seed in 0..500u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_be_bytes());
        let mut client = Client::new(ClientConfig::default(), bytes);
        let key = client.encryption_key(Instant::ZERO);
        assert!(key.is_generated());
        assert!(texts.insert(key.to_text().to_string()), "a key was made twice");
        ones += key.fingerprint(&[0; 32]).iter().map(|byte| byte.count_ones()).sum::<u32>();
    }
    assert!((31_000..33_000).contains(&ones), "{ones} of 64,000 bits");
    let again = Client::new(ClientConfig::default(), [0; 32]).encryption_key(Instant::ZERO);
    assert!(texts.contains(&*again.to_text()), "one seed is one key");
}

#[test]
fn a_key_set_earlier_is_not_overwritten() {
    let mut world = online(2);
    // Neither by a channel that opens, nor by the random one, nor by reading.
    let before = world.act(0, Client::encryption_key);
    let (a, b) = world.meet(0, 1);
    world.secure((0, a), (1, b));
    assert!(world.act(0, Client::encryption_key).same_as(&before));
    // A secured channel keeps its own, and says so.
    let refused = world.act(0, |client, now| client.set_channel_key(now, a, key("another")));
    assert_eq!(refused, Err(SetKeyError::ChannelSecured));
    world.act(0, |client, now| client.set_encryption_key(now, key("another")));
    world.act(0, |client, now| client.send(now, a, "still")).unwrap();
    assert!(world.run_until(5 * SECOND, |world| world.nodes[1].packets() == ["still"]));
    // The channel's own is not overwritten by the client's.
    world.act(0, |client, now| client.abort(now, a)).unwrap();
    world.run_for(SECOND);
    let (a, b) = world.meet(0, 1);
    world.act(0, |client, now| client.set_channel_key(now, a, key("the same"))).unwrap();
    world.act(0, |client, now| client.set_encryption_key(now, key("a third")));
    world.secure((0, a), (1, b));
}

#[test]
fn accept_takes_the_caller_that_was_shown_not_the_last() {
    let mut world = online(4);
    let target = world.id(3);
    let ids: Vec<_> = (0..3).map(|node| world.id(node)).collect();
    for node in 0..3 {
        world.act(node, |client, now| client.connect(now, target)).unwrap();
        world.run_for(SECOND);
    }
    let first = world.nodes[3].request_from(ids[0], 0).unwrap();
    world.act(3, |client, now| client.accept(now, first)).unwrap();
    world.run_for(SECOND);
    let channel = world.nodes[3].channel().unwrap();
    assert_eq!(world.nodes[3].client.opponent(channel), Some(ids[0]));
    assert!(world.nodes[0].channel().is_some());
    assert!(world.nodes[1].channel().is_none() && world.nodes[2].channel().is_none());
}

#[test]
fn a_lost_peer_is_noticed_and_the_survivor_is_free() {
    let (mut world, _, _) = secured_pair();
    world.nodes[1].reachable = false;
    world.stall(1, true);
    let noticed = |event: &Event| matches!(event, Event::Interrupted { .. });
    assert!(world.run_until(31 * SECOND, |world| world.nodes[0].heard(noticed)));
    let over = |event: &Event| matches!(event, Event::Closed { end: End::Truncated, .. });
    assert!(world.run_until(601 * SECOND, |world| world.nodes[0].heard(over)));
    assert_eq!(world.nodes[0].client.channels().count(), 0);
    let nobody = "000000".parse().unwrap();
    assert!(world.act(0, |client, now| client.connect(now, nobody)).is_ok(), "busy for ever");
}

/// One leaves, all its requests and channels go, and nobody else's.
#[test]
fn no_wrong_entry_is_removed_while_lists_are_walked() {
    let mut world = World::new(3);
    for _ in 0..8 {
        let mut config = keyed("the same");
        config.limits.channels_max = 8;
        world.add(config);
    }
    world.join_all();
    let ids: Vec<_> = (0..8).map(|node| world.id(node)).collect();
    // 0 has channels with 1 and 2; 1 and 2 have one as well. 3 and 4 ask 0; 0 asks 5 and 6; 7 asks 1; 3 asks 7.
    for (a, b) in [(0, 1), (2, 0), (1, 2)] {
        world.meet(a, b);
    }
    for (a, b) in [(3, 0), (4, 0), (0, 5), (0, 6), (7, 1), (3, 7)] {
        world.act(a, |client, now| client.connect(now, ids[b])).unwrap();
    }
    world.run_for(SECOND);
    let marks: Vec<_> = world.nodes.iter().map(|node| node.events.len()).collect();
    world.nodes[0].reachable = false;
    world.cut(0);
    world.run_for(SECOND);
    for (node, &mark) in marks.iter().enumerate().skip(1) {
        let news = &world.nodes[node].events[mark..];
        let left = |event: &Event| matches!(event, Event::Answer { answer: Answer::Left, peer, .. } if *peer == ids[0]);
        let cut = |event: &Event| matches!(event, Event::Interrupted { .. });
        match node {
            1 | 2 => assert!(news.len() == 1 && cut(&news[0]), "{node}: {news:?}"),
            3..=6 => assert!(news.len() == 1 && left(&news[0]), "{node}: {news:?}"),
            _ => assert!(news.is_empty(), "{node}: {news:?}"),
        }
    }
    // What is not 0's goes on.
    let channel = world.nodes[1].channel_with(ids[2]).unwrap();
    world.act(1, |client, now| client.send(now, channel, "untouched")).unwrap();
    let there = |world: &mut World| world.nodes[2].received.values().flatten().any(|p| p == "untouched");
    assert!(world.run_until(5 * SECOND, there));
    for (node, from) in [(1, 7), (7, 3)] {
        let request = world.nodes[node].request_from(ids[from], 0).unwrap();
        assert!(world.act(node, |client, now| client.accept(now, request)).is_ok());
        world.run_for(SECOND);
        assert!(world.nodes[node].channel_with(ids[from]).is_some());
    }
}

#[test]
fn no_queued_packet_is_skipped() {
    let mut world = World::new(5);
    world.add(ClientConfig::default());
    world.add(keyed("late"));
    world.join_all();
    let (a, b) = world.meet(0, 1);
    for n in 0..1000u32 {
        world.act(0, |client, now| client.send(now, a, n.to_be_bytes().to_vec())).unwrap();
    }
    world.run_for(60 * SECOND);
    assert!(world.nodes[1].packets().is_empty());
    world.act(0, |client, now| client.set_encryption_key(now, key("late")));
    world.secure((0, a), (1, b));
    for n in 1000..1100u32 {
        world.act(0, |client, now| client.send(now, a, n.to_be_bytes().to_vec())).unwrap();
    }
    assert!(world.run_until(10 * SECOND, |world| world.nodes[1].packets().len() == 1100));
    let numbers = world.nodes[1].packets().iter().enumerate();
    assert!(numbers.into_iter().all(|(n, packet)| packet[..] == (n as u32).to_be_bytes()));
}

#[test]
fn a_request_expires_at_both_sides() {
    let mut world = online(2);
    let target = world.id(1);
    world.act(0, |client, now| client.connect(now, target)).unwrap();
    let expired = |event: &Event| matches!(event, Event::Answer { answer: Answer::Expired, .. });
    world.run_for(59 * SECOND);
    assert!(!world.nodes.iter().any(|node| node.heard(expired)));
    world.run_for(2 * SECOND);
    assert!(world.nodes.iter().all(|node| node.heard(expired)));
    // And if the relay says nothing, the client knows by itself.
    world.act(0, |client, now| client.connect(now, target)).unwrap();
    world.run_for(SECOND);
    world.meddler = Some(Box::new(|passage: phantom_tests::Passage<'_>| {
        passage.frames.retain(|frame| !matches!(frame[0], 0x83 | 0x85));
    }));
    let count = |world: &World| world.nodes[0].events.iter().filter(|event| expired(event)).count();
    assert!(world.run_until(70 * SECOND, |world| count(world) == 2));
}

#[test]
fn there_is_no_channel_with_oneself() {
    let mut world = online(1);
    let id = world.id(0);
    assert_eq!(world.act(0, |client, now| client.connect(now, id)), Err(ConnectError::OwnId));
    // Nor does the relay make one for a client that does not refuse.
    let mut bare = Bare::new();
    let (conn, id) = bare.register();
    bare.say(conn, ClientFrame::Connect { request: 1, target: id, nonce: [1; 16] });
    let answers = bare.outputs();
    assert_eq!(answers, [(conn, Some(RelayFrame::Answer { request: 1, answer: Answer::OwnId }))]);
}

/// RFC 6455: an endpoint may send 1000, 1001 and the like, 3000 to 4999, and never 1005, 1006, 1015 or what is undefined.
#[test]
fn close_codes_are_legal() {
    let mut seen = std::collections::BTreeSet::new();
    for code in CloseCode::ALL {
        let number = code.to_wire();
        assert!(matches!(number, 1000 | 1001 | 4000..=4999), "{code:?} is {number}");
        assert!(seen.insert(number));
        assert_eq!(CloseCode::from_wire(number), Some(code));
        // A close reason is at most 123 bytes.
        assert!(code.to_string().len() <= 123);
    }
}

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 1)]
struct Message(String);

#[test]
fn an_error_in_a_handler_is_not_taken_for_a_malformed_packet() {
    let mut registry = Registry::<u32, &'static str>::default();
    registry
        .register(|calls: &mut u32, _: Message| {
            *calls += 1;
            Err("the disk is full")
        })
        .unwrap();
    let mut calls = 0;
    let good = packet::encode(&Message("text".into())).unwrap();
    let result = registry.dispatch(&mut calls, &good);
    assert_eq!(result, Err(DispatchError::Handler { id: 1, error: "the disk is full" }));
    let malformed = registry.dispatch(&mut calls, &good[..good.len() - 2]);
    assert!(matches!(malformed, Err(DispatchError::Malformed { id: 1, .. })));
    assert_eq!(calls, 1, "a malformed packet reaches no handler");
}

#[test]
fn each_packet_is_an_object_of_its_own() {
    let mut registry = Registry::<Vec<Message>>::new();
    registry.register(|kept: &mut Vec<Message>, message: Message| kept.push(message)).unwrap();
    let mut kept = Vec::new();
    for text in ["one", "two"] {
        registry.dispatch(&mut kept, &packet::encode(&Message(text.into())).unwrap()).unwrap();
    }
    // The first was not overwritten by the second.
    assert_eq!(kept, [Message("one".into()), Message("two".into())]);
}

#[test]
fn sizes_are_limited() {
    // A packet, by what the other side takes.
    let (mut world, a, _) = secured_pair();
    let max = 1 << 20;
    let too_large = world.act(0, |client, now| client.send(now, a, vec![0; max + 1]));
    assert_eq!(too_large, Err(SendError::TooLarge { max }));
    assert_eq!(world.act(0, |client, now| client.send(now, a, vec![0; max])), Ok(1));
    // A frame, at the relay and at the client.
    let mut bare = Bare::new();
    let (conn, _) = bare.register();
    assert_eq!(bare.raw(conn, &mut vec![0x20; FRAME_MAX + 1]), Handled::Done);
    assert_eq!(bare.relay.stats().closed.get(&CloseCode::TooLarge), Some(&1));
    let mut puppet = Puppet::online(ClientConfig::default());
    puppet.input(phantom_core::client::Input::Received(bytes::BytesMut::zeroed(FRAME_MAX + 1)));
    assert_eq!(puppet.hung_up, Some(CloseCode::TooLarge));
    // Connections, requests and prompts.
    let mut config = RelayConfig::new(RelaySecret::new(1, [3; 32]), 0);
    config.limits.connections_max = 2;
    let mut relay = Relay::new(config, [4; 32]);
    assert!(
        relay.open(Instant::ZERO, Source::Unknown).is_ok()
            && relay.open(Instant::ZERO, Source::Unknown).is_ok()
    );
    assert_eq!(relay.open(Instant::ZERO, Source::Unknown), Err(CloseCode::RelayFull));
    let mut bare = Bare::new();
    let (asker, _) = bare.register();
    for request in 1..=4 {
        let (_, target) = bare.register();
        bare.say(asker, ClientFrame::Connect { request, target, nonce: [0; 16] });
    }
    let answer = Some(RelayFrame::Answer { request: 4, answer: Answer::RequestOpen });
    assert!(bare.outputs().contains(&(asker, answer)));
}

/// Two programs behind one address share a budget of exact answers. Beyond it neither can tell an ID that nobody has from a person
/// who declines; a third, elsewhere, is told the truth.
#[test]
fn a_scanner_learns_nothing_from_another_address_of_its_own() {
    let mut world = World::new(9);
    for _ in 0..4 {
        world.add(keyed("the same"));
    }
    world.nodes[1].source = world.nodes[0].source;
    world.join_all();
    let nobody = |number: u32| -> PeerId { format!("{number:06}").parse().unwrap() };
    let ask = |world: &mut World, node: usize, id| {
        world.act(node, |client, now| client.connect(now, id)).unwrap();
        world.run_for(SECOND);
    };
    let told = |world: &World, node: usize, id| -> Vec<Answer> {
        let events = world.nodes[node].events.iter();
        let answers = events.filter_map(|event| match event {
            Event::Answer { answer, peer, .. } if *peer == id => Some(*answer),
            _ => None,
        });
        answers.collect()
    };
    for number in 0..5 {
        let node = number as usize % 2;
        ask(&mut world, node, nobody(number));
        assert_eq!(told(&world, node, nobody(number)), [Answer::TargetNotFound]);
    }
    let (here, not_here) = (world.id(3), nobody(9));
    ask(&mut world, 0, not_here);
    ask(&mut world, 1, here);
    let request = world.nodes[3].request_from(world.id(1), 0).expect("it is shown");
    world.act(3, |client, now| client.cancel(now, request)).unwrap();
    ask(&mut world, 2, not_here);
    assert_eq!(told(&world, 2, not_here), [Answer::TargetNotFound]);
    world.run_for(SECOND * 50);
    for (node, id) in [(0, not_here), (1, here)] {
        assert_eq!(told(&world, node, id), [Answer::Requested]);
    }
    world.run_for(SECOND * 10);
    for (node, id) in [(0, not_here), (1, here)] {
        assert_eq!(told(&world, node, id), [Answer::Requested, Answer::Unavailable]);
    }
}

#[test]
fn a_receiver_that_does_not_read_holds_up_its_sender_and_nobody_else() {
    let mut world = online(4);
    let mut channels = Vec::new();
    for (a, b) in [(0, 1), (2, 3)] {
        let (x, y) = world.meet(a, b);
        world.secure((a, x), (b, y));
        channels.push(x);
    }
    world.nodes[1].reads = false;
    let packet = vec![7; 10_000];
    let (mut slow, mut fast) = (0, 0);
    world.run_until(60 * SECOND, |world| {
        let now = world.now;
        while world.nodes[0].client.send(now, channels[0], packet.clone()).is_ok() {
            slow += 1;
        }
        if fast < 500 && world.nodes[2].client.send(now, channels[1], packet.clone()).is_ok() {
            fast += 1;
        }
        fast == 500 && world.nodes[3].packets().len() == 500
    });
    assert_eq!(world.nodes[3].packets().len(), 500, "one slow pair delays another");
    // The window, the sender's own limit and its queue: 1 MiB each, and nothing beyond.
    assert!((100..350).contains(&slow), "{slow} packets of 10,000 bytes were taken");
    assert_eq!(world.nodes[0].client.send(world.now, channels[0], packet), Err(SendError::Full));
    let held = world.nodes[1].client.held(world.nodes[1].channel().unwrap()).unwrap();
    assert!(held.received <= (1 << 20) + (64 << 10), "{held:?}");
    world.nodes[1].reads = true;
    let writable = |event: &Event| matches!(event, Event::Writable { .. });
    assert!(world.run_until(10 * SECOND, |world| {
        world.nodes[0].heard(writable) && world.nodes[1].packets().len() == slow
    }));
    assert_eq!(world.nodes[1].end_of(world.nodes[1].channel().unwrap()), None);
}

/// How long the relay takes for some work among `n` clients, at best of many tries.
fn cost_among(n: usize) -> [std::time::Duration; 3] {
    let mut limits = RelayLimits::default();
    limits.connect_rate.refill = std::time::Duration::ZERO;
    limits.connect_source_rate.refill = std::time::Duration::ZERO;
    let mut bare = Bare::with(limits);
    let clients: Vec<_> = (0..n).map(|_| bare.register()).collect();
    // Every source has its account, and most of them a request that waits.
    let nobody = "ZZZZZZ".parse().expect("an ID");
    for &(from, _) in &clients {
        bare.say(from, ClientFrame::Connect { request: 1, target: nobody, nonce: [0; 16] });
    }
    bare.outputs();
    assert_eq!(bare.relay.stats().sources, n as u64);
    let (a, b, last) = (clients[0], clients[n / 2], clients[n - 1]);
    let mut request = 2;
    let (number, _) = bare.channel(a.0, b, request);
    let mut best = [std::time::Duration::MAX; 3];
    let frame = [&ForwardHeader { channel: number }.to_bytes()[..], &[0; 100]].concat();
    for _ in 0..50 {
        let start = std::time::Instant::now();
        for _ in 0..100 {
            let mut frame = frame.clone();
            assert_eq!(bare.raw(a.0, &mut frame), Handled::Forward(b.0));
        }
        best[0] = best[0].min(start.elapsed());
        let start = std::time::Instant::now();
        for _ in 0..10 {
            request += 1;
            let (number, _) = bare.channel(a.0, last, request);
            bare.say(a.0, ClientFrame::Close { channel: number });
            bare.outputs();
        }
        best[1] = best[1].min(start.elapsed());
        let start = std::time::Instant::now();
        for _ in 0..10 {
            let (conn, _) = bare.register();
            let _ = bare.relay.handle(bare.now, relay::Input::Closed { conn });
            bare.outputs();
        }
        best[2] = best[2].min(start.elapsed());
    }
    best
}

/// A thousand times as many clients: a linear search would cost a thousand times as much. The bound is far above the noise, and
/// far below that.
#[test]
fn no_search_is_linear_in_the_number_of_clients() {
    let (few, many) = (cost_among(10), cost_among(10_000));
    for (work, (few, many)) in ["forward", "connect", "join"].into_iter().zip(few.into_iter().zip(many)) {
        assert!(many < 30 * few, "{work}: {few:?} among 10 clients, {many:?} among 10,000");
    }
}

/// Bytes on the wire are the payload and a stated overhead: 26 a record and 5 a frame.
#[test]
fn binary_data_is_not_blown_up() {
    let (mut world, a, _) = secured_pair();
    let forwarded = |world: &World| {
        let stats = world.relay.as_ref().unwrap().stats();
        (stats.bytes_forwarded, stats.frames_forwarded)
    };
    for len in [0usize, 1, 100, 16_000] {
        let (before, frames) = forwarded(&world);
        let packet: Vec<u8> = (0..len).map(|i| (i * 151 % 256) as u8).collect();
        world.act(0, |client, now| client.send(now, a, packet)).unwrap();
        world.run_for(SECOND / 10);
        let (after, frames_after) = forwarded(&world);
        assert_eq!((after - before, frames_after - frames), ((len + 26 + FORWARD_HEADER) as u64, 1));
        world.run_for(SECOND);
    }
    // The typed layer: an ID, a length, the bytes.
    #[derive(Packet)]
    #[packet(id = 1)]
    struct Blob(Vec<u8>);
    let blob = packet::encode(&Blob(vec![0xfe; 10_000])).unwrap();
    assert!(blob.len() <= 10_000 + 6, "{} bytes", blob.len());
}

/// The libraries print nothing: neither `println!` nor its kin stands in their sources.
#[test]
fn the_libraries_do_not_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for library in ["core/src", "core/derive/src", "transport-mio/src", "transport-tokio/src"] {
        sources(&root.join(library), &mut files);
    }
    assert!(files.len() > 30, "the search works");
    for file in files.iter().filter(|file| !is_program(file)) {
        let text = fs::read_to_string(file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            for word in ["println!", "eprintln!", "print!(", "eprint!(", "dbg!(", "stdout()", "stderr()"] {
                assert!(!code.contains(word), "{}:{}: {line}", file.display(), number + 1);
            }
        }
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The sources of a program may print: that is what it is for.
fn is_program(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "main.rs" || name == "program.rs")
        || file.components().any(|part| part.as_os_str() == "bin" || part.as_os_str() == "program")
}

/// Method names that one can type.
#[test]
fn sources_are_named_in_letters_one_can_type() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for library in ["core/src", "core/derive/src", "transport-mio/src", "transport-tokio/src", "tests/src"] {
        sources(&root.join(library), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            for item in ["fn ", "struct ", "enum ", "trait ", "mod ", "const "] {
                if let Some(name) = line.trim_start().trim_start_matches("pub ").strip_prefix(item) {
                    let name: String =
                        name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    assert!(name.is_ascii(), "{}: {line}", file.display());
                }
            }
        }
    }
}

/// Two sockets with one identity: the newer one has it, and the older one does not fight for it.
#[test]
fn who_is_superseded_does_not_dial_again() {
    let mut world = World::new(2);
    world.captured = Some(Vec::new());
    world.add(ClientConfig::default());
    world.join_all();
    world.run_for(SECOND);
    let captured = world.captured.take().unwrap();
    let frames = (0..captured.len()).flat_map(|from| (from + 1..=captured.len()).map(move |to| (from, to)));
    let welcome = frames.into_iter().find_map(|(from, to)| match RelayFrame::decode(&captured[from..to]) {
        Ok(RelayFrame::Welcome(welcome)) => Some(welcome),
        _ => None,
    });
    let welcome = welcome.unwrap();
    let now = world.now;
    let relay = world.relay.as_mut().unwrap();
    let copy = relay.open(now, Source::Unknown).unwrap();
    let hello = std::iter::from_fn(|| relay.poll_output()).find_map(|output| match output {
        relay::Output::Transmit { frame, .. } => match RelayFrame::decode(&frame) {
            Ok(RelayFrame::Hello { challenge, .. }) => Some(challenge),
            _ => None,
        },
        _ => None,
    });
    let mut hasher = blake3::Hasher::new_keyed(&welcome.token_key);
    let mac = hasher.update(b"reclaim").update(&hello.unwrap()).finalize();
    let claim = ClientFrame::Reclaim {
        version: VERSION,
        channels: 1,
        kid: welcome.kid,
        id: welcome.id,
        owner: welcome.owner,
        expiry: welcome.expiry,
        mac: mac.as_bytes()[..16].try_into().unwrap(),
    };
    let mut frame = claim.encode().to_vec();
    let _ = relay.handle(now, relay::Input::Frame { from: copy, frame: &mut frame });
    world.run_for(600 * SECOND);
    let superseded = |event: &Event| {
        matches!(event, Event::Offline { code: Some(CloseCode::Superseded), redial_at: None })
    };
    assert!(world.nodes[0].heard(superseded), "{:?}", world.nodes[0].events);
    assert_eq!(world.dials, 1);
    // Until its user wants it.
    world.act(0, Client::dial_now);
    world.run_for(SECOND);
    assert_eq!(world.dials, 2);
}

/// The relay's word of an end is for information; a CLOSED for a number that is nobody's changes nothing.
#[test]
fn what_the_relay_closes_by_a_wrong_number_is_nothing() {
    let (mut puppet, mut session) = Puppet::secured(ClientConfig::default(), &key("k"));
    for channel in [0, 1, 0x1234, u32::MAX] {
        puppet.relay(RelayFrame::Closed { channel, reason: Ended::Closed });
        puppet.relay(RelayFrame::Attached { rendezvous: [9; 16], channel });
    }
    puppet.data(&mut session, b"\x02as before");
    assert_eq!(puppet.received, ["as before"]);
}
