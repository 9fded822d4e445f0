//! From an address to a socket, step by step; the first step that fails names the error. With a proxy, lookup and TCP are the way to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use phantom_core::time::Duration;
use phantom_core::wire::SUBPROTOCOL;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, OtherError};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

use crate::ahead::Ahead;
use crate::error::ProxyProblem;
use crate::proxy::{Proxies, Proxy};
use crate::socket::{Socket, Transport};
use crate::tls::{NotPinned, Trust};
use crate::tunnel::tunnel;
use crate::url::RelayUrl;
use crate::{Error, Step};

/// What every dial of a client goes by.
pub(crate) struct Means {
    pub(crate) trust: Trust,
    pub(crate) proxies: Proxies,
    /// The value of the header with the access token.
    pub(crate) authorization: Option<HeaderValue>,
}

/// How long one of several addresses of a host may take before the next is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// Which step a dial has come to, for whoever gives it up.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU8>);

impl Progress {
    fn enter(&self, step: Step) {
        self.0.store(step as u8, Ordering::Relaxed);
    }

    pub(crate) fn step(&self) -> Step {
        let step = self.0.load(Ordering::Relaxed);
        Step::ALL.into_iter().find(|&known| known as u8 == step).unwrap_or(Step::Lookup)
    }
}

pub(crate) async fn dial(url: RelayUrl, means: Arc<Means>, progress: Progress) -> Result<Socket, Error> {
    let tcp = match means.proxies.of(&url) {
        None => {
            progress.enter(Step::Lookup);
            let failed = |source| Error::Lookup { host: url.host.clone(), source };
            let addresses = lookup(&url.host, url.port).await.map_err(failed)?;
            progress.enter(Step::Tcp);
            let failed = |source| Error::Tcp { relay: url.to_string(), source };
            connect(&addresses).await.map_err(failed)?
        }
        Some(proxy) => {
            progress.enter(Step::Proxy);
            let failed = |problem| Error::Proxy { proxy: proxy.to_string(), relay: url.to_string(), problem };
            through(proxy, &url).await.map_err(failed)?
        }
    };
    let transport = if url.tls {
        progress.enter(Step::Tls);
        secure(&url, &means.trust, tcp).await?
    } else {
        Transport::Plain(tcp)
    };
    progress.enter(Step::WebSocket);
    upgrade(&url, means.authorization.clone(), transport).await
}

async fn through(proxy: &Proxy, relay: &RelayUrl) -> Result<TcpStream, ProxyProblem> {
    let addresses = lookup(&proxy.host, proxy.port).await.map_err(ProxyProblem::Lookup)?;
    let tcp = connect(&addresses).await.map_err(ProxyProblem::Tcp)?;
    tunnel(proxy, relay, tcp).await
}

async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for (index, &address) in addresses.iter().enumerate() {
        let attempt = TcpStream::connect(address);
        let result = if index + 1 < addresses.len() {
            let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut));
            tokio::time::timeout(ADDRESS_TIMEOUT, attempt).await.unwrap_or_else(late)
        } else {
            attempt.await
        };
        match result.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn secure(url: &RelayUrl, trust: &Trust, tcp: TcpStream) -> Result<Transport, Error> {
    let relay = url.to_string();
    let connector = trust.connector().await?;
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| Error::Tls { relay: relay.clone(), source: io::Error::other(error) })?;
    match connector.connect(name, tcp).await {
        Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
        Err(source) => Err(match tls_error(&source) {
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))))
                if let Some(&NotPinned(found)) = other.downcast_ref() =>
            {
                Error::NotPinned { relay, found }
            }
            Some(error @ rustls::Error::InvalidCertificate(_)) => {
                Error::Certificate { relay, source: error.clone() }
            }
            _ => Error::Tls { relay, source },
        }),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

async fn upgrade(
    url: &RelayUrl,
    authorization: Option<HeaderValue>,
    transport: Transport,
) -> Result<Socket, Error> {
    let relay = url.to_string();
    let not_websocket =
        |error: WebSocketError| Error::NotWebSocket { relay: relay.clone(), source: error.into() };
    let mut request = url.uri.clone().into_client_request().map_err(not_websocket)?;
    let had_token = authorization.is_some();
    request.headers_mut().extend(authorization.map(|value| (AUTHORIZATION, value)));
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    match client_async(request, Ahead::new(transport)).await {
        Ok((websocket, _)) => {
            let (transport, input) = websocket.into_inner().into_parts();
            Ok(Socket::new(transport, input))
        }
        Err(WebSocketError::Http(response)) => Err(match response.status().as_u16() {
            401 => Error::Unauthorized { relay, had_token },
            status => Error::Http { relay, status },
        }),
        Err(WebSocketError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
            Err(Error::NotPhantom { relay })
        }
        Err(error) => Err(not_websocket(error)),
    }
}
