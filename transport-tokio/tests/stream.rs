//! A channel as a stream of bytes: whole, half-closed, under pressure, cut, given up at any place, left without a word.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use phantom_tokio::{ByteStream, ChannelError, Client, ClientLimits, End};
use support::{Pair, Proxy, key, pattern, relay, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

/// Two clients, which must live on, and the two ends of a stream.
async fn streams(url: &str) -> ((Client, Client), ByteStream, ByteStream) {
    let Pair { a, b, ab, ba } = Pair::secured(url).await;
    ((a, b), ab.into_stream(), ba.into_stream())
}

#[tokio::test]
async fn one_direction_ends_and_the_other_goes_on() {
    let relay = relay();
    let (_clients, mut a, mut b) = streams(&relay.url()).await;
    within(a.write_all("question".as_bytes())).await.unwrap();
    within(a.shutdown()).await.unwrap();
    let mut text = String::new();
    within(b.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "question");
    assert_eq!(within(b.read(&mut [0; 8])).await.unwrap(), 0, "the end stays the end");
    // Much more than all windows hold, long after the end of the other direction.
    let answer = pattern(5 << 20, 1);
    let send = async {
        b.write_all(&answer).await.unwrap();
        b.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (read, ()) = within(async { tokio::join!(a.read_to_end(&mut received), send) }).await;
    assert_eq!(read.unwrap(), answer.len());
    assert!(received == answer);
    let error = within(a.write_all(b"more")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    within(a.shutdown()).await.unwrap();
}

#[tokio::test]
async fn what_was_shut_down_arrives_though_all_is_dropped_at_once() {
    let relay = relay();
    let (clients, mut a, mut b) = streams(&relay.url()).await;
    let content = pattern(300_000, 1);
    let send = async {
        a.write_all(&content).await.unwrap();
        a.shutdown().await.unwrap();
        drop((a, clients));
    };
    let mut received = Vec::new();
    let (read, ()) = within(async { tokio::join!(b.read_to_end(&mut received), send) }).await;
    read.unwrap();
    assert!(received == content);
}

#[tokio::test]
async fn an_end_that_nobody_said_is_an_error_and_no_end_of_file() {
    let relay = relay();
    let (_clients, mut a, mut b) = streams(&relay.url()).await;
    within(a.write_all(b"half a sen")).await.unwrap();
    let mut received = [0; 10];
    within(b.read_exact(&mut received)).await.unwrap();
    drop(a);
    let error = within(b.read(&mut received)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let source = error.get_ref().unwrap().downcast_ref::<ChannelError>();
    assert!(matches!(source, Some(ChannelError::Ended { end: End::Aborted { .. }, .. })), "{source:?}");
    let error = within(b.write_all(b"more")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_writer_that_is_dropped_in_mid_stream_ends_both_directions() {
    let relay = relay();
    let (_clients, a, mut b) = streams(&relay.url()).await;
    let (mut reader, writer) = a.into_split();
    drop(writer);
    assert_eq!(within(b.read(&mut [0; 8])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(within(reader.read(&mut [0; 8])).await.unwrap_err().kind(), ErrorKind::NotConnected);
}

#[tokio::test]
async fn who_only_read_may_go_and_the_writer_still_hears_that_all_has_arrived() {
    let relay = relay();
    let (_clients, mut a, mut b) = streams(&relay.url()).await;
    let receive = async {
        let mut received = Vec::new();
        b.read_to_end(&mut received).await.unwrap();
        drop(b);
        received
    };
    let send = async {
        a.write_all(b"all there is").await.unwrap();
        a.shutdown().await.unwrap();
    };
    let (received, ()) = within(async { tokio::join!(receive, send) }).await;
    assert_eq!(received, b"all there is");
    // But it has not ended its own direction.
    assert_eq!(within(a.read(&mut [0; 8])).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn who_ends_after_the_other_has_gone_in_good_order_has_lost_nothing() {
    let relay = relay();
    let (_clients, mut a, mut b) = streams(&relay.url()).await;
    within(a.shutdown()).await.unwrap();
    drop(a);
    assert_eq!(within(b.read(&mut [0; 8])).await.unwrap(), 0);
    // Before it is known here and afterwards: there is nothing to be lost.
    within(b.shutdown()).await.unwrap();
    within(b.shutdown()).await.unwrap();
}

#[tokio::test]
async fn halves_live_apart_and_lines_are_read_in_place() {
    let relay = relay();
    let (_clients, a, b) = streams(&relay.url()).await;
    let (mut a_in, mut a_out) = a.into_split();
    let (mut b_in, mut b_out) = b.into_split();
    let echo = tokio::spawn(async move {
        let mut line = String::new();
        while b_in.read_line(&mut line).await.unwrap() > 0 {
            b_out.write_all(line.to_uppercase().as_bytes()).await.unwrap();
            line.clear();
        }
        b_out.shutdown().await.unwrap();
    });
    within(a_out.write_all("eins\nzwei\ndrei".as_bytes())).await.unwrap();
    within(a_out.flush()).await.unwrap();
    within(a_out.shutdown()).await.unwrap();
    drop(a_out);
    let mut answer = String::new();
    within(a_in.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "EINS\nZWEI\nDREI");
    within(echo).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_the_writer_and_a_write_that_is_given_up_has_not_happened() {
    let relay = relay();
    let (_clients, mut a, mut b) = streams(&relay.url()).await;
    let content = pattern(32 << 20, 3);
    let mut sent = 0;
    while let Ok(wrote) = tokio::time::timeout(Duration::from_millis(700), a.write(&content[sent..])).await {
        sent += wrote.unwrap();
        assert!(sent < 16 << 20, "16 MB were taken though nobody reads");
    }
    assert!(sent > 2 << 20, "{sent}");
    // The one that was given up is not among them.
    let mut received = vec![0; sent];
    within(b.read_exact(&mut received)).await.unwrap();
    assert!(received == content[..sent]);
    within(a.write_all(b"after")).await.unwrap();
    let mut after = [0; 5];
    within(b.read_exact(&mut after)).await.unwrap();
    assert_eq!(&after, b"after");
}

#[tokio::test]
async fn reads_that_are_given_up_lose_no_byte() {
    let relay = relay();
    let (_clients, mut a, mut b) = streams(&relay.url()).await;
    let content = pattern(20_000, 5);
    let mut received = Vec::new();
    for (n, part) in content.chunks(100).enumerate() {
        {
            let mut buffer = [0; 64];
            let mut read = std::pin::pin!(b.read(&mut buffer));
            assert!(futures_util::FutureExt::now_or_never(read.as_mut()).is_none());
            within(a.write_all(part)).await.unwrap();
            for _ in 0..n % 20 {
                tokio::task::yield_now().await;
            }
        }
        let mut buffer = [0; 100];
        within(b.read_exact(&mut buffer)).await.unwrap();
        received.extend_from_slice(&buffer);
    }
    assert!(received == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_megabytes_each_way_are_identical_though_sockets_are_cut() {
    const SIZE: usize = 50_000_000;
    let relay = relay();
    let (proxy_a, proxy_b) = (Proxy::to(relay.local_addr()).await, Proxy::to(relay.local_addr()).await);
    let builder = |proxy: &Proxy| {
        let mut limits = ClientLimits::default();
        limits.redial_min = Duration::from_millis(10);
        Client::builder().relay(proxy.url()).key(key("ABCDE12345")).limits(limits)
    };
    let Pair { a: _a, b: _b, ab, ba } = Pair::of(builder(&proxy_a), builder(&proxy_b)).await;
    within(ab.secured()).await.unwrap();
    let run = |stream: ByteStream, seed: u32| {
        let (mut reader, mut writer) = stream.into_split();
        let write = tokio::spawn(async move {
            // As uneven as a program may write.
            let (content, mut rest) = (pattern(SIZE, seed), SIZE);
            while rest > 0 {
                let len = rest.min(1 + rest % 150_001);
                writer.write_all(&content[SIZE - rest..][..len]).await.unwrap();
                rest -= len;
            }
            writer.shutdown().await.unwrap();
            writer
        });
        async move {
            let mut received = Vec::with_capacity(SIZE);
            reader.read_to_end(&mut received).await.unwrap();
            drop(write.await.unwrap());
            received
        }
    };
    let transfer = async { tokio::join!(run(ab.into_stream(), 1), run(ba.into_stream(), 2)) };
    let cuts = async {
        let mut pause = tokio::time::interval(Duration::from_millis(300));
        for cut in 0.. {
            pause.tick().await;
            if cut % 3 != 1 {
                proxy_a.cut();
            }
            if cut % 3 != 0 {
                proxy_b.cut();
            }
        }
    };
    let (at_a, at_b) = tokio::select! {
        received = within(transfer) => received,
        () = cuts => unreachable!("it cuts for ever"),
    };
    assert!(at_a == pattern(SIZE, 2), "{} bytes came", at_a.len());
    assert!(at_b == pattern(SIZE, 1), "{} bytes came", at_b.len());
}

#[tokio::test]
async fn a_copy_between_two_streams_is_a_tunnel() {
    let relay = relay();
    let (_clients, mut near, mut middle_a) = streams(&relay.url()).await;
    let (_more, mut middle_b, mut far) = streams(&relay.url()).await;
    let tunnel =
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut middle_a, &mut middle_b).await });
    let ends = async {
        let talk = async {
            near.write_all(&pattern(1_000_000, 1)).await.unwrap();
            near.shutdown().await.unwrap();
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answer = async {
            let mut question = Vec::new();
            far.read_to_end(&mut question).await.unwrap();
            far.write_all(&question[..1000]).await.unwrap();
            far.shutdown().await.unwrap();
            question
        };
        tokio::join!(talk, answer)
    };
    let (answer, question) = within(ends).await;
    assert!(question == pattern(1_000_000, 1));
    assert!(answer == question[..1000]);
    assert_eq!(within(tunnel).await.unwrap().unwrap(), (1_000_000, 1000));
}
