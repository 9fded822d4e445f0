//! Spans of time as people write them: `30s`, `10m`, `1h30m`, `250ms`.
//!
//! Every number has its unit, so that nobody has to remember whether seconds or milliseconds were meant. Units come largest first,
//! each at most once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// In milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A span of time in whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Span(u64);

impl Span {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    pub(crate) const fn milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// Less than a millisecond is dropped: no limit is that fine.
impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl FromStr for Span {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut rest = text.trim();
        let mut units = UNITS.iter();
        let mut total = 0_u64;
        if rest.is_empty() {
            return Err(());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(())?;
            let number: u64 = rest[..digits].parse().map_err(drop)?;
            rest = rest[digits..].trim_start();
            let name = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, factor) = units.find(|(unit, _)| *unit == &rest[..name]).ok_or(())?;
            total = number.checked_mul(*factor).and_then(|part| total.checked_add(part)).ok_or(())?;
            rest = rest[name..].trim_start();
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_people_write_it() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("250ms", 250),
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1h 30 m", 5_400_000),
            ("2d", 172_800_000),
            ("90s", 90_000),
            ("1s500ms", 1500),
        ] {
            assert_eq!(text.parse(), Ok(Span(milliseconds)), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_read() {
        for text in [
            "",
            "30",
            "s",
            "-5s",
            "1.5s",
            "1m1h",
            "1s1s",
            "10 min",
            "1S",
            "5s!",
            "99999999999999999999s",
            "213503982335d",
        ] {
            assert_eq!(text.parse::<Span>(), Err(()), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for milliseconds in [0, 1, 999, 1000, 1500, 59_999, 60_000, 5_400_000, 86_400_000, 90_061_001] {
            let span = Span(milliseconds);
            assert_eq!(span.to_string().parse(), Ok(span), "{span}");
        }
        assert_eq!(Span(5_400_000).to_string(), "1h30m");
    }
}
