//! Who the client is when a reverse proxy stands in between.
//!
//! The rule: a proxy is believed only if it is trusted, and one that is trusted must say whom it speaks for. What anybody else says about
//! itself is not even looked at. A Unix socket is trusted: who may write to its file is the operator's to say.
//!
//! The PROXY protocol (versions 1 and 2, as HAProxy defines it) is one header in front of everything else, TLS included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::network::Network;

/// The longest header of version 1, the end of its line included.
const LINE_MAX: usize = 107;
/// What version 2 begins with: no line of text does.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of a header of version 2.
const FIXED: usize = 16;
/// The longest header that is read. Version 2 could have more, but proxies add only a few hundred bytes to the addresses.
pub(crate) const HEADER_MAX: usize = 4096;

/// How the addresses of clients are known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ClientAddresses {
    /// Where a trusted proxy says them.
    pub from: ClientAddress,
    /// Who is trusted, if that is not [`ClientAddress::Socket`]. Unix sockets are so anyway.
    pub trusted_proxies: Vec<Network>,
}

/// Where the address of a client is taken from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ClientAddress {
    /// From the socket: there is no proxy, or its address will do. The clients of a Unix socket have no address.
    #[default]
    Socket,
    /// From the PROXY protocol, version 1 or 2, which a trusted proxy must speak on every connection.
    ProxyProtocol,
    /// From the HTTP header `X-Forwarded-For`, which a trusted proxy must send: the last address in it that is not itself trusted.
    XForwardedFor,
}

/// What a connection has to begin with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Introduction {
    /// Nothing: the socket says who it is, or nobody knows.
    #[default]
    None,
    /// A header of the PROXY protocol.
    Header,
    /// A request that says for whom it was forwarded.
    Forwarded,
}

impl ClientAddresses {
    /// What a connection from here has to begin with.
    pub(crate) fn introduction(&self, socket: Option<IpAddr>) -> Introduction {
        match self.from {
            _ if socket.is_some_and(|address| !self.trusts(address)) => Introduction::None,
            ClientAddress::Socket => Introduction::None,
            ClientAddress::ProxyProtocol => Introduction::Header,
            ClientAddress::XForwardedFor => Introduction::Forwarded,
        }
    }

