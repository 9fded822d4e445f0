//! Two sessions with a wire between them that loses and delays what a test wants.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::*;
use crate::client::limits::KEY_RECORDS;
use crate::client::tests::secured_pair;
use crate::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

struct End {
    session: Session,
    queue: SendQueue,
    number: u32,
}

impl End {
    fn new(secured: Secured, limits: &ClientLimits) -> Self {
        let limits = limits.clone().clamped();
        let session = Session::new(Instant::ZERO, secured, &limits);
        Self { session, queue: SendQueue::new(&limits), number: 1 }
    }

    fn send(&mut self, len: usize) {
        assert!(self.queue.push(Bytes::from(alloc::vec![3; len])).is_some());
    }

    /// Everything it has to say now.
    fn poll(&mut self, now: Instant) -> Vec<Bytes> {
        core::iter::from_fn(|| self.poll_one(now)).collect()
    }

    fn poll_one(&mut self, now: Instant) -> Option<Bytes> {
        let wants = self.session.wants_to_send(now, &self.queue, true);
        let state = self.session.poll_state(self.number).unwrap();
        let frame = state.or_else(|| self.session.poll_data(now, &mut self.queue, self.number).unwrap());
        assert_eq!(frame.is_some(), wants);
        frame
    }

    fn take(&mut self, now: Instant, frame: &Bytes) -> Outcome {
        let record = BytesMut::from(&frame[FORWARD_HEADER..]);
        if is_state(frame) {
            self.session.on_ctrl(now, record, &mut self.queue)
        } else {
            self.session.on_data(now, record)
        }
    }

    fn take_all(&mut self, now: Instant, frames: &[Bytes]) {
        for frame in frames {
            assert_eq!(self.take(now, frame), Outcome::Fine);
        }
    }

    /// Time runs out; whatever follows is in `due`.
    fn wait(&mut self, now: &mut Instant) -> Outcome {
        *now = (*now).max(self.session.deadline());
        let outcome = self.session.on_timeout(*now);
        if outcome == Outcome::Fine {
            assert!(self.session.due.is_some() || self.session.deadline() > *now, "the deadline moves on");
        }
        outcome
    }

    fn flags(&self) -> Option<(bool, bool)> {
        self.session.due.map(|due| (due.ask, due.retransmit))
    }
}

fn is_state(frame: &Bytes) -> bool {
    frame[FORWARD_HEADER] == 0x11
}

fn pair_with(limits: &ClientLimits) -> (End, End) {
    let (a, b) = secured_pair();
    (End::new(a, limits), End::new(b, limits))
}

/// Two sides that have told each other their first STATE.
fn pair() -> (End, End) {
    let (mut a, mut b) = pair_with(&ClientLimits::default());
    settle(&mut a, &mut b, Instant::ZERO);
    (a, b)
}

fn settle(a: &mut End, b: &mut End, now: Instant) {
    loop {
        let (from_a, from_b) = (a.poll(now), b.poll(now));
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        b.take_all(now, &from_a);
        a.take_all(now, &from_b);
    }
}

#[test]
fn both_say_where_they_stand_as_soon_as_they_are_secured() {
    let (mut a, mut b) = pair_with(&ClientLimits::default());
    for end in [&mut a, &mut b] {
        let frames = end.poll(Instant::ZERO);
        assert!(matches!(&frames[..], [frame] if is_state(frame)));
        assert!(!end.session.peer_opened());
    }
}

#[test]
fn both_know_one_place_to_meet_again_and_that_the_other_is_there() {
    let (a, b) = pair();
    assert_eq!(a.session.rendezvous(), b.session.rendezvous());
    assert!(a.session.rendezvous().iter().any(|&byte| byte > 1), "it is no constant");
    assert!(a.session.peer_opened() && b.session.peer_opened());
}

