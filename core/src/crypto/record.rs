//! Records: what crosses the relay once a channel is secured.
//!
//! The rules this file enforces:
//!
//! * **No sequence number is sealed twice.** One function seals; it moves the counter before it seals and nothing ever
//!   moves it back. Neither side of a direction can be copied, and there is no way to seal a record again: what must be
//!   sent again is the sealed record itself.
//! * **A bare header moves nothing.** The opener's counter advances only after a tag was right, and an opening that
//!   fails leaves the counter as it was. Nothing is ever decrypted for a wrong tag.
//! * DATA opens strictly in order. CTRL opens with any gap but never backwards, since each CTRL record supersedes the
//!   one before.
//! * Only DATA has generations: a CTRL record may be lost, and then the two sides would differ in theirs.
//!
//! ```text
//! record = kind u8 | seq u64 | ciphertext | tag 16        ChaCha20-Poly1305; the first nine bytes are the AAD
//! nonce  = iv xor (four zero bytes || seq)                big endian; seq never starts again, not at a new generation
//! ```

use core::{fmt, marker::PhantomData};

use zeroize::Zeroizing;

use super::cipher::{Aead, Cipher};
use super::schedule::ChainKey;

/// Bytes before the ciphertext: the kind and the sequence number.
pub const HEADER: usize = 9;
/// Bytes of the tag behind the ciphertext.
pub const TAG: usize = 16;
/// What a record costs beside its body: header, the one byte that says what the body is, tag.
pub const OVERHEAD: usize = HEADER + 1 + TAG;
/// The longest plaintext we seal, in bytes, with its first byte. More gains no speed.
pub const PLAINTEXT_SEND_MAX: usize = 16 * 1024;
/// The longest plaintext we open, in bytes, with its first byte.
pub const PLAINTEXT_ACCEPT_MAX: usize = 64 * 1024;
/// The sequence number that is never reached.
pub const SEQ_END: u64 = 1 << 60;

/// The kind of a record: [`Data`] or [`Ctrl`].
pub trait Kind: private::Sealed {
    /// The first byte of the record.
    const BYTE: u8;
}

/// Packets, in order and without gaps.
pub enum Data {}
/// The session's own messages, of which only the newest counts.
pub enum Ctrl {}

impl Kind for Data {
    const BYTE: u8 = 0x10;
}
impl Kind for Ctrl {
    const BYTE: u8 = 0x11;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Data {}
    impl Sealed for super::Ctrl {}
}

/// Seals one direction's records of one kind.
pub struct Sealer<K: Kind>(Direction<K>);

impl<K: Kind> Sealer<K> {
    /// Begins a direction at sequence number 0. The other side opens it with the same chain key.
    pub fn new(chain: ChainKey) -> Self {
        Self(Direction::new(chain))
    }

    /// Seals `record` where it lies: nine bytes for the header, the plaintext, sixteen spare bytes for the tag. Header
    /// and tag are written here. Returns the sequence number.
    ///
    /// # Errors
    /// [`SealError`]; the buffer is not sealed then, and no sequence number is used for a [`SealError::Size`].
    pub fn seal(&mut self, record: &mut [u8]) -> Result<u64, SealError> {
        let size = record.len().checked_sub(HEADER + TAG).ok_or(SealError::Size)?;
        if !(1..=PLAINTEXT_SEND_MAX).contains(&size) {
            return Err(SealError::Size);
        }
        let seq = self.0.next;
        if seq >= SEQ_END {
            return Err(SealError::Exhausted);
        }
        self.0.next = seq + 1;
        let (header, rest) = record.split_at_mut(HEADER);
        let (body, tag) = rest.split_at_mut(size);
        header[0] = K::BYTE;
        header[1..].copy_from_slice(&seq.to_be_bytes());
        match self.0.cipher.seal(self.0.nonce(seq), header, body) {
            Some(sealed) => {
                tag.copy_from_slice(&sealed);
                Ok(seq)
            }
            None => {
                // The cipher refuses only sizes far above ours. Should it ever, nothing more is sealed.
                self.0.next = SEQ_END;
                Err(SealError::Exhausted)
            }
        }
    }

    /// The sequence number of the next record; also how many were sealed.
    pub fn next_seq(&self) -> u64 {
        self.0.next
    }
}

impl Sealer<Data> {
    /// Moves on to the next generation and wipes this one, right after the record that announces it was sealed.
    /// Sequence numbers go on.
    pub fn ratchet(&mut self) {
        self.0.ratchet();
    }
}

/// Opens one direction's records of one kind.
pub struct Opener<K: Kind>(Direction<K>);

impl<K: Kind> Opener<K> {
    /// Begins a direction at sequence number 0.
    pub fn new(chain: ChainKey) -> Self {
        Self(Direction::new(chain))
    }

    /// The lowest sequence number that can still be opened.
    pub fn next_seq(&self) -> u64 {
        self.0.next
    }