    /// The client, as the values of `X-Forwarded-For` have it: every proxy has added the address of whom it was asked by.
    pub(crate) fn forwarded_for<'a>(
        &self,
        values: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Option<IpAddr> {
        let mut first = None;
        for entry in values.rev().flat_map(|value| value.rsplit(',')) {
            let address = parse_forwarded(entry.trim())?;
            first = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        first
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Some proxies add the port.
fn parse_forwarded(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = text.parse().ok().or_else(|| text.parse().ok().map(|with: SocketAddr| with.ip()));
    address.or_else(bracketed).map(|address| address.to_canonical())
}

/// What the beginning of a connection is, as the PROXY protocol has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Header {
    /// A header may be coming.
    Waiting,
    /// A header of so many bytes, and the client it names. It names none for a connection of the proxy's own, or of a kind without address.
    Complete(usize, Option<IpAddr>),
    /// Something else.
    Missing,
    /// A header, but no right one.
    Invalid,
}

impl Header {
    /// The header at the beginning of these bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
        if begins(SIGNATURE) {
            parse_v2(bytes)
        } else if begins(b"PROXY ") {
            parse_v1(bytes)
        } else {
            Self::Missing
        }
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 50000 443`, and the end of the line.
fn parse_v1(bytes: &[u8]) -> Header {
    let Some(end) = bytes.iter().take(LINE_MAX).position(|&byte| byte == b'\n') else {
        return if bytes.len() < LINE_MAX { Header::Waiting } else { Header::Invalid };
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    match line.and_then(|line| read_line(line.split(' '))) {
        Some(client) => Header::Complete(end + 1, client),
        None => Header::Invalid,
    }
}

fn read_line<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Option<IpAddr>> {
    let (_proxy, kind) = (words.next()?, words.next()?);
    // What stands behind UNKNOWN is to be ignored.
    if kind == "UNKNOWN" {
        return Some(None);
    }
    let (client, relay, client_port, port) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (client, relay): (IpAddr, IpAddr) = (client.parse().ok()?, relay.parse().ok()?);
    let fits = match kind {
        "TCP4" => client.is_ipv4() && relay.is_ipv4(),
        "TCP6" => client.is_ipv6() && relay.is_ipv6(),
        _ => false,
    };
    let right = fits && words.next().is_none() && is_port(client_port) && is_port(port);
    right.then_some(Some(client.to_canonical()))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port.to_string() == text)
}

/// The signature, one byte of version and command, one of family and transport, the length of the rest, the addresses, and what else
/// the proxy wants to say, which is skipped.
fn parse_v2(bytes: &[u8]) -> Header {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const UNSPECIFIED: u8 = 0x00;
    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;
    const UNIX: u8 = 0x31;
    const UNIX_LEN: usize = 216;
    let Some((&[.., command, kind, high, low], rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Header::Waiting;
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, LOCAL | PROXY) || FIXED + len > HEADER_MAX {
        return Header::Invalid;
    }
    let Some(rest) = rest.get(..len) else { return Header::Waiting };
    // Two addresses, then two ports.
    let client = match (command, kind) {
        (LOCAL, _) | (PROXY, UNSPECIFIED) => None,
        (PROXY, TCP4) => match rest.split_first_chunk::<12>() {
            Some((&[a, b, c, d, ..], _)) => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
            None => return Header::Invalid,
        },
        (PROXY, TCP6) => match (rest.first_chunk::<16>(), rest.len()) {
            (Some(&client), 36..) => Some(IpAddr::V6(Ipv6Addr::from(client))),
            _ => return Header::Invalid,
        },
        (PROXY, UNIX) if rest.len() >= UNIX_LEN => None,
        _ => return Header::Invalid,
    };
    Header::Complete(FIXED + len, client.map(|client| client.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, kind], &len, rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 200, 1, 1, 187];

    fn six(client: &str) -> Vec<u8> {
        let client: Ipv6Addr = client.parse().unwrap();
        [&client.octets()[..], &[0; 16], &[1, 2, 3, 4]].concat()
    }

    #[test]
    fn both_versions_name_the_client() {
        for (header, client) in [
            (&b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\n"[..], Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n", Some("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", Some("192.0.2.7")),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff::1 whatever 1 x\r\n", None),
            (&v2(0x21, 0x11, &FOUR), Some("192.0.2.7")),
            (&v2(0x21, 0x11, &[&FOUR[..], b"\x04\0\x03abc"].concat()), Some("192.0.2.7")),
            (&v2(0x21, 0x21, &six("2001:db8::7")), Some("2001:db8::7")),
            (&v2(0x21, 0x21, &six("::ffff:192.0.2.7")), Some("192.0.2.7")),
            (&v2(0x21, 0x31, &[0; 216]), None),
            (&v2(0x21, 0x00, b""), None),
            (&v2(0x20, 0x00, b""), None),
            (&v2(0x20, 0x11, &FOUR), None),
            (&v2(0x21, 0x11, &[&FOUR[..], &[0; HEADER_MAX - FIXED - 12]].concat()), Some("192.0.2.7")),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            let followed = [header, b"PROXY TCP4"].concat();
            assert_eq!(Header::parse(&followed), Header::Complete(header.len(), client), "{header:x?}");
            for cut in 0..header.len() {
                assert_eq!(Header::parse(&header[..cut]), Header::Waiting, "{cut} of {header:x?}");
            }
        }
    }

    #[test]
    fn what_is_no_right_header_is_refused() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(LINE_MAX - 15));
        for (header, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Header::Missing),
            (b"\x16\x03\x01", Header::Missing),
            (b"PROXYTCP4", Header::Missing),
            (b"proxy TCP4", Header::Missing),
            (b"\r\n\r\n\0\r\nQUIT\r", Header::Missing),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\n", Header::Invalid),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 50000\r\n", Header::Invalid),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 443 1\r\n", Header::Invalid),
            (b"PROXY TCP4  192.0.2.7 10.0.0.1 50000 443\r\n", Header::Invalid),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 050 443\r\n", Header::Invalid),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 65536\r\n", Header::Invalid),
            (b"PROXY TCP4 192.0.2.007 10.0.0.1 1 2\r\n", Header::Invalid),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n", Header::Invalid),
            (b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n", Header::Invalid),
            (b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n", Header::Invalid),
            (b"PROXY \r\n", Header::Invalid),
            (b"PROXY \xff\r\n", Header::Invalid),
            (long.as_bytes(), Header::Waiting),
            ((long.clone() + "x").as_bytes(), Header::Invalid),
            (&v2(0x11, 0x11, &FOUR), Header::Invalid),
            (&v2(0x22, 0x11, &FOUR), Header::Invalid),
            (&v2(0x21, 0x12, &FOUR), Header::Invalid),
            (&v2(0x21, 0x11, &FOUR[..11]), Header::Invalid),
            (&v2(0x21, 0x21, &six("::1")[..35]), Header::Invalid),
            (&v2(0x21, 0x31, &[0; 215]), Header::Invalid),
            (&v2(0x21, 0x11, &[0; HEADER_MAX - FIXED + 1]), Header::Invalid),
        ] {
            assert_eq!(Header::parse(header), expected, "{:?}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        let addresses = ClientAddresses {
            from: ClientAddress::XForwardedFor,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()],
        };
        for (values, client) in [
            (&["192.0.2.7"][..], Some("192.0.2.7")),
            (&["1.2.3.4, 192.0.2.7"], Some("192.0.2.7")),
            (&["1.2.3.4,192.0.2.7 , 10.0.0.1"], Some("192.0.2.7")),
            (&["1.2.3.4", "192.0.2.7", "10.0.0.1, 2001:db8:1::1"], Some("192.0.2.7")),
            (&["junk, 192.0.2.7"], Some("192.0.2.7")),
            (&["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            (&["192.0.2.7:50000"], Some("192.0.2.7")),
            (&["[2001:db8::7]:50000"], Some("2001:db8::7")),
            (&["[2001:db8::7]"], Some("2001:db8::7")),
            (&["::ffff:192.0.2.7"], Some("192.0.2.7")),
            (&["192.0.2.7, unknown"], None),
            (&["192.0.2.7, "], None),
            (&["192.0.2.7", ""], None),
            (&[], None),
        ] {
            let got = addresses.forwarded_for(values.iter().copied());
            assert_eq!(got, client.map(|client| client.parse().unwrap()), "{values:?}");
        }
    }

    #[test]
    fn only_who_is_trusted_has_to_introduce_its_clients() {
        let mut addresses = ClientAddresses::default();
        let [proxy, other] = ["10.0.0.1", "192.0.2.1"].map(|text| text.parse().ok());
        addresses.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        for (from, expected) in [
            (ClientAddress::Socket, Introduction::None),
            (ClientAddress::ProxyProtocol, Introduction::Header),
            (ClientAddress::XForwardedFor, Introduction::Forwarded),
        ] {
            addresses.from = from;
            assert_eq!(addresses.introduction(proxy), expected);
            assert_eq!(addresses.introduction(None), expected);
            assert_eq!(addresses.introduction(other), Introduction::None);
        }
    }
}