#[test]
fn what_was_opened_is_confirmed_after_32_records_64_kib_or_200_ms() {
    for (len, count) in [(0, ACK_RECORDS as usize), (16_000, 5)] {
        let (mut a, mut b) = pair();
        let mut now = Instant::ZERO;
        for i in 1..=count {
            a.send(len);
            let frames = a.poll(now);
            assert_eq!(frames.len(), 1);
            b.take_all(now, &frames);
            assert_eq!(b.flags().is_some(), i == count, "after {i} records of {len} bytes");
        }
        let (mut a, mut b) = pair();
        a.send(len);
        b.take_all(now, &a.poll(now));
        assert_eq!(b.session.deadline(), now + ACK_DELAY);
        assert_eq!((b.wait(&mut now), b.flags()), (Outcome::Fine, Some((false, false))));
        a.take_all(now, &b.poll(now));
        assert_eq!(a.session.packets_acked(), 1);
    }
}

#[test]
fn a_quarter_of_the_window_that_comes_free_is_told() {
    let limits = ClientLimits { receive_window_bytes: 1 << 17, ..ClientLimits::default() };
    let (mut a, mut b) = pair_with(&limits);
    settle(&mut a, &mut b, Instant::ZERO);
    for _ in 0..8 {
        a.send(16_000);
    }
    settle(&mut a, &mut b, Instant::ZERO);
    let told = b.session.told_edge;
    for taken in 1..=3u64 {
        assert!(b.flags().is_none());
        assert!(b.session.take().is_some());
        assert_eq!(b.flags().is_some(), taken * 16_026 >= (1 << 17) / 4, "after {taken} packets");
    }
    settle(&mut a, &mut b, Instant::ZERO);
    assert!(b.session.told_edge >= told + (1 << 15));
}

#[test]
fn silence_is_asked_about_after_20_s_idle_and_2_s_waiting_and_left_after_three_requests() {
    for (waiting, first) in [(false, ASK_IDLE), (true, ASK_STALLED)] {
        let (mut a, mut b) = pair();
        let mut now = Instant::ZERO + 5 * S;
        a.session.on_valid(now);
        if waiting {
            a.send(10);
            assert_eq!(a.poll(now).len(), 1);
        }
        assert_eq!(a.session.deadline(), now + first);
        let mut asked = Vec::new();
        for _ in 0..ASKS_MAX {
            assert_eq!((a.wait(&mut now), a.flags()), (Outcome::Fine, Some((true, false))));
            asked = a.poll(now);
        }
        let mut other = now;
        assert_eq!(a.wait(&mut other), Outcome::Leave);
        // Any record that opens would have been an answer.
        b.take_all(now, &asked);
        assert!(b.flags().is_some());
        let (mut a, _) = pair();
        for _ in 0..2 {
            let _ = a.wait(&mut now);
            a.poll(now);
        }
        a.session.on_valid(now);
        assert_eq!(a.session.asked, 0);
    }
}

/// A transport that takes nothing for a while is no silence of the other side: the link itself is watched elsewhere.
#[test]
fn a_request_that_has_not_left_is_not_counted() {
    let (mut a, _) = pair();
    let mut now = Instant::ZERO;
    for _ in 0..20 {
        assert_eq!(a.wait(&mut now), Outcome::Fine);
    }
    assert_eq!(a.session.asked, 1);
}

#[test]
fn when_everything_is_confirmed_the_side_is_idle() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    a.send(10);
    settle(&mut a, &mut b, now);
    let _ = b.wait(&mut now);
    settle(&mut a, &mut b, now);
    assert_eq!(a.session.packets_acked(), 1);
    assert_eq!(a.session.deadline(), now + ASK_IDLE);
}

