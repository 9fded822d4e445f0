//! Bit streams: every value has one form. Whatever is read writes the same bits again, no field is made up, and no claim about a
//! length costs memory.

use std::collections::{BTreeMap, BTreeSet};

use phantom_core::bits::{BitReader, BitWriter, Bits, Integer, ReadError};

use crate::feed::Feed;

/// Reads fields from the second part of `data`, as the first part says.
pub fn bits(data: &[u8]) {
    let mut feed = Feed::new(data);
    let fields = feed.bytes();
    let stream = feed.rest();
    let mut reader = BitReader::new(stream);
    let mut writer = BitWriter::new();
    let mut fields = Feed::new(fields);
    let mut whole = true;
    while whole && !fields.is_empty() {
        match field(&mut fields, &mut reader, &mut writer) {
            Ok(Form::Same) => assert_eq!(writer.bit_len(), reader.position(), "one value, one form"),
            Ok(Form::Shorter) => return,
            Err(_) => whole = false,
        }
        assert_eq!(reader.position() + reader.remaining_bits(), stream.len() as u64 * 8);
    }
    if whole {
        same_bits(stream, &writer.into_bytes(), reader.position());
    }
    // After an error the place means nothing, but it can still be read from.
    let mut scrap = BitWriter::new();
    while !fields.is_empty() {
        let _ = field(&mut fields, &mut reader, &mut scrap);
    }
    let _ = reader.finish();
}

enum Form {
    Same,
    /// A frame held fields of a later version, which were skipped.
    Shorter,
}

fn field(
    fields: &mut Feed<'_>,
    reader: &mut BitReader<'_>,
    writer: &mut BitWriter,
) -> Result<Form, ReadError> {
    match fields.byte() % 24 {
        0 => writer.write_bool(reader.read_bool()?),
        1 => {
            let width = u32::from(fields.byte() % 66);
            let value = reader.read_bits(width)?;
            writer.write_bits(value, width).expect("a value of this width was read");
        }
        2 => writer.write_varint(reader.read_varint()?),
        3 => writer.write_signed(reader.read_signed()?),
        4 => writer.write_f32(reader.read_f32()?),
        5 => writer.write_f64(reader.read_f64()?),
        6 => writer.write_bytes(reader.read_bytes()?),
        7 => writer.write_str(reader.read_str()?),
        8 => writer.write_fixed_bytes(reader.read_fixed_bytes(usize::from(fields.byte()))?),
        9 => writer.write_fixed_str(reader.read_fixed_str(usize::from(fields.byte()))?),
        10 => {
            reader.align()?;
            writer.align();
        }
        11 => {
            if reader.read_more() {
                writer.write_more();
            }
        }
        12 => {
            let value = reader.read_frame(|inner| Ok((inner.read_varint()?, inner.read_more())))?;
            writer
                .write_frame(|inner| {
                    inner.write_varint(value.0);
                    Ok(())
                })
                .expect("a varint can be written");
            if value.1 {
                assert!(writer.bit_len() <= reader.position());
                return Ok(Form::Shorter);
            }
        }
        13 => {
            let width = u32::from(fields.byte() % 18);
            let value = i16::read_fixed(reader, width)?;
            value.write_fixed(writer, width).expect("a value of this width was read");
        }
        14 => value::<Vec<u64>>(reader, writer)?,
        15 => value::<Vec<Vec<bool>>>(reader, writer)?,
        16 => value::<BTreeMap<u32, String>>(reader, writer)?,
        17 => value::<BTreeSet<i8>>(reader, writer)?,
        18 => value::<Option<Box<(char, i64, u16)>>>(reader, writer)?,
        19 => value::<[Option<u8>; 9]>(reader, writer)?,
        20 => value::<Vec<(u128, [u8; 3], Box<str>)>>(reader, writer)?,
        21 => value::<Vec<u8>>(reader, writer)?,
        22 => {
            // A writer refuses items without content; a reader believes their count no further than the stream is long.
            let items = Vec::<()>::read(reader)?;
            assert!(items.len() as u64 <= reader.position() + reader.remaining_bits());
            writer.write_varint(items.len() as u64);
        }
        _ => value::<bytes::Bytes>(reader, writer)?,
    }
    Ok(Form::Same)
}

fn value<T: Bits>(reader: &mut BitReader<'_>, writer: &mut BitWriter) -> Result<(), ReadError> {
    T::read(reader)?.write(writer).expect("what was read can be written");
    Ok(())
}

fn same_bits(stream: &[u8], written: &[u8], bits: u64) {
    let whole = (bits / 8) as usize;
    assert_eq!(stream[..whole], written[..whole]);
    if !bits.is_multiple_of(8) {
        let mask = 0xff_u8 << (8 - bits % 8);
        assert_eq!(stream[whole] & mask, written[whole]);
    }
}
