//! Packets: what the application sends is an ID, a body of bits, and nothing that its reader has to guess.
//!
//! An encoded packet is its ID as a varint, then its fields in order, in the forms of [`bits`](crate::bits); the last
//! byte is filled with zero bits. The relay knows nothing of this.
//!
//! # Deriving
//!
//! ```
//! # #[cfg(feature = "derive")] {
//! use phantom_core::bits::Bits;
//! use phantom_core::packet::{self, Packet};
//!
//! #[derive(Debug, PartialEq, Packet)]
//! #[packet(id = 7)]
//! struct Shot {
//!     by: String,
//!     #[packet(bits = 5)]
//!     strength: u8,
//!     hit: Option<Hit>,
//!     #[packet(default = 1)] // since the second version
//!     lives: u32,
//! }
//!
//! #[derive(Debug, PartialEq, Bits)]
//! enum Hit {
//!     Wall,
//!     Player { name: String },
//! }
//!
//! let shot = Shot { by: "Ann".into(), strength: 31, hit: Some(Hit::Wall), lives: 3 };
//! let bytes = packet::encode(&shot)?;
//! assert_eq!(packet::decode::<Shot>(&bytes)?, shot);
//!
//! let too_strong = Shot { strength: 32, ..shot };
//! assert!(packet::encode(&too_strong).is_err());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `#[derive(Packet)]` is for what is sent, `#[derive(Bits)]` for what only lies inside other values. Both take structs
//! and enums, with type and const parameters, and these attributes:
//!
//! | attribute | on | meaning |
//! | --- | --- | --- |
//! | `#[packet(id = 7)]` | a packet | its ID, 1 to 4294967295 |
//! | `#[packet(extensible)]` | a type that derives `Bits` | it lies in a frame, so that it may have defaulted fields |
//! | `#[packet(tag = 3)]` | a variant | its tag, 0 to 4294967295; by default its place, counted from zero |
//! | `#[packet(bits = 5)]` | a field | an [`Integer`](crate::bits::Integer) of this many bits; a value that does not fit is an error |
//! | `#[packet(default)]`, `#[packet(default = 1)]` | the last fields | what the field is when an older version wrote the value |
//!
//! # Versions
//!
//! A later version of a packet may add fields at the end, each with a default, and nothing else. Each stands behind a
//! one bit. A reader that knows more fields than were written finds a zero bit or the end in its place and takes the
//! default; one that knows fewer sees the one bit and skips the rest. An enum may gain variants: an older reader
//! reports [`ReadError::UnknownTag`] for them.
//!
//! A packet that is a field of another value is a frame there, without its ID, so that it may still grow. Other nested
//! types are fixed, unless they are `extensible`.

use core::fmt;

use bytes::Bytes;

use crate::bits::{BitReader, BitWriter, ReadError, WriteError};

mod registry;
#[cfg(feature = "serde")]
mod serde;
#[cfg(test)]
mod tests;

#[cfg(feature = "serde")]
pub use self::serde::Serde;
/// Derives [`trait@Packet`] and [`Bits`](trait@crate::bits::Bits) for a struct or an enum; see [the
/// attributes](self#deriving).
#[cfg(feature = "derive")]
pub use phantom_derive::Packet;
pub use registry::{DispatchError, Outcome, RegisterError, Registry};

/// A type of packet: its ID, and the form of its body.
///
/// By hand, the two methods must mirror each other. Fields added in a later version are written after
/// [`BitWriter::write_more`] and read if [`BitReader::read_more`] says so.
///
/// ```
/// use phantom_core::bits::{BitReader, BitWriter, ReadError, WriteError};
/// use phantom_core::packet::Packet;
///
/// struct Message {
///     text: String,
///     urgent: bool, // since the second version
/// }
///
/// impl Packet for Message {
///     const ID: u32 = 1;
///
///     fn write_body(&self, out: &mut BitWriter) -> Result<(), WriteError> {
///         out.write_str(&self.text);
///         out.write_more();
///         out.write_bool(self.urgent);
///         Ok(())
///     }
///
///     fn read_body(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
///         let text = input.read_str()?.to_owned();
///         let urgent = if input.read_more() { input.read_bool()? } else { false };
///         Ok(Self { text, urgent })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a packet",
    note = "derive it with `#[derive(phantom_core::packet::Packet)]` and `#[packet(id = …)]`"
)]
pub trait Packet: Sized {
    /// The number by which both sides know the type; positive.
    const ID: u32;

    /// Writes the fields, without the ID.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if a field has a value without a form.
    fn write_body(&self, out: &mut BitWriter) -> Result<(), WriteError>;

    /// Reads the fields. What follows them is the caller's to check.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the stream does not hold them.
    fn read_body(input: &mut BitReader<'_>) -> Result<Self, ReadError>;
}

/// Encodes a packet with its ID.
///
/// # Errors
///
/// [`WriteError`] if a field has a value without a form, or the ID is zero.
pub fn encode<P: Packet>(packet: &P) -> Result<Bytes, WriteError> {
    if P::ID == 0 {
        return Err(WriteError::ZeroId);
    }
    let mut out = BitWriter::new();
    out.write_varint(u64::from(P::ID));
    packet.write_body(&mut out)?;
    Ok(out.into_bytes())
}

/// Decodes a packet whose type is known beforehand. A [`Registry`] finds the type by the ID.
///
/// # Errors
///
/// [`DecodeError`] if the data holds no packet, another packet, or this one wrongly.
pub fn decode<P: Packet>(data: &[u8]) -> Result<P, DecodeError> {
    let mut input = BitReader::new(data);
    let id = read_id(&mut input).map_err(DecodeError::NoId)?;
    if id != P::ID {
        return Err(DecodeError::OtherId { expected: P::ID, found: id });
    }
    read_whole(input).map_err(|error| DecodeError::Malformed { id, error })
}

/// The ID of an encoded packet, whether its type is known or not.
///
/// # Errors
///
/// [`ReadError`] if the data does not begin with a positive ID.
pub fn id(data: &[u8]) -> Result<u32, ReadError> {
    read_id(&mut BitReader::new(data))
}

fn read_id(input: &mut BitReader<'_>) -> Result<u32, ReadError> {
    match u32::try_from(input.read_varint()?) {
        Ok(0) => Err(ReadError::Invalid("a packet ID is positive")),
        Ok(id) => Ok(id),
        Err(_) => Err(ReadError::OutOfRange),
    }
}

/// Reads a body up to the end of the packet.
fn read_whole<P: Packet>(mut input: BitReader<'_>) -> Result<P, ReadError> {
    let packet = P::read_body(&mut input)?;
    input.finish()?;
    Ok(packet)
}

/// Why data is not the packet that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The data does not begin with an ID; empty data does not either.
    NoId(ReadError),
    /// It is a packet of another type.
    OtherId {
        /// The ID of the type to be decoded.
        expected: u32,
        /// The ID in the data.
        found: u32,
    },
    /// The ID is right, the body is not.
    Malformed {
        /// The ID in the data.
        id: u32,
        /// What is wrong with the body.
        error: ReadError,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoId(error) => write!(f, "the packet has no readable ID: {error}"),
            Self::OtherId { expected, found } => {
                write!(f, "this is a packet with the ID {found}, not one with the ID {expected}")
            }
            Self::Malformed { id, error } => {
                write!(
                    f,
                    "the packet with the ID {id} is malformed (do both sides use the same type?): {error}"
                )
            }
        }
    }
}

impl core::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NoId(error) | Self::Malformed { error, .. } => Some(error),
            Self::OtherId { .. } => None,
        }
    }
}
