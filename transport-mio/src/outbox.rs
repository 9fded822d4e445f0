//! What waits to be written to one socket: control before data, whole frames, bounded by whoever fills it.
//!
//! Frames lie here encoded, one behind the other, so that any number of them leaves in one write. A frame that has begun to leave
//! is finished first; then all of control; then data. Data lies in chunks that are given back as they leave: the memory that is held
//! is what waits, and little more. An empty outbox holds none.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use phantom_core::websocket::{HEADER_MAX, Header, SHORT_MAX, opcode, write_header};

/// How much small frames share.
const CHUNK: usize = 16 * 1024;
/// The first chunk is no longer than this if its frame is not.
const FIRST_CHUNK: usize = 1024;
/// Pieces of memory that one write takes from.
const PIECES: usize = 32;

/// The two queues of one socket.
#[derive(Default)]
pub(crate) struct Outbox {
    control: VecDeque<u8>,
    data: VecDeque<Chunk>,
    /// Bytes of data that wait.
    data_bytes: usize,
    /// Bytes of memory that the chunks hold.
    data_memory: usize,
    /// Bytes still to be written of the data frame that has begun to leave. They are all in the first chunk.
    begun: usize,
}

/// Whole frames, but that the first frame of the first chunk may have begun to leave.
struct Chunk {
    bytes: Vec<u8>,
    /// Bytes that have left.
    gone: usize,
}

impl Outbox {
    /// One message, ahead of all data that has not begun to leave.
    pub(crate) fn push_control(&mut self, message: &[u8]) {
        self.push_control_frame(opcode::BINARY, message);
    }

    /// Bytes that are no message of ours: an HTTP answer, the WebSocket layer's own frames.
    pub(crate) fn push_raw(&mut self, bytes: &[u8]) {
        self.control.extend(bytes);
    }

    /// One message, behind everything but control that comes later.
    pub(crate) fn push_data(&mut self, opcode: u8, message: &[u8]) {
        let (header, len) = header(opcode, message.len());
        self.push_frame(&header[..len], message);
    }

    /// Frames that stand encoded one behind the other in `frames`, of which `written` bytes have left already.
    pub(crate) fn push_frames(&mut self, frames: &[u8], written: usize) {
        let mut at = 0;
        while at < frames.len() {
            let end = at + frame_len(&frames[at..]);
            if end > written {
                let from = at.max(written);
                if from > at {
                    debug_assert!(
                        self.data.is_empty(),
                        "only a socket with an empty outbox is written to directly"
                    );
                    self.begun = end - from;
                }
                self.push_frame(&[], &frames[from..end]);
            }
            at = end;
        }
    }

    /// The last frame: a close code and its reason in words. Data that has not begun to leave will not leave any more.
    pub(crate) fn push_close(&mut self, code: u16, reason: &str) {
        self.drop_data();
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend(reason.bytes().take(SHORT_MAX - 2));
        self.push_control_frame(opcode::CLOSE, &payload);
    }

    /// Forgets all data but a frame that has begun to leave.
    pub(crate) fn drop_data(&mut self) {
        self.data.truncate(usize::from(self.begun > 0));
        if let Some(chunk) = self.data.front_mut() {
            *chunk = Chunk { bytes: chunk.bytes[chunk.gone..][..self.begun].to_vec(), gone: 0 };
        }
        self.data.shrink_to_fit();
        self.data_bytes = self.begun;
        self.data_memory = self.data.iter().map(|chunk| chunk.bytes.capacity()).sum();
    }

    /// Bytes of control that wait.
    pub(crate) fn control_bytes(&self) -> usize {
        self.control.len()
    }

