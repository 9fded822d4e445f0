//! Requests and keys: asked, accepted, declined, taken back; the same key, another key, the right one at last; and how it ends.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use phantom_mio::ServerConfig;
use phantom_tokio::{
    Answer, AskError, ChannelError, ChannelState, Client, ConnectError, End, Ended, Event, HandleError,
    Packet, PeerId, ReceiveError, Registry, SendError, SetKeyError, packet::DispatchError,
};
use support::{Pair, Proxy, key, meet, relay, relay_with, within};

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 1)]
struct Message(String);

#[derive(Debug, PartialEq, Packet)]
#[packet(id = 2)]
struct Number(u32);

async fn connect(url: &str) -> Client {
    within(Client::connect(url)).await.unwrap()
}

#[tokio::test]
async fn both_say_hello() {
    let relay = relay();
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    let shared = a.encryption_key().await.unwrap();
    let (ab, ba) = meet(&a, &b).await;
    assert_eq!((ab.opponent(), ba.opponent()), (b.id(), a.id()));
    assert!(!ab.is_secured());
    // Before the key is set on the other side: it waits, and is not lost.
    assert_eq!(within(ab.send(&Message("Приветик!!!".into()))).await, Ok(1));
    assert!(futures_util::FutureExt::now_or_never(ab.delivered(1)).is_none(), "it cannot have arrived");
    b.set_encryption_key(shared);
    within(ba.secured()).await.unwrap();
    assert_eq!(within(ba.send(&Message("Приветик!!!".into()))).await, Ok(1));
    for channel in [&ab, &ba] {
        assert_eq!(within(channel.receive()).await, Ok(Some(Message("Приветик!!!".into()))));
    }
    within(ab.delivered(1)).await.unwrap();
    assert!(ab.verifier().is_some());
    assert_eq!(ab.verifier(), ba.verifier());
    assert_eq!(within(ab.next_state()).await, Some(ChannelState::Secured));
}

#[tokio::test]
async fn a_wrong_key_is_told_to_both_and_the_right_one_secures() {
    let relay = relay();
    let builder = |text| Client::builder().relay(relay.url()).key(key(text));
    let pair = Pair::of(builder("right"), builder("wrong")).await;
    within(pair.ab.send_bytes("secret")).await.unwrap();
    for channel in [&pair.ab, &pair.ba] {
        let error = within(channel.secured()).await.unwrap_err();
        assert!(matches!(error, ChannelError::KeysDiffer { .. }), "{error:?}");
        assert!(error.to_string().contains("set the right one"), "{error}");
        assert!(matches!(within(channel.next_state()).await, Some(ChannelState::KeysDiffer { .. })));
    }
    within(pair.ba.set_key(key("right"))).await.unwrap();
    within(pair.ab.secured()).await.unwrap();
    within(pair.ba.secured()).await.unwrap();
    assert_eq!(within(pair.ba.receive_bytes()).await.unwrap().unwrap(), "secret");
    // A secured channel keeps its key.
    assert_eq!(within(pair.ba.set_key(key("other"))).await, Err(SetKeyError::ChannelSecured));
    assert_eq!(within(pair.ba.set_key(key("right"))).await, Ok(()));
}

