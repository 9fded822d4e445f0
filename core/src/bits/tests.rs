use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;

use super::collections::reserve_max;
use super::*;

fn written<T: Bits>(value: &T) -> Bytes {
    let mut out = BitWriter::new();
    value.write(&mut out).unwrap();
    out.into_bytes()
}

fn read<T: Bits>(data: &[u8]) -> Result<T, ReadError> {
    let mut input = BitReader::new(data);
    let value = T::read(&mut input)?;
    input.finish()?;
    Ok(value)
}

/// The value has this form, comes back from it, and from no part of it.
#[track_caller]
fn form<T: Bits + PartialEq + Debug>(value: &T, expected: &[u8]) {
    assert_eq!(&written(value)[..], expected, "{value:?} is written so");
    assert_eq!(read::<T>(expected).as_ref(), Ok(value), "{value:?} is read so");
    for len in 0..expected.len() {
        assert_eq!(read::<T>(&expected[..len]), Err(ReadError::End), "{value:?} cut to {len}");
    }
}

#[test]
fn forms_of_numbers() {
    form(&true, &[0x80]);
    form(&false, &[0x00]);
    form(&0xa5_u8, &[0xa5]);
    form(&-2_i8, &[0xfe]);
    form(&0_u16, &[0x00]);
    form(&15_u32, &[0b0111_1000]);
    form(&16_u64, &[0b1000_1000, 0b0000_0000]);
    form(&300_usize, &[0b1000_1100, 0b1001_1000]);
    form(&u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef]);
    form(&-1_i16, &[0b0000_1000]);
    form(&1_i32, &[0b0001_0000]);
    form(&-8_i64, &[0b0111_1000]);
    form(&8_isize, &[0b1000_1000, 0b0000_0000]);
    form(&i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef]);
    form(&0x0102_u128, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    form(&-1_i128, &[0xff; 16]);
    form(&1.0_f32, &[0x3f, 0x80, 0, 0]);
    form(&-2.0_f64, &[0xc0, 0, 0, 0, 0, 0, 0, 0]);
    form(&'A', &[0b1010_0000, 0b0100_0000]);
}

#[test]
fn forms_of_strings_and_lists() {
    form(&(), &[]);
    form(&Some(true), &[0b1100_0000]);
    form(&None::<u64>, &[0x00]);
    form(&String::from("né"), &[0b0001_1000, b'n', 0xc3, 0xa9]);
    form(&Box::<str>::from(""), &[0x00]);
    form(&Bytes::from_static(&[1, 2]), &[0b0001_0000, 1, 2]);
    form(&vec![1_u8, 2], &[0b0001_0000, 1, 2]);
    form(&vec![1_u16, 2], &[0b0001_0000, 0b0100_0100]);
    form(&vec![true, false, true].into_boxed_slice(), &[0b0001_1101]);
    form(&[7_u8, 8, 9], &[7, 8, 9]);
    form(&[true; 3], &[0b1110_0000]);
    form(&(true, [7_u8], 1_u8), &[0x80, 7, 1]);
    form(&(true, 0xff_u8), &[0xff, 0x80]);
    form(&Box::new(3_u32), &[0b0001_1000]);
    form(&BTreeSet::from([2_u32, 1]), &[0b0001_0000, 0b0100_0100]);
    form(&BTreeMap::from([(1_u32, true)]), &[0b0000_1000, 0b0110_0000]);
}

#[test]
fn every_tuple_has_its_form() {
    form(&(true, false, true, false, true, false, true, true), &[0b1010_1011]);
}

