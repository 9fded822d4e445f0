//! How messages go through each peer. Everything else, windows and clocks and statistics, is the same for all of them.
//!
//! A message is encoded once; for each one sent, only its number, the first eight bytes of the payload, is written anew.

mod iroh;
mod phantom;
mod proxied;
mod room;
mod websocket;

use std::io::{self, Read};
use std::net::TcpStream;

pub(crate) use iroh::Iroh;
pub(crate) use phantom::Phantom;
pub(crate) use proxied::Proxied;
pub(crate) use room::Room;

/// A protocol by which two clients are joined.
pub(crate) trait Dialect: Send + Sync {
    /// Connects two clients and joins them. Blocks; called from several threads at once. No two calls have the same number.
    fn pair(&self, number: u64) -> io::Result<Pair>;

    /// The longest payload of one frame; a longer message is several of them.
    fn frame_max(&self) -> usize {
        usize::MAX
    }

    /// Frames that may be under way before the peer may drop some.
    fn in_flight_max(&self) -> usize {
        usize::MAX
    }
}

/// Two clients that have been joined.
pub(crate) struct Pair {
    pub(crate) near: End,
    pub(crate) far: End,
}

/// One of them.
pub(crate) struct End {
    pub(crate) stream: TcpStream,
    pub(crate) codec: Box<dyn Codec>,
}

/// What one end sends and understands.
pub(crate) trait Codec: Send {
    /// A frame with this payload of at least eight bytes.
    fn template(&self, payload: &[u8]) -> Template;

    /// Takes bytes that came; calls `got` with the number of each frame that is complete.
    fn feed(&mut self, bytes: &[u8], got: &mut dyn FnMut(u64)) -> io::Result<()>;

    /// What the codec itself has to send.
    fn replies(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// A frame whose number is not yet written.
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    /// Where the number stands.
    pub(crate) number_at: usize,
    /// What the number is masked with.
    pub(crate) mask: [u8; 8],
}

impl Template {
    /// The frame with this number, behind what is there.
    pub(crate) fn append(&self, out: &mut Vec<u8>, number: u64) {
        let at = out.len() + self.number_at;
        out.extend_from_slice(&self.bytes);
        let masked = u64::from_le_bytes(self.mask) ^ number;
        out[at..at + 8].copy_from_slice(&masked.to_le_bytes());
    }
}

/// A payload of this length that cannot be compressed or guessed.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The number at the beginning of a payload.
fn number(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Reads until `found` finds what it waits for at the beginning of what was read, and takes it away.
fn read_until<T>(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    mut found: impl FnMut(&[u8]) -> Option<(usize, T)>,
) -> io::Result<T> {
    loop {
        if let Some((len, result)) = found(unread) {
            unread.drain(..len);
            return Ok(result);
        }
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        unread.extend_from_slice(&bytes[..read]);
    }
}

/// The other side did not say what it must.
fn unexpected(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
