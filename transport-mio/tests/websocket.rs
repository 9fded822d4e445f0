//! The relay's WebSocket layer against RFC 6455, clause by clause, in its echo mode.
//!
//! Each row says what a client sends and everything that comes back until the socket ends. What does not end the connection by
//! itself is followed by a close with 1000, which must be answered. Rows are sent in one piece and chopped, down to single bytes.
//! The Autobahn test suite asks the same and more; it is run by `tests/interop/autobahn`, and needs Python 2.7.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use common::{tcp, upgrade_request};

/// Longer than anything here takes, and short enough for a server that waits for what does not come.
const PATIENCE: Duration = Duration::from_secs(15);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;

/// What the server says.
#[derive(Clone, PartialEq, Eq)]
enum Said {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// A close with this code, or without any.
    Close(Option<u16>),
    Other(u8, Vec<u8>),
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, payload) = match self {
            Self::Text(payload) => ("text", payload),
            Self::Binary(payload) => ("binary", payload),
            Self::Pong(payload) => ("pong", payload),
            Self::Close(code) => return write!(f, "close {code:?}"),
            Self::Other(first, payload) => return write!(f, "first byte {first:#x} and {payload:x?}"),
        };
        write!(f, "{name} of {} bytes {:x?}", payload.len(), &payload[..payload.len().min(16)])
    }
}

use Said::{Binary, Close, Pong, Text};

/// One clause: where it stands, what is sent, what comes back.
struct Row {
    section: &'static str,
    what: String,
    sent: Vec<u8>,
    said: Vec<Said>,
}

fn row(section: &'static str, what: impl Into<String>, sent: &[Vec<u8>], said: &[Said]) -> Row {
    Row { section, what: what.into(), sent: sent.concat(), said: said.to_vec() }
}

/// A client's frame with the length in its shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let form = match payload.len() {
        0..126 => 0,
        126..65_536 => 2,
        _ => 8,
    };
    frame_as(first, payload, form)
}

