//! What the relay sees, and what a hostile one can do: never read, never have a wrong or unencrypted packet delivered, never guess
//! more often than the budget allows.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use phantom_core::client::{ClientConfig, End, Event};
use phantom_core::crypto::exchange::{Exchange, Inputs};
use phantom_core::crypto::{EncryptionKey, Role};
use phantom_core::id::{ChannelId, PeerId};
use phantom_core::time::Duration;
use phantom_core::wire::{FORWARD_HEADER, RelayFrame};
use phantom_tests::hostile::{FlipOnce, kind};
use phantom_tests::puppet::{Puppet, share_payload};
use phantom_tests::{Passage, World, key, keyed};

const SECOND: Duration = Duration::from_secs(1);

/// `n` clients with one key, online.
fn keyed_world(n: usize) -> World {
    let mut world = World::new(1);
    for _ in 0..n {
        let mut config = keyed("ABCDE12345");
        config.limits.channels_max = 64;
        world.add(config);
    }
    world.join_all();
    world
}

fn met(world: &mut World, a: usize, b: usize) -> [(usize, ChannelId); 2] {
    let (x, y) = world.meet(a, b);
    [(a, x), (b, y)]
}

fn failed(event: &Event) -> bool {
    matches!(
        event,
        Event::KeysDiffer { .. }
            | Event::HandshakeAltered { .. }
            | Event::PeerSilent { .. }
            | Event::Closed { .. }
    )
}

// What it sees.

#[test]
fn the_relay_sees_neither_key_nor_plaintext() {
    const KEY: &str = "correct horse battery staple";
    const TEXT: &str = "Приветик!!! The cake is a lie.";
    let mut world = World::new(1);
    world.captured = Some(Vec::new());
    world.add(keyed(KEY));
    world.add(keyed(KEY));
    world.join_all();
    let [(_, a), (_, b)] = met(&mut world, 0, 1);
    world.secure((0, a), (1, b));
    for (node, channel) in [(0, a), (1, b)] {
        world.act(node, |client, now| client.send(now, channel, TEXT)).unwrap();
        for _ in 0..50 {
            world.act(node, |client, now| client.send(now, channel, TEXT.repeat(40))).unwrap();
        }
    }
    world.cut(0);
    world.act(0, |client, now| client.send(now, a, TEXT)).unwrap();
    assert!(world.run_until(60 * SECOND, |world| world.nodes.iter().all(|node| node.packets().len() >= 51)));
    world.act(0, |client, now| client.disconnect(now, a)).unwrap();
    world.run_for(5 * SECOND);

    let seen = world.captured.take().unwrap();
    assert!(seen.len() > 100_000, "it was all captured");
    let contains = |needle: &[u8]| seen.windows(needle.len()).any(|window| window == needle);
    let ids = world.nodes[0].events.iter().find_map(|event| match event {
        Event::Online { id, .. } => Some(*id),
        _ => None,
    });
    assert!(contains(ids.unwrap().as_bytes()), "the search works");
    for secret in [KEY, TEXT, "battery", "Приветик", "cake is"] {
        let bytes = secret.as_bytes();
        let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16_be: Vec<u8> = secret.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        for form in [bytes, &utf16, &utf16_be, &reversed, &base64(bytes), &hex(bytes)] {
            assert!(!contains(form), "{secret:?} is there in some form");
        }
    }
}

/// Without the last, incomplete group, which depends on what follows.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks_exact(3)
        .flat_map(|chunk| {
            let group = u32::from_be_bytes([0, chunk[0], chunk[1], chunk[2]]);
            [18, 12, 6, 0].map(|shift| DIGITS[(group >> shift & 63) as usize])
        })
        .collect()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Two sessions with one key and one text have nothing in common on the wire, in any eight bytes.
