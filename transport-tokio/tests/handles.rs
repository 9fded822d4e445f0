//! What the handles offer beside packets: events and requests as streams, handlers, numbers; and futures given up at every step.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use phantom_core::relay::Rate;
use phantom_mio::ServerConfig;
use phantom_tokio::packet::{DispatchError, RegisterError};
use phantom_tokio::{
    ChannelState, ChannelStats, Client, ClientLimits, End, Event, HandleError, Handlers, Packet,
};
use support::{Pair, Proxy, key, meet, pattern, relay, relay_with, within};

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 1)]
struct Message(String);

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 2)]
struct Number(u32);

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 9)]
struct Unknown;

/// What `future` comes to, if it does so within this many polls; otherwise it is dropped.
async fn given_up<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (pin!(future), polls);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            // The others have their turn, then it is polled again.
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn events_requests_packets_and_states_are_streams() {
    let relay = relay();
    let builder = || Client::builder().relay(relay.url()).key(key("ABCDE12345"));
    let (a, b) =
        within(async { (builder().connect().await.unwrap(), builder().connect().await.unwrap()) }).await;
    let first = within(std::pin::pin!(a.events()).next()).await;
    assert!(matches!(first, Some(Event::Online { .. })), "{first:?}");
    let accept = async { pin!(b.requests()).next().await.unwrap().accept().await.unwrap() };
    let (ab, ba) = within(async { tokio::join!(a.ask(b.id()), accept) }).await;
    let ab = ab.unwrap();
    let state = within(pin!(ab.states()).next()).await;
    assert_eq!(state, Some(ChannelState::Secured));
    for text in ["one", "two"] {
        within(ab.send_bytes(text)).await.unwrap();
    }
    let (closed, packets) =
        within(async { tokio::join!(ab.close(), ba.packets().try_collect::<Vec<_>>()) }).await;
    closed.unwrap();
    assert_eq!(packets.unwrap(), ["one", "two"]);
    let states = within(ba.states().collect::<Vec<_>>()).await;
    assert!(matches!(states.last(), Some(ChannelState::Ended { end: End::Finished, .. })), "{states:?}");
    within(b.leave()).await;
    drop(a);
}

#[tokio::test]
async fn handlers_serve_a_channel_until_its_end() {
    let relay = relay();
    let Pair { a: _a, b: _b, ab, ba } = Pair::secured(&relay.url()).await;
    let (log, lines) = mpsc::channel::<String>();
    let (texts, numbers) = (log.clone(), log);
    let mut handlers = Handlers::<String>::default()
        .on::<Message>(move |Message(text)| texts.send(text).unwrap())
        .unwrap()
        .try_on(move |Number(n)| match n {
            0 => Err("no zero, please".to_owned()),
            n => {
                numbers.send(n.to_string()).unwrap();
                Ok(())
            }
        })
        .unwrap();
    assert_eq!(handlers.len(), 2);
    within(ab.send(&Message("one".into()))).await.unwrap();
    within(ab.send(&Number(0))).await.unwrap();
    within(ab.send(&Number(7))).await.unwrap();
    within(ab.send(&Unknown)).await.unwrap();
    within(ab.send(&Message("two".into()))).await.unwrap();
    let failed = within(ba.serve(&mut handlers)).await.unwrap_err();
    assert_eq!(
        failed,
        HandleError::Packet(DispatchError::Handler { id: 2, error: "no zero, please".to_owned() })
    );
    let unknown = within(ba.serve(&mut handlers)).await.unwrap_err();
    assert_eq!(unknown, HandleError::Packet(DispatchError::UnknownId(9)));
    assert!(unknown.to_string().contains("no packet type with the ID 9"), "{unknown}");
    let (closed, served) = within(async { tokio::join!(ab.close(), ba.serve(&mut handlers)) }).await;
    closed.unwrap();
    served.unwrap();
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["one", "7", "two"]);
}

#[test]
fn a_type_has_one_handler_and_the_rest_goes_where_it_is_told() {
    let twice = Handlers::new().on::<Number>(|_| {}).unwrap().on::<Number>(|_| {});
    assert_eq!(twice.unwrap_err(), RegisterError::Taken { id: 2 });
    assert!(Handlers::new().is_empty());
}

#[tokio::test]
async fn packets_without_a_handler_may_have_one_together() {
    let relay = relay();
    let Pair { a: _a, b: _b, ab, ba } = Pair::secured(&relay.url()).await;
    let (log, seen) = mpsc::channel();
    let mut handlers = Handlers::new().others(move |bytes| log.send(bytes.to_vec()).unwrap());
    within(ab.send_bytes(vec![77, 1])).await.unwrap();
    let (closed, served) = within(async { tokio::join!(ab.close(), ba.serve(&mut handlers)) }).await;
    closed.unwrap();
    served.unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [[77, 1]]);
}

