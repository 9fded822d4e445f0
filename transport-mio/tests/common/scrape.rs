//! Looks at a relay as Prometheus does, and takes no liberties: what is not exactly in the text format fails the test.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::SocketAddr;

use super::{read_to_end, tcp};

/// Sends this, and reads everything.
pub fn ask_raw(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = tcp(address);
    socket.write_all(request).unwrap();
    String::from_utf8(read_to_end(&mut socket)).unwrap()
}

/// Status, head and body.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    split(&ask_raw(address, format!("{method} {path} HTTP/1.1\r\nHost: view\r\n\r\n").as_bytes()))
}

pub fn split(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    assert!(head.contains("\r\nConnection: close"), "{head}");
    (status, head.to_owned(), body.to_owned())
}

/// All samples of a scrape, as they are written before the value.
pub type Samples = BTreeMap<String, f64>;

pub fn scrape(address: SocketAddr) -> Samples {
    let (status, head, body) = ask(address, "GET", "/metrics");
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    parse(&body)
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// The text format 0.0.4, less what this relay never writes: no escapes, no timestamps, no free comments, at most one label.
pub fn parse(text: &str) -> Samples {
    assert!(text.ends_with('\n'));
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, words) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(help);
        assert!(is_name(name) && !words.trim().is_empty() && !words.contains('\\'), "{help}");
        assert!(families.insert(name), "{name} twice");
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        let mut any = false;
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            any = true;
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite() && value >= 0.0, "{line}");
            let (base, label) = match sample.split_once('{') {
                None => (sample, None),
                Some((base, label)) => (base, Some(label.strip_suffix('}').expect(line))),
            };
            let label = label.map(|label| {
                let (key, word) = label.split_once('=').expect(line);
                let word = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).expect(line);
                assert!(is_name(key) && !word.contains(['"', '\\', '{', ',']), "{line}");
                (key, word)
            });
            match (kind, base.strip_prefix(name), label) {
                ("histogram", Some("_bucket"), Some(("le", bound))) => {
                    buckets.push((bound.parse().unwrap(), value));
                }
                ("histogram", Some("_sum" | "_count"), None) | ("counter" | "gauge", Some(""), _) => {}
                _ => panic!("{line} below {help}"),
            }
            assert!(samples.insert(sample.to_owned(), value).is_none(), "{line} twice");
        }
        assert!(any, "{name} without a value");
        if kind == "histogram" {
            assert!(
                buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
                "{buckets:?}"
            );
            assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, samples[&format!("{name}_count")]));
        }
    }
    samples
}

/// Reads the rest of an answer on a connection that was made before.
pub fn finish(socket: &mut (impl Read + Write), path: &str) -> (u16, String, String) {
    socket.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    split(&answer)
}
