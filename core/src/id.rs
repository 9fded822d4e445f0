//! Names and numbers: who somebody is, and which request or channel is meant.

use core::fmt;
use core::str::FromStr;

use crate::rng::Rng;

/// The six characters `[A-Za-z0-9]` that a relay gives to a client: its *connection ID*.
///
/// There are 62^6, about 5.7·10^10, of them. Upper and lower case differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; Self::LEN]);

impl PeerId {
    /// Characters in an ID, and bytes on the wire.
    pub const LEN: usize = 6;

    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    /// The ID written by these bytes, if each is one of `[A-Za-z0-9]`.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Option<Self> {
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }

    /// The six ASCII bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Draws an ID uniformly: bytes from 248 on are thrown away, so that no character is likelier than another.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self(core::array::from_fn(|_| {
            loop {
                let [byte] = rng.bytes();
                if byte < 248 {
                    break Self::ALPHABET[usize::from(byte % 62)];
                }
            }
        }))
    }
}

impl FromStr for PeerId {
    type Err = InvalidPeerId;

    /// Reads six characters; white space around them is ignored.
    fn from_str(text: &str) -> Result<Self, InvalidPeerId> {
        <[u8; Self::LEN]>::try_from(text.trim().as_bytes())
            .ok()
            .and_then(Self::from_bytes)
            .ok_or(InvalidPeerId)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(core::str::from_utf8(&self.0).expect("an ID is made of ASCII characters"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// The text is not an ID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidPeerId;

impl fmt::Display for InvalidPeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ID is exactly six letters or digits, for example AF83X1")
    }
}

impl core::error::Error for InvalidPeerId {}

/// One transport link, as the relay knows it. Never used again after the link has gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub(crate) crate::arena::Key);

impl ConnId {
    /// A small number, unique among the connections open now: an index for the embedder's own table.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.index()
    }
}

/// One attempt to connect, as one client knows it: its own or another's. Never used again by the same client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub(crate) u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One channel, as one client knows it. Never used again by the same client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelId(pub(crate) u32);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn parses_what_it_prints_and_nothing_else() {
        let mut rng = Rng::from_seed(&[3; 32]);
        for _ in 0..1000 {
            let id = PeerId::draw(&mut rng);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(" AF83X1\n".parse(), Ok(PeerId(*b"AF83X1")));
        for bad in ["", "AF83X", "AF83X12", "AF-3X1", "AF83Ж", "AF 3X1", "\0\0\0\0\0\0"] {
            assert_eq!(bad.parse::<PeerId>(), Err(InvalidPeerId), "{bad:?}");
        }
    }

    /// A chi-square test over all 62 characters; 61 degrees of freedom pass 120 about once in 10^5 seeds, and this seed is fixed.
    #[test]
    fn every_character_is_equally_likely() {
        let mut rng = Rng::from_seed(&[4; 32]);
        let mut counts = [0u32; 62];
        let draws = 20_000;
        for _ in 0..draws {
            for byte in PeerId::draw(&mut rng).0 {
                counts[PeerId::ALPHABET.iter().position(|&c| c == byte).unwrap()] += 1;
            }
        }
        let expected = f64::from(draws * 6) / 62.0;
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        assert!(chi < 120.0, "chi-square {chi}");
    }
}
