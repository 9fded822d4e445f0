//! Every row of the state table in `pairing`, with the exact words to both sides.

use super::*;
use crate::wire::RelayFrame::{Incoming, Opened};

const NOBODY: &str = "ZZZZZZ";

fn nobody() -> PeerId {
    NOBODY.parse().unwrap()
}

/// Two clients, the first of which has asked the second: request 1, prompt 1.
fn asked() -> (World, Client, Client) {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    world.connect(a, 1, b.id);
    world.expect_answer(a.conn, 1, Answer::Requested);
    world.expect(b.conn, &[Incoming { request: 1, source: a.id, nonce: [1; 16] }]);
    (world, a, b)
}

fn count(world: &World, answer: Answer) -> u64 {
    world.relay.stats().answers.get(&answer).copied().unwrap_or(0)
}

#[test]
fn asking_oneself_is_refused() {
    let mut world = World::new();
    let a = world.join();
    world.connect(a, 1, a.id);
    world.expect_answer(a.conn, 1, Answer::OwnId);
    world.expect_silence();
}

#[test]
fn asking_nobody() {
    let mut world = World::new();
    let a = world.join();
    world.connect(a, 1, nobody());
    world.expect_answer(a.conn, 1, Answer::TargetNotFound);
}

#[test]
fn asking_reaches_the_target_and_says_so() {
    let (world, ..) = asked();
    world.expect_silence();
    assert_eq!((count(&world, Answer::Requested), count(&world, Answer::Incoming)), (1, 1));
}

/// Whether there is a prompt changes nothing of when the source is told.
#[test]
fn the_source_is_told_before_the_target_is_asked() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    world.log.clear();
    world.connect(a, 1, b.id);
    let told: Vec<_> = world.log.iter().map(|&(_, to, _)| to).collect();
    assert_eq!(told, [a.conn, b.conn]);
}

#[test]
fn a_request_number_rises() {
    for numbers in [&[0][..], &[5, 5], &[5, 4], &[u32::MAX, u32::MAX]] {
        let mut world = World::new();
        let a = world.join();
        for &number in numbers {
            assert_eq!(world.code(a.conn), None);
            world.connect(a, number, nobody());
        }
        assert_eq!(world.code(a.conn), Some(CloseCode::Violation), "{numbers:?}");
    }
}

#[test]
fn a_source_with_all_channels_in_use_or_one_with_the_target() {
    let mut world = World::new();
    let (a, b, c) = (world.join(), world.join_with(2), world.join_with(2));
    world.pair(a, b);
    for (number, target) in [(2, b.id), (3, c.id), (4, nobody())] {
        world.connect(a, number, target);
        world.expect_answer(a.conn, number, Answer::SourceAlreadyConnected);
    }
    world.connect(b, 1, a.id);
    world.expect_answer(b.conn, 1, Answer::SourceAlreadyConnected);
    world.expect_silence();
}

#[test]
fn a_target_with_all_channels_in_use() {
    let mut world = World::new();
    let (a, b, c) = (world.join(), world.join(), world.join());
    world.pair(a, b);
    world.connect(c, 1, a.id);
    world.expect_answer(c.conn, 1, Answer::TargetAlreadyConnected);
    world.connect(c, 2, b.id);
    world.expect_answer(c.conn, 2, Answer::TargetAlreadyConnected);
    world.expect_silence();
}

#[test]
fn a_second_request_to_the_same_target_while_one_waits() {
    let (mut world, a, b) = asked();
    world.connect(a, 2, b.id);
    world.expect_answer(a.conn, 2, Answer::RequestOpen);
    world.expect_silence();
    world.accept(b, 1);
    assert!(matches!(world.take(a.conn)[..], [Opened { request: 1, .. }]), "the first one still waited");
}

/// With as many requests as allowed, what is said of an ID does not depend on whether it is there.
#[test]
fn as_many_requests_as_allowed() {
    let mut world = World::new();
    let a = world.join();
    let others: Vec<_> = (0..4).map(|_| world.join()).collect();
    for (number, other) in (1..).zip(&others[..3]) {
        world.connect(a, number, other.id);
        world.expect_answer(a.conn, number, Answer::Requested);
        world.take(other.conn);
    }
    for (number, target) in [(4, others[3].id), (5, nobody()), (6, others[0].id)] {
        world.connect(a, number, target);
        world.expect_answer(a.conn, number, Answer::RequestOpen);
    }
    world.expect_silence();
    world.send(a.conn, ClientFrame::Withdraw { request: 2 });
    world.expect_answer(a.conn, 2, Answer::Withdrawn);
    world.connect(a, 7, others[3].id);
    world.expect_answer(a.conn, 7, Answer::Requested);
}

