//! The forms of values that hold other values.
//!
//! A count from outside is a claim. Memory is reserved for as much as the rest of the stream could hold, and a list
//! never has more items than the stream has bits, so that neither memory nor time is spent on a claim alone.
//!
//! What is not limited here is how large an item is in memory: a list of an enum of 800 bytes, with a variant that takes
//! five bits, may grow to 1280 times the size of its packet. Large variants are better boxed.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{BitReader, BitWriter, Bits, ReadError, WriteError};

impl Bits for String {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_str(self);
        Ok(())
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_str().map(ToOwned::to_owned)
    }
}

impl Bits for Box<str> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_str(self);
        Ok(())
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_str().map(Self::from)
    }
}

impl Bits for Bytes {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_bytes(self);
        Ok(())
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_bytes().map(Self::copy_from_slice)
    }
}

impl<T: Bits> Bits for Vec<T> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        write_list(self, out)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        let count = read_count(input)?;
        input.nested(|input| T::read_items(count, input))
    }
}

impl<T: Bits> Bits for Box<[T]> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        write_list(self, out)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Vec::read(input).map(Vec::into_boxed_slice)
    }
}

impl<T: Bits + Ord> Bits for BTreeSet<T> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.nested(|out| {
            write_counted(self.len(), out, |out| self.iter().try_for_each(|item| item.write(out)))
        })
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        let count = read_count(input)?;
        input.nested(|input| {
            let mut set = Self::new();
            for _ in 0..count {
                let item = T::read(input)?;
                if set.last().is_some_and(|last| *last >= item) {
                    return Err(ReadError::KeyOrder);
                }
                set.insert(item);
            }
            Ok(set)
        })
    }
}

impl<K: Bits + Ord, V: Bits> Bits for BTreeMap<K, V> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.nested(|out| {
            write_counted(self.len(), out, |out| {
                self.iter().try_for_each(|(key, value)| {
                    key.write(out)?;
                    value.write(out)
                })
            })
        })
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        let count = read_count(input)?;
        input.nested(|input| {
            let mut map = Self::new();
            for _ in 0..count {
                let key = K::read(input)?;
                if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                    return Err(ReadError::KeyOrder);
                }
                map.insert(key, V::read(input)?);
            }
            Ok(map)
        })
    }
}

impl<T: Bits, const N: usize> Bits for [T; N] {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        T::write_items(self, out)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        // As many items come back as were asked for.
        T::read_items(N, input)?.try_into().map_err(|_| ReadError::End)
    }
}

impl<T: Bits> Bits for Option<T> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_bool(self.is_some());
        self.as_ref().map_or(Ok(()), |value| value.write(out))
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_bool()?.then(|| T::read(input)).transpose()
    }
}

impl<T: Bits> Bits for Box<T> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.nested(|out| T::write(self, out))
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.nested(T::read).map(Self::new)
    }
}

impl Bits for () {
    fn write(&self, _: &mut BitWriter) -> Result<(), WriteError> {
        Ok(())
    }

    fn read(_: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Ok(())
    }
}

macro_rules! tuple {
    ($($item:ident)*) => {
        impl<$($item: Bits),*> Bits for ($($item,)*) {
            fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
                #[allow(non_snake_case, reason = "each item is named after its type")]
                let ($($item,)*) = self;
                $($item.write(out)?;)*
                Ok(())
            }

            fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
                Ok(($($item::read(input)?,)*))
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);

/// How many items to reserve memory for: no more bytes than are left of the stream.
pub(super) fn reserve_max<T>(count: usize, input: &BitReader<'_>) -> usize {
    let left_bytes = (input.remaining_bits() / 8) as usize;
    count.min(left_bytes / size_of::<T>().max(1))
}

fn write_list<T: Bits>(items: &[T], out: &mut BitWriter) -> Result<(), WriteError> {
    out.nested(|out| write_counted(items.len(), out, |out| T::write_items(items, out)))
}

/// Writes the count, then the items; refuses items that take no bits, as their count could not be believed.
fn write_counted(
    count: usize,
    out: &mut BitWriter,
    items: impl FnOnce(&mut BitWriter) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    out.write_varint(count as u64);
    let start = out.bit_len();
    items(out)?;
    if out.bit_len() - start < count as u64 {
        return Err(WriteError::EmptyItems);
    }
    Ok(())
}

fn read_count(input: &mut BitReader<'_>) -> Result<usize, ReadError> {
    let count = input.read_varint()?;
    if count > input.remaining_bits() {
        return Err(ReadError::End);
    }
    usize::try_from(count).map_err(|_| ReadError::End)
}
