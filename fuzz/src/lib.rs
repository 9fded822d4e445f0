//! What Phantom promises about bytes from outside, as functions that any bytes may be thrown at.
//!
//! A target panics if a promise is broken: an invariant of its own that its file states first, the ceiling of steps of its loops, or the
//! ceiling of memory it is listed with here. Each is run in three ways: on its committed corpus and some pseudo-random inputs by the
//! ordinary tests, on any files by its binary, and without end by `cargo fuzz`. See `README.md` beside the manifest.

mod beginning;
mod bits;
mod client_inputs;
mod feed;
mod frame;
mod key_text;
mod meter;
mod packet;
mod peer_inputs;
mod record;
mod relay_inputs;
pub mod replay;
mod world;

pub use bits::bits;
pub use client_inputs::client_inputs;
pub use frame::frame;
pub use key_text::key_text;
pub use meter::{Meter, kept_by, peak_during};
pub use packet::packet;
pub use peer_inputs::peer_inputs;
pub use record::record;
pub use relay_inputs::relay_inputs;
pub use world::world;

/// A target, and how much memory an input may cost it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its binary, and of the folder of its corpus.
    pub name: &'static str,
    act: fn(&[u8]),
    /// Bytes that it may hold whatever the input, and for each byte of the input.
    memory_max: (usize, usize),
}

impl Target {
    /// Runs one input.
    ///
    /// # Panics
    /// A promise is broken.
    pub fn run(&self, data: &[u8]) {
        let peak = peak_during(|| (self.act)(data));
        let (base, per_byte) = self.memory_max;
        let max = base + per_byte * data.len();
        assert!(
            peak <= max,
            "{} bytes of input made {} hold {peak} bytes, above {max}",
            data.len(),
            self.name
        );
    }
}

/// Frames of both directions.
pub const FRAME: Target = Target { name: "frame", act: frame, memory_max: (4 << 10, 2) };
/// The record layer.
pub const RECORD: Target = Target { name: "record", act: record, memory_max: (256 << 10, 16) };
/// The bit reader.
pub const BITS: Target = Target { name: "bits", act: bits, memory_max: (4 << 10, 128) };
/// Packets of derived types.
pub const PACKET: Target = Target { name: "packet", act: packet, memory_max: (4 << 10, 512) };
/// Keys and IDs as text.
pub const KEY_TEXT: Target = Target { name: "key_text", act: key_text, memory_max: (16 << 10, 16) };
/// The relay machine.
pub const RELAY_INPUTS: Target =
    Target { name: "relay_inputs", act: relay_inputs, memory_max: (512 << 10, 16) };
/// The client machine under a hostile relay.
pub const CLIENT_INPUTS: Target =
    Target { name: "client_inputs", act: client_inputs, memory_max: (8 << 20, 16) };
/// The client machine and a hostile other side that has the key.
pub const PEER_INPUTS: Target = Target { name: "peer_inputs", act: peer_inputs, memory_max: (2 << 20, 16) };
/// Everything together.
pub const WORLD: Target = Target { name: "world", act: world, memory_max: (2 << 20, 16) };

/// Every target.
pub const TARGETS: [Target; 9] =
    [FRAME, RECORD, BITS, PACKET, KEY_TEXT, RELAY_INPUTS, CLIENT_INPUTS, PEER_INPUTS, WORLD];

/// The whole of a target's binary: a fuzzer under `cargo fuzz`, otherwise a program that replays the files and folders it is given.
#[macro_export]
macro_rules! binary {
    ($target:expr) => {
        #[global_allocator]
        static METER: $crate::Meter = $crate::Meter;

        #[cfg(fuzzing)]
        ::libfuzzer_sys::fuzz_target!(|data: &[u8]| $target.run(data));

        #[cfg(not(fuzzing))]
        fn main() -> ::std::process::ExitCode {
            $crate::replay::main(&$target)
        }
    };
}
