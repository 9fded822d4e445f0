//! `packets.json`: rows of fields and their streams, packets and their bytes, and what readers refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use phantom_core::bits::{BitReader, BitWriter, Bits, ReadError};
use phantom_core::packet::{DecodeError, Packet, decode, encode};
use serde_json::{Value, json};

use super::{assert_frozen, hex, unhex};

#[test]
fn packets_are_the_frozen_ones() {
    let computed = json!({
        "about": "Known answers of the Phantom protocol, version 1: bit streams and packets. Byte strings are lower-case \
                  hexadecimal, numbers decimal texts, floats the bits of IEEE 754 in hexadecimal.",
        "streams": streams(),
        "refused_streams": refused_streams(),
        "packets": packets(),
        "other_versions": other_versions(),
        "refused_packets": refused_packets(),
    });
    assert_frozen("packets.json", &computed);
}

fn streams() -> Vec<Value> {
    let rows = [
        json!([]),
        json!([["bit", true]]),
        json!([
            ["unsigned", 3, "5"],
            ["unsigned", 0, "0"],
            ["unsigned", 64, "18446744073709551615"],
            ["bit", false]
        ]),
        json!([["varint", "0"]]),
        json!([["varint", "15"]]),
        json!([["varint", "16"]]),
        json!([["varint", "300"], ["bit", true]]),
        json!([["varint", "18446744073709551615"]]),
        json!([
            ["signed varint", "0"],
            ["signed varint", "-1"],
            ["signed varint", "1"],
            ["signed varint", "-8"]
        ]),
        json!([["signed varint", "-9223372036854775808"]]),
        json!([["signed varint", "9223372036854775807"]]),
        json!([["bit", true], ["float32", "3fc00000"], ["float64", "c000000000000000"]]),
        json!([["string", ""]]),
        json!([["string", "hi"], ["bit", true]]),
        json!([["string", "Приветик!!!"]]),
        json!([["bit", true], ["bytes", "ff00"], ["bit", true], ["fixed bytes", "0102"]]),
        json!([["fixed string", "hi"], ["unsigned", 4, "9"], ["align"], ["bit", true]]),
        json!([["bit", true], ["frame", [["varint", "1"], ["mark"], ["bit", true]]], ["bit", true]]),
    ];
    rows.into_iter()
        .map(|row| {
            let fields = row.as_array().unwrap();
            let mut out = BitWriter::new();
            fields.iter().for_each(|field| write(&mut out, field));
            let bits = out.bit_len();
            let stream = out.into_bytes();
            assert_eq!(read_all(&stream, fields), Ok(fields.clone()));
            json!({ "fields": row, "bits": bits, "stream": hex(stream) })
        })
        .collect()
}

/// Fields of which the values are made up; only their kinds and lengths matter.
fn refused_streams() -> Vec<Value> {
    let rows = [
        ("", json!([["bit", true]])),
        ("80", json!([["varint", "0"]])),
        ("8400", json!([["varint", "0"]])),
        ("8c", json!([["varint", "0"]])),
        ("8e31ffffffffffffffffffff00", json!([["varint", "0"]])),
        ("1068", json!([["string", "hi"]])),
        ("116869", json!([["string", "hi"]])),
        ("08ff", json!([["string", "h"]])),
        ("80", json!([["bit", true], ["unsigned", 8, "0"]])),
        ("40", json!([["align"]])),
        ("0000", json!([["bit", false]])),
        ("20", json!([["bit", false]])),
        ("080100", json!([["frame", [["unsigned", 4, "0"]]]])),
        ("1000ff", json!([["frame", [["unsigned", 4, "0"]]]])),
    ];
    rows.into_iter()
        .map(|(stream, row)| {
            let error = read_all(&unhex(stream), row.as_array().unwrap()).expect_err(stream);
            json!({ "stream": stream, "read_as": row, "error": format!("{error:?}") })
        })
        .collect()
}

