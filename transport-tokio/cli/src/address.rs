//! Where a relay is. However a person writes it, there is one form of it: scheme, host, port and path.
//!
//! ```text
//! ws://host[:80][/path]    wss://host[:443][/path]    host[:7777][/path]
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::message::Message;

/// The port of a relay for which nothing else is said.
pub(crate) const PORT: u16 = 7777;
const PORT_WS: u16 = 80;
const PORT_WSS: u16 = 443;

/// The address of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    host: String,
    port: u16,
    /// Empty, or a slash and more, without one at the end.
    path: String,
}

impl Address {
    /// A relay without TLS at an address of the network.
    pub(crate) fn of(ip: IpAddr, port: u16) -> Self {
        let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        Self { tls: false, host, port, path: String::new() }
    }

    /// Reads `host[:port][/path]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse_rest(tls: bool, rest: &str, default_port: u16) -> Result<Self, AddressError> {
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority.ends_with(']') => (&authority[..colon], Some(&authority[colon + 1..])),
            _ => (authority, None),
        };
        let port = match port {
            None => default_port,
            // `parse` alone would take a plus sign.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|&port| port != 0).ok_or(AddressError::Port)?
            }
            Some(_) => return Err(AddressError::Port),
        };
        if !is_host(host) {
            return Err(AddressError::Host);
        }
        let path = path.trim_end_matches('/');
        if !path.bytes().all(|b| b == b'/' || b == b'%' || is_unreserved(b)) {
            return Err(AddressError::Path);
        }
        Ok(Self { tls, host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }

    /// `host[:port][/path]`, without the port if it is `default_port`.
    pub(crate) fn rest(&self, default_port: Option<u16>) -> String {
        let Self { host, port, path, .. } = self;
        if default_port == Some(*port) { format!("{host}{path}") } else { format!("{host}:{port}{path}") }
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The address with one segment more, or without the last one.
    pub(crate) fn split_last_segment(rest: &str) -> Option<(&str, &str)> {
        rest.trim_end_matches('/').rsplit_once('/')
    }
}

/// The URL of the WebSocket. The port always stands in it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}", self.rest(None))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => {
                Self::parse_rest(false, rest, PORT_WS)
            }
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => {
                Self::parse_rest(true, rest, PORT_WSS)
            }
            Some(_) => Err(AddressError::Scheme),
            None => Self::parse_rest(false, text, PORT),
        }
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    }
}

/// Bytes that mean themselves in a URL.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Why a text is no address of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressError {
    Scheme,
    Host,
    Port,
    Path,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match self {
            Self::Scheme => Message::AddressScheme,
            Self::Host => Message::AddressHost,
            Self::Port => Message::AddressPort,
            Self::Path => Message::AddressPath,
        };
        message.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_a_person_may_write() {
        for (text, url) in [
            ("ws://127.0.0.1:7777", "ws://127.0.0.1:7777"),
            ("ws://relay.example", "ws://relay.example:80"),
            ("WSS://Relay.Example/", "wss://relay.example:443"),
            ("wss://relay.example/phantom/", "wss://relay.example:443/phantom"),
            ("relay.example", "ws://relay.example:7777"),
            ("localhost:9000", "ws://localhost:9000"),
            ("ws://[::1]:1", "ws://[::1]:1"),
            ("[::1]", "ws://[::1]:7777"),
        ] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(url.to_owned()), "{text}");
        }
    }

    #[test]
    fn forms_that_are_refused() {
        for (text, error) in [
            ("http://relay.example", AddressError::Scheme),
            ("", AddressError::Host),
            ("ws://", AddressError::Host),
            ("ws://:7777", AddressError::Host),
            ("ws://me@relay", AddressError::Host),
            ("::1", AddressError::Host),
            ("[::1", AddressError::Host),
            ("ws://relay:0", AddressError::Port),
            ("ws://relay:65536", AddressError::Port),
            ("ws://relay:+80", AddressError::Port),
            ("ws://relay:", AddressError::Port),
            ("ws://relay/a?b", AddressError::Path),
            ("ws://relay/a b", AddressError::Path),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
