//! How a value is made of fields: the trait, and the values of one field.

use alloc::vec::Vec;

use super::{BitReader, BitWriter, ReadError, WriteError, collections};

/// A value that has a form in a bit stream.
///
/// `#[derive(Bits)]` writes the fields of a struct in order, and an enum as the tag of its variant and then the fields
/// of that. By hand, the two methods must mirror each other: what `write` writes, `read` reads, bit for bit.
///
/// A form is fixed for ever, because whatever follows it is found only by reading it. A type that is to gain fields
/// later goes into a frame: `#[packet(extensible)]`, or by hand [`BitWriter::write_frame`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no form in a bit stream",
    note = "derive it with `#[derive(phantom_core::bits::Bits)]`, or implement the trait by hand"
)]
pub trait Bits: Sized {
    /// Writes the value.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the value has no form; what was written before is then of no use.
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError>;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the stream does not hold one here.
    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError>;

    /// Writes items whose number the reader knows. A `u8` is copied, all others are written one by one.
    #[doc(hidden)]
    fn write_items(items: &[Self], out: &mut BitWriter) -> Result<(), WriteError> {
        items.iter().try_for_each(|item| item.write(out))
    }

    /// Reads so many items.
    #[doc(hidden)]
    fn read_items(count: usize, input: &mut BitReader<'_>) -> Result<Vec<Self>, ReadError> {
        let mut items = Vec::with_capacity(collections::reserve_max::<Self>(count, input));
        for _ in 0..count {
            items.push(Self::read(input)?);
        }
        Ok(items)
    }
}

/// An integer that may have a fixed width of its own in a stream: `#[packet(bits = 5)]`.
///
/// Unsigned ones keep 0 to 2^width - 1, signed ones -2^(width - 1) to 2^(width - 1) - 1 as two's complement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot have a width in bits",
    note = "`#[packet(bits = …)]` is for integers of up to 64 bits"
)]
pub trait Integer: Copy + Sized {
    /// The largest width, in bits.
    const BITS: u32;

    /// Writes the integer as `width` bits.
    ///
    /// # Errors
    ///
    /// [`WriteError::DoesNotFit`]; [`WriteError::Width`] unless `width` is 1 to [`BITS`](Self::BITS).
    fn write_fixed(self, out: &mut BitWriter, width: u32) -> Result<(), WriteError>;

    /// Reads an integer of `width` bits.
    ///
    /// # Errors
    ///
    /// [`ReadError::End`]; [`ReadError::Width`] unless `width` is 1 to [`BITS`](Self::BITS).
    fn read_fixed(input: &mut BitReader<'_>, width: u32) -> Result<Self, ReadError>;
}

macro_rules! unsigned {
    ($($int:ty),*) => {$(
        impl Integer for $int {
            const BITS: u32 = <$int>::BITS;

            fn write_fixed(self, out: &mut BitWriter, width: u32) -> Result<(), WriteError> {
                if !(1..=Self::BITS).contains(&width) {
                    return Err(WriteError::Width(width));
                }
                out.write_bits(self as u64, width)
            }

            fn read_fixed(input: &mut BitReader<'_>, width: u32) -> Result<Self, ReadError> {
                if !(1..=Self::BITS).contains(&width) {
                    return Err(ReadError::Width(width));
                }
                Self::try_from(input.read_bits(width)?).map_err(|_| ReadError::OutOfRange)
            }
        }
    )*};
}

macro_rules! signed {
    ($($int:ty),*) => {$(
        impl Integer for $int {
            const BITS: u32 = <$int>::BITS;

            fn write_fixed(self, out: &mut BitWriter, width: u32) -> Result<(), WriteError> {
                if !(1..=Self::BITS).contains(&width) {
                    return Err(WriteError::Width(width));
                }
                let unused = u64::BITS - width;
                let value = self as i64;
                if (value << unused) >> unused != value {
                    return Err(WriteError::DoesNotFit { width });
                }
                out.write_bits(value.cast_unsigned() << unused >> unused, width)
            }

            fn read_fixed(input: &mut BitReader<'_>, width: u32) -> Result<Self, ReadError> {
                if !(1..=Self::BITS).contains(&width) {
                    return Err(ReadError::Width(width));
                }
                let unused = u64::BITS - width;
                let value = (input.read_bits(width)? << unused).cast_signed() >> unused;
                Self::try_from(value).map_err(|_| ReadError::OutOfRange)
            }
        }
    )*};
}

unsigned!(u8, u16, u32, u64, usize);
signed!(i8, i16, i32, i64, isize);

macro_rules! varint {
    ($($int:ty as $wide:ty: $write:ident, $read:ident;)*) => {$(
        impl Bits for $int {
            fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
                out.$write(*self as $wide);
                Ok(())
            }

            fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
                Self::try_from(input.$read()?).map_err(|_| ReadError::OutOfRange)
            }
        }
    )*};
}

varint! {
    u16 as u64: write_varint, read_varint;
    u32 as u64: write_varint, read_varint;
    u64 as u64: write_varint, read_varint;
    usize as u64: write_varint, read_varint;
    i16 as i64: write_signed, read_signed;
    i32 as i64: write_signed, read_signed;
    i64 as i64: write_signed, read_signed;
    isize as i64: write_signed, read_signed;
}

impl Bits for u8 {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_bits(u64::from(*self), 8)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Self::read_fixed(input, 8)
    }

    fn write_items(items: &[Self], out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_fixed_bytes(items);
        Ok(())
    }

    fn read_items(count: usize, input: &mut BitReader<'_>) -> Result<Vec<Self>, ReadError> {
        Ok(input.read_fixed_bytes(count)?.to_vec())
    }
}

impl Bits for i8 {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        self.write_fixed(out, 8)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Self::read_fixed(input, 8)
    }
}

impl Bits for u128 {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_bits((*self >> 64) as u64, 64)?;
        out.write_bits(*self as u64, 64)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Ok(u128::from(input.read_bits(64)?) << 64 | u128::from(input.read_bits(64)?))
    }
}

impl Bits for i128 {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        self.cast_unsigned().write(out)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Ok(u128::read(input)?.cast_signed())
    }
}

impl Bits for bool {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_bool(*self);
        Ok(())
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_bool()
    }
}

impl Bits for f32 {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_f32(*self);
        Ok(())
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_f32()
    }
}

impl Bits for f64 {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_f64(*self);
        Ok(())
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_f64()
    }
}

impl Bits for char {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        u32::from(*self).write(out)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Self::from_u32(u32::read(input)?).ok_or(ReadError::InvalidChar)
    }
}