#[tokio::test]
async fn that_the_keys_differ_is_told_even_if_the_channel_has_ended_for_it() {
    let relay = relay();
    let builder = |text| Client::builder().relay(relay.url()).key(key(text));
    let Pair { a: _a, b: _b, ab, ba } = Pair::of(builder("right"), builder("wrong")).await;
    // The other side goes as soon as it knows; this one looks only afterwards.
    let error = within(ba.secured()).await.unwrap_err();
    assert!(matches!(error, ChannelError::KeysDiffer { .. }), "{error:?}");
    drop(ba);
    let end = within(ab.receive_bytes()).await.unwrap_err();
    assert!(matches!(end, ChannelError::Ended { .. }), "{end:?}");
    let error = within(ab.secured()).await.unwrap_err();
    assert!(matches!(error, ChannelError::KeysDiffer { .. }), "{error:?}");
    assert_eq!(within(ab.secured()).await, Err(end), "the cause is told once, then the end");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_at_once() {
    let relay = relay();
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    assert_eq!(within(a.ask(a.id())).await.unwrap_err(), AskError::Connect(ConnectError::OwnId));
    let nobody: PeerId = "zzzzzz".parse().unwrap();
    assert_eq!(within(a.ask(nobody)).await.unwrap_err(), AskError::Answer(Answer::TargetNotFound));
    let (_ab, _ba) = meet(&a, &b).await;
    assert_eq!(within(a.ask(b.id())).await.unwrap_err(), AskError::Connect(ConnectError::AlreadyConnected));
}

#[tokio::test]
async fn a_declined_request_is_told() {
    let relay = relay();
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    for by_dropping in [false, true] {
        let decide = async {
            let request = b.next_request().await.unwrap();
            assert_eq!(request.from(), a.id());
            if by_dropping { drop(request) } else { request.decline() }
        };
        let (asked, ()) = within(async { tokio::join!(a.ask(b.id()), decide) }).await;
        assert_eq!(asked.unwrap_err(), AskError::Answer(Answer::Declined));
    }
}

/// The next answer of which `a` is told.
async fn next_answer(client: &Client) -> (PeerId, Answer) {
    loop {
        match within(client.next_event()).await.unwrap() {
            Event::Answer { peer, answer } if !answer.is_interim() => return (peer, answer),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_dropped_ask_is_withdrawn() {
    let relay = relay();
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    let request = {
        let mut ask = std::pin::pin!(a.ask(b.id()));
        tokio::select! {
            _ = &mut ask => panic!("nobody has accepted"),
            request = within(b.next_request()) => request.unwrap(),
        }
    };
    assert_eq!(next_answer(&b).await, (a.id(), Answer::Withdrawn));
    assert_eq!(within(request.accept()).await.unwrap_err(), AskError::Answer(Answer::NotConnected));
    // And there is room for another.
    let (_ab, _ba) = meet(&a, &b).await;
}

#[tokio::test]
async fn who_asks_again_need_not_wait_for_the_withdrawal() {
    let mut config = ServerConfig::default();
    config.relay.pair_rate.burst = 6;
    let relay = relay_with(config);
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    for _ in 0..3 {
        let first = {
            let mut ask = std::pin::pin!(a.ask(b.id()));
            tokio::select! {
                _ = &mut ask => panic!("nobody has accepted"),
                request = within(b.next_request()) => request.unwrap(),
            }
        };
        let decline = async {
            drop(first);
            b.next_request().await.unwrap().decline();
        };
        let (asked, ()) = within(async { tokio::join!(a.ask(b.id()), decline) }).await;
        assert_eq!(asked.unwrap_err(), AskError::Answer(Answer::Declined));
    }
}

#[tokio::test]
async fn an_undecided_request_expires_for_both() {
    let mut config = ServerConfig::default();
    config.relay.request_lifetime = std::time::Duration::from_secs(1);
    let relay = relay_with(config);
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    let (asked, request) = within(async { tokio::join!(a.ask(b.id()), b.next_request()) }).await;
    assert_eq!(asked.unwrap_err(), AskError::Answer(Answer::Expired));
    assert_eq!(next_answer(&b).await, (a.id(), Answer::Expired));
    assert_eq!(within(request.unwrap().accept()).await.unwrap_err(), AskError::Answer(Answer::NotConnected));
}

#[tokio::test]
async fn requests_that_cross_are_one_channel() {
    let relay = relay();
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    let (ab, ba) = within(async { tokio::join!(a.ask(b.id()), b.ask(a.id())) }).await;
    let (ab, ba) = (ab.unwrap(), ba.unwrap());
    assert_ne!(ab.role(), ba.role());
    assert_eq!((ab.opponent(), ba.opponent()), (b.id(), a.id()));
}

#[tokio::test]
async fn closing_delivers_everything_and_tells_both() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    for n in 0..5000_u32 {
        within(pair.ab.send(&Number(n))).await.unwrap();
    }
    let receive = async {
        for n in 0..5000 {
            assert_eq!(pair.ba.receive().await, Ok(Some(Number(n))));
        }
        assert_eq!(pair.ba.receive::<Number>().await, Ok(None));
        assert_eq!(pair.ba.receive::<Number>().await, Ok(None), "the end stays the end");
    };
    let (closed, ()) = within(async { tokio::join!(pair.ab.close(), receive) }).await;
    let fate = closed.unwrap();
    assert_eq!((fate.delivered, fate.uncertain, fate.unsent), (5000, 0, 0));
    assert!(matches!(pair.ba.send_bytes("late").await, Err(SendError::Ended { end: End::Finished, .. })));
    assert_eq!(within(pair.ba.close()).await.map(|fate| fate.delivered), Ok(0));
    // Both are free for another.
    let (_ab, _ba) = meet(&pair.a, &pair.b).await;
}

#[tokio::test]
async fn what_never_left_is_counted_when_a_channel_ends() {
    let relay = relay();
    let builder = |text| Client::builder().relay(relay.url()).key(key(text));
    let pair = Pair::of(builder("one"), builder("other")).await;
    // More than the machine takes, so that some wait before it.
    for _ in 0..20 {
        within(pair.ab.send_bytes(vec![7; 60_000])).await.unwrap();
    }
    for channel in [&pair.ab, &pair.ba] {
        assert!(matches!(within(channel.secured()).await, Err(ChannelError::KeysDiffer { .. })));
    }
    let error = within(pair.ab.close()).await.unwrap_err();
    let ChannelError::Ended { end: End::Disconnected, fate } = error else { panic!("{error:?}") };
    assert_eq!((fate.delivered, fate.uncertain, fate.unsent), (0, 0, 20));
    let error = within(pair.ba.secured()).await.unwrap_err();
    assert!(matches!(error, ChannelError::Ended { end: End::Left(Some(Ended::Closed)), .. }), "{error:?}");
}

#[tokio::test]
async fn closing_does_not_wait_for_packets_that_nobody_takes() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    // More than is fetched beforehand, twice over.
    for _ in 0..16 {
        within(pair.ba.send_bytes(vec![7; 60_000])).await.unwrap();
    }
    within(pair.ba.delivered(16)).await.unwrap();
    let (closed, end) = within(async { tokio::join!(pair.ab.close(), pair.ba.receive_bytes()) }).await;
    assert_eq!((closed.map(|fate| fate.delivered), end), (Ok(0), Ok(None)));
}

#[tokio::test]
async fn a_close_that_nobody_awaits_goes_on() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    within(pair.ab.send_bytes("last words")).await.unwrap();
    {
        let mut close = std::pin::pin!(pair.ab.close());
        assert!(futures_util::FutureExt::now_or_never(close.as_mut()).is_none());
    }
    assert_eq!(within(pair.ba.receive_bytes()).await.unwrap().unwrap(), "last words");
    assert_eq!(within(pair.ba.receive_bytes()).await, Ok(None));
}

#[tokio::test]
async fn a_dropped_channel_ends_at_once_for_the_other_side() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    drop(pair.ab);
    let error = within(pair.ba.receive_bytes()).await.unwrap_err();
    assert!(matches!(error, ChannelError::Ended { end: End::Aborted { code: 0 }, .. }), "{error:?}");
    // The last half takes the channel with it, and not the first.
    let (ab, ba) = meet(&pair.a, &pair.b).await;
    within(ab.secured()).await.unwrap();
    let (sender, receiver) = ab.split();
    drop(receiver);
    within(sender.send_bytes("still there")).await.unwrap();
    assert_eq!(within(ba.receive_bytes()).await.unwrap().unwrap(), "still there");
    drop(sender);
    within(ba.receive_bytes()).await.unwrap_err();
}

