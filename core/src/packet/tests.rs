use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use proptest::prelude::*;

use super::*;

/// A packet by hand, as it was first.
#[derive(Debug, Clone, PartialEq)]
struct Message {
    text: String,
}

impl Packet for Message {
    const ID: u32 = 1;

    fn write_body(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_str(&self.text);
        Ok(())
    }

    fn read_body(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        Ok(Self { text: input.read_str()?.to_owned() })
    }
}

#[derive(Debug, PartialEq)]
struct Switch<const ID: u32>(bool);

impl<const ID: u32> Packet for Switch<ID> {
    const ID: u32 = ID;

    fn write_body(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_bool(self.0);
        Ok(())
    }

    fn read_body(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_bool().map(Self)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the log is full")
    }
}

impl core::error::Error for Full {}

#[test]
fn a_packet_is_its_id_and_its_body() {
    assert_eq!(&encode(&Switch::<1>(true)).unwrap()[..], [0b0000_1100]);
    assert_eq!(&encode(&Switch::<300>(true)).unwrap()[..], [0b1000_1100, 0b1001_1001]);
    assert_eq!(&encode(&Message { text: "hi".into() }).unwrap()[..], [0b0000_1000, 0b1000_0000, b'h', b'i']);
    assert_eq!(encode(&Switch::<0>(true)), Err(WriteError::ZeroId));
}

#[test]
fn the_id_is_read_without_the_type() {
    assert_eq!(id(&encode(&Switch::<300>(true)).unwrap()), Ok(300));
    assert_eq!(id(&encode(&Switch::<{ u32::MAX }>(true)).unwrap()), Ok(u32::MAX));
    assert_eq!(id(&[]), Err(ReadError::End));
    assert!(matches!(id(&[0]), Err(ReadError::Invalid(_))));

    let mut out = BitWriter::new();
    out.write_varint(u64::from(u32::MAX) + 1);
    assert_eq!(id(&out.into_bytes()), Err(ReadError::OutOfRange));
}

#[test]
fn decoding_tells_its_errors_apart() {
    let bytes = encode(&Switch::<2>(true)).unwrap();
    assert_eq!(decode::<Switch<2>>(&bytes), Ok(Switch(true)));
    assert_eq!(decode::<Switch<3>>(&bytes), Err(DecodeError::OtherId { expected: 3, found: 2 }));
    assert_eq!(decode::<Switch<2>>(&[]), Err(DecodeError::NoId(ReadError::End)));

    let malformed = |error| Err(DecodeError::Malformed { id: 1, error });
    assert_eq!(decode::<Message>(&[0b0000_1000]), malformed(ReadError::End));
    assert_eq!(decode::<Message>(&[0b0000_1000, 0b0100_0000, 0xff]), malformed(ReadError::InvalidUtf8));
    assert_eq!(decode::<Message>(&[0b0000_1000, 0, 0]), malformed(ReadError::Trailing));
    assert_eq!(
        decode::<Switch<1>>(&[0b0000_1001]),
        Err(DecodeError::Malformed { id: 1, error: ReadError::Padding })
    );
}

#[test]
fn each_packet_goes_to_its_handler_as_a_fresh_value() {
    let mut registry = Registry::<Vec<String>>::new();
    assert!(registry.is_empty());
    registry.register(|log: &mut Vec<String>, message: Message| log.push(message.text)).unwrap();
    registry.register(|log: &mut Vec<String>, Switch(on): Switch<2>| log.push(on.to_string())).unwrap();
    assert_eq!((registry.len(), registry.contains(2), registry.contains(3)), (2, true, false));

    let mut log = Vec::new();
    for text in ["one", "two"] {
        registry.dispatch(&mut log, &encode(&Message { text: text.into() }).unwrap()).unwrap();
    }
    registry.dispatch(&mut log, &encode(&Switch::<2>(true)).unwrap()).unwrap();
    assert_eq!(log, ["one", "two", "true"]);
}

