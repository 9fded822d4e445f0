//! Keys as words that one can say aloud.
//!
//! A key is four words drawn at random, or more, and one that checks the others: `amber-canoe-fern-jolly-otter`. Each word drawn is
//! ten bits; with four of them, one guess in 2^40 is right, and the key agreement gives nobody more than a few guesses. Of the words in
//! the list no two are one letter apart, no two begin with the same four letters, and none has more than six. The list was made for
//! this program and is under its licence.

use std::fmt;

use phantom_core::crypto::EncryptionKey;
use zeroize::Zeroizing;

use crate::message::Message;

/// Words drawn, if nothing else is said.
pub(crate) const DRAWN: u8 = 4;
/// The fewest and the most words that are drawn.
pub(crate) const DRAWN_RANGE: std::ops::RangeInclusive<i64> = 4..=12;
const BITS: usize = 10;
const CHECK_CONTEXT: &str = "phantom 2026 check word of a key in words";

static LIST: &str = include_str!("list.txt");

fn list() -> impl Iterator<Item = &'static str> + Clone {
    LIST.lines()
}

fn word(number: u16) -> &'static str {
    list().nth(usize::from(number) % (1 << BITS)).expect("the list has 1024 words")
}

/// Draws a key.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn draw(count: u8) -> Result<Zeroizing<String>, getrandom::Error> {
    loop {
        let key = draw_once(count)?;
        // Some have as many letters as a key in characters has, and would be taken for one with a typo.
        if EncryptionKey::parse(&key).is_ok_and(|key| !key.is_generated()) {
            return Ok(key);
        }
    }
}

fn draw_once(count: u8) -> Result<Zeroizing<String>, getrandom::Error> {
    let mut key = Zeroizing::new(String::new());
    for _ in 0..count {
        let mut number = Zeroizing::new([0; 2]);
        getrandom::fill(&mut *number)?;
        key.push_str(word(u16::from_le_bytes(*number)));
        key.push('-');
    }
    let check = check_word(key.trim_end_matches('-'));
    key.push_str(check);
    Ok(key)
}

fn check_word(drawn: &str) -> &'static str {
    let hash = blake3::derive_key(CHECK_CONTEXT, drawn.as_bytes());
    word(u16::from_le_bytes([hash[0], hash[1]]))
}

/// What a text says that may be a key in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is none, but may be another key.
    Other,
    /// The key, as it is written.
    Key(Zeroizing<String>),
}

/// Why a text that is meant as words is no key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum WordsError {
    /// The words do not belong together.
    Check,
    /// There is no such word.
    Unknown { word: String, nearest: &'static str },
}

/// Nothing of the key is in it.
impl fmt::Debug for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WordsError")
    }
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check => Message::WordsCheck.fmt(f),
            Self::Unknown { word, nearest } => Message::WordUnknown { word, nearest }.fmt(f),
        }
    }
}

/// Reads a key that was copied. It counts as one in words if it is five or more of the list's words with hyphens between them.
///
/// # Errors
/// It is meant as one, and its check word is wrong.
pub(crate) fn read_copied(text: &str) -> Result<Reading, WordsError> {
    let all: Vec<_> = text.split('-').collect();
    if all.len() <= usize::from(DRAWN) || !all.iter().all(|word| list().any(|known| known == *word)) {
        return Ok(Reading::Other);
    }
    checked(&all)
}

/// Reads a key that a person typed: hyphens or spaces, capitals or not, and of each word as many letters as it takes to tell it from
/// the others. It counts as one in words if it is five or more words and at most one of them is not known.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read_typed(text: &str) -> Result<Reading, WordsError> {
    let text = Zeroizing::new(text.to_ascii_lowercase());
    let typed: Vec<_> = text.split([' ', '-', '\t']).filter(|word| !word.is_empty()).collect();
    let found: Vec<_> = typed.iter().map(|word| find(word)).collect();
    let unknown: Vec<_> = (0..typed.len()).filter(|&at| found[at].is_none()).collect();
    if typed.len() <= usize::from(DRAWN) || unknown.len() > 1 {
        return Ok(Reading::Other);
    }
    match unknown.first() {
        None => checked(&found.into_iter().flatten().collect::<Vec<_>>()),
        Some(&at) => Err(WordsError::Unknown { word: typed[at].to_owned(), nearest: nearest(typed[at]) }),
    }
}