#[test]
fn fixed_lengths_are_not_written() {
    let mut out = BitWriter::with_capacity(8);
    out.write_bool(true);
    out.write_fixed_str("ab");
    out.write_fixed_bytes(&[]);
    out.write_bits(5, 3).unwrap();
    assert_eq!(out.bit_len(), 27);
    let bytes = out.into_bytes();
    assert_eq!(&bytes[..], [0x80, b'a', b'b', 0b1010_0000]);

    let mut input = BitReader::new(&bytes);
    assert_eq!(input.read_bool(), Ok(true));
    assert_eq!(input.read_fixed_str(2), Ok("ab"));
    assert_eq!(input.read_fixed_bytes(0), Ok(&[][..]));
    assert_eq!(input.read_bits(3), Ok(5));
    assert_eq!((input.position(), input.remaining_bits()), (27, 5));
    assert_eq!(input.finish(), Ok(()));
}

#[test]
fn a_nan_keeps_its_bits() {
    let nan = f32::from_bits(0x7fc0_1234);
    assert_eq!(read::<f32>(&written(&nan)).unwrap().to_bits(), 0x7fc0_1234);
    let nan = f64::from_bits(0xfff0_0000_0000_0001);
    assert_eq!(read::<f64>(&written(&nan)).unwrap().to_bits(), 0xfff0_0000_0000_0001);
}

#[test]
fn a_number_that_does_not_fit_is_refused_and_nothing_written() {
    let mut out = BitWriter::new();
    assert_eq!(out.write_bits(32, 5), Err(WriteError::DoesNotFit { width: 5 }));
    assert_eq!(out.write_bits(1, 0), Err(WriteError::DoesNotFit { width: 0 }));
    assert_eq!(out.write_bits(0, 65), Err(WriteError::Width(65)));
    assert_eq!(4_i8.write_fixed(&mut out, 3), Err(WriteError::DoesNotFit { width: 3 }));
    assert_eq!((-5_i8).write_fixed(&mut out, 3), Err(WriteError::DoesNotFit { width: 3 }));
    assert_eq!(0_u8.write_fixed(&mut out, 9), Err(WriteError::Width(9)));
    assert_eq!(0_i64.write_fixed(&mut out, 0), Err(WriteError::Width(0)));
    assert_eq!(out.bit_len(), 0);
    assert_eq!(BitReader::new(&[0; 9]).read_bits(65), Err(ReadError::Width(65)));
    assert_eq!(u8::read_fixed(&mut BitReader::new(&[0; 9]), 9), Err(ReadError::Width(9)));
    assert_eq!(i8::read_fixed(&mut BitReader::new(&[0; 9]), 0), Err(ReadError::Width(0)));
}

#[test]
fn each_fault_has_its_error() {
    // 1 0000, 0 0001: the value one in two groups.
    assert_eq!(read::<u64>(&[0b1000_0000, 0b0100_0000]), Err(ReadError::NotMinimal));
    // Seventeen groups.
    assert_eq!(BitReader::new(&[0xff; 11]).read_varint(), Err(ReadError::OutOfRange));
    assert_eq!(read::<u16>(&written(&0x1_0000_u32)), Err(ReadError::OutOfRange));
    assert_eq!(read::<i16>(&written(&-0x8001_i32)), Err(ReadError::OutOfRange));
    assert_eq!(read::<char>(&written(&0xd800_u32)), Err(ReadError::InvalidChar));
    assert_eq!(read::<String>(&[0b0000_1000, 0xff]), Err(ReadError::InvalidUtf8));
    assert_eq!(read::<Bytes>(&[0b0000_1001, 0xff]), Err(ReadError::Padding));
    assert_eq!(read::<bool>(&[0b1000_0001]), Err(ReadError::Padding));
    assert_eq!(read::<bool>(&[0b1000_0000, 0]), Err(ReadError::Trailing));
    assert_eq!(read::<BTreeSet<u32>>(&[0b0001_0000, 0b0100_0010]), Err(ReadError::KeyOrder));
    assert_eq!(read::<BTreeMap<bool, ()>>(&[0b0001_0110]), Err(ReadError::KeyOrder));
    assert_eq!(BitReader::new(&[]).read_bool(), Err(ReadError::End));
    assert_eq!(BitReader::new(&[]).read_bits(0), Ok(0));
}

