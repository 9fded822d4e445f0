//! Both halves of a direction against each other: any packets, any window, any pattern of taking, confirming and losing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::client::PACKET_WHOLE_MAX;
use crate::client::inbound::{Inbound, Refused};
use crate::client::limits::PACKET_OVERHEAD;
use crate::client::tests::secured_pair;
use crate::crypto::record::{OpenError, PLAINTEXT_ACCEPT_MAX};
use crate::time::Duration;

const PACKET_MAX: usize = 1 << 20;

struct Direction {
    out: Outbound,
    queue: SendQueue,
    inb: Inbound,
    limits: ClientLimits,
    /// Frames between the two.
    flying: VecDeque<Bytes>,
    /// The ciphertext of each sequence number ever seen.
    sealed: BTreeMap<u64, Bytes>,
    pushed: Vec<Bytes>,
    taken: usize,
    now: Instant,
    /// Records have been lost, or sent again.
    disturbed: bool,
}

impl Direction {
    fn new(limits: ClientLimits) -> Self {
        let limits = limits.clamped();
        let (a, b) = secured_pair();
        Self {
            out: Outbound::new(Instant::ZERO, a.data_tx, &limits),
            queue: SendQueue::new(&limits),
            inb: Inbound::new(b.data_rx, limits.receive_window_bytes, PACKET_MAX),
            limits,
            flying: VecDeque::new(),
            sealed: BTreeMap::new(),
            pushed: Vec::new(),
            taken: 0,
            now: Instant::ZERO,
            disturbed: false,
        }
    }

    fn push(&mut self, len: usize) -> bool {
        let packet: Bytes = (0..len).map(|i| (i * 31 + self.pushed.len()) as u8).collect();
        let number = self.queue.push(packet.clone());
        if let Some(number) = number {
            self.pushed.push(packet);
            assert_eq!(number, self.pushed.len() as u64);
        }
        number.is_some()
    }

    /// Seals what may be sealed, at most `max` records.
    fn poll(&mut self, max: usize) -> usize {
        for count in 0..max {
            let wanted = self.out.wants_to_send(self.now, &self.queue);
            let frame = self.out.poll(self.now, &mut self.queue, 9).unwrap();
            assert_eq!(frame.is_some(), wanted);
            let Some(frame) = frame else { return count };
            let seq = u64::from_be_bytes(frame[6..14].try_into().unwrap());
            let first = self.sealed.entry(seq).or_insert_with(|| frame.clone());
            assert_eq!(*first, frame, "sequence number {seq} was sealed twice");
            self.flying.push_back(frame);
            assert!(self.out.retained.len() <= self.limits.unacked_max_records + CONTROL_RECORDS);
            assert!(self.out.retained_bytes <= self.limits.unacked_max_bytes as u64);
            assert!(self.out.sealed_total <= self.out.edge, "sealed beyond the edge");
        }
        max
    }

    fn deliver(&mut self, max: usize) {
        for frame in self.flying.drain(..max.min(self.flying.len())) {
            match self.inb.open(BytesMut::from(&frame[FORWARD_HEADER..])) {
                Ok(_) => {}
                Err(Refused::NotOpened(OpenError::Gap { .. } | OpenError::Duplicate { .. }))
                    if self.disturbed => {}
                Err(refused) => panic!("{refused:?}"),
            }
        }
        // What is held is the packet in assembly, and packets that wait: a window and the one packet that went beyond it.
        assert!(self.inb.held() <= self.limits.receive_window_bytes + 2 * PACKET_MAX);
    }

    fn take(&mut self, max: usize) {
        for _ in 0..max {
            let Some(packet) = self.inb.take() else { return };
            assert_eq!(packet, self.pushed[self.taken], "packet {}", self.taken);
            self.taken += 1;
        }
    }

    fn confirm(&mut self) {
        let (_, window) = self.inb.edge();
        self.out.on_state(self.inb.recv_next(), window, self.queue.spare()).unwrap();
    }

