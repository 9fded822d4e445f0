//! What two sides of a transfer say to each other: version 2.
//!
//! ```text
//! sender                                   receiver
//!   Offer { version, name, size, … } ─────▶
//!   List { entries } …               ─────▶
//!                                    ◀─────   Have { parts } …   what is there from an earlier time
//!                                    ◀─────   Ready              no byte of a file travels before it
//!   Anew { entries } …               ─────▶                      what is there is not the same any more
//!   Begin                            ─────▶
//!   Chunk …, Sums { hashes } …       ─────▶
//!   Done { hash }                    ─────▶
//!                                    ◀─────   Received { hash }  everything is in its place
//!   either side, at any time: Stop { reason }, after which nothing follows
//! ```
//!
//! Then both close the channel. The channel keeps order and loses nothing, so that nothing needs a number.
//!
//! The entries are folders, files and links; a folder comes before what is in it. Chunks are the bytes of all files one after the other,
//! in the order of the list and without seams: thousands of small files are a few packets. Of a file that the receiver has a part of, what
//! follows that part is sent; of one that it has, nothing. `Sums` has the hash of each file that was not there whole, in the same order,
//! after its bytes.
//!
//! A side that knows only lower versions answers an offer with `Stop { Version }`. No text of one side is ever shown at the other but
//! names, without what could drive a terminal.

use bytes::Bytes;
use phantom_core::bits::{BitReader, BitWriter, Bits, ReadError};
use phantom_core::client::PACKET_WHOLE_MAX;
use phantom_core::packet::Packet;

use super::message::Sentence;

/// The version of this protocol.
pub(crate) const VERSION: u32 = 2;

/// Bytes of files in a chunk at most that this program sends: as many as travel in one record, so that nothing is cut and put together
/// again.
pub(crate) const CHUNK_BYTES: usize = PACKET_WHOLE_MAX - Chunk::HEADER;

/// Entries, parts or hashes in one packet at most: enough that a packet is no round trip, few enough that it is no burden.
pub(crate) const BATCH: usize = 512;

/// A BLAKE3 hash.
pub(crate) type Hash = [u8; 32];

/// Something is there to be taken.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 32)]
pub(crate) struct Offer {
    /// The version the sender speaks.
    pub(crate) version: u32,
    /// What it is called, to be shown.
    pub(crate) name: String,
    /// Bytes of all files together, as far as they are known.
    pub(crate) size: u64,
    /// How many entries there are; all of them follow in lists.
    #[packet(default)]
    pub(crate) entries: u32,
    /// The one file is a text for a person to read, not to keep.
    #[packet(default)]
    pub(crate) is_text: bool,
}

/// The next entries.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 38)]
pub(crate) struct List {
    /// At least one, at most [`BATCH`].
    pub(crate) entries: Vec<Entry>,
}

/// A folder, a file or a link.
#[derive(Clone, Debug, PartialEq, Eq, Bits)]
pub(crate) struct Entry {
    /// The folder it is in: its place in the list, counted from 1; 0 for the folder that the receiver chooses.
    pub(crate) parent: u32,
    /// One component of a path, as bytes: a suggestion.
    pub(crate) name: Bytes,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Bits)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its length in bytes; unknown only if it is the one entry there is.
        size: Option<u64>,
        /// It can be run.
        executable: bool,
    },
    /// A symbolic link that stays in the folder that is sent; see `link`.
    Link {
        /// Where it leads, with `/` between names.
        target: Bytes,
    },
}

/// What the receiver has from an earlier time.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 39)]
pub(crate) struct Have {
    /// At least one, at most [`BATCH`], in the order of the list.
    pub(crate) parts: Vec<Part>,
}

/// The beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq, Bits)]
pub(crate) struct Part {
    /// The file's place in the list, counted from 0.
    pub(crate) entry: u32,
    /// How many bytes of it; at least one, at most all.
    pub(crate) bytes: u64,
    /// The BLAKE3 hash of these bytes.
    pub(crate) hash: Hash,
}

/// The receiver takes it.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 33)]
pub(crate) struct Ready;

/// The files of which the receiver's part is not the beginning any more. They are sent from their first byte on.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 40)]
pub(crate) struct Anew {
    /// Their places in the list, counted from 0; at least one, at most [`BATCH`].
    pub(crate) entries: Vec<u32>,
}

/// All parts have been compared; the bytes follow.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 42)]
pub(crate) struct Begin;

/// The next bytes.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 34)]
pub(crate) struct Chunk {
    /// At least one byte, and no more than are missing.
    pub(crate) data: Bytes,
}

impl Chunk {
    /// Bytes of an encoded chunk that are not of a file, if the chunk is a full one; of a shorter one, fewer.
    pub(crate) const HEADER: usize = 4;

    /// What stands before so many bytes in an encoded chunk: whoever sends it needs not copy them.
    pub(crate) fn header(len: usize) -> Bytes {
        let mut out = BitWriter::with_capacity(Self::HEADER);
        out.write_varint(u64::from(Self::ID));
        out.write_varint(len as u64);
        out.into_bytes()
    }

    /// The bytes in an encoded chunk where they lie: `decode` would copy them.
    ///
    /// # Errors
    /// It is no chunk.
    pub(crate) fn data_in(packet: &[u8]) -> Result<&[u8], ReadError> {
        let mut input = BitReader::new(packet);
        if input.read_varint()? != u64::from(Self::ID) {
            return Err(ReadError::Invalid("this is another packet"));
        }
        let data = input.read_bytes()?;
        input.finish()?;
        Ok(data)
    }
}

