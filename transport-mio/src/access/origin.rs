//! The web pages that may connect.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The origin of a web page, or of all pages of a domain: `https://example.org`, `https://example.org:8443`, `*.example.org`,
/// `https://*.example.org`.
///
/// Without a scheme, it stands for every scheme. `*.` stands for one or more names in front, and not for none. `null` stands for pages
/// without an origin, such as local files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// In lower case.
    scheme: Option<String>,
    /// Whether anything must stand in front of the host.
    any_below: bool,
    /// The host and the port, if one is named; in lower case.
    host: String,
}

impl Origin {
    /// Whether it is this one, as a browser says it (RFC 6454, section 7).
    pub(super) fn matches(&self, origin: &[u8]) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let origin = origin.to_ascii_lowercase();
        let (scheme, host) = match origin.split_once("://") {
            Some((scheme, host)) => (Some(scheme), host),
            None => (None, origin.as_str()),
        };
        let host_fits = if self.any_below {
            host.strip_suffix(&self.host)
                .and_then(|front| front.strip_suffix('.'))
                .is_some_and(|front| !front.is_empty())
        } else {
            host == self.host
        };
        host_fits && (self.scheme.is_none() || self.scheme.as_deref() == scheme)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = match lower.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_owned()), rest),
            None => (None, lower.as_str()),
        };
        let (any_below, host) = match rest.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, rest),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let is_scheme = |scheme: &String| {
            !scheme.is_empty()
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        if host.is_empty() || !host.bytes().all(allowed) || !scheme.as_ref().is_none_or(is_scheme) {
            return Err(OriginError(text.to_owned()));
        }
        Ok(Self { scheme, any_below, host: host.to_owned() })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}://")?;
        }
        write!(f, "{}{}", if self.any_below { "*." } else { "" }, self.host)
    }
}

/// A text that is no origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginError(String);

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no origin; write it without a path, as https://example.org, or as *.example.org for all names below",
            self.0
        )
    }
}

impl Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_itself_and_no_other() {
        for (known, same, others) in [
            (
                "https://example.org",
                &["https://example.org", "HTTPS://Example.ORG"][..],
                &[
                    "http://example.org",
                    "https://example.org:8443",
                    "https://a.example.org",
                    "https://example.org.evil.test",
                ][..],
            ),
            (
                "example.org",
                &["https://example.org", "http://example.org"],
                &["https://example.org:8443", "null"],
            ),
            ("https://example.org:8443", &["https://example.org:8443"], &["https://example.org"]),
            (
                "*.example.org",
                &["https://a.example.org", "http://b.a.example.org"],
                &[
                    "https://example.org",
                    "https://.example.org",
                    "https://evilexample.org",
                    "https://a.example.org.evil.test",
                ],
            ),
            (
                "https://*.example.org",
                &["https://a.example.org"],
                &["http://a.example.org", "https://example.org"],
            ),
            ("null", &["null"], &["https://example.org"]),
            ("http://[::1]:3000", &["http://[::1]:3000"], &["http://[::1]"]),
        ] {
            let origin: Origin = known.parse().unwrap();
            assert_eq!(origin.to_string(), known);
            assert!(same.iter().all(|same| origin.matches(same.as_bytes())), "{known}");
            for other in others {
                assert!(!origin.matches(other.as_bytes()), "{known} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in
            ["", "https://", "https://example.org/", "example.org/path", "*", "a.*.org", "*.", "://x", "a b"]
        {
            let error = text.parse::<Origin>().unwrap_err().to_string();
            assert!(error.contains("is no origin"), "{error}");
        }
    }
}
