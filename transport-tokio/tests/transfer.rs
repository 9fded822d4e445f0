//! Packets on their way: all sizes, many of them, a slow receiver, a cut connection, many channels.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use std::future::Future;

use bytes::Bytes;
use phantom_tokio::{ChannelState, Client, SendError};
use support::{Pair, Proxy, key, meet, pattern, relay, within};

#[tokio::test]
async fn every_size_arrives_as_it_was() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    let around = |n: usize| [n - 1, n, n + 1];
    let sizes =
        [vec![0, 1, 2, 127, 128], around(16 << 10).into(), around(64 << 10).into(), vec![1 << 20]].concat();
    let send = async {
        for (number, &size) in (1..).zip(&sizes) {
            assert_eq!(pair.ab.send_bytes(pattern(size, 1)).await, Ok(number));
        }
        pair.ab.delivered(sizes.len() as u64).await.unwrap();
    };
    let receive = async {
        for &size in &sizes {
            let packet = pair.ba.receive_bytes().await.unwrap().unwrap();
            assert!(packet == pattern(size, 1), "{size} bytes were altered; {} came", packet.len());
        }
    };
    within(async { tokio::join!(send, receive) }).await;
    let too_long = within(pair.ab.send_bytes(vec![0; (1 << 20) + 1])).await;
    assert_eq!(too_long, Err(SendError::TooLarge { len: (1 << 20) + 1, max: 1 << 20 }));
}

