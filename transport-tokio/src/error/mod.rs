//! What can go wrong, each by its own name and with a sentence that says which part failed, why, and what to try.
//!
//! The rule: the error that a call returns is small and names what can go wrong with that call; all of them become an [`Error`] with
//! `?`, and all have a [`kind`](ErrorKind), to decide by without knowing each variant. What lies below is kept as the source.

mod channel;
mod kind;

use std::{fmt, io};

use phantom_core::wire::CloseCode;

pub(crate) use self::channel::NO_CHANNEL;
pub use self::channel::{AskError, ChannelError, HandleError, ReceiveError, SendError};
pub use self::kind::ErrorKind;
use crate::Fingerprint;

/// Why a client could not be made, or why a relay was not reached; and, for functions that do several things, everything else that
/// can go wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The builder was given no relay.
    NoRelay,
    /// The relay's address is not one.
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A root certificate that was given is not one, or there is none at all to check the relay's with.
    Roots {
        /// What is wrong.
        problem: String,
    },
    /// The proxy's address is not one. It may hold a password, so it is not here.
    ProxyUrl {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The access token cannot be one. It is not here.
    Token {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The system gave no random bytes.
    Entropy(getrandom::Error),
    /// The host's name has no address.
    Lookup {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// No TCP connection could be made.
    Tcp {
        /// Host and port.
        relay: String,
        /// What the system says about the last address tried.
        source: io::Error,
    },
    /// The way through the proxy is closed.
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port of the relay.
        relay: String,
        /// What is wrong.
        problem: ProxyProblem,
    },
    /// The relay's certificate is none of those that were pinned.
    NotPinned {
        /// Host and port.
        relay: String,
        /// The certificate's own fingerprint.
        found: Fingerprint,
    },
    /// The relay's certificate is not to be trusted.
    Certificate {
        /// Host and port.
        relay: String,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// TLS failed for another reason than the certificate.
    Tls {
        /// Host and port.
        relay: String,
        /// The cause.
        source: io::Error,
    },
    /// The relay lets in only who shows an access token that it knows.
    Unauthorized {
        /// Host and port.
        relay: String,
        /// Whether a token was shown.
        had_token: bool,
    },
    /// The server answered, but with this HTTP status.
    Http {
        /// Host and port.
        relay: String,
        /// The status, such as 404.
        status: u16,
    },
    /// What answers there does not speak WebSocket.
    NotWebSocket {
        /// Host and port.
        relay: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It speaks WebSocket, but is no Phantom relay.
    NotPhantom {
        /// Host and port.
        relay: String,
    },
    /// A step took too long.
    Timeout {
        /// Host and port.
        relay: String,
        /// Which step.
        step: Step,
    },
    /// The relay closed the connection before it gave an ID, and said why.
    Refused {
        /// Host and port.
        relay: String,
        /// The reason.
        code: CloseCode,
    },
    /// The connection was lost before the relay gave an ID.
    Lost {
        /// Host and port.
        relay: String,
    },
    /// The client has left.
    Left,
    /// There is no channel.
    Ask(AskError),
    /// Something is wrong with a channel.
    Channel(ChannelError),
    /// A packet was not taken.
    Send(SendError),
    /// No packet of the type wanted was received.
    Receive(ReceiveError),
}

/// What is wrong with the way through a proxy.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyProblem {
    /// The proxy's name has no address.
    Lookup(io::Error),
    /// No TCP connection to the proxy could be made.
    Tcp(io::Error),
    /// The proxy wants a user name and password, or others than those given.
    Credentials,
    /// The proxy does not let through to the relay, or does not reach it.
    Refused {
        /// What it says.
        answer: String,
    },
    /// It does not speak like such a proxy, or hung up.
    Protocol(Box<dyn std::error::Error + Send + Sync>),
}

impl ProxyProblem {
    pub(crate) fn lost(error: io::Error) -> Self {
        Self::Protocol(error.into())
    }

    pub(crate) fn protocol(problem: &'static str) -> Self {
        Self::Protocol(problem.into())
    }
}

/// What has to be done, one after the other, to reach a relay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum Step {
    /// The host's name is looked up.
    Lookup,
    /// A TCP connection is made.
    Tcp,
    /// A proxy is reached, and lets through to the relay: instead of lookup and TCP.
    Proxy,
    /// TLS is agreed on.
    Tls,
    /// HTTP is left for WebSocket.
    WebSocket,
    /// The relay greets and gives an ID.
    Join,
}

impl Step {
    pub(crate) const ALL: [Self; 6] =
        [Self::Lookup, Self::Tcp, Self::Proxy, Self::Tls, Self::WebSocket, Self::Join];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "the lookup of its name",
            Self::Tcp => "the TCP connection",
            Self::Proxy => "the way through the proxy",
            Self::Tls => "the TLS handshake",
            Self::WebSocket => "the WebSocket handshake",
            Self::Join => "the registration",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRelay => {
                f.write_str("no relay was named; give the address of one, like ws://127.0.0.1:7777")
            }
            Self::Url { url, problem } => {
                write!(f, "{url:?} is not a relay's address: {problem}; it looks like ws://127.0.0.1:7777")
            }
            Self::Roots { problem } => {
                write!(f, "{problem}; give a root certificate as PEM, or install the system's")
            }
            Self::ProxyUrl { problem } => write!(
                f,
                "the proxy's address is not one: {problem}; it looks like http://user:password@host:3128 or \
                 socks5://host:1080"
            ),
            Self::Token { problem } => {
                write!(f, "the access token cannot be used: {problem}; check how it was copied")
            }
            Self::Entropy(error) => {
                write!(f, "the system gave no random bytes ({error}); without them no key is safe")
            }
            Self::Lookup { host, source } => {
                write!(f, "the name {host} has no address ({source}); check its spelling and the network")
            }
            Self::Tcp { relay, source } if source.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "nobody listens at {relay}; check that the relay runs, and host and port")
            }
            Self::Tcp { relay, source } => {
                write!(f, "{relay} cannot be reached ({source}); check the network and any firewall")
            }
            Self::Proxy { proxy, relay, problem } => match problem {
                ProxyProblem::Lookup(source) => {
                    write!(f, "the name of the proxy {proxy} has no address ({source}); check its spelling")
                }
                ProxyProblem::Tcp(source) => write!(
                    f,
                    "the proxy {proxy} cannot be reached ({source}); check its address, or go without a proxy"
                ),
                ProxyProblem::Credentials => write!(
                    f,
                    "the proxy {proxy} wants another user name and password; they stand before an @ in its address"
                ),
                ProxyProblem::Refused { answer } => write!(
                    f,
                    "the proxy {proxy} does not let through to {relay} ({answer}); check the relay's address, and \
                     whether the proxy allows its port"
                ),
                ProxyProblem::Protocol(source) => write!(
                    f,
                    "{proxy} is not such a proxy ({source}); check its address and whether it is http:// or socks5://"
                ),
            },
            Self::NotPinned { relay, found } => write!(
                f,
                "the certificate of {relay} is none of those pinned; its SHA-256 is {found}. If the relay has a new \
                 one, ask its operator; if not, somebody may be in between"
            ),
            Self::Certificate { relay, source } => write!(
                f,
                "the certificate of {relay} is not to be trusted ({source}); check the name, or give the root \
                 certificate that signed it"
            ),
            Self::Tls { relay, source } => {
                write!(f, "no TLS with {relay} ({source}); if the relay speaks plain WebSocket, use ws://")
            }
            Self::Unauthorized { relay, had_token: false } => {
                write!(f, "{relay} wants an access token; ask its operator for one")
            }
            Self::Unauthorized { relay, had_token: true } => {
                write!(
                    f,
                    "{relay} does not know this access token; check it, or ask the operator for a new one"
                )
            }
            Self::Http { relay, status: 403 } => {
                write!(f, "{relay} does not let in this address (HTTP status 403); ask its operator")
            }
            Self::Http { relay, status: 429 } => {
                write!(f, "{relay} had too many connections from here (HTTP status 429); wait a while")
            }
            Self::Http { relay, status: status @ 500..=599 } => {
                write!(f, "{relay} is out of order (HTTP status {status}); try later, or another relay")
            }
            Self::Http { relay, status } => {
                write!(f, "{relay} answered with HTTP status {status}; check the path, it may be no relay")
            }
            Self::NotWebSocket { relay, source } => write!(
                f,
                "{relay} does not speak WebSocket ({source}); check host and port, and whether it wants wss://"
            ),
            Self::NotPhantom { relay } => {
                write!(
                    f,
                    "{relay} speaks WebSocket, but is no Phantom relay of this version; check the address"
                )
            }
            Self::Timeout { relay, step } => {
                write!(f, "{relay} took too long for {step}; check the address, the network and any firewall")
            }
            Self::Refused { relay, code: code @ CloseCode::Refused } => {
                write!(f, "the relay {relay} closed the connection: {code}; ask its operator")
            }
            Self::Refused { relay, code: code @ CloseCode::GoingAway } => {
                write!(f, "the relay {relay} closed the connection: {code}; try again in a moment")
            }
            Self::Refused { relay, code } => write!(f, "the relay {relay} closed the connection: {code}"),
            Self::Lost { relay } => {
                write!(f, "the connection to {relay} was lost before it gave an ID; try again")
            }
            Self::Left => f.write_str("the client has left the relay; make a new one"),
            Self::Ask(error) => error.fmt(f),
            Self::Channel(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Receive(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Entropy(source) => Some(source),
            Self::Lookup { source, .. } | Self::Tcp { source, .. } | Self::Tls { source, .. } => Some(source),
            Self::Certificate { source, .. } => Some(source),
            Self::NotWebSocket { source, .. } => Some(&**source),
            Self::Proxy { problem: ProxyProblem::Lookup(source) | ProxyProblem::Tcp(source), .. } => {
                Some(source)
            }
            Self::Proxy { problem: ProxyProblem::Protocol(source), .. } => Some(&**source),
            Self::Ask(source) => Some(source),
            Self::Channel(source) => Some(source),
            Self::Send(source) => Some(source),
            Self::Receive(source) => Some(source),
            _ => None,
        }
    }
}

impl From<AskError> for Error {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<ChannelError> for Error {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<ReceiveError> for Error {
    fn from(error: ReceiveError) -> Self {
        Self::Receive(error)
    }
}
