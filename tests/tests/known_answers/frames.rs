//! `frames.json`: one frame of each kind, its fields and its bytes; frames that are refused, and how; every number with a name.

use bytes::BytesMut;
use phantom_core::client::{self, Client, ClientConfig};
use phantom_core::id::PeerId;
use phantom_core::relay::{self, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::time::Instant;
use phantom_core::wire::{
    Answer, ClientFrame, CloseCode, Ended, FORWARD_HEADER, ForwardHeader, OpenedBy, RelayFrame, Welcome,
};
use serde_json::{Value, json};

use super::{assert_frozen, hex};

#[test]
fn frames_are_the_frozen_ones() {
    let names = |list: Vec<(u64, String)>| -> Vec<Value> {
        list.into_iter().map(|(number, name)| json!({ "number": number, "name": name })).collect()
    };
    let ended = [Ended::Closed, Ended::Detached, Ended::Stuck, Ended::NotConnected];
    let opened = [OpenedBy::Approval, OpenedBy::Acceptance, OpenedBy::Crossing];
    let computed = json!({
        "about": "Known answers of the Phantom protocol, version 1: frames. Byte strings are lower-case hexadecimal.",
        "from_client": client_frames().iter().map(|(name, fields, frame)| {
            assert_eq!(ClientFrame::decode(&frame.encode()).as_ref(), Ok(frame), "{name}");
            json!({ "name": name, "fields": fields, "frame": hex(&*frame.encode()) })
        }).collect::<Vec<_>>(),
        "from_relay": relay_frames().iter().map(|(name, fields, frame)| {
            assert_eq!(RelayFrame::decode(&frame.encode()).as_ref(), Ok(frame), "{name}");
            json!({ "name": name, "fields": fields, "frame": hex(&*frame.encode()) })
        }).collect::<Vec<_>>(),
        "from_either": [forward()],
        "refused_by_relay": refused(&client_frames().map(|(.., frame)| frame.encode().to_vec()), &[
            "", "00", "0a", "20", "2000000001", "80", "82", "ff",
            // Not an ID; channels 0 and 65; version 2; role 2.
            "0300000001414638332d31000102030405060708090a0b0c0d0e0f", "010100", "010141", "010201",
            "08000102030405060708090a0b0c0d0e0f02",
        ], at_relay),
        "refused_by_client": refused(&relay_frames().map(|(.., frame)| frame.encode().to_vec()), &[
            "", "00", "01", "20", "2000000001", "80", "8b", "ff",
            // Answers 0 and 19; ends 0 and 5; opened by 3; not an ID.
            "830000000100", "830000000113", "870000010000", "870000010005",
            "8603000000010000010010111213141516171819191a1b1c1d1e", "84000000014146383320310000000000000000000000000000000000",
        ], at_client),
        "answers": names(Answer::ALL.map(|a| (a.to_wire().into(), format!("{a:?}"))).to_vec()),
        "close_codes": names(CloseCode::ALL.map(|c| (c.to_wire().into(), format!("{c:?}"))).to_vec()),
        "closed_reasons": names(ended.map(|e| (e.to_wire().into(), format!("{e:?}"))).to_vec()),
        "opened_by": names(opened.map(|o| (o as u64, format!("{o:?}"))).to_vec()),
    });
    assert_frozen("frames.json", &computed);
}

const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const OTHER_NONCE: [u8; 16] = [16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];
const OWNER: [u8; 8] = *b"\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7";
const EXPIRY: u64 = 1_800_086_400;

fn id() -> PeerId {
    "AF83X1".parse().unwrap()
}

fn client_frames() -> [(&'static str, Value, ClientFrame); 9] {
    let (id, nonce, owner) = (id(), NONCE, OWNER);
    [
        (
            "REGISTER",
            json!({ "version": 1, "channels": 4 }),
            ClientFrame::Register { version: 1, channels: 4 },
        ),
        (
            "RECLAIM",
            json!({
                "version": 1, "channels": 4, "kid": 7, "id": id.to_string(), "owner": hex(owner), "expiry": EXPIRY,
                "mac": hex(OTHER_NONCE),
            }),
            ClientFrame::Reclaim {
                version: 1,
                channels: 4,
                kid: 7,
                id,
                owner,
                expiry: EXPIRY,
                mac: OTHER_NONCE,
            },
        ),
        (
            "CONNECT",
            json!({ "request": 1, "target": id.to_string(), "nonce": hex(nonce) }),
            ClientFrame::Connect { request: 1, target: id, nonce },
        ),
        ("ACCEPT", json!({ "request": 2, "nonce": hex(nonce) }), ClientFrame::Accept { request: 2, nonce }),
        ("CANCEL", json!({ "request": 3 }), ClientFrame::Cancel { request: 3 }),
        ("WITHDRAW", json!({ "request": 4 }), ClientFrame::Withdraw { request: 4 }),
        ("CLOSE", json!({ "channel": 0x0102 }), ClientFrame::Close { channel: 0x0102 }),
        (
            "REJOIN",
            json!({ "rendezvous": hex(nonce), "role": 1 }),
            ClientFrame::Rejoin { rendezvous: nonce, role: 1 },
        ),
        ("PING", json!({ "token": 0x0102_0304 }), ClientFrame::Ping { token: 0x0102_0304 }),
    ]
}

fn relay_frames() -> [(&'static str, Value, RelayFrame); 10] {
    let (id, nonce) = (id(), NONCE);
    let token_key: [u8; 32] = std::array::from_fn(|i| 0xc0 + i as u8);
    let welcome = Welcome {
        id,
        reclaimed: true,
        owner: OWNER,
        kid: 7,
        expiry: EXPIRY,
        token_key,
        channels: 4,
        idle_s: 30,
        request_s: 60,
    };
    [
        (
            "HELLO",
            json!({ "version": 1, "challenge": hex(nonce), "work": 0 }),
            RelayFrame::Hello { version: 1, challenge: nonce, work: 0 },
        ),
        (
            "WELCOME",
            json!({
                "id": id.to_string(), "reclaimed": 1, "owner": hex(OWNER), "kid": 7, "expiry": EXPIRY,
                "token_key": hex(token_key), "channels": 4, "idle_s": 30, "request_s": 60,
            }),
            RelayFrame::Welcome(welcome),
        ),
        (
            "ANSWER",
            json!({ "request": 1, "answer": 6 }),
            RelayFrame::Answer { request: 1, answer: Answer::Declined },
        ),
        (
            "INCOMING",
            json!({ "request": 2, "source": id.to_string(), "nonce": hex(nonce) }),
            RelayFrame::Incoming { request: 2, source: id, nonce },
        ),
        (
            "ENDED",
            json!({ "request": 2, "answer": 12 }),
            RelayFrame::Ended { request: 2, answer: Answer::Expired },
        ),
        (
            "OPENED",
            json!({ "by": 2, "request": 1, "channel": 0x0100, "nonce": hex(nonce) }),
            RelayFrame::Opened { by: OpenedBy::Crossing, request: 1, channel: 0x0100, nonce },
        ),
        (
            "CLOSED",
            json!({ "channel": 0x0100, "reason": 2 }),
            RelayFrame::Closed { channel: 0x0100, reason: Ended::Detached },
        ),
        (
            "ATTACHED",
            json!({ "rendezvous": hex(nonce), "channel": 0x0200 }),
            RelayFrame::Attached { rendezvous: nonce, channel: 0x0200 },
        ),
        ("PONG", json!({ "token": 0x0102_0304 }), RelayFrame::Pong { token: 0x0102_0304 }),
        ("DRAIN", json!({ "after_ms": 1000 }), RelayFrame::Drain { after_ms: 1000 }),
    ]
}

fn forward() -> Value {
    let frame = [&ForwardHeader { channel: 0x0102 }.to_bytes(), &b"payload"[..]].concat();
    assert_eq!(ForwardHeader::peek(&frame), Some(ForwardHeader { channel: 0x0102 }));
    let mut passed_on = frame.clone();
    ForwardHeader { channel: 0x0304 }.rewrite(&mut passed_on);
    json!({
        "name": "FORWARD",
        "fields": { "channel": 0x0102, "payload": hex(&frame[FORWARD_HEADER..]) },
        "frame": hex(&frame),
        "passed_on_as_channel_772": hex(passed_on),
    })
}

/// Each frame with a byte too few and one too many, and the others as they are: the code that ends the connection for it.
fn refused(good: &[Vec<u8>], bad: &[&str], judge: fn(&[u8]) -> CloseCode) -> Vec<Value> {
    let lengths =
        good.iter().flat_map(|frame| [frame[..frame.len() - 1].to_vec(), [frame, &[0][..]].concat()]);
    let others = bad.iter().map(|text| super::unhex(text));
    lengths
        .chain(others)
        .map(|frame| json!({ "frame": hex(&frame), "close": judge(&frame).to_wire() }))
        .collect()
}

/// What a relay does with a frame of a client. That of a client that is registered, but for the two frames that register one.
fn at_relay(frame: &[u8]) -> CloseCode {
    let mut relay = Relay::new(RelayConfig::new(RelaySecret::new(0, [1; 32]), 0), [2; 32]);
    let from = relay.open(Instant::ZERO, Source::Unknown).unwrap();
    let register = ClientFrame::Register { version: 1, channels: 1 };
    let first = !matches!(frame.first(), Some(1 | 2));
    for frame in first.then(|| register.encode().to_vec()).into_iter().chain([frame.to_vec()]) {
        let _ = relay.handle(Instant::ZERO, relay::Input::Frame { from, frame: &mut frame.clone() });
    }
    let close = std::iter::from_fn(|| relay.poll_output()).find_map(|output| match output {
        relay::Output::Close { code, .. } => Some(code),
        _ => None,
    });
    close.unwrap_or_else(|| panic!("{} is not refused", hex(frame)))
}

/// What a client that is online does with a frame of the relay.
fn at_client(frame: &[u8]) -> CloseCode {
    let mut client = Client::new(ClientConfig::default(), [3; 32]);
    client.handle(Instant::ZERO, client::Input::Timeout);
    client.handle(Instant::ZERO, client::Input::Connected);
    let [(.., hello), (.., welcome), ..] = relay_frames();
    for frame in [&hello.encode()[..], &welcome.encode()[..], frame] {
        client.handle(Instant::ZERO, client::Input::Received(BytesMut::from(frame)));
    }
    let close = std::iter::from_fn(|| client.poll_output()).find_map(|output| match output {
        client::Output::HangUp(code) => Some(code),
        _ => None,
    });
    close.unwrap_or_else(|| panic!("{} is not refused", hex(frame)))
}