/// A client's frame with the length in 0, 2 or 8 bytes of its own.
fn frame_as(first: u8, payload: &[u8], form: usize) -> Vec<u8> {
    let length = (payload.len() as u64).to_be_bytes();
    let mut frame = vec![first];
    match form {
        0 => frame.push(0x80 | length[7]),
        2 => frame.extend([0x80 | 126, length[6], length[7]]),
        _ => {
            frame.push(0x80 | 127);
            frame.extend(length);
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(FIN | BINARY, payload)
}

fn ping(payload: &[u8]) -> Vec<u8> {
    frame(FIN | PING, payload)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// One message in fragments of this size.
fn fragments(kind: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let parts = payload.chunks(size).enumerate().map(|(n, part)| {
        let fin = if n + 1 == count { FIN } else { 0 };
        frame(fin | if n == 0 { kind } else { CONTINUATION }, part)
    });
    parts.collect::<Vec<_>>().concat()
}

/// Bytes that differ from place to place.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}

/// A message that came in vain would be echoed.
fn unheard() -> Vec<u8> {
    binary(b"after the end")
}

/// Sends the bytes in portions, reads meanwhile, and says what came until the socket ended in order.
fn talk(address: SocketAddr, sent: &[u8], portion: usize) -> Result<Vec<Said>, String> {
    let mut socket = tcp(address);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(upgrade_request("phantom.1").as_bytes()).unwrap();
    let head = read_head(&mut socket);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut writer = socket.try_clone().unwrap();
    let mut came = Vec::new();
    let ended = thread::scope(|scope| {
        scope.spawn(move || {
            for part in sent.chunks(portion) {
                // Whoever has closed needs not hear the rest.
                if writer.write_all(part).is_err() {
                    return;
                }
            }
        });
        let ended = socket.read_to_end(&mut came);
        // A writer that still writes to a server that closed must end as well.
        let _gone = socket.shutdown(Shutdown::Both);
        ended
    });
    match ended {
        Ok(_) => Ok(parse(&came)),
        Err(error) => Err(format!("{error}, after {:?}", parse(&came))),
    }
}

fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// The messages of a server, which may be fragmented.
fn parse(mut bytes: &[u8]) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    let mut begun: Option<(u8, Vec<u8>)> = None;
    while let [first, second, rest @ ..] = bytes {
        let (len, rest) = match second {
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            short => (usize::from(*short), rest),
        };
        assert!(len < 1 << 30 && rest.len() >= len, "a frame is cut short, or masked");
        let (payload, rest) = rest.split_at(len);
        bytes = rest;
        let (first, payload) = match (first & 0xf, &mut begun) {
            (CONTINUATION, Some((kind, whole))) => {
                whole.extend(payload);
                if first & FIN == 0 {
                    continue;
                }
                (FIN | *kind, std::mem::take(whole))
            }
            (TEXT | BINARY, _) if first & FIN == 0 => {
                begun = Some((*first, payload.to_vec()));
                continue;
            }
            _ => (*first, payload.to_vec()),
        };
        all.push(match first {
            0x81 => Text(payload),
            0x82 => Binary(payload),
            0x8a => Pong(payload),
            0x88 => Close(match payload[..] {
                [] => None,
                [high, low, ..] => Some(u16::from_be_bytes([high, low])),
                [_] => panic!("a close frame of one byte"),
            }),
            other => Said::Other(other, payload),
        });
    }
    assert!(bytes.is_empty(), "a header is cut short");
    all
}

/// Runs each row whole and in portions.
fn check(rows: &[Row], portions: &[usize]) {
    let echo = common::echo();
    let mut failed = Vec::new();
    for Row { section, what, sent, said } in rows {
        let (mut sent, mut said) = (sent.clone(), said.clone());
        if !said.iter().any(|said| matches!(said, Close(_))) {
            sent.extend(close(1000, b"done"));
            said.push(Close(Some(1000)));
        }
        for &portion in portions {
            let got = talk(echo, &sent, portion);
            if got.as_ref() != Ok(&said) {
                failed.push(format!(
                    "RFC 6455 {section}, {what}, in portions of {portion}:\n    got {got:?},\n    not {said:?}"
                ));
            }
        }
    }
    println!("{} rows, {} failed", rows.len() * portions.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

const WHOLE: usize = usize::MAX;

#[test]
fn lengths() {
    let mut rows = Vec::new();
    for len in [0, 1, 124, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536, 65_537] {
        let payload = bytes(len);
        let ascii = vec![b'*'; len];
        rows.push(row("5.2", format!("binary of {len}"), &[binary(&payload)], &[Binary(payload.clone())]));
        rows.push(row("5.2", format!("text of {len}"), &[text(&ascii)], &[Text(ascii)]));
    }
    check(&rows, &[WHOLE, 997, 1]);
}

#[test]
fn lengths_that_no_client_may_write() {
    let refused = [Close(Some(PROTOCOL_ERROR))];
    let huge = |length: u64| [&[FIN | BINARY, 0x80 | 127][..], &length.to_be_bytes(), &MASK].concat();
    let rows = [
        row("5.2", "125 in two bytes", &[frame_as(FIN | BINARY, &bytes(125), 2), unheard()], &refused),
        row("5.2", "0 in two bytes", &[frame_as(FIN | BINARY, b"", 2), unheard()], &refused),
        row("5.2", "125 in eight bytes", &[frame_as(FIN | BINARY, &bytes(125), 8), unheard()], &refused),
        row(
            "5.2",
            "65,535 in eight bytes",
            &[frame_as(FIN | BINARY, &bytes(65_535), 8), unheard()],
            &refused,
        ),
        row("5.2", "the highest bit set", &[huge(1 << 63), unheard()], &refused),
        row("5.2", "every bit set", &[huge(u64::MAX), unheard()], &refused),
    ];
    check(&rows, &[WHOLE, 1]);
}

#[test]
fn a_frame_must_be_masked() {
    let refused = [Close(Some(PROTOCOL_ERROR))];
    let rows = [
        row("5.1", "binary, not masked", &[b"\x82\x05naked".to_vec(), unheard()], &refused),
        row("5.1", "ping, not masked", &[b"\x89\x00".to_vec(), unheard()], &refused),
        row("5.1", "close, not masked", &[b"\x88\x02\x03\xe8".to_vec()], &refused),
        row(
            "5.3",
            "a mask of zeros",
            &[b"\x82\x84\x00\x00\x00\x00mask".to_vec()],
            &[Binary(b"mask".to_vec())],
        ),
    ];
    check(&rows, &[WHOLE, 1]);
}

#[test]
fn reserved_bits_and_opcodes() {
    let refused = [Close(Some(PROTOCOL_ERROR))];
    let mut rows = Vec::new();
    for bits in 1..8_u8 {
        for kind in [TEXT, BINARY, PING, PONG, CLOSE] {
            let sent = [frame(FIN | bits << 4 | kind, b""), unheard()];
            rows.push(row("5.2", format!("reserved bits {bits:03b} on opcode {kind}"), &sent, &refused));
        }
    }
    for kind in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        rows.push(row("5.2", format!("opcode {kind}"), &[frame(FIN | kind, b""), unheard()], &refused));
        let sent = [binary(b"first"), frame(FIN | kind, b"payload"), unheard()];
        let said = [Binary(b"first".to_vec()), Close(Some(PROTOCOL_ERROR))];
        rows.push(row("5.2", format!("opcode {kind} after a message"), &sent, &said));
    }
    check(&rows, &[WHOLE, 1]);
}

#[test]
fn pings_and_pongs() {
    let many: Vec<_> = (0..10).map(|n| ping(&[n; 20])).collect();
    let answers: Vec<_> = (0..10).map(|n| Pong(vec![n; 20])).collect();
    let too_long = [Close(Some(PROTOCOL_ERROR))];
    let rows = [
        row("5.5.2", "no payload", &[ping(b"")], &[Pong(vec![])]),
        row("5.5.2", "a payload", &[ping(b"hello")], &[Pong(b"hello".to_vec())]),
        row(
            "5.5.2",
            "bytes that are no text",
            &[ping(b"\x00\xff\xfe\xfd")],
            &[Pong(b"\x00\xff\xfe\xfd".to_vec())],
        ),
        row("5.5.2", "125 bytes", &[ping(&bytes(125))], &[Pong(bytes(125))]),
        row("5.5.2", "ten in a row", &many, &answers),
        row("5.5.3", "a pong unasked, empty", &[frame(FIN | PONG, b"")], &[]),
        row("5.5.3", "a pong unasked", &[frame(FIN | PONG, b"unasked"), ping(b"x")], &[Pong(b"x".to_vec())]),
        row("5.5", "a ping of 126 bytes", &[ping(&bytes(126)), unheard()], &too_long),
        row("5.5", "a pong of 126 bytes", &[frame(FIN | PONG, &bytes(126)), unheard()], &too_long),
        row("5.5", "a close of 126 bytes", &[close(1000, &[b'x'; 124])], &too_long),
        row("5.5", "a ping of 65,536 bytes", &[ping(&bytes(65_536)), unheard()], &too_long),
    ];
    check(&rows, &[WHOLE, 1]);
}

#[test]
fn control_frames_are_not_fragmented() {
    let refused = [Close(Some(PROTOCOL_ERROR))];
    let tail = frame(FIN | CONTINUATION, b"tail");
    let rows = [
        row("5.5", "a ping without FIN", &[frame(PING, b"head"), tail.clone()], &refused),
        row("5.5", "a pong without FIN", &[frame(PONG, b"head"), tail.clone()], &refused),
        row("5.5", "a close without FIN", &[frame(CLOSE, b"\x03\xe8"), tail], &refused),
    ];
    check(&rows, &[WHOLE, 1]);
}

#[test]
fn fragmentation() {
    let refused = [Close(Some(PROTOCOL_ERROR))];
    let (start, middle, end) =
        (frame(TEXT, b"one "), frame(CONTINUATION, b"two "), frame(FIN | CONTINUATION, b"three"));
    let whole = Text(b"one two three".to_vec());
    let pong = |text: &[u8]| Pong(text.to_vec());
    let rows = [
        row("5.4", "two fragments", &[frame(BINARY, b"a"), frame(FIN, b"b")], &[Binary(b"ab".to_vec())]),
        row(
            "5.4",
            "three fragments",
            &[start.clone(), middle.clone(), end.clone()],
            std::slice::from_ref(&whole),
        ),
        row("5.4", "an empty first", &[frame(BINARY, b""), frame(FIN, b"b")], &[Binary(b"b".to_vec())]),
        row("5.4", "an empty last", &[frame(BINARY, b"a"), frame(FIN, b"")], &[Binary(b"a".to_vec())]),
        row("5.4", "all empty", &[frame(TEXT, b""), frame(0, b""), frame(FIN, b"")], &[Text(vec![])]),
        row(
            "5.4",
            "pings between",
            &[start.clone(), ping(b"p"), middle.clone(), ping(b"q"), end.clone()],
            &[pong(b"p"), pong(b"q"), whole.clone()],
        ),
        row(
            "5.4",
            "a pong between",
            &[start.clone(), frame(FIN | PONG, b"p"), middle.clone(), end.clone()],
            &[whole],
        ),
        row(
            "5.5.1",
            "a close between",
            &[start.clone(), close(1000, b""), end.clone()],
            &[Close(Some(1000))],
        ),
        row("5.4", "a last fragment of nothing", &[end.clone(), unheard()], &refused),
        row("5.4", "a fragment of nothing", &[middle.clone(), end.clone()], &refused),
        row(
            "5.4",
            "a fragment after the last",
            &[start.clone(), end.clone(), end.clone()],
            &[Text(b"one three".to_vec()), Close(Some(PROTOCOL_ERROR))],
        ),
        row("5.4", "a text inside", &[start.clone(), text(b"new"), end.clone()], &refused),
        row("5.4", "a binary inside", &[start.clone(), binary(b"new"), end.clone()], &refused),
        row("5.4", "a first fragment inside", &[start.clone(), frame(TEXT, b"new"), end.clone()], &refused),
        row(
            "5.4",
            "an unfinished one, then a close",
            &[start, middle, close(1000, b"")],
            &[Close(Some(1000))],
        ),
    ];
    check(&rows, &[WHOLE, 3, 1]);
}

#[test]
fn fragments_of_every_size() {
    let payload = bytes(1 << 20);
    let letters = vec![b'x'; 1 << 20];
    let mut rows = Vec::new();
    for size in [64, 256, 1024, 4096, 16_384, 65_535, 65_536, 1 << 20] {
        let sent = [fragments(BINARY, &payload, size)];
        rows.push(row("5.4", format!("1 MiB in fragments of {size}"), &sent, &[Binary(payload.clone())]));
        let sent = [fragments(TEXT, &letters, size)];
        rows.push(row(
            "5.4",
            format!("1 MiB of text in fragments of {size}"),
            &sent,
            &[Text(letters.clone())],
        ));
    }
    rows.push(row("5.4", "single bytes", &[fragments(BINARY, &bytes(5000), 1)], &[Binary(bytes(5000))]));
    check(&rows, &[WHOLE, 1024]);
}

#[test]
fn text_that_is_utf8() {
    let mut rows = Vec::new();
    for valid in [
        "κόσμε",
        "Grüße – 日本語 🦀",
        "\u{0}",
        "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
        "\u{d7ff}\u{e000}\u{fffd}",
        "\u{fffe}\u{ffff}\u{1fffe}\u{10fffe}",
        "\u{feff}a mark of byte order",
    ] {
        let echoed = [Text(valid.as_bytes().to_vec())];
        rows.push(row("8.1", format!("{valid:?}"), &[text(valid.as_bytes())], &echoed));
        let split = fragments(TEXT, valid.as_bytes(), 1);
        rows.push(row("8.1", format!("{valid:?} in single bytes"), &[split], &echoed));
        let between: Vec<_> = fragments_with_pings(valid.as_bytes());
        let pongs = (0..valid.len()).map(|_| Pong(vec![]));
        let said: Vec<_> = pongs.chain(echoed).collect();
        rows.push(row("8.1", format!("{valid:?}, pings between its bytes"), &between, &said));
    }
    // Only text has to be UTF-8.
    rows.push(row(
        "5.6",
        "no UTF-8, but binary",
        &[binary(b"\xff\xed\xa0\x80")],
        &[Binary(b"\xff\xed\xa0\x80".to_vec())],
    ));
    check(&rows, &[WHOLE, 1]);
}

fn fragments_with_pings(payload: &[u8]) -> Vec<Vec<u8>> {
    let last = payload.len() - 1;
    let parts = payload.iter().enumerate().flat_map(|(n, byte)| {
        let kind = if n == 0 { TEXT } else { CONTINUATION };
        [ping(b""), frame(if n == last { FIN | kind } else { kind }, &[*byte])]
    });
    parts.collect()
}

#[test]
fn text_that_is_not_utf8() {
    let refused = [Close(Some(NOT_UTF8))];
    let mut rows = Vec::new();
    let endings: [(&str, &[u8]); 20] = [
        ("a continuation byte alone", b"\x80"),
        ("the last continuation byte alone", b"\xbf"),
        ("two bytes, the second missing", b"\xc2"),
        ("three bytes, the third missing", b"\xe2\x82"),
        ("four bytes, the fourth missing", b"\xf0\x9f\xa6"),
        ("two bytes, the second no continuation", b"\xc2A"),
        ("three bytes, the third no continuation", b"\xe2\x82A"),
        ("four bytes, the fourth no continuation", b"\xf0\x9f\xa6A"),
        ("'/' in two bytes", b"\xc0\xaf"),
        ("'/' in three bytes", b"\xe0\x80\xaf"),
        ("'/' in four bytes", b"\xf0\x80\x80\xaf"),
        ("NUL in two bytes", b"\xc0\x80"),
        ("U+07FF in three bytes", b"\xe0\x9f\xbf"),
        ("U+FFFF in four bytes", b"\xf0\x8f\xbf\xbf"),
        ("the first surrogate", b"\xed\xa0\x80"),
        ("the last surrogate", b"\xed\xbf\xbf"),
        ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("above U+10FFFF", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("bytes that never occur", b"\xfe\xff"),
    ];
    for (what, bad) in endings {
        let payload = [b"before ", bad].concat();
        rows.push(row("8.1", what, &[text(&payload), unheard()], &refused));
        rows.push(row("8.1", format!("{what}, split"), &[fragments(TEXT, &payload, 1), unheard()], &refused));
        let sent = [frame(TEXT, b"good "), frame(FIN, bad), unheard()];
        rows.push(row("8.1", format!("{what}, in the second fragment"), &sent, &refused));
    }
    check(&rows, &[WHOLE, 1]);
}

#[test]
fn closing() {
    let echoed = |code| [Close(Some(code))];
    let mut rows = vec![
        row("5.5.1", "no code", &[frame(FIN | CLOSE, b"")], &[Close(None)]),
        row("5.5.1", "half a code", &[frame(FIN | CLOSE, b"\x03")], &echoed(PROTOCOL_ERROR)),
        row("5.5.1", "a reason", &[close(1000, "bis später".as_bytes())], &echoed(1000)),
        row("5.5.1", "the longest reason", &[close(1000, &[b'x'; 123])], &echoed(1000)),
        row(
            "5.5.1",
            "a reason that is not UTF-8",
            &[close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80")],
            &echoed(NOT_UTF8),
        ),
        row("5.5.1", "data after it", &[close(1000, b""), unheard()], &echoed(1000)),
        row("5.5.1", "a ping after it", &[close(1000, b""), ping(b"late")], &echoed(1000)),
        row("5.5.1", "a second one", &[close(1000, b""), close(1001, b"")], &echoed(1000)),
        row("5.5.1", "nonsense after it", &[close(1000, b""), vec![0xff; 300]], &echoed(1000)),
        row(
            "1.4",
            "a message before it",
            &[text(b"last"), close(1001, b"")],
            &[Text(b"last".to_vec()), Close(Some(1001))],
        ),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        rows.push(row("7.4", format!("code {code}"), &[close(code, b"")], &echoed(code)));
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        rows.push(row("7.4", format!("code {code}"), &[close(code, b"")], &echoed(PROTOCOL_ERROR)));
    }
    check(&rows, &[WHOLE, 1]);
}

#[test]
fn large_messages() {
    let mut rows = Vec::new();
    for len in [1 << 18, 1 << 20, 4 << 20, 16 << 20] {
        let payload = bytes(len);
        rows.push(row("5.2", format!("binary of {len}"), &[binary(&payload)], &[Binary(payload)]));
        let letters = "ж".repeat(len / 2).into_bytes();
        rows.push(row("5.2", format!("text of {len}"), &[text(&letters)], &[Text(letters)]));
    }
    check(&rows, &[WHOLE, 4099]);
}

#[test]
fn thousands_of_messages() {
    let mut rows = Vec::new();
    for len in [0, 16, 64, 256, 1024] {
        let payload = bytes(len);
        let sent = vec![binary(&payload); 3000];
        rows.push(row("5.2", format!("3,000 of {len}"), &sent, &vec![Binary(payload); 3000]));
    }
    let mixed = [ping(b"p"), text(b"t"), binary(b"b"), frame(FIN | PONG, b"")].concat();
    let said = [Pong(b"p".to_vec()), Text(b"t".to_vec()), Binary(b"b".to_vec())];
    let said: Vec<_> = said.iter().cycle().take(9000).cloned().collect();
    rows.push(row("5.4", "3,000 of each kind", &vec![mixed; 3000], &said));
    check(&rows, &[WHOLE, 61]);
    check(&rows[1..2], &[1]);
}