fn checked(words: &[&str]) -> Result<Reading, WordsError> {
    let (check, drawn) = words.split_last().ok_or(WordsError::Check)?;
    if check_word(&Zeroizing::new(drawn.join("-"))) != *check {
        return Err(WordsError::Check);
    }
    Ok(Reading::Key(Zeroizing::new(words.join("-"))))
}

/// The word, or the only one that begins so.
fn find(typed: &str) -> Option<&'static str> {
    let mut begin = list().filter(|word| word.starts_with(typed));
    match (begin.next(), begin.next()) {
        (Some(word), _) if word == typed => Some(word),
        (only, None) => only,
        _ => None,
    }
}

/// The words that begin so.
pub(crate) fn beginning(typed: &str) -> impl Iterator<Item = &'static str> {
    list().filter(move |word| word.starts_with(typed))
}

/// The word that takes the fewest letters to make of this one.
fn nearest(typed: &str) -> &'static str {
    list().min_by_key(|word| distance(typed, word)).expect("the list is not empty")
}

/// How many letters must be added, taken away or changed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(text: &str) -> Reading {
        Reading::Key(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn the_list_is_as_it_is_said_to_be() {
        let words: Vec<_> = list().collect();
        assert_eq!(words.len(), 1 << BITS);
        assert!(
            words
                .iter()
                .all(|word| (3..=6).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()))
        );
        let beginnings: BTreeSet<_> = words.iter().map(|word| &word[..word.len().min(4)]).collect();
        assert_eq!(beginnings.len(), words.len(), "four letters tell a word from all others");
        for (n, a) in words.iter().enumerate() {
            assert!(words[..n].iter().all(|b| distance(a, b) >= 2), "{a} is one letter from another");
        }
    }

    #[test]
    fn distances() {
        for (a, b, far) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "axc", 1), ("abc", "ac", 1), ("otter", "toter", 2)]
        {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }

    #[test]
    fn what_is_drawn_reads_the_same_and_one_wrong_word_is_told() {
        let drawn = draw(DRAWN).unwrap();
        assert_eq!(drawn.split('-').count(), 5);
        assert_eq!(read_copied(&drawn), Ok(key(&drawn)));
        assert_eq!(read_typed(&drawn.replace('-', "  ").to_uppercase()), Ok(key(&drawn)));
        let short: Vec<_> = drawn.split('-').map(|word| &word[..word.len().min(4)]).collect();
        assert_eq!(read_typed(&short.join(" ")), Ok(key(&drawn)));
        // Of the 1023 other words in the first place, about one passes the check.
        let (_, rest) = drawn.split_once('-').unwrap();
        let passed = list().filter(|word| read_copied(&format!("{word}-{rest}")).is_ok()).count();
        assert!((1..10).contains(&passed), "{passed}");
    }

    #[test]
    fn none_is_taken_for_a_key_in_characters() {
        let like_one =
            (0..10_000).filter(|_| EncryptionKey::parse(&draw_once(DRAWN).unwrap()).is_err()).count();
        assert!(like_one > 0, "else there would be nothing to test");
        assert!((0..2000).all(|_| EncryptionKey::parse(&draw(DRAWN).unwrap()).is_ok()));
    }

    #[test]
    fn a_word_that_is_not_in_the_list_is_told_with_its_nearest() {
        let drawn = draw(DRAWN).unwrap();
        let (_, rest) = drawn.split_once('-').unwrap();
        assert_eq!(
            read_typed(&format!("ottter {rest}")),
            Err(WordsError::Unknown { word: "ottter".into(), nearest: "otter" })
        );
    }

    #[test]
    fn other_keys_are_left_alone() {
        for text in [
            "blue elephants",
            "otter",
            "ABCDE12345",
            "4T2V-8Z5Q-1M7C-0000-0000-0000-0000",
            "my own five word phrase",
        ] {
            assert_eq!(
                (read_copied(text), read_typed(text)),
                (Ok(Reading::Other), Ok(Reading::Other)),
                "{text}"
            );
        }
    }
}