#[test]
fn the_same_text_twice_looks_different() {
    let mut world = keyed_world(4);
    let text = vec![b'x'; 400];
    let mut captures = Vec::new();
    for (a, b) in [(0, 1), (2, 3)] {
        let [a, b] = met(&mut world, a, b);
        world.secure(a, b);
        world.captured = Some(Vec::new());
        world.act(a.0, |client, now| client.send(now, a.1, text.clone())).unwrap();
        world.act(a.0, |client, now| client.send(now, a.1, text.clone())).unwrap();
        world.run_for(SECOND / 100);
        captures.push(world.captured.take().unwrap());
    }
    let all = |capture: &[u8]| capture.windows(16).map(<[u8]>::to_vec).collect::<BTreeSet<_>>();
    assert!(captures[0].len() > 800);
    assert!(all(&captures[0]).is_disjoint(&all(&captures[1])));
}

// What it can do to a handshake.

/// Flips one bit of one SHARE or CONFIRM; whatever comes of it, nobody takes a packet, both hear of it, and the verdict is one of
/// those that the table allows.
#[test]
fn a_flipped_bit_in_the_handshake_secures_nothing() {
    // Every byte, each with another bit; SHARE is 59 bytes, CONFIRM 51.
    for (kind, len) in [(kind::SHARE, 59), (kind::CONFIRM, 51)] {
        for byte in 0..len {
            let mut world = keyed_world(2);
            let bit = byte * 8 + (byte * 5 + 3) % 8;
            world.meddler = Some(Box::new(FlipOnce { kind, skip: 0, bit, to: None }));
            let [(_, a), (_, b)] = met(&mut world, 0, 1);
            for (node, channel) in [(0, a), (1, b)] {
                world.act(node, |client, now| client.send(now, channel, "secret")).unwrap();
            }
            let case = format!("kind {kind}, byte {byte}");
            world.run_for(40 * SECOND);
            let packets = |node: usize| world.nodes[node].packets();
            if kind == kind::CONFIRM && byte < 3 {
                // It is not taken for a CONFIRM of this run, and so as if it were lost: it comes again.
                assert!(packets(0) == ["secret"] && packets(1) == ["secret"], "{case}: it does not heal");
                continue;
            }
            assert!(world.nodes.iter().any(|node| node.heard(failed)), "{case}: nobody is told");
            assert!(packets(0).is_empty() && packets(1).is_empty(), "{case}: a packet was delivered");
            let secured =
                |node: usize| world.nodes[node].heard(|event| matches!(event, Event::Secured { .. }));
            // Only a flipped CONFIRM can leave the one secured that got the other's.
            assert!(!(secured(0) && secured(1)), "{case}");
            assert!(kind == kind::CONFIRM || !(secured(0) || secured(1)), "{case}");
            check_verdict(&world, kind, byte, &case);
        }
    }
}

/// The verdicts of the table, by where the flipped bit was.
fn check_verdict(world: &World, kind: u8, byte: usize, case: &str) {
    let heard = |wanted: fn(&Event) -> bool| world.nodes.iter().any(|node| node.heard(wanted));
    let altered = heard(|event| matches!(event, Event::HandshakeAltered { .. }));
    let differ = heard(|event| matches!(event, Event::KeysDiffer { .. }));
    let invalid = heard(|event| matches!(event, Event::Closed { end: End::HandshakeInvalid, .. }));
    let silent = heard(|event| matches!(event, Event::PeerSilent { .. }));
    match (kind, byte) {
        // The kind or the run: it is not taken for a SHARE of this run. Nobody is told but by silence.
        (kind::SHARE, 0..=2) => assert!(silent && !differ && !altered, "{case}"),
        // The share: half of all encodings are none; any other one is another transcript.
        (kind::SHARE, 3..=34) => assert!(altered || invalid, "{case}"),
        // The associated data: never what the signalling announced, but for the version and what the partner takes,
        // which are covered by the transcript.
        (kind::SHARE, _) => assert!(altered && !differ, "{case}"),
        (kind::CONFIRM, 3..=18) => assert!(altered && !differ, "{case}"),
        _ => assert!(differ && !altered, "{case}"),
    }
}

