//! Our client and another, written in Python from `PROTOCOL.md` alone (`tests/second`), through our relay: they meet, agree on a
//! key, talk, are cut, find each other again, and part. Where there is no Python the tests fail, unless the environment says to
//! leave them out.

#![allow(clippy::unwrap_used, reason = "a test that fails is meant to panic")]

mod letter;
mod program;

use std::net::SocketAddr;

use phantom_core::client::{End, Fate};
use phantom_core::crypto::Role;
use phantom_core::wire::Answer;
use phantom_tests::proxy::Proxy;
use phantom_tokio::{AskError, Channel, ChannelError, ChannelState, Client, EncryptionKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use letter::Letter;
use program::{LONG, Program, is_left_out, python, relay};

const KEY: &str = "a passphrase of two people";
/// The one channel of each Python program here.
const CHANNEL: u32 = 1;

#[test]
fn the_known_answers_are_those_of_the_second_implementation() {
    if is_left_out() {
        return;
    }
    let tried = python(&["-m", "unittest", "discover", "-s", "second", "-t", "."]).output().expect("it runs");
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(tried.status.success() && said.contains("\nOK"), "{said}");
}

/// The two sides, with the Python program behind another URL than the Rust client if one of them is meddled with.
struct Two {
    rust: Client,
    python: Program,
    python_id: String,
}

impl Two {
    async fn start(rust: SocketAddr, python: &str, keys: [&str; 2], arguments: &[&str]) -> Self {
        let key = EncryptionKey::parse(keys[0]).unwrap();
        let rust = Client::builder().relay(format!("ws://{rust}")).key(key).connect().await.unwrap();
        let mut python = Program::start(&[&["-m", "second", python], arguments].concat());
        let python_id = python.hear("Online").await["id"].as_str().unwrap().to_owned();
        python.tell("key", &json!({ "text": keys[1] }));
        Self { rust, python, python_id }
    }

    async fn at(relay: SocketAddr) -> Self {
        Self::start(relay, &format!("ws://{relay}"), [KEY; 2], &[]).await
    }

    /// The Python program asks.
    async fn asked(&mut self) -> Channel {
        self.python.tell("connect", &json!({ "peer": self.rust.id().to_string() }));
        let request = timeout(LONG, self.rust.next_request()).await.unwrap().unwrap();
        assert_eq!(request.from().to_string(), self.python_id);
        let channel = request.accept().await.unwrap();
        assert_eq!(self.python.hear("Opened").await["role"], 0);
        channel
    }

    /// The Rust client asks.
    async fn asking(&mut self) -> Channel {
        let accepted = async {
            let request = self.python.hear("Incoming").await;
            assert_eq!(request["peer"], self.rust.id().to_string());
            self.python.tell("accept", &json!({ "request": request["request"] }));
        };
        let (channel, ()) = tokio::join!(self.rust.ask(self.python_id.parse().unwrap()), accepted);
        assert_eq!(self.python.hear("Opened").await["role"], 1);
        channel.unwrap()
    }

    /// Both find the same key.
    async fn secured(&mut self, channel: &Channel) {
        timeout(LONG, channel.secured()).await.unwrap().unwrap();
        let verifier: String = channel.verifier().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(self.python.hear("Secured").await["verifier"], verifier);
    }
}

/// The Python program sends a letter.
fn send(python: &mut Program, letter: &Letter) {
    python.tell("send", &json!({ "channel": CHANNEL, "value": letter.json() }));
}

/// Whatever a channel says after this is its end.
async fn ended(channel: &Channel) -> (End, Fate) {
    timeout(LONG, async {
        loop {
            if let ChannelState::Ended { end, fate } = channel.next_state().await.unwrap() {
                return (end, fate);
            }
        }
    })
    .await
    .unwrap()
}

/// How the Python program's channel ended.
async fn closed(python: &mut Program) -> Value {
    loop {
        let event = timeout(LONG, python.event()).await.unwrap();
        if event["event"] == "Closed" {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_talks_and_finishes() {
    if is_left_out() {
        return;
    }
    let (_relay, at) = relay(&[]);
    let mut two = Two::at(at).await;
    let channel = two.asked().await;
    assert_eq!(channel.role(), Role::Acceptor);
    two.secured(&channel).await;
    let mut random = StdRng::seed_from_u64(1);
    // From nothing to what goes in many records.
    for (number, blob) in [0, 10, 1000, 20_000, 300_000].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let letter = Letter::random(number, blob, &mut random);
        channel.send(&letter).await.unwrap();
        assert_eq!(two.python.hear("Packet").await["packet"], letter.json());
        let letter = Letter::random(number, blob, &mut random);
        send(&mut two.python, &letter);
        assert_eq!(timeout(LONG, channel.receive::<Letter>()).await.unwrap().unwrap(), Some(letter));
    }
    two.python.tell("finish", &json!({ "channel": CHANNEL }));
    assert_eq!(timeout(LONG, channel.receive::<Letter>()).await.unwrap().unwrap(), None, "nothing follows");
    assert_eq!(ended(&channel).await, (End::Finished, Fate { delivered: 5, uncertain: 0, unsent: 0 }));
    let end = closed(&mut two.python).await;
    assert_eq!((&end["why"], &end["delivered"]), (&json!("Finished"), &json!(5)), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ask_and_the_rust_side_finishes() {
    if is_left_out() {
        return;
    }
    let (_relay, at) = relay(&[]);
    let mut two = Two::at(at).await;
    // The request of the one waits when that of the other comes: they cross.
    two.python.tell("connect", &json!({ "peer": two.rust.id().to_string() }));
    assert_eq!(two.python.hear("Answer").await["answer"], "Requested");
    let channel = timeout(LONG, two.rust.ask(two.python_id.parse().unwrap())).await.unwrap().unwrap();
    let smaller = two.rust.id().to_string() < two.python_id;
    assert_eq!(channel.role(), if smaller { Role::Connector } else { Role::Acceptor });
    assert_eq!(two.python.hear("Opened").await["role"], u8::from(smaller));
    two.secured(&channel).await;
    let fate = timeout(LONG, channel.close()).await.unwrap().unwrap();
    assert_eq!(fate, Fate::default());
    assert_eq!(closed(&mut two.python).await["why"], "Finished");
}

/// Letters go both ways in batches. Within each, at a random letter, one of the two links is cut; when the two have found each
/// other again, the next batch follows.
#[tokio::test(flavor = "multi_thread")]
async fn cuts_at_random_moments_lose_nothing() {
    if is_left_out() {
        return;
    }
    const BATCH: usize = 40;
    const CUTS: usize = 8;
    const LETTERS: usize = BATCH * (CUTS + 1);
    let mut random = StdRng::seed_from_u64(2);
    let (_relay, at) = relay(&[]);
    let proxy = Proxy::start(at).unwrap();
    // The keys of the Python side change every few records.
    let arguments = ["--generation-records", "30"];
    let mut two = Two::start(proxy.address(), &format!("ws://{at}"), [KEY; 2], &arguments).await;
    let channel = two.asking().await;
    two.secured(&channel).await;
    let letters = |random: &mut StdRng| {
        (0..).take(LETTERS).map(|number| Letter::random(number, 8000, random)).collect()
    };
    let (to_python, to_rust): (Vec<Letter>, Vec<Letter>) = (letters(&mut random), letters(&mut random));
    let moments: Vec<usize> = (0..CUTS).map(|batch| batch * BATCH + random.random_range(0..BATCH)).collect();
    let (more, mut batches) = unbounded_channel();
    let (mut interrupted, mut kept) = (0, 0);

    let at_python = async {
        let mut batch = to_rust.chunks(BATCH);
        let mut send_batch = |python: &mut Program| {
            batch.next().unwrap().iter().for_each(|letter| send(python, letter));
            more.send(()).unwrap();
        };
        send_batch(&mut two.python);
        let (mut arrived, mut cuts) = (0, 0);
        loop {
            let event = two.python.event().await;
            match event["event"].as_str().unwrap() {
                "Packet" => {
                    assert!(event["packet"] == to_python[arrived].json(), "letter {arrived} has changed");
                    if moments.get(cuts) == Some(&arrived) {
                        cuts += 1;
                        if cuts % 3 == 0 { proxy.cut(0) } else { two.python.tell("cut", &json!({})) }
                    }
                    arrived += 1;
                    // Not before: whoever hears that the other has finished sends nothing more, either.
                    if arrived == LETTERS {
                        two.python.tell("finish", &json!({ "channel": CHANNEL }));
                    }
                }
                "Interrupted" => interrupted += 1,
                "Resumed" => send_batch(&mut two.python),
                "Online" => kept += usize::from(event["kept"] == true),
                "Closed" => break assert!(arrived == LETTERS && event["why"] == "Finished", "{event}"),
                _ => {}
            }
        }
    };
    let at_rust = async {
        for letter in &to_rust {
            assert_eq!(channel.receive::<Letter>().await.unwrap().as_ref(), Some(letter));
        }
    };
    let sending = async {
        for batch in to_python.chunks(BATCH) {
            batches.recv().await.unwrap();
            for letter in batch {
                channel.send(letter).await.unwrap();
            }
        }
    };
    timeout(LONG, async { tokio::join!(at_python, at_rust, sending) }).await.unwrap();
    // Two of three cuts are of the Python side's own link.
    assert_eq!((interrupted, kept), (CUTS, CUTS - CUTS / 3));
    let delivered = u64::try_from(LETTERS).unwrap();
    assert_eq!(ended(&channel).await, (End::Finished, Fate { delivered, uncertain: 0, unsent: 0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_to_both_and_mended() {
    if is_left_out() {
        return;
    }
    let (_relay, at) = relay(&[]);
    let mut two = Two::start(at, &format!("ws://{at}"), [KEY, "another passphrase"], &[]).await;
    let channel = two.asking().await;
    let verdict = timeout(LONG, channel.secured()).await.unwrap();
    assert!(matches!(verdict, Err(ChannelError::KeysDiffer { .. })), "{verdict:?}");
    two.python.hear("KeysDiffer").await;
    two.python.tell("key", &json!({ "text": KEY }));
    while timeout(LONG, channel.next_state()).await.unwrap() != Some(ChannelState::Secured) {}
    two.secured(&channel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_altered_on_its_way_ends_the_channel_for_both() {
    if is_left_out() {
        return;
    }
    let (_relay, at) = relay(&[]);
    for towards in ["client", "relay"] {
        let mut meddler = Program::start(&["-m", "second.meddler", &format!("ws://{at}")]);
        let url = meddler.hear("Listening").await["url"].as_str().unwrap().to_owned();
        let mut two = Two::start(at, &url, [KEY; 2], &[]).await;
        let channel = two.asked().await;
        two.secured(&channel).await;
        meddler.tell("alter", &json!({ "towards": towards }));
        meddler.hear("Armed").await;
        let letter = Letter::random(1, 100, &mut StdRng::seed_from_u64(3));
        if towards == "client" {
            channel.send(&letter).await.unwrap();
            assert_eq!(closed(&mut two.python).await["why"], "Tampered");
            assert_eq!(ended(&channel).await.0, End::Aborted { code: 1 });
        } else {
            send(&mut two.python, &letter);
            assert_eq!(ended(&channel).await.0, End::Tampered { seq: 0 });
            let end = closed(&mut two.python).await;
            assert_eq!((&end["why"], &end["code"]), (&json!("Aborted"), &json!(1)), "{end}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_may_refuse() {
    if is_left_out() {
        return;
    }
    let (_relay, at) = relay(&[]);
    let mut two = Two::at(at).await;
    two.python.tell("connect", &json!({ "peer": two.rust.id().to_string() }));
    timeout(LONG, two.rust.next_request()).await.unwrap().unwrap().decline();
    assert_eq!(two.python.hear("Answer").await["answer"], "Requested");
    assert_eq!(two.python.hear("Answer").await["answer"], "Declined");
    let refused = async {
        let request = two.python.hear("Incoming").await["request"].clone();
        two.python.tell("cancel", &json!({ "request": request }));
    };
    let (answer, ()) = tokio::join!(two.rust.ask(two.python_id.parse().unwrap()), refused);
    assert_eq!(answer.unwrap_err(), AskError::Answer(Answer::Declined));
}
