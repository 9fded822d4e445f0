//! Packets: whatever decodes is a value that can be encoded, and that decodes from there to itself; the registry says the same as the
//! decoder.

use phantom_core::bits::{Bits, ReadError};
use phantom_core::packet::{self, DecodeError, DispatchError, Packet, Registry};

#[derive(Packet)]
#[packet(id = 7)]
struct Shot {
    by: String,
    #[packet(bits = 5)]
    strength: u8,
    #[packet(bits = 3)]
    turn: i16,
    hit: Option<Hit>,
    path: Vec<Point<f32>>,
    #[packet(default = 1)]
    lives: u32,
    #[packet(default)]
    note: Option<Box<Note>>,
}

#[derive(Bits)]
enum Hit {
    Wall,
    Player {
        name: String,
        alive: bool,
    },
    #[packet(tag = 16)]
    Shots(Box<Hit>, u8),
}

#[derive(Bits)]
struct Point<T> {
    x: T,
    y: T,
}

#[derive(Bits)]
#[packet(extensible)]
struct Note {
    text: String,
    #[packet(default)]
    replies: Vec<Note>,
}

#[derive(Packet)]
#[packet(id = 2)]
struct Ping;

#[derive(Packet)]
#[packet(id = 3)]
enum Command {
    Go,
    Turn(#[packet(bits = 9)] u16),
    Nested(Shot, Vec<Ping>),
}

/// Decodes `data` as each of three packets, and dispatches it.
pub fn packet(data: &[u8]) {
    let decoded = [same::<Shot>(data), same::<Ping>(data), same::<Command>(data)];

    let mut registry = Registry::<Vec<u32>>::new();
    let registered = [
        registry.register(|log: &mut Vec<u32>, _: Shot| log.push(Shot::ID)),
        registry.register(|log: &mut Vec<u32>, _: Ping| log.push(Ping::ID)),
        registry.register(|log: &mut Vec<u32>, _: Command| log.push(Command::ID)),
    ];
    assert!(registered.iter().all(Result::is_ok));
    let mut log = Vec::new();
    let dispatched = registry.dispatch(&mut log, data);
    match dispatched {
        Ok(()) => assert_eq!(log, [packet::id(data).expect("it was dispatched by its ID")]),
        Err(_) => assert!(log.is_empty(), "no handler sees a packet that is not whole"),
    }
    let same_verdict = match dispatched {
        Ok(()) => decoded.iter().filter(|result| result.is_ok()).count() == 1,
        Err(DispatchError::NoId(error)) => {
            decoded.iter().all(|result| *result == Err(DecodeError::NoId(error)))
        }
        Err(DispatchError::UnknownId(id)) => decoded
            .iter()
            .all(|result| matches!(*result, Err(DecodeError::OtherId { found, .. }) if found == id)),
        Err(DispatchError::Malformed { id, error }) => {
            decoded.contains(&Err(DecodeError::Malformed { id, error }))
        }
        Err(_) => false,
    };
    assert!(same_verdict, "{dispatched:?} but {decoded:?}");
}

fn same<P: Packet>(data: &[u8]) -> Result<(), DecodeError> {
    let value = packet::decode::<P>(data)?;
    let encoded = packet::encode(&value).expect("what was read can be written");
    assert!(encoded.len() <= 2 * data.len() + 8, "a value grows by its defaults only");
    let again = packet::decode::<P>(&encoded).expect("what was written can be read");
    assert_eq!(packet::encode(&again).expect("it was written before"), encoded);
    for len in 0..encoded.len().min(32) {
        let cut = packet::decode::<P>(&encoded[..len]);
        assert!(!matches!(cut, Err(DecodeError::Malformed { error: ReadError::Trailing, .. })));
    }
    Ok(())
}
