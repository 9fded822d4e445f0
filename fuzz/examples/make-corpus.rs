//! Writes the seeds of each target into `corpus/`, beside what is there: real frames, packets and keys, and the first chapters of
//! stories, from which fuzzing goes on. Files keep their names as long as their content is the same.
#![allow(clippy::unwrap_used, reason = "a tool that cannot write its files is meant to stop")]

use std::{fs, iter};

use phantom_core::bits::BitWriter;
use phantom_core::id::PeerId;
use phantom_core::wire::{Answer, ClientFrame, Ended, OpenedBy, RelayFrame, Welcome};
use phantom_fuzz::{
    BITS, CLIENT_INPUTS, FRAME, KEY_TEXT, PACKET, PEER_INPUTS, RECORD, RELAY_INPUTS, Target, WORLD, replay,
};

fn main() {
    write(&FRAME, frames());
    write(&RECORD, records());
    write(&BITS, bits());
    write(&PACKET, packets());
    write(&KEY_TEXT, texts());
    write(&RELAY_INPUTS, relay_stories());
    write(&CLIENT_INPUTS, client_stories());
    write(&PEER_INPUTS, peer_stories());
    write(&WORLD, world_stories());
}

fn write(target: &Target, seeds: Vec<Vec<u8>>) {
    let folder = replay::corpus(target);
    fs::create_dir_all(&folder).unwrap();
    for seed in seeds {
        target.run(&seed);
        let name = blake3::hash(&seed).to_hex();
        fs::write(folder.join(format!("seed-{}", &name[..12])), seed).unwrap();
    }
}

fn frames() -> Vec<Vec<u8>> {
    let id = PeerId::from_bytes(*b"AF83X1").unwrap();
    let nonce = [0xbb; 16];
    let welcome = Welcome {
        id,
        reclaimed: true,
        owner: [0xee; 8],
        kid: 3,
        expiry: 0x0102_0304_0506_0708,
        token_key: [0x22; 32],
        channels: 2,
        idle_s: 30,
        request_s: 60,
    };
    let client = [
        ClientFrame::Register { version: 1, channels: 2 },
        ClientFrame::Reclaim {
            version: 1,
            channels: 2,
            kid: 3,
            id,
            owner: [1; 8],
            expiry: 9,
            mac: [0xaa; 16],
        },
        ClientFrame::Connect { request: 7, target: id, nonce },
        ClientFrame::Accept { request: 8, nonce },
        ClientFrame::Cancel { request: 9 },
        ClientFrame::Withdraw { request: 10 },
        ClientFrame::Close { channel: 0x0100 },
        ClientFrame::Rejoin { rendezvous: [0xdd; 16], role: 1 },
        ClientFrame::Ping { token: 11 },
    ];
    let relay = [
        RelayFrame::Hello { version: 1, challenge: [0x11; 16], work: 0 },
        RelayFrame::Welcome(welcome),
        RelayFrame::Answer { request: 7, answer: Answer::Requested },
        RelayFrame::Incoming { request: 8, source: id, nonce },
        RelayFrame::Ended { request: 8, answer: Answer::Withdrawn },
        RelayFrame::Opened { by: OpenedBy::Crossing, request: 7, channel: 0x0102, nonce },
        RelayFrame::Closed { channel: 0x0102, reason: Ended::Detached },
        RelayFrame::Attached { rendezvous: [0x55; 16], channel: 0x0102 },
        RelayFrame::Pong { token: 11 },
        RelayFrame::Drain { after_ms: 1000 },
    ];
    let client = client.iter().map(|frame| frame.encode().to_vec());
    let relay = relay.iter().map(|frame| frame.encode().to_vec());
    let rest = [&b""[..], b"\x20\0\0\x01\x02payload", b"\x20\0\0\x01\x02", b"\xff"].map(<[u8]>::to_vec);
    client.chain(relay).chain(rest).collect()
}

