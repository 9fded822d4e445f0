//! How often something may be done, as people write it: `10+1/6s` is ten times at once, and once more every six seconds.
//!
//! `0+1/6s` forbids it; `10+1/0s` allows it without end.

use std::fmt;
use std::str::FromStr;

use phantom_core::relay::Rate;

use super::span::Span;

/// So many times at once, and once more after each span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    burst: u32,
    refill: Span,
}

impl Pace {
    pub(crate) const fn rate(self) -> Rate {
        Rate::new(self.burst, self.refill.duration())
    }
}

impl From<Rate> for Pace {
    fn from(rate: Rate) -> Self {
        Self { burst: rate.burst, refill: rate.refill.into() }
    }
}

impl FromStr for Pace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (burst, refill) = text.split_once('+').ok_or(())?;
        let (one, refill) = refill.split_once('/').ok_or(())?;
        let (burst, one) = (burst.trim(), one.trim());
        if one != "1" || !burst.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        Ok(Self { burst: burst.parse().map_err(drop)?, refill: refill.parse()? })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+1/{}", self.burst, self.refill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_people_write_it_and_shown_as_it_is_read() {
        for (text, shown) in [("10+1/6s", "10+1/6s"), ("0 + 1 / 1h30m", "0+1/1h30m"), ("5+1/0s", "5+1/0s")] {
            let pace: Pace = text.parse().unwrap();
            assert_eq!(pace.to_string(), shown);
            assert_eq!(shown.parse(), Ok(pace));
        }
        let rate = "50+1/20ms".parse::<Pace>().unwrap().rate();
        assert_eq!((rate.burst, rate.refill.as_millis()), (50, 20));
    }

    #[test]
    fn nothing_else_is_read() {
        for text in ["", "10", "10/6s", "10+6s", "10+2/6s", "-1+1/6s", "+1/6s", "10+1/6", "4294967296+1/1s"] {
            assert_eq!(text.parse::<Pace>(), Err(()), "{text}");
        }
    }
}
