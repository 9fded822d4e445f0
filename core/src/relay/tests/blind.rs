//! Beyond its budget a source cannot tell who is here: the same words, in the same order, at the same moments.

use std::format;

use super::*;
use crate::wire::RelayFrame::Incoming;

/// What the asked ID stands for, and what becomes of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Unknown,
    Left,
    Ignores,
    Declines,
    Leaves,
    LeavesAndReturns,
    IsThrownOut,
    IsBusy,
    BecomesBusy,
    HasPromptsEnough,
    HasSeenEnough,
}

const TARGETS: [Target; 11] = [
    Target::Unknown,
    Target::Left,
    Target::Ignores,
    Target::Declines,
    Target::Leaves,
    Target::LeavesAndReturns,
    Target::IsThrownOut,
    Target::IsBusy,
    Target::BecomesBusy,
    Target::HasPromptsEnough,
    Target::HasSeenEnough,
];

const SECOND: Duration = Duration::from_secs(1);

/// A source, its target, a bystander, and the time.
struct Story {
    world: World,
    source: Client,
    target: Client,
    bystander: Client,
    asked: PeerId,
}

impl Story {
    fn new(fate: Target, budget: bool) -> Self {
        let mut world = World::new();
        let [source, target, bystander] = [(); 3].map(|()| world.join_with(1));
        let mut story = Self { world, source, target, bystander, asked: target.id };
        if !budget {
            spend_budget(&mut story.world, story.source);
        }
        let world = &mut story.world;
        match fate {
            Target::Unknown => story.asked = "ZZZZZZ".parse().unwrap(),
            Target::Left => world.disconnect(target.conn),
            Target::IsBusy => drop(world.pair(target, bystander)),
            Target::HasPromptsEnough => {
                for _ in 0..3 {
                    let other = world.join();
                    world.connect(other, 1, target.id);
                }
            }
            Target::HasSeenEnough => {
                for prompt in 1..=10 {
                    let other = world.join();
                    world.connect(other, 1, target.id);
                    world.send(target.conn, ClientFrame::Cancel { request: prompt });
                }
            }
            _ => {}
        }
        story
    }

    /// Lets time pass; those who are here show that they live.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.pass(SECOND);
            for client in [self.source, self.target, self.bystander] {
                self.world.send(client.conn, ClientFrame::Ping { token: 7 });
            }
        }
    }

    fn connect(&mut self, number: u32) {
        self.world.connect(self.source, number, self.asked);
    }

    /// The request is decided, or not.
    fn decide(&mut self, fate: Target) {
        let Self { world, source, target, bystander, .. } = self;
        let shown = world
            .take(target.conn)
            .iter()
            .any(|frame| matches!(frame, Incoming { source: id, .. } if *id == source.id));
        let expected =
            [Target::Unknown, Target::Left, Target::IsBusy, Target::HasPromptsEnough, Target::HasSeenEnough];
        assert_eq!(shown, !expected.contains(&fate), "{fate:?}");
        match fate {
            Target::Declines => {
                world.send(target.conn, ClientFrame::Cancel { request: 1 });
            }
            Target::Leaves => world.disconnect(target.conn),
            Target::LeavesAndReturns => {
                let (conn, challenge) = world.greeted();
                let Welcome { id, owner, kid, expiry, token_key, .. } = target.welcome;
                let mac = reclaim_mac(&token_key, &challenge);
                world.send(
                    conn,
                    ClientFrame::Reclaim { version: VERSION, channels: 1, kid, id, owner, expiry, mac },
                );
                target.conn = conn;
            }
            Target::IsThrownOut => world.send_bytes(target.conn, &[0xff]),
            Target::BecomesBusy => drop(world.pair(*bystander, *target)),
            _ => {}
        }
    }

    /// All that the source was told, to the byte and the microsecond.
    fn heard(&self) -> Vec<(Instant, Vec<u8>)> {
        let told = self.world.log.iter().filter(|(_, to, _)| *to == self.source.conn);
        told.map(|(at, _, frame)| (*at, frame.to_vec())).collect()
    }
}

/// Five wrong IDs, told exactly.
fn spend_budget(world: &mut World, source: Client) {
    for number in 1..=5 {
        world.connect(source, number, nobody(number));
        world.expect_answer(source.conn, number, Answer::TargetNotFound);
    }
}

pub(super) fn nobody(number: u32) -> PeerId {
    format!("X{number:05}").parse().unwrap()
}

/// It asks, asks again while it waits, asks for another, and sees its requests end.
fn waits(fate: Target, budget: bool) -> Vec<(Instant, Vec<u8>)> {
    let mut story = Story::new(fate, budget);
    story.connect(6);
    story.wait(5);
    story.decide(fate);
    story.wait(5);
    story.connect(7);
    story.world.send(story.source.conn, ClientFrame::Withdraw { request: 7 });
    story.wait(10);
    story.world.connect(story.source, 8, nobody(8));
    story.wait(20);
    story.world.connect(story.source, 9, nobody(9));
    story.world.connect(story.source, 10, nobody(10));
    story.wait(21);
    // The first is over; it may ask again.
    story.connect(11);
    story.wait(45);
    story.heard()
}

/// It asks, takes it back, and asks again, more often than it may.
fn withdraws(fate: Target) -> Vec<(Instant, Vec<u8>)> {
    let mut story = Story::new(fate, false);
    for number in 6..12 {
        story.connect(number);
        story.wait(2);
        if number == 6 {
            story.decide(fate);
        }
        story.wait(4);
        if number < 11 {
            story.world.send(story.source.conn, ClientFrame::Withdraw { request: number });
        }
    }
    story.wait(70);
    story.heard()
}

