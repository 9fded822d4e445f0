//! How much memory an input makes a thread hold: a counting allocator, for the binaries and tests that ask for it.
//!
//! Counted is what the requests add up to, per thread, so that tests which run beside each other do not disturb one another. Without
//! the allocator every figure is zero and no ceiling is ever reached.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

use crate::beginning;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with a count, and with places for what stories begin with. `#[global_allocator] static METER: Meter = Meter;`
pub struct Meter;

pub(crate) fn count(change: isize) {
    // A thread that is ending has no count any more.
    let _ = HELD.try_with(|held| {
        let now = held.get() + change;
        held.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

/// The bytes that this thread holds; 0 without the allocator.
pub(crate) fn held() -> isize {
    HELD.get()
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

// SAFETY: every call is passed on to the system's allocator unchanged, or served from a place, whose blocks are never used twice; counting
// allocates nothing, as the cells are made without allocation and have no destructor.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        beginning::alloc(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        beginning::alloc(layout).unwrap_or_else(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks are there while the content moves.
        count(signed(size));
        let moved = if beginning::holds(block) || beginning::is_filling() {
            let new = Layout::from_size_align(size, layout.align()).expect("the caller has seen to it");
            // SAFETY: the size is not 0, as the caller has seen to it.
            let moved = beginning::alloc(new).unwrap_or_else(|| unsafe { System.alloc(new) });
            if !moved.is_null() {
                // SAFETY: both have room for the shorter of them, and the new one is nobody else's.
                unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
                if !beginning::holds(block) {
                    // SAFETY: the block came from the system's allocator.
                    unsafe { System.dealloc(block, layout) };
                }
            }
            moved
        } else {
            // SAFETY: the caller keeps the contract of `realloc`, and the block came from the system's allocator.
            unsafe { System.realloc(block, layout, size) }
        };
        count(-signed(layout.size()));
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        if !beginning::holds(block) {
            // SAFETY: the caller keeps the contract of `dealloc`, and the block came from the system's allocator.
            unsafe { System.dealloc(block, layout) }
        }
    }
}

/// The bytes that this thread holds after `act` beyond what it held before; 0 without the allocator.
pub fn kept_by(act: impl FnOnce()) -> usize {
    let before = HELD.get();
    act();
    usize::try_from(HELD.get() - before).unwrap_or(0)
}

/// The most bytes that this thread held during `act` beyond what it held before; 0 without the allocator.
pub fn peak_during(act: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    act();
    usize::try_from(PEAK.get() - before).unwrap_or(0)
}
