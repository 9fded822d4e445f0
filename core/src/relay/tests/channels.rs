//! Channels: two ends, the same two, whatever anybody sends.

use super::*;
use crate::wire::{FRAME_MAX, RelayFrame::Closed};

#[test]
fn forwarding_rewrites_the_header_in_place_and_nothing_else() {
    let mut world = World::new();
    let (a, b, c) = (world.join(), world.join_with(2), world.join());
    world.pair(c, b);
    let (at_a, at_b) = world.pair(a, b);
    assert_eq!((at_a, at_b), (0x100, 0x101), "each side has a number of its own");
    let mut frame = *b"\x20\0\0\x01\0\x20\x87 any bytes";
    assert_eq!(world.raw(a.conn, &mut frame), Handled::Forward(b.conn));
    assert_eq!(&frame, b"\x20\0\0\x01\x01\x20\x87 any bytes");
    assert_eq!(world.raw(b.conn, &mut frame), Handled::Forward(a.conn));
    assert_eq!(&frame, b"\x20\0\0\x01\0\x20\x87 any bytes");
    let stats = world.relay.stats();
    assert_eq!((stats.frames_forwarded, stats.bytes_forwarded), (2, 2 * frame.len() as u64));
    world.expect_silence();
}

#[test]
fn the_longest_frame_and_one_byte_more() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    let (channel, _) = world.pair(a, b);
    let mut frame = std::vec![0; FRAME_MAX + 1];
    ForwardHeader { channel }.rewrite(&mut frame);
    assert_eq!(world.raw(a.conn, &mut frame[..FRAME_MAX]), Handled::Forward(b.conn));
    world.send_bytes(a.conn, &frame);
    assert_eq!(world.code(a.conn), Some(CloseCode::TooLarge));
    world.expect_closed(b.conn, 0x100, Ended::Detached);
}

#[test]
fn the_shortest_frame_and_one_byte_less() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    world.pair(a, b);
    assert_eq!(world.raw(a.conn, &mut [0x20, 0, 0, 1, 0, 9]), Handled::Forward(b.conn));
    world.send_bytes(a.conn, &[0x20, 0, 0, 1, 0]);
    assert_eq!(world.code(a.conn), Some(CloseCode::Malformed));
}

#[test]
fn a_client_has_as_many_channels_as_it_asked_for() {
    let mut world = World::new();
    let hub = world.join_with(3);
    let others: Vec<_> = (0..4).map(|_| world.join()).collect();
    let numbers: Vec<_> = others[..3].iter().map(|&other| world.pair(other, hub).1).collect();
    assert_eq!(numbers, [0x100, 0x101, 0x102]);
    world.connect(others[3], 1, hub.id);
    world.expect_answer(others[3].conn, 1, Answer::TargetAlreadyConnected);
    for (&number, other) in numbers.iter().zip(&others) {
        assert_eq!(world.forward(hub.conn, number), Some((other.conn, 0x100)));
        assert_eq!(world.forward(other.conn, 0x100), Some((hub.conn, number)));
    }
}

#[test]
fn closing_tells_the_other_end_only() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    let (at_a, at_b) = world.pair(a, b);
    world.send(a.conn, ClientFrame::Close { channel: at_a });
    assert_eq!(world.behind, 1, "the end of a channel does not overtake what was sent over it");
    world.expect_closed(b.conn, at_b, Ended::Closed);
    world.expect_silence();
    assert_eq!((world.forward(a.conn, at_a), world.forward(b.conn, at_b)), (None, None));
    assert_eq!(world.relay.stats().frames_dropped, 2);
    for (client, channel) in [(a, at_a), (b, at_b)] {
        world.send(client.conn, ClientFrame::Close { channel });
        world.expect_closed(client.conn, channel, Ended::NotConnected);
    }
    world.expect_silence();
}

/// What was sent into a channel that has ended never reaches the one that took its place, nor does its CLOSE.
#[test]
fn a_number_means_one_channel_for_ever() {
    let mut world = World::with(|config| without_end(&mut config.limits));
    let (a, b, c) = (world.join(), world.join(), world.join());
    let (old_a, old_b) = world.pair(a, b);
    world.send(b.conn, ClientFrame::Close { channel: old_b });
    world.take(a.conn);
    let (new_a, at_c) = world.pair(a, c);
    assert_ne!(new_a, old_a);
    assert_eq!(world.forward(a.conn, old_a), None);
    world.send(a.conn, ClientFrame::Close { channel: old_a });
    world.expect_closed(a.conn, old_a, Ended::NotConnected);
    assert_eq!(world.forward(a.conn, new_a), Some((c.conn, at_c)));
    world.send(c.conn, ClientFrame::Close { channel: at_c });
    world.take(a.conn);
    let mut seen = BTreeSet::from([old_a, new_a]);
    for _ in 0..300 {
        let (at_a, at_b) = world.pair(a, b);
        assert!(seen.insert(at_a));
        world.send(b.conn, ClientFrame::Close { channel: at_b });
        world.take(a.conn);
    }
}

#[test]
fn a_third_party_reaches_no_channel_of_others() {
    let mut world = World::new();
    let (a, b, mallory) = (world.join(), world.join(), world.join());
    let (at_a, at_b) = world.pair(a, b);
    for channel in (0..0x400).chain([u32::MAX]) {
        assert_eq!(world.forward(mallory.conn, channel), None);
        world.send(mallory.conn, ClientFrame::Close { channel });
        world.expect_closed(mallory.conn, channel, Ended::NotConnected);
    }
    world.expect_silence();
    assert_eq!(world.forward(a.conn, at_a), Some((b.conn, at_b)));
}

