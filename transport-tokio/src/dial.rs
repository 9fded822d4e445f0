//! From an address to a socket, step by step; the first step that fails names the error.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use phantom_core::time::Duration;
use phantom_core::wire::SUBPROTOCOL;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use crate::socket::{Socket, Transport};
use crate::tls::Roots;
use crate::url::RelayUrl;
use crate::{Error, Step};

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

pub(crate) async fn dial(url: RelayUrl, roots: Arc<Roots>, progress: Progress) -> Result<Socket, Error> {
    progress.enter(Step::Lookup);
    let addresses = lookup(&url).await?;
    progress.enter(Step::Tcp);
    let tcp = connect(&url, &addresses).await?;
    let transport = if url.tls {
        progress.enter(Step::Tls);
        secure(&url, &roots, tcp).await?
    } else {
        Transport::Plain(tcp)
    };
    progress.enter(Step::WebSocket);
    upgrade(&url, transport).await
}

async fn lookup(url: &RelayUrl) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(ip) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, url.port)]);
    }
    let failed = |source| Error::Lookup { host: url.host.clone(), source };
    let addresses: Vec<_> =
        tokio::net::lookup_host((url.host.as_str(), url.port)).await.map_err(failed)?.collect();
    if addresses.is_empty() {
        return Err(failed(io::Error::from(io::ErrorKind::NotFound)));
    }
    Ok(addresses)
}

async fn connect(url: &RelayUrl, addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
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
    Err(Error::Tcp { relay: url.to_string(), source: failure })
}

async fn secure(url: &RelayUrl, roots: &Roots, tcp: TcpStream) -> Result<Transport, Error> {
    let relay = url.to_string();
    let connector = roots.connector().await?;
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| Error::Tls { relay: relay.clone(), source: io::Error::other(error) })?;
    match connector.connect(name, tcp).await {
        Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
        Err(source) => Err(match tls_error(&source) {
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

async fn upgrade(url: &RelayUrl, transport: Transport) -> Result<Socket, Error> {
    let relay = url.to_string();
    let not_websocket =
        |error: WebSocketError| Error::NotWebSocket { relay: relay.clone(), source: error.into() };
    let mut request = url.uri.clone().into_client_request().map_err(not_websocket)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    match client_async_with_config(request, transport, Some(Socket::config())).await {
        Ok((websocket, _)) => Ok(Socket::new(websocket)),
        Err(WebSocketError::Http(response)) => Err(Error::Http { relay, status: response.status().as_u16() }),
        Err(WebSocketError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
            Err(Error::NotPhantom { relay })
        }
        Err(error) => Err(not_websocket(error)),
    }
}
