//! `phantom doctor`: every step on the way to a relay and through it, in order; the first that fails is named, with what to try.
//!
//! What it does is what every client does, so that a relay it finds well works for everybody here.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use console::style;
use phantom_tokio::{Answer, AskError, Channel, Client, ClientBuilder, EncryptionKey, Error, Step};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::address::Address;
use crate::arguments::DoctorArguments;
use crate::connect;
use crate::event::Event;
use crate::explain;
use crate::fault::Fault;
use crate::interrupt::Interrupt;
use crate::meet;
use crate::message::Message;
use crate::ui;

/// How long a step may take that has no limit of its own.
const STEP_MAX: Duration = Duration::from_secs(15);
/// Packets that are sent through the channel and back, and their length in bytes.
const ECHOES: usize = 20;
const ECHO_BYTES: usize = 1024;

/// A step of the examination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Lookup,
    Tcp,
    /// Instead of lookup and TCP.
    Proxy,
    Tls,
    WebSocket,
    Version,
    Registration,
    RoundTrip,
    Echo,
}

/// Which step failed, why, and what to try.
struct Failure {
    part: Part,
    why: String,
    advice: Message<'static>,
}

pub(crate) async fn run(arguments: &DoctorArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let relay = meet::relay_of(arguments.url.as_deref())?;
    let builder = connect::builder(&relay, &arguments.connect)?;
    let has_proxy = connect::has_proxy(&arguments.connect);
    let examined = tokio::select! {
        examined = examine(&relay, &builder, has_proxy) => examined,
        fault = interrupt.wait() => return Err(fault),
    };
    match examined {
        Ok(()) => {
            ui::say(Message::DoctorWell { relay: &relay });
            Ok(())
        }
        Err(Failure { part, why, advice }) => {
            part.tell(false, &why);
            ui::note(Message::Try { advice: &advice });
            Err(Fault::relay(Message::DoctorIll { step: &part.name() }))
        }
    }
}

async fn examine(relay: &Address, builder: &ClientBuilder, has_proxy: bool) -> Result<(), Failure> {
    // Where a proxy does these two, it does not matter whether this machine could.
    if !has_proxy {
        connect(&lookup(relay).await?).await?;
    }
    let first = join(relay, builder.clone(), Some(has_proxy)).await?;
    let key = draw_key()?;
    round_trip(&first).await?;
    let second = join(relay, builder.clone(), None).await?;
    echo(&first, &second, &key).await?;
    first.leave().await;
    second.leave().await;
    Ok(())
}

async fn lookup(relay: &Address) -> Result<Vec<SocketAddr>, Failure> {
    let began = Instant::now();
    let failed = |why: String| Failure { part: Part::Lookup, why, advice: Message::TryName };
    let found = timeout(STEP_MAX, lookup_host(relay.authority())).await;
    let found = found.map_err(|_| failed(Message::TooLong.into()))?;
    let addresses: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
    let mut known: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    known.dedup();
    if known.is_empty() {
        return Err(failed(Message::NoAddress.into()));
    }
    Part::Lookup.took(known.join(", "), began);
    Ok(addresses)
}

async fn connect(addresses: &[SocketAddr]) -> Result<(), Failure> {
    let mut why = String::new();
    for address in addresses {
        let began = Instant::now();
        match timeout(STEP_MAX, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                Part::Tcp.took(address, began);
                return Ok(());
            }
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: {}", Message::TooLong),
        }
    }
    Err(Failure { part: Part::Tcp, why, advice: Message::TryListen })
}

/// Connects as every client does, and tells the steps if wanted: those with a proxy, or those without.
async fn join(relay: &Address, builder: ClientBuilder, tell: Option<bool>) -> Result<Client, Failure> {
    let began = Instant::now();
    let joined = builder.connect().await;
    let failed = joined.as_ref().err().map(part_of);
    let steps = [Part::Proxy, Part::Tls, Part::WebSocket, Part::Version];
    let is_taken = |part: &Part| match part {
        Part::Proxy => tell == Some(true),
        Part::Tls => relay.tls,
        _ => true,
    };
    for part in steps.into_iter().filter(is_taken) {
        if tell.is_some() && failed.is_none_or(|failed| part < failed) {
            part.tell(true, "");
        }
    }
    match joined {
        Ok(client) => {
            if tell.is_some() {
                Part::Registration.took(client.id(), began);
            }
            Ok(client)
        }
        Err(error) => {
            let part = part_of(&error);
            Err(Failure { part, why: explain::relay(&error), advice: advice(part, relay, &error) })
        }
    }
}

/// The step an error belongs to.
fn part_of(error: &Error) -> Part {
    match error {
        Error::Url { .. } | Error::Lookup { .. } | Error::Timeout { step: Step::Lookup, .. } => Part::Lookup,
        Error::Tcp { .. } | Error::Timeout { step: Step::Tcp, .. } => Part::Tcp,
        Error::ProxyUrl { .. } | Error::Proxy { .. } | Error::Timeout { step: Step::Proxy, .. } => {
            Part::Proxy
        }
        Error::Roots { .. }
        | Error::NotPinned { .. }
        | Error::Certificate { .. }
        | Error::Tls { .. }
        | Error::Timeout { step: Step::Tls, .. } => Part::Tls,
        Error::Token { .. }
        | Error::Unauthorized { .. }
        | Error::Http { .. }
        | Error::NotWebSocket { .. }
        | Error::Timeout { step: Step::WebSocket, .. } => Part::WebSocket,
        Error::NotPhantom { .. } => Part::Version,
        _ => Part::Registration,
    }
}

