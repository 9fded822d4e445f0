//! Each part that can fail, made to fail: its kind, its sentence, and what is kept of the cause.
//!
//! Proxies, pins and tokens are in `ways.rs`, and what else keeps a relay from being reached in `dialing.rs`.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use phantom_mio::ServerConfig;
use phantom_tokio::{
    ChannelError, Client, ClientLimits, CloseCode, Error, ErrorKind, Packet, ReceiveError, SendError,
};
use support::{Pair, Proxy, key, meet, relay, relay_with, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 1)]
struct Message1(String);

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 2)]
struct Number(u32);

/// What is wrong has this kind, and the sentence says this.
fn check(error: &Error, kind: ErrorKind, says: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    let sentence = error.to_string();
    assert!(sentence.contains(says), "{sentence:?} should say {says:?}");
    assert!(!kind.to_string().is_empty());
}

async fn failure(url: String) -> Error {
    within(Client::connect(url)).await.expect_err("there is no relay")
}

/// A server that answers every request with this HTTP status.
async fn answering(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    url
}

/// A relay that closes every connection with this code, or just drops it.
async fn closing(code: Option<u16>) -> SocketAddr {
    #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
    fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let protocol: HeaderValue = request.headers()["Sec-WebSocket-Protocol"].clone();
        response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        Ok(response)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut websocket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
        if let Some(code) = code {
            let frame = CloseFrame { code: code.into(), reason: "".into() };
            websocket.send(Message::Close(Some(frame))).await.unwrap();
            while let Some(Ok(_)) = websocket.next().await {}
        }
    });
    address
}

#[tokio::test]
async fn what_the_relay_says_when_it_closes_is_told_with_what_to_try() {
    for (code, kind, says) in [
        (CloseCode::RelayFull, ErrorKind::RelayFull, "as many connections as it takes; try later"),
        (CloseCode::IdsExhausted, ErrorKind::RelayFull, "no unused ID left; try later"),
        (CloseCode::Throttled, ErrorKind::Throttled, "wait a while"),
        (CloseCode::VersionUnsupported, ErrorKind::Version, "update the older program"),
        (CloseCode::Refused, ErrorKind::RelayRefused, "policy does not allow it; ask its operator"),
        (CloseCode::GoingAway, ErrorKind::Link, "stops or restarts; try again in a moment"),
    ] {
        let address = closing(Some(code.to_wire())).await;
        let error = failure(format!("ws://{address}")).await;
        assert!(matches!(&error, Error::Refused { code: told, .. } if *told == code), "{error:?}");
        check(&error, kind, says);
        check(&error, kind, &address.to_string());
    }
    let error = failure(format!("ws://{}", closing(None).await)).await;
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    check(&error, ErrorKind::Link, "lost before it gave an ID; try again");
}

#[tokio::test]
async fn what_the_server_says_in_http_is_told_with_what_to_try() {
    for (status, kind, says) in [
        ("403 Forbidden", ErrorKind::RelayRefused, "does not let in this address"),
        ("404 Not Found", ErrorKind::NotRelay, "check the path"),
        ("429 Too Many Requests", ErrorKind::Throttled, "wait a while"),
        ("502 Bad Gateway", ErrorKind::NotRelay, "try later, or another relay"),
        ("503 Service Unavailable", ErrorKind::RelayFull, "try later, or another relay"),
    ] {
        check(&failure(answering(status).await).await, kind, says);
    }
}

#[tokio::test]
async fn every_step_to_a_relay_has_its_kind() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    check(&failure("relay".into()).await, ErrorKind::Usage, "is not a relay's address");
    check(&failure("ws://no-such-host.invalid".into()).await, ErrorKind::Lookup, "check its spelling");
    check(&failure(format!("ws://{nobody}")).await, ErrorKind::Tcp, "nobody listens");
    let relay = relay();
    check(&failure(format!("wss://{}", relay.local_addr())).await, ErrorKind::Tls, "use ws://");
    let proxied = Client::builder().relay(relay.url()).proxy(format!("http://{nobody}"));
    check(&within(proxied.connect()).await.unwrap_err(), ErrorKind::Proxy, "go without a proxy");
}