#[test]
fn a_dropped_confirm_is_silence_and_a_late_one_still_secures() {
    let mut world = keyed_world(2);
    let kept = Rc::new(RefCell::new(None));
    let keeper = kept.clone();
    world.meddler = Some(Box::new(move |passage: Passage<'_>| {
        if passage.kind() == Some(kind::CONFIRM) && passage.to == 0 {
            *keeper.borrow_mut() = passage.frames.pop();
        }
    }));
    let [(_, a), (_, b)] = met(&mut world, 0, 1);
    assert!(world.run_until(SECOND, |world| world.nodes[1].client.is_secured(b)));
    assert!(world.run_until(16 * SECOND, |world| {
        world.nodes[0].heard(|event| matches!(event, Event::PeerSilent { .. }))
    }));
    assert!(!world.nodes[0].client.is_secured(a));
    world.meddler = None;
    let late = kept.borrow_mut().take().unwrap();
    world.inject_to_client(0, &late);
    assert!(world.run_until(SECOND, |world| world.nodes[0].client.is_secured(a)));
    world.act(1, |client, now| client.send(now, b, "after all")).unwrap();
    assert!(world.run_until(10 * SECOND, |world| world.nodes[0].packets() == ["after all"]));
}

#[test]
fn a_dropped_share_secures_nobody() {
    let mut world = keyed_world(2);
    world.meddler = Some(Box::new(|passage: Passage<'_>| {
        if passage.kind() == Some(kind::SHARE) && passage.to == 1 {
            passage.frames.clear();
        }
    }));
    let [(_, a), (_, b)] = met(&mut world, 0, 1);
    world.run_for(30 * SECOND);
    assert!(!world.nodes[0].client.is_secured(a) && !world.nodes[1].client.is_secured(b));
    assert!(world.nodes[0].heard(|event| matches!(event, Event::PeerSilent { .. })));
}

/// The relay sends each side its own messages back: a party must not come to talk to itself.
#[test]
fn a_sides_own_messages_come_back_to_it() {
    for reflected in [kind::SHARE, kind::CONFIRM] {
        let mut world = keyed_world(2);
        let own: Rc<RefCell<[Vec<u8>; 2]>> = Rc::default();
        world.meddler = Some(Box::new(move |mut passage: Passage<'_>| {
            let (Some(from), Some(found)) = (passage.from, passage.kind()) else { return };
            if found == reflected {
                own.borrow_mut()[from] = passage.frames[0][FORWARD_HEADER..].to_vec();
                let echo = own.borrow()[passage.to].clone();
                if echo.is_empty() {
                    passage.frames.clear();
                } else {
                    passage.replace_payload(&echo);
                }
            }
        }));
        let [(_, a), (_, b)] = met(&mut world, 0, 1);
        world.run_for(30 * SECOND);
        assert!(!(world.nodes[0].client.is_secured(a) && world.nodes[1].client.is_secured(b)));
        assert!(world.nodes.iter().any(|node| node.heard(failed)));
        assert!(world.nodes.iter().all(|node| node.packets().is_empty()));
    }
}

/// The relay shows the asked side another ID than the asking one's: in a group with one key it could choose who talks to whom.
#[test]
fn an_id_that_the_relay_made_up_is_found_out() {
    let mut world = keyed_world(2);
    world.meddler = Some(Box::new(|passage: Passage<'_>| {
        if let Ok(RelayFrame::Incoming { request, nonce, .. }) = RelayFrame::decode(&passage.frames[0]) {
            let source: PeerId = "FALSCH".parse().unwrap();
            passage.frames[0] = RelayFrame::Incoming { request, source, nonce }.encode().to_vec();
        }
    }));
    let asked = world.id(1);
    world.act(0, |client, now| client.connect(now, asked)).unwrap();
    let false_id: PeerId = "FALSCH".parse().unwrap();
    assert!(world.run_until(SECOND, |world| world.nodes[1].request_from(false_id, 0).is_some()));
    let request = world.nodes[1].request_from(false_id, 0).unwrap();
    world.act(1, |client, now| client.accept(now, request)).unwrap();
    let altered = |event: &Event| matches!(event, Event::HandshakeAltered { .. });
    assert!(world.run_until(5 * SECOND, |world| world.nodes.iter().all(|node| node.heard(altered))));
    assert!(world.nodes.iter().all(|node| !node.heard(|event| matches!(event, Event::Secured { .. }))));
}