#[tokio::test]
async fn numbers_tell_what_has_happened() {
    let relay = relay();
    let proxy = Proxy::to(relay.local_addr()).await;
    let builder = |url: String| {
        let mut limits = ClientLimits::default();
        limits.redial_min = Duration::from_millis(10);
        Client::builder().relay(url).key(key("ABCDE12345")).limits(limits)
    };
    let Pair { a, b: _b, ab, ba } = Pair::of(builder(proxy.url()), builder(relay.url())).await;
    let stats = within(ab.stats()).await;
    assert_eq!((stats.packets, stats.delivery_time, stats.interruptions), Default::default());
    within(ab.secured()).await.unwrap();
    let before = within(ab.stats()).await;
    for n in 0..10 {
        within(ab.send_bytes(pattern(1000, n))).await.unwrap();
    }
    within(ab.delivered(10)).await.unwrap();
    for _ in 0..4 {
        within(ba.receive_bytes()).await.unwrap();
    }
    let (sent, received) = (within(ab.stats()).await, within(ba.stats()).await);
    assert_eq!((sent.packets.delivered, sent.packets.uncertain, sent.packets.unsent), (10, 0, 0));
    assert_eq!((sent.bytes_sent, sent.packets_received), (10_000, 0));
    assert_eq!((received.packets_received, received.bytes_received), (4, 4000));
    assert!(sent.delivery_time.is_some_and(|time| time < Duration::from_secs(10)), "{sent:?}");
    assert!(sent.traffic.records > 0 && sent.traffic.bytes > 10_000, "{sent:?}");
    let rates = sent.rates_since(&before);
    assert!(rates.bytes_sent > 0.0 && rates.packets_delivered > 0.0, "{rates:?}");

    proxy.cut();
    while within(ab.next_state()).await != Some(ChannelState::Resumed) {}
    let (channel, client) = (within(ab.stats()).await, within(a.stats()).await.unwrap());
    assert_eq!((channel.interruptions, client.reconnects, client.channels), (1, 1, 1));
    assert!(client.round_trip.is_some_and(|time| time < Duration::from_secs(10)), "{client:?}");

    // Beyond its end it says the same of what has happened, and holds nothing.
    drop(ba);
    within(ab.receive_bytes()).await.unwrap_err();
    let over = within(ab.stats()).await;
    assert_eq!((over.packets.delivered, over.bytes_sent), (10, 10_000));
    assert_eq!(over.held, ChannelStats::default().held);
    assert_eq!(within(ab.stats()).await.age, over.age, "it gets no older");
}

#[tokio::test]
async fn an_ask_that_is_given_up_anywhere_leaves_both_free() {
    let mut config = ServerConfig::default();
    // How many of them get as far as to be accepted, and do not count, is a matter of luck.
    let often = Rate::new(1, Duration::ZERO);
    (config.relay.pair_rate, config.relay.prompt_rate, config.relay.connect_rate) = (often, often, often);
    let relay = relay_with(config);
    let builder = || {
        let mut limits = ClientLimits::default();
        // A channel that its other end gave up in the middle of the key agreement is looked for this long.
        limits.patience_unsecured = Duration::from_millis(100);
        limits.patience = Duration::from_millis(100);
        Client::builder().relay(relay.url()).key(key("ABCDE12345")).channels(2).limits(limits)
    };
    let (a, b) =
        within(async { (builder().connect().await.unwrap(), builder().connect().await.unwrap()) }).await;
    // It accepts for ever; what is accepted too late ends by itself.
    let accept = async || {
        loop {
            if let Ok(channel) = b.next_request().await.unwrap().accept().await {
                while let Ok(Some(packet)) = channel.receive_bytes().await {
                    channel.send_bytes(packet).await.unwrap();
                }
            }
        }
    };
    for polls in [0, 1, 2, 3, 4, 6, 10, 20] {
        tokio::select! {
            given_up = within(given_up(polls, a.ask(b.id()))) => drop(given_up),
            () = accept() => unreachable!("it accepts for ever"),
        }
    }
    let echo = async {
        // The last one may have come to a channel, whose end takes a moment.
        let channel = loop {
            if let Ok(channel) = a.ask(b.id()).await {
                break channel;
            }
            tokio::task::yield_now().await;
        };
        channel.send_bytes("free").await.unwrap();
        assert_eq!(channel.receive_bytes().await.unwrap().unwrap(), "free");
    };
    tokio::select! {
        () = within(echo) => {}
        () = accept() => unreachable!("it accepts for ever"),
    }
}

#[tokio::test]
async fn a_connect_that_is_given_up_anywhere_leaves_nobody_at_the_relay() {
    let relay = relay();
    for polls in 0..60 {
        drop(within(given_up(polls, Client::connect(relay.url()))).await);
    }
    let (a, b) =
        within(async { (Client::connect(relay.url()).await, Client::connect(relay.url()).await) }).await;
    let (a, b) = (a.unwrap(), b.unwrap());
    while relay.handle().stats().sockets > 2 {
        tokio::task::yield_now().await;
    }
    let _channels = meet(&a, &b).await;
}

#[tokio::test]
async fn sends_and_receives_that_are_given_up_anywhere_lose_and_double_nothing() {
    let relay = relay();
    let Pair { a: _a, b: _b, ab, ba } = Pair::secured(&relay.url()).await;
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for n in 0..2000_u32 {
        let polls = n as usize % 5;
        if let Some(number) = within(given_up(polls, ab.send_bytes(pattern(4000, n)))).await {
            sent.push(n);
            assert_eq!(number.unwrap(), sent.len() as u64);
        }
        let packet = within(given_up(polls, ba.receive_bytes())).await;
        received.extend(packet.map(|packet| packet.unwrap().unwrap()));
        let delivered = within(given_up(polls, ab.delivered(sent.len() as u64 + 1))).await;
        assert!(delivered.is_none_or(|delivered| delivered.is_err()), "it was never sent");
    }
    let (closed, ()) = within(async {
        tokio::join!(ab.close(), async {
            while let Some(packet) = ba.receive_bytes().await.unwrap() {
                received.push(packet);
            }
        })
    })
    .await;
    assert_eq!(closed.unwrap().delivered, sent.len() as u64);
    assert_eq!(received.len(), sent.len());
    for (packet, n) in received.iter().zip(sent) {
        assert!(*packet == pattern(4000, n), "packet {n}");
    }
}
