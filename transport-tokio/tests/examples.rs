//! The examples do what they say: each is compiled into this test and run.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use phantom_tokio::EncryptionKey;
use support::{Pair, pattern, relay, within};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/chat.rs"]
mod chat;
#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/custom_transport.rs"]
mod custom_transport;
#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/file.rs"]
mod file;
#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/game_loop.rs"]
mod game_loop;
#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/plain_mio.rs"]
mod plain_mio;
#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/request_response.rs"]
mod request_response;

#[tokio::test]
async fn chat_carries_lines_both_ways() {
    let relay = relay();
    let Pair { a: _a, b: _b, ab, ba } = Pair::secured(&relay.url()).await;
    let (near, mut near_keyboard) = tokio::io::duplex(1000);
    let (far_screen, far) = tokio::io::duplex(1000);
    let (silent, _keyboard) = tokio::io::duplex(1000);
    let (near_screen, near_out) = tokio::io::duplex(1000);
    let talk = async {
        near_keyboard.write_all("Приветик!!!\nline two\n".as_bytes()).await.unwrap();
        let mut lines = BufReader::new(far_screen).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "Приветик!!!");
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "line two");
        drop(near_keyboard);
    };
    let near = chat::chat(ab, BufReader::new(near), near_out);
    let far = chat::chat(ba, BufReader::new(silent), far);
    let (near, far, ()) = within(async { tokio::join!(near, far, talk) }).await;
    near.unwrap();
    far.unwrap();
    drop(near_screen);
}

#[tokio::test]
async fn file_is_the_same_on_the_other_side() {
    let relay = relay();
    let Pair { a: _a, b: _b, ab, ba } = Pair::secured(&relay.url()).await;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("original"), folder.path().join("copy"));
    std::fs::write(&from, pattern(3_000_000, 1)).unwrap();
    let transfer =
        async { tokio::join!(file::send(ab.into_stream(), &from), file::receive(ba.into_stream(), &to)) };
    let (sent, received) = within(transfer).await;
    assert_eq!((sent.unwrap(), received.unwrap()), (3_000_000, 3_000_000));
    assert!(std::fs::read(&to).unwrap() == pattern(3_000_000, 1));
}

#[tokio::test]
async fn request_response_brings_each_answer_to_its_question() {
    assert_eq!(within(request_response::run()).await.unwrap(), ["desserts", "reward", "evil"]);
}

#[test]
fn game_loop_sees_the_other_player() {
    let (one, two) = game_loop::run(30).unwrap();
    assert!(one >= 25 && two >= 25, "{one} {two}");
}

#[test]
fn custom_transport_carries_a_greeting() {
    assert_eq!(custom_transport::run().unwrap(), ("Приветик!!!".to_owned(), "Hello!".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_mio_gets_its_packets_back() {
    let relay = relay();
    let text = "a key for the example";
    let builder =
        phantom_tokio::Client::builder().relay(relay.url()).key(EncryptionKey::parse(text).unwrap());
    let echo = within(builder.connect()).await.unwrap();
    let (id, address) = (echo.id(), relay.local_addr());
    let client = tokio::task::spawn_blocking(move || {
        let key = EncryptionKey::parse(text).unwrap();
        plain_mio::run(address, key, id, &["one", "two", "three"]).map_err(|error| error.to_string())
    });
    let serve = async {
        let channel = echo.next_request().await.unwrap().accept().await.unwrap();
        while let Some(packet) = channel.receive_bytes().await.unwrap() {
            channel.send_bytes(packet).await.unwrap();
        }
    };
    let (echoes, ()) = within(async { tokio::join!(client, serve) }).await;
    assert_eq!(echoes.unwrap().unwrap(), ["one", "two", "three"]);
}
