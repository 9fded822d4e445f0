//! What is read from a socket, and not decoded yet.
//!
//! Frames are cut off where they lie, and whoever takes them holds the buffer. When nobody does any more, it is read into again: memory
//! that is given back to the system and taken anew costs as much as a copy of what lies in it.

use std::collections::VecDeque;

use bytes::BytesMut;

/// The smallest and the largest buffer. It grows while reads fill it, and shrinks when they do not.
const SIZE_MIN: usize = 32 << 10;
const SIZE_MAX: usize = 256 << 10;
/// Buffers that are kept in mind while the application holds what lies in them.
const USED_MAX: usize = 8;

pub(crate) struct ReadBuffer {
    pub(crate) bytes: BytesMut,
    /// What the next buffer has room for.
    size: usize,
    /// Handles of buffers that were read into, themselves empty.
    used: VecDeque<BytesMut>,
}

impl ReadBuffer {
    /// Begins with what has been read already.
    pub(crate) fn new(bytes: BytesMut) -> Self {
        Self { bytes, size: SIZE_MIN, used: VecDeque::new() }
    }

    /// Makes room behind the bytes: for so many more at least, and more if it pays. Returns how much.
    pub(crate) fn make_room(&mut self, len: usize) -> usize {
        let len = len.max(self.size / 2);
        if !self.bytes.try_reclaim(len) {
            let size = self.size.max(self.bytes.len() + len);
            let free = self.used.iter_mut().position(|buffer| buffer.try_reclaim(size));
            let free = free.and_then(|at| self.used.remove(at));
            let mut next = free.unwrap_or_else(|| BytesMut::with_capacity(size));
            // The beginning of a frame.
            next.extend_from_slice(&self.bytes);
            let mut used = std::mem::replace(&mut self.bytes, next);
            used.clear();
            if self.used.len() == USED_MAX {
                self.used.pop_front();
            }
            self.used.push_back(used);
        }
        self.bytes.capacity() - self.bytes.len()
    }

    /// So many bytes came where there was so much room.
    pub(crate) fn on_read(&mut self, len: usize, room: usize) {
        if len == room {
            self.size = SIZE_MAX.min(2 * self.size);
        } else if len < self.size / 8 {
            self.size = SIZE_MIN.max(self.size / 2);
            self.used.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `len` bytes at most and returns how many, and where they lie.
    fn read(buffer: &mut ReadBuffer, len: usize) -> (usize, *const u8) {
        let room = buffer.make_room(1);
        let len = len.min(room);
        let before = buffer.bytes.len();
        buffer.bytes.resize(before + len, 7);
        buffer.on_read(len, room);
        (len, &raw const buffer.bytes[before])
    }

    #[test]
    fn a_buffer_is_used_again_when_nobody_holds_it() {
        let mut buffer = ReadBuffer::new(BytesMut::new());
        for _ in 0..20 {
            read(&mut buffer, usize::MAX);
            buffer.bytes.clear();
        }
        let mut held = VecDeque::new();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let (len, at) = read(&mut buffer, usize::MAX);
            assert!(len >= SIZE_MAX / 2);
            places.insert(at);
            held.push_back(buffer.bytes.split());
            if held.len() > 2 {
                held.pop_front();
            }
        }
        assert!(places.len() <= 2 * USED_MAX, "{} places", places.len());
        assert!(held.iter().all(|frame| frame.iter().all(|&byte| byte == 7)));
    }

    #[test]
    fn what_somebody_holds_is_not_touched() {
        let mut buffer = ReadBuffer::new(BytesMut::from(&b"begun"[..]));
        let mut held = Vec::new();
        for byte in 0..50 {
            let room = buffer.make_room(40_000);
            assert!(room >= 40_000);
            buffer.bytes.resize(buffer.bytes.len() + 40_000, byte);
            held.push(buffer.bytes.split_to(40_000));
            buffer.on_read(40_000, room);
        }
        let all = held.concat();
        assert_eq!(&all[..5], b"begun");
        for (at, chunk) in all[5..].chunks(40_000).enumerate() {
            assert!(chunk.iter().all(|&byte| byte == at as u8));
        }
    }

    /// A client that is sent a little now and then does not keep what it needed for a lot.
    #[test]
    fn little_traffic_takes_little_memory() {
        let mut buffer = ReadBuffer::new(BytesMut::new());
        for _ in 0..20 {
            read(&mut buffer, usize::MAX);
            let _frames = buffer.bytes.split();
        }
        assert_eq!(buffer.size, SIZE_MAX);
        let _held: Vec<_> = (0..20_000)
            .map(|_| {
                read(&mut buffer, 100);
                buffer.bytes.split()
            })
            .collect();
        assert!(buffer.used.len() <= 1 && buffer.size == SIZE_MIN);
        assert!(buffer.bytes.capacity() <= SIZE_MIN);
    }
}
