//! Bit streams: every value has exactly one form, and a reader never makes up what is not there.
//!
//! [`BitWriter`] and [`BitReader`] put single fields into a stream and take them out again; the trait [`Bits`]
//! says how a whole value is made of fields. The forms, which `PROTOCOL.md` states in full:
//!
//! | value | form |
//! | --- | --- |
//! | `bool` | one bit |
//! | `u8`, `i8` | eight bits |
//! | `u16`, `u32`, `u64`, `usize` | a varint |
//! | `i16`, `i32`, `i64`, `isize` | a varint of the zigzag value (0, -1, 1, -2, … become 0, 1, 2, 3, …) |
//! | `u128`, `i128` | 128 bits |
//! | `f32`, `f64` | 32 or 64 bits as IEEE 754 has them |
//! | `char` | a varint |
//! | `()` | nothing |
//! | `Option<T>` | one bit, and the value if it is one |
//! | `String`, `Bytes`, lists of `u8` | a varint with the length in bytes, zero bits up to the byte boundary, the bytes |
//! | other lists, sets and maps | a varint with the number of items, the items |
//! | `[u8; N]` | zero bits up to the byte boundary, the bytes |
//! | other arrays, tuples | the items |
//! | `Box<T>` | as `T` |
//!
//! The most significant bit comes first, in each byte and in each field, and the last byte is filled with zero bits.
//! A varint is a row of groups of five bits: one bit that says whether another group follows, then four bits of the
//! value, the most significant group first. The first group of several is not zero, so that there is one form per
//! value.
//!
//! ```
//! use phantom_core::bits::{BitReader, BitWriter, ReadError};
//!
//! let mut out = BitWriter::new();
//! out.write_bool(true);
//! out.write_varint(300);
//! out.write_str("Приветик!!!");
//! let bytes = out.into_bytes();
//!
//! let mut input = BitReader::new(&bytes);
//! assert!(input.read_bool()?);
//! assert_eq!(input.read_varint()?, 300);
//! assert_eq!(input.read_str()?, "Приветик!!!");
//! assert_eq!(input.read_bool(), Err(ReadError::End));
//! # Ok::<(), ReadError>(())
//! ```

mod collections;
mod error;
mod reader;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use error::{ReadError, WriteError};
/// Derives [`trait@Bits`] for a struct or an enum; see [the attributes](crate::packet#deriving).
#[cfg(feature = "derive")]
pub use phantom_derive::Bits;
pub use reader::BitReader;
pub use value::{Bits, Integer};
pub use writer::BitWriter;

/// How many lists, boxes and frames may lie inside each other.
///
/// The reader needs this limit, because a few kilobytes from outside could otherwise exhaust the stack; the writer
/// keeps to it as well, so that what was written can be read.
pub const NESTING_MAX: u32 = 64;
