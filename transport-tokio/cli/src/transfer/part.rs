//! What the receiver has of a file from an earlier time, once both sides agree that it is the beginning of it.

use super::packets::Hash;

/// The beginning of a file, or all of it.
pub(super) enum Had {
    /// So many bytes, and the state of the hash after them.
    Part(Box<blake3::Hasher>, u64),
    /// All of it.
    Whole(Hash),
}

impl Had {
    /// The first bytes of a file of this size, of which `hasher` has seen all.
    pub(super) fn new(hasher: blake3::Hasher, bytes: u64, size: Option<u64>) -> Self {
        if Some(bytes) == size {
            Self::Whole(*hasher.finalize().as_bytes())
        } else {
            Self::Part(Box::new(hasher), bytes)
        }
    }
}
