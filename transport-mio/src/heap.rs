//! What the loop's thread keeps of the memory that it has freed.
//!
//! Allocators keep a few freed pieces of every small size for the thread that freed them, glibc's seven of each. In the loop of a relay
//! they lie wherever connections lay that are gone, each on a page that would be empty without it; after a rush that is more than a
//! mebibyte. There is no call that gives them back. But who asks for more pieces of a size than are kept gets those and new ones that lie
//! together; and of what is freed then, the first is kept and the rest given back.

use std::hint::black_box;

/// The sizes of which an allocator may keep pieces, in bytes, and the steps between them: those of glibc.
const SIZES: std::ops::RangeInclusive<usize> = 24..=1032;
const STEP: usize = 16;
/// How many of each may be kept.
const KEPT: usize = 7;

/// Changes scattered pieces for some that lie together. Costs some 900 allocations: tens of microseconds.
pub(crate) fn gather() {
    for size in SIZES.step_by(STEP) {
        let mut pieces: Vec<Vec<u8>> = (0..2 * KEPT).map(|_| black_box(Vec::with_capacity(size))).collect();
        // The newest first, which are to be kept.
        while pieces.pop().is_some() {}
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_changed_for_others() {
        const SIZE: usize = 600;
        let allocate =
            |count| (0..count).map(|_| black_box(Vec::<u8>::with_capacity(SIZE))).collect::<Vec<_>>();
        // More than are kept; the others stay, so that the freed ones cannot come back by another way.
        let mut pieces = allocate(2 * KEPT);
        let scattered: Vec<_> = pieces.drain(..KEPT).map(|piece| piece.as_ptr()).collect();
        gather();
        let kept = allocate(KEPT);
        assert!(kept.iter().all(|piece| !scattered.contains(&piece.as_ptr())));
    }
}