#[test]
fn a_lost_record_is_asked_for_at_once_and_then_once_a_second_until_the_way_is_left() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    for _ in 0..3 {
        a.send(10);
        let frames = a.poll(now);
        if a.session.out.send_next() != 2 {
            b.take_all(now, &frames);
        }
    }
    assert_eq!(b.flags(), Some((true, true)));
    b.poll(now);
    for second in 1..10 {
        assert_eq!((b.wait(&mut now), now), (Outcome::Fine, Instant::ZERO + second * S));
        assert_eq!(b.flags(), Some((true, true)));
        b.poll(now);
        // Bare headers do not make it ask more often.
        let mut header = [0u8; 40];
        (header[0], header[8]) = (0x10, 9);
        assert_eq!(b.session.on_data(now, BytesMut::from(&header[..])), Outcome::Fine);
        assert_eq!(b.flags(), None);
    }
    assert_eq!((b.wait(&mut now), now), (Outcome::Leave, Instant::ZERO + 10 * S));
}

#[test]
fn a_lost_record_comes_again_and_the_stream_goes_on() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    for len in [10, 11, 12] {
        a.send(len);
        let frames = a.poll(now);
        if len != 11 {
            b.take_all(now, &frames);
        }
    }
    settle(&mut a, &mut b, now);
    let _ = b.wait(&mut now);
    settle(&mut a, &mut b, now);
    let lens: Vec<_> = core::iter::from_fn(|| b.session.take()).map(|packet| packet.len()).collect();
    assert_eq!(lens, [10, 11, 12]);
    assert_eq!((a.session.packets_acked(), b.session.gap.is_none()), (3, true));
}

/// The lost tail shows no gap; the other side's own count shows it.
#[test]
fn a_lost_tail_is_found_by_the_count_of_the_other_side() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    a.send(10);
    a.poll(now);
    assert_eq!((a.wait(&mut now), a.flags()), (Outcome::Fine, Some((true, false))));
    settle(&mut a, &mut b, now);
    assert_eq!(b.session.deadline(), now + RETRANSMIT_PAUSE);
    assert_eq!((b.wait(&mut now), b.flags()), (Outcome::Fine, Some((true, true))));
    settle(&mut a, &mut b, now);
    assert!(b.session.is_readable());
}

/// A header that nobody vouches for makes a side ask. The other side's answer settles it: nothing is missing.
#[test]
fn a_made_up_header_cannot_end_an_idle_session() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    let mut header = [0u8; 40];
    (header[0], header[8]) = (0x10, 200);
    assert_eq!(b.session.on_data(now, BytesMut::from(&header[..])), Outcome::Fine);
    assert_eq!(b.flags(), Some((true, true)));
    assert_eq!(b.session.inb.recv_next(), 0);
    let mut outcomes = Vec::new();
    while now < Instant::ZERO + 60 * S {
        settle(&mut a, &mut b, now);
        now = a.session.deadline().min(b.session.deadline());
        for end in [&mut a, &mut b] {
            outcomes.push(end.session.on_timeout(now));
        }
    }
    assert!(outcomes.iter().all(|&outcome| outcome == Outcome::Fine));
}

#[test]
fn a_ctrl_header_silences_nobody() {
    let (mut a, mut b) = pair();
    let mut forged = [0u8; 40];
    (forged[0], forged[2]) = (0x11, 1);
    b.session.way = Way::Unproven;
    assert_eq!(b.session.on_ctrl(Instant::ZERO, BytesMut::from(&forged[..]), &mut b.queue), Outcome::Leave);
    a.session.due = Some(Flags { ask: true, retransmit: false });
    settle(&mut a, &mut b, Instant::ZERO);
    assert!(b.session.is_proven());
}

fn reattach(a: &mut End, b: &mut End, now: Instant) {
    for end in [a, b] {
        end.session.detached();
        end.number += 1;
        end.session.attached(now);
    }
}

/// New records would run ahead of those that are missing, and look like a gap.
#[test]
fn over_a_new_way_nothing_is_sent_before_the_state_of_the_other_side() {
    let (mut a, mut b) = pair();
    let now = Instant::ZERO;
    for _ in 0..5 {
        a.send(10);
        a.poll(now);
    }
    reattach(&mut a, &mut b, now);
    a.send(11);
    let frames = a.poll(now);
    assert!(matches!(&frames[..], [frame] if is_state(frame)), "STATE alone");
    b.take_all(now, &frames);
    assert_eq!(b.session.way, Way::Open);
    let frames = b.poll(now);
    a.take_all(now, &frames);
    let frames = a.poll(now);
    assert_eq!(frames.len(), 6);
    assert!(frames.iter().all(|frame| frame[..FORWARD_HEADER] == ForwardHeader { channel: 2 }.to_bytes()));
    b.take_all(now, &frames);
    assert_eq!(core::iter::from_fn(|| b.session.take()).count(), 6);
}

