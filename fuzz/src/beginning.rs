//! What many stories begin with is made once: all memory that making it takes lies in one place, and is put back as it was before each
//! story.
//!
//! A key agreement takes longer than most stories that begin with one. Only a fuzzer begins in this way; whatever it finds is replayed
//! from a beginning made anew, and must be the same.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::meter;

/// The bytes of a place; who needs more is given no memory.
const PLACE: usize = 1 << 20;
const PLACES: usize = 64;
const ALL: Layout = match Layout::from_size_align(PLACE * PLACES, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("not a layout"),
};

/// Where the places lie, one behind the other; the machine gives memory to those that are used.
static FIRST: AtomicUsize = AtomicUsize::new(usize::MAX);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What is free of the place that this thread is filling.
    static FREE: Cell<Option<Free>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Free {
    next: *mut u8,
    len: usize,
}

/// Whether the block lies in a place, where nothing is ever given back.
pub(crate) fn holds(block: *mut u8) -> bool {
    block.addr().wrapping_sub(FIRST.load(Ordering::Relaxed)) < ALL.size()
}

/// Whether this thread is filling a place.
pub(crate) fn is_filling() -> bool {
    FREE.try_with(Cell::get).is_ok_and(|free| free.is_some())
}

/// A block of zeros in the place that this thread is filling, if it is filling one; null if that is full.
pub(crate) fn alloc(layout: Layout) -> Option<*mut u8> {
    let Free { next, len } = FREE.try_with(Cell::get).ok()??;
    let padding = next.align_offset(layout.align());
    let Some(left) = len.checked_sub(padding).and_then(|len| len.checked_sub(layout.size())) else {
        return Some(ptr::null_mut());
    };
    let block = next.wrapping_add(padding);
    FREE.set(Some(Free { next: block.wrapping_add(layout.size()), len: left }));
    Some(block)
}

/// A place nobody has had.
fn place() -> Option<*mut u8> {
    struct First(*mut u8);
    // SAFETY: it is only ever used for what lies behind it, each place by the one that took it.
    unsafe impl Send for First {}
    // SAFETY: as above.
    unsafe impl Sync for First {}
    static ALL_PLACES: OnceLock<First> = OnceLock::new();

    // SAFETY: the layout has a size.
    let First(first) = ALL_PLACES.get_or_init(|| First(unsafe { System.alloc_zeroed(ALL) }));
    let number = TAKEN.fetch_add(1, Ordering::Relaxed);
    if first.is_null() || number >= PLACES {
        return None;
    }
    FIRST.store(first.addr(), Ordering::Relaxed);
    Some(first.wrapping_add(number * PLACE))
}

/// A value as it was made, with all that it holds.
struct Beginning<T> {
    value: MaybeUninit<T>,
    place: *mut u8,
    image: Box<[u8]>,
    held: isize,
}

impl<T> Beginning<T> {
    /// Nothing without the allocator that fills places, or without a place.
    fn new(make: impl Fn() -> T) -> Option<Self> {
        // What is made once for the whole program is made by this, and lies elsewhere.
        drop(make());
        let place = place()?;
        let before = meter::held();
        FREE.set(Some(Free { next: place, len: PLACE }));
        let value = MaybeUninit::new(make());
        let Free { len, .. } = FREE.take().expect("set above");
        let held = meter::held() - before;
        meter::count(-held);
        if len == PLACE {
            return None;
        }
        // SAFETY: a place has that many bytes, and all of them are initialised, with zeros at first.
        let image = unsafe { std::slice::from_raw_parts(place, PLACE - len) }.into();
        Some(Self { value, place, image, held })
    }

    /// Tells a story from here.
    ///
    /// # Safety
    /// The story drops what it is given, and all that was in it.
    unsafe fn tell(&mut self, story: impl FnOnce(T)) {
        meter::count(self.held);
        // SAFETY: the place is as long as its image, and nobody uses it: the last story has dropped what was there.
        unsafe { ptr::copy_nonoverlapping(self.image.as_ptr(), self.place, self.image.len()) };
        // SAFETY: all that the value holds is as it was when it was made, and so is the value; there is no other, as said above.
        story(unsafe { self.value.assume_init_read() });
    }
}

/// The beginnings of one target, each made when it is first wanted.
pub(crate) struct Beginnings<T>(RefCell<Vec<(u8, Option<Beginning<T>>)>>);

impl<T> Beginnings<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Tells a story from the beginning of that number, which is always made in the same way.
    ///
    /// # Safety
    /// The story drops what it is given, and all that was in it.
    pub(crate) unsafe fn tell(&self, number: u8, make: impl Fn() -> T, story: impl FnOnce(T)) {
        if !cfg!(fuzzing) {
            return story(make());
        }
        let mut made = self.0.borrow_mut();
        let at = made.iter().position(|(known, _)| *known == number).unwrap_or_else(|| {
            made.push((number, Beginning::new(&make)));
            made.len() - 1
        });
        match &mut made[at].1 {
            // SAFETY: the caller says so.
            Some(beginning) => unsafe { beginning.tell(story) },
            None => story(make()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;

    #[global_allocator]
    static METER: meter::Meter = meter::Meter;

    type World = (BTreeMap<u32, Vec<u8>>, Bytes, Box<u64>);

    fn make() -> World {
        let map = (0..100).map(|number| (number, vec![number as u8; 10])).collect();
        (map, Bytes::from(vec![7; 1000]), Box::new(1))
    }

    #[test]
    fn every_story_begins_alike() {
        let mut beginning = Beginning::new(make).expect("the allocator is there");
        let before = meter::held();
        for round in 0..10 {
            let story = |mut world: World| {
                assert_eq!(world, make(), "round {round}");
                let shared = world.1.clone();
                world.0.remove(&round);
                world.0.get_mut(&50).expect("one of a hundred").extend_from_slice(&[1; 5000]);
                *world.2 += 1;
                drop(world);
                assert_eq!(shared[999], 7);
            };
            // SAFETY: the story ends with nothing left of it.
            unsafe { beginning.tell(story) };
            assert_eq!(meter::held(), before, "what is begun with counts while it is there");
        }
    }

    #[test]
    fn two_beginnings_do_not_touch() {
        let mut first = Beginning::new(make).expect("the allocator is there");
        let mut second = Beginning::new(|| Box::new(5)).expect("the allocator is there");
        let both = |world: World| {
            // SAFETY: the number is dropped.
            unsafe { second.tell(|number| assert_eq!(*number, 5)) };
            assert_eq!(world, make());
        };
        // SAFETY: the world is dropped.
        unsafe { first.tell(both) };
    }
}