fn advice(part: Part, relay: &Address, error: &Error) -> Message<'static> {
    match part {
        Part::Proxy => Message::TryProxy,
        Part::WebSocket if matches!(error, Error::Unauthorized { .. }) => Message::TryToken,
        Part::Lookup => Message::TryName,
        Part::Tcp => Message::TryListen,
        Part::Tls => Message::TryCertificate,
        Part::WebSocket if relay.tls => Message::TryPath,
        Part::WebSocket => Message::TryTls,
        Part::Version => Message::TryVersion,
        Part::Registration | Part::RoundTrip | Part::Echo => Message::TryLog,
    }
}

/// Asks for somebody who is not there: the relay's answer comes straight back.
async fn round_trip(client: &Client) -> Result<(), Failure> {
    let failed = |why: String| Failure { part: Part::RoundTrip, why, advice: Message::TryLog };
    let nobody = "000000".parse().map_err(|_| failed(Message::TooLong.into()))?;
    let began = Instant::now();
    match timeout(STEP_MAX, client.ask(nobody)).await {
        // Also somebody who happens to have this ID would answer through the relay.
        Ok(
            Ok(_)
            | Err(AskError::Answer(Answer::TargetNotFound | Answer::TargetAlreadyConnected | Answer::Declined)),
        ) => {
            Part::RoundTrip.took("", began);
            Ok(())
        }
        Ok(Err(error)) => Err(failed(explain::request(error))),
        Err(_) => Err(failed(Message::TooLong.into())),
    }
}

fn draw_key() -> Result<EncryptionKey, Failure> {
    let failed = |why: String| Failure { part: Part::Echo, why, advice: Message::TryLog };
    let words = crate::words::draw(12).map_err(|error| failed(error.to_string()))?;
    EncryptionKey::parse(&words).map_err(|error| failed(error.to_string()))
}

/// Two clients of this program meet through the relay; what one says comes back from the other.
async fn echo(first: &Client, second: &Client, key: &EncryptionKey) -> Result<(), Failure> {
    let failed = |why: String| Failure { part: Part::Echo, why, advice: Message::TryLog };
    let echoed = timeout(STEP_MAX, async {
        let (here, there) = open(first, second, key).await?;
        let mut fastest = Duration::MAX;
        let back = async {
            while let Some(packet) = there.receive_bytes().await.map_err(explain::channel)? {
                there.send_bytes(packet).await.map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        };
        let forth = async {
            for number in 0..ECHOES {
                let packet = vec![number as u8; ECHO_BYTES];
                let began = Instant::now();
                here.send_bytes(packet.clone()).await.map_err(|error| error.to_string())?;
                let came = here.receive_bytes().await.map_err(explain::channel)?;
                if came.as_deref() != Some(&packet[..]) {
                    return Err(Message::EchoDiffers.to_string());
                }
                fastest = fastest.min(began.elapsed());
            }
            Ok(fastest)
        };
        tokio::select! {
            fastest = forth => fastest,
            back = back => back.and(Err(Message::PeerLeft.into())),
        }
    });
    match echoed.await {
        Ok(Ok(fastest)) => {
            let (count, bytes, time) = (ECHOES, ECHO_BYTES, ui::short(fastest));
            Part::Echo.tell(true, &Message::Echoed { count, bytes, time: &time }.to_string());
            Ok(())
        }
        Ok(Err(why)) => Err(failed(why)),
        Err(_) => Err(failed(Message::TooLong.into())),
    }
}

/// A secured channel between two clients of this program.
pub(crate) async fn open(
    first: &Client,
    second: &Client,
    key: &EncryptionKey,
) -> Result<(Channel, Channel), String> {
    for client in [first, second] {
        client.set_encryption_key(key.clone());
    }
    let accept = async {
        let request = second.next_request().await.ok_or_else(|| String::from(Message::RelayGone))?;
        request.accept().await.map_err(explain::request)
    };
    let ask = async { first.ask(second.id()).await.map_err(explain::request) };
    let (here, there) = tokio::try_join!(ask, accept)?;
    tokio::try_join!(here.secured(), there.secured()).map_err(explain::channel)?;
    Ok((here, there))
}

impl Part {
    fn name(self) -> Message<'static> {
        match self {
            Self::Lookup => Message::StepLookup,
            Self::Tcp => Message::StepTcp,
            Self::Proxy => Message::StepProxy,
            Self::Tls => Message::StepTls,
            Self::WebSocket => Message::StepWebSocket,
            Self::Version => Message::StepVersion,
            Self::Registration => Message::StepRegistration,
            Self::RoundTrip => Message::StepRoundTrip,
            Self::Echo => Message::StepEcho,
        }
    }

    /// The name for scripts.
    fn id(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
            Self::Version => "version",
            Self::Registration => "registration",
            Self::RoundTrip => "round-trip",
            Self::Echo => "echo",
        }
    }

    fn took(self, what: impl Display, began: Instant) {
        let (what, time) = (what.to_string(), ui::short(began.elapsed()));
        let text = if what.is_empty() { time } else { format!("{what} ({time})") };
        self.tell(true, &text);
    }

    fn tell(self, ok: bool, text: &str) {
        if ui::is_json() {
            return ui::event(&Event::Step { name: self.id(), ok, text });
        }
        let sign = if ok { style("✓").green() } else { style("✗").red().bold() };
        let gap = if text.is_empty() { "" } else { ": " };
        ui::say(format_args!("{sign} {}{gap}{text}", self.name()));
    }
}