#[test]
fn an_id_is_registered_once_and_positive() {
    let mut registry = Registry::<u32>::new();
    assert!(registry.is_empty());
    assert_eq!(registry.register(|_: &mut u32, _: Switch<0>| {}), Err(RegisterError::ZeroId));
    assert_eq!(registry.register(|calls: &mut u32, _: Switch<1>| *calls += 1), Ok(()));
    assert_eq!(
        registry.register(|calls: &mut u32, _: Message| *calls += 100),
        Err(RegisterError::Taken { id: 1 })
    );

    assert!(!registry.is_empty());
    assert_eq!(alloc::format!("{registry:?}"), "Registry([1])");

    let mut calls = 0;
    registry.dispatch(&mut calls, &encode(&Switch::<1>(true)).unwrap()).unwrap();
    assert_eq!(calls, 1, "the first handler stays");
}

#[test]
fn a_failing_handler_is_no_malformed_packet() {
    let mut registry = Registry::<u32, Full>::default();
    registry
        .register(|calls: &mut u32, _: Message| {
            *calls += 1;
            if *calls > 1 { Err(Full) } else { Ok(()) }
        })
        .unwrap();
    registry.register(|_: &mut u32, _: Switch<2>| {}).unwrap();

    let mut calls = 0;
    let good = encode(&Message { text: "hi".into() }).unwrap();
    assert_eq!(registry.dispatch(&mut calls, &good), Ok(()));
    assert_eq!(registry.dispatch(&mut calls, &good), Err(DispatchError::Handler { id: 1, error: Full }));
    assert_eq!(
        registry.dispatch(&mut calls, &good[..3]),
        Err(DispatchError::Malformed { id: 1, error: ReadError::End })
    );
    assert_eq!(calls, 2, "a malformed packet reaches no handler");
    assert_eq!(
        registry.dispatch(&mut calls, &encode(&Switch::<3>(true)).unwrap()),
        Err(DispatchError::UnknownId(3))
    );
    assert_eq!(registry.dispatch(&mut calls, &[]), Err(DispatchError::NoId(ReadError::End)));
    assert_eq!(registry.dispatch(&mut calls, &encode(&Switch::<2>(true)).unwrap()), Ok(()), "it goes on");
}

#[test]
fn a_registry_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&Registry::<()>::new());
}

#[cfg(feature = "serde")]
mod serde_packets {
    use alloc::vec;

    use super::*;
    use crate::bits::Bits;

    type Scores = Serde<Vec<(String, Option<i16>)>, 9>;

    fn scores() -> Scores {
        Serde(vec![("Ann".into(), Some(-3)), ("Bo".into(), None)])
    }

    #[test]
    fn the_body_is_a_byte_string_of_postcard() {
        let bytes = encode(&scores()).unwrap();
        // ID 9, length 11, filling; then postcard: two items, each a string and an option.
        assert_eq!(&bytes[..], b"\x4a\xc0\x02\x03Ann\x01\x05\x02Bo\x00");
        assert_eq!(decode::<Scores>(&bytes), Ok(scores()));
    }

    #[test]
    fn inside_another_value_it_is_a_frame() {
        let pair = (scores(), 7_u8);
        let mut out = BitWriter::new();
        Bits::write(&pair, &mut out).unwrap();
        let bytes = out.into_bytes();
        assert_eq!(Bits::read(&mut BitReader::new(&bytes)), Ok(pair));
    }

    #[test]
    fn every_part_of_it_is_refused() {
        let bytes = encode(&scores()).unwrap();
        for len in 0..bytes.len() {
            assert!(decode::<Scores>(&bytes[..len]).is_err(), "cut to {len}");
        }
        let mut out = BitWriter::new();
        out.write_varint(9);
        out.write_bytes(&[2, 3]);
        let cut = DecodeError::Malformed { id: 9, error: ReadError::End };
        assert_eq!(decode::<Scores>(&out.into_bytes()), Err(cut));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut out = BitWriter::new();
            out.write_varint(9);
            out.write_bytes(&data);
            let _ = decode::<Scores>(&out.into_bytes());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_dispatched_or_refused(data in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut registry = Registry::<()>::new();
        registry.register(|&mut (), _: Message| {}).unwrap();
        registry.register(|&mut (), _: Switch<2>| {}).unwrap();
        let _ = registry.dispatch(&mut (), &data);
    }
}
