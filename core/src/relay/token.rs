//! Reclaim tokens: a client proves that it held an ID, and the relay remembers nothing (`PROTOCOL.md`, "Reclaiming an ID").
//!
//! The token of an ID is a keyed hash that only this relay can compute, so it need not be stored; it outlives a restart because
//! the secret does.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::id::PeerId;

/// What a relay makes its tokens with: 32 random bytes and their number. Kept by the embedder across restarts.
#[derive(Clone, ZeroizeOnDrop)]
pub struct RelaySecret {
    kid: u8,
    key: [u8; 32],
}

impl RelaySecret {
    /// The secret number `kid`. To rotate, make a new one under another number and keep the old as the previous one until its
    /// tokens have ended.
    #[must_use]
    pub const fn new(kid: u8, key: [u8; 32]) -> Self {
        Self { kid, key }
    }

    /// The number of this secret.
    #[must_use]
    pub const fn kid(&self) -> u8 {
        self.kid
    }

    pub(super) fn token_key(&self, id: PeerId, owner: [u8; 8], expiry: u64) -> Zeroizing<[u8; 32]> {
        let hash = blake3::Hasher::new_keyed(&self.key)
            .update(b"phantom reclaim v1")
            .update(&[self.kid])
            .update(id.as_bytes())
            .update(&owner)
            .update(&expiry.to_be_bytes())
            .finalize();
        Zeroizing::new(*hash.as_bytes())
    }
}

impl fmt::Debug for RelaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySecret")
    }
}

/// The proof that goes into RECLAIM: keyed with the token, over the challenge of HELLO.
pub(crate) fn reclaim_mac(token_key: &[u8; 32], challenge: &[u8; 16]) -> [u8; 16] {
    let hash = blake3::Hasher::new_keyed(token_key).update(b"reclaim").update(challenge).finalize();
    let [mac @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *hash.as_bytes();
    mac
}

/// Whether `mac` is the proof for this token and challenge, in constant time.
pub(super) fn proves(mac: &[u8; 16], token_key: &[u8; 32], challenge: &[u8; 16]) -> bool {
    reclaim_mac(token_key, challenge).ct_eq(mac).into()
}
