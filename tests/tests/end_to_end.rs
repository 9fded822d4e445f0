//! The real relay, real clients and real sockets, with a proxy between them that listens and breaks things.

use std::time::Duration;

use phantom_mio::{RelayServer, RunningRelay, ServerConfig};
use phantom_tests::proxy::Proxy;
use phantom_tokio::{Channel, Client, EncryptionKey};
use tokio::time::timeout;

const KEY: &str = "a passphrase of two people";
/// How long anything here may take before it counts as hung.
const LONG: Duration = Duration::from_secs(60);

fn relay() -> RunningRelay {
    RelayServer::bind("127.0.0.1:0").expect("a free port").spawn().expect("a thread")
}

async fn client(url: &str) -> Client {
    let key = EncryptionKey::parse(KEY).expect("a key");
    Client::builder().relay(url).key(key).connect().await.expect("the relay is there")
}

/// Two clients that have met through what listens at this URL.
async fn meet(url: &str) -> (Client, Client, Channel, Channel) {
    let (a, b) = (client(url).await, client(url).await);
    let asked = b.id();
    let accepting = async {
        let request = b.next_request().await.expect("a request");
        request.accept().await.expect("accepted")
    };
    let (at_a, at_b) = tokio::join!(a.ask(asked), accepting);
    let at_a = at_a.expect("a channel");
    timeout(LONG, async { tokio::try_join!(at_a.secured(), at_b.secured()) })
        .await
        .expect("in time")
        .expect("the keys are the same");
    (a, b, at_a, at_b)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_sees_neither_key_nor_plaintext() {
    let relay = relay();
    let proxy = Proxy::start(relay.local_addr()).expect("a free port");
    proxy.capture();
    let (_a, _b, at_a, at_b) = meet(&format!("ws://{}", proxy.address())).await;
    let secret = b"what nobody else may read, long enough to be found";
    for _ in 0..100 {
        at_a.send_bytes(&secret[..]).await.expect("sent");
    }
    for _ in 0..100 {
        assert_eq!(at_b.receive_bytes().await.expect("open").expect("a packet"), &secret[..]);
    }
    let captured = proxy.captured();
    assert!(captured.len() > 100 * secret.len(), "the proxy saw the traffic");
    // Clients mask what they send, so the relay's side is searched by what it sent, which is not masked.
    assert!(!contains(&captured, &secret[..16]), "a plaintext passed");
    assert!(!contains(&captured, KEY.as_bytes()), "the key passed");
    assert!(contains(&captured, b"phantom.1"), "the search finds what is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_half_closes_and_stalls_lose_nothing() {
    let relay = relay();
    let proxy = Proxy::start(relay.local_addr()).expect("a free port");
    let (_a, _b, at_a, at_b) = meet(&format!("ws://{}", proxy.address())).await;
    const PACKETS: u32 = 4000;
    let sending = async {
        for number in 0..PACKETS {
            let mut packet = vec![0; 1000];
            packet[..4].copy_from_slice(&number.to_be_bytes());
            at_a.send_bytes(packet).await.expect("the channel goes on");
        }
    };
    let receiving = async {
        for number in 0..PACKETS {
            let packet = at_b.receive_bytes().await.expect("the channel goes on").expect("a packet");
            assert_eq!(packet[..4], number.to_be_bytes());
            match number {
                500 => proxy.cut(0),
                1500 => proxy.cut(1),
                2500 => proxy.half_close(0, true),
                3500 => proxy.half_close(1, false),
                _ => {}
            }
        }
    };
    timeout(LONG, async { tokio::join!(sending, receiving) }).await.expect("in time");
    let (fate, end) =
        timeout(LONG, async { tokio::join!(at_a.close(), at_b.receive_bytes()) }).await.expect("in time");
    assert_eq!(fate.expect("a clean end").delivered, u64::from(PACKETS));
    assert!(end.expect("a clean end").is_none(), "nothing comes after the last packet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_restarts_gives_the_ids_back_and_the_channel_goes_on() {
    let secret = phantom_mio::RelaySecret::new(1, [0x5e; 32]);
    let start = |address: &str| {
        let mut config = ServerConfig::default();
        config.secret = Some(secret.clone());
        let server = RelayServer::bind_with(address, config).expect("the port is free");
        server.spawn().expect("a thread")
    };
    let first = start("127.0.0.1:0");
    let address = first.local_addr();
    let (a, b, at_a, at_b) = meet(&format!("ws://{address}")).await;
    let ids = (a.id(), b.id());
    at_a.send_bytes("before").await.expect("sent");
    assert_eq!(at_b.receive_bytes().await.expect("open").expect("a packet"), "before");
    first.stop().expect("it ends in order");
    let _second = start(&address.to_string());
    at_a.send_bytes("after").await.expect("queued, at least");
    let after = timeout(LONG, at_b.receive_bytes()).await.expect("in time").expect("open").expect("a packet");
    assert_eq!(after, "after");
    assert_eq!((a.id(), b.id()), ids);
}