    /// Opens a record whose sequence number the kind's rule has let through.
    fn verify<'a>(&mut self, seq: u64, record: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let (header, rest) = record.split_at_mut(HEADER);
        if !self.0.cipher.open(self.0.nonce(seq), header, rest) {
            return Err(OpenError::Forged { seq });
        }
        self.0.next = seq + 1;
        let body = rest.len().saturating_sub(TAG);
        Ok(&mut rest[..body])
    }
}

impl Opener<Data> {
    /// Opens the next record where it lies and returns its plaintext, at least one byte.
    ///
    /// # Errors
    /// [`OpenError`]; the counter is then as before, and so is the buffer, or the ciphertext in it is wiped.
    pub fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let seq = sequence::<Data>(record)?;
        let expected = self.0.next;
        if seq < expected {
            return Err(OpenError::Duplicate { seq });
        }
        if seq > expected {
            return Err(OpenError::Gap { expected, got: seq });
        }
        self.verify(seq, record)
    }

    /// Moves on to the next generation and wipes this one, right after the record that announces it was opened.
    pub fn ratchet(&mut self) {
        self.0.ratchet();
    }
}

impl Opener<Ctrl> {
    /// Opens a record newer than the last opened one and returns its plaintext, at least one byte.
    ///
    /// # Errors
    /// [`OpenError`], but never a gap; the counter is then as before, and so is the buffer, or the ciphertext in it is wiped.
    pub fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let seq = sequence::<Ctrl>(record)?;
        if seq < self.0.next {
            return Err(OpenError::Duplicate { seq });
        }
        self.verify(seq, record)
    }
}

/// The sequence number in the header of a record that has the size and the kind of one.
fn sequence<K: Kind>(record: &[u8]) -> Result<u64, OpenError> {
    let size = record.len().checked_sub(HEADER + TAG).ok_or(OpenError::Malformed)?;
    let (header, _) = record.split_first_chunk::<HEADER>().ok_or(OpenError::Malformed)?;
    let [kind, seq @ ..] = *header;
    let seq = u64::from_be_bytes(seq);
    if !(1..=PLAINTEXT_ACCEPT_MAX).contains(&size) || kind != K::BYTE || seq >= SEQ_END {
        return Err(OpenError::Malformed);
    }
    Ok(seq)
}

/// One direction in its present generation.
struct Direction<K> {
    chain: ChainKey,
    cipher: Cipher,
    iv: Zeroizing<[u8; 12]>,
    next: u64,
    kind: PhantomData<fn() -> K>,
}

impl<K> Direction<K> {
    fn new(chain: ChainKey) -> Self {
        let (cipher, iv) = expand(&chain);
        Self { chain, cipher, iv, next: 0, kind: PhantomData }
    }

    fn ratchet(&mut self) {
        self.chain.ratchet();
        (self.cipher, self.iv) = expand(&self.chain);
    }

    fn nonce(&self, seq: u64) -> [u8; 12] {
        let mut nonce = *self.iv;
        for (byte, seq) in nonce[4..].iter_mut().zip(seq.to_be_bytes()) {
            *byte ^= seq;
        }
        nonce
    }
}

fn expand(chain: &ChainKey) -> (Cipher, Zeroizing<[u8; 12]>) {
    let keys = chain.record_keys();
    let (key, rest) = keys.split_first_chunk::<32>().expect("44 bytes begin with 32");
    let mut iv = Zeroizing::new([0; 12]);
    iv.copy_from_slice(rest);
    (Cipher::new(key), iv)
}

impl<K: Kind> fmt::Debug for Sealer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl<K: Kind> fmt::Debug for Opener<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The plaintext is empty or longer than [`PLAINTEXT_SEND_MAX`]: the caller's mistake.
    Size,
    /// All sequence numbers are used; the session must end.
    Exhausted,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => write!(f, "a record holds 1 to {PLAINTEXT_SEND_MAX} bytes"),
            Self::Exhausted => f.write_str("this channel has sent all it can; open a new one"),
        }
    }
}

impl core::error::Error for SealError {}

/// Why a record was not opened. Nothing of its content is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Not a record of this kind: wrong first byte, too short, too long, or a sequence number no honest side reaches.
    Malformed,
    /// Opened before, or superseded by a newer one. Its tag was not looked at.
    Duplicate {
        /// The number in the header.
        seq: u64,
    },
    /// Records before this one are missing. Its tag was not looked at.
    Gap {
        /// The number that must come next.
        expected: u64,
        /// The number in the header.
        got: u64,
    },
    /// The tag is wrong: the record was altered, or sealed with another key.
    Forged {
        /// The number in the header.
        seq: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not a record"),
            Self::Duplicate { seq } => write!(f, "record {seq} was here before"),
            Self::Gap { expected, got } => write!(f, "record {got} came where {expected} is next"),
            Self::Forged { seq } => {
                write!(f, "record {seq} was altered on its way or sealed with another key")
            }
        }
    }
}

impl core::error::Error for OpenError {}

#[cfg(test)]
mod tests;