    /// Bytes of data that wait.
    pub(crate) const fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        self.control.capacity() + self.data_memory + self.data.capacity() * size_of::<Chunk>()
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.control.len() + self.data_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes as much as one call takes; says how much that was.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let (control_front, control_back) = self.control.as_slices();
        let mut chunks = self.data.iter().map(|chunk| &chunk.bytes[chunk.gone..]);
        let (begun, rest) = chunks.next().unwrap_or_default().split_at(self.begun);
        let parts = [begun, control_front, control_back, rest].into_iter().chain(chunks);
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        let written = match &slices[..filled] {
            [] => return Ok(0),
            [one] => socket.write(one)?,
            many => socket.write_vectored(many)?,
        };
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, mut written: usize) {
        let begun = written.min(self.begun);
        self.leave(begun);
        self.begun -= begun;
        written -= begun;
        let control = written.min(self.control.len());
        self.control.drain(..control);
        if self.control.is_empty() {
            self.control = VecDeque::new();
        }
        written -= control;
        while written > 0 {
            let chunk = self.data.front().expect("no more was written than there was");
            let rest = chunk.bytes.len() - chunk.gone;
            if written >= rest {
                self.leave(rest);
                written -= rest;
            } else {
                let frame = frame_len(&chunk.bytes[chunk.gone..]);
                let left = frame.min(written);
                self.leave(left);
                self.begun = frame - left;
                written -= left;
            }
        }
    }

    /// Bytes of the first chunk have left.
    fn leave(&mut self, bytes: usize) {
        let Some(chunk) = self.data.front_mut() else { return };
        chunk.gone += bytes;
        self.data_bytes -= bytes;
        if chunk.gone == chunk.bytes.len() {
            self.data_memory -= chunk.bytes.capacity();
            self.data.pop_front();
            if self.data.is_empty() {
                self.data = VecDeque::new();
            }
        }
    }

    /// A frame, or what is left of one, all in one chunk.
    fn push_frame(&mut self, header: &[u8], payload: &[u8]) {
        let len = header.len() + payload.len();
        let chunk = match self.data.back_mut() {
            Some(chunk) if chunk.bytes.capacity() - chunk.bytes.len() >= len => chunk,
            last => {
                let room = if last.is_some() { CHUNK } else { FIRST_CHUNK };
                let bytes = Vec::with_capacity(len.max(room));
                self.data_memory += bytes.capacity();
                self.data.push_back(Chunk { bytes, gone: 0 });
                self.data.back_mut().expect("just pushed")
            }
        };
        chunk.bytes.extend_from_slice(header);
        chunk.bytes.extend_from_slice(payload);
        self.data_bytes += len;
    }

    fn push_control_frame(&mut self, opcode: u8, payload: &[u8]) {
        let (header, len) = header(opcode, payload.len());
        self.control.extend(&header[..len]);
        self.control.extend(payload);
    }
}

fn header(opcode: u8, payload: usize) -> ([u8; HEADER_MAX], usize) {
    let mut header = [0; HEADER_MAX];
    let len = write_header(&mut header, opcode, payload).expect("there is room for the longest");
    (header, len)
}

/// The length, header included, of the frame at the beginning of `bytes`.
fn frame_len(bytes: &[u8]) -> usize {
    let header = Header::parse(bytes).expect("only whole frames of our own lie here");
    header.len + header.payload as usize
}

#[cfg(test)]
mod tests {
    use phantom_core::wire::CloseCode;

    use super::*;
    use phantom_core::websocket::FINAL;

    const BINARY: u8 = FINAL | opcode::BINARY;
    const CLOSE: u8 = FINAL | opcode::CLOSE;

