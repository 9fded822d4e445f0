//! Which proxy leads to which relay: one that was named, or what the environment says, and never a guess.
//!
//! | variable | for |
//! | --- | --- |
//! | `https_proxy`, `HTTPS_PROXY` | `wss://` relays |
//! | `http_proxy`, and `HTTP_PROXY` unless this runs as a CGI program | `ws://` relays |
//! | `all_proxy`, `ALL_PROXY` | both, if there is none above |
//! | `no_proxy`, `NO_PROXY` | relays that are reached directly |
//!
//! Of two spellings the small one counts. An empty variable counts as none.

use std::fmt;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::Error;
use crate::url::RelayUrl;

/// What the user wants: taken apart when the client connects.
#[derive(Clone, Default)]
pub(crate) enum ProxyChoice {
    #[default]
    Direct,
    Named(Zeroizing<String>),
    Environment,
}

/// For each relay its proxy.
#[derive(Default)]
pub(crate) struct Proxies {
    plain: Option<Proxy>,
    tls: Option<Proxy>,
    direct: Exceptions,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) kind: ProxyKind,
    /// A name, or an IP address; an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Option<Credentials>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ProxyKind {
    /// HTTP, with the method CONNECT.
    Http,
    /// SOCKS5; names are looked up by the proxy.
    Socks5,
}

#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: Zeroizing<String>,
    pub(crate) password: Zeroizing<String>,
}

impl Proxies {
    /// `direct` is a list like `NO_PROXY`, which comes beside the environment's.
    pub(crate) fn new(choice: &ProxyChoice, direct: &str) -> Result<Self, Error> {
        let mut proxies = match choice {
            ProxyChoice::Direct => Self::default(),
            ProxyChoice::Named(url) => {
                let proxy = Some(Proxy::parse(url)?);
                Self { plain: proxy.clone(), tls: proxy, direct: Exceptions::default() }
            }
            ProxyChoice::Environment => Self::from_variables(|name| std::env::var(name).ok())?,
        };
        proxies.direct.add(direct);
        Ok(proxies)
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.trim_ascii().is_empty());
        let either = |name: &str| set(name).or_else(|| set(&name.to_ascii_uppercase()));
        // To a CGI program, HTTP_PROXY is a header of somebody's request.
        let http = || match set("REQUEST_METHOD") {
            Some(_) => set("http_proxy"),
            None => either("http_proxy"),
        };
        let parse = |url: Option<String>| {
            let url = url.or_else(|| either("all_proxy")).map(Zeroizing::new);
            url.map(|url| Proxy::parse(&url)).transpose()
        };
        let mut direct = Exceptions::default();
        direct.add(&either("no_proxy").unwrap_or_default());
        Ok(Self { plain: parse(http())?, tls: parse(either("https_proxy"))?, direct })
    }

    pub(crate) fn of(&self, relay: &RelayUrl) -> Option<&Proxy> {
        let proxy = if relay.tls { &self.tls } else { &self.plain };
        proxy.as_ref().filter(|_| !self.direct.contain(&relay.host, relay.port))
    }
}

impl Proxy {
    /// Reads `http://[user[:password]@]host[:port]` or the same with `socks5` or `socks5h`. Without a scheme it is HTTP. Ports are 80 and
    /// 1080 by default. The text is not in the error, for it may hold a password.
    fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem| Error::ProxyUrl { problem };
        let text = text.trim_ascii();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, default) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, 80),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            "https" => return Err(refuse("proxies that are spoken to over TLS are not supported")),
            _ => return Err(refuse("it does not begin with http:// or socks5://")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(Credentials::parse(credentials)?), address),
            None => (None, authority),
        };
        let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))),
            None => match address.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, Some("")),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refuse("the host is missing or is none"));
        }
        let port = match port {
            Some("") => default,
            port => match port.and_then(|digits| digits.parse().ok()) {
                Some(port) if port > 0 => port,
                _ => return Err(refuse("the port is not a number from 1 to 65535")),
            },
        };
        Ok(Self { kind, host: host.to_owned(), port, credentials })
    }
}

/// Host and port only.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, Error> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text| {
            percent_decoded(text).ok_or(Error::ProxyUrl {
            problem: "the user name or password has a % that is not followed by two hexadecimal digits, or is no UTF-8",
        })
        };
        Ok(Self { user: decode(user)?, password: decode(password)? })
    }
}

fn percent_decoded(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit =
                    || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit()? << 4 | digit()?
            }
            byte => byte,
        });
    }
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Hosts that are reached without a proxy.
#[derive(Default)]
struct Exceptions(Vec<Exception>);

enum Exception {
    All,
    /// This name and all below it.
    Name {
        name: String,
        port: Option<u16>,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    Network {
        address: IpAddr,
        prefix: u8,
    },
}

impl Exceptions {
    /// Adds a list with commas: `*`; names, with all below them, a leading dot or `*.` or not; addresses; networks like `10.0.0.0/8`.
    /// Names and addresses may have a port. What is none of these matches nothing.
    fn add(&mut self, list: &str) {
        self.0.extend(
            list.split(',').map(str::trim_ascii).filter(|item| !item.is_empty()).map(Exception::parse),
        );
    }

    fn contain(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|exception| exception.matches(host, port))
    }
}

impl Exception {
    fn parse(item: &str) -> Self {
        if item == "*" {
            return Self::All;
        }
        if let Some((address, prefix)) = item.split_once('/')
            && let (Ok(address), Ok(prefix)) = (address.parse(), prefix.parse())
        {
            return Self::Network { address, prefix };
        }
        let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(address) = bare(item) {
            return Self::Address { address, port: None };
        }
        let (host, port) = match item.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host, Some(port)),
            _ => (item, None),
        };
        match bare(host) {
            Ok(address) => Self::Address { address, port },
            Err(_) => {
                let name = host.trim_start_matches('*').trim_matches('.').to_ascii_lowercase();
                Self::Name { name, port }
            }
        }
    }

    fn matches(&self, host: &str, to: u16) -> bool {
        let same_port = |port: &Option<u16>| port.is_none_or(|port| port == to);
        match self {
            Self::All => true,
            Self::Name { name, port } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                !name.is_empty() && below && same_port(port)
            }
            Self::Address { address, port } => host.parse() == Ok(*address) && same_port(port),
            Self::Network { address, prefix } => {
                host.parse().is_ok_and(|host| is_within(host, *address, *prefix))
            }
        }
    }
}

fn is_within(host: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let (host, network, width) = match (host, network) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            (u128::from(host.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(host), IpAddr::V6(network)) => (host.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    match u32::from(prefix) {
        0 => true,
        prefix if prefix <= width => (host ^ network) >> (width - prefix) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
