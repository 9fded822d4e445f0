use proptest::prelude::*;

use super::*;

const KEY: &str = "0000-0000-0000-0000-0000-0000-0000";

/// A generated key with right check characters.
fn generated(seed: u8) -> EncryptionKey {
    struct Fixed(u8);
    impl rand_core::TryRng for Fixed {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::from(self.0))
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from(self.0))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            for (n, byte) in (0..).zip(bytes) {
                *byte = self.0.wrapping_mul(31).wrapping_add(n);
            }
            Ok(())
        }
    }
    impl rand_core::TryCryptoRng for Fixed {}
    EncryptionKey::generate(&mut Fixed(seed))
}

fn error(text: &str) -> InvitationError {
    text.parse::<Invitation>().expect_err(text)
}

#[test]
fn a_known_invitation() {
    let text = "phantoms://relay.example/deep/AF83X1#%D0%9F%20x-1";
    let invitation: Invitation = text.parse().unwrap();
    assert_eq!(invitation.relay.to_string(), "wss://relay.example:443/deep");
    assert_eq!(invitation.id.to_string(), "AF83X1");
    assert_eq!(*invitation.key.to_text(), "П x-1");
    assert_eq!(*invitation.to_text(), text);
    assert_eq!(format!("{invitation:?}"), "Invitation");
}

#[test]
fn the_port_of_a_relay_without_tls_is_always_written() {
    let invitation: Invitation = "phantom://relay/AF83X1#ABCDE12345".parse().unwrap();
    assert_eq!(*invitation.to_text(), "phantom://relay:7777/AF83X1#ABCDE12345");
}

#[test]
fn what_is_refused_and_why() {
    use InvitationError::{Encoding, Id, Key, NoKey, NotOne, Relay, Scheme};
    assert_eq!(error("AF83X1"), NotOne);
    assert_eq!(error("ws://relay/AF83X1#key"), Scheme);
    assert_eq!(error("phantom://relay:99999/AF83X1#key"), Relay(AddressError::Port));
    assert_eq!(error("phantom:///AF83X1#key"), Relay(AddressError::Host));
    assert_eq!(error("phantom://relay#key"), Id);
    assert_eq!(error("phantom://relay/AF83X#key"), Id);
    assert_eq!(error("phantom://relay/AF83X!#key"), Id);
    assert_eq!(error("phantom://relay/AF83X1"), NoKey);
    assert_eq!(error("phantom://relay/AF83X1#"), Key(KeyError::Empty));
    assert_eq!(error("phantom://relay/AF83X1#%4"), Encoding);
    assert_eq!(error("phantom://relay/AF83X1#%FF"), Encoding);
    assert_eq!(error(&format!("phantom://relay/AF83X1#{KEY}")), Key(KeyError::Typo));
}

proptest! {
    #[test]
    fn what_is_printed_reads_the_same(
        tls: bool,
        host in "[a-z0-9][a-z0-9.-]{0,20}|\\[::1\\]|127\\.0\\.0\\.1",
        port in 1_u16..,
        path in "(/[a-z0-9._~-]{1,8}){0,3}",
        id in "[A-Za-z0-9]{6}",
        phrase in "\\PC{1,40}".prop_filter("a key", |text| EncryptionKey::parse(text).is_ok()),
        seed in proptest::option::of(any::<u8>()),
    ) {
        let invitation = Invitation {
            relay: Address::parse_rest(tls, &format!("{host}:{port}{path}"), 1).unwrap(),
            id: id.parse().unwrap(),
            key: seed.map_or_else(|| EncryptionKey::parse(&phrase).unwrap(), generated),
        };
        let text = invitation.to_text();
        prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'$' | b'!' | b'\\')));
        let again: Invitation = text.parse().unwrap();
        prop_assert_eq!(&again.relay, &invitation.relay);
        prop_assert_eq!(again.id, invitation.id);
        prop_assert!(again.key.same_as(&invitation.key));
    }

    #[test]
    fn one_wrong_character_of_a_generated_key_is_a_typo(seed: u8, at in 0_usize..28, by in 1_usize..32) {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut digits = generated(seed).to_text().replace('-', "").into_bytes();
        let value = DIGITS.iter().position(|&digit| digit == digits[at]).unwrap();
        digits[at] = DIGITS[(value + by) % 32];
        let text = format!("phantom://relay/AF83X1#{}", String::from_utf8(digits).unwrap());
        // Ten check bits: one wrong text in 1024 passes. None of those that are tried here may be taken silently for a passphrase.
        match text.parse::<Invitation>() {
            Err(error) => prop_assert_eq!(error, InvitationError::Key(KeyError::Typo)),
            Ok(invitation) => prop_assert!(invitation.key.is_generated()),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|phantoms?://\\PC*|phantom://relay/AF83X1#\\PC*") {
        let _ = text.parse::<Invitation>();
    }
}