    /// Takes a few bytes of each write, as a socket whose buffer is nearly full.
    struct Narrow {
        taken: Vec<u8>,
        portion: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.portion);
            self.taken.extend(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn narrow(portion: usize) -> Narrow {
        Narrow { taken: Vec::new(), portion }
    }

    /// The first byte and payload of every frame in `bytes`.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let (frame, rest) = bytes.split_at(frame_len(bytes));
            let header = Header::parse(frame).unwrap();
            frames.push((frame[0], frame[header.len..].to_vec()));
            bytes = rest;
        }
        frames
    }

    fn messages() -> Vec<Vec<u8>> {
        let lens = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 3, 9000, 9000];
        lens.iter().enumerate().map(|(number, &len)| vec![number as u8; len]).collect()
    }

    #[test]
    fn every_portion_gives_the_same_whole_frames_in_order() {
        for portion in [1, 2, 3, 7, 128, 1000, 65_540, 1 << 20] {
            let mut outbox = Outbox::default();
            messages().iter().for_each(|message| outbox.push_data(opcode::BINARY, message));
            let mut socket = narrow(portion);
            while !outbox.is_empty() {
                let before = outbox.data_bytes();
                let written = outbox.write_to(&mut socket).unwrap();
                assert_eq!(outbox.data_bytes(), before - written);
                // A chunk is given back when its last frame has left.
                assert!(outbox.memory() <= 2 * (before + CHUNK) + 70_000, "{} for {before}", outbox.memory());
            }
            let expected: Vec<_> = messages().into_iter().map(|m| (BINARY, m)).collect();
            assert!(frames(&socket.taken) == expected, "portion {portion}");
            assert_eq!(outbox.memory(), 0);
        }
    }

    #[test]
    fn frames_of_which_some_bytes_have_left_go_on_where_they_were() {
        let mut whole = Outbox::default();
        messages().iter().for_each(|message| whole.push_data(opcode::BINARY, message));
        let mut all = narrow(1 << 20);
        while !whole.is_empty() {
            whole.write_to(&mut all).unwrap();
        }
        let bytes = all.taken;
        for written in [0, 1, 2, 5, 131, 140, 70_000, bytes.len() - 1, bytes.len()] {
            let mut outbox = Outbox::default();
            outbox.push_frames(&bytes, written);
            assert_eq!(outbox.data_bytes(), bytes.len() - written);
            outbox.push_control(b"between frames");
            let mut socket = narrow(50);
            socket.taken.extend(&bytes[..written]);
            while !outbox.is_empty() {
                outbox.write_to(&mut socket).unwrap();
            }
            let mut frames = frames(&socket.taken);
            let at = frames.iter().position(|(_, payload)| payload == b"between frames").unwrap();
            frames.remove(at);
            let expected: Vec<_> = messages().into_iter().map(|m| (BINARY, m)).collect();
            assert!(frames == expected, "written {written}");
        }
    }

    #[test]
    fn control_overtakes_data_but_never_cuts_a_frame() {
        let mut outbox = Outbox::default();
        let mut socket = narrow(40);
        for byte in 0..4 {
            outbox.push_data(opcode::BINARY, &[byte; 100]);
        }
        outbox.write_to(&mut socket).unwrap();
        outbox.push_control(b"urgent");
        outbox.write_to(&mut socket).unwrap();
        outbox.push_control(b"too");
        while !outbox.is_empty() {
            outbox.write_to(&mut socket).unwrap();
        }
        let payloads: Vec<_> = frames(&socket.taken).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(payloads[0], [0; 100]);
        assert_eq!((&payloads[1][..], &payloads[2][..]), (&b"urgent"[..], &b"too"[..]));
        assert_eq!((payloads[3].as_slice(), payloads.len()), (&[1; 100][..], 6));
    }

    #[test]
    fn a_close_frame_follows_what_has_begun_and_control_only() {
        let mut outbox = Outbox::default();
        let mut socket = narrow(10);
        outbox.push_data(opcode::BINARY, &[1; 50]);
        outbox.push_data(opcode::BINARY, &[2; 5000]);
        outbox.write_to(&mut socket).unwrap();
        outbox.push_control(b"last words");
        outbox.push_close(CloseCode::Superseded.to_wire(), &"why ".repeat(100));
        while !outbox.is_empty() {
            outbox.write_to(&mut socket).unwrap();
        }
        let frames = frames(&socket.taken);
        assert_eq!(frames[0], (BINARY, vec![1; 50]));
        assert_eq!(frames[1], (BINARY, b"last words".to_vec()));
        assert_eq!((frames[2].0, &frames[2].1[..2], frames.len()), (CLOSE, &4012u16.to_be_bytes()[..], 3));
        assert_eq!((frames[2].1.len(), outbox.memory()), (SHORT_MAX, 0));
    }
}
