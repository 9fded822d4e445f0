//! `phantom demo`: a relay, two clients, a greeting and a file, all in this program and all over real sockets.

mod message;

use std::fmt::Display;
use std::path::PathBuf;

use phantom_core::packet::Packet;
use phantom_mio::RelayServer;
use phantom_tokio::{Channel, ChannelError, Client, EncryptionKey};

use crate::arguments::DemoArguments;
use crate::explain;
use crate::fault::{Fault, Status};
use crate::interrupt::Interrupt;
use crate::message::Message as General;
use crate::progress::{Progress, Task};
use crate::transfer::{self, Decision, Offered, Source, Target};
use crate::ui;
use message::Said;

const GREETING: &str = "Приветик!!!";
const KEY: &str = "ABCDE12345";
const OTHER_KEY: &str = "ABCDE12346";

/// What the two say to each other.
#[derive(Packet)]
#[packet(id = 1)]
struct Message {
    text: String,
}

/// One of the two sides.
struct Side {
    name: Said<'static>,
    client: Client,
}

pub(crate) async fn run(arguments: &DemoArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    tokio::select! {
        result = show(arguments) => result,
        fault = interrupt.wait() => Err(fault),
    }
}

async fn show(arguments: &DemoArguments) -> Result<(), Fault> {
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => this_program()?,
    };
    let source = Source::open(&[file], None)?;

    let relay = RelayServer::bind("127.0.0.1:0").map_err(|error| Fault::relay(error.to_string()))?;
    let relay =
        relay.spawn().map_err(|error| Fault::new(Status::Other, General::NoThreads { error: &error }))?;
    tell(Said::Relay, relay.url());

    let ann = Side::join(Said::Ann, &relay.url(), KEY).await?;
    let bob = Side::join(Said::Bob, &relay.url(), if arguments.wrong_key { OTHER_KEY } else { KEY }).await?;
    let (at_ann, at_bob) = open(&ann, &bob).await?;
    let result = if arguments.wrong_key {
        refuse(&at_ann, &at_bob).await
    } else {
        greet(&at_ann, &at_bob).await?;
        pass(at_ann, at_bob, source).await
    };
    bob.client.leave().await;
    ann.client.leave().await;
    result
}

impl Side {
    async fn join(name: Said<'static>, relay: &str, key: &str) -> Result<Self, Fault> {
        let key = EncryptionKey::parse(key).map_err(|error| Fault::usage(explain::key(error)))?;
        let client = Client::builder().relay(relay).key(key).connect().await;
        let client = client.map_err(|error| Fault::relay(explain::relay(&error)))?;
        tell(name, Said::HasId { id: client.id() });
        Ok(Self { name, client })
    }
}

/// Bob asks, Ann accepts. Each says the greeting at once: it waits until the channel is secured.
async fn open(ann: &Side, bob: &Side) -> Result<(Channel, Channel), Fault> {
    let unreached = |error: phantom_tokio::AskError| Fault::peer(explain::request(error));
    let accept = async {
        let request = ann.client.next_request().await.ok_or_else(|| Fault::relay(General::RelayGone))?;
        tell(ann.name, Said::SeesAndAccepts { guest: request.from() });
        request.accept().await.map_err(unreached)
    };
    let ask = async {
        tell(bob.name, Said::Asks { host: ann.client.id() });
        bob.client.ask(ann.client.id()).await.map_err(unreached)
    };
    let (at_ann, at_bob) = tokio::try_join!(accept, ask)?;
    for channel in [&at_ann, &at_bob] {
        let sent = channel.send(&Message { text: GREETING.to_owned() }).await;
        sent.map_err(|error| Fault::peer(error.to_string()))?;
    }
    Ok((at_ann, at_bob))
}

/// The same key: both are secured, and both get the greeting.
async fn greet(at_ann: &Channel, at_bob: &Channel) -> Result<(), Fault> {
    for (name, channel) in [(Said::Ann, at_ann), (Said::Bob, at_bob)] {
        channel.secured().await.map_err(|error| Fault::keys(explain::channel(error)))?;
        tell(name, Said::Secured);
    }
    for (name, channel) in [(Said::Ann, at_ann), (Said::Bob, at_bob)] {
        match channel.receive().await {
            Ok(Some(Message { text })) => tell(name, Said::Received { text: &text }),
            Ok(None) => return Err(Fault::peer(Said::NoGreeting)),
            Err(error) => return Err(Fault::peer(error.to_string())),
        }
    }
    Ok(())
}

/// Different keys: both are told, and neither gets anything.
async fn refuse(at_ann: &Channel, at_bob: &Channel) -> Result<(), Fault> {
    for (name, channel) in [(Said::Ann, at_ann), (Said::Bob, at_bob)] {
        match channel.secured().await {
            Err(ChannelError::KeysDiffer { .. }) => tell(name, Said::Differ),
            Err(error) => return Err(Fault::peer(error.to_string())),
            Ok(()) => {
                return Err(Fault::new(Status::Other, Said::SecuredWithTwo));
            }
        }
    }
    tokio::select! {
        biased;
        Ok(Some(_)) = at_ann.receive_bytes() => leaked(),
        Ok(Some(_)) = at_bob.receive_bytes() => leaked(),
        () = std::future::ready(()) => Err(Fault::keys(Said::DifferAsShown)),
    }
}

fn leaked() -> Result<(), Fault> {
    Err(Fault::new(Status::Other, Said::Leaked))
}

/// Ann sends a file, Bob receives it. It is not kept.
async fn pass(at_ann: Channel, at_bob: Channel, source: Source) -> Result<(), Fault> {
    let folder = tempfile::tempdir().map_err(|error| Fault::file(Said::NoFolder { error: &error }))?;
    let target = Target::new(Some(&folder.path().join("received")), false)?;
    tell(Said::Ann, Said::Sends { name: &source.name(), size: &ui::size(source.size()) });
    let task = Task { size: Some(source.size()), files: source.files() };
    let (sent, arrival) = tokio::try_join!(
        transfer::send(at_ann, source, || Progress::new(task)),
        transfer::receive(at_bob, &target, async |_: &Offered| Ok(Decision::Take), Progress::hidden),
    )?;
    tell(Said::Bob, Said::HasIt { figures: &sent.figures });
    tell(Said::Ann, format_args!("BLAKE3 {}", ui::hex(&sent.hash)));
    tell(Said::Bob, format_args!("BLAKE3 {}", ui::hex(&arrival.hash)));
    if sent.hash != arrival.hash {
        return Err(Fault::new(Status::Other, Said::SumsDiffer));
    }
    Ok(())
}

fn this_program() -> Result<PathBuf, Fault> {
    std::env::current_exe().map_err(|error| Fault::file(Said::NotFound { error: &error }))
}

fn tell(who: Said<'_>, what: impl Display) {
    ui::say(format_args!("{:<6}{what}", who.to_string()));
}