#[tokio::test]
async fn why_there_is_no_channel_is_told_with_what_to_try() {
    let mut config = ServerConfig::default();
    config.relay.request_lifetime = Duration::from_secs(1);
    let relay = relay_with(config);
    let connect = || async { within(Client::connect(relay.url())).await.unwrap() };
    let (a, b) = (connect().await, connect().await);
    let ask = async |id| Error::from(within(a.ask(id)).await.unwrap_err());
    check(
        &ask("zzzzzz".parse().unwrap()).await,
        ErrorKind::PeerAbsent,
        "check the ID, and that both use the same",
    );
    check(&ask(a.id()).await, ErrorKind::Usage, "your own ID");
    let error = ask(b.id()).await;
    check(&error, ErrorKind::Declined, "nobody decided in time; ask again");
    assert!(error.source().is_some());
    while let Some(Some(request)) = futures_util::FutureExt::now_or_never(b.next_request()) {
        request.decline();
    }
    let decline = async { b.next_request().await.unwrap().decline() };
    let (error, ()) = within(async { tokio::join!(ask(b.id()), decline) }).await;
    check(&error, ErrorKind::Declined, "declined");
    let (_ab, _ba) = meet(&a, &b).await;
    check(&ask(b.id()).await, ErrorKind::Busy, "already");
    let c = connect().await;
    let error = Error::from(within(c.ask(b.id())).await.unwrap_err());
    check(&error, ErrorKind::Busy, "already connected");
}

#[tokio::test]
async fn what_is_wrong_with_a_channel_is_told_with_what_to_try() {
    let relay = relay();
    let builder = |text| Client::builder().relay(relay.url()).key(key(text));
    let pair = Pair::of(builder("right"), builder("wrong")).await;
    let error = Error::from(within(pair.ab.secured()).await.unwrap_err());
    check(&error, ErrorKind::Keys, "compare them and set the right one");
    let error = Error::from(ChannelError::Locked { failed: 3 });
    check(&error, ErrorKind::Keys, "set another key");
    let error = Error::from(ChannelError::HandshakeAltered);
    check(&error, ErrorKind::Tampered, "use another relay");
    check(&Error::from(ChannelError::PeerSilent), ErrorKind::PeerAbsent, "it may have left");

    let error = Error::from(within(pair.ab.send_bytes(vec![0; 1 << 17])).await.unwrap_err());
    check(&error, ErrorKind::Usage, "131072 bytes is too long, at most 65536 are allowed here; split it");

    within(pair.ba.set_key(key("right"))).await.unwrap();
    within(pair.ab.secured()).await.unwrap();
    within(pair.ab.send(&Number(7))).await.unwrap();
    let error = Error::from(within(pair.ba.receive::<Message1>()).await.unwrap_err());
    check(&error, ErrorKind::Packet, "a packet with the ID 2, not one with the ID 1");
    assert!(error.source().and_then(|cause| cause.source()).is_some(), "the decoder's error is kept");

    drop(pair.ba);
    let error = within(pair.ab.receive::<Number>()).await.unwrap_err();
    assert!(matches!(error, ReceiveError::Channel(_)), "{error:?}");
    check(&error.into(), ErrorKind::Ended, "the other side ended the channel");
    let error = within(pair.ab.send(&Number(7))).await.unwrap_err();
    assert!(matches!(error, SendError::Ended { .. }), "{error:?}");
    check(&error.into(), ErrorKind::Ended, "the other side ended the channel");
}

#[tokio::test]
async fn a_side_that_does_not_come_back_is_told() {
    let relay = relay();
    let proxy = Proxy::to(relay.local_addr()).await;
    let mut limits = ClientLimits::default();
    limits.patience = Duration::from_millis(300);
    let builder = |url| Client::builder().relay(url).key(key("ABCDE12345")).limits(limits.clone());
    let Pair { a, b: _b, ab, ba } = Pair::of(builder(proxy.url()), builder(relay.url())).await;
    within(ba.secured()).await.unwrap();
    within(ab.secured()).await.unwrap();
    proxy.stop();
    let error = Error::from(within(ba.receive_bytes()).await.unwrap_err());
    check(&error, ErrorKind::Truncated, "did not come back in time");
    // On the other side of the cut it is the relay that is away.
    let error = Error::from(within(a.ask("zzzzzz".parse().unwrap())).await.unwrap_err());
    check(&error, ErrorKind::Link, "relay");
}
