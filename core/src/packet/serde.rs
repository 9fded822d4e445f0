//! Any `serde` type as a packet: its body is one byte string, in the format of `postcard`.

use ::serde::Serialize;
use ::serde::de::DeserializeOwned;

use super::Packet;
use crate::bits::{BitReader, BitWriter, Bits, ReadError, WriteError};

/// A `serde` type as a packet with the given ID.
///
/// The format is [postcard](https://postcard.jamesmunns.com/wire-format), which does not describe itself: a type that
/// needs that (such as `serde_json::Value`) cannot be read, and a field added at the end is skipped by older readers but
/// has no default in newer ones. `#[derive(Packet)]` has it.
///
/// `T` must not contain itself, nor lists of items without content such as `Vec<()>`: `postcard` sets no limit to depth and
/// counts, so a hostile peer could exhaust the stack or the time of the reader.
///
/// ```
/// use phantom_core::packet::{self, Serde};
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Position { x: f32, y: f32 }
///
/// type PositionPacket = Serde<Position, 12>;
///
/// let bytes = packet::encode::<PositionPacket>(&Serde(Position { x: 1.0, y: 2.0 }))?;
/// assert_eq!(packet::decode::<PositionPacket>(&bytes)?.0, Position { x: 1.0, y: 2.0 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serde<T, const ID: u32>(pub T);

impl<T: Serialize + DeserializeOwned, const ID: u32> Packet for Serde<T, ID> {
    const ID: u32 = ID;

    fn write_body(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        let body = postcard::to_allocvec(&self.0)
            .map_err(|_| WriteError::Invalid("its `Serialize` fails, or asks for what postcard has not"))?;
        out.write_bytes(&body);
        Ok(())
    }

    fn read_body(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        match postcard::from_bytes(input.read_bytes()?) {
            Ok(value) => Ok(Self(value)),
            Err(postcard::Error::DeserializeUnexpectedEnd) => Err(ReadError::End),
            Err(_) => Err(ReadError::Invalid("its `Deserialize` fails")),
        }
    }
}

/// Inside other values it is a frame, as every packet is.
impl<T: Serialize + DeserializeOwned, const ID: u32> Bits for Serde<T, ID> {
    fn write(&self, out: &mut BitWriter) -> Result<(), WriteError> {
        out.write_frame(|out| self.write_body(out))
    }

    fn read(input: &mut BitReader<'_>) -> Result<Self, ReadError> {
        input.read_frame(Self::read_body)
    }
}
