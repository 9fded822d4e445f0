//! The name of one certificate or key: its SHA-256, as browsers and `openssl` show it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate (DER), or of its public key (the SubjectPublicKeyInfo, DER): what a relay can be pinned to. A pin on the
/// key still holds when the certificate is renewed with the same key.
///
/// It is read from 64 hexadecimal digits, which may be grouped with colons, hyphens or spaces and stand behind `sha256:`, and written
/// as 64 digits in small letters.
///
/// ```
/// use phantom_tokio::Fingerprint;
///
/// let pin: Fingerprint = "SHA256:4F:1C:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:9a".parse()?;
/// assert!(pin.to_string().starts_with("4f1c"));
/// # Ok::<(), phantom_tokio::FingerprintError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of these bytes: a certificate or a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let text = text.trim_ascii();
        let digits = match text.split_at_checked(7) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("sha256:") => rest,
            _ => text,
        };
        let mut nibbles = digits
            .chars()
            .filter(|&c| !matches!(c, ':' | '-' | ' '))
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(FingerprintError));
        let mut sha256 = [0; 32];
        for byte in &mut sha256 {
            let mut next = || nibbles.next().unwrap_or(Err(FingerprintError));
            *byte = next()? << 4 | next()?;
        }
        if nibbles.next().is_some() { Err(FingerprintError) } else { Ok(Self(sha256)) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is no [`Fingerprint`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FingerprintError;

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this is no SHA-256 fingerprint; it has 64 hexadecimal digits, colons between them or not",
        )
    }
}

impl std::error::Error for FingerprintError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_is_the_same_fingerprint() {
        let plain = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let pairs = |separator: &str| {
            let pairs: Vec<_> =
                plain.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
            pairs.join(separator)
        };
        let upper = pairs(":").to_uppercase();
        for text in [plain, &pairs(":"), &pairs("-"), &pairs(" "), &upper, &format!("SHA256:{upper}")] {
            assert_eq!(text.parse(), Ok(Fingerprint::of(b"")), "{text}");
        }
        assert_eq!(Fingerprint::of(b"").to_string(), plain);
        for wrong in ["", "sha256:", &plain[1..], &format!("{plain}0"), &plain.replace('e', "g"), "ééééééé"]
        {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError), "{wrong}");
        }
    }
}