fn write(out: &mut BitWriter, field: &Value) {
    let text = || field[field.as_array().unwrap().len() - 1].as_str().unwrap();
    match field[0].as_str().unwrap() {
        "bit" => out.write_bool(field[1].as_bool().unwrap()),
        "unsigned" => out.write_bits(text().parse().unwrap(), width(field)).unwrap(),
        "varint" => out.write_varint(text().parse().unwrap()),
        "signed varint" => out.write_signed(text().parse().unwrap()),
        "float32" => out.write_f32(f32::from_bits(u32::from_str_radix(text(), 16).unwrap())),
        "float64" => out.write_f64(f64::from_bits(u64::from_str_radix(text(), 16).unwrap())),
        "string" => out.write_str(text()),
        "fixed string" => out.write_fixed_str(text()),
        "bytes" => out.write_bytes(&unhex(text())),
        "fixed bytes" => out.write_fixed_bytes(&unhex(text())),
        "align" => out.align(),
        "mark" => out.write_more(),
        "frame" => out
            .write_frame(|out| {
                field[1].as_array().unwrap().iter().for_each(|field| write(out, field));
                Ok(())
            })
            .unwrap(),
        other => panic!("{other}"),
    }
}

fn width(field: &Value) -> u32 {
    u32::try_from(field[1].as_u64().unwrap()).unwrap()
}

/// Reads fields of the same kinds, to the end of the stream.
fn read_all(stream: &[u8], like: &[Value]) -> Result<Vec<Value>, ReadError> {
    let mut input = BitReader::new(stream);
    let fields = like.iter().map(|field| read(&mut input, field)).collect::<Result<_, _>>()?;
    input.finish()?;
    Ok(fields)
}

fn read(input: &mut BitReader<'_>, like: &Value) -> Result<Value, ReadError> {
    let kind = like[0].as_str().unwrap();
    let text = || like[1].as_str().unwrap();
    let value = match kind {
        "bit" => json!(input.read_bool()?),
        "unsigned" => {
            return Ok(json!([kind, width(like), input.read_bits(width(like))?.to_string()]));
        }
        "varint" => json!(input.read_varint()?.to_string()),
        "signed varint" => json!(input.read_signed()?.to_string()),
        "float32" => json!(format!("{:08x}", input.read_f32()?.to_bits())),
        "float64" => json!(format!("{:016x}", input.read_f64()?.to_bits())),
        "string" => json!(input.read_str()?),
        "fixed string" => json!(input.read_fixed_str(text().len())?),
        "bytes" => json!(hex(input.read_bytes()?)),
        "fixed bytes" => json!(hex(input.read_fixed_bytes(text().len() / 2)?)),
        "align" => return input.align().map(|()| json!([kind])),
        "mark" => {
            return if input.read_more() { Ok(json!([kind])) } else { Err(ReadError::Invalid("no mark")) };
        }
        "frame" => {
            let fields = like[1].as_array().unwrap();
            let read = |inner: &mut BitReader<'_>| fields.iter().map(|field| read(inner, field)).collect();
            json!(input.read_frame::<Vec<Value>>(read)?)
        }
        other => panic!("{other}"),
    };
    Ok(json!([kind, value]))
}

/// The seed's first packet.
#[derive(Debug, PartialEq, Packet)]
#[packet(id = 1)]
struct Message(String);

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 300)]
struct Flag(bool);

mod first {
    use super::Packet;

    #[derive(Debug, PartialEq, Packet)]
    #[packet(id = 4)]
    pub(super) struct Player {
        #[packet(bits = 3)]
        pub(super) level: u8,
    }

    #[derive(Debug, PartialEq, Packet)]
    #[packet(id = 5)]
    pub(super) struct Team {
        pub(super) players: Vec<Player>,
        pub(super) tags: Vec<u32>,
        pub(super) score: u32,
    }
}

mod second {
    use super::Packet;

    #[derive(Debug, PartialEq, Packet)]
    #[packet(id = 4)]
    pub(super) struct Player {
        #[packet(bits = 3)]
        pub(super) level: u8,
        #[packet(default)]
        pub(super) alive: bool,
    }

    #[derive(Debug, PartialEq, Packet)]
    #[packet(id = 5)]
    pub(super) struct Team {
        pub(super) players: Vec<Player>,
        pub(super) tags: Vec<u32>,
        pub(super) score: u32,
        #[packet(default)]
        pub(super) name: Option<String>,
    }
}

#[derive(Debug, PartialEq, Bits)]
enum Shape {
    Point,
    #[packet(tag = 20)]
    Circle {
        radius: f32,
    },
}

#[derive(Debug, PartialEq, Bits)]
#[packet(extensible)]
struct Place {
    x: i32,
    #[packet(default)]
    y: i32,
}

