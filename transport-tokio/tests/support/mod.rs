//! What the tests share: a relay, pairs of clients, a proxy that can cut what goes through it, and a limit on waiting.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use phantom_mio::{RelayServer, RunningRelay, ServerConfig};
use phantom_tokio::{Channel, Client, ClientBuilder, EncryptionKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is awaited must happen; a test that waits longer than this has failed.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("this should have happened long ago")
}

pub fn relay() -> RunningRelay {
    relay_with(ServerConfig::default())
}

pub fn relay_with(mut config: ServerConfig) -> RunningRelay {
    // At the end of a test nobody answers its goodbye.
    config.server.drain_timeout = Duration::ZERO;
    RelayServer::bind_with("127.0.0.1:0", config).unwrap().spawn().unwrap()
}

pub fn key(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

/// Two clients and their channel, not secured.
pub struct Pair {
    pub a: Client,
    pub b: Client,
    pub ab: Channel,
    pub ba: Channel,
}

impl Pair {
    /// One client of each builder; the first asks the second.
    pub async fn of(a: ClientBuilder, b: ClientBuilder) -> Self {
        let (a, b) = within(async { (a.connect().await.unwrap(), b.connect().await.unwrap()) }).await;
        let (ab, ba) = meet(&a, &b).await;
        Self { a, b, ab, ba }
    }

    /// A secured pair at this relay.
    pub async fn secured(url: &str) -> Self {
        let builder = || Client::builder().relay(url).key(key("ABCDE12345"));
        let pair = Self::of(builder(), builder()).await;
        within(pair.ab.secured()).await.unwrap();
        within(pair.ba.secured()).await.unwrap();
        pair
    }
}

/// `a` asks, `b` accepts.
pub async fn meet(a: &Client, b: &Client) -> (Channel, Channel) {
    let answer = async { b.next_request().await.unwrap().accept().await.unwrap() };
    within(async { tokio::join!(async { a.ask(b.id()).await.unwrap() }, answer) }).await
}

/// Bytes that are different at every place.
pub fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut bytes = Vec::with_capacity(len + 4);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Passes TCP connections on, until they are cut.
pub struct Proxy {
    address: SocketAddr,
    cuts: watch::Sender<u32>,
    listening: tokio::task::AbortHandle,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, _) = watch::channel(0);
        let connections = cuts.clone();
        let listening = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut cut = connections.subscribe();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, cuts, listening: listening.abort_handle() }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Cuts every connection there is. What was on its way is lost.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every connection, and makes no more.
    pub fn stop(self) {
        self.listening.abort();
        self.cut();
    }
}

/// A server with a certificate of its own making for `localhost`, which passes on to `target` what it deciphers.
pub struct TlsProxy {
    pub address: SocketAddr,
    pub certificate_pem: String,
    /// In DER, as is the public key.
    pub certificate: Vec<u8>,
    pub public_key: Vec<u8>,
}

impl TlsProxy {
    pub async fn to(target: SocketAddr) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate_pem = made.cert.pem();
        let certificate = made.cert.der().to_vec();
        let public_key = rcgen::PublicKeyData::subject_public_key_info(&made.signing_key);
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut near) = acceptor.accept(near).await else { return };
                    let mut far = TcpStream::connect(target).await.unwrap();
                    // However it ends, the clients will notice.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { address, certificate_pem, certificate, public_key }
    }
}