/// While what was missing comes in order there is nothing to ask for, however long it takes.
#[test]
fn a_slow_pass_is_not_asked_for_again() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    for _ in 0..60 {
        a.send(10);
        a.poll(now);
    }
    reattach(&mut a, &mut b, now);
    let (from_a, from_b) = (a.poll(now), b.poll(now));
    b.take_all(now, &from_a);
    a.take_all(now, &from_b);
    let mut asked = 0;
    for _ in 0..60 {
        let frame = a.poll_one(now).unwrap();
        now = now + 150 * MS;
        assert_eq!(b.take(now, &frame), Outcome::Fine);
        if b.session.deadline() <= now {
            assert_eq!(b.session.on_timeout(now), Outcome::Fine);
        }
        asked += u32::from(b.flags().is_some_and(|(_, retransmit)| retransmit));
        b.poll(now);
    }
    assert_eq!(asked, 0);
}

#[test]
fn sixteen_wrong_partners_are_left_and_the_next_is_fatal() {
    let (mut a, _) = pair();
    let forged = |kind: u8| {
        let mut record = [0u8; 40];
        record[0] = kind;
        record[8] = if kind == 0x11 { 200 } else { 0 };
        BytesMut::from(&record[..])
    };
    for i in 0..WRONG_PARTNERS_MAX {
        a.session.attached(Instant::ZERO);
        let outcome = if i % 2 == 0 {
            a.session.on_data(Instant::ZERO, forged(0x10))
        } else {
            a.session.on_ctrl(Instant::ZERO, forged(0x11), &mut a.queue)
        };
        assert_eq!(outcome, Outcome::Leave);
    }
    a.session.attached(Instant::ZERO);
    let fatal = a.session.on_data(Instant::ZERO, forged(0x10));
    assert_eq!(fatal, Outcome::Fatal(Fault::Tampered { seq: 0 }));
}

#[test]
fn a_wrong_tag_on_a_proven_way_is_fatal_the_first_time() {
    for found in [false, true] {
        let (mut a, mut b) = pair();
        if found {
            reattach(&mut a, &mut b, Instant::ZERO);
            settle(&mut a, &mut b, Instant::ZERO);
        }
        a.send(10);
        let mut record = BytesMut::from(&a.poll(Instant::ZERO)[0][FORWARD_HEADER..]);
        record[12] ^= 1;
        let outcome = b.session.on_data(Instant::ZERO, record);
        assert_eq!(outcome, Outcome::Fatal(Fault::Tampered { seq: 0 }));
        assert!(!b.session.is_readable());
    }
}

#[test]
fn three_ways_left_for_a_gap_without_progress_end_the_session() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    let (mut left, mut outcome) = (0, Outcome::Fine);
    a.send(10);
    a.poll(now);
    while !matches!(outcome, Outcome::Fatal(_)) {
        reattach(&mut a, &mut b, now);
        outcome = Outcome::Fine;
        while outcome == Outcome::Fine {
            // STATE passes, DATA does not.
            for _ in 0..2 {
                let (from_a, from_b) = (a.poll(now), b.poll(now));
                from_a.iter().filter(|f| is_state(f)).for_each(|f| _ = b.take(now, f));
                from_b.iter().filter(|f| is_state(f)).for_each(|f| _ = a.take(now, f));
            }
            now = a.session.deadline().min(b.session.deadline());
            let _ = a.session.on_timeout(now);
            outcome = b.session.on_timeout(now);
        }
        left += 1;
    }
    assert_eq!((left, outcome), (u32::from(GAPS_MAX), Outcome::Fatal(Fault::RelayLoss)));
}