/// What was said of a request, and when.
fn answers(heard: &[(Instant, Vec<u8>)], number: u32) -> Vec<(Instant, Answer)> {
    let frames = heard.iter().filter_map(|(at, frame)| Some((*at, RelayFrame::decode(frame).ok()?)));
    let answers = frames.filter_map(|(at, frame)| match frame {
        RelayFrame::Answer { request, answer } if request == number => Some((at, answer)),
        _ => None,
    });
    answers.collect()
}

#[test]
fn whoever_waits_cannot_tell_who_is_here() {
    let expected = waits(Target::Unknown, false);
    let start = Instant::ZERO + SECOND * 1000;
    assert_eq!(
        answers(&expected, 6),
        [(start, Answer::Requested), (start + SECOND * 60, Answer::Unavailable)]
    );
    assert_eq!(
        answers(&expected, 7),
        [(start + SECOND * 10, Answer::RequestOpen), (start + SECOND * 10, Answer::NotConnected)]
    );
    for target in TARGETS {
        assert_eq!(waits(target, false), expected, "{target:?}");
    }
}

#[test]
fn whoever_takes_it_back_cannot_tell_who_is_here() {
    let expected = withdraws(Target::Unknown);
    let start = Instant::ZERO + SECOND * 1030;
    assert_eq!(
        answers(&expected, 11),
        [(start, Answer::Requested), (start + SECOND * 60, Answer::Unavailable)],
        "also one that its source has no right to any more"
    );
    for target in TARGETS {
        assert_eq!(withdraws(target), expected, "{target:?}");
    }
}

/// The two tests above are able to fail: with budget left, the same stories do tell.
#[test]
fn within_the_budget_the_stories_differ() {
    let told: BTreeSet<_> = TARGETS.map(|target| waits(target, true)).into_iter().collect();
    assert_eq!(
        told.len(),
        8,
        "unknown or left, silent, declining, gone, back, busy, busy later, shown enough"
    );
}

/// A source without budget asks a target: request 6, prompt 1.
fn asked() -> (World, Client, Client) {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    spend_budget(&mut world, a);
    world.connect(a, 6, b.id);
    world.expect_answer(a.conn, 6, Answer::Requested);
    world.expect(b.conn, &[Incoming { request: 1, source: a.id, nonce: [1; 16] }]);
    (world, a, b)
}

#[test]
fn consent_looks_different() {
    let (mut world, a, b) = asked();
    world.accept(b, 1);
    assert!(matches!(
        world.take(a.conn)[..],
        [RelayFrame::Opened { by: OpenedBy::Approval, request: 6, .. }]
    ));
    let (mut world, a, b) = asked();
    world.connect(b, 1, a.id);
    assert!(matches!(
        world.take(a.conn)[..],
        [RelayFrame::Opened { by: OpenedBy::Crossing, request: 6, .. }]
    ));
    assert!(matches!(
        world.take(b.conn)[..],
        [RelayFrame::Opened { by: OpenedBy::Crossing, request: 1, .. }]
    ));
}

/// Who was not shown a request, or has declined it, may yet come to want it.
#[test]
fn a_request_without_a_prompt_can_be_crossed() {
    let (mut world, a, b) = asked();
    world.send(b.conn, ClientFrame::Cancel { request: 1 });
    world.expect_silence();
    world.connect(b, 1, a.id);
    assert!(matches!(
        world.take(a.conn)[..],
        [RelayFrame::Opened { by: OpenedBy::Crossing, request: 6, .. }]
    ));
    assert!(matches!(
        world.take(b.conn)[..],
        [RelayFrame::Opened { by: OpenedBy::Crossing, request: 1, .. }]
    ));
    assert_eq!(world.relay.stats().requests, 0);
}

/// The target's side is as ever.
#[test]
fn the_target_is_told_all() {
    let (mut world, a, b) = asked();
    world.send(a.conn, ClientFrame::Withdraw { request: 6 });
    world.expect_answer(a.conn, 6, Answer::Withdrawn);
    world.expect_ended(b.conn, 1, Answer::Withdrawn);
    let (mut world, a, b) = asked();
    world.disconnect(a.conn);
    world.expect_ended(b.conn, 1, Answer::Left);
    let (mut world, a, b) = asked();
    world.pass_alive(SECOND * 60, &[a, b]);
    world.expect_answer(a.conn, 6, Answer::Unavailable);
    world.expect_ended(b.conn, 1, Answer::Expired);
    let (mut world, _, b) = asked();
    world.send(b.conn, ClientFrame::Cancel { request: 1 });
    world.accept(b, 1);
    world.expect_ended(b.conn, 1, Answer::NotConnected);
    world.expect_silence();
}

/// A request that was declined holds its place, and frees that of its target.
#[test]
fn a_declined_request_still_counts_at_its_source() {
    let (mut world, a, b) = asked();
    world.send(b.conn, ClientFrame::Cancel { request: 1 });
    let others = [world.join(), world.join(), world.join()];
    for other in others {
        world.connect(other, 1, b.id);
        world.expect_answer(other.conn, 1, Answer::Requested);
    }
    assert_eq!(world.take(b.conn).len(), 3);
    world.connect(a, 7, nobody(7));
    world.connect(a, 8, nobody(8));
    world.take(a.conn);
    world.connect(a, 9, nobody(9));
    world.expect_answer(a.conn, 9, Answer::RequestOpen);
    assert_eq!((world.relay.stats().requests, world.relay.stats().blind), (6, 3));
}
