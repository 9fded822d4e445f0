#![allow(clippy::unwrap_used, reason = "in a test that is a failure")]

use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use super::*;

const MAX: usize = 70_000;

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(len as u8),
        len @ 126..=65_535 => {
            bytes.push(126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// All that a decoder finds in these bytes, when they come in pieces of `piece` bytes.
fn decode(bytes: &[u8], piece: usize) -> Vec<Incoming> {
    let (mut decoder, mut input, mut found) = (Decoder::new(MAX), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        while let Some(incoming) = decoder.next(&mut input) {
            let last = matches!(incoming, Incoming::Broken | Incoming::Text | Incoming::TooLarge);
            found.push(incoming);
            if last {
                return found;
            }
        }
        assert!(decoder.missing(&input) > 0, "what is all there is found");
    }
    found
}

fn message(payload: &[u8]) -> Incoming {
    Incoming::Message(BytesMut::from(payload))
}

#[test]
fn messages_of_every_form_come_whole_however_they_are_cut() {
    for len in [0, 1, 125, 126, 65_535, 65_536, MAX] {
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let mut bytes = frame(0x82, &payload);
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x8a, b"unasked"));
        bytes.extend(frame(0x88, &[3, 0xe8, b'!']));
        let expected =
            [message(&payload), Incoming::Ping(Bytes::from_static(b"ping")), Incoming::Close(Some(1000))];
        for piece in [1 + len / 50, 7 + len, usize::MAX] {
            assert_eq!(decode(&bytes, piece), expected, "{len} bytes in pieces of {piece}");
        }
    }
}

#[test]
fn a_message_in_pieces_is_put_together_with_control_frames_in_between() {
    let pieces = [frame(2, b"one "), frame(0x89, b""), frame(0, b"two "), frame(0x80, b"three")];
    let after = frame(0x82, b"four");
    let bytes = [pieces.concat(), after].concat();
    let expected = [Incoming::Ping(Bytes::new()), message(b"one two three"), message(b"four")];
    assert_eq!(decode(&bytes, 3), expected);
}

#[test]
fn what_must_not_come_is_seen_by_its_header_alone() {
    let long = |first: u8, len: u64| [&[first, 127][..], &len.to_be_bytes()].concat();
    for (bytes, expected) in [
        (long(0x82, MAX as u64 + 1), Incoming::TooLarge),
        ([frame(2, &[0; 10]), long(0x80, MAX as u64 - 9)].concat(), Incoming::TooLarge),
        (vec![0x81, 100], Incoming::Text),
        (vec![1, 100], Incoming::Text),
        (long(0x82, 1 << 63), Incoming::Broken),
        (long(0x82, 65_535), Incoming::Broken),
        (vec![0x82, 126, 0, 125], Incoming::Broken),
        (vec![0x80, 1], Incoming::Broken),
        ([frame(2, b"a"), vec![0x82, 1]].concat(), Incoming::Broken),
        (vec![0x82, 0x81, 1, 2, 3, 4], Incoming::Broken),
        (vec![0xc2, 1], Incoming::Broken),
        (vec![0x83, 1], Incoming::Broken),
        (vec![0x8b, 1], Incoming::Broken),
        (vec![9, 1], Incoming::Broken),
        (vec![0x88, 126, 0, 126], Incoming::Broken),
    ] {
        assert_eq!(decode(&bytes, usize::MAX).pop(), Some(expected), "{bytes:x?}");
    }
}

#[test]
fn a_message_is_not_copied() {
    let mut input = BytesMut::from(&frame(0x82, &[7; 1000])[..]);
    let place = input[4..].as_ptr();
    let Some(Incoming::Message(found)) = Decoder::new(MAX).next(&mut input) else { panic!("a message") };
    assert_eq!(found.as_ptr(), place);
}

/// Another implementation reads what is written here.
#[test]
fn what_is_sent_is_read_elsewhere() {
    for len in [0, 1, 63, 64, 65, 125, 126, 1000, 65_535, 65_536, 70_001] {
        let payload: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
        let mut out = BytesMut::new();
        put_frame(&mut out, opcode::BINARY, &payload, [1, 2, 3, 4]);
        put_frame(&mut out, opcode::CLOSE, &[3, 0xe8], [5, 6, 7, 8]);
        let stream = std::io::Cursor::new(out.to_vec());
        let config = WebSocketConfig::default();
        let mut server = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
        assert_eq!(server.read().unwrap(), Message::Binary(payload.into()));
        assert!(
            matches!(server.read().unwrap(), Message::Close(Some(close)) if u16::from(close.code) == 1000)
        );
    }
}
