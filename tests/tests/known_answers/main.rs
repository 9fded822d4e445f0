//! The wire format, frozen: `tests/vectors/*.json`, for this implementation and any other, and the text of `PROTOCOL.md`.
//!
//! Each file is compared with what the code does now. After a wanted change of the format,
//!
//! ```text
//! PHANTOM_REWRITE_VECTORS=1 cargo test -p phantom-tests --test known_answers
//! ```
//!
//! rewrites the files and **fails** nevertheless, so that nobody rewrites them unawares: look at the difference, carry it over into
//! `PROTOCOL.md`, then run the tests again without the variable. The cryptography has a file and tests of its own in `core`.

#![allow(clippy::unwrap_used, reason = "a test that fails is meant to panic")]

mod frames;
mod packets;
mod session;
mod text;

use std::{env, fs, path::Path};

use serde_json::Value;

/// Compares what the code does with what is frozen, value by value.
fn assert_frozen(file: &str, computed: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    if env::var_os("PHANTOM_REWRITE_VECTORS").is_some() {
        fs::write(&path, pretty(computed)).unwrap();
        panic!("{file} was rewritten: look at the difference, then run without PHANTOM_REWRITE_VECTORS");
    }
    let text = fs::read_to_string(&path).expect("the file is there");
    let frozen: Value = serde_json::from_str(&text).expect("the file is JSON");
    assert_same(file, &frozen, computed);
    assert_eq!(text, pretty(computed), "{file}: the values are the same, the layout is not");
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

/// Names the first value that differs instead of printing two files.
fn assert_same(at: &str, frozen: &Value, computed: &Value) {
    match (frozen, computed) {
        (Value::Object(frozen), Value::Object(computed)) => {
            let names = |object: &serde_json::Map<_, _>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(frozen), names(computed), "names in {at}");
            for (name, value) in frozen {
                assert_same(&format!("{at}.{name}"), value, &computed[name]);
            }
        }
        (Value::Array(frozen), Value::Array(computed)) => {
            assert_eq!(frozen.len(), computed.len(), "length of {at}");
            for (index, (frozen, computed)) in frozen.iter().zip(computed).enumerate() {
                assert_same(&format!("{at}[{index}]"), frozen, computed);
            }
        }
        _ => assert_eq!(frozen, computed, "{at}: the wire format changed"),
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