/// Steps of `record.rs`: kind of record, act, and what the act takes.
fn records() -> Vec<Vec<u8>> {
    let seal = |kind: u8, text: &str| [&[kind, 0, text.len() as u8], text.as_bytes()].concat();
    let (data, ctrl) = (7, 3);
    vec![
        [seal(data, "one"), vec![data, 1], seal(data, "two"), vec![data, 1]].concat(),
        [seal(data, "one"), seal(data, "two"), vec![data, 2, 1, data, 2, 0, data, 2, 0]].concat(),
        [seal(data, "old"), vec![2], vec![data, 1], seal(data, "new"), vec![data, 1]].concat(),
        [seal(data, "key"), vec![data, 1, 2], seal(data, "next"), vec![0, data, 1, 1, data, 1]].concat(),
        [seal(ctrl, "a"), seal(ctrl, "b"), vec![ctrl, 2, 1, ctrl, 2, 0, 4]].concat(),
        [seal(data, "flip"), vec![data, 3, 0, 0, 9, 1, 0], vec![data, 1]].concat(),
        [vec![data, 4], vec![0; 8], vec![0, 17], vec![0xaa; 17]].concat(),
        [vec![data, 5, 9], vec![0x10; 9]].concat(),
    ]
}

/// What to read, behind its length; then the stream.
fn bits() -> Vec<Vec<u8>> {
    let story = |fields: &[u8], fill: &dyn Fn(&mut BitWriter)| {
        let mut out = BitWriter::new();
        fill(&mut out);
        [&[fields.len() as u8], fields, &out.into_bytes()].concat()
    };
    vec![
        story(&[0, 2, 7], &|out| {
            out.write_bool(true);
            out.write_varint(300);
            out.write_str("Приветик!!!");
        }),
        story(&[1, 5, 1, 64, 3, 5, 4], &|out| {
            out.write_bits(31, 5).unwrap();
            out.write_bits(u64::MAX, 64).unwrap();
            out.write_signed(-77);
            out.write_f64(0.1);
            out.write_f32(1e9);
        }),
        story(&[6, 8, 3, 10], &|out| {
            out.write_bytes(b"bytes");
            out.write_fixed_bytes(b"abc");
        }),
        story(&[12, 11, 2], &|out| {
            out.write_frame(|inner| {
                inner.write_varint(17);
                Ok(())
            })
            .unwrap();
            out.write_more();
            out.write_varint(3);
        }),
        // Lists, maps and sets, as counts with items of few bits.
        vec![1, 14, 0x19, 0x08, 0x42, 0x10],
        vec![1, 15, 0x11, 0x18, 0xc4, 0x20],
        vec![1, 16, 0x10, 0x86, 0x41, 0x42],
        vec![2, 17, 18, 0x10, 0x01, 0x02, 0x80, 0x41],
        vec![3, 19, 20, 22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ]
}

/// Of the types in `packet.rs`, byte for byte.
fn packets() -> Vec<Vec<u8>> {
    let shot = [0b0011_1000, 0b1100_0000, b'A', b'n', b'n', 0xff, 0b1000_0100, 0b0100_0000, b'B', b'o', 0x80];
    let deep = |levels: u64| {
        let mut out = BitWriter::new();
        out.write_varint(7);
        out.write_str("");
        out.write_bits(0, 8).unwrap();
        out.write_bool(true);
        (0..levels).for_each(|_| out.write_varint(16));
        out.write_varint(0);
        (0..levels).for_each(|_| out.write_bits(9, 8).unwrap());
        out.write_varint(0);
        out.into_bytes().to_vec()
    };
    vec![
        deep(3),
        deep(70),
        shot.to_vec(),
        vec![0b0001_0000],
        vec![0b0001_1000, 0],
        vec![0b0001_1000, 0b1100_0000, 0b1000_0000],
        [&[0b0001_1000, 0b1000_1011], &shot[..]].concat(),
        vec![0b0011_1000, 0, 0, 0b1100_0110, 0b0000_1100, 0b0110_0000],
        vec![0b1111_0000],
        iter::repeat_n(0x8c, 200).collect(),
    ]
}

fn texts() -> Vec<Vec<u8>> {
    let generated =
        phantom_core::crypto::EncryptionKey::generate(&mut phantom_core::rng::Rng::from_seed(&[1; 32]));
    let generated = generated.to_text().to_string();
    let typo = generated.replacen(&generated[..1], if generated.starts_with('0') { "1" } else { "0" }, 1);
    // The last character of the key has two spare bits, and this key's are zero.
    let last = 31;
    let mut spare = generated.clone();
    let next = char::from(generated.as_bytes()[last] + 1).to_string();
    spare.replace_range(last..=last, &next);
    let lower = generated.to_lowercase().replace('-', "");
    let long = "x".repeat(1020);
    let texts = [
        &generated,
        &typo,
        &spare,
        &lower,
        &long,
        "ABCDE12345",
        " AF83X1\n",
        "",
        " \t",
        "ключ",
        "AF-3X1",
        "----",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Acts of `relay_inputs.rs`.
fn relay_stories() -> Vec<Vec<u8>> {
    let two = [1, 0, 1, 2];
    let ask = [4, 0, 1, 0];
    let met = [&two[..], &ask, &[6, 1, 0]].concat();
    let story = |acts: &[&[u8]]| acts.concat();
    vec![
        story(&[&met, &[13, 0, 0, 9, 3, 1, 2, 3], &[13, 1, 0, 9, 1, 7], &[10, 0, 0]]),
        story(&[&two, &ask, &[8, 1, 0], &[4, 1, 0, 0], &[9, 1, 0]]),
        story(&[&two, &ask, &[4, 1, 0, 0], &[13, 0, 0, 9, 1, 5]]),
        story(&[&two, &ask, &[19, 0, 0, 19, 0, 0]]),
        story(&[&met, &[17, 0, 1, 1], &[19, 31, 3], &[13, 0, 0, 9, 1, 5]]),
        story(&[&met, &[16, 0, 1], &[0], &[3, 2, 0, 9], &[13, 1, 0, 9, 1, 5]]),
        story(&[&two, &[11, 0, 1, 0], &[11, 1, 1, 1], &[13, 0, 0, 9, 1, 5], &[10, 1, 0]]),
        story(&[&[0, 2, 0, 1, 0, 0, 2, 1, 0, 3], &[19, 11, 3, 18, 0, 0, 0, 9]]),
        story(&[&two, &[1, 9, 1, 9], &ask, &[4, 2, 1, 0], &[4, 3, 1, 0], &[16, 1, 1], &[12, 0, 0, 0, 0, 5]]),
        story(&[&met, &[13, 0, 0, 0], &[13, 0, 0, 1], &[15, 1, 2, 0x20, 0]]),
        story(&[
            &[1, 9, 1, 9, 1, 9, 1, 9, 1, 9],
            &[4, 1, 0, 0, 4, 2, 0, 0, 4, 3, 0, 0, 4, 4, 0, 0],
            &[4, 1, 2, 0, 4, 1, 3, 0],
        ]),
        story(&[&two, &[4, 1, 0, 0, 8, 0, 0].repeat(5)]),
        story(&[&[1, 0], &[19, 72, 4], &[19, 0, 0], &[19, 9, 5]]),
        story(&[&[1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0], &[16, 2, 1, 1, 0]]),
    ]
}

/// Acts of `client_inputs.rs`: which side, what, and how.
fn client_stories() -> Vec<Vec<u8>> {
    let met = [0, 0, 0, 4];
    let send = [0, 7, 0, 0, 0, 2, 1];
    let story = |acts: &[&[u8]]| acts.concat();
    vec![
        story(&[&met, &send, &[0, 0, 1, 14, 9]]),
        story(&[&met, &[0, 7, 0, 0, 0, 5, 15, 0, 0, 1, 14, 20, 0, 0, 0, 31, 2, 1, 14, 20]]),
        story(&[&met, &send, &[0, 25, 0, 1, 0, 31, 2, 0, 31, 2, 0, 31, 2, 1, 14, 9]]),
        story(&[&met, &send, &[0, 0, 1, 14, 9, 0, 7, 3, 0, 0, 0, 0, 31, 2, 1, 14, 9]]),
        story(&[&[0, 1], &[0, 4], &send, &[1, 7, 11, 0, 0, 0, 0, 0, 0, 31, 2, 1, 14, 3]]),
        story(&[&[0, 3], &[0, 4], &[1, 7, 12, 0, 0, 0, 0, 0, 31, 2]]),
        story(&[&met, &send, &[0, 5, 1, 15, 3, 0, 0, 20, 1, 0, 0]]),
        story(&[&met, &send, &[0, 5, 1, 15, 0, 0, 0, 0, 0, 31, 2, 0, 31, 2, 1, 14, 9]]),
        story(&[&met, &send, &[0, 0, 1, 15, 4, 0, 0, 0, 0, 1, 14, 9]]),
        story(&[&met, &[1, 18, 0, 8, 0, 1, 0, 0, 0, 31, 2, 0, 0]]),
        story(&[&met, &[0, 21, 0, 0, 0, 1, 0, 1, 21, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3]]),
        story(&[&[0, 0, 0, 0], &[1, 18, 0, 3, 2, 0, 0], &[1, 18, 0, 6, 1, 2, 0, 0]]),
        story(&[&[0, 0, 0, 0], &[1, 18, 0, 3, 0, 0, 0], &[1, 18, 0, 3, 1, 1, 0], &[1, 18, 0, 3, 2, 2, 0]]),
        story(&[&met, &[0, 7, 0, 0, 0, 4, 15, 0, 5, 0, 5, 1, 6, 0, 5, 0, 5, 1, 6, 1, 5, 1, 5, 0, 6, 0, 6]]),
        story(&[&met, &[0, 7, 4, 0, 0, 0, 0, 1, 14, 9]]),
        story(&[&[0, 0, 0, 0, 0, 0], &[0, 7, 9, 0, 0, 0, 0, 5, 1, 6, 1, 7, 10, 0, 0, 0, 0, 0, 31, 2]]),
        story(&[&[0, 0, 0, 0, 0, 0], &[0, 7, 9, 0, 1, 7, 9, 0, 0, 5, 1, 5, 0, 0, 0, 0]]),
        // They have met before the first act; with two keys, and with one.
        story(&[&[0x80, 0], &send, &[0, 0, 1, 14, 9]]),
        story(&[&[0x80, 1], &[1, 7, 11, 0, 0, 0, 0], &send, &[0, 0, 1, 14, 9]]),
        story(&[&[0x40, 0], &[0, 4], &send, &[0, 25, 0, 1]]),
    ]
}

/// Acts of `peer_inputs.rs`.
fn peer_stories() -> Vec<Vec<u8>> {
    let story = |acts: &[&[u8]]| acts.concat();
    let packet = [0, 1, 0, 3, b'a', b'b', b'c'];
    let state = [6, 0, 0, 0, 0];
    vec![
        story(&[&[0], &packet, &[12, 3], &state, &[18]]),
        story(&[&[0], &[0, 0, 0, 2, 1, 2], &[0, 0, 200, 0], &packet, &[12, 1]]),
        story(&[&[0], &[5, 2, 1, 2, 9, 3, 4, 9, 5, 6, 9], &[12, 9]]),
        story(&[&[0], &[0, 3, 0, 0], &packet, &[12, 2]]),
        story(&[&[0], &[0, 2, 0, 0], &[15, 0], &state, &[18], &[18]]),
        story(&[&[0], &[10, 5, 9], &[6, 0, 0, 1, 1], &[6, 0, 0, 0, 2], &[18]]),
        story(&[&[0], &packet, &[14, 1], &[18, 14, 0], &[18], &packet, &state]),
        story(&[&[1], &packet, &[14, 1], &[18]]),
        story(&[&[0], &[9, 2, 2, 0]]),
        story(&[&[0], &[9, 1, 2]]),
        story(&[&[0], &[6, 220, 9, 0, 0, 0]]),
        story(&[
            &[0],
            &[10, 4, 3],
            &[16, 0, 0, 0],
            &[6, 160, 4, 0, 0, 2],
            &[6, 0, 0, 0, 0],
            &[16, 255, 255, 255],
        ]),
        story(&[&[0], &[10, 4, 3], &[6, 160, 2, 0, 0, 0], &[18]]),
        story(&[&[0], &[0, 1, 200, 0].repeat(200)]),
        story(&[&[0], &[0, 0, 200, 0].repeat(200)]),
        story(&[&[0], &[9, 3, 1, 2, 3]]),
        story(&[&[30], &[10, 6, 0, 10, 4, 3], &[6, 0, 0, 4, 2], &[17, 40], &[18]]),
        story(&[&[0], &[16, 0, 0, 0, 10, 2, 7], &[16, 4, 0, 9], &[18]]),
        story(&[&[0], &packet, &[13, 0, 0, 7, 1], &[18]]),
    ]
}

/// In every layout something is sent, and a link is cut or the relay starts anew.
fn world_stories() -> Vec<Vec<u8>> {
    let (send, wait) = ([0, 0, 0, 1], [4, 0, 0, 9, 8]);
    let cut = [8, 0, 0];
    let (kill, start) = ([17, 0, 0], [18, 0, 0]);
    let broken = |layout| {
        if layout % 2 == 0 { [&cut[..], &send, &wait].concat() } else { [&kill[..], &wait, &start].concat() }
    };
    (0..24).map(|layout| [&[layout][..], &send, &wait, &broken(layout)].concat()).collect()
}
