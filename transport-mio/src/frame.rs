//! The bytes around a payload: RFC 6455, section 5.2.

/// No continuation follows.
pub(crate) const FINAL: u8 = 0x80;
/// Bits that mean something only after an extension has been agreed on; none ever is.
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
/// Lengths up to this stand in the second byte; the two numbers above it say that two or eight bytes follow.
pub(crate) const SHORT_MAX: usize = 125;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;
/// The longest header that a server sends.
pub(crate) const SENT_HEADER_MAX: usize = 10;

/// What a frame is (section 11.8).
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

/// The header of a frame, as it came.
pub(crate) struct Header {
    first: u8,
    pub(crate) mask: Option<[u8; 4]>,
    /// Its own length.
    pub(crate) len: usize,
    /// The length of the payload behind it.
    pub(crate) payload: u64,
}

impl Header {
    /// Reads the header at the beginning of `bytes`; none, if it is not all there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (len, payload) = match second & !MASKED {
            TWO_BYTES => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
            EIGHT_BYTES => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            short => (2, u64::from(short)),
        };
        if second & MASKED == 0 {
            return Some(Self { first, mask: None, len, payload });
        }
        let mask = Some(*bytes.get(len..)?.first_chunk()?);
        Some(Self { first, mask, len: len + 4, payload })
    }

    pub(crate) const fn opcode(&self) -> u8 {
        self.first & OPCODE
    }

    pub(crate) const fn is_final(&self) -> bool {
        self.first & FINAL != 0
    }

    pub(crate) const fn is_control(&self) -> bool {
        self.opcode() >= opcode::CLOSE
    }

    pub(crate) const fn has_reserved_bits(&self) -> bool {
        self.first & RESERVED != 0
    }
}

/// The length of the header that a server puts before a payload: it does not mask.
pub(crate) const fn sent_header_len(payload: usize) -> usize {
    if payload <= SHORT_MAX {
        2
    } else if payload <= u16::MAX as usize {
        4
    } else {
        SENT_HEADER_MAX
    }
}

/// Writes the header that a server puts before a payload of this length; `to` is [`sent_header_len`] long.
pub(crate) fn write_header(to: &mut [u8], opcode: u8, payload: usize) {
    let first = FINAL | opcode;
    match (to.len(), u8::try_from(payload), u16::try_from(payload)) {
        (2, Ok(short), _) => to.copy_from_slice(&[first, short]),
        (4, _, Ok(medium)) => {
            let [a, b] = medium.to_be_bytes();
            to.copy_from_slice(&[first, TWO_BYTES, a, b]);
        }
        _ => {
            to[..2].copy_from_slice(&[first, EIGHT_BYTES]);
            to[2..].copy_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}

/// The length, header included, of the frame at the beginning of `bytes`, which a server wrote and which is all there.
pub(crate) fn sent_frame_len(bytes: &[u8]) -> usize {
    let header = Header::parse(bytes).expect("only whole frames of our own lie here");
    header.len + header.payload as usize
}

/// Section 5.3, in either direction. Eight bytes at a time, which the compiler makes into as many as the processor takes.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let word: &mut [u8; 8] = chunk.try_into().expect("chunks of eight");
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_each_length_is_written_and_read() {
        for (payload, len) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 40, 10)] {
            assert_eq!(sent_header_len(payload), len);
            let mut bytes = vec![0; len];
            write_header(&mut bytes, opcode::BINARY, payload);
            for cut in 0..len {
                assert!(Header::parse(&bytes[..cut]).is_none());
            }
            let header = Header::parse(&bytes).expect("all there");
            assert_eq!((header.len, header.payload, header.mask), (len, payload as u64, None));
            assert_eq!(
                (header.opcode(), header.is_final(), header.is_control()),
                (opcode::BINARY, true, false)
            );
        }
    }

    /// The example of section 5.7: a masked text message.
    #[test]
    fn the_example_of_the_rfc_is_unmasked() {
        let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let header = Header::parse(&bytes).expect("all there");
        assert_eq!((header.len, header.payload, header.opcode()), (6, 5, opcode::TEXT));
        unmask(&mut bytes[6..], header.mask.expect("masked"));
        assert_eq!(&bytes[6..], b"Hello");
    }

    #[test]
    fn every_length_is_unmasked() {
        for len in 0..40 {
            let mut bytes: Vec<u8> = (0..len).collect();
            unmask(&mut bytes, [1, 2, 3, 4]);
            let expected: Vec<u8> = (0..len).map(|n| n ^ (n % 4 + 1)).collect();
            assert_eq!(bytes, expected);
        }
    }
}
