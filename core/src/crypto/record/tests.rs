extern crate std;

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::crypto::{
    Role,
    schedule::Root,
    tests::{hex, unhex, unhex_array},
};

fn data() -> (Sealer<Data>, Opener<Data>) {
    let [ours, theirs] = sides();
    (Sealer::new(ours.data_tx), Opener::new(theirs.data_rx))
}

fn ctrl() -> (Sealer<Ctrl>, Opener<Ctrl>) {
    let [ours, theirs] = sides();
    (Sealer::new(ours.ctrl_tx), Opener::new(theirs.ctrl_rx))
}

fn sides() -> [crate::crypto::schedule::SessionKeys; 2] {
    [Role::Connector, Role::Acceptor].map(|role| Root::new(&[1; 64], &[2; 64], b"prs").split(role))
}

fn unsealed(plaintext: &[u8]) -> Vec<u8> {
    [&[0xee; HEADER], plaintext, &[0xee; TAG]].concat()
}

fn seal<K: Kind>(sealer: &mut Sealer<K>, plaintext: &[u8]) -> Vec<u8> {
    let mut record = unsealed(plaintext);
    sealer.seal(&mut record).unwrap();
    record
}

#[test]
fn rfc_8439_section_2_8_2() {
    let cipher =
        Cipher::new(&unhex_array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
    let (nonce, aad) = (unhex_array("070000004041424344454647"), unhex("50515253c0c1c2c3c4c5c6c7"));
    let plaintext =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                      sunscreen would be it.";
    let mut body = plaintext.to_vec();
    let tag = cipher.seal(nonce, &aad, &mut body).unwrap();
    assert_eq!(
        hex(&body),
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
         1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
         3ff4def08e4b7a9de576d26586cec64b6116"
    );
    assert_eq!(hex(tag), "1ae10b594f09e26a7e902ecbd0600691");
    body.extend(tag);
    assert!(cipher.open(nonce, &aad, &mut body));
    assert_eq!(body[..plaintext.len()], plaintext[..]);
}

#[test]
fn sizes() {
    assert_eq!((HEADER, TAG, OVERHEAD), (9, 16, 26));
    let (mut sealer, mut opener) = data();
    for short in 0..OVERHEAD {
        assert_eq!(sealer.seal(&mut vec![0; short]), Err(SealError::Size));
        assert_eq!(opener.open(&mut vec![0; short]), Err(OpenError::Malformed));
    }
    let too_long = &mut unsealed(&vec![0; PLAINTEXT_SEND_MAX + 1]);
    assert_eq!(sealer.seal(too_long), Err(SealError::Size));
    assert_eq!(sealer.next_seq(), 0);
    for size in [1, PLAINTEXT_SEND_MAX] {
        let plaintext = vec![7; size];
        assert_eq!(opener.open(&mut seal(&mut sealer, &plaintext)).unwrap(), plaintext);
    }
}

/// Another implementation may send records four times as long as ours.
#[test]
fn longer_records_than_we_send_are_accepted() {
    let long = |size: usize| {
        let (sealer, opener) = data();
        let mut record = unsealed(&vec![5; size]);
        let (header, rest) = record.split_at_mut(HEADER);
        let (body, tag) = rest.split_at_mut(size);
        header.copy_from_slice(&[0x10, 0, 0, 0, 0, 0, 0, 0, 0]);
        tag.copy_from_slice(&sealer.0.cipher.seal(sealer.0.nonce(0), header, body).unwrap());
        (opener, record)
    };
    let (mut opener, mut record) = long(PLAINTEXT_ACCEPT_MAX);
    assert_eq!(opener.open(&mut record).unwrap().len(), PLAINTEXT_ACCEPT_MAX);
    for size in [0, PLAINTEXT_ACCEPT_MAX + 1] {
        let (mut opener, mut record) = long(size);
        assert_eq!(opener.open(&mut record), Err(OpenError::Malformed), "{size}");
    }
}

#[test]
fn data_opens_strictly_in_order() {
    let (mut sealer, mut opener) = data();
    let records: Vec<_> = [&b"zero"[..], b"one", b"two"].iter().map(|text| seal(&mut sealer, text)).collect();
    assert_eq!(opener.open(&mut records[1].clone()), Err(OpenError::Gap { expected: 0, got: 1 }));
    assert_eq!(opener.open(&mut records[0].clone()).unwrap(), b"zero");
    assert_eq!(opener.open(&mut records[0].clone()), Err(OpenError::Duplicate { seq: 0 }));
    assert_eq!(opener.open(&mut records[2].clone()), Err(OpenError::Gap { expected: 1, got: 2 }));
    assert_eq!(opener.open(&mut records[1].clone()).unwrap(), b"one");
    assert_eq!(opener.open(&mut records[2].clone()).unwrap(), b"two");
    assert_eq!(opener.next_seq(), 3);
}

#[test]
fn ctrl_opens_with_gaps_and_never_backwards() {
    let (mut sealer, mut opener) = ctrl();
    let records: Vec<_> = (0..6_u8).map(|n| seal(&mut sealer, &[n])).collect();
    for (at, expected) in [
        (1, Ok(1)),
        (0, Err(OpenError::Duplicate { seq: 0 })),
        (1, Err(OpenError::Duplicate { seq: 1 })),
        (4, Ok(4)),
        (3, Err(OpenError::Duplicate { seq: 3 })),
        (5, Ok(5)),
    ] {
        assert_eq!(opener.open(&mut records[at].clone()).map(|plaintext| plaintext[0]), expected);
    }
}

/// Whether a record that was refused is what it was, but perhaps for a wiped ciphertext.
fn gives_nothing_away(record: &[u8], before: &[u8]) -> bool {
    let Some(body_end) = record.len().checked_sub(TAG).filter(|&end| end > HEADER) else {
        return record == before;
    };
    let mut wiped = before.to_vec();
    wiped[HEADER..body_end].fill(0);
    record == before || record == wiped
}

/// Every bit of a record counts, and a record that does not open moves no counter and gives nothing away.
#[test]
fn any_flipped_bit_is_refused_and_changes_nothing() {
    fn check(sealed: &[u8], mut open: impl FnMut(&mut [u8]) -> (bool, u64)) {
        for bit in 0..sealed.len() * 8 {
            let mut record = sealed.to_vec();
            record[bit / 8] ^= 1 << (bit % 8);
            let before = record.clone();
            let (opened, next) = open(&mut record);
            assert!(!opened && next == 0 && gives_nothing_away(&record, &before), "bit {bit}");
        }
        assert_eq!(open(&mut sealed.to_vec()), (true, 1));
    }
    let (mut sealer, mut opener) = data();
    let sealed = seal(&mut sealer, b"a packet");
    check(&sealed, |record| (opener.open(record).is_ok(), opener.next_seq()));
    let (mut sealer, mut opener) = ctrl();
    let sealed = seal(&mut sealer, b"a state");
    check(&sealed, |record| (opener.open(record).is_ok(), opener.next_seq()));
}

/// A made-up record with a huge number would otherwise silence the control channel for ever.
#[test]
fn a_bare_header_moves_no_counter() {
    let (mut sealer, mut opener) = ctrl();
    for seq in [0, 1, 1000, SEQ_END - 1] {
        let mut made_up = unsealed(b"made up");
        made_up[0] = Ctrl::BYTE;
        made_up[1..HEADER].copy_from_slice(&seq.to_be_bytes());
        assert_eq!(opener.open(&mut made_up), Err(OpenError::Forged { seq }));
        made_up[1..HEADER].copy_from_slice(&(seq | SEQ_END).to_be_bytes());
        assert_eq!(opener.open(&mut made_up), Err(OpenError::Malformed));
    }
    assert_eq!(opener.open(&mut seal(&mut sealer, b"real")).unwrap(), b"real");
}

#[test]
fn directions_and_kinds_have_keys_of_their_own() {
    let [c, a] = sides();
    let mut sealers = [Sealer::<Data>::new(c.data_tx), Sealer::new(a.data_tx)];
    let [c_record, a_record] = sealers.each_mut().map(|sealer| seal(sealer, b"the same"));
    assert_ne!(c_record, a_record);
    let mut c_opens = Opener::<Data>::new(c.data_rx);
    assert_eq!(c_opens.open(&mut c_record.clone()), Err(OpenError::Forged { seq: 0 }), "our own comes back");
    assert_eq!(c_opens.open(&mut a_record.clone()).unwrap(), b"the same");

    let (mut ctrl_sealer, mut ctrl_opener) = ctrl();
    let control = seal(&mut ctrl_sealer, b"the same");
    assert_ne!(control[HEADER..], c_record[HEADER..]);
    let (_, mut data_opener) = data();
    assert_eq!(data_opener.open(&mut control.clone()), Err(OpenError::Malformed));
    let mut relabelled = c_record.clone();
    relabelled[0] = Ctrl::BYTE;
    assert_eq!(ctrl_opener.open(&mut relabelled), Err(OpenError::Forged { seq: 0 }));
}

#[test]
fn generations_change_the_key_and_not_the_count() {
    let (mut sealer, mut opener) = data();
    let first = seal(&mut sealer, b"announces");
    let stale = {
        let (mut other, _) = data();
        seal(&mut other, b"skipped");
        seal(&mut other, b"old key")
    };
    sealer.ratchet();
    let second = seal(&mut sealer, b"old key");
    assert_eq!(second[..HEADER], [0x10, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_ne!(stale, second);

    opener.open(&mut first.clone()).unwrap();
    assert_eq!(opener.open(&mut second.clone()), Err(OpenError::Forged { seq: 1 }), "not yet moved on");
    opener.ratchet();
    assert_eq!(opener.open(&mut stale.clone()), Err(OpenError::Forged { seq: 1 }));
    assert_eq!(opener.open(&mut second.clone()).unwrap(), b"old key");
}

#[test]
fn a_direction_ends_before_its_numbers_do() {
    let (mut sealer, mut opener) = data();
    (sealer.0.next, opener.0.next) = (SEQ_END - 1, SEQ_END - 1);
    let mut last = seal(&mut sealer, b"last");
    assert_eq!(opener.open(&mut last).unwrap(), b"last");
    let mut more = unsealed(b"more");
    for _ in 0..3 {
        assert_eq!(sealer.seal(&mut more), Err(SealError::Exhausted));
        assert_eq!(more, unsealed(b"more"), "not sealed, and not touched");
    }
    assert_eq!((sealer.next_seq(), opener.next_seq()), (SEQ_END, SEQ_END));
}

proptest! {
    /// Whatever is asked of a sealer, also what it refuses: each number is used once, in order, and opens to what went
    /// in.
    #[test]
    fn no_number_is_sealed_twice(
        steps in proptest::collection::vec((0_usize..80, any::<bool>(), any::<u8>()), 1..60),
    ) {
        let (mut sealer, mut opener) = data();
        let mut seen = Vec::new();
        for (size, ratchet, fill) in steps {
            let mut record = vec![fill; size];
            match sealer.seal(&mut record) {
                Ok(seq) => {
                    prop_assert_eq!(&record[..HEADER], &[&[0x10][..], &seq.to_be_bytes()].concat());
                    prop_assert!(!seen.contains(&seq));
                    seen.push(seq);
                    let plaintext = opener.open(&mut record).unwrap();
                    prop_assert_eq!(plaintext, vec![fill; size - HEADER - TAG]);
                }
                Err(error) => {
                    prop_assert_eq!(error, SealError::Size);
                    prop_assert_eq!(record, vec![fill; size]);
                }
            }
            if ratchet {
                sealer.ratchet();
                opener.ratchet();
            }
        }
        prop_assert_eq!(seen, (0..sealer.next_seq()).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_made_up_opens(mut record in proptest::collection::vec(any::<u8>(), 0..200), kind: bool) {
        let (_, mut data_opener) = data();
        let (_, mut ctrl_opener) = ctrl();
        if let Some(first) = record.first_mut() { *first = if kind { Data::BYTE } else { Ctrl::BYTE } }
        let before = record.clone();
        prop_assert!(data_opener.open(&mut record).is_err());
        prop_assert!(ctrl_opener.open(&mut record).is_err());
        prop_assert_eq!((data_opener.next_seq(), ctrl_opener.next_seq()), (0, 0));
        prop_assert!(gives_nothing_away(&record, &before));
    }
}
