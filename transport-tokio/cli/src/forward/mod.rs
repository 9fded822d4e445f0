//! `phantom forward`: a TCP port on one side leads to a TCP port on the other.
//!
//! Many connections go over one channel, each with a flow control of its own. The side that has the target names it, to its own
//! program alone: the other side can reach that target and nothing else.

mod connection;
mod packets;
mod streams;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use phantom_tokio::{Channel, Receiver};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::arguments::ForwardArguments;
use crate::event::Event;
use crate::fault::{Fault, Status};
use crate::interrupt::Interrupt;
use crate::meet;
use crate::message::Message;
use crate::ui;
use packets::{Hello, STREAMS_MAX, Side, VERSION};
use streams::Streams;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What this side does.
enum Way {
    Listen(TcpListener),
    Connect(Arc<str>),
}

pub(crate) async fn run(arguments: &ForwardArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let way = Way::of(arguments).await?;
    let other = way.other_command(arguments);
    let (invitation, invite) = (arguments.invitation.as_deref(), &arguments.invite);
    meet::meet(invitation, invite, &other, interrupt, async |channel| forward(channel, way).await).await
}

impl Way {
    async fn of(arguments: &ForwardArguments) -> Result<Self, Fault> {
        match (&arguments.listen, &arguments.to) {
            (_, Some(target)) => Ok(Self::Connect(target.to_string().into())),
            (Some(address), None) => {
                let listener = TcpListener::bind(address.to_string()).await;
                let listener = listener
                    .map_err(|error| Fault::usage(Message::NotListening { address, error: &error }))?;
                Ok(Self::Listen(listener))
            }
            (None, None) => Err(Fault::usage(Message::ListenOrTo)),
        }
    }

    /// What the other side is to run, without the invitation.
    fn other_command(&self, arguments: &ForwardArguments) -> String {
        match (self, &arguments.to) {
            (Self::Listen(_), _) | (_, None) => "forward --to HOST:PORT".to_owned(),
            (Self::Connect(_), Some(target)) => {
                // Ports below 1024 are the system's on most machines: 22 becomes 2222, 80 becomes 8080 in people's minds, too.
                let port = match target.port {
                    22 => 2222,
                    80 => 8080,
                    port if port < 1024 => port + 10_000,
                    port => port,
                };
                format!("forward --listen {port}")
            }
        }
    }

    fn side(&self) -> Side {
        match self {
            Self::Listen(_) => Side::Listens,
            Self::Connect(_) => Side::Connects,
        }
    }
}

/// Forwards until the other side leaves.
async fn forward(channel: Channel, way: Way) -> Result<(), Fault> {
    let hello = Hello { version: VERSION, side: way.side() };
    let channel = meet::greet(channel, &hello, |heard| match heard {
        Some(Hello { version: VERSION, side }) if side != hello.side => Ok(()),
        Some(Hello { version: VERSION, .. }) => Err(Fault::usage(Message::SameSide)),
        _ => Err(Fault::peer(Message::OtherProgram { program: "phantom forward" })),
    });
    let channel = channel.await?;
    match &way {
        Way::Listen(listener) => {
            let address =
                listener.local_addr().map_err(|error| Fault::new(Status::Other, error.to_string()))?;
            ui::event(&Event::Listening { address });
            ui::say(Message::Listening { address });
        }
        Way::Connect(target) => ui::note(Message::LeadsTo { target }),
    }
    let (sender, receiver) = channel.split();
    let streams = Streams::new(hello.side, sender);
    let (accepted, accepts) = mpsc::channel(1);
    tokio::select! {
        result = serve(&receiver, &streams, &way, accepts) => result,
        never = accept(&way, accepted) => match never {},
        never = meet::watch(async || receiver.next_state().await, ui::note) => match never {},
    }
}

/// Starts what is to be started, and hands on what comes. What it started ends with it.
async fn serve(
    receiver: &Receiver,
    streams: &Arc<Streams>,
    way: &Way,
    mut accepts: mpsc::Receiver<TcpStream>,
) -> Result<(), Fault> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            packet = receiver.receive_bytes() => {
                let packet = packet.map_err(meet::over)?.ok_or_else(|| Fault::peer(Message::PeerLeft))?;
                let opened = streams.handle(&packet).map_err(|_| Fault::peer(Message::Misunderstood))?;
                if let (Some(stream), Way::Connect(target)) = (opened, way) {
                    let target = Arc::clone(target);
                    connections.spawn(async move { connection::connect(&target, stream).await });
                }
            }
            Some(tcp) = accepts.recv(), if connections.len() < STREAMS_MAX => {
                let streams = Arc::clone(streams);
                connections.spawn(async move {
                    if let Ok(stream) = streams.open().await {
                        connection::carry(tcp, stream).await;
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Accepts connections, if this side does.
async fn accept(way: &Way, accepted: mpsc::Sender<TcpStream>) -> Infallible {
    while let Way::Listen(listener) = way {
        match listener.accept().await {
            Ok((tcp, _)) => {
                if accepted.send(tcp).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                ui::note(Message::NotAccepted { error: &error });
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    std::future::pending().await
}
