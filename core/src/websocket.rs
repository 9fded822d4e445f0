//! The bytes around a payload in a WebSocket: RFC 6455, section 5.2, as both ends of a link write and read them.
//!
//! The machines know nothing of it: to them a message is a message. It stands here because every adapter needs the same few rules, and
//! a frame that one end writes must be one that the other takes.

/// The bit of a frame's first byte that says that no continuation follows.
pub const FINAL: u8 = 0x80;
/// Bits that mean something only after an extension has been agreed on; none ever is.
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
/// The bit of a frame's second byte that says that a mask follows.
pub const MASKED: u8 = 0x80;
/// The longest payload of a control frame, in bytes, and the longest whose length stands in the second byte.
pub const SHORT_MAX: usize = 125;
/// The two numbers above it say that two or eight bytes of length follow.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;
/// The longest header without a mask, in bytes.
pub const HEADER_MAX: usize = 10;
/// The length of a mask, in bytes.
pub const MASK_LEN: usize = 4;

/// What a frame is (section 11.8).
pub mod opcode {
    /// More of a message that has begun.
    pub const CONTINUATION: u8 = 0;
    /// A text message, or its beginning.
    pub const TEXT: u8 = 1;
    /// A binary message, or its beginning.
    pub const BINARY: u8 = 2;
    /// The end.
    pub const CLOSE: u8 = 8;
    /// To be answered with a pong.
    pub const PING: u8 = 9;
    /// The answer to a ping.
    pub const PONG: u8 = 10;
}

/// The header of a frame, as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    first: u8,
    /// What the payload is masked with, if it is.
    pub mask: Option<[u8; MASK_LEN]>,
    /// The header's own length in bytes, its mask included.
    pub len: usize,
    /// The length of the payload behind it, in bytes. Whatever the peer says: up to `u64::MAX`.
    pub payload: u64,
}

impl Header {
    /// Reads the header at the beginning of `bytes`; none, if it is not all there. It may break rules: see [`is_sound`](Self::is_sound).
    #[inline]
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (len, payload) = match second & !MASKED {
            TWO_BYTES => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
            EIGHT_BYTES => (HEADER_MAX, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            short => (2, u64::from(short)),
        };
        if second & MASKED == 0 {
            return Some(Self { first, mask: None, len, payload });
        }
        let mask = Some(*bytes.get(len..)?.first_chunk()?);
        Some(Self { first, mask, len: len + MASK_LEN, payload })
    }

    /// The same as [`parse`](Self::parse) for a sound header of a whole binary message that is masked and no longer than 65,535 bytes, with bytes
    /// of its payload behind it: what nearly everything is that a client sends. None for anything else, whatever it is.
    #[inline]
    #[must_use]
    pub fn parse_usual(bytes: &[u8]) -> Option<Self> {
        const FIRST: u8 = FINAL | opcode::BINARY;
        let &[FIRST, second, a, b, c, d, e, f] = bytes.first_chunk()? else { return None };
        let (mask, len, payload) = match second ^ MASKED {
            TWO_BYTES => ([c, d, e, f], 4, u16::from_be_bytes([a, b])),
            short => ([a, b, c, d], 2, u16::from(short)),
        };
        // The other forms of a length, and no mask, fail here as well: they look like short lengths that are not short.
        (header_len(payload.into()) == len).then(|| Self {
            first: FIRST,
            mask: Some(mask),
            len: len + MASK_LEN,
            payload: payload.into(),
        })
    }

    /// Sections 5.2, 5.4 and 5.5: whether it keeps to what every frame must. The length is written in its shortest form and is below
    /// 2⁶³, no reserved bit is set, the opcode is known, and a control frame is short and whole.
    #[inline]
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let shortest = header_len_of(self.payload) + if self.mask.is_some() { MASK_LEN } else { 0 };
        let known =
            matches!(self.opcode(), opcode::CONTINUATION..=opcode::BINARY | opcode::CLOSE..=opcode::PONG);
        self.first & RESERVED == 0
            && self.payload >> 63 == 0
            && self.len == shortest
            && known
            && (!self.is_control() || (self.is_final() && self.payload <= SHORT_MAX as u64))
    }

    /// What the frame is; see [`opcode`].
    #[inline]
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        self.first & OPCODE
    }

    /// No continuation follows.
    #[inline]
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.first & FINAL != 0
    }

    /// It is no part of a message (section 5.5).
    #[inline]
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.opcode() >= opcode::CLOSE
    }
}

/// The length of the header of a payload of this many bytes, without a mask.
#[inline]
#[must_use]
pub const fn header_len(payload: usize) -> usize {
    header_len_of(payload as u64)
}

const fn header_len_of(payload: u64) -> usize {
    if payload <= SHORT_MAX as u64 {
        2
    } else if payload <= u16::MAX as u64 {
        4
    } else {
        HEADER_MAX
    }
}

