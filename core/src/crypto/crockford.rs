//! Crockford's base32: digits that survive being read aloud, in either case, with `O` for 0 and `I` or `L` for 1.
//!
//! Bits are taken from the highest of the first byte on; what is missing to a whole digit is filled with zeros.

/// The 32 digits. `I`, `L`, `O` and `U` are not among them.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The digit for the five low bits of `value`.
pub fn digit(value: u8) -> char {
    char::from(DIGITS[usize::from(value & 31)])
}

/// What a character stands for, or `None` if it is no digit.
pub fn value(digit: char) -> Option<u8> {
    let upper = u8::try_from(digit).ok()?.to_ascii_uppercase();
    let canonical = match upper {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    DIGITS.iter().position(|&known| known == canonical).map(|index| index as u8)
}

/// The digits of `bytes`, the last one filled up with zero bits.
pub fn digits(bytes: &[u8]) -> impl Iterator<Item = char> {
    let count = (bytes.len() * 8).div_ceil(5);
    (0..count).map(move |index| {
        let bit = index * 5;
        let high = u16::from(bytes[bit / 8]) << 8;
        let low = bytes.get(bit / 8 + 1).map_or(0, |&byte| u16::from(byte));
        digit(((high | low) >> (11 - bit % 8)) as u8)
    })
}