/// Every form of a value once.
#[derive(Debug, PartialEq, Packet)]
#[packet(id = 6)]
struct Everything {
    bytes: (u8, i8),
    numbers: (u16, i16, u32, i32, u64, i64),
    wide: (u128, i128),
    #[packet(bits = 5)]
    five: i8,
    letter: char,
    absent: Option<u8>,
    present: Option<u8>,
    blob: Bytes,
    list: Vec<u16>,
    set: BTreeSet<u16>,
    map: BTreeMap<u16, bool>,
    array: [u8; 2],
    pair: [u16; 2],
    point: Shape,
    circle: Shape,
    unit: (),
    boxed: Box<u16>,
    place: Place,
    player: first::Player,
}

fn packets() -> Vec<Value> {
    let place = |x, y| Place { x, y };
    let mut list = vec![
        packet("ID 1: string", Message("hi".into())),
        packet("ID 1: string", Message("Приветик!!!".into())),
        packet("ID 300: boolean", Flag(true)),
        packet("ID 4, first version: level of 3 bits", first::Player { level: 5 }),
        packet(
            "ID 4, second version: and a boolean, false by default",
            second::Player { level: 5, alive: true },
        ),
    ];
    let players = vec![first::Player { level: 1 }, first::Player { level: 7 }];
    list.push(packet(
        "ID 5, first version: list of packets 4, list of integers of 32 bits, integer of 32 bits",
        first::Team { players, tags: vec![], score: 16 },
    ));
    let players = [1, 7].map(|level| second::Player { level, alive: true }).into();
    list.push(packet(
        "ID 5, second version: and an optional string, absent by default",
        second::Team { players, tags: vec![], score: 16, name: None },
    ));
    list.push(packet(
        "ID 6: the fields in this order; five has 5 bits, Circle has tag 20, place is an extensible struct of two integers \
         of 32 bits, the second of a later version, player is packet 4 in its first version",
        Everything {
            bytes: (0xfe, -2),
            numbers: (300, -300, 1, -1, 1 << 40, i64::MIN),
            wide: (1, -1),
            five: -3,
            letter: 'Ж',
            absent: None,
            present: Some(7),
            blob: Bytes::from_static(&[1, 2, 3]),
            list: vec![1, 2],
            set: BTreeSet::from([3, 1]),
            map: BTreeMap::from([(2, false), (1, true)]),
            array: [4, 5],
            pair: [6, 7],
            point: Shape::Point,
            circle: Shape::Circle { radius: 1.5 },
            unit: (),
            boxed: Box::new(9),
            place: place(-1, 2),
            player: first::Player { level: 1 },
        },
    ));
    list
}

fn packet<P: Packet + PartialEq + Debug>(declaration: &str, value: P) -> Value {
    let bytes = encode(&value).unwrap();
    let shown = format!("{value:?}");
    assert_eq!(decode::<P>(&bytes), Ok(value));
    json!({ "type": declaration, "value": shown, "packet": hex(bytes) })
}

/// What one version makes of what another has written.
fn other_versions() -> [Value; 4] {
    fn read<P: Packet + Debug>(reader: &str, bytes: &str) -> Value {
        json!({ "reader": reader, "packet": bytes, "value": format!("{:?}", decode::<P>(&unhex(bytes)).unwrap()) })
    }
    [
        read::<second::Player>("ID 4, second version", "25"),
        read::<first::Player>("ID 4, first version", "25c0"),
        read::<second::Team>("ID 5, second version", "28822008e00440"),
        read::<first::Team>("ID 5, first version", "28823808f8044100"),
    ]
}

fn refused_packets() -> Vec<Value> {
    vec![
        refused::<Message>("ID 1", ""),
        refused::<Message>("ID 1", "00"),
        refused::<Message>("ID 1", "8c2108421000"),
        refused::<Message>("ID 1", "20"),
        refused::<Message>("ID 1", "088068"),
        refused::<Message>("ID 1", "08c06869"),
        refused::<Message>("ID 1", "0880686900"),
        refused::<Message>("ID 1", "0880c328"),
        refused::<first::Player>("ID 4, first version", "2540"),
        refused::<second::Player>("ID 4, second version", "2540"),
        refused::<Everything>("ID 6", "30"),
    ]
}

fn refused<P: Packet>(reader: &str, bytes: &str) -> Value {
    let error = match decode::<P>(&unhex(bytes)).err().expect(bytes) {
        DecodeError::NoId(error) => format!("no ID: {error:?}"),
        DecodeError::OtherId { found, .. } => format!("another ID: {found}"),
        DecodeError::Malformed { error, .. } => format!("malformed: {error:?}"),
        other => format!("{other:?}"),
    };
    json!({ "reader": reader, "packet": bytes, "error": error })
}
