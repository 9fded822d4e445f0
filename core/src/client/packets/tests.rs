use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::client::unread::is_many;

fn packet(number: usize, len: usize) -> Bytes {
    (0..len).map(|at| (at * 31 + number) as u8).collect()
}

/// The packets of a record, which has as much room around them as it needs.
fn read(record: &Unsealed) -> Vec<Bytes> {
    let frame = &record.frame;
    assert!(frame.capacity() - frame.len() >= TAG, "sealed where it lies");
    let mut body = &frame[PREFIX..];
    let found = match frame[PREFIX - 1] {
        item::END => vec![Bytes::copy_from_slice(body)],
        item::MANY => {
            assert!(is_many(body, usize::MAX));
            let mut found = Vec::new();
            while let Some((packet, rest)) = split_first(body).filter(|_| !body.is_empty()) {
                found.push(Bytes::copy_from_slice(packet));
                body = rest;
            }
            found
        }
        other => panic!("item {other}"),
    };
    assert_eq!(found.len() as u64, record.packets);
    found
}

proptest! {
    /// Whatever goes in, by whatever way and in whatever pieces, comes out in order, and the counts are right at every step.
    #[test]
    fn what_goes_in_comes_out(
        lens in prop::collection::vec(prop_oneof![0usize..300, 16_000usize..17_000, 100usize..6_000], 1..60),
        takes in prop::collection::vec((0usize..4, 1usize..=BODY_MAX), 1..200),
    ) {
        let all: Vec<Bytes> = lens.iter().enumerate().map(|(number, &len)| packet(number, len)).collect();
        let mut coming = all.iter();
        let (mut packets, mut batch) = (Packets::new(), Packets::new());
        let mut out: Vec<Bytes> = Vec::new();
        for &(what, room) in takes.iter().cycle().take(5_000) {
            match what {
                0 => coming.by_ref().take(3).for_each(|packet| batch.push(packet.clone())),
                1 => while !batch.is_empty() { packets.append_first(&mut batch) },
                2 => if batch.is_empty() { coming.by_ref().take(2).for_each(|packet| packets.push_slice(packet)) },
                _ => match packets.take_record(room) {
                    Some(record) => {
                        prop_assert!(record.frame.len() - PREFIX <= room);
                        out.extend(read(&record));
                    }
                    None => {
                        prop_assert!(packets.first_len().is_none_or(|len| len > room));
                        out.extend(packets.pop());
                    }
                },
            }
            for (here, from) in [(&packets, out.len()), (&batch, out.len() + packets.len() as usize)] {
                let expected = &all[from..][..here.len() as usize];
                prop_assert_eq!(here.cost(), expected.iter().map(|packet| packet.len() + 32).sum::<usize>());
                prop_assert_eq!(here.first_len(), expected.first().map(Bytes::len));
            }
        }
        while !batch.is_empty() { packets.append_first(&mut batch) }
        out.extend(core::iter::from_fn(|| packets.pop()));
        out.extend(coming.cloned());
        prop_assert!(packets.is_empty() && packets.cost() == 0 && packets.entries.is_empty());
        prop_assert_eq!(out, all);
    }
}

#[test]
fn a_draft_is_filled_to_the_last_byte_in_a_buffer_of_its_size() {
    let mut packets = Packets::new();
    for _ in 0..BODY_MAX {
        packets.push_slice(&[]);
    }
    packets.push_slice(&[]);
    let record = packets.take_record(BODY_MAX).unwrap();
    assert_eq!((record.packets, record.frame.len()), (BODY_MAX as u64, PREFIX + BODY_MAX));
    assert!(record.frame.capacity() < FRAME_MAX + 128, "{}", record.frame.capacity());
    assert_eq!(packets.len(), 1);
    assert!(packets.take_record(BODY_MAX).unwrap().frame.capacity() <= FRAME_MIN + 2);
}

#[test]
fn one_alone_stands_without_its_length_and_is_not_copied() {
    let mut packets = Packets::new();
    packets.push_slice(&[7; 300]);
    let Some(Entry::Draft(draft)) = packets.entries.front() else { panic!("a draft") };
    let place = draft.first().as_ptr();
    assert!(packets.take_record(299).is_none());
    let record = packets.take_record(300).unwrap();
    assert_eq!((record.frame[PREFIX - 1], &record.frame[PREFIX..]), (item::END, &[7; 300][..]));
    assert_eq!(record.frame[PREFIX..].as_ptr(), place);
}

#[test]
fn what_was_left_over_and_what_comes_share_a_record() {
    let (mut packets, mut batch) = (Packets::new(), Packets::new());
    for number in 0..10 {
        batch.push(packet(number, 20));
        packets.append_first(&mut batch);
    }
    assert_eq!(packets.take_record(21 * 4).unwrap().packets, 4);
    batch.push(packet(10, 20));
    packets.append_first(&mut batch);
    assert_eq!(packets.take_record(BODY_MAX).unwrap().packets, 7);
}

#[test]
fn no_bytes_are_shown() {
    let mut packets = Packets::new();
    packets.push_slice(b"secret");
    assert_eq!(alloc::format!("{packets:?}"), "Packets { len: 1, cost: 38 }");
}

#[test]
fn the_buffer_of_a_confirmed_record_is_used_again() {
    let full = packet(1, PACKET_WHOLE_MAX);
    let (mut queue, mut batch) = (Packets::new(), Packets::new());
    let mut places = alloc::collections::BTreeSet::new();
    for _ in 0..5 {
        batch.push(full.clone());
        queue.append_first(&mut batch);
        let record = queue.take_record(BODY_MAX).unwrap();
        assert_eq!(read(&record)[0], full);
        let frame = record.frame.freeze();
        places.insert(frame.as_ptr());
        queue.spare().put(frame.try_into_mut().unwrap());
        assert_eq!(queue.spare().len(), 1);
    }
    // One is filled while the other is under way.
    assert!(places.len() <= 2, "{places:?}");
    batch.push(full);
    queue.append_first(&mut batch);
    assert_eq!(
        (queue.spare().len(), batch.spare().len()),
        (0, 1),
        "for a record that comes, a buffer goes back"
    );
    batch.relax();
    assert_eq!(batch.spare().len(), 0);
}

#[test]
fn only_buffers_for_full_records_are_kept_and_not_many() {
    let mut spare = Spare::default();
    spare.put(BytesMut::with_capacity(FRAME_MAX - 1));
    assert_eq!(spare.len(), 0);
    (0..2 * SPARE_MAX).for_each(|_| spare.put(BytesMut::with_capacity(FRAME_MAX)));
    assert_eq!(spare.len(), SPARE_MAX);
}

#[test]
fn a_packet_in_two_pieces_is_one_packet() {
    for len in [0, 1, 300, PACKET_WHOLE_MAX, PACKET_WHOLE_MAX + 1, 70_000] {
        let whole = packet(1, len);
        for cut in [0, len / 2, len] {
            let mut packets = Packets::new();
            packets.push_slices([&whole[..cut], &whole[cut..]]);
            assert_eq!((packets.len(), packets.first_len()), (1, Some(len)));
            assert_eq!(packets.pop(), Some(whole.clone()));
        }
    }
}