/// Nonces that the relay changes, and a role that it claims.
#[test]
fn signalling_that_the_relay_changes_is_found_out() {
    type Change = fn(&mut RelayFrame);
    let changes: [(&str, Change); 2] = [
        ("the connector's nonce", |frame| {
            if let RelayFrame::Incoming { nonce, .. } = frame {
                nonce[0] ^= 1;
            }
        }),
        ("the acceptor's nonce", |frame| {
            if let RelayFrame::Opened { nonce, by: phantom_core::wire::OpenedBy::Approval, .. } = frame {
                nonce[0] ^= 1;
            }
        }),
    ];
    for (name, change) in changes {
        let mut world = keyed_world(2);
        world.meddler = Some(Box::new(move |passage: Passage<'_>| {
            if let Ok(mut frame) = RelayFrame::decode(&passage.frames[0]) {
                change(&mut frame);
                passage.frames[0] = frame.encode().to_vec();
            }
        }));
        met(&mut world, 0, 1);
        let altered = |event: &Event| matches!(event, Event::HandshakeAltered { .. });
        let found = world.run_until(5 * SECOND, |world| world.nodes.iter().all(|node| node.heard(altered)));
        assert!(found, "{name}");
    }
}

#[test]
fn a_crossing_that_the_relay_claims_secures_nothing() {
    // The smaller ID becomes the connector in a crossing: ask from the larger one, so that the roles change.
    let mut world = keyed_world(2);
    let (asker, asked) = if world.id(0) > world.id(1) { (0, 1) } else { (1, 0) };
    world.meddler = Some(Box::new(|passage: Passage<'_>| {
        if let Ok(RelayFrame::Opened {
            by: phantom_core::wire::OpenedBy::Approval,
            request,
            channel,
            nonce,
        }) = RelayFrame::decode(&passage.frames[0])
        {
            let by = phantom_core::wire::OpenedBy::Crossing;
            passage.frames[0] = RelayFrame::Opened { by, request, channel, nonce }.encode().to_vec();
        }
    }));
    let [(_, a), (_, b)] = met(&mut world, asker, asked);
    assert_eq!(world.nodes[asker].client.role(a), Some(Role::Acceptor), "it was taken in");
    world.run_for(30 * SECOND);
    assert!(!world.nodes[asker].client.is_secured(a) && !world.nodes[asked].client.is_secured(b));
    assert!(
        world.nodes.iter().any(|node| node.heard(|event| matches!(event, Event::HandshakeAltered { .. })))
    );
}

/// A partner with the right key that claims the client's own role: not what the signalling said, whoever is to blame.
#[test]
fn a_role_that_the_signalling_did_not_give_is_found_out() {
    let mut puppet = Puppet::online(keyed("the same"));
    let channel = puppet.open();
    let inputs = Inputs { role: Role::Acceptor, ..puppet.inputs(1) };
    let exchange = Exchange::start(inputs, &key("the same"), &mut puppet.rng);
    puppet.payload(&share_payload(1, &exchange.share(), &exchange.ad()));
    let confirming = puppet.finish(exchange);
    let _ = puppet.confirm(1, confirming);
    assert!(puppet.heard(|event| matches!(event, Event::HandshakeAltered { .. })));
    assert!(!puppet.client.is_secured(channel));
}