    fn lose(&mut self) {
        self.disturbed = true;
        self.flying.clear();
    }

    fn again(&mut self) {
        self.disturbed = true;
        self.now = self.now + Duration::from_secs(1);
        self.confirm();
        self.out.begin_pass(self.now);
    }

    fn finish(&mut self) {
        for _ in 0..2_000 {
            self.again();
            self.poll(usize::MAX);
            self.deliver(usize::MAX);
            self.take(usize::MAX);
            if self.taken == self.pushed.len() && self.out.is_finishing() && !self.out.is_waiting() {
                break;
            }
            self.out.finish();
        }
        self.confirm();
        assert_eq!(self.taken, self.pushed.len(), "everything arrives");
        assert!(self.inb.is_finished() && self.out.fin_acked() && self.out.all_packets_acked(&self.queue));
        assert_eq!(self.out.packets_acked(), self.pushed.len() as u64);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Poll(usize),
    Deliver(usize),
    Take(usize),
    Confirm,
    Lose,
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![
        8 => 0usize..100,
        3 => 100usize..20_000,
        1 => 20_000usize..200_000,
        1 => prop_oneof![Just(16_357usize), Just(16_358), Just(16_383), Just(16_384), Just(127), Just(128)],
    ];
    let step = prop_oneof![
        6 => len.prop_map(Step::Push),
        4 => (1usize..20).prop_map(Step::Poll),
        4 => (1usize..20).prop_map(Step::Deliver),
        3 => (1usize..40).prop_map(Step::Take),
        3 => Just(Step::Confirm),
        1 => Just(Step::Lose),
        1 => Just(Step::Again),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_once_in_order_within_every_bound(
        steps in steps(), window in 0usize..400_000, own in 0usize..400_000, records in 0usize..40
    ) {
        let limits = ClientLimits {
            receive_window_bytes: window,
            unacked_max_bytes: own,
            unacked_max_records: records,
            ..ClientLimits::default()
        };
        let mut direction = Direction::new(limits);
        for step in steps {
            match step {
                Step::Push(len) => _ = direction.push(len),
                Step::Poll(max) => _ = direction.poll(max),
                Step::Deliver(max) => direction.deliver(max),
                Step::Take(max) => direction.take(max),
                Step::Confirm => direction.confirm(),
                Step::Lose => direction.lose(),
                Step::Again => direction.again(),
            }
        }
        direction.finish();
    }

    /// Whatever way packets are shared out among records, the same packets come out.
    #[test]
    fn packets_that_share_a_record_come_apart_again(lens in prop::collection::vec(0usize..3000, 1..400)) {
        let mut direction = Direction::new(ClientLimits { queue_max_bytes: 8 << 20, ..ClientLimits::default() });
        for len in lens {
            prop_assert!(direction.push(len));
        }
        direction.finish();
    }
}

#[test]
fn many_small_packets_share_a_record_and_one_travels_alone() {
    let mut direction = Direction::new(ClientLimits::default());
    assert!(direction.push(5));
    assert_eq!(direction.poll(9), 1);
    assert_eq!(direction.flying[0].len(), FORWARD_HEADER + HEADER + 1 + 5 + TAG, "no length field");
    for _ in 0..1000 {
        assert!(direction.push(7));
    }
    assert_eq!(direction.poll(9), 1);
    assert_eq!(direction.flying[1].len(), FORWARD_HEADER + HEADER + 1 + 8 * 1000 + TAG);
    assert_eq!(direction.out.key_records, 2);
}

/// Two packets that just fit into a record do, and two that just do not travel apart.
#[test]
fn the_split_between_two_packets_is_exact() {
    let room = PLAINTEXT_SEND_MAX - 1;
    for (extra, records) in [(0, 1), (1, 2)] {
        let mut direction = Direction::new(ClientLimits::default());
        assert!(direction.push(100));
        assert!(direction.push(room - 101 - 2 + extra));
        assert_eq!(direction.poll(9), records);
        let alone = FORWARD_HEADER + HEADER + 1 + 100 + TAG;
        assert_eq!(direction.flying[0].len() == alone, records == 2, "no record of many for one");
        direction.finish();
    }
    for (len, records) in [(room, 1), (room + 1, 2)] {
        let mut direction = Direction::new(ClientLimits::default());
        assert!(direction.push(len));
        assert_eq!(direction.poll(9), records);
        direction.finish();
    }
}

/// A packet five times the window passes, since a packet in assembly does not count.
#[test]
fn a_packet_longer_than_the_window_passes() {
    let mut direction = Direction::new(ClientLimits {
        receive_window_bytes: 0,
        unacked_max_bytes: 0,
        ..ClientLimits::default()
    });
    assert!(direction.push(PACKET_MAX));
    direction.finish();
}

#[test]
fn before_the_first_state_only_the_first_window_is_used() {
    let mut direction = Direction::new(ClientLimits::default());
    assert!(direction.push(1 << 19));
    direction.poll(100);
    assert!(direction.out.sealed_total <= FIRST_WINDOW && direction.out.sealed_total > FIRST_WINDOW - 2000);
    direction.deliver(100);
    direction.confirm();
    assert!(direction.poll(1) > 0);
}

/// A long packet is not cut for a sliver of window; a short one that fits goes.
#[test]
fn a_part_is_worth_its_record() {
    let mut direction = Direction::new(ClientLimits::default());
    let used = FIRST_WINDOW - (HEADER + TAG + 1 + PART_MIN - 1) as u64;
    direction.out.sealed_total = used;
    assert!(direction.push(5000));
    assert_eq!(direction.poll(9), 0);
    direction.out.sealed_total = used - 1;
    assert_eq!(direction.poll(1), 1);
    assert_eq!(direction.out.cut.as_ref().map(Bytes::len), Some(5000 - PART_MIN));
    assert_eq!(direction.out.packets_started(), 1, "a part of it has left");
}

#[test]
fn fin_needs_no_window_and_no_slot() {
    let mut direction = Direction::new(ClientLimits { unacked_max_records: 8, ..ClientLimits::default() });
    for _ in 0..8 {
        assert!(direction.push(1));
        assert_eq!(direction.poll(9), 1);
    }
    assert!(direction.push(1));
    assert_eq!(direction.poll(9), 0, "no ninth record");
    direction.queue.clear();
    direction.out.edge = direction.out.sealed_total;
    direction.out.key_records = KEY_RECORDS;
    direction.out.finish();
    assert_eq!(direction.poll(9), 2, "KEY_UPDATE and FIN");
    direction.deliver(99);
    assert!(direction.inb.is_finished());
}

#[test]
fn keys_are_replaced_by_count_by_bytes_and_by_age_and_records_sent_again_still_open() {
    let age = |out: &mut Outbound| out.key_records = KEY_RECORDS;
    let bytes = |out: &mut Outbound| out.key_bytes = KEY_BYTES;
    for make_old in [age, bytes] {
        let mut direction = Direction::new(ClientLimits::default());
        assert!(direction.push(10));
        direction.poll(1);
        make_old(&mut direction.out);
        assert!(direction.push(11));
        assert_eq!(direction.poll(9), 2);
        assert!(direction.push(12));
        assert_eq!(direction.poll(9), 1, "the new key is young");
        direction.lose();
        direction.finish();
    }
    let mut direction = Direction::new(ClientLimits::default());
    direction.now = Instant::ZERO + KEY_AGE + KEY_AGE;
    assert!(direction.push(1));
    assert_eq!(direction.poll(9), 1, "no age without traffic");
    assert!(direction.push(1));
    assert_eq!(direction.poll(9), 2);
    direction.finish();
}

#[test]
fn a_key_lasts_for_so_many_bytes_on_the_wire_and_not_one_record_more() {
    const WIRE: u64 = 10 + (HEADER + 1 + TAG) as u64;
    for (missing, records) in [(WIRE, 2), (WIRE + 1, 1)] {
        let mut direction = Direction::new(ClientLimits::default());
        direction.out.key_bytes = KEY_BYTES - missing;
        assert!(direction.push(10));
        assert_eq!(direction.poll(9), 1, "the key is not used up yet");
        assert!(direction.push(10));
        assert_eq!(direction.poll(9), records, "{missing} bytes were left to it");
        assert_eq!(direction.out.key_bytes, if records == 2 { WIRE } else { KEY_BYTES - 1 + WIRE });
    }
}

/// Else a peer would fetch a whole window for every sixty bytes of its own.
#[test]
fn a_pass_needs_progress_or_a_second_and_is_never_begun_during_one() {
    let mut direction = Direction::new(ClientLimits::default());
    for _ in 0..10 {
        assert!(direction.push(10));
        direction.poll(1);
    }
    let now = direction.now;
    direction.out.begin_pass(now);
    assert_eq!(direction.poll(4), 4);
    direction.out.begin_pass(now + Duration::from_secs(5));
    assert_eq!(direction.poll(99), 6, "it goes on and does not begin again");
    direction.out.begin_pass(now + Duration::from_millis(999));
    assert_eq!(direction.poll(99), 0);
    direction.deliver(3);
    direction.confirm();
    direction.out.begin_pass(now + Duration::from_millis(999));
    assert_eq!(direction.poll(99), 7, "something has moved");
    direction.out.begin_pass(now + Duration::from_secs(3));
    assert_eq!(direction.poll(99), 7, "a second has gone by");
    let traffic = direction.out.traffic();
    assert_eq!((traffic.records, traffic.resent), (10, 10 + 7 + 7));
    assert_eq!(traffic.bytes, 10 * (HEADER + 1 + 10 + TAG) as u64, "each counted once");
}

#[test]
fn buffers_are_kept_while_something_is_under_way() {
    let mut direction = Direction::new(ClientLimits::default());
    for _ in 0..3 {
        assert!(direction.push(PACKET_WHOLE_MAX));
        direction.poll(1);
    }
    direction.flying.clear();
    direction.sealed.clear();
    let spare = direction.queue.spare();
    direction.out.on_state(2, 0, spare).unwrap();
    assert_eq!(spare.len(), 2);
    direction.out.on_state(3, 0, spare).unwrap();
    assert_eq!(spare.len(), 0, "an idle channel holds no memory");
}

#[test]
fn confirmations_only_move_forward_and_never_beyond_what_was_sent() {
    let mut direction = Direction::new(ClientLimits::default());
    for _ in 0..3 {
        assert!(direction.push(10));
        direction.poll(1);
    }
    let spare = &mut Spare::default();
    assert!(direction.out.on_state(4, 0, spare).is_err());
    direction.out.on_state(2, 100_000, spare).unwrap();
    let edge = direction.out.edge;
    direction.out.on_state(1, u32::MAX, spare).unwrap();
    direction.out.on_state(2, 0, spare).unwrap();
    assert_eq!((direction.out.edge, direction.out.base, direction.out.packets_acked()), (edge, 2, 2));
}

/// An application that is woken finds room: else it would try, be refused and be woken again for ever.
#[test]
fn a_refused_packet_has_room_when_its_application_is_woken() {
    let limits = ClientLimits { queue_max_bytes: 1000, ..ClientLimits::default() };
    let mut queue = SendQueue::new(&limits);
    assert!(queue.push(Bytes::from(alloc::vec![0; 5000])).is_some(), "an empty queue takes any packet");
    assert!(queue.push(Bytes::new()).is_none());
    queue.pop();
    assert!(queue.take_room() && !queue.take_room());
    for _ in 0..3 {
        assert!(queue.push(Bytes::from(alloc::vec![0; 100])).is_some());
    }
    assert!(queue.push(Bytes::from(alloc::vec![0; 900])).is_none());
    for left in [2, 1, 0] {
        assert!(!queue.take_room(), "no room for 900 bytes yet");
        queue.pop();
        assert_eq!(queue.bytes(), left * 132);
    }
    assert!(queue.take_room());
    for _ in 0..1000 / PACKET_OVERHEAD {
        assert!(queue.push(Bytes::new()).is_some());
    }
    assert!(queue.push(Bytes::new()).is_none(), "empty packets are bounded, too");
}

// What a receiver refuses.

struct Forger {
    sealer: Sealer<Data>,
    inb: Inbound,
}

impl Forger {
    fn new(window: usize) -> Self {
        let (a, b) = secured_pair();
        Self { sealer: a.data_tx, inb: Inbound::new(b.data_rx, window, 1 << 16) }
    }

    fn send(&mut self, item: u8, body: &[u8]) -> Result<u64, Refused> {
        let mut frame = frame_of(item, body, &mut Spare::default());
        frame.put_bytes(0, TAG);
        self.sealer.seal(&mut frame[FORWARD_HEADER..]).unwrap();
        self.inb.open(BytesMut::from(&frame[FORWARD_HEADER..]))
    }
}

#[test]
fn records_that_no_honest_side_seals_are_violations() {
    let long = alloc::vec![0; 16_000];
    let ok: &[&[(u8, &[u8])]] = &[
        &[(item::END, b"")],
        &[(item::PART, b"a"), (item::KEY_UPDATE, b"")],
        &[(item::MANY, b"\x01a\x00")],
        &[(item::FIN, b"")],
    ];
    for records in ok {
        let mut forger = Forger::new(1 << 20);
        for (item, body) in *records {
            assert!(matches!(forger.send(*item, body), Ok(wire) if wire == (body.len() + 26) as u64));
            if *item == item::KEY_UPDATE {
                forger.sealer.ratchet();
                assert!(forger.send(item::END, b"").is_ok());
            }
        }
    }
    let bad: &[&[(u8, &[u8])]] = &[
        &[(0, b"")],
        &[(6, b"")],
        &[(item::END | 0x80, b"")],
        &[(item::PART, b"")],
        &[(item::FIN, b"x")],
        &[(item::KEY_UPDATE, b"x")],
        &[(item::MANY, b"")],
        &[(item::MANY, b"\x02a")],
        &[(item::MANY, b"\x81\x00a")],
        &[(item::MANY, b"\x80\x80\x80\x80\x00")],
        &[(item::PART, b"a"), (item::FIN, b"")],
        &[(item::PART, b"a"), (item::MANY, b"\x01a")],
        &[(item::FIN, b""), (item::FIN, b"")],
        &[(item::FIN, b""), (item::END, b"")],
        &[(item::FIN, b""), (item::KEY_UPDATE, b"")],
        &[
            (item::PART, &long),
            (item::PART, &long),
            (item::PART, &long),
            (item::PART, &long),
            (item::PART, &long),
        ],
        &[
            (item::PART, &long),
            (item::PART, &long),
            (item::PART, &long),
            (item::PART, &long),
            (item::END, &long),
        ],
    ];
    for records in bad {
        let mut forger = Forger::new(1 << 20);
        let (last, before) = records.split_last().unwrap();
        for (item, body) in before {
            assert!(forger.send(*item, body).is_ok());
        }
        assert!(matches!(forger.send(last.0, last.1), Err(Refused::Violation)), "{:?}", last.0);
    }
    assert_eq!(PLAINTEXT_ACCEPT_MAX, 64 << 10);
}

#[test]
fn a_record_beyond_the_edge_is_a_violation_and_taking_moves_the_edge() {
    let mut forger = Forger::new(128 << 10);
    let body = alloc::vec![0; 16_000];
    for _ in 0..8 {
        assert!(forger.send(item::END, &body).is_ok());
    }
    assert_eq!(forger.inb.edge(), (128 << 10, ((128 << 10) - 8 * 16_026)));
    for _ in 0..3 {
        forger.inb.take().unwrap();
    }
    assert_eq!(forger.inb.edge().0, (128 << 10) + 3 * 16_026);
    for _ in 0..3 {
        assert!(forger.send(item::END, &body).is_ok());
    }
    assert!(matches!(forger.send(item::END, &body), Err(Refused::Violation)));
}

#[test]
fn a_packet_in_parts_takes_of_the_window_what_its_records_do() {
    const WINDOW: u64 = 128 << 10;
    let mut forger = Forger::new(WINDOW as usize);
    let body = alloc::vec![0; 16_000];
    for item in [item::END, item::END, item::END, item::PART, item::PART, item::END] {
        assert!(forger.send(item, &body).is_ok());
    }
    for taken in 1..=3 {
        assert_eq!(forger.inb.take().unwrap().len(), 16_000);
        // While it was being put together it counted for nothing: two records are promised already.
        assert_eq!(forger.inb.edge().0, WINDOW + 16_026 * taken.max(2));
    }
    assert_eq!(forger.inb.take().unwrap().len(), 48_000);
    assert_eq!(forger.inb.edge().0, WINDOW + 16_026 * 6);
}

/// A packet of a few bytes must not keep the buffer of a whole read alive, not even if it came with others in a full record.
#[test]
fn a_small_packet_lives_in_a_buffer_of_its_own() {
    let many: Vec<u8> = (0..160).flat_map(|_| core::iter::once(100).chain([7; 100])).collect();
    let bodies: [(u8, &[u8], bool); 3] =
        [(item::END, b"abc", false), (item::MANY, &many, false), (item::END, &[7; PACKET_WHOLE_MAX], true)];
    for (item, body, stays) in bodies {
        let mut forger = Forger::new(1 << 20);
        let mut frame = frame_of(item, body, &mut Spare::default());
        frame.put_bytes(0, TAG);
        forger.sealer.seal(&mut frame[FORWARD_HEADER..]).unwrap();
        let mut read = BytesMut::with_capacity(1 << 18);
        read.put_slice(&frame[FORWARD_HEADER..]);
        let place = read.as_ptr() as usize..read.as_ptr() as usize + (1 << 18);
        forger.inb.open(read).unwrap();
        let packet = forger.inb.take().unwrap();
        assert_eq!(packet, body[body.len() - packet.len()..]);
        assert_eq!(place.contains(&(packet.as_ptr() as usize)), stays, "{} bytes", packet.len());
    }
}

#[test]
fn a_pass_goes_on_from_what_is_confirmed_and_ends_with_its_way() {
    let mut direction = Direction::new(ClientLimits::default());
    for _ in 0..3 {
        assert!(direction.push(10));
        assert_eq!(direction.poll(9), 1);
    }
    assert!(direction.out.is_waiting() && !direction.out.all_packets_acked(&direction.queue));
    direction.out.begin_pass(direction.now);
    assert_eq!(direction.out.resend, Some(0));
    direction.out.on_state(1, 1 << 16, direction.queue.spare()).unwrap();
    assert_eq!(direction.out.resend, Some(1), "what it has is not sent again");
    direction.out.reattach();
    assert_eq!(direction.out.resend, None);
    direction.out.begin_pass(direction.now);
    assert_eq!(direction.out.resend, Some(1), "over a new way it begins at once");
    direction.out.on_state(3, 1 << 16, direction.queue.spare()).unwrap();
    assert_eq!(direction.out.resend, None);
    assert!(!direction.out.is_waiting() && direction.out.all_packets_acked(&direction.queue));
}