#[tokio::test]
async fn dropping_a_client_leaves_the_relay_and_ends_its_channels() {
    let relay = relay();
    let Pair { a, b, ab, ba } = Pair::secured(&relay.url()).await;
    let gone = a.id();
    drop(a);
    let error = within(ba.receive_bytes()).await.unwrap_err();
    assert!(matches!(error, ChannelError::Ended { end: End::Aborted { code: 0 }, .. }), "{error:?}");
    let error = within(ab.receive_bytes()).await.unwrap_err();
    assert!(matches!(error, ChannelError::Ended { end: End::Disconnected, .. }), "{error:?}");
    assert_eq!(within(ab.set_key(key("any"))).await, Err(SetKeyError::NoChannel));
    // The relay knows it, too, as soon as the link is down.
    while within(b.ask(gone)).await.unwrap_err() != AskError::Answer(Answer::TargetNotFound) {}
}

#[tokio::test]
async fn a_runtime_that_ends_keeps_nobody_waiting() {
    let relay = relay();
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = relay.url();
    let Pair { a, b: _b, ab, ba: _ba } =
        within(other.spawn(async move { Pair::secured(&url).await })).await.unwrap();
    let waiting = tokio::spawn(async move { ab.receive_bytes().await });
    other.shutdown_background();
    let end = within(waiting).await.unwrap().unwrap_err();
    assert!(matches!(end, ChannelError::Ended { end: End::Disconnected, .. }), "{end:?}");
    assert!(within(a.next_request()).await.is_none());
    assert_eq!(within(a.ask(a.id())).await.unwrap_err(), AskError::Left);
}