/// A reader that trusted the count would reserve 2^60 items, or count to it.
#[test]
fn a_count_alone_costs_nothing() {
    let claim = written(&(1_u64 << 60));
    assert_eq!(read::<Vec<[u64; 100]>>(&claim), Err(ReadError::End));
    assert_eq!(read::<Vec<()>>(&claim), Err(ReadError::End));
    assert_eq!(read::<BTreeSet<()>>(&claim), Err(ReadError::End));
    assert_eq!(read::<String>(&claim), Err(ReadError::End));

    let input = BitReader::new(&[0; 100]);
    assert_eq!(reserve_max::<[u8; 10]>(800, &input), 10);
    assert_eq!(reserve_max::<u8>(7, &input), 7);
    assert_eq!(reserve_max::<()>(usize::MAX, &input), 100);
}

#[test]
fn items_without_bits_are_refused_by_the_writer_too() {
    let mut out = BitWriter::new();
    assert_eq!(vec![(); 3].write(&mut out), Err(WriteError::EmptyItems));
    assert_eq!(vec![[0_u8; 0]; 30].write(&mut out), Err(WriteError::EmptyItems));
    assert_eq!(Vec::<()>::new().write(&mut out), Ok(()));
}

#[derive(Debug, PartialEq)]
struct Chain(Option<Box<Chain>>);

impl Bits for Chain {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        self.0.write(out)
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Bits::read(input).map(Self)
    }
}

impl Chain {
    fn of(links: u32) -> Self {
        (0..links).fold(Self(None), |rest, _| Self(Some(Box::new(rest))))
    }
}

/// A megabyte of ones would be a chain of eight million links: a reader without a limit overflows its stack.
#[test]
fn nesting_ends_at_the_limit_for_reader_and_writer() {
    assert_eq!(read::<Chain>(&vec![0xff; 1 << 20]), Err(ReadError::TooDeep));
    assert_eq!(read(&written(&Chain::of(NESTING_MAX))), Ok(Chain::of(NESTING_MAX)));
    assert_eq!(Chain::of(NESTING_MAX + 1).write(&mut BitWriter::new()), Err(WriteError::TooDeep));

    // The level is left again: what lies side by side is not deep.
    let wide: Vec<Box<bool>> = (0..500).map(|_| Box::new(true)).collect();
    assert_eq!(read(&written(&wide)), Ok(wide.clone()));
    assert_eq!(read(&written(&Box::new(wide.clone()))), Ok(Box::new(wide)));
}

#[test]
fn frames_count_as_a_level() {
    fn frames(left: u32, out: &mut BitWriter) -> Result<(), WriteError> {
        if left == 0 { Ok(()) } else { out.write_frame(|out| frames(left - 1, out)) }
    }
    fn unframe(left: u32, input: &mut BitReader<'_>) -> Result<(), ReadError> {
        if left == 0 { Ok(()) } else { input.read_frame(|input| unframe(left - 1, input)) }
    }
    let mut out = BitWriter::new();
    assert_eq!(frames(NESTING_MAX, &mut out), Ok(()));
    let bytes = out.into_bytes();
    assert_eq!(unframe(NESTING_MAX, &mut BitReader::new(&bytes)), Ok(()));

    let mut out = BitWriter::new();
    assert_eq!(frames(NESTING_MAX + 1, &mut out), Err(WriteError::TooDeep));
    out.write_bytes(&bytes);
    assert_eq!(unframe(NESTING_MAX + 1, &mut BitReader::new(&out.into_bytes())), Err(ReadError::TooDeep));
}

