//! What waits to be written to one socket: control before data, whole frames, bounded by whoever fills it.
//!
//! Frames lie here encoded, one behind the other, so that any number of them leaves in one write. A frame that has begun to leave
//! is finished first; then all of control; then data. An empty outbox holds no memory.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use phantom_core::wire::CloseCode;

const FINAL_BINARY: u8 = 0x82;
const FINAL_CLOSE: u8 = 0x88;
/// Lengths up to this stand in the second byte of a WebSocket frame; the two numbers above it say that two or eight bytes follow.
const SHORT_MAX: usize = 125;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// The two queues of one socket.
#[derive(Default)]
pub(crate) struct Outbox {
    control: VecDeque<u8>,
    data: VecDeque<u8>,
    /// Bytes still to be written of the data frame that has begun to leave.
    begun: usize,
}

impl Outbox {
    /// One message, ahead of all data that has not begun to leave.
    pub(crate) fn push_control(&mut self, message: &[u8]) {
        push_frame(&mut self.control, FINAL_BINARY, message);
    }

    /// Bytes that are no message of ours: an HTTP answer, the WebSocket layer's own frames.
    pub(crate) fn push_raw(&mut self, bytes: &[u8]) {
        self.control.extend(bytes);
    }

    /// One message, behind everything but control that comes later.
    pub(crate) fn push_data(&mut self, message: &[u8]) {
        push_frame(&mut self.data, FINAL_BINARY, message);
    }

    /// The last frame: the close code and its reason in words. Data that has not begun to leave will not leave any more.
    pub(crate) fn push_close(&mut self, code: CloseCode) {
        self.drop_data();
        let mut payload = code.to_wire().to_be_bytes().to_vec();
        payload.extend(code.to_string().bytes().take(SHORT_MAX - 2));
        push_frame(&mut self.control, FINAL_CLOSE, &payload);
    }

    /// Forgets all data but a frame that has begun to leave.
    pub(crate) fn drop_data(&mut self) {
        self.data.truncate(self.begun);
        self.data.shrink_to_fit();
    }

    /// Bytes of control that wait.
    pub(crate) fn control_bytes(&self) -> usize {
        self.control.len()
    }

    /// Bytes of data that wait.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.data.is_empty()
    }

    /// Writes as much as one call takes; says how much that was.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let (front, back) = self.data.as_slices();
        let cut = self.begun.min(front.len());
        let (begun_front, rest_front) = front.split_at(cut);
        let (begun_back, rest_back) = back.split_at(self.begun - cut);
        let (control_front, control_back) = self.control.as_slices();
        let parts = [begun_front, begun_back, control_front, control_back, rest_front, rest_back];
        let mut slices = [IoSlice::new(&[]); 6];
        let mut filled = 0;
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            slices[filled] = IoSlice::new(part);
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
        let finished = written.min(self.begun);
        self.data.drain(..finished);
        self.begun -= finished;
        written -= finished;
        let control = written.min(self.control.len());
        self.control.drain(..control);
        written -= control;
        if written == self.data.len() {
            self.data.clear();
        } else {
            while written > 0 {
                let frame = frame_len(&self.data);
                let gone = frame.min(written);
                self.data.drain(..gone);
                self.begun = frame - gone;
                written -= gone;
            }
        }
        for queue in [&mut self.control, &mut self.data] {
            if queue.is_empty() {
                *queue = VecDeque::new();
            }
        }
    }
}

/// A server's frames are not masked, so a header is two, four or ten bytes.
fn push_frame(queue: &mut VecDeque<u8>, kind: u8, payload: &[u8]) {
    let len = payload.len();
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if len <= SHORT_MAX => queue.extend([kind, short]),
        (_, Ok(medium)) => {
            let [a, b] = medium.to_be_bytes();
            queue.extend([kind, TWO_BYTES, a, b]);
        }
        _ => {
            queue.extend([kind, EIGHT_BYTES]);
            queue.extend((len as u64).to_be_bytes());
        }
    }
    queue.extend(payload);
}

/// The length, header included, of the frame at the front of a queue that holds only whole frames.
fn frame_len(queue: &VecDeque<u8>) -> usize {
    let field = |at: usize, bytes: usize| {
        queue.range(at..at + bytes).fold(0, |value, &byte| value << 8 | usize::from(byte))
    };
    match queue[1] {
        TWO_BYTES => 4 + field(2, 2),
        EIGHT_BYTES => 10 + field(2, 8),
        short => 2 + usize::from(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// The kind byte and payload of every frame in `bytes`.
    fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut queue: VecDeque<u8> = bytes.iter().copied().collect();
        let mut frames = Vec::new();
        while !queue.is_empty() {
            let frame: Vec<u8> = queue.drain(..frame_len(&queue)).collect();
            let header = match frame[1] {
                TWO_BYTES => 4,
                EIGHT_BYTES => 10,
                _ => 2,
            };
            frames.push((frame[0], frame[header..].to_vec()));
        }
        frames
    }

    #[test]
    fn every_portion_gives_the_same_whole_frames_in_order() {
        let messages: Vec<Vec<u8>> = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 3]
            .iter()
            .enumerate()
            .map(|(number, &len)| vec![number as u8; len])
            .collect();
        for portion in [1, 2, 3, 7, 128, 1000, 65_540, 1 << 20] {
            let mut outbox = Outbox::default();
            messages.iter().for_each(|message| outbox.push_data(message));
            let mut socket = Narrow { taken: Vec::new(), portion };
            while !outbox.is_empty() {
                outbox.write_to(&mut socket).unwrap();
            }
            let expected: Vec<_> = messages.iter().map(|m| (FINAL_BINARY, m.clone())).collect();
            assert_eq!(frames(&socket.taken), expected, "portion {portion}");
            assert_eq!(outbox.data.capacity() + outbox.control.capacity(), 0);
        }
    }

    #[test]
    fn control_overtakes_data_but_never_cuts_a_frame() {
        let mut outbox = Outbox::default();
        let mut socket = Narrow { taken: Vec::new(), portion: 40 };
        for byte in 0..4 {
            outbox.push_data(&[byte; 100]);
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
        let mut socket = Narrow { taken: Vec::new(), portion: 10 };
        outbox.push_data(&[1; 50]);
        outbox.push_data(&[2; 50]);
        outbox.write_to(&mut socket).unwrap();
        outbox.push_control(b"last words");
        outbox.push_close(CloseCode::Superseded);
        while !outbox.is_empty() {
            outbox.write_to(&mut socket).unwrap();
        }
        let frames = frames(&socket.taken);
        assert_eq!(frames[0], (FINAL_BINARY, vec![1; 50]));
        assert_eq!(frames[1], (FINAL_BINARY, b"last words".to_vec()));
        assert_eq!(
            (frames[2].0, &frames[2].1[..2], frames.len()),
            (FINAL_CLOSE, &4012u16.to_be_bytes()[..], 3)
        );
        assert!(frames[2].1.len() <= SHORT_MAX);
    }
}
