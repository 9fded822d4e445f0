//! ChaCha20-Poly1305, by one of two implementations of the same standard.
//!
//! `Portable` is RustCrypto's and works everywhere. `Fast`, with the feature `ring`, is assembly for the processors that most programs
//! run on: here it took half the time for a record of 16 KiB, and a seventh for one of 64 bytes.
//!
//! Keys are wiped when a cipher is dropped. `Fast` keeps its key as bytes of its own and gives it to `ring`, which does not wipe, for
//! one call at a time.

use super::record::TAG;

/// What a record needs of a cipher.
pub(super) trait Aead {
    /// Takes a key.
    fn new(key: &[u8; 32]) -> Self;

    /// Encrypts `body` where it lies and returns the tag; nothing if the cipher cannot take that much.
    fn seal(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8]) -> Option<[u8; TAG]>;

    /// Decrypts the body in `sealed`, which is followed by its tag, where it lies, if the tag is right. Otherwise it returns `false`, and
    /// the body is what it was, or zeros.
    fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> bool;
}

#[cfg(feature = "ring")]
pub(super) type Cipher = fast::Fast;
#[cfg(not(feature = "ring"))]
pub(super) type Cipher = portable::Portable;

#[cfg(any(test, not(feature = "ring")))]
mod portable {
    use chacha20poly1305::aead::inout::InOutBuf;
    use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

    use super::{Aead, TAG};

    pub(in super::super) struct Portable(ChaCha20Poly1305);

    impl Aead for Portable {
        fn new(key: &[u8; 32]) -> Self {
            Self(ChaCha20Poly1305::new(key.into()))
        }

        fn seal(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8]) -> Option<[u8; TAG]> {
            self.0.encrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(body)).ok().map(Into::into)
        }

        fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> bool {
            let Some((body, tag)) = sealed.split_last_chunk_mut::<TAG>() else { return false };
            let tag = (&*tag).into();
            self.0.decrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(body), tag).is_ok()
        }
    }
}

#[cfg(feature = "ring")]
mod fast {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use zeroize::Zeroizing;

    use super::{Aead, TAG};

    pub(in super::super) struct Fast(Zeroizing<[u8; 32]>);

    impl Fast {
        fn key(&self) -> Option<LessSafeKey> {
            UnboundKey::new(&CHACHA20_POLY1305, &*self.0).ok().map(LessSafeKey::new)
        }
    }

    impl Aead for Fast {
        fn new(key: &[u8; 32]) -> Self {
            Self(Zeroizing::new(*key))
        }

        fn seal(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8]) -> Option<[u8; TAG]> {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let tag = self.key()?.seal_in_place_separate_tag(nonce, Aad::from(aad), body).ok()?;
            tag.as_ref().try_into().ok()
        }

        fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> bool {
            let nonce = Nonce::assume_unique_for_key(nonce);
            self.key().is_some_and(|key| key.open_in_place(nonce, Aad::from(aad), sealed).is_ok())
        }
    }
}

#[cfg(all(test, feature = "ring"))]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each opens what the other seals, and refuses it altered, without giving anything away.
        #[test]
        fn both_are_the_same(
            key: [u8; 32],
            nonce: [u8; 12],
            aad in prop::collection::vec(any::<u8>(), 0..20),
            plaintext in prop::collection::vec(any::<u8>(), 0..2000),
            flipped: prop::sample::Index,
        ) {
            let (portable, fast) = (portable::Portable::new(&key), fast::Fast::new(&key));
            let (mut body, mut same) = (plaintext.clone(), plaintext.clone());
            let tag = portable.seal(nonce, &aad, &mut body);
            prop_assert_eq!(fast.seal(nonce, &aad, &mut same), tag);
            prop_assert_eq!(&same, &body);
            let sealed: Vec<u8> = body.iter().copied().chain(tag.unwrap_or_default()).collect();
            let mut altered = sealed.clone();
            altered[flipped.index(sealed.len())] ^= 1;
            for cipher in [&portable as &dyn Open, &fast] {
                let mut opened = sealed.clone();
                prop_assert!(cipher.open_sealed(nonce, &aad, &mut opened));
                prop_assert_eq!(&opened[..plaintext.len()], &plaintext[..]);
                let mut refused = altered.clone();
                prop_assert!(!cipher.open_sealed(nonce, &aad, &mut refused));
                let (body, before) = (&refused[..plaintext.len()], &altered[..plaintext.len()]);
                prop_assert!(body == before || body.iter().all(|&byte| byte == 0));
            }
        }
    }

    trait Open {
        fn open_sealed(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> bool;
    }

    impl<A: Aead> Open for A {
        fn open_sealed(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> bool {
            self.open(nonce, aad, sealed)
        }
    }
}