/// What the next files must be.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 41)]
pub(crate) struct Sums {
    /// The BLAKE3 hashes of whole files; at least one, at most [`BATCH`].
    pub(crate) hashes: Vec<Hash>,
}

/// Everything was sent.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 35)]
pub(crate) struct Done {
    /// The hash of the one file; of several, the BLAKE3 hash of their hashes one after the other. See [`total`].
    pub(crate) hash: Hash,
}

/// Everything has arrived, is what was sent, and is in its place.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 36)]
pub(crate) struct Received {
    /// What `Done` said.
    pub(crate) hash: Hash,
}

/// The hash that stands for all files.
pub(crate) fn total(hashes: &[Hash]) -> Hash {
    match hashes {
        [only] => *only,
        all => *blake3::hash(all.as_flattened()).as_bytes(),
    }
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
    /// The receiver has something of this name and was not told to overwrite it.
    Exists,
    /// The receiver cannot keep something of this name.
    Name,
    /// The receiver cannot write.
    Write,
    /// The sender cannot read a file, or it changed.
    Read,
    /// What arrived is not what was sent.
    Damaged,
    /// The other side broke the rules above.
    Protocol,
    /// There is more than the receiver can take at once.
    TooMuch,
}

impl Reason {
    /// What the side that is told says to its person.
    pub(crate) fn told(self) -> Sentence<'static> {
        match self {
            Self::Wanted => Sentence::ToldWanted,
            Self::Version => Sentence::ToldVersion,
            Self::Exists => Sentence::ToldExists,
            Self::Name => Sentence::ToldName,
            Self::Write => Sentence::ToldWrite,
            Self::Read => Sentence::ToldRead,
            Self::Damaged => Sentence::ToldDamaged,
            Self::Protocol => Sentence::ToldProtocol,
            Self::TooMuch => Sentence::ToldTooMuch,
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
        let offer = Offer { version: VERSION, name: "x".into(), size: 300, entries: 1, is_text: false };
        is(&offer, "9004 1078 8c99 0c");
        is(&Ready, "9040");
        is(&Begin, "9280");
        is(&Chunk { data: Bytes::from_static(b"abc") }, "9086 6162 63");
        let file = Kind::File { size: Some(3), executable: true };
        let link = Kind::Link { target: Bytes::from_static(b"b") };
        for kind in [Kind::Folder, file, link] {
            let entry = Entry { parent: 1, name: Bytes::from_static(b"a"), kind };
            back(&List { entries: vec![entry.clone(), entry] });
        }
        is(&Anew { entries: vec![1, 2] }, "92041100");
        for packet in [encode(&Done { hash }), encode(&Received { hash })] {
            assert_eq!(packet.unwrap().len(), 34);
        }
        back(&Done { hash });
        back(&Received { hash });
        back(&Have { parts: vec![Part { entry: 3, bytes: 300, hash }] });
        back(&Sums { hashes: vec![hash; BATCH] });
        is(&Stop { reason: Reason::Protocol }, "914e");
        let full = encode(&Chunk { data: vec![0; CHUNK_BYTES].into() }).unwrap();
        assert_eq!(full.len(), CHUNK_BYTES + Chunk::HEADER);
        assert_eq!(full.len(), PACKET_WHOLE_MAX);
        for len in [1, 15, 16, 300, CHUNK_BYTES] {
            let data = Bytes::from(vec![7; len]);
            assert_eq!([Chunk::header(len), data.clone()].concat(), encode(&Chunk { data }).unwrap());
        }
        assert_eq!(Chunk::data_in(&full), Ok(&[0; CHUNK_BYTES][..]));
    }

    /// As `decode` does it, but for the copy.
    #[test]
    fn the_bytes_of_a_chunk_are_read_where_they_lie() {
        let chunk = Chunk { data: Bytes::from_static(b"abc") };
        let bytes = encode(&chunk).unwrap();
        assert_eq!(Chunk::data_in(&bytes), Ok(&b"abc"[..]));
        for bad in [&bytes[..0], &bytes[..4], &[&bytes[..], b"x"].concat(), &encode(&Ready).unwrap()] {
            assert!(Chunk::data_in(bad).is_err() && decode::<Chunk>(bad).is_err(), "{bad:02x?}");
        }
    }

    /// The first version offered one file, and its program must still understand that this is not for it.
    #[test]
    fn the_first_version_reads_the_version() {
        #[derive(Debug, Packet)]
        #[packet(id = 32)]
        struct First {
            version: u32,
            name: String,
            size: u64,
        }
        let offer = Offer { version: VERSION, name: "x".into(), size: 300, entries: 1, is_text: true };
        let First { version, name, size } = decode(&encode(&offer).unwrap()).unwrap();
        assert_eq!((version, name.as_str(), size), (VERSION, "x", 300));
        let first = encode(&First { version: 1, name, size }).unwrap();
        assert_eq!(decode::<Offer>(&first).unwrap().version, 1);
    }

    fn back<P: Packet + PartialEq + std::fmt::Debug>(packet: &P) {
        assert_eq!(decode::<P>(&encode(packet).unwrap()).as_ref(), Ok(packet));
    }

    #[track_caller]
    fn is<P: Packet + PartialEq + std::fmt::Debug>(packet: &P, bytes: &str) {
        assert_eq!(encode(packet).unwrap()[..], hex(bytes)[..], "{:02x?}", &encode(packet).unwrap()[..]);
        back(packet);
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }
}