/// Writes the header of a whole message or a control frame with a payload of this many bytes to the beginning of `to`, without a mask,
/// and returns its length, which is [`header_len`]; none, and nothing is written, if there is no room for it.
///
/// A client, which must mask (section 5.3), sets [`MASKED`] in the second byte and puts the mask behind the header.
#[inline]
pub fn write_header(to: &mut [u8], opcode: u8, payload: usize) -> Option<usize> {
    let first = FINAL | opcode;
    let [.., high, low] = (payload as u64).to_be_bytes();
    match header_len(payload) {
        2 => *to.first_chunk_mut()? = [first, low],
        4 => *to.first_chunk_mut()? = [first, TWO_BYTES, high, low],
        _ => {
            let header: &mut [u8; HEADER_MAX] = to.first_chunk_mut()?;
            header[..2].copy_from_slice(&[first, EIGHT_BYTES]);
            header[2..].copy_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    Some(header_len(payload))
}

/// Masks a payload, or takes its mask off (section 5.3: the two are one).
#[inline]
pub fn apply_mask(payload: &mut [u8], mask: [u8; MASK_LEN]) {
    let mask = u32::from_le_bytes(mask);
    if payload.len() < STEP {
        let (halves, rest) = payload.as_chunks_mut::<MASK_LEN>();
        for half in halves {
            *half = (u32::from_le_bytes(*half) ^ mask).to_le_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask.to_le_bytes()) {
            *byte ^= mask;
        }
        return;
    }
    // The last step may reach back over the one before it: it is taken from what stood there at first, and written when all else is. So
    // nothing remains to be done byte by byte.
    let turned = mask.rotate_right(8 * (payload.len() % MASK_LEN) as u32);
    let last = payload.last_chunk().map(|&last| masked(last, turned));
    for step in payload.as_chunks_mut().0 {
        *step = masked(*step, mask);
    }
    if let (Some(to), Some(last)) = (payload.last_chunk_mut(), last) {
        *to = last;
    }
}

/// Bytes that the mask is applied to at once.
const STEP: usize = 16;

#[inline]
fn masked(step: [u8; STEP], mask: u32) -> [u8; STEP] {
    let mask = u64::from(mask);
    let mask = u128::from(mask << 32 | mask);
    (u128::from_le_bytes(step) ^ (mask << 64 | mask)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_header_of_each_length_is_written_and_read() {
        for (payload, len) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 40, 10)] {
            assert_eq!(header_len(payload), len);
            let mut bytes = vec![0; len];
            assert_eq!(write_header(&mut bytes[..len - 1], opcode::BINARY, payload), None);
            assert_eq!(bytes, vec![0; len]);
            assert_eq!(write_header(&mut bytes, opcode::BINARY, payload), Some(len));
            for cut in 0..len {
                assert!(Header::parse(&bytes[..cut]).is_none());
            }
            let header = Header::parse(&bytes).expect("all there");
            assert_eq!((header.len, header.payload, header.mask), (len, payload as u64, None));
            assert_eq!(
                (header.opcode(), header.is_final(), header.is_control()),
                (opcode::BINARY, true, false)
            );
            assert!(header.is_sound());
        }
    }

    #[test]
    fn a_usual_header_is_what_it_is_by_every_rule() {
        let lens = [0, 1, 2, 3, 124, 125, 126, 127, 128, 255, 256, 65_535];
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                for len in lens {
                    let [high, low] = u16::to_be_bytes(len);
                    let bytes = [first, second, high, low, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
                    let header = Header::parse(&bytes).expect("all there");
                    let is_message = first == FINAL | opcode::BINARY && header.mask.is_some();
                    let expected =
                        (is_message && header.is_sound() && header.payload <= 65_535).then_some(header);
                    assert_eq!(Header::parse_usual(&bytes), expected, "{bytes:?}");
                    assert_eq!(Header::parse_usual(&bytes[..7]), None);
                }
            }
        }
    }

    #[test]
    fn what_breaks_a_rule_is_not_sound() {
        let long = |first: u8, len: u64| [&[first, 127][..], &len.to_be_bytes()].concat();
        let masked = |header: &[u8]| {
            let mut bytes = header.to_vec();
            bytes[1] |= MASKED;
            [&bytes[..], &[1, 2, 3, 4]].concat()
        };
        let broken = [
            vec![0xc2, 1],
            vec![0xa2, 1],
            vec![0x92, 1],
            vec![0x83, 1],
            vec![0x87, 1],
            vec![0x8b, 1],
            vec![0x8f, 1],
            vec![0x09, 1],
            vec![0x88, 126, 0, 126],
            vec![0x82, 126, 0, 125],
            long(0x82, 65_535),
            long(0x82, 1 << 63),
        ];
        let sound = [
            vec![0x02, 0],
            vec![0x00, 125],
            vec![0x81, 126, 0, 126],
            vec![0x8a, 125],
            long(0x80, u64::MAX >> 1),
        ];
        for (bytes, is_sound) in broken.map(|b| (b, false)).into_iter().chain(sound.map(|b| (b, true))) {
            for bytes in [masked(&bytes), bytes] {
                assert_eq!(Header::parse(&bytes).expect("all there").is_sound(), is_sound, "{bytes:x?}");
            }
        }
    }

    /// The example of section 5.7: a masked text message.
    #[test]
    fn the_example_of_the_rfc_is_unmasked() {
        let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let header = Header::parse(&bytes).expect("all there");
        assert_eq!((header.len, header.payload, header.opcode()), (6, 5, opcode::TEXT));
        apply_mask(&mut bytes[6..], header.mask.expect("masked"));
        assert_eq!(&bytes[6..], b"Hello");
    }

    #[test]
    fn every_length_is_masked() {
        for len in 0..40 {
            let mut bytes: Vec<u8> = (0..len).collect();
            apply_mask(&mut bytes, [1, 2, 3, 4]);
            let expected: Vec<u8> = (0..len).map(|n| n ^ (n % 4 + 1)).collect();
            assert_eq!(bytes, expected);
        }
    }
}