#[test]
fn frames_swapped_between_two_pairs_secure_nothing_and_deliver_nothing() {
    for swapped in [kind::SHARE, kind::CONFIRM, kind::DATA, kind::CTRL] {
        let mut world = keyed_world(4);
        let seen: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
        let recorder = seen.clone();
        let first = met(&mut world, 0, 1);
        world.meddler = Some(Box::new(move |mut passage: Passage<'_>| {
            if passage.from.is_none() || passage.kind() != Some(swapped) {
                return;
            }
            if passage.to < 2 {
                recorder.borrow_mut().push(passage.frames[0][FORWARD_HEADER..].to_vec());
            } else if let Some(foreign) = recorder.borrow_mut().pop() {
                passage.replace_payload(&foreign);
            }
        }));
        world.run_for(SECOND);
        for (node, channel) in first {
            let _ = world.act(node, |client, now| client.send(now, channel, "of the first pair"));
        }
        world.run_for(SECOND);
        if matches!(swapped, kind::SHARE | kind::CONFIRM) {
            // The first pair's handshake is over before the meddler sees it; make it see one more.
            world.act(0, |client, now| client.abort(now, first[0].1)).unwrap();
            world.run_for(SECOND);
            met(&mut world, 0, 1);
            world.run_for(SECOND);
        }
        assert!(!seen.borrow().is_empty());
        let second = met(&mut world, 2, 3);
        for (node, channel) in second {
            world.act(node, |client, now| client.send(now, channel, "of the second pair")).unwrap();
        }
        world.run_for(60 * SECOND);
        for node in &world.nodes[2..] {
            for packet in node.received.values().flatten() {
                assert_eq!(packet, "of the second pair", "kind {swapped}");
            }
        }
        assert!(world.nodes[2..].iter().any(|node| node.heard(failed)), "kind {swapped}: nobody is told");
    }
}

// What it can do to records.

#[test]
fn a_flipped_bit_in_a_record_is_never_delivered() {
    for kind in [kind::DATA, kind::CTRL] {
        for byte in (0..26).chain([40, 60, 99]) {
            let mut world = keyed_world(2);
            let [a, b] = met(&mut world, 0, 1);
            world.secure(a, b);
            world.run_for(SECOND);
            let bit = byte * 8 + (byte * 3) % 8;
            world.meddler = Some(Box::new(FlipOnce { kind, skip: 0, bit, to: Some(1) }));
            let packet = vec![7; 64];
            for _ in 0..3 {
                world.act(0, |client, now| client.send(now, a.1, packet.clone())).unwrap();
            }
            world.run_for(60 * SECOND);
            let case = format!("kind {kind:#x}, byte {byte}");
            let got = world.nodes[1].packets();
            assert!(got.iter().all(|got| *got == packet), "{case}");
            let end = world.nodes[1].end_of(b.1);
            let body = byte >= 9;
            match end {
                // The header says another number or kind: dropped, and sent again.
                None => assert!(!body && got.len() == 3, "{case}: {} arrived", got.len()),
                Some(End::Tampered { .. }) => {
                    assert!(got.is_empty() || !body || kind == kind::CTRL, "{case}");
                }
                end => panic!("{case}: {end:?}"),
            }
            if body {
                assert!(end.is_some(), "{case}: an altered record went unnoticed");
                let told =
                    |event: &Event| matches!(event, Event::Closed { end: End::Aborted { code: 1 }, .. });
                assert!(world.nodes[0].heard(told), "{case}: the other side is not told");
            }
        }
    }
    // The kind byte of one, the tag of the other: see the unit tests of the record layer for every bit.
}