#[test]
fn no_number_but_the_right_one_reaches_the_other_end() {
    let mut world = World::new();
    let (a, b) = (world.join_with(64), world.join());
    let (at_a, at_b) = world.pair(a, b);
    for channel in (0..0x1000).chain([u32::MAX, at_a | 1 << 31]) {
        let expected = (channel == at_a).then_some((b.conn, at_b));
        assert_eq!(world.forward(a.conn, channel), expected, "{channel:#x}");
    }
}

#[test]
fn a_connection_that_ends_detaches_all_its_channels() {
    let mut world = World::new();
    let hub = world.join_with(3);
    let others: Vec<_> = (0..3).map(|_| world.join()).collect();
    for &other in &others {
        world.pair(other, hub);
    }
    world.disconnect(hub.conn);
    for other in &others {
        world.expect_closed(other.conn, 0x100, Ended::Detached);
        assert_eq!(world.forward(other.conn, 0x100), None);
    }
    world.expect_silence();
    world.pair(others[0], others[1]);
}

/// One link's end is told once, to each that had to do with it, whatever was going on.
#[test]
fn a_connection_that_ends_in_the_middle_of_everything() {
    let mut world = World::new();
    let (a, partner, asked, asking) = (world.join_with(4), world.join_with(2), world.join(), world.join());
    world.pair(a, partner);
    world.connect(a, 2, asked.id);
    world.connect(asking, 1, a.id);
    world.send(a.conn, ClientFrame::Rejoin { rendezvous: [5; 16], role: 0 });
    world.tell(Input::Blocked { from: a.conn, to: partner.conn });
    world.tell(Input::Blocked { from: partner.conn, to: a.conn });
    for client in [a, asked, asking] {
        world.take(client.conn);
    }
    world.disconnect(a.conn);
    world.expect_closed(partner.conn, 0x100, Ended::Detached);
    world.expect_ended(asked.conn, 1, Answer::Left);
    world.expect_answer(asking.conn, 1, Answer::Left);
    assert_eq!(world.unblocked, [partner.conn]);
    world.send(partner.conn, ClientFrame::Rejoin { rendezvous: [5; 16], role: 1 });
    world.pass_alive(Duration::from_secs(200), &[partner, asked, asking]);
    world.expect_silence();
}

/// A sender and a receiver with a channel between them, the sender held up.
fn blocked() -> (World, Client, Client) {
    let mut world = World::new();
    let (a, b) = (world.join_with(2), world.join_with(2));
    world.pair(a, b);
    world.tell(Input::Blocked { from: a.conn, to: b.conn });
    (world, a, b)
}

#[test]
fn a_stuck_receiver_loses_its_channel_and_no_other() {
    let (mut world, a, b) = blocked();
    let c = world.join();
    let (other, _) = world.pair(a, c);
    let alive = [b, c];
    world.pass_alive(Duration::from_secs(20) - MICRO, &alive);
    world.expect_silence();
    world.pass(MICRO);
    world.expect(a.conn, &[Closed { channel: 0x100, reason: Ended::Stuck }]);
    world.expect(b.conn, &[Closed { channel: 0x100, reason: Ended::Stuck }]);
    assert_eq!(world.unblocked, [a.conn]);
    assert_eq!(world.forward(a.conn, other), Some((c.conn, 0x100)));
    world.expect_silence();
}

#[test]
fn a_receiver_that_takes_again_keeps_its_channel() {
    let (mut world, a, b) = blocked();
    world.pass_alive(Duration::from_secs(19), &[b]);
    world.tell(Input::Unblocked { from: a.conn });
    world.tell(Input::Blocked { from: a.conn, to: b.conn });
    world.pass_alive(Duration::from_secs(19), &[b]);
    world.tell(Input::Unblocked { from: a.conn });
    world.pass_alive(Duration::from_secs(90), &[a, b]);
    world.expect_silence();
    assert!(world.unblocked.is_empty(), "the embedder knew");
    assert!(world.forward(a.conn, 0x100).is_some());
}

#[test]
fn whatever_ends_the_channel_frees_the_sender() {
    let ends: [fn(&mut World, Client, Client); 4] = [
        |world, a, _| world.send(a.conn, ClientFrame::Close { channel: 0x100 }),
        |world, _, b| world.send(b.conn, ClientFrame::Close { channel: 0x100 }),
        |world, _, b| world.disconnect(b.conn),
        |world, _, b| world.send_bytes(b.conn, &[]),
    ];
    for end in ends {
        let (mut world, a, b) = blocked();
        end(&mut world, a, b);
        assert_eq!(world.unblocked, [a.conn]);
        world.pass_alive(Duration::from_secs(60), &[a]);
        assert_eq!(world.unblocked, [a.conn], "once");
    }
}

#[test]
fn only_the_channel_waited_for_frees_the_sender() {
    let (mut world, a, b) = blocked();
    let c = world.join();
    let (other, _) = world.pair(a, c);
    world.send(a.conn, ClientFrame::Close { channel: other });
    world.disconnect(c.conn);
    assert!(world.unblocked.is_empty());
    world.send(b.conn, ClientFrame::Close { channel: 0x100 });
    assert_eq!(world.unblocked, [a.conn]);
}

/// The channel may have ended while the embedder was about to say so: nobody waits for what is gone.
#[test]
fn nobody_waits_for_one_that_is_no_partner() {
    let mut world = World::new();
    let (a, b, (greeted, _)) = (world.join(), world.join(), world.greeted());
    let gone = world.join().conn;
    world.disconnect(gone);
    for (from, to) in [(a.conn, b.conn), (a.conn, gone), (greeted, a.conn), (a.conn, a.conn)] {
        world.unblocked.clear();
        world.tell(Input::Blocked { from, to });
        assert_eq!(world.unblocked, [from]);
    }
}
