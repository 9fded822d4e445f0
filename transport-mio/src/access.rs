//! Who may connect: from where, for which web page, with which token, how often and how many at once.
//!
//! The rule: what costs the relay least is asked first. An address is judged when it is known, before TLS and HTTP if there is no
//! proxy in between, and whoever is turned away then is not answered. Origin and token are judged with the request, and the answer
//! says what was missing.

mod origin;
mod tokens;
mod visits;

use std::net::IpAddr;

use tungstenite::http::header::{AUTHORIZATION, ORIGIN};
use tungstenite::http::{HeaderMap, Uri};

pub use self::origin::{Origin, OriginError};
pub use self::tokens::{AccessToken, TokenFile, TokenFileError, TokenFileProblem};
pub(crate) use self::visits::Visits;
use crate::handshake::HandshakeFailure;
use crate::network::Network;

/// How many addresses an IPv6 /48 stands for.
pub(crate) const SITE_FACTOR: usize = 10;

/// The part of a request's path in which a token may stand.
const TOKEN: &str = "token";

/// Who may connect to a relay. By default everybody may, at a pace that no single client needs.
///
/// What belongs to one address here: an IPv4 address, or an IPv6 /64; and because many have a /48, its /64s together may have ten times as
/// much as one. Connections whose address is not known - those of a Unix socket,
/// if no proxy says whose they are - are not judged by it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Access {
    /// If it is not empty, only addresses in it may connect.
    pub allow: Vec<Network>,
    /// Addresses in it may not connect, even if they are in `allow`.
    pub deny: Vec<Network>,
    /// If it is not empty, web pages of these origins only may connect. A request that names no origin comes from no browser, and is let
    /// in: this protects the visitors of other pages from being made clients, and is no protection against any other program.
    pub origins: Vec<Origin>,
    /// If there is one, only clients with a token in it may connect: they send it as `Authorization: Bearer TOKEN`, or, since browsers
    /// cannot do that, as `?token=TOKEN` in the path.
    pub tokens: Option<TokenFile>,
    /// Connections at once from one address. At least 1.
    pub connections_per_address: usize,
    /// New connections per second from one address, in the long run. 0: no limit.
    pub connections_per_second_per_address: u32,
    /// How many may come at once after a pause. At least 1.
    pub connection_burst_per_address: u32,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            origins: Vec::new(),
            tokens: None,
            connections_per_address: 1024,
            connections_per_second_per_address: 64,
            connection_burst_per_address: 1024,
        }
    }
}

impl Access {
    /// Whether this address may connect at all.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let within = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }

    /// Whether a request with this path and these headers may connect, and if not, what is missing.
    pub(crate) fn judge(&self, path: &Uri, headers: &HeaderMap) -> Result<(), HandshakeFailure> {
        let welcome = |origin: &[u8]| self.origins.iter().any(|known| known.matches(origin));
        if !self.origins.is_empty() && !headers.get_all(ORIGIN).iter().all(|value| welcome(value.as_bytes()))
        {
            return Err(HandshakeFailure::Origin);
        }
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let by_header =
            headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes())).map(<[u8]>::to_vec);
        match by_header.or_else(|| in_query(path.query()?)) {
            Some(token) if tokens.holds(&token) => Ok(()),
            _ => Err(HandshakeFailure::Token),
        }
    }
}

/// RFC 6750, section 2.1. The word may be written in any case (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (word, token) = value.split_at_checked(7)?;
    word.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The first token in a query.
fn in_query(query: &str) -> Option<Vec<u8>> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == TOKEN))?.1;
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        (rest, _) = match (byte, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                (behind, decoded.push(digit(*high)? << 4 | digit(*low)?))
            }
            (b'%', _) => return None,
            _ => (behind, decoded.push(byte)),
        };
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(access: &Access, path: &str, headers: &[(&'static str, &str)]) -> Result<(), HandshakeFailure> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        access.judge(&path.parse().unwrap(), &map)
    }

    #[test]
    fn lists_say_who_may_connect() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        for (allow, deny, address, expected) in [
            (&[][..], &[][..], "192.0.2.1", true),
            (&["192.0.2.0/24"], &[], "192.0.2.1", true),
            (&["192.0.2.0/24"], &[], "198.51.100.1", false),
            (&["192.0.2.0/24"], &["192.0.2.1"], "192.0.2.1", false),
            (&[], &["2001:db8::/32"], "2001:db8::1", false),
            (&[], &["2001:db8::/32"], "192.0.2.1", true),
        ] {
            let access = Access { allow: networks(allow), deny: networks(deny), ..Access::default() };
            assert_eq!(access.admits(address.parse().unwrap()), expected, "{allow:?} {deny:?} {address}");
        }
    }

    #[test]
    fn a_foreign_origin_is_refused_and_none_is_not() {
        let mut access = Access::default();
        assert_eq!(judge(&access, "/", &[("origin", "https://anything.test")]), Ok(()));
        access.origins = vec!["https://example.org".parse().unwrap()];
        assert_eq!(judge(&access, "/", &[]), Ok(()));
        assert_eq!(judge(&access, "/", &[("origin", "https://example.org")]), Ok(()));
        for origins in [&["https://evil.test"][..], &["null"], &["https://example.org", "https://evil.test"]]
        {
            let headers: Vec<_> = origins.iter().map(|origin| ("origin", *origin)).collect();
            assert_eq!(judge(&access, "/", &headers), Err(HandshakeFailure::Origin), "{origins:?}");
        }
    }

    #[test]
    fn a_token_is_found_where_it_may_stand() {
        let token = AccessToken::draw().unwrap();
        let text = token.reveal();
        let tokens = TokenFile::parse(&format!("{} somebody\n", token.hash())).unwrap();
        let access = Access { tokens: Some(tokens), ..Access::default() };
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for (path, header) in [
            ("/".to_owned(), Some(format!("Bearer {text}"))),
            ("/".to_owned(), Some(format!("bEARER  {text} "))),
            (format!("/?token={text}"), None),
            (format!("/deep/path?a=b&token={text}&c"), None),
            (format!("/?token={escaped}"), Some("Basic abc".to_owned())),
        ] {
            let headers: Vec<_> = header.iter().map(|value| ("authorization", value.as_str())).collect();
            assert_eq!(judge(&access, &path, &headers), Ok(()), "{path} {headers:?}");
        }
        for (path, header) in [
            ("/".to_owned(), None),
            ("/?token=".to_owned(), None),
            ("/?token=%".to_owned(), None),
            ("/?token=%zz".to_owned(), None),
            (format!("/?token={}", &text[1..]), None),
            (format!("/?token={text}x"), None),
            (format!("/?notoken={text}"), None),
            (format!("/?token={}", token.hash()), None),
            (format!("/?token={text}"), Some("Bearer wrong".to_owned())),
            ("/".to_owned(), Some("Bearer".to_owned())),
            ("/".to_owned(), Some(text.to_owned())),
        ] {
            let headers: Vec<_> = header.iter().map(|value| ("authorization", value.as_str())).collect();
            assert_eq!(judge(&access, &path, &headers), Err(HandshakeFailure::Token), "{path} {headers:?}");
        }
    }
}