#[tokio::test]
async fn before_it_is_secured_a_packet_has_at_most_64_kib() {
    let relay = relay();
    let builder = || Client::builder().relay(relay.url());
    let pair = Pair::of(builder(), builder()).await;
    within(pair.ab.send_bytes(vec![7; 64 << 10])).await.unwrap();
    let too_long = within(pair.ab.send_bytes(vec![0; (64 << 10) + 1])).await;
    assert_eq!(too_long, Err(SendError::TooLarge { len: (64 << 10) + 1, max: 64 << 10 }));
    pair.a.set_encryption_key(key("late"));
    pair.b.set_encryption_key(key("late"));
    assert_eq!(within(pair.ba.receive_bytes()).await.unwrap().unwrap(), vec![7; 64 << 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_arrive_in_both_directions_at_once() {
    const PACKETS: u32 = 1024;
    const SIZE: usize = 64 << 10;
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    let transfer = |sender: phantom_tokio::Sender, receiver: phantom_tokio::Receiver| async move {
        let send = tokio::spawn(async move {
            for n in 0..PACKETS {
                sender.send_bytes(pattern(SIZE, n)).await.unwrap();
            }
            sender
        });
        for n in 0..PACKETS {
            assert!(receiver.receive_bytes().await.unwrap().unwrap() == pattern(SIZE, n), "packet {n}");
        }
        (send.await.unwrap(), receiver)
    };
    let ((a_out, a_in), (b_out, b_in)) = (pair.ab.split(), pair.ba.split());
    let both = async { tokio::join!(transfer(a_out, b_in), transfer(b_out, a_in)) };
    let ((a_out, _b_in), (b_out, _a_in)) = within(both).await;
    within(a_out.delivered(u64::from(PACKETS))).await.unwrap();
    within(b_out.delivered(u64::from(PACKETS))).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_does_not_take_stops_the_sender_and_starts_it_again() {
    const SIZE: usize = 16 << 10;
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    // Until a send waits and goes on waiting though everything that can move has moved.
    let mut sent = 0;
    loop {
        let send = pair.ab.send_bytes(pattern(SIZE, sent));
        if tokio::time::timeout(std::time::Duration::from_millis(700), send).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent < 1000, "16 MB were taken though nobody receives");
    }
    // At least the windows are used: the sender's queue, the receiver's window.
    assert!(sent as usize * SIZE > 2 << 20, "{sent}");
    for n in 0..sent {
        assert!(within(pair.ba.receive_bytes()).await.unwrap().unwrap() == pattern(SIZE, n), "packet {n}");
    }
    // The send that was given up has not happened; the next one goes through.
    within(pair.ab.send_bytes("after")).await.unwrap();
    assert_eq!(within(pair.ba.receive_bytes()).await.unwrap().unwrap(), "after");
}

#[tokio::test]
async fn a_receive_that_is_given_up_loses_nothing() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    for n in 0..200_u32 {
        {
            let mut receive = std::pin::pin!(pair.ba.receive_bytes());
            assert!(futures_util::FutureExt::now_or_never(receive.as_mut()).is_none());
            within(pair.ab.send_bytes(n.to_le_bytes().to_vec())).await.unwrap();
            // Given up at every stage of the packet's way.
            for _ in 0..n % 20 {
                tokio::task::yield_now().await;
            }
        }
        let packet = within(pair.ba.receive_bytes()).await.unwrap().unwrap();
        assert_eq!(*packet, n.to_le_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_in_mid_stream_loses_and_doubles_nothing() {
    const PACKETS: u32 = 20_000;
    const CUTS: u32 = 4;
    let relay = relay();
    let (proxy_a, proxy_b) = (Proxy::to(relay.local_addr()).await, Proxy::to(relay.local_addr()).await);
    let builder = |proxy: &Proxy| {
        let mut limits = phantom_tokio::ClientLimits::default();
        limits.redial_min = std::time::Duration::from_millis(10);
        Client::builder().relay(proxy.url()).key(key("ABCDE12345")).limits(limits)
    };
    let Pair { a, b: _b, ab, ba } = Pair::of(builder(&proxy_a), builder(&proxy_b)).await;
    within(ab.secured()).await.unwrap();
    let id = a.id();
    let (sender, a_in) = ab.split();
    let send = tokio::spawn(async move {
        for n in 0..PACKETS {
            sender.send_bytes(pattern(500, n)).await.unwrap();
        }
        sender
    });
    for n in 0..PACKETS {
        let packet = within(ba.receive_bytes()).await.unwrap().unwrap();
        assert!(packet == pattern(500, n), "packet {n}");
        if n % (PACKETS / CUTS) == PACKETS / CUTS / 2 {
            // In turn: the sender's connection, the receiver's, both.
            let cut = n / (PACKETS / CUTS) % 3;
            if cut != 1 {
                proxy_a.cut();
            }
            if cut != 0 {
                proxy_b.cut();
            }
        }
    }
    let sender = within(send).await.unwrap();
    within(sender.delivered(u64::from(PACKETS))).await.unwrap();
    assert_eq!(a.id(), id, "the relay gives the ID back");
    let (mut interrupted, mut resumed) = (0, 0);
    while resumed < CUTS {
        match within(a_in.next_state()).await.unwrap() {
            ChannelState::Interrupted { .. } => interrupted += 1,
            ChannelState::Resumed => resumed += 1,
            _ => {}
        }
    }
    assert!(interrupted >= CUTS, "{interrupted}");
    let (closed, received) = within(async { tokio::join!(sender.close(), ba.receive_bytes()) }).await;
    assert_eq!((closed.unwrap().delivered, received), (u64::from(PACKETS), Ok(None)));
}

#[tokio::test]
async fn many_channels_on_one_client_do_not_mix() {
    const CLIENTS: usize = 24;
    const PACKETS: u32 = 100;
    let relay = relay();
    let builder = || Client::builder().relay(relay.url()).key(key("ABCDE12345"));
    let hub = within(builder().channels(CLIENTS as u8).connect()).await.unwrap();
    let mut ends = Vec::new();
    for _ in 0..CLIENTS {
        let client = within(builder().connect()).await.unwrap();
        let (near, far) = meet(&client, &hub).await;
        ends.push((client, near, far));
    }
    let tasks: Vec<_> = (0..)
        .zip(ends)
        .map(|(index, (client, near, far))| {
            tokio::spawn(async move {
                let packet = |n: u32| Bytes::from(pattern(100, index * PACKETS + n));
                let send = async {
                    for n in 0..PACKETS {
                        near.send_bytes(packet(n)).await.unwrap();
                    }
                };
                let echo = async {
                    for n in 0..PACKETS {
                        let received = far.receive_bytes().await.unwrap().unwrap();
                        assert_eq!(received, packet(n));
                        far.send_bytes(received).await.unwrap();
                    }
                };
                let receive = async {
                    for n in 0..PACKETS {
                        assert_eq!(near.receive_bytes().await.unwrap().unwrap(), packet(n));
                    }
                };
                tokio::join!(send, echo, receive);
                drop(client);
            })
        })
        .collect();
    for task in tasks {
        within(task).await.unwrap();
    }
}

#[tokio::test]
async fn several_tasks_may_wait_on_one_channel() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    let receive = || async { pair.ba.receive_bytes().await.unwrap().unwrap() };
    let send = async {
        pair.ab.send_bytes("one").await.unwrap();
        pair.ab.send_bytes("two").await.unwrap();
    };
    let (first, second, ()) = within(async { tokio::join!(receive(), receive(), send) }).await;
    let mut both = [first, second];
    both.sort();
    assert_eq!(both, ["one", "two"]);
}

fn assert_send<T: Send + 'static>(value: T) -> T {
    value
}

/// Compiles, or does not.
#[allow(dead_code, reason = "never called")]
fn everything_can_be_sent_to_another_task() {
    fn of_type<T: Send + Sync + 'static>() {}
    of_type::<Client>();
    of_type::<phantom_tokio::ClientBuilder>();
    of_type::<phantom_tokio::Channel>();
    of_type::<phantom_tokio::Sender>();
    of_type::<phantom_tokio::Receiver>();
    of_type::<phantom_tokio::Request>();
    of_type::<phantom_tokio::Event>();
    of_type::<phantom_tokio::Error>();
    fn future<'a, T>(future: impl Future<Output = T> + Send + 'a) {
        drop(future);
    }
    drop(assert_send(Client::connect("ws://127.0.0.1")));
    let all = async |client: Client, channel: phantom_tokio::Channel, request: phantom_tokio::Request| {
        future(client.ask(client.id()));
        future(client.next_request());
        future(client.next_event());
        future(client.encryption_key());
        future(channel.send_bytes(Bytes::new()));
        future(channel.receive_bytes());
        future(channel.secured());
        future(channel.delivered(1));
        future(channel.next_state());
        future(channel.set_key(key("any")));
        drop(assert_send(request.accept()));
        drop(assert_send(channel.close()));
        drop(assert_send(client.leave()));
    };
    let _ = all;
}
