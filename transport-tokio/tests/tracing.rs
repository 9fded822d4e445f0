//! What the feature `tracing` tells, and what it does not.
#![allow(clippy::unwrap_used, reason = "in a test that is a failure, in its helpers, too")]

mod support;

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use phantom_tokio::{ChannelState, Client, ClientLimits};
use support::{Pair, Proxy, key, relay, within};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps every line: level, names of the spans, fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    spans: Vec<String>,
    within: Vec<u64>,
    lines: Vec<(Level, String)>,
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("phantom_tokio")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = span.metadata().name().to_owned();
        span.record(&mut Text(&mut text));
        let mut state = self.0.lock().unwrap();
        state.spans.push(text);
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut state = self.0.lock().unwrap();
        let mut text =
            state.within.last().map_or_else(String::new, |&id| state.spans[id as usize - 1].clone());
        event.record(&mut Text(&mut text));
        state.lines.push((*event.metadata().level(), text));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().within.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().within.pop();
    }
}

#[tokio::test]
async fn a_life_is_told_in_order_and_nothing_secret_in_it() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let relay = relay();
    let proxy = Proxy::to(relay.local_addr()).await;
    let builder = |url| {
        let mut limits = ClientLimits::default();
        limits.redial_min = std::time::Duration::from_millis(10);
        Client::builder().relay(url).key(key("ABCDE12345")).limits(limits).token("t0ken")
    };
    let Pair { a, b, ab, ba } = Pair::of(builder(proxy.url()), builder(relay.url())).await;
    within(ab.secured()).await.unwrap();
    within(ba.secured()).await.unwrap();
    within(ab.send_bytes("payload")).await.unwrap();
    assert_eq!(within(ba.receive_bytes()).await.unwrap().unwrap(), "payload");
    proxy.cut();
    while within(ab.next_state()).await != Some(ChannelState::Resumed) {}
    let (closed, end) = within(async { tokio::join!(ab.close(), ba.receive_bytes()) }).await;
    assert_eq!((closed.unwrap().delivered, end), (1, Ok(None)));

    let lines = log.0.lock().unwrap().lines.clone();
    let all = lines.iter().map(|(level, text)| format!("{level} {text}\n")).collect::<String>();
    // What the first client tells, in this order.
    let mut rest = all.as_str();
    for part in ["dial", "online", "opened", "secured", "interrupted", "dial", "online", "resumed", "ended"] {
        let (_, behind) =
            rest.split_once(&format!("message={part}")).unwrap_or_else(|| panic!("no {part} in\n{all}"));
        rest = behind;
    }
    assert!(all.contains("message=request") && all.contains("message=offline"), "{all}");
    let ended = all.lines().find(|line| line.contains("message=ended")).unwrap();
    assert!(ended.contains("channel channel=") && ended.contains("delivered="), "{ended}");
    for secret in ["ABCDE12345", "t0ken", "payload"] {
        assert!(!all.contains(secret), "{secret} is in\n{all}");
    }
    for id in [a.id(), b.id()].map(|id| id.to_string()) {
        let above = lines.iter().filter(|(level, _)| *level < Level::DEBUG);
        assert!(above.clone().count() > 5);
        assert!(above.into_iter().all(|(_, text)| !text.contains(&id)), "{id} is in\n{all}");
        assert!(all.contains(&id), "at debug it is told:\n{all}");
    }
}