/// A flood of requests costs one answer for each time the transport takes something.
#[test]
fn at_most_one_state_waits() {
    let (mut a, mut b) = pair();
    for _ in 0..1000 {
        a.session.due = Some(Flags { ask: true, retransmit: true });
        b.take_all(Instant::ZERO, &a.poll(Instant::ZERO));
    }
    assert_eq!(b.poll(Instant::ZERO).len(), 1);
}

#[test]
fn what_an_honest_side_never_says_is_a_violation() {
    let violation = Outcome::Fatal(Fault::Violation);
    let state = State { recv_next: 0, send_next: 0, window: 0, ask: false, retransmit: false };
    let beyond = State { recv_next: 1, ..state }.encode();
    let mut flagged = state.encode();
    flagged[21] = 4;
    let short = &state.encode()[..21];
    let marked = [0x81];
    let cases: [&[u8]; 7] = [&beyond, &flagged, short, &marked, &[0], &[3], &[control::ABORT]];
    for plaintext in cases {
        let (mut a, mut b) = pair();
        let frame = a.session.seal_ctrl(1, plaintext).unwrap();
        assert_eq!(b.take(Instant::ZERO, &frame), violation, "{plaintext:?}");
    }
    let (mut a, mut b) = pair();
    let frame = a.session.abort(1, Fault::Exhausted).unwrap();
    assert_eq!(b.take(Instant::ZERO, &frame), Outcome::Fatal(Fault::Aborted { code: 4 }));
}

#[test]
fn an_older_state_changes_nothing() {
    let (mut a, mut b) = pair();
    let old = a.session.poll_state_now();
    a.send(10);
    settle(&mut a, &mut b, Instant::ZERO);
    let newer = a.session.poll_state_now();
    assert_eq!(b.take(Instant::ZERO, &newer), Outcome::Fine);
    let asked = b.session.ask_at;
    assert_eq!(b.take(Instant::ZERO + S, &old), Outcome::Fine);
    assert_eq!(b.session.ask_at, asked);
}

impl Session {
    fn poll_state_now(&mut self) -> Bytes {
        self.due.get_or_insert_default();
        self.poll_state(1).unwrap().unwrap()
    }
}

/// FIN passes a shut window; the end is complete without the confirmation of the own FIN, and quiet with it.
#[test]
fn both_ends_finish_whoever_begins() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    a.send(10);
    b.send(11);
    a.session.finish();
    assert!(a.session.is_finishing() && !a.session.is_complete(&a.queue));
    settle(&mut a, &mut b, now);
    assert!(b.session.peer_finished());
    b.session.finish();
    settle(&mut a, &mut b, now);
    for end in [&mut a, &mut b] {
        if end.session.deadline() <= now + ACK_DELAY {
            let _ = end.wait(&mut now);
        }
    }
    settle(&mut a, &mut b, now);
    for end in [&a, &b] {
        assert!(end.session.is_complete(&end.queue) && end.session.is_quiet());
    }
    assert_eq!((a.session.take().map(|p| p.len()), b.session.take().map(|p| p.len())), (Some(11), Some(10)));
}

#[test]
fn crossing_fins_finish_and_a_lost_one_is_sent_again() {
    for lost in [false, true] {
        let (mut a, mut b) = pair();
        let mut now = Instant::ZERO;
        a.session.finish();
        b.session.finish();
        let (from_a, from_b) = (a.poll(now), b.poll(now));
        b.take_all(now, &from_a);
        if !lost {
            a.take_all(now, &from_b);
        }
        for _ in 0..20 {
            settle(&mut a, &mut b, now);
            now = a.session.deadline().min(b.session.deadline());
            for end in [&mut a, &mut b] {
                assert_eq!(end.session.on_timeout(now), Outcome::Fine);
            }
            settle(&mut a, &mut b, now);
        }
        for end in [&a, &b] {
            assert!(end.session.is_complete(&end.queue) && end.session.out.fin_acked(), "lost: {lost}");
        }
    }
}