#[test]
fn as_many_prompts_as_allowed() {
    let mut world = World::with(|config| config.limits.requests_in_max = 2);
    let target = world.join();
    let sources: Vec<_> = (0..3).map(|_| world.join()).collect();
    for source in &sources {
        world.connect(*source, 1, target.id);
        world.expect_answer(source.conn, 1, Answer::Requested);
    }
    assert_eq!(world.take(target.conn).len(), 2, "the third request disturbs nobody");
    world.send(target.conn, ClientFrame::Cancel { request: 1 });
    world.expect_answer(sources[0].conn, 1, Answer::Declined);
    world.expect_silence();
    world.send(sources[2].conn, ClientFrame::Withdraw { request: 1 });
    world.expect_answer(sources[2].conn, 1, Answer::Withdrawn);
    world.connect(sources[2], 2, target.id);
    world.expect_answer(sources[2].conn, 2, Answer::Requested);
    world.expect(target.conn, &[Incoming { request: 3, source: sources[2].id, nonce: [1; 16] }]);
}

#[test]
fn requests_that_cross_are_consent_by_both() {
    let (mut world, a, b) = asked();
    world.send(b.conn, ClientFrame::Connect { request: 9, target: a.id, nonce: [7; 16] });
    let opened = |request, channel, nonce| Opened { by: OpenedBy::Crossing, request, channel, nonce };
    world.expect(a.conn, &[opened(1, 0x100, [7; 16])]);
    world.expect(b.conn, &[opened(9, 0x100, [1; 16])]);
    assert_eq!((count(&world, Answer::ConnectionDone), count(&world, Answer::Approved)), (1, 0));
    assert_eq!(world.forward(a.conn, 0x100), Some((b.conn, 0x100)));
    world.accept(b, 1);
    world.expect_ended(b.conn, 1, Answer::NotConnected);
    world.pass_alive(Duration::from_secs(90), &[a, b]);
    world.expect_silence();
}

/// A crossing opens no channel that a full target has no room for.
#[test]
fn a_full_target_that_still_waits_for_the_source() {
    let (mut world, a, b) = asked();
    let c = world.join();
    world.connect(c, 1, a.id);
    world.take(c.conn);
    world.take(a.conn);
    world.accept(a, 1);
    world.take(a.conn);
    world.take(c.conn);
    world.connect(b, 1, a.id);
    world.expect_answer(b.conn, 1, Answer::TargetAlreadyConnected);
    world.accept(b, 1);
    world.expect_answer(a.conn, 1, Answer::SourceAlreadyConnected);
    world.expect_ended(b.conn, 1, Answer::SourceAlreadyConnected);
    world.expect_silence();
}

#[test]
fn accepting_opens_a_channel() {
    let (mut world, a, b) = asked();
    world.send(b.conn, ClientFrame::Accept { request: 1, nonce: [9; 16] });
    world.expect(a.conn, &[Opened { by: OpenedBy::Approval, request: 1, channel: 0x100, nonce: [9; 16] }]);
    world.expect(b.conn, &[Opened { by: OpenedBy::Acceptance, request: 1, channel: 0x100, nonce: [1; 16] }]);
    assert_eq!((count(&world, Answer::Approved), count(&world, Answer::ConnectionDone)), (1, 1));
    world.pass_alive(Duration::from_secs(90), &[a, b]);
    world.expect_silence();
}

#[test]
fn accepting_means_the_request_that_was_shown() {
    let (mut world, a, b) = asked();
    let c = world.join();
    world.connect(c, 1, b.id);
    world.expect(b.conn, &[Incoming { request: 2, source: c.id, nonce: [1; 16] }]);
    world.take(c.conn);
    world.accept(b, 1);
    assert!(matches!(world.take(a.conn)[..], [Opened { .. }]), "the first caller, not the last");
    world.take(b.conn);
    world.expect_silence();
    world.accept(b, 2);
    world.expect_answer(c.conn, 1, Answer::TargetAlreadyConnected);
    world.expect_ended(b.conn, 2, Answer::TargetAlreadyConnected);
}

#[test]
fn accepting_what_is_not_there() {
    let (mut world, a, b) = asked();
    for (client, prompt) in [(b, 0), (b, 2), (a, 1)] {
        world.accept(client, prompt);
        world.expect_ended(client.conn, prompt, Answer::NotConnected);
    }
    world.expect_silence();
    assert_eq!(count(&world, Answer::NotConnected), 3);
}

#[test]
fn accepting_a_source_that_has_become_full() {
    let (mut world, a, b) = asked();
    let c = world.join();
    world.connect(c, 1, a.id);
    world.take(a.conn);
    world.accept(a, 1);
    world.take(a.conn);
    world.take(c.conn);
    world.accept(b, 1);
    world.expect_answer(a.conn, 1, Answer::SourceAlreadyConnected);
    world.expect_ended(b.conn, 1, Answer::SourceAlreadyConnected);
    world.expect_silence();
}

#[test]
fn accepting_a_source_that_has_become_a_partner() {
    let mut world = World::new();
    let (a, b) = (world.join_with(2), world.join_with(2));
    world.connect(a, 1, b.id);
    world.take(a.conn);
    world.take(b.conn);
    world.send(a.conn, ClientFrame::Rejoin { rendezvous: [3; 16], role: 0 });
    world.send(b.conn, ClientFrame::Rejoin { rendezvous: [3; 16], role: 1 });
    world.take(a.conn);
    world.take(b.conn);
    world.accept(b, 1);
    world.expect_answer(a.conn, 1, Answer::SourceAlreadyConnected);
    world.expect_ended(b.conn, 1, Answer::SourceAlreadyConnected);
}

