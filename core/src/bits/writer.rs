//! Putting fields into a stream, most significant bit first.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{NESTING_MAX, WriteError};

/// A growing stream of bits.
///
/// Fields follow each other without gaps. Only byte strings begin at a byte boundary, so that they are copied and not
/// shifted. The stream ends at a byte boundary too: the rest of the last byte is zero.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    /// All bits so far; those not yet used in the last byte are zero.
    bytes: Vec<u8>,
    /// How many bits of the last byte are not yet used: 0 to 7.
    free: u32,
    depth: u32,
}

impl BitWriter {
    /// An empty stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty stream with room for so many bytes.
    #[must_use]
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity_bytes), ..Self::default() }
    }

    /// Writes one bit.
    pub fn write_bool(&mut self, value: bool) {
        self.push(u64::from(value), 1);
    }

    /// Writes an unsigned integer as exactly `width` bits.
    ///
    /// # Errors
    ///
    /// [`WriteError::DoesNotFit`] if the value needs more bits, [`WriteError::Width`] if `width` is above 64; nothing
    /// is written then.
    pub fn write_bits(&mut self, value: u64, width: u32) -> Result<(), WriteError> {
        match width {
            0..=63 if value >> width != 0 => Err(WriteError::DoesNotFit { width }),
            0..=64 => {
                self.push(value, width);
                Ok(())
            }
            _ => Err(WriteError::Width(width)),
        }
    }

    /// Writes an unsigned integer of the size it needs: five bits for each four significant ones.
    pub fn write_varint(&mut self, value: u64) {
        let significant = u64::BITS - value.leading_zeros();
        let mut below = significant.max(1).div_ceil(4) - 1;
        while below > 0 {
            self.push(0x10 | (value >> (4 * below)) & 0xf, 5);
            below -= 1;
        }
        self.push(value & 0xf, 5);
    }

    /// Writes a signed integer of the size it needs: the nearer to zero, the shorter.
    pub fn write_signed(&mut self, value: i64) {
        self.write_varint(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// Writes the 32 bits of a float. Every bit pattern is kept, that of a NaN too.
    pub fn write_f32(&mut self, value: f32) {
        self.push(u64::from(value.to_bits()), 32);
    }

    /// Writes the 64 bits of a float. Every bit pattern is kept, that of a NaN too.
    pub fn write_f64(&mut self, value: f64) {
        self.push(value.to_bits(), 64);
    }

    /// Writes a byte string: its length as a varint, then the bytes from the next byte boundary on.
    pub fn write_bytes(&mut self, value: &[u8]) {
        self.write_varint(value.len() as u64);
        self.write_fixed_bytes(value);
    }

    /// Writes a string: its length in bytes as a varint, then its UTF-8 from the next byte boundary on.
    pub fn write_str(&mut self, value: &str) {
        self.write_bytes(value.as_bytes());
    }

    /// Writes bytes from the next byte boundary on, without their length, which the reader must know.
    pub fn write_fixed_bytes(&mut self, value: &[u8]) {
        self.align();
        self.bytes.extend_from_slice(value);
    }

    /// Writes UTF-8 from the next byte boundary on, without its length in bytes, which the reader must know.
    pub fn write_fixed_str(&mut self, value: &str) {
        self.write_fixed_bytes(value.as_bytes());
    }

    /// Fills up with zero bits to the next byte boundary.
    pub fn align(&mut self) {
        self.free = 0;
    }

    /// Writes the mark before a field that was added to the end of a packet or frame in a later version.
    ///
    /// Its counterpart is [`BitReader::read_more`](super::BitReader::read_more).
    pub fn write_more(&mut self) {
        self.write_bool(true);
    }

    /// Writes a frame: a byte string that holds a stream of its own, written by `body`.
    ///
    /// A value in a frame may gain fields at its end, as a packet may, even if other values follow it.
    ///
    /// # Errors
    ///
    /// What `body` reports; [`WriteError::TooDeep`] if too many frames, lists and boxes lie inside each other. Nothing
    /// is written then.
    pub fn write_frame(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let mut inner = Self { depth: self.depth, ..Self::default() };
        inner.nested(body)?;
        self.write_bytes(&inner.bytes);
        Ok(())
    }

    /// Writes something that may contain its own kind, one level deeper.
    ///
    /// # Errors
    ///
    /// What `body` reports; [`WriteError::TooDeep`] beyond [`NESTING_MAX`] levels.
    pub fn nested(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        if self.depth == NESTING_MAX {
            return Err(WriteError::TooDeep);
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    /// How many bits have been written, without the filling of the last byte.
    #[must_use]
    pub fn bit_len(&self) -> u64 {
        self.bytes.len() as u64 * 8 - u64::from(self.free)
    }

    /// The whole stream, its last byte filled with zero bits.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }

    /// Appends the lowest `width` bits of a value that has no others.
    fn push(&mut self, value: u64, mut width: u32) {
        while width > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = width.min(self.free);
            width -= taken;
            self.free -= taken;
            let chunk = (value >> width) & (0xff >> (8 - taken));
            if let Some(last) = self.bytes.last_mut() {
                *last |= (chunk as u8) << self.free;
            }
        }
    }
}
