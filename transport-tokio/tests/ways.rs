//! The ways to a relay that are not straight: proxies, pinned certificates, tokens; and the sentence for each that is closed.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use std::error::Error as _;
use std::io::Write;
use std::net::SocketAddr;

use phantom_mio::{AccessToken, ServerConfig, TokenFile};
use phantom_tokio::{Client, Error, Fingerprint, ProxyProblem};
use support::{Pair, TlsProxy, key, relay, relay_with, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a proxy was asked, one line for each connection.
type Asked = mpsc::UnboundedReceiver<String>;

/// A proxy that serves each connection with `serve`, which returns the target to carry on to.
async fn proxy<F>(
    serve: impl Fn(TcpStream, mpsc::UnboundedSender<String>) -> F + Send + 'static,
) -> (SocketAddr, Asked)
where
    F: Future<Output = Option<(TcpStream, String)>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (log, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let served = serve(near, log.clone());
            tokio::spawn(async move {
                let Some((mut near, target)) = served.await else { return };
                let mut far = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, asked)
}

/// HTTP CONNECT. With `user`, it wants these credentials in Base64. The name `relay.test` is known to nobody but the proxy.
async fn http_proxy(relay: SocketAddr, user: Option<&'static str>) -> (SocketAddr, Asked) {
    proxy(move |mut near, log| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            near.read_buf(&mut head).await.unwrap();
        }
        let head = String::from_utf8(head).unwrap();
        log.send(head.lines().next().unwrap().to_owned()).unwrap();
        let target = head.split(' ').nth(1).unwrap().replace("relay.test:7777", &relay.to_string());
        let answer = match user {
            Some(user) if !head.contains(&format!("Proxy-Authorization: Basic {user}\r\n")) => {
                "407 Proxy Authentication Required"
            }
            _ if target.starts_with("forbidden") => "403 Forbidden",
            _ => "200 Connection established",
        };
        // In two parts, as it may come.
        near.write_all(b"HTTP/1.1 ").await.unwrap();
        near.flush().await.unwrap();
        tokio::task::yield_now().await;
        near.write_all(format!("{answer}\r\nVia: 1.1 test\r\n\r\n").as_bytes()).await.unwrap();
        answer.starts_with("200").then_some((near, target))
    })
    .await
}

/// SOCKS5, as RFC 1928 and 1929 have it.
async fn socks_proxy(relay: SocketAddr, user: Option<(&'static str, &'static str)>) -> (SocketAddr, Asked) {
    async fn bytes<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }
    async fn text(stream: &mut TcpStream) -> String {
        let [len] = bytes(stream).await;
        let mut text = vec![0; len.into()];
        stream.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }
    proxy(move |mut near, log| async move {
        let [5, methods] = bytes(&mut near).await else { panic!("SOCKS4?") };
        let mut offered = vec![0; methods.into()];
        near.read_exact(&mut offered).await.unwrap();
        let method = if user.is_some() { 2 } else { 0 };
        if !offered.contains(&method) {
            near.write_all(&[5, 0xff]).await.unwrap();
            return None;
        }
        near.write_all(&[5, method]).await.unwrap();
        if let Some((name, password)) = user {
            let [1] = bytes(&mut near).await else { panic!() };
            let right = (text(&mut near).await, text(&mut near).await) == (name.into(), password.into());
            near.write_all(&[1, u8::from(!right)]).await.unwrap();
            if !right {
                return None;
            }
        }
        let [5, 1, 0, kind] = bytes(&mut near).await else { panic!("not CONNECT") };
        let host = match kind {
            1 => bytes::<4>(&mut near).await.map(|byte| byte.to_string()).join("."),
            3 => text(&mut near).await,
            kind => panic!("address type {kind}"),
        };
        let port = u16::from_be_bytes(bytes(&mut near).await);
        log.send(format!("{host}:{port}")).unwrap();
        let reply = if host == "forbidden.test" { 2 } else { 0 };
        near.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let target = format!("{host}:{port}").replace("relay.test:7777", &relay.to_string());
        (reply == 0).then_some((near, target))
    })
    .await
}

