//! A TCP port of a host, as a person writes it: `host:port`, or a port alone for this machine.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::message::Message;

const THIS_MACHINE: &str = "127.0.0.1";

/// A host and a port. A port alone means this machine and nobody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) host: String,
    /// To listen on port 0 is to listen on a free one.
    pub(crate) port: u16,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = text.rsplit_once(':').unwrap_or((THIS_MACHINE, text));
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = digits.then(|| port.parse().ok()).flatten().ok_or(EndpointError)?;
        let known = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '/', '@', '[', ']', ' ']),
        };
        if known { Ok(Self { host: host.to_owned(), port }) } else { Err(EndpointError) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A text is no host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndpointError;

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Message::NoEndpoint.fmt(f)
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_a_person_may_write() {
        for (text, meant) in [
            ("2222", "127.0.0.1:2222"),
            ("0", "127.0.0.1:0"),
            ("host:22", "host:22"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(meant.to_owned()));
        }
        for text in [
            "",
            "host",
            "host:",
            ":22",
            "host:+1",
            "host:65536",
            "::1",
            "::1:80",
            "[::1:80",
            "a b:1",
            "http://a:1",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }
}
