//! What two sides of a file transfer say to each other: version 1.
//!
//! ```text
//! sender                                   receiver
//!   Offer { version, name, size }  ──────▶
//!                                  ◀──────   Ready        nothing of the file travels before it
//!   Chunk …                        ──────▶
//!   Done { hash }                  ──────▶
//!                                  ◀──────   Received { hash }   the file is in its place
//!   either side, at any time: Stop { reason }, after which nothing follows
//! ```
//!
//! Then both close the channel. The channel keeps order and loses nothing, so that a chunk needs no number. A side that knows only
//! lower versions answers an offer with `Stop { Version }`. No text of one side is ever shown at the other but the file's name.

use bytes::Bytes;
use phantom_core::bits::Bits;
use phantom_core::packet::Packet;

/// The version of this protocol.
pub(crate) const VERSION: u32 = 1;

/// Bytes of the file in a chunk, but for the last one. With this length, buffers stay in the cache of the processor on their whole way:
/// four times as much costs a quarter more processor time.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// A BLAKE3 hash.
pub(crate) type Hash = [u8; 32];

/// A file is there to be taken.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 32)]
pub(crate) struct Offer {
    /// The version the sender speaks.
    pub(crate) version: u32,
    /// Its name at the sender, without a folder: a suggestion.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
}

/// The receiver takes it.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 33)]
pub(crate) struct Ready;

/// The next bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 34)]
pub(crate) struct Chunk {
    /// At least one byte, and no more than are missing.
    pub(crate) data: Bytes,
}

impl Chunk {
    /// Bytes of an encoded chunk that are not of the file, if the chunk is a full one.
    pub(crate) const HEADER: usize = 5;
}

/// The whole file was sent.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 35)]
pub(crate) struct Done {
    /// The BLAKE3 hash of all bytes that were sent.
    pub(crate) hash: Hash,
}

/// The whole file has arrived, is what was sent, and is in its place.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 36)]
pub(crate) struct Received {
    /// The BLAKE3 hash of what was received.
    pub(crate) hash: Hash,
}

/// This side goes no further.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 37)]
pub(crate) struct Stop {
    /// Why.
    pub(crate) reason: Reason,
}

/// Why a side goes no further. An older program reads a reason it does not know as no packet at all, and stops as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Bits)]
pub(crate) enum Reason {
    /// The person wanted it.
    Wanted,
    /// The version of the offer is not known.
    Version,
    /// The receiver has a file of this name and was not told to overwrite it.
    Exists,
    /// The receiver cannot keep a file of this name.
    Name,
    /// The receiver cannot write.
    Write,
    /// The sender cannot read its file, or the file changed.
    Read,
    /// What arrived is not what was sent.
    Damaged,
    /// The other side broke the rules above.
    Protocol,
}

impl Reason {
    /// What the side that is told says to its person.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Wanted => "the other side stopped the transfer",
            Self::Version => {
                "the other side's program is older and does not understand this transfer; update it"
            }
            Self::Exists => {
                "the other side already has a file of this name; it can use --force to overwrite it, or --output for another name"
            }
            Self::Name => "the other side cannot keep a file of this name; it can choose one with --output",
            Self::Write => "the other side could not write the file; see the message there",
            Self::Read => "the other side could not read its file to the end; see the message there",
            Self::Damaged => "the file arrived damaged and was thrown away; send it again",
            Self::Protocol => "the two programs do not understand each other; update the older one",
        }
    }
}

#[cfg(test)]
mod tests {
    use phantom_core::packet::{decode, encode};

    use super::*;

    /// Byte for byte: who changes these has made another protocol.
    #[test]
    fn the_bytes_of_every_packet() {
        let hash = [0xab; 32];
        let offer = Offer { version: VERSION, name: "x".into(), size: 300 };
        assert_eq!(
            encode(&offer).unwrap()[..],
            hex("9002 1078 8c98")[..],
            "{:x?}",
            &encode(&offer).unwrap()[..]
        );
        assert_eq!(encode(&Ready).unwrap()[..], hex("9040")[..], "{:x?}", &encode(&Ready).unwrap()[..]);
        let chunk = Chunk { data: Bytes::from_static(b"abc") };
        assert_eq!(
            encode(&chunk).unwrap()[..],
            hex("9086 6162 63")[..],
            "{:x?}",
            &encode(&chunk).unwrap()[..]
        );
        let done = encode(&Done { hash }).unwrap();
        assert_eq!((done.len(), decode(&done)), (34, Ok(Done { hash })));
        let received = encode(&Received { hash }).unwrap();
        assert_eq!((received.len(), decode(&received)), (34, Ok(Received { hash })));
        let stop = Stop { reason: Reason::Protocol };
        assert_eq!(encode(&stop).unwrap()[..], hex("914e")[..], "{:x?}", &encode(&stop).unwrap()[..]);
        let full = encode(&Chunk { data: vec![0; CHUNK_BYTES].into() }).unwrap();
        assert_eq!(full.len(), CHUNK_BYTES + Chunk::HEADER);
        assert_eq!(decode(&encode(&offer).unwrap()), Ok(offer));
        assert_eq!(decode(&encode(&chunk).unwrap()), Ok(chunk));
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }
}
