//! What two sides of a forwarding say to each other: version 1.
//!
//! ```text
//! both              Hello { version, side }     the first packet in each direction; one side listens, the other has the target
//! the listening     Open { stream }             a connection was accepted; its bytes may follow at once
//! both              Data { stream, bytes }      at most what the other side has allowed: STREAM_WINDOW, and what Credit adds
//! both              Credit { stream, bytes }    so many bytes of that stream have been passed on
//! both              Finish { stream }           no more bytes in this direction; the other one goes on
//! both              Reset { stream, reason }    the stream is over in both directions, and nothing follows
//! ```
//!
//! Where the target is, is said by neither side: the one that has it names it to its own program, and to nobody else. What
//! comes for a stream that is over is not looked at, for it may have crossed with the end. A side that breaks these rules is left.

use bytes::Bytes;
use phantom_core::bits::Bits;
use phantom_core::packet::Packet;

/// The version of this protocol.
pub(crate) const VERSION: u32 = 1;
/// Bytes of one stream that may be on their way in one direction, or wait for whoever reads them.
pub(crate) const STREAM_WINDOW: usize = 512 * 1024;
/// Streams at once. The listening side accepts no more until one of them ends.
pub(crate) const STREAMS_MAX: usize = 256;
/// Bytes in one packet: so little that a stream with little to say waits for none that has much.
pub(crate) const DATA_MAX: usize = 16 * 1024;

/// Which side of a forwarding a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Bits)]
pub(crate) enum Side {
    /// It accepts connections.
    Listens,
    /// It makes them, to a target of its own choice.
    Connects,
}

/// The first word.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 48)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) side: Side,
}

/// A connection was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 49)]
pub(crate) struct Open {
    /// Its number, not in use.
    pub(crate) stream: u32,
}

/// Bytes of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 50)]
pub(crate) struct Data {
    pub(crate) stream: u32,
    pub(crate) bytes: Bytes,
}

/// Bytes of a stream have been passed on.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 51)]
pub(crate) struct Credit {
    pub(crate) stream: u32,
    pub(crate) bytes: u32,
}

/// No more bytes in this direction.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 52)]
pub(crate) struct Finish {
    pub(crate) stream: u32,
}

/// A stream is over.
#[derive(Clone, Debug, PartialEq, Eq, Packet)]
#[packet(id = 53)]
pub(crate) struct Reset {
    pub(crate) stream: u32,
    pub(crate) reason: Reason,
}

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Bits)]
pub(crate) enum Reason {
    /// The program at this end broke its connection off.
    Broken,
    /// The target was not reached.
    Unreachable,
}

#[cfg(test)]
mod tests {
    use phantom_core::packet::{decode, encode};

    use super::*;

    /// Byte for byte: who changes these has made another protocol.
    #[test]
    fn the_bytes_of_every_packet() {
        let bytes = |packet: &[u8]| packet.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let hello = encode(&Hello { version: VERSION, side: Side::Connects }).unwrap();
        let open = encode(&Open { stream: 7 }).unwrap();
        let data = encode(&Data { stream: 7, bytes: Bytes::from_static(b"abc") }).unwrap();
        let credit = encode(&Credit { stream: 7, bytes: 300 }).unwrap();
        let finish = encode(&Finish { stream: 7 }).unwrap();
        let reset = encode(&Reset { stream: 7, reason: Reason::Unreachable }).unwrap();
        let all = [&hello, &open, &data, &credit, &finish, &reset].map(|packet| bytes(packet));
        assert_eq!(all, ["980210", "984e", "988e30616263", "98cf1930", "990e", "994e10"]);
        assert_eq!(decode(&data), Ok(Data { stream: 7, bytes: Bytes::from_static(b"abc") }));
        assert_eq!(decode(&credit), Ok(Credit { stream: 7, bytes: 300 }));
        let full = encode(&Data { stream: u32::MAX, bytes: vec![0; DATA_MAX].into() }).unwrap();
        assert!(full.len() < DATA_MAX + 16, "{}", full.len());
    }
}
