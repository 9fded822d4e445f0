//! Where a relay is: `ws://` or `wss://`, a host, and what may follow. Anything else is refused with the reason.

use std::fmt;

use tokio_tungstenite::tungstenite::http::Uri;

use crate::Error;

/// A relay's address, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RelayUrl {
    pub(crate) tls: bool,
    /// A name, or an IP address; an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The whole address, as the WebSocket handshake wants it.
    pub(crate) uri: Uri,
}

impl RelayUrl {
    /// Reads `ws://host[:port][/path][?query]`, or the same with `wss`. Ports are 80 and 443 by default, the path is `/`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem| Error::Url { url: shown(text), problem };
        let (scheme, rest) =
            text.split_once("://").ok_or(refuse("it does not begin with ws:// or wss://"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return Err(refuse("it does not begin with ws:// or wss://")),
        };
        if rest.contains('#') {
            return Err(refuse("a relay's address has no part behind #"));
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(refuse("a relay's address has no user name"));
        }
        // A query may stand behind the host alone; in the request there is a path in any case.
        let behind = &rest[authority.len()..];
        let path = if behind.starts_with('/') { "" } else { "/" };
        let whole = format!("{scheme}://{authority}{path}{behind}");
        let uri: Uri = whole.parse().map_err(|_| refuse("it is not a valid address"))?;
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(refuse("the host is missing"));
        }
        let written = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        let port = match written {
            None | Some((_, "")) => None,
            Some((_, digits)) => match digits.parse() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(refuse("the port is not a number from 1 to 65535")),
            },
        };
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host: host.to_owned(), port, uri })
    }
}

/// The address without user name and query, which may hold what is not to be shown.
fn shown(text: &str) -> String {
    let text = text.split_once(['?', '#']).map_or_else(|| text.to_owned(), |(text, _)| format!("{text}?..."));
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://...@{rest}"),
        (None, Some((_, rest))) => format!("...@{rest}"),
        _ => text,
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayUrl({self})")
    }
}

impl fmt::Display for RelayUrl {
    /// Host and port only: a query may hold what is not to be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_stands_there_and_fills_in_the_rest() {
        for (text, tls, host, port, path) in [
            ("ws://127.0.0.1:7777", false, "127.0.0.1", 7777, "/"),
            ("ws://relay.example", false, "relay.example", 80, "/"),
            ("WSS://relay.example", true, "relay.example", 443, "/"),
            ("wss://relay.example/a/b?c=d", true, "relay.example", 443, "/a/b?c=d"),
            ("ws://[::1]:7777/", false, "::1", 7777, "/"),
            ("ws://[::1]", false, "::1", 80, "/"),
            ("ws://relay.example?x", false, "relay.example", 80, "/?x"),
        ] {
            let url = RelayUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.tls, url.host.as_str(), url.port), (tls, host, port), "{text}");
            assert_eq!(url.uri.path_and_query().map(|path| path.as_str()), Some(path), "{text}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        for text in ["ws://relay:0?token=secret", "ws://me:secret@relay", "me:secret@relay", "ws://x#secret"]
        {
            let error = RelayUrl::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        let url = RelayUrl::parse("ws://relay?token=secret").unwrap();
        assert!(!format!("{url} {url:?}").contains("secret"), "{url:?}");
    }

    #[test]
    fn refuses_everything_else_with_the_reason() {
        for (text, reason) in [
            ("", "ws://"),
            ("127.0.0.1:7777", "ws://"),
            ("http://relay.example", "ws://"),
            ("ws://", "valid"),
            ("ws://:7777", "host"),
            ("ws://a b", "valid"),
            ("ws://bücher.example", "valid"),
            ("ws://relay.example:0", "port"),
            ("ws://relay.example:65536", "port"),
            ("ws://me@relay.example", "user"),
            ("ws://relay.example/#x", "#"),
        ] {
            match RelayUrl::parse(text) {
                Err(Error::Url { problem, .. }) => assert!(problem.contains(reason), "{text}: {problem}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