#[test]
fn cancelling() {
    let (mut world, a, b) = asked();
    world.send(a.conn, ClientFrame::Cancel { request: 1 });
    world.send(b.conn, ClientFrame::Cancel { request: 2 });
    world.expect_silence();
    world.send(b.conn, ClientFrame::Cancel { request: 1 });
    world.expect_answer(a.conn, 1, Answer::Declined);
    world.send(b.conn, ClientFrame::Cancel { request: 1 });
    world.accept(b, 1);
    world.expect_ended(b.conn, 1, Answer::NotConnected);
    world.expect_silence();
    world.connect(a, 2, b.id);
    world.expect_answer(a.conn, 2, Answer::Requested);
}

#[test]
fn withdrawing() {
    let (mut world, a, b) = asked();
    world.send(b.conn, ClientFrame::Withdraw { request: 1 });
    world.expect_answer(b.conn, 1, Answer::NotConnected);
    world.send(a.conn, ClientFrame::Withdraw { request: 1 });
    world.expect_answer(a.conn, 1, Answer::Withdrawn);
    world.expect_ended(b.conn, 1, Answer::Withdrawn);
    world.send(a.conn, ClientFrame::Withdraw { request: 1 });
    world.expect_answer(a.conn, 1, Answer::NotConnected);
    world.accept(b, 1);
    world.expect_ended(b.conn, 1, Answer::NotConnected);
    world.expect_silence();
}

#[test]
fn expiring() {
    let (mut world, a, b) = asked();
    world.pass_alive(Duration::from_secs(60) - MICRO, &[a, b]);
    world.expect_silence();
    world.pass(MICRO);
    world.expect_answer(a.conn, 1, Answer::Expired);
    world.expect_ended(b.conn, 1, Answer::Expired);
    world.accept(b, 1);
    world.expect_ended(b.conn, 1, Answer::NotConnected);
    world.send(a.conn, ClientFrame::Withdraw { request: 1 });
    world.expect_answer(a.conn, 1, Answer::NotConnected);
}

#[test]
fn either_side_leaving_ends_the_request_at_once() {
    let (mut world, a, b) = asked();
    world.disconnect(a.conn);
    world.expect_ended(b.conn, 1, Answer::Left);
    world.expect_silence();
    assert_eq!(count(&world, Answer::Left), 1);

    let (mut world, a, b) = asked();
    world.disconnect(b.conn);
    world.expect_answer(a.conn, 1, Answer::Left);
    world.expect_silence();
    assert_eq!(count(&world, Answer::Left), 1);
}

#[test]
fn being_thrown_out_is_leaving() {
    let (mut world, a, b) = asked();
    world.send_bytes(b.conn, &[0xff]);
    world.expect_answer(a.conn, 1, Answer::Left);
    world.connect(a, 2, b.id);
    world.expect_answer(a.conn, 2, Answer::TargetNotFound);
}

/// All that waits for a client, in both directions, hears of its end.
#[test]
fn leaving_ends_every_request() {
    let mut world = World::new();
    let a = world.join();
    let others: Vec<_> = (0..6).map(|_| world.join()).collect();
    for (number, other) in (1..).zip(&others[..3]) {
        world.connect(a, number, other.id);
    }
    for other in &others[3..] {
        world.connect(*other, 1, a.id);
    }
    for client in others.iter().chain([&a]) {
        world.take(client.conn);
    }
    world.disconnect(a.conn);
    for other in &others[..3] {
        world.expect_ended(other.conn, 1, Answer::Left);
    }
    for other in &others[3..] {
        world.expect_answer(other.conn, 1, Answer::Left);
    }
}

/// The seed's ten answers, each from the relay's own mouth.
#[test]
fn every_answer_of_the_seed_is_reachable() {
    let mut world = World::new();
    let (a, b, c) = (world.join(), world.join(), world.join());
    world.connect(a, 1, nobody());
    world.connect(a, 2, b.id);
    world.connect(a, 3, b.id);
    world.send(b.conn, ClientFrame::Cancel { request: 1 });
    world.take(b.conn);
    world.pair(a, b);
    world.connect(a, 5, c.id);
    world.connect(c, 1, b.id);
    world.send(c.conn, ClientFrame::Withdraw { request: 1 });
    for answer in [
        Answer::Requested,
        Answer::SourceAlreadyConnected,
        Answer::TargetAlreadyConnected,
        Answer::TargetNotFound,
        Answer::NotConnected,
        Answer::Declined,
        Answer::Approved,
        Answer::ConnectionDone,
        Answer::RequestOpen,
        Answer::Incoming,
    ] {
        assert!(count(&world, answer) > 0, "{answer:?}");
    }
}
