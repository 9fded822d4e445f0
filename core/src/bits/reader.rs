//! Taking fields out of a stream that nobody has checked yet.

use core::str;

use super::{NESTING_MAX, ReadError};

/// A place in a stream of bits.
///
/// Every `read_` method takes one field and moves on, or reports what is wrong. After an error the place is
/// somewhere inside the field that failed, and what is read from there means nothing.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    data: &'a [u8],
    /// In bits, from the start.
    position: u64,
    depth: u32,
}

impl<'a> BitReader<'a> {
    /// The start of a stream.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0, depth: 0 }
    }

    /// Reads one bit.
    ///
    /// # Errors
    ///
    /// [`ReadError::End`] if none is left.
    pub fn read_bool(&mut self) -> Result<bool, ReadError> {
        Ok(self.take(1)? != 0)
    }

    /// Reads an unsigned integer of exactly `width` bits.
    ///
    /// # Errors
    ///
    /// [`ReadError::End`] if fewer are left, [`ReadError::Width`] if `width` is above 64.
    pub fn read_bits(&mut self, width: u32) -> Result<u64, ReadError> {
        if width > u64::BITS {
            return Err(ReadError::Width(width));
        }
        self.take(width)
    }

    /// Reads an unsigned integer of the size it needs.
    ///
    /// # Errors
    ///
    /// [`ReadError::End`]; [`ReadError::NotMinimal`] if there is a shorter form; [`ReadError::OutOfRange`] above 64 bits.
    pub fn read_varint(&mut self) -> Result<u64, ReadError> {
        let mut value = 0;
        loop {
            let group = self.take(5)?;
            let more = group & 0x10 != 0;
            value |= group & 0xf;
            if !more {
                return Ok(value);
            }
            if value == 0 {
                return Err(ReadError::NotMinimal);
            }
            if value >> 60 != 0 {
                return Err(ReadError::OutOfRange);
            }
            value <<= 4;
        }
    }

    /// Reads a signed integer of the size it needs.
    ///
    /// # Errors
    ///
    /// As [`read_varint`](Self::read_varint).
    pub fn read_signed(&mut self) -> Result<i64, ReadError> {
        let zigzag = self.read_varint()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// Reads a float of 32 bits.
    ///
    /// # Errors
    ///
    /// [`ReadError::End`].
    pub fn read_f32(&mut self) -> Result<f32, ReadError> {
        Ok(f32::from_bits(self.take(32)? as u32))
    }

    /// Reads a float of 64 bits.
    ///
    /// # Errors
    ///
    /// [`ReadError::End`].
    pub fn read_f64(&mut self) -> Result<f64, ReadError> {
        Ok(f64::from_bits(self.take(64)?))
    }

    /// Reads a byte string with its length. Nothing is copied.
    ///
    /// # Errors
    ///
    /// As [`read_varint`](Self::read_varint) and [`read_fixed_bytes`](Self::read_fixed_bytes).
    pub fn read_bytes(&mut self) -> Result<&'a [u8], ReadError> {
        let len = self.read_varint()?;
        self.read_fixed_bytes(usize::try_from(len).map_err(|_| ReadError::End)?)
    }

    /// Reads a string with its length. Nothing is copied.
    ///
    /// # Errors
    ///
    /// As [`read_bytes`](Self::read_bytes), and [`ReadError::InvalidUtf8`].
    pub fn read_str(&mut self) -> Result<&'a str, ReadError> {
        str::from_utf8(self.read_bytes()?).map_err(|_| ReadError::InvalidUtf8)
    }

    /// Reads so many bytes from the next byte boundary on. Nothing is copied.
    ///
    /// # Errors
    ///
    /// [`ReadError::End`]; [`ReadError::Padding`] if a bit before the byte boundary is set.
    pub fn read_fixed_bytes(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        self.align()?;
        let start = (self.position / 8) as usize;
        let end = start.checked_add(len).ok_or(ReadError::End)?;
        let bytes = self.data.get(start..end).ok_or(ReadError::End)?;
        self.position = end as u64 * 8;
        Ok(bytes)
    }

    /// Reads UTF-8 of so many bytes from the next byte boundary on. Nothing is copied.
    ///
    /// # Errors
    ///
    /// As [`read_fixed_bytes`](Self::read_fixed_bytes), and [`ReadError::InvalidUtf8`].
    pub fn read_fixed_str(&mut self, len_bytes: usize) -> Result<&'a str, ReadError> {
        str::from_utf8(self.read_fixed_bytes(len_bytes)?).map_err(|_| ReadError::InvalidUtf8)
    }

    /// Moves on to the next byte boundary.
    ///
    /// # Errors
    ///
    /// [`ReadError::Padding`] if a bit before it is set.
    pub fn align(&mut self) -> Result<(), ReadError> {
        let filling = (8 - self.position % 8) % 8;
        if self.take(filling as u32)? != 0 {
            return Err(ReadError::Padding);
        }
        Ok(())
    }

    /// Whether a field follows that was added to the end of a packet or frame in a later version.
    ///
    /// If it says yes, read that field next; if no, the field has its default value, and so have all after it. The
    /// filling of the last byte never counts as a field, because it is zero and a field is preceded by a one.
    #[must_use]
    pub fn read_more(&mut self) -> bool {
        // A zero is left in place: it is part of the filling, which `finish` checks.
        let more = self.clone().take(1) == Ok(1);
        self.position += u64::from(more);
        more
    }

    /// Checks that the packet or frame ends here, after all fields known to the reader.
    ///
    /// Fields of a later version, which are marked as such, may follow and are skipped.
    ///
    /// # Errors
    ///
    /// [`ReadError::Padding`] if the filling of the last byte is not zero; [`ReadError::Trailing`] if a whole byte or more
    /// is left and no mark precedes it.
    pub fn finish(mut self) -> Result<(), ReadError> {
        if self.read_more() {
            return Ok(());
        }
        if self.remaining_bits() >= 8 {
            return Err(ReadError::Trailing);
        }
        self.align()
    }

    /// Reads a frame: a byte string that holds a stream of its own, read by `body` up to its end.
    ///
    /// # Errors
    ///
    /// As [`read_bytes`](Self::read_bytes) and [`finish`](Self::finish); what `body` reports; [`ReadError::TooDeep`].
    pub fn read_frame<T>(
        &mut self,
        body: impl FnOnce(&mut BitReader<'a>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut inner = Self { data: self.read_bytes()?, position: 0, depth: self.depth };
        let value = inner.nested(body)?;
        inner.finish()?;
        Ok(value)
    }

    /// Reads something that may contain its own kind, one level deeper.
    ///
    /// # Errors
    ///
    /// What `body` reports; [`ReadError::TooDeep`] beyond [`NESTING_MAX`] levels.
    pub fn nested<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if self.depth == NESTING_MAX {
            return Err(ReadError::TooDeep);
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    /// How many bits have been read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bits are left, the filling of the last byte included.
    #[must_use]
    pub fn remaining_bits(&self) -> u64 {
        self.data.len() as u64 * 8 - self.position
    }

    /// Takes at most 64 bits.
    fn take(&mut self, mut width: u32) -> Result<u64, ReadError> {
        if u64::from(width) > self.remaining_bits() {
            return Err(ReadError::End);
        }
        let mut value = 0;
        while width > 0 {
            let byte = *self.data.get((self.position / 8) as usize).ok_or(ReadError::End)?;
            let unread = 8 - (self.position % 8) as u32;
            let taken = width.min(unread);
            let chunk = (byte >> (unread - taken)) & (0xff >> (8 - taken));
            value = value << taken | u64::from(chunk);
            width -= taken;
            self.position += u64::from(taken);
        }
        Ok(value)
    }
}