/// Both directions count from zero and have the same kinds: only their keys differ.
#[test]
fn a_sides_own_records_come_back_to_it() {
    for reflected in [kind::DATA, kind::CTRL] {
        let mut world = keyed_world(2);
        let [a, b] = met(&mut world, 0, 1);
        world.secure(a, b);
        let own: Rc<RefCell<[Vec<u8>; 2]>> = Rc::default();
        world.meddler = Some(Box::new(move |mut passage: Passage<'_>| {
            let (Some(from), Some(found)) = (passage.from, passage.kind()) else { return };
            if found == reflected {
                own.borrow_mut()[from] = passage.frames[0][FORWARD_HEADER..].to_vec();
                let echo = own.borrow()[passage.to].clone();
                if !echo.is_empty() {
                    passage.replace_payload(&echo);
                }
            }
        }));
        for (node, channel) in [a, b] {
            let text = format!("from {node}");
            world.act(node, |client, now| client.send(now, channel, text)).unwrap();
        }
        world.run_for(60 * SECOND);
        for (node, other) in [(0, 1), (1, 0)] {
            let from_other = format!("from {other}");
            assert!(world.nodes[node].packets().iter().all(|packet| *packet == from_other));
        }
        assert!(world.nodes.iter().any(|node| node.heard(failed)), "kind {reflected}: nobody is told");
    }
}

#[test]
fn dropped_repeated_and_reordered_records_arrive_once_and_in_order() {
    let mut world = keyed_world(2);
    let [a, b] = met(&mut world, 0, 1);
    world.secure(a, b);
    let mut held: Option<Vec<u8>> = None;
    world.meddler = Some(Box::new(move |passage: Passage<'_>| {
        if passage.kind() != Some(kind::DATA) {
            return;
        }
        let [choice] = passage.rng.bytes();
        match choice % 10 {
            0 => passage.frames.clear(),
            1 => passage.frames.push(passage.frames[0].clone()),
            2 => held = passage.frames.pop(),
            3 => passage.frames.extend(held.take()),
            _ => {}
        }
    }));
    let mut sent = 0u32;
    assert!(world.run_until(600 * SECOND, |world| {
        while sent < 300 && world.nodes[0].client.send(world.now, a.1, vec![(sent % 251) as u8; 9000]).is_ok()
        {
            sent += 1;
        }
        world.nodes[1].packets().len() == 300
    }));
    let got = world.nodes[1].packets();
    assert!(got.iter().enumerate().all(|(i, packet)| packet[0] == (i % 251) as u8));
    world.run_for(10 * SECOND);
    assert_eq!(world.nodes[1].packets().len(), 300);
}

#[test]
fn a_recording_of_another_session_opens_nothing() {
    let mut world = keyed_world(2);
    let [a, b] = met(&mut world, 0, 1);
    world.secure(a, b);
    let tape: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let recorder = tape.clone();
    world.meddler = Some(Box::new(move |passage: Passage<'_>| {
        if passage.kind().is_some() && passage.to == 1 {
            recorder.borrow_mut().push(passage.frames[0][FORWARD_HEADER..].to_vec());
        }
    }));
    world.act(0, |client, now| client.send(now, a.1, "yesterday")).unwrap();
    world.run_for(SECOND);
    world.act(0, |client, now| client.abort(now, a.1)).unwrap();
    world.run_for(SECOND);
    world.nodes[1].received.clear();
    world.meddler = None;
    let [a, b] = met(&mut world, 0, 1);
    world.secure(a, b);
    let tape = tape.borrow().clone();
    assert!(tape.iter().any(|payload| payload[0] == kind::DATA));
    world.meddler = Some(Box::new(move |passage: Passage<'_>| {
        if passage.kind().is_some() && passage.to == 1 {
            let header = passage.frames[0][..FORWARD_HEADER].to_vec();
            passage.frames.clear();
            passage.frames.extend(tape.iter().map(|payload| [&header[..], payload].concat()));
        }
    }));
    world.act(0, |client, now| client.send(now, a.1, "today")).unwrap();
    world.run_for(10 * SECOND);
    assert!(world.nodes[1].packets().iter().all(|packet| packet != "yesterday"));
    assert!(matches!(world.nodes[1].end_of(b.1), Some(End::Tampered { .. })));
}