async fn success(builder: phantom_tokio::ClientBuilder) {
    drop(within(builder.connect()).await.unwrap());
}

async fn failure(builder: phantom_tokio::ClientBuilder) -> Error {
    within(builder.connect()).await.expect_err("there is no way")
}

fn problem(error: &Error) -> &ProxyProblem {
    match error {
        Error::Proxy { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_http_proxy_leads_to_a_relay_whose_name_only_it_knows() {
    let relay = relay();
    let (address, mut asked) = http_proxy(relay.local_addr(), None).await;
    let builder = || {
        let builder = Client::builder().relay("ws://relay.test:7777").key(key("ABCDE12345"));
        builder.proxy(format!("http://{address}"))
    };
    let pair = Pair::of(builder(), builder()).await;
    within(pair.ab.send_bytes("through the proxy")).await.unwrap();
    assert_eq!(within(pair.ba.receive_bytes()).await.unwrap().unwrap(), "through the proxy");
    assert_eq!(asked.recv().await.unwrap(), "CONNECT relay.test:7777 HTTP/1.1");
    // A relay that is an exception is reached directly.
    while asked.try_recv().is_ok() {}
    success(Client::builder().relay(relay.url()).proxy(format!("http://{address}")).no_proxy("127.0.0.0/8"))
        .await;
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn an_http_proxy_wants_a_name_and_a_password() {
    let relay = relay();
    // "me:p@ss:é"
    let (address, _asked) = http_proxy(relay.local_addr(), Some("bWU6cEBzczrDqQ==")).await;
    let builder = |user: &str| Client::builder().relay(relay.url()).proxy(format!("http://{user}{address}"));
    success(builder("me:p%40ss%3A%C3%A9@")).await;
    for user in ["", "me:wrong@"] {
        let error = failure(builder(user)).await;
        assert!(matches!(problem(&error), ProxyProblem::Credentials), "{error:?}");
        assert!(error.to_string().contains("wants another user name and password"), "{error}");
    }
}

#[tokio::test]
async fn a_socks_proxy_leads_to_a_relay_whose_name_only_it_knows() {
    let relay = relay();
    let (address, mut asked) = socks_proxy(relay.local_addr(), None).await;
    for scheme in ["socks5", "socks5h"] {
        let builder = Client::builder().relay("ws://relay.test:7777").proxy(format!("{scheme}://{address}"));
        success(builder).await;
        assert_eq!(asked.recv().await.unwrap(), "relay.test:7777");
    }
    success(Client::builder().relay(relay.url()).proxy(format!("socks5://{address}"))).await;
    assert_eq!(asked.recv().await.unwrap(), relay.local_addr().to_string());
}

#[tokio::test]
async fn a_socks_proxy_wants_a_name_and_a_password() {
    let relay = relay();
    let (address, _asked) = socks_proxy(relay.local_addr(), Some(("me", "p@ss"))).await;
    let builder =
        |user: &str| Client::builder().relay(relay.url()).proxy(format!("socks5://{user}{address}"));
    success(builder("me:p%40ss@")).await;
    for user in ["", "me:wrong@", "me@"] {
        let error = failure(builder(user)).await;
        assert!(matches!(problem(&error), ProxyProblem::Credentials), "{user}: {error:?}");
    }
}

#[tokio::test]
async fn what_a_proxy_refuses_is_said_with_its_own_words() {
    let target = "127.0.0.1:1".parse().unwrap();
    let ((http, _a), (socks, _b)) = (http_proxy(target, None).await, socks_proxy(target, None).await);
    for (url, words) in
        [(format!("http://{http}"), "HTTP status 403"), (format!("socks5://{socks}"), "ruleset")]
    {
        let error = failure(Client::builder().relay("ws://forbidden.test:1").proxy(url)).await;
        assert!(matches!(problem(&error), ProxyProblem::Refused { .. }), "{error:?}");
        let sentence = error.to_string();
        assert!(
            sentence.contains(words) && sentence.contains("does not let through to forbidden.test:1"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_none_is_said_so() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let builder = |proxy: String| Client::builder().relay("ws://127.0.0.1:1").proxy(proxy);
    let error = failure(builder(format!("http://{nobody}"))).await;
    assert!(matches!(problem(&error), ProxyProblem::Tcp(_)), "{error:?}");
    assert!(error.to_string().contains("cannot be reached") && error.source().is_some(), "{error}");
    let error = failure(builder("http://no-such-host.invalid".into())).await;
    assert!(matches!(problem(&error), ProxyProblem::Lookup(_)), "{error:?}");
    assert!(error.to_string().contains("check its spelling") && error.source().is_some(), "{error}");
    // Servers of another kind, and one that hangs up.
    for answer in ["SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhello", ""] {
        let (address, _asked) = proxy(move |mut near, _| async move {
            let _ = near.read(&mut [0; 4096]).await.unwrap();
            near.write_all(answer.as_bytes()).await.unwrap();
            None
        })
        .await;
        for scheme in ["http", "socks5"] {
            let error = failure(builder(format!("{scheme}://{address}"))).await;
            assert!(matches!(problem(&error), ProxyProblem::Protocol(_)), "{scheme} {answer:?}: {error:?}");
            assert!(error.to_string().contains("is not such a proxy") && error.source().is_some(), "{error}");
        }
    }
    let error = failure(builder("ftp://me:secret@proxy".into())).await;
    assert!(matches!(error, Error::ProxyUrl { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}

#[tokio::test]
async fn a_pin_lets_in_one_certificate_or_key_and_no_other() {
    let relay = relay();
    let tls = TlsProxy::to(relay.local_addr()).await;
    let other = TlsProxy::to(relay.local_addr()).await;
    // By its address, for which the certificate is not made: with a pin, names do not matter.
    let builder = || Client::builder().relay(format!("wss://{}", tls.address));
    for pin in [Fingerprint::of(&tls.certificate), Fingerprint::of(&tls.public_key)] {
        success(builder().pin_certificate(Fingerprint::from([7; 32])).pin_certificate(pin)).await;
    }
    for pin in [Fingerprint::of(&other.certificate), Fingerprint::of(&other.public_key)] {
        // A root that would vouch for it is of no use then.
        let builder = builder().pin_certificate(pin).root_certificate_pem(tls.certificate_pem.as_bytes());
        let error = failure(builder).await;
        let found = Fingerprint::of(&tls.certificate);
        assert!(matches!(error, Error::NotPinned { found: told, .. } if told == found), "{error:?}");
        assert!(error.to_string().contains(&format!("its SHA-256 is {found}")), "{error}");
    }
}

#[tokio::test]
async fn a_relay_that_wants_a_token_lets_in_who_has_it() {
    let token = AccessToken::draw().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", token.hash()).unwrap();
    let mut config = ServerConfig::default();
    config.access.tokens = Some(TokenFile::load(file.path()).unwrap());
    let relay = relay_with(config);

    let with = |token: &str| Client::builder().relay(relay.url()).token(token);
    success(with(token.reveal())).await;
    let by_query = Client::builder().relay(format!("{}/?token={}", relay.url(), token.reveal()));
    success(by_query.clone()).await;
    for builder in [with(token.reveal()), by_query] {
        assert!(!format!("{builder:?}").contains(token.reveal()), "{builder:?}");
    }

    let error = failure(Client::builder().relay(relay.url())).await;
    assert!(matches!(error, Error::Unauthorized { had_token: false, .. }), "{error:?}");
    assert!(error.to_string().contains("wants an access token; ask its operator"), "{error}");
    let error = failure(with("wrong")).await;
    assert!(matches!(error, Error::Unauthorized { had_token: true, .. }), "{error:?}");
    assert!(error.to_string().contains("does not know this access token"), "{error}");
    let error = failure(with("two words")).await;
    assert!(matches!(error, Error::Token { .. }), "{error:?}");
    assert!(error.to_string().contains("the access token cannot be used"), "{error}");
}
