//! Reaching a relay: what works, and the name and the sentence of everything that does not.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use std::error::Error as _;
use std::net::SocketAddr;

use phantom_tokio::{Client, ClientLimits, Error, Event, Step};
use support::{Pair, TlsProxy, key, relay, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn failure(url: impl Into<String>) -> Error {
    within(Client::connect(url)).await.expect_err("there is no relay")
}

/// A server that does `serve` with its first connection.
async fn server<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
    address
}

/// A server that answers a request with these bytes, whatever was asked.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(answer).await.unwrap();
        // Until the client has gone.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test]
async fn a_relay_gives_an_id() {
    let relay = relay();
    let (a, b) = (within(Client::connect(relay.url())).await.unwrap(), Client::connect(relay.url()));
    let b = within(b).await.unwrap();
    assert_ne!(a.id(), b.id());
    assert!(a.is_online());
    assert!(matches!(within(a.next_event()).await, Some(Event::Online { id, kept: false }) if id == a.id()));
}

#[tokio::test]
async fn addresses_that_are_none_are_refused_before_anything_is_dialled() {
    for url in ["", "relay.example", "http://127.0.0.1:1", "ws://127.0.0.1:99999", "wss://"] {
        let error = failure(url).await;
        assert!(matches!(&error, Error::Url { url: told, .. } if told == url), "{error:?}");
        assert!(error.to_string().contains("looks like ws://127.0.0.1:7777"), "{error}");
    }
    let error = within(Client::builder().connect()).await.unwrap_err();
    assert!(matches!(error, Error::NoRelay), "{error:?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_said_so() {
    let error = failure("ws://no-such-host.invalid:7777").await;
    assert!(matches!(&error, Error::Lookup { host, .. } if host == "no-such-host.invalid"), "{error:?}");
    assert!(error.to_string().contains("check its spelling"), "{error}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_said_so() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = failure(format!("ws://{address}")).await;
    assert!(matches!(&error, Error::Tcp { relay, .. } if *relay == address.to_string()), "{error:?}");
    assert!(error.to_string().contains("nobody listens at 127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_web_server_is_no_relay() {
    let address = answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let error = failure(format!("ws://{address}")).await;
    assert!(matches!(error, Error::Http { status: 404, .. }), "{error:?}");
    assert!(error.to_string().contains("HTTP status 404; check the path"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_kind_is_no_relay() {
    let address = answering(b"SSH-2.0-OpenSSH_9.2p1\r\n").await;
    let error = failure(format!("ws://{address}")).await;
    assert!(matches!(error, Error::NotWebSocket { .. }), "{error:?}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_websocket_without_our_subprotocol_is_no_relay() {
    let address = server(|stream| async {
        let mut websocket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let _ = futures_util::StreamExt::next(&mut websocket).await;
    })
    .await;
    let error = failure(format!("ws://{address}")).await;
    assert!(matches!(error, Error::NotPhantom { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let address = server(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut limits = ClientLimits::default();
    limits.dial_timeout = std::time::Duration::from_secs(7);
    let start = tokio::time::Instant::now();
    let error =
        Client::builder().relay(format!("ws://{address}")).limits(limits).connect().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { step: Step::WebSocket, .. }), "{error:?}");
    assert!((6..9).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_second_relay_is_tried_when_the_first_is_not_there() {
    let relay = relay();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let builder = Client::builder().relay(format!("ws://{nobody}")).relay(relay.url());
    assert!(within(builder.connect()).await.unwrap().is_online());
}

#[tokio::test]
async fn tls_is_accepted_with_the_right_root_and_refused_without() {
    let relay = relay();
    let tls = TlsProxy::to(relay.local_addr()).await;
    let url = format!("wss://localhost:{}", tls.address.port());

    let error = failure(&url).await;
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains("give the root certificate"), "{error}");

    let builder = || {
        let builder = Client::builder().relay(&url).key(key("ABCDE12345"));
        builder.root_certificate_pem(tls.certificate_pem.as_bytes())
    };
    let pair = Pair::of(builder(), builder()).await;
    within(pair.ab.send_bytes("through TLS")).await.unwrap();
    assert_eq!(within(pair.ba.receive_bytes()).await.unwrap().unwrap(), "through TLS");

    // The certificate is for `localhost` and for no other name.
    let other = Client::builder().relay(format!("wss://{}", tls.address));
    let error =
        within(other.root_certificate_pem(tls.certificate_pem.as_bytes()).connect()).await.unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_with_a_relay_that_has_none_is_said_so() {
    let relay = relay();
    let error = failure(format!("wss://{}", relay.local_addr())).await;
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("use ws://"), "{error}");
}

#[tokio::test]
async fn a_root_certificate_that_is_none_is_refused() {
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let builder = Client::builder().relay("wss://localhost").root_certificate_pem(pem.as_bytes());
        let error = within(builder.connect()).await.unwrap_err();
        assert!(matches!(error, Error::Roots { .. }), "{pem:?}: {error:?}");
    }
}
