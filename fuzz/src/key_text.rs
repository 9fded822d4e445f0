//! Texts from users: one text is one key at both ends, whatever it is; a key's own text reads as the same key, and an ID's as the
//! same ID.

use phantom_core::crypto::key::{EncryptionKey, KeyError, PASSPHRASE_MAX};
use phantom_core::id::PeerId;

/// Reads `data` as a key and as an ID.
pub fn key_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    key(&text);
    if let Ok(id) = text.parse::<PeerId>() {
        assert_eq!(id.to_string(), text.trim());
        assert_eq!(PeerId::from_bytes(*id.as_bytes()), Some(id));
    }
}

fn key(text: &str) {
    let trimmed = text.trim_ascii();
    match EncryptionKey::parse(text) {
        Ok(key) => {
            let shown = key.to_text();
            let again = EncryptionKey::parse(&shown).expect("a key's own text is a key");
            assert!(again.same_as(&key) && again.is_generated() == key.is_generated());
            let spaced =
                EncryptionKey::parse(&format!(" {text}\n")).expect("white space around it does not matter");
            assert!(spaced.same_as(&key));
            if key.is_generated() {
                let lower = EncryptionKey::parse(&shown.to_lowercase().replace('-', " "));
                assert!(lower.is_ok_and(|lower| lower.same_as(&key)), "case and hyphens do not matter");
                assert_eq!(digits(trimmed), digits(&shown), "one key, one text");
            } else {
                assert_eq!(*shown, trimmed, "a passphrase is taken as it is");
            }
            assert_eq!(format!("{key:?}"), "EncryptionKey");
        }
        Err(KeyError::Empty) => assert!(trimmed.is_empty()),
        Err(KeyError::TooLong) => assert!(trimmed.len() > PASSPHRASE_MAX),
        Err(KeyError::Typo) => {
            let characters = trimmed.chars().filter(|c| !c.is_ascii_whitespace() && *c != '-').count();
            assert_eq!(characters, 28, "only what looks like a generated key can be one with a typo");
            let meant = EncryptionKey::parse(&format!("{trimmed}!"));
            assert!(trimmed.len() == PASSPHRASE_MAX || meant.is_ok_and(|key| !key.is_generated()));
        }
        Err(error) => panic!("an error this target does not know: {error}"),
    }
}

/// The characters of a generated key, each in its one form.
fn digits(text: &str) -> String {
    let characters = text.chars().filter(|c| !c.is_ascii_whitespace() && *c != '-');
    let one_form = characters.map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    one_form.collect()
}
