//! From when until when a certificate is valid: the one thing in it that is read here.
//!
//! rustls does not look at the dates of its own certificate, since only clients judge them.

use std::path::Path;

use super::problem::TlsWarning;

const SEQUENCE: u8 = 0x30;
/// The version stands in front of the serial number, but only if it is not the first.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const DAY: u64 = 24 * 60 * 60;

/// Seconds of Unix time, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Validity {
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Validity {
    /// As a certificate in DER has it (RFC 5280, section 4.1).
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = take(certificate, SEQUENCE)?;
        let (mut fields, _) = take(certificate, SEQUENCE)?;
        if fields.first() == Some(&VERSION) {
            fields = element(fields)?.2;
        }
        // The serial number, the algorithm of the signature, the issuer.
        for _ in 0..3 {
            fields = element(fields)?.2;
        }
        let (validity, _) = take(fields, SEQUENCE)?;
        let (from_kind, from, rest) = element(validity)?;
        let (until_kind, until, _) = element(rest)?;
        Some(Self { from: seconds(from_kind, from)?, until: seconds(until_kind, until)? })
    }

    /// What is wrong with it now.
    pub(super) fn warning(self, path: &Path, now: u64) -> Option<TlsWarning> {
        let path = || path.to_owned();
        if now > self.until {
            Some(TlsWarning::Expired { path: path(), days: (now - self.until) / DAY })
        } else if now < self.from {
            Some(TlsWarning::NotYetValid { path: path(), seconds: self.from - now })
        } else {
            None
        }
    }
}

/// The kind, the content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, short], rest) = bytes.split_first_chunk()?;
    let (len, rest) = if short < 0x80 {
        (usize::from(short), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |len, &digit| len << 8 | usize::from(digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((kind, content, rest))
}

/// The content of an element of this kind, and what follows.
fn take(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (kind, content, rest) = element(bytes)?;
    (kind == wanted).then_some((content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as a certificate must have it.
fn seconds(kind: u8, text: &[u8]) -> Option<u64> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |at: usize, len: usize| -> Option<u64> {
        std::str::from_utf8(digits.get(at..at + len)?).ok()?.parse().ok()
    };
    let (year, at) = match (kind, digits.len()) {
        (UTC_TIME, 12) => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|place| number(at + place, 2));
    let days = days(year, month?, day?)?;
    Some(days * DAY + hour? * 3600 + minute? * 60 + second?)
}

/// Days from 1970-01-01. What lies before is as good as that day.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    // Years are counted from March, so that the odd day of a leap year is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let until_this_year = 365 * year + leap_days;
    let until_this_month = (153 * month + 2) / 5;
    /// What the same sum gives for 1970-01-01.
    const EPOCH: u64 = 719_468;
    (until_this_year + until_this_month + day - 1).checked_sub(EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_understood() {
        for (kind, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000229235959Z", Some(951_868_799)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(0)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "500101000000Z", None),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "700101000000", None),
            (UTC_TIME, "7001010000xxZ", None),
        ] {
            assert_eq!(seconds(kind, text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn garbage_has_no_dates() {
        for garbage in [&b""[..], b"0", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x30\x01\x00", &[0x30; 100]] {
            assert_eq!(Validity::of(garbage), None);
        }
    }
}
