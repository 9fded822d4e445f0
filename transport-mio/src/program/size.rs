//! Sizes as people write them: `512 MiB`, `64KiB`, `1000000`.
//!
//! A size is a whole number of bytes. Units are powers of 1024 with an `i` (`KiB`) and of 1000 without (`kB`); their case does not
//! matter, so that nobody gets a different size by a slip of the shift key.

use std::fmt;
use std::str::FromStr;

/// The binary ones stand first, the largest first: the first that divides a size without remainder is the one it is shown in.
const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
];

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// As a length in memory; more than this machine can address is as much as it can.
    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = ();

    /// Digits, and a unit if they do not count bytes; spaces between them do not matter.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = (&text[..digits], text[digits..].trim_start());
        let number: u64 = number.parse().map_err(drop)?;
        let factor = if unit.is_empty() || unit.eq_ignore_ascii_case("B") {
            1
        } else {
            UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(())?.1
        };
        number.checked_mul(factor).map(Self).ok_or(())
    }
}

impl fmt::Display for Size {
    /// Exact, in the largest binary unit that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        match UNITS[..4].iter().find(whole) {
            Some((name, factor)) => write!(f, "{} {name}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_people_write_it() {
        for (text, bytes) in [
            ("0", 0),
            ("1000000", 1_000_000),
            ("17B", 17),
            ("64KiB", 65_536),
            (" 512 MiB ", 512 << 20),
            ("2gib", 2 << 30),
            ("1 TiB", 1 << 40),
            ("3 kB", 3000),
            ("5MB", 5_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_read() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5 MiB",
            "1 M",
            "1 MiB 2",
            "1e6",
            "+5",
            "18446744073709551616",
            "99999999999 TiB",
            "1 µB",
        ] {
            assert_eq!(text.parse::<Size>(), Err(()), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for bytes in [0, 1, 1000, 1024, 1025, 65_536, 3 << 20, (3 << 20) + 1, 7 << 30, 1 << 50, u64::MAX] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)), "{}", Size(bytes));
        }
        assert_eq!(Size(1536 << 10).to_string(), "1536 KiB");
        assert_eq!(Size(256 << 20).to_string(), "256 MiB");
    }
}
