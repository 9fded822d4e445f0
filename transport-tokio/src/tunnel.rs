//! Through a proxy to a relay: HTTP CONNECT or SOCKS5. The relay's name goes to the proxy as it is; it is looked up there.

use std::io;
use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;
use zeroize::Zeroizing;

use crate::error::ProxyProblem;
use crate::proxy::{Credentials, Proxy, ProxyKind};
use crate::url::RelayUrl;

/// The longest answer to CONNECT, in bytes.
const ANSWER_MAX: usize = 16 << 10;

/// Makes of a connection to the proxy one to the relay.
pub(crate) async fn tunnel(
    proxy: &Proxy,
    relay: &RelayUrl,
    tcp: TcpStream,
) -> Result<TcpStream, ProxyProblem> {
    match proxy.kind {
        ProxyKind::Http => http(proxy, relay, tcp).await,
        ProxyKind::Socks5 => socks5(proxy, relay, tcp).await,
    }
}

async fn http(proxy: &Proxy, relay: &RelayUrl, mut tcp: TcpStream) -> Result<TcpStream, ProxyProblem> {
    let mut request = Zeroizing::new(format!("CONNECT {relay} HTTP/1.1\r\nHost: {relay}\r\n"));
    if let Some(Credentials { user, password }) = &proxy.credentials {
        let both = Zeroizing::new(format!("{}:{}", **user, **password));
        let encoded = Zeroizing::new(BASE64.encode(both.as_bytes()));
        *request = format!("{}Proxy-Authorization: Basic {}\r\n", *request, *encoded);
    }
    request.push_str("\r\n");
    tcp.write_all(request.as_bytes()).await.map_err(ProxyProblem::lost)?;
    let answer = http_answer(&mut tcp).await?;
    match status(&answer).ok_or_else(|| ProxyProblem::protocol("its answer is no HTTP"))? {
        200..=299 => Ok(tcp),
        401 | 407 => Err(ProxyProblem::Credentials),
        status => Err(ProxyProblem::Refused { answer: format!("HTTP status {status}") }),
    }
}

/// The answer up to its empty line. What came behind it would be lost: nobody may speak before the client does.
async fn http_answer(tcp: &mut TcpStream) -> Result<Vec<u8>, ProxyProblem> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.windows(4).any(|four| four == b"\r\n\r\n") {
            // A refusal may have a body. It is of no use.
            return match status(&answer) {
                Some(200..=299) => Err(ProxyProblem::protocol("something came before it was asked for")),
                _ => Ok(answer),
            };
        }
        if answer.len() >= ANSWER_MAX {
            return Err(ProxyProblem::protocol("its answer is too long"));
        }
        if tcp.read_buf(&mut answer).await.map_err(ProxyProblem::lost)? == 0 {
            return Err(ProxyProblem::lost(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(answer)
}

/// The status in the first line of an answer.
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

async fn socks5(proxy: &Proxy, relay: &RelayUrl, tcp: TcpStream) -> Result<TcpStream, ProxyProblem> {
    use tokio_socks::Error as Socks;
    let target = match relay.host.parse::<IpAddr>() {
        Ok(address) => TargetAddr::Ip(SocketAddr::new(address, relay.port)),
        Err(_) => TargetAddr::Domain(relay.host.as_str().into(), relay.port),
    };
    let connected = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(tcp, target).await,
        Some(Credentials { user, password }) => {
            Socks5Stream::connect_with_password_and_socket(tcp, target, user, password).await
        }
    };
    connected.map(Socks5Stream::into_inner).map_err(|error| match error {
        Socks::Io(error) => ProxyProblem::lost(error),
        Socks::NoAcceptableAuthMethods
        | Socks::PasswordAuthFailure(_)
        | Socks::InvalidAuthValues(_)
        | Socks::AuthorizationRequired => ProxyProblem::Credentials,
        Socks::GeneralSocksServerFailure
        | Socks::ConnectionNotAllowedByRuleset
        | Socks::NetworkUnreachable
        | Socks::HostUnreachable
        | Socks::ConnectionRefused
        | Socks::TtlExpired
        | Socks::CommandNotSupported
        | Socks::AddressTypeNotSupported => ProxyProblem::Refused { answer: error.to_string() },
        error => ProxyProblem::Protocol(error.into()),
    })
}
