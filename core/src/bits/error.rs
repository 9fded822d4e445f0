//! What can be wrong with a stream that is read, and with a value that is to be written.

use core::fmt;

/// Why a value could not be read. The bytes come from outside, so this is never the reader's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The stream ends before the value does.
    End,
    /// A varint has leading zero groups: its value has a shorter form.
    NotMinimal,
    /// A number is too large for its type.
    OutOfRange,
    /// A string is not UTF-8.
    InvalidUtf8,
    /// A number is no Unicode scalar value.
    InvalidChar,
    /// A bit is set where only filling may be.
    Padding,
    /// Data follows the end of a packet or frame and is not marked as an extension.
    Trailing,
    /// An enum has no variant with this tag; a newer version of it may have.
    UnknownTag(u32),
    /// The keys of a map or set do not rise strictly.
    KeyOrder,
    /// Values lie deeper inside each other than [`NESTING_MAX`](super::NESTING_MAX).
    TooDeep,
    /// The calling code asked for an integer of a width that does not exist.
    Width(u32),
    /// The fields can be read, but the type refuses their values, for the reason given.
    Invalid(&'static str),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the data ends before the value does"),
            Self::NotMinimal => f.write_str("a number is written longer than it needs to be"),
            Self::OutOfRange => f.write_str("a number is too large for its type"),
            Self::InvalidUtf8 => f.write_str("a string is not valid UTF-8"),
            Self::InvalidChar => f.write_str("a number is not a Unicode character"),
            Self::Padding => f.write_str("a filling bit is not zero"),
            Self::Trailing => f.write_str("unmarked data follows the end of the value"),
            Self::UnknownTag(tag) => {
                write!(f, "no variant has the tag {tag}; the sender may use a newer version of the type")
            }
            Self::KeyOrder => f.write_str("the keys of a map or set are not in strictly rising order"),
            Self::TooDeep => write!(f, "values are nested deeper than {} levels", super::NESTING_MAX),
            Self::Width(width) => write!(f, "an integer cannot be {width} bits wide here"),
            Self::Invalid(reason) => write!(f, "the value is refused: {reason}"),
        }
    }
}

impl core::error::Error for ReadError {}

/// Why a value could not be written. Nothing is shortened or rounded to make it fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// An integer does not fit the fixed width chosen for it.
    DoesNotFit {
        /// The width of the field in bits.
        width: u32,
    },
    /// The calling code asked for an integer of a width that does not exist.
    Width(u32),
    /// A list has more items than bits. A reader refuses such a list, as its count would cost the sender nothing.
    EmptyItems,
    /// Values lie deeper inside each other than [`NESTING_MAX`](super::NESTING_MAX).
    TooDeep,
    /// The packet's ID is zero; IDs are positive.
    ZeroId,
    /// The value has no form in the stream, for the reason given.
    Invalid(&'static str),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotFit { width } => write!(f, "a number does not fit a field of {width} bits"),
            Self::Width(width) => write!(f, "an integer cannot be {width} bits wide here"),
            Self::EmptyItems => f.write_str("the items of a list must take at least one bit each"),
            Self::TooDeep => write!(f, "values are nested deeper than {} levels", super::NESTING_MAX),
            Self::ZeroId => f.write_str("the packet ID is zero; choose a positive one"),
            Self::Invalid(reason) => write!(f, "the value cannot be written: {reason}"),
        }
    }
}

impl core::error::Error for WriteError {}
