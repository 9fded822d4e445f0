//! A client that keeps no rule: any frame at any time, on a link that the relay takes for a client's.
//!
//! It knows the IDs of all clients, which is more than a stranger would. Numbers are chosen near those that are in use, so that its
//! frames reach deep.

use phantom_core::id::PeerId;
use phantom_core::rng::Rng;
use phantom_core::wire::{ClientFrame, FORWARD, FRAME_MAX, VERSION};

/// The next thing that a stranger says. `known` is who is there, itself included.
#[must_use]
pub fn frame(rng: &mut Rng, known: &[PeerId]) -> Vec<u8> {
    use ClientFrame as F;
    let [kind, pick, number, role] = rng.bytes();
    let somebody = || known.get(usize::from(pick) % known.len().max(1)).copied();
    let id = somebody().filter(|_| pick < 240).unwrap_or("ZZZZZZ".parse().expect("an ID"));
    let number = match role % 8 {
        0 => u32::MAX,
        1 => 0,
        2 => u32::from(number) << 8 | 1,
        _ => u32::from(number % 16) + 1,
    };
    let (nonce, mac) = (rng.bytes(), rng.bytes::<16>());
    let frame = match kind % 16 {
        0 => F::Register { version: VERSION, channels: pick },
        1 => F::Reclaim {
            version: VERSION,
            channels: 4,
            kid: 1,
            id,
            owner: rng.bytes(),
            expiry: u64::MAX,
            mac,
        },
        2..=4 => F::Connect { request: number, target: id, nonce },
        5 | 6 => F::Accept { request: number, nonce },
        7 => F::Cancel { request: number },
        8 => F::Withdraw { request: number },
        9 => F::Close { channel: number },
        10 => F::Rejoin { rendezvous: nonce, role: role % 3 },
        11 => F::Ping { token: number },
        12..=14 => return forward(rng, number, usize::from(pick)),
        _ => return junk(rng, usize::from(pick)),
    };
    let mut bytes = frame.encode().to_vec();
    // One in sixteen is cut short or has something behind it.
    match mac[0] {
        0..8 => bytes.truncate(usize::from(pick) % bytes.len()),
        8..16 => bytes.push(pick),
        _ => {}
    }
    bytes
}

/// A payload for a channel; now and then the longest there is, or one byte more.
fn forward(rng: &mut Rng, channel: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![FORWARD];
    bytes.extend(channel.to_be_bytes());
    match len {
        255 => bytes.resize(FRAME_MAX + 1, 0x10),
        254 => bytes.resize(FRAME_MAX, 0x10),
        _ => bytes.extend(junk(rng, len)),
    }
    bytes
}

fn junk(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| rng.bytes::<1>()[0]).collect()
}
