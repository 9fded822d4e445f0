extern crate std;

use std::{format, string::ToString, vec};

use proptest::prelude::*;

use super::*;
use crate::crypto::tests::SeededRng;

const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn generated(label: impl AsRef<[u8]>) -> EncryptionKey {
    EncryptionKey::generate(&mut SeededRng::new(label))
}

fn parse(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

/// The 28 characters without the hyphens.
fn bare(key: &EncryptionKey) -> String {
    key.to_text().replace('-', "")
}

#[test]
fn a_generated_key_is_shown_in_seven_groups_of_four() {
    let text = generated("shown").to_text();
    let groups: Vec<_> = text.split('-').collect();
    assert_eq!(groups.len(), 7);
    assert!(
        groups.iter().all(|group| group.len() == 4 && group.chars().all(|c| DIGITS.contains(c))),
        "{groups:?}"
    );
}

proptest! {
    #[test]
    fn a_generated_key_reads_back_however_it_is_typed(seed: u64, mask: u64) {
        let key = generated(seed.to_be_bytes());
        let mut typed = String::from(" \t");
        for (index, character) in bare(&key).chars().enumerate() {
            let chosen = |shift: usize| mask.rotate_right(shift as u32) >> (index * 2) & 1 == 1;
            typed.push(match character {
                '0' if chosen(0) => 'O',
                '1' if chosen(0) => 'I',
                '1' if chosen(1) => 'L',
                other => other,
            });
            if chosen(3) { typed.push('-') }
            if chosen(5) { typed.push_str(" \n\r") }
        }
        for text in [typed.clone(), typed.to_lowercase(), key.to_text().to_string(), bare(&key)] {
            let read = parse(&text);
            prop_assert!(read.is_generated());
            prop_assert!(read.same_as(&key), "{}", text);
        }
    }

    #[test]
    fn every_text_reads_as_one_key_or_none(text in "\\PC{0,40}|[0-9A-Za-z -]{20,40}|[0-9a-tA-T]{28}") {
        match EncryptionKey::parse(&text) {
            Ok(key) => {
                prop_assert!(key.same_as(&parse(&text)));
                prop_assert!(key.same_as(&parse(&key.to_text())), "what is shown reads as what it shows");
            }
            Err(error) => prop_assert_eq!(EncryptionKey::parse(&text).err(), Some(error)),
        }
    }
}

/// A wrong character is found with a probability of 1023 in 1024, and never taken for the right key.
#[test]
fn wrong_characters_are_found() {
    const KEYS: usize = 100;
    let (mut tried, mut missed) = (0, 0);
    for seed in 0..KEYS {
        let key = generated(format!("typo {seed}"));
        let right = bare(&key);
        for (at, old) in right.char_indices() {
            for new in DIGITS.chars().filter(|&c| c != old) {
                let mut text = right.clone();
                text.replace_range(at..=at, &new.to_string());
                tried += 1;
                match EncryptionKey::parse(&text) {
                    Ok(other) => {
                        missed += 1;
                        assert!(other.is_generated() && !other.same_as(&key), "{text}");
                        assert!(at < KEY_CHARACTERS, "a wrong check is always found");
                    }
                    Err(error) => assert_eq!(error, KeyError::Typo),
                }
            }
        }
    }
    assert_eq!(tried, KEYS * 28 * 31);
    // 85 expected, with a standard deviation of 9.
    assert!((40..130).contains(&missed), "{missed} of {tried} missed");
}

/// A character too few, too many or of another alphabet makes a passphrase of it: it fails against the other side and
/// is never the right key.
#[test]
fn what_has_not_28_digits_is_a_passphrase() {
    let key = generated("lengths");
    let right = bare(&key);
    let with = |at: usize, new: &str| [&right[..at], new, &right[at + 1..]].concat();
    for text in
        [&right[1..], &right[..27], &format!("{right}0"), &with(5, "U"), &with(5, "u"), &with(27, "é")]
    {
        let other = parse(text);
        assert!(!other.is_generated() && !other.same_as(&key), "{text}");
        assert_eq!(&**other.to_text(), text);
    }
}

#[test]
fn spare_bits_must_be_zero() {
    let key = generated("spare");
    let right = bare(&key);
    let last = crockford::value(right.as_bytes()[25].into()).unwrap();
    assert_eq!(last & 3, 0);
    for spare in 1..4 {
        let mut text = right.clone();
        text.replace_range(25..26, &crockford::digit(last | spare).to_string());
        assert_eq!(EncryptionKey::parse(&text).err(), Some(KeyError::Typo));
    }
}

#[test]
fn passphrases_count_byte_for_byte() {
    for (text, stored) in [
        ("ABCDE12345", "ABCDE12345"),
        (" \t\r\n\u{c}two  words\n", "two  words"),
        ("two-words", "two-words"),
        ("----", "----"),
        ("\u{a0}no-break space stays\u{a0}", "\u{a0}no-break space stays\u{a0}"),
        ("ключ", "ключ"),
    ] {
        let key = parse(text);
        assert!(!key.is_generated());
        assert_eq!(&**key.to_text(), stored);
        assert_eq!(*key.prs(), *lv_cat(&[b"phantom-key/1", &[0], stored.as_bytes()]));
    }
    let distinct = ["secret", "Secret", "se cret", "secret-", "sécret", "se\u{301}cret"];
    for (index, a) in distinct.iter().enumerate() {
        for b in &distinct[index + 1..] {
            assert!(!parse(a).same_as(&parse(b)), "{a} and {b}");
        }
    }
}

#[test]
fn limits() {
    for empty in ["", " ", "\t\r\n \u{c}"] {
        assert_eq!(EncryptionKey::parse(empty).err(), Some(KeyError::Empty));
    }
    let longest = "x".repeat(PASSPHRASE_MAX);
    assert!(parse(&format!("  {longest}  ")).same_as(&parse(&longest)));
    assert_eq!(EncryptionKey::parse(&format!("{longest}x")).err(), Some(KeyError::TooLong));
    assert_eq!(
        EncryptionKey::parse(&"é".repeat(513)).err(),
        Some(KeyError::TooLong),
        "bytes, not characters"
    );
}

/// A passphrase that happens to be the bytes of a generated key is another key.
#[test]
fn kinds_differ() {
    let phrase = parse("sixteen bytes ok");
    let raw = Zeroizing::new(*b"sixteen bytes ok");
    let key = EncryptionKey(Secret::Generated(raw));
    assert_eq!(*key.prs(), *lv_cat(&[b"phantom-key/1", &[1], b"sixteen bytes ok"]));
    assert!(!key.same_as(&phrase));
    assert_ne!(key.fingerprint(&[7; 32]), phrase.fingerprint(&[7; 32]));
}

#[test]
fn fingerprints_tell_keys_apart_and_depend_on_their_key() {
    let (a, b) = (parse("a"), parse("b"));
    assert_eq!(a.fingerprint(&[1; 32]), parse(" a ").fingerprint(&[1; 32]));
    assert_ne!(a.fingerprint(&[1; 32]), b.fingerprint(&[1; 32]));
    assert_ne!(a.fingerprint(&[1; 32]), a.fingerprint(&[2; 32]));
}

#[test]
fn keys_are_drawn_whole() {
    let text = EncryptionKey::generate(&mut crate::crypto::tests::FixedRng::new(&[0xff; 16])).to_text();
    assert!(text.starts_with("ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZW"), "{text:?}");
    let keys: Vec<_> = (0..50_u8).map(|n| generated([n]).prs().to_vec()).collect();
    let mut distinct = vec![];
    keys.iter().for_each(|key| {
        if !distinct.contains(&key) {
            distinct.push(key);
        }
    });
    assert_eq!(distinct.len(), keys.len());
}
