//! A packet with fields of many forms, as Rust, as JSON, and at random.

use std::collections::BTreeMap;

use bytes::Bytes;
use phantom_core::bits::Bits;
use phantom_core::packet::Packet;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// The one packet of `tests/second/__main__.py`.
#[derive(Debug, PartialEq, Packet)]
#[packet(id = 7)]
pub(crate) struct Letter {
    pub(crate) number: u32,
    text: String,
    blob: Bytes,
    sum: i64,
    #[packet(bits = 3)]
    level: u8,
    flag: bool,
    scores: Vec<i16>,
    counts: BTreeMap<String, u64>,
    shape: Shape,
    place: Place,
    #[packet(default)]
    note: Option<String>,
}

#[derive(Debug, PartialEq, Bits)]
enum Shape {
    Point,
    #[packet(tag = 20)]
    Circle {
        radius: f64,
    },
}

#[derive(Debug, PartialEq, Bits)]
#[packet(extensible)]
struct Place {
    x: i32,
    #[packet(default)]
    y: i32,
}

impl Letter {
    /// One at random, with up to so many bytes in its blob.
    pub(crate) fn random(number: u32, blob: usize, random: &mut StdRng) -> Self {
        let words = ["", "hi", "Приветик!!!", "ﷺ and 🦀"];
        // A number that every reader of JSON takes as it is.
        let circle = Shape::Circle { radius: f64::from(random.random::<u16>()) / 8.0 };
        Self {
            number,
            text: words[random.random_range(0..words.len())].to_owned(),
            blob: (0..random.random_range(0..=blob)).map(|_| random.random::<u8>()).collect(),
            sum: random.random(),
            level: random.random_range(0..8),
            flag: random.random(),
            scores: (0..random.random_range(0..5)).map(|_| random.random()).collect(),
            counts: words[..random.random_range(0..words.len())]
                .iter()
                .map(|&word| (word.to_owned(), random.random()))
                .collect(),
            shape: if random.random() { Shape::Point } else { circle },
            place: Place { x: random.random(), y: random.random() },
            note: random.random::<bool>().then(|| "a later field".to_owned()),
        }
    }

    /// What the Python program prints for it, and takes.
    pub(crate) fn json(&self) -> Value {
        let blob: String = self.blob.iter().map(|byte| format!("{byte:02x}")).collect();
        let shape = match self.shape {
            Shape::Point => json!(["Point", {}]),
            Shape::Circle { radius } => json!(["Circle", { "radius": radius }]),
        };
        json!({
            "number": self.number, "text": self.text, "blob": blob, "sum": self.sum, "level": self.level,
            "flag": self.flag, "scores": self.scores, "counts": self.counts, "shape": shape,
            "place": { "x": self.place.x, "y": self.place.y }, "note": self.note,
        })
    }
}
