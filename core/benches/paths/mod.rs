//! The hot paths of the core, one after the other in a form that can be repeated: each is timed by `cargo bench -p phantom-core`, and its
//! instructions are counted by `.ci/counts`.
//!
//! The rule: a path does the same work every time. Nothing of it depends on a clock, on entropy or on the machine.

mod bits;
mod client;
mod records;
mod relay;

/// Does the work once.
pub(crate) type Run = Box<dyn FnMut()>;

/// Something that is done often.
pub(crate) struct Path {
    /// Its name, the same in every table.
    pub(crate) name: &'static str,
    /// Bytes of payload that one run moves; 0 if it moves none.
    pub(crate) bytes: u64,
    /// How often it is run to count its instructions.
    #[allow(dead_code, reason = "who times it runs it as often as it takes")]
    pub(crate) runs: u32,
    /// Makes everything ready, and says how to run it.
    pub(crate) prepare: fn() -> Run,
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Path> {
    [relay::PATHS, records::PATHS, client::PATHS, bits::PATHS].into_iter().flatten()
}

/// The packet of the tables: a small one.
const SMALL: usize = 32;
/// A record of this many bytes carries one packet.
const MEDIUM: usize = 1024;
/// The longest record that is sealed.
const LARGE: usize = 16 * 1024;
