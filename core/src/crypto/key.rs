//! The encryption key: what two people agreed on outside of Phantom.
//!
//! The rule: **one text is one key, at both ends.** [`EncryptionKey::parse`] is one deterministic function for whatever
//! a user may enter. If exactly 28 base32 characters remain after white space and hyphens are taken out, the text is
//! *meant* as a generated key and its check must be right; everything else is a passphrase, byte for byte as entered
//! but for white space around it. A generated key with a typo is refused here, where its owner can correct it, and not
//! taken for a passphrase that could only fail against the other side.
//!
//! ```text
//! generated key: 16 random bytes, 26 characters (two spare bits, zero), 2 check characters, seven groups of four
//!                4T2V-8Z5Q-1M7C-...
//! PRS = lv_cat("phantom-key/1", kind, bytes)      kind 0: UTF-8 of a passphrase, 1: the 16 bytes of a generated key
//! ```

use alloc::{string::String, vec::Vec};
use core::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{crockford, lv_cat, opaque_debug, schedule};

/// Bytes of a generated key.
pub const GENERATED_BYTES: usize = 16;
/// The longest passphrase in bytes, white space around it not counted.
pub const PASSPHRASE_MAX: usize = 1024;

const KEY_CHARACTERS: usize = 26;
const CHECK_CHARACTERS: usize = 2;
const TEXT_CHARACTERS: usize = KEY_CHARACTERS + CHECK_CHARACTERS;
const GROUP: usize = 4;

const PRS_LABEL: &[u8] = b"phantom-key/1";

/// A key two people share: one that was generated, or a passphrase.
///
/// Wiped on drop. It prints as `EncryptionKey` and nothing more; only [`to_text`](Self::to_text) shows it.
#[derive(Clone)]
pub struct EncryptionKey(Secret);

#[derive(Clone)]
enum Secret {
    Passphrase(Zeroizing<String>),
    Generated(Zeroizing<[u8; GENERATED_BYTES]>),
}

opaque_debug!(EncryptionKey);
impl ZeroizeOnDrop for EncryptionKey {}

impl EncryptionKey {
    /// Draws a key of 128 bits, which nobody can guess.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = Zeroizing::new([0; GENERATED_BYTES]);
        rng.fill_bytes(&mut *bytes);
        Self(Secret::Generated(bytes))
    }

    /// Reads what a user entered. Case, hyphens and white space do not matter in a generated key; in a passphrase
    /// everything does, but for ASCII white space around it.
    ///
    /// # Errors
    /// [`KeyError::Empty`] if only white space is there, [`KeyError::TooLong`] above [`PASSPHRASE_MAX`] bytes, and
    /// [`KeyError::Typo`] if the text looks like a generated key and its check is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > PASSPHRASE_MAX {
            return Err(KeyError::TooLong);
        }
        match base32_values(text) {
            Some(values) => match decode(&values) {
                Some(bytes) => Ok(Self(Secret::Generated(bytes))),
                None => Err(KeyError::Typo),
            },
            None => Ok(Self(Secret::Passphrase(Zeroizing::new(text.into())))),
        }
    }

    /// The key as its owner reads it to somebody: groups of four for a generated key, else the passphrase itself.
    /// [`parse`](Self::parse) of the text gives the same key.
    pub fn to_text(&self) -> Zeroizing<String> {
        match &self.0 {
            Secret::Passphrase(phrase) => phrase.clone(),
            Secret::Generated(bytes) => encode(bytes),
        }
    }

    /// Whether this is a key of 128 random bits. Guesses at such a key need not be counted.
    pub fn is_generated(&self) -> bool {
        matches!(self.0, Secret::Generated(_))
    }

    /// Whether both are the same key, in a time that tells nothing of either but kind and length.
    pub fn same_as(&self, other: &Self) -> bool {
        self.prs().ct_eq(&*other.prs()).into()
    }

    /// A name for the key that means nothing without `key`, 32 random bytes of the caller: for counting guesses
    /// without keeping passphrases.
    pub fn fingerprint(&self, key: &[u8; 32]) -> [u8; 16] {
        schedule::keyed(key, &self.prs())
    }

    /// The password-related string CPace starts from. The kind stands in it, so that a passphrase of 16 bytes is never
    /// a generated key.
    pub(crate) fn prs(&self) -> Zeroizing<Vec<u8>> {
        match &self.0 {
            Secret::Passphrase(phrase) => lv_cat(&[PRS_LABEL, &[0], phrase.as_bytes()]),
            Secret::Generated(bytes) => lv_cat(&[PRS_LABEL, &[1], &**bytes]),
        }
    }
}

/// A text that cannot be a key. Nothing of the text is in the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing but white space.
    Empty,
    /// Longer than [`PASSPHRASE_MAX`].
    TooLong,
    /// 28 characters like a generated key, but the check characters do not fit.
    Typo,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the key is empty"),
            Self::TooLong => write!(f, "the key is longer than {PASSPHRASE_MAX} bytes"),
            Self::Typo => f.write_str(
                "this looks like a generated key with a typo; correct it, \
                 or, if it is meant as a passphrase, add a character",
            ),
        }
    }
}

impl core::error::Error for KeyError {}

/// The base32 values of a text that is meant as a generated key.
fn base32_values(text: &str) -> Option<Zeroizing<[u8; TEXT_CHARACTERS]>> {
    let mut values = Zeroizing::new([0; TEXT_CHARACTERS]);
    let mut slots = values.iter_mut();
    for character in text.chars().filter(|&c| c != '-' && !c.is_ascii_whitespace()) {
        *slots.next()? = crockford::value(character)?;
    }
    if slots.next().is_some() {
        return None;
    }
    Some(values)
}

/// The key in base32 values, if check and spare bits are right.
fn decode(values: &[u8; TEXT_CHARACTERS]) -> Option<Zeroizing<[u8; GENERATED_BYTES]>> {
    let (characters, check) = values.split_at(KEY_CHARACTERS);
    // 26 characters are 130 bits: the 128 of the key, then two spare ones.
    let spare = characters[KEY_CHARACTERS - 1] & 3;
    let mut bytes = Zeroizing::new([0; GENERATED_BYTES]);
    for (index, &value) in characters.iter().enumerate() {
        let bit = index * 5;
        let wide = u16::from(value) << (11 - bit % 8);
        bytes[bit / 8] |= (wide >> 8) as u8;
        if let Some(next) = bytes.get_mut(bit / 8 + 1) {
            *next |= wide as u8;
        }
    }
    let right = check.ct_eq(&check_values(&bytes)) & spare.ct_eq(&0);
    bool::from(right).then_some(bytes)
}

fn encode(bytes: &[u8; GENERATED_BYTES]) -> Zeroizing<String> {
    let check = check_values(bytes).map(crockford::digit);
    let mut text = Zeroizing::new(String::with_capacity(TEXT_CHARACTERS + TEXT_CHARACTERS / GROUP));
    for (index, character) in crockford::digits(bytes).chain(check).enumerate() {
        if index > 0 && index % GROUP == 0 {
            text.push('-');
        }
        text.push(character);
    }
    text
}

/// Ten bits of a hash of the key, as two base32 values.
fn check_values(bytes: &[u8; GENERATED_BYTES]) -> [u8; CHECK_CHARACTERS] {
    let hash = schedule::derive::<2>(schedule::KEY_CHECK, bytes);
    [hash[0] >> 3, (hash[0] << 2 | hash[1] >> 6) & 31]
}

#[cfg(test)]
mod tests;