#[tokio::test]
async fn leaving_waits_until_the_relay_knows() {
    let relay = relay();
    let (a, b) = (connect(&relay.url()).await, connect(&relay.url()).await);
    let gone = a.id();
    within(a.leave()).await;
    assert_eq!(within(b.ask(gone)).await.unwrap_err(), AskError::Answer(Answer::TargetNotFound));
}

#[tokio::test]
async fn a_peer_that_vanishes_is_noticed_and_its_end_told() {
    let relay = relay();
    let proxy = Proxy::to(relay.local_addr()).await;
    let mut limits = phantom_tokio::ClientLimits::default();
    limits.patience = std::time::Duration::from_millis(300);
    let a = Client::builder().relay(proxy.url()).key(key("ABCDE12345"));
    let b = Client::builder().relay(relay.url()).key(key("ABCDE12345")).limits(limits);
    let Pair { a, b: _b, ab, ba } = Pair::of(a, b).await;
    within(ba.secured()).await.unwrap();
    within(ab.secured()).await.unwrap();
    within(ba.send_bytes("are you there?")).await.unwrap();
    // Its process dies: nothing is said, the connection is just gone.
    let task = tokio::spawn(async move { (a, ab, std::future::pending::<()>().await) });
    proxy.stop();
    let (mut states, end) = (Vec::new(), within(ba.receive_bytes()).await.unwrap_err());
    while let Some(state) = within(ba.next_state()).await {
        states.push(state);
    }
    assert!(matches!(end, ChannelError::Ended { end: End::Truncated, .. }), "{end:?}");
    assert!(states.iter().any(|state| matches!(state, ChannelState::Interrupted { .. })), "{states:?}");
    assert!(matches!(states.last(), Some(ChannelState::Ended { end: End::Truncated, .. })), "{states:?}");
    task.abort();
}

#[tokio::test]
async fn handlers_get_their_packets_and_the_stream_survives_the_others() {
    let relay = relay();
    let pair = Pair::secured(&relay.url()).await;
    let mut registry = Registry::<Vec<String>>::new();
    registry.register(|log: &mut Vec<String>, Message(text)| log.push(text)).unwrap();
    let mut log = Vec::new();

    within(pair.ab.send(&Message("one".into()))).await.unwrap();
    within(pair.ab.send(&Number(7))).await.unwrap();
    within(pair.ab.send_bytes(vec![])).await.unwrap();
    within(pair.ab.send(&Message("two".into()))).await.unwrap();
    assert_eq!(within(pair.ba.receive_with(&mut registry, &mut log)).await, Ok(true));
    let unknown = within(pair.ba.receive_with(&mut registry, &mut log)).await;
    assert_eq!(unknown, Err(HandleError::Packet(DispatchError::UnknownId(2))));
    let malformed = within(pair.ba.receive::<Message>()).await;
    assert!(matches!(malformed, Err(ReceiveError::Packet(_))), "{malformed:?}");
    assert_eq!(within(pair.ba.receive_with(&mut registry, &mut log)).await, Ok(true));
    assert_eq!(log, ["one", "two"]);
}