#[test]
fn a_frame_is_left_whole_whatever_its_reader_knows() {
    let mut out = BitWriter::new();
    out.write_frame(|out| {
        out.write_bits(5, 3)?;
        out.write_more();
        out.write_varint(1 << 40);
        Ok(())
    })
    .unwrap();
    out.write_varint(9);
    let bytes = out.into_bytes();

    let mut input = BitReader::new(&bytes);
    assert_eq!(input.read_frame(|input| input.read_bits(3)), Ok(5));
    assert_eq!(input.read_varint(), Ok(9));

    let mut input = BitReader::new(&bytes);
    let later = input.read_frame(|input| {
        input.read_bits(3)?;
        assert!(input.read_more());
        input.read_varint()
    });
    assert_eq!(later, Ok(1 << 40));
    assert_eq!(input.read_varint(), Ok(9));
}

#[test]
fn a_frame_ends_where_its_content_does() {
    let read = |content: &[u8]| {
        let mut out = BitWriter::new();
        out.write_bytes(content);
        BitReader::new(&out.into_bytes()).read_frame(|input| input.read_bits(3))
    };
    assert_eq!(read(&[0b1010_0000]), Ok(5));
    assert_eq!(read(&[0b1011_0110, 7]), Ok(5), "a later field");
    assert_eq!(read(&[0b1010_0001]), Err(ReadError::Padding));
    assert_eq!(read(&[0b1010_0000, 0]), Err(ReadError::Trailing));
    assert_eq!(read(&[]), Err(ReadError::End));
}

#[test]
fn filling_is_never_taken_for_a_later_field() {
    for used in 1..=8 {
        let mut out = BitWriter::new();
        out.write_bits(0, used).unwrap();
        let bytes = out.into_bytes();
        let mut input = BitReader::new(&bytes);
        input.read_bits(used).unwrap();
        for _ in 0..20 {
            assert!(!input.read_more());
        }
        assert_eq!(input.finish(), Ok(()));
    }
}

/// One call of the writer.
#[derive(Debug, Clone)]
enum Field {
    Bool(bool),
    Bits(u64, u32),
    Varint(u64),
    Signed(i64),
    F32(u32),
    F64(u64),
    Bytes(Vec<u8>),
    Str(String),
    FixedBytes(Vec<u8>),
    FixedStr(String),
    Align,
    Frame(Vec<Field>),
}

fn leaf() -> impl Strategy<Value = Field> {
    // Small numbers as often as large ones.
    let number = || (any::<u64>(), 0_u32..64).prop_map(|(value, unused)| value >> unused);
    prop_oneof![
        any::<bool>().prop_map(Field::Bool),
        (any::<u64>(), 0_u32..=64)
            .prop_map(|(value, width)| Field::Bits(value.checked_shr(64 - width).unwrap_or(0), width)),
        number().prop_map(Field::Varint),
        number().prop_map(|value| Field::Signed(value.cast_signed())),
        number().prop_map(|value| Field::Signed(!value.cast_signed())),
        any::<u32>().prop_map(Field::F32),
        any::<u64>().prop_map(Field::F64),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Field::Bytes),
        ".{0,20}".prop_map(Field::Str),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(Field::FixedBytes),
        ".{0,4}".prop_map(Field::FixedStr),
        Just(Field::Align),
    ]
}

fn field() -> impl Strategy<Value = Field> {
    leaf().prop_recursive(3, 20, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(Field::Frame))
}

fn write_all(fields: &[Field], out: &mut BitWriter) -> Result<(), WriteError> {
    for field in fields {
        match field {
            Field::Bool(value) => out.write_bool(*value),
            Field::Bits(value, width) => out.write_bits(*value, *width)?,
            Field::Varint(value) => out.write_varint(*value),
            Field::Signed(value) => out.write_signed(*value),
            Field::F32(bits) => out.write_f32(f32::from_bits(*bits)),
            Field::F64(bits) => out.write_f64(f64::from_bits(*bits)),
            Field::Bytes(value) => out.write_bytes(value),
            Field::Str(value) => out.write_str(value),
            Field::FixedBytes(value) => out.write_fixed_bytes(value),
            Field::FixedStr(value) => out.write_fixed_str(value),
            Field::Align => out.align(),
            Field::Frame(fields) => out.write_frame(|out| write_all(fields, out))?,
        }
    }
    Ok(())
}

