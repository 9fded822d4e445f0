//! Byte-exact frames, every truncation, every unknown kind.

use alloc::vec::Vec;
use std::string::String;

use proptest::prelude::*;

use super::*;
use crate::id::PeerId;

fn id(text: &str) -> PeerId {
    text.parse().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| std::format!("{b:02x}")).collect()
}

/// One frame of each kind a client sends, with its bytes.
fn client_frames() -> Vec<(ClientFrame, &'static str)> {
    use ClientFrame::*;
    std::vec![
        (Register { version: 1, channels: 2 }, "010102"),
        (
            Reclaim {
                version: 1,
                channels: 2,
                kid: 3,
                id: id("AF83X1"),
                owner: [0xee; 8],
                expiry: 0x0102_0304_0506_0708,
                mac: [0xaa; 16]
            },
            "02010203414638335831eeeeeeeeeeeeeeee\
             0102030405060708aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        (
            Connect { request: 7, target: id("AF83X1"), nonce: [0xbb; 16] },
            "0300000007414638335831bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        ),
        (Accept { request: 8, nonce: [0xcc; 16] }, "0400000008cccccccccccccccccccccccccccccccc"),
        (Cancel { request: 9 }, "0500000009"),
        (Withdraw { request: 10 }, "060000000a"),
        (Close { channel: 0x0100 }, "0700000100"),
        (Rejoin { rendezvous: [0xdd; 16], role: 1 }, "08dddddddddddddddddddddddddddddddd01"),
        (Ping { token: 11 }, "090000000b"),
    ]
}

/// One frame of each kind a relay sends, with its bytes.
fn relay_frames() -> Vec<(RelayFrame, &'static str)> {
    use RelayFrame::*;
    std::vec![
        (Hello { version: 1, challenge: [0x11; 16], work: 0 }, "81011111111111111111111111111111111100"),
        (
            RelayFrame::Welcome(super::Welcome {
                id: id("AF83X1"),
                reclaimed: true,
                owner: [0xee; 8],
                kid: 3,
                expiry: 0x0102_0304_0506_0708,
                token_key: [0x22; 32],
                channels: 2,
                idle_s: 30,
                request_s: 60,
            }),
            "8241463833583101eeeeeeeeeeeeeeee03010203040506070822222222222222222222222222222222222222222222222222222222222222220200\
             1e003c",
        ),
        (RelayFrame::Answer { request: 7, answer: super::Answer::Requested }, "830000000701"),
        (
            Incoming { request: 8, source: id("b00B00"), nonce: [0x33; 16] },
            "840000000862303042303033333333333333333333333333333333",
        ),
        (RelayFrame::Ended { request: 8, answer: super::Answer::Withdrawn }, "85000000080b"),
        (
            Opened { by: OpenedBy::Crossing, request: 7, channel: 0x0102, nonce: [0x44; 16] },
            "86020000000700000102\
             44444444444444444444444444444444",
        ),
        (Closed { channel: 0x0102, reason: super::Ended::Detached }, "870000010202"),
        (Attached { rendezvous: [0x55; 16], channel: 0x0102 }, "885555555555555555555555555555555500000102",),
        (Pong { token: 11 }, "890000000b"),
        (Drain { after_ms: 1000 }, "8a000003e8"),
    ]
}

#[test]
fn each_frame_has_exactly_these_bytes() {
    for (frame, bytes) in client_frames() {
        assert_eq!(hex(&frame.encode()), bytes, "{frame:?}");
        assert_eq!(ClientFrame::decode(&frame.encode()), Ok(frame));
    }
    for (frame, bytes) in relay_frames() {
        assert_eq!(hex(&frame.encode()), bytes, "{frame:?}");
        assert_eq!(RelayFrame::decode(&frame.encode()), Ok(frame));
    }
}

#[test]
fn a_frame_cut_or_lengthened_is_malformed() {
    fn wrong_lengths(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = (1..bytes.len()).map(|n| bytes[..n].to_vec()).collect();
        all.push([bytes, &[0]].concat());
        all
    }
    for (frame, _) in client_frames() {
        for bytes in wrong_lengths(&frame.encode()) {
            assert_eq!(ClientFrame::decode(&bytes), Err(DecodeError::Malformed(bytes[0])), "{frame:?}");
        }
    }
    for (frame, _) in relay_frames() {
        for bytes in wrong_lengths(&frame.encode()) {
            assert_eq!(RelayFrame::decode(&bytes), Err(DecodeError::Malformed(bytes[0])), "{frame:?}");
        }
    }
    assert_eq!(ClientFrame::decode(&[]), Err(DecodeError::Empty));
    assert_eq!(RelayFrame::decode(&[]), Err(DecodeError::Empty));
}

#[test]
fn a_kind_belongs_to_one_direction() {
    let known = |frames: &[u8], kind| frames.contains(&kind);
    let client: Vec<u8> = client_frames().iter().map(|(f, _)| f.encode()[0]).collect();
    let relay: Vec<u8> = relay_frames().iter().map(|(f, _)| f.encode()[0]).collect();
    for kind in 0..=255 {
        let bytes = [kind];
        assert_eq!(ClientFrame::decode(&bytes) == Err(DecodeError::UnknownKind(kind)), !known(&client, kind));
        assert_eq!(RelayFrame::decode(&bytes) == Err(DecodeError::UnknownKind(kind)), !known(&relay, kind));
    }
}

#[test]
fn fields_out_of_range_are_malformed() {
    let reject = |text: &str| {
        let bytes: Vec<u8> =
            (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect();
        assert_eq!(ClientFrame::decode(&bytes).or(Err(())).err(), Some(()), "{text}");
        assert_eq!(RelayFrame::decode(&bytes).or(Err(())).err(), Some(()), "{text}");
    };
    reject("030000000741463833582dbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"); // a hyphen in the ID
    reject("08dddddddddddddddddddddddddddddddd02"); // role 2
    reject("830000000700"); // answer 0
    reject("830000000713"); // answer 19
    reject("8603000000070000010244444444444444444444444444444444"); // opened by 3
    reject("870000010200"); // reason 0
    reject("870000010205"); // reason 5
}

#[test]
fn forward_header_is_rewritten_in_place() {
    let mut frame = *b"\x20\0\0\x01\x02payload";
    assert_eq!(ForwardHeader::peek(&frame), Some(ForwardHeader { channel: 0x0102 }));
    ForwardHeader { channel: 0xdead_beef }.rewrite(&mut frame);
    assert_eq!(&frame, b"\x20\xde\xad\xbe\xefpayload");
    for len in 0..=FORWARD_HEADER {
        assert_eq!(ForwardHeader::peek(&frame[..len]), None, "a FORWARD without payload is malformed");
    }
    ForwardHeader { channel: 1 }.rewrite(&mut frame[..3]);
    assert_eq!(&frame[..3], b"\x20\xde\xad");
}

#[test]
fn codes_survive_the_wire() {
    for answer in Answer::ALL {
        assert_eq!(Answer::from_wire(answer.to_wire()), Some(answer));
    }
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::from_wire(code.to_wire()), Some(code));
        let legal = matches!(code.to_wire(), 1000 | 1001 | 4000..=4999);
        assert!(legal, "{code:?} is not a code that an application may send (RFC 6455, 7.4)");
    }
    assert_eq!((Answer::from_wire(0), Answer::from_wire(19)), (None, None));
}

proptest! {
    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80), kind in any::<u8>()) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = if kind % 2 == 0 { kind % 12 } else { 0x80 + kind % 12 };
        }
        if let Ok(frame) = ClientFrame::decode(&bytes) {
            prop_assert_eq!(&*frame.encode(), &bytes[..]);
        }
        if let Ok(frame) = RelayFrame::decode(&bytes) {
            prop_assert_eq!(&*frame.encode(), &bytes[..]);
        }
    }
}
