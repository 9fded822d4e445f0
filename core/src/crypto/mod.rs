//! Keys, the key agreement and the record layer: everything by which two clients trust each other and not the relay.
//!
//! **Who may call this:** the client's machines only. A relay holds no key of a channel, so nothing of the relay may
//! import this module.
//!
//! What is promised, from the first byte to the last:
//!
//! 1. [`key`]: an [`EncryptionKey`] is what two people agreed on, a generated key or a passphrase; every text reads as
//!    one of the two, the same at both ends.
//! 2. [`cpace`]: the password-authenticated key exchange CPace, which gives a counterpart one guess a run and an
//!    onlooker none.
//! 3. [`schedule`]: every key of a session, each from its own context string.
//! 4. [`exchange`]: one run of the handshake as a chain of types, [`Exchange`](exchange::Exchange) to
//!    [`Confirming`](exchange::Confirming) to [`Verdict`](exchange::Verdict). Keys to seal with exist only in a verdict
//!    that found the other side to hold the same key.
//! 5. [`record`]: sealing and opening, one counter a direction, no sequence number sealed twice.
//! 6. [`guess`]: how often somebody may try a passphrase before its owner is asked.
//!
//! Nothing here reads a clock, draws entropy by itself or sends. Secrets are wiped on drop, print nothing but the name
//! of their type, and compare in constant time. Wiping is best effort: a moved value may leave a copy behind.

mod cipher;
pub mod cpace;
pub mod crockford;
pub mod exchange;
pub mod guess;
pub mod key;
pub mod record;
pub mod schedule;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use zeroize::Zeroizing;

pub use guess::GuessBudget;
pub use key::{EncryptionKey, KeyError};

/// The two ends of a channel. Who asked and who accepted follows from each user's own act, not from the relay's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// The side that asked for the channel.
    Connector = 0,
    /// The side that accepted it.
    Acceptor = 1,
}

impl Role {
    /// The role of the other side.
    pub fn opposite(self) -> Self {
        match self {
            Self::Connector => Self::Acceptor,
            Self::Acceptor => Self::Connector,
        }
    }
}

/// Joins `parts` so that no two lists of parts give the same bytes: before each part stands its length as LEB128.
///
/// This is `lv_cat` of the CPace draft. The result is wiped on drop and is allocated once, so that no outgrown copy of
/// a secret part stays behind.
pub fn lv_cat(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let size = parts.iter().map(|part| leb128_len(part.len()) + part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    for part in parts {
        push_leb128(&mut out, part.len());
        out.extend_from_slice(part);
    }
    debug_assert_eq!(out.len(), size, "an exact size is what keeps the vector from moving");
    out
}

fn push_leb128(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn leb128_len(n: usize) -> usize {
    let bits = usize::BITS - n.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

/// `Debug` that prints the name of the type and nothing of its value.
macro_rules! opaque_debug {
    ($($name:ident),+) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )+};
}
pub(crate) use opaque_debug;