#[test]
fn a_key_update_survives_a_cut_right_behind_it() {
    let (mut a, mut b) = pair();
    let now = Instant::ZERO;
    a.send(10);
    settle(&mut a, &mut b, now);
    a.session.out.age_key(KEY_RECORDS);
    a.send(11);
    a.poll(now);
    reattach(&mut a, &mut b, now);
    a.send(12);
    settle(&mut a, &mut b, now);
    let lens: Vec<_> = core::iter::from_fn(|| b.session.take()).map(|packet| packet.len()).collect();
    assert_eq!(lens, [10, 11, 12]);
}

/// A random wire that loses, repeats and swaps records and changes ways: the packets taken are always the first ones sent, and when it
/// is whole again all of them come.
#[test]
fn whatever_the_wire_does_packets_come_once_and_in_order() {
    for seed in 0..16u8 {
        let mut rng = crate::rng::Rng::from_seed(&[seed; 32]);
        let mut chance = |n: u8| rng.bytes::<1>()[0].is_multiple_of(n);
        let (mut a, mut b) = pair();
        let mut now = Instant::ZERO;
        let mut wires = [VecDeque::new(), VecDeque::new()];
        let (mut sent, mut taken) = (0usize, 0usize);
        for round in 0..600 {
            let healed = round >= 400;
            if sent < 300 && !healed {
                a.send(sent % 97);
                sent += 1;
            }
            for (end, wire) in [&mut a, &mut b].into_iter().zip(&mut wires) {
                for frame in end.poll(now) {
                    if healed || !chance(9) {
                        wire.push_back(frame.clone());
                    }
                    if !healed && chance(9) {
                        wire.push_front(frame);
                    }
                }
            }
            let mut leave = false;
            for (end, wire) in [&mut b, &mut a].into_iter().zip(&mut wires) {
                while let Some(frame) = wire.pop_front() {
                    leave |= match end.take(now, &frame) {
                        Outcome::Fine => false,
                        Outcome::Leave => true,
                        Outcome::Fatal(fault) => panic!("seed {seed}: {fault:?}"),
                    };
                    if !healed && chance(3) {
                        break;
                    }
                }
            }
            while let Some(packet) = b.session.take() {
                assert_eq!(packet.len(), taken % 97, "seed {seed}");
                taken += 1;
            }
            now = now + 100 * MS;
            for end in [&mut a, &mut b] {
                if end.session.deadline() <= now {
                    leave |= end.session.on_timeout(now) == Outcome::Leave;
                }
            }
            if leave || !healed && chance(40) {
                wires = [VecDeque::new(), VecDeque::new()];
                reattach(&mut a, &mut b, now);
            }
        }
        assert_eq!(taken, sent, "seed {seed}: everything arrives");
    }
}

/// Several records are missing: the first of them does not end the asking for the others.
#[test]
fn a_gap_is_closed_by_its_last_record() {
    let (mut a, mut b) = pair();
    let now = Instant::ZERO;
    let lost: Vec<_> = (0..2)
        .flat_map(|_| {
            a.send(10);
            a.poll(now)
        })
        .collect();
    b.session.missing(now, 2);
    assert_eq!((b.take(now, &lost[0]), b.session.gap.is_some()), (Outcome::Fine, true));
    assert_eq!((b.take(now, &lost[1]), b.session.gap.is_none()), (Outcome::Fine, true));
}

#[test]
fn a_cut_session_has_nothing_to_say_and_a_new_way_has_its_time() {
    let (mut a, mut b) = pair();
    let mut now = Instant::ZERO;
    a.send(10);
    b.take_all(now, &a.poll(now));
    assert_eq!(b.session.deadline(), now + ACK_DELAY);
    b.session.detached();
    assert!(b.session.deadline() > now + ACK_DELAY && b.flags().is_none());
    now = now + 100 * S;
    b.session.attached(now);
    assert_eq!(b.session.deadline(), now + ASK_STALLED);
}
