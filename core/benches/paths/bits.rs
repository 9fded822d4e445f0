//! Packets as bits.

use std::hint::black_box;

use phantom_core::bits::{BitReader, BitWriter};
use phantom_core::packet::{self, Packet};

use super::{Path, Run};

pub(crate) const PATHS: &[Path] = &[
    Path { name: "write a bit stream", bytes: 0, runs: 1000, prepare: write },
    Path { name: "read a bit stream", bytes: 0, runs: 1000, prepare: read },
    Path { name: "encode a packet", bytes: 0, runs: 1000, prepare: encode },
    Path { name: "decode a packet", bytes: 0, runs: 1000, prepare: decode },
];

/// What a game sends often.
#[derive(Packet, Clone)]
#[packet(id = 7)]
struct Move {
    player: u32,
    x: f32,
    y: f32,
    running: bool,
    ammunition: Option<u16>,
    name: String,
}

fn moved() -> Move {
    Move { player: 1234, x: 1.5, y: -2.25, running: true, ammunition: Some(300), name: "Anna".into() }
}

/// Eight fields of each common form, none at the boundary of a byte.
fn stream() -> BitWriter {
    let mut writer = BitWriter::new();
    for number in 0..8_u32 {
        writer.write_bool(number % 2 == 0);
        writer.write_bits(u64::from(number), 5).expect("it fits");
        writer.write_varint(u64::from(number) * 1000);
        writer.write_signed(i64::from(number) - 4);
        writer.write_f32(1.5);
        writer.write_str("Phantom");
    }
    writer
}

fn write() -> Run {
    Box::new(|| {
        black_box(stream().into_bytes());
    })
}

fn read() -> Run {
    let bytes = stream().into_bytes();
    Box::new(move || {
        let mut reader = BitReader::new(black_box(&bytes));
        for _ in 0..8 {
            black_box(reader.read_bool().expect("written"));
            black_box(reader.read_bits(5).expect("written"));
            black_box(reader.read_varint().expect("written"));
            black_box(reader.read_signed().expect("written"));
            black_box(reader.read_f32().expect("written"));
            black_box(reader.read_str().expect("written"));
        }
        reader.finish().expect("that was all");
    })
}

fn encode() -> Run {
    let packet = moved();
    Box::new(move || {
        black_box(packet::encode(black_box(&packet)).expect("it can be written"));
    })
}

fn decode() -> Run {
    let bytes = packet::encode(&moved()).expect("it can be written");
    Box::new(move || {
        black_box(packet::decode::<Move>(black_box(&bytes)).expect("just written"));
    })
}