/// Reads the same fields, whatever their values; says whether the values are the same too.
fn read_all(fields: &[Field], input: &mut BitReader<'_>) -> Result<bool, ReadError> {
    let mut same = true;
    for field in fields {
        same &= match field {
            Field::Bool(value) => input.read_bool()? == *value,
            Field::Bits(value, width) => input.read_bits(*width)? == *value,
            Field::Varint(value) => input.read_varint()? == *value,
            Field::Signed(value) => input.read_signed()? == *value,
            Field::F32(bits) => input.read_f32()?.to_bits() == *bits,
            Field::F64(bits) => input.read_f64()?.to_bits() == *bits,
            Field::Bytes(value) => input.read_bytes()? == value,
            Field::Str(value) => input.read_str()? == value,
            Field::FixedBytes(value) => input.read_fixed_bytes(value.len())? == value,
            Field::FixedStr(value) => input.read_fixed_str(value.len())? == value,
            Field::Align => input.align().map(|()| true)?,
            Field::Frame(fields) => input.read_frame(|input| read_all(fields, input))?,
        };
    }
    Ok(same)
}

proptest! {
    #[test]
    fn what_is_written_is_read(fields in prop::collection::vec(field(), 0..12)) {
        let mut out = BitWriter::new();
        write_all(&fields, &mut out).unwrap();
        let bit_len = out.bit_len();
        let bytes = out.into_bytes();
        prop_assert_eq!(bytes.len() as u64, bit_len.div_ceil(8));

        let mut input = BitReader::new(&bytes);
        prop_assert_eq!(read_all(&fields, &mut input), Ok(true));
        prop_assert_eq!(input.position(), bit_len);
        prop_assert_eq!(input.finish(), Ok(()));

        for len in 0..bytes.len() {
            prop_assert!(read_all(&fields, &mut BitReader::new(&bytes[..len])).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        fields in prop::collection::vec(field(), 1..12),
        data in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut input = BitReader::new(&data);
        let _ = read_all(&fields, &mut input);
        prop_assert!(input.position() <= data.len() as u64 * 8);
    }

    /// What can be read has no second form: written again, it is the same bits.
    #[test]
    fn one_form_per_value(data in prop::collection::vec(any::<u8>(), 0..40)) {
        type Many = (Vec<(u64, Option<i32>)>, BTreeMap<u8, bool>, [char; 1], bool, Option<Vec<Bytes>>, String);
        let mut input = BitReader::new(&data);
        if let Ok(value) = Many::read(&mut input) {
            let mut out = BitWriter::new();
            value.write(&mut out).unwrap();
            prop_assert_eq!(out.bit_len(), input.position());
            let again = out.into_bytes();
            let whole = (input.position() / 8) as usize;
            prop_assert_eq!(&again[..whole], &data[..whole]);
        }
    }

    #[test]
    fn a_width_keeps_what_fits_and_refuses_the_rest(value in any::<i32>(), unused in 0_u32..32, width in 1_u32..=32) {
        let value = value >> unused;
        let mut out = BitWriter::new();
        let fits = (-(1_i64 << (width - 1))..1 << (width - 1)).contains(&i64::from(value));
        match value.write_fixed(&mut out, width) {
            Ok(()) => {
                prop_assert!(fits);
                prop_assert_eq!(out.bit_len(), u64::from(width));
                prop_assert_eq!(i32::read_fixed(&mut BitReader::new(&out.into_bytes()), width), Ok(value));
            }
            Err(error) => {
                prop_assert!(!fits);
                prop_assert_eq!(error, WriteError::DoesNotFit { width });
            }
        }
    }
}