/// An invented end: the other side must not be led to believe that everything has arrived.
#[test]
fn the_relay_cannot_finish_a_channel() {
    let mut world = keyed_world(2);
    let [a, b] = met(&mut world, 0, 1);
    world.secure(a, b);
    world.act(0, |client, now| client.send(now, a.1, "the first of many")).unwrap();
    world.run_for(SECOND);
    world.meddler =
        Some(Box::new(|passage: Passage<'_>| passage.frames.retain(|f| f[0] != 0x20 && f[0] != 0x88)));
    world.run_for(700 * SECOND);
    for (node, channel) in [a, b] {
        let end = world.nodes[node].end_of(channel);
        assert!(matches!(end, Some(End::Truncated)), "{end:?}");
    }
}

// Guessing.

/// Guesses of a partner with wrong keys: it opens run after run, each with another guess.
fn confirms_on_one_channel(own: &EncryptionKey) -> (Puppet, usize) {
    let mut puppet = Puppet::online(ClientConfig { key: Some(own.clone()), ..ClientConfig::default() });
    puppet.open();
    // A few more than are answered, and fewer than end the channel.
    for run in 1..=12 {
        let confirms = puppet.count(kind::CONFIRM);
        let guess = key(&format!("guess {run}"));
        let exchange = puppet.share(run, &guess);
        puppet.pass(10 * SECOND);
        if puppet.count(kind::CONFIRM) == confirms {
            continue;
        }
        let confirming = puppet.finish(exchange);
        let _ = puppet.confirm(run, confirming);
        puppet.pass(SECOND);
    }
    let confirms = puppet.count(kind::CONFIRM);
    (puppet, confirms)
}

#[test]
fn a_channel_is_worth_five_guesses() {
    let (mut puppet, confirms) = confirms_on_one_channel(&key("passphrase"));
    assert_eq!(confirms, 5);
    assert!(puppet.heard(|event| matches!(event, Event::Locked { failed: 5, .. })));
    assert_eq!(puppet.end(), None);
    // Setting the same key again is no new key.
    let (now, channel) = (puppet.now, puppet.channel.unwrap());
    puppet.client.set_encryption_key(now, key("passphrase"));
    puppet.drain();
    assert_eq!(puppet.count(kind::CONFIRM), 5);
    // Its owner may allow more, and is told how many failed.
    assert_eq!(puppet.client.unlock(now, channel), Ok(5));
    puppet.drain();
    assert!(puppet.count(kind::SHARE) > 5 || puppet.count(kind::CONFIRM) > 5, "it tries once more");
}

#[test]
fn silence_and_cuts_give_no_guess_back() {
    // The partner takes the CONFIRM and never sends its own.
    let own = key("passphrase");
    let mut puppet = Puppet::online(ClientConfig { key: Some(own), ..ClientConfig::default() });
    puppet.open();
    for run in 1..=15 {
        let _ = puppet.share(run, &key("guess"));
        puppet.pass(20 * SECOND);
    }
    assert_eq!(puppet.count(kind::CONFIRM), 5);
}

#[test]
fn a_passphrase_is_worth_twenty_guesses_over_all_channels() {
    let mut config = keyed("passphrase");
    config.limits.channels_max = 1;
    let mut puppet = Puppet::online(config);
    for _ in 0..10 {
        let channel = puppet.open();
        for run in 1..=6 {
            let confirms = puppet.count(kind::CONFIRM);
            let exchange = puppet.share(run, &key("guess"));
            puppet.pass(10 * SECOND);
            if puppet.count(kind::CONFIRM) > confirms {
                let confirming = puppet.finish(exchange);
                let _ = puppet.confirm(run, confirming);
            }
        }
        let now = puppet.now;
        let _ = puppet.client.abort(now, channel);
        puppet.drain();
    }
    assert_eq!(puppet.count(kind::CONFIRM), 20);
    assert!(puppet.heard(|event| matches!(event, Event::Locked { failed: 20, .. })));
    // A third key in between resets nothing.
    let now = puppet.now;
    puppet.client.set_encryption_key(now, key("another"));
    puppet.client.set_encryption_key(now, key("passphrase"));
    puppet.open();
    let _ = puppet.share(1, &key("guess"));
    puppet.pass(10 * SECOND);
    assert_eq!(puppet.count(kind::CONFIRM), 20);
    // The right partner cannot come in either, until its owner unlocks it.
    let now = puppet.now;
    assert_eq!(puppet.client.unlock(now, puppet.channel.unwrap()), Ok(20));
    puppet.drain();
    assert_eq!(puppet.count(kind::CONFIRM), 21);
}

#[test]
fn guesses_at_a_generated_key_are_not_counted_over_channels() {
    let generated = {
        let mut world = keyed_world(1);
        EncryptionKey::generate(world.rng())
    };
    let mut puppet = Puppet::online(ClientConfig { key: Some(generated.clone()), ..ClientConfig::default() });
    for _ in 0..25 {
        let channel = puppet.open();
        let exchange = puppet.share(1, &key("wrong"));
        let confirming = puppet.finish(exchange);
        let _ = puppet.confirm(1, confirming);
        let now = puppet.now;
        puppet.client.abort(now, channel).unwrap();
        puppet.drain();
    }
    assert_eq!(puppet.count(kind::CONFIRM), 25);
    assert!(!puppet.heard(|event| matches!(event, Event::Locked { .. })));
    // The right partner still comes in.
    let channel = puppet.open();
    let exchange = puppet.share(1, &generated);
    let confirming = puppet.finish(exchange);
    let _ = puppet.confirm(1, confirming);
    assert!(puppet.client.is_secured(channel));
}

#[test]
fn a_right_confirm_gives_its_guess_back() {
    let own = key("passphrase");
    let mut puppet = Puppet::online(ClientConfig { key: Some(own.clone()), ..ClientConfig::default() });
    for _ in 0..25 {
        let channel = puppet.open();
        let exchange = puppet.share(1, &own);
        let confirming = puppet.finish(exchange);
        let _ = puppet.confirm(1, confirming);
        assert!(puppet.client.is_secured(channel));
        let now = puppet.now;
        puppet.client.abort(now, channel).unwrap();
        puppet.drain();
    }
}

#[test]
fn later_answers_come_slower() {
    let mut puppet = Puppet::online(keyed("passphrase"));
    puppet.open();
    let mut waited = Vec::new();
    for run in 1..=5 {
        let confirms = puppet.count(kind::CONFIRM);
        let start = puppet.now;
        let exchange = puppet.share(run, &key("guess"));
        while puppet.count(kind::CONFIRM) == confirms {
            puppet.pass(SECOND / 10);
        }
        waited.push(puppet.now.since(start).as_secs());
        let confirming = puppet.finish(exchange);
        let _ = puppet.confirm(run, confirming);
    }
    assert_eq!(waited, [0, 1, 2, 4, 8]);
}

#[test]
fn an_endless_row_of_bad_shares_ends_the_channel() {
    for share in [[0xff; 32], [0; 32]] {
        let mut puppet = Puppet::online(keyed("passphrase"));
        puppet.open();
        let ad = {
            let exchange = Exchange::start(puppet.inputs(1), &key("x"), &mut puppet.rng);
            exchange.ad()
        };
        puppet.payload(&share_payload(1, &share, &ad));
        assert_eq!(puppet.end(), Some(End::HandshakeInvalid));
        assert_eq!(puppet.count(kind::CONFIRM), 0);
    }
    // A client that has no key yet does not answer, however many runs are opened, and gives up.
    let mut puppet = Puppet::online(ClientConfig::default());
    puppet.open();
    for run in 1..=100 {
        let _ = puppet.share(run, &key("x"));
    }
    assert_eq!(puppet.payloads.len(), 0);
}
