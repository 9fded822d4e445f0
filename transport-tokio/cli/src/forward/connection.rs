//! One TCP connection and the stream that continues it on the other side.
//!
//! Each direction ends by itself: the end of one is passed on, and the other goes on. A connection that breaks, breaks at both
//! ends.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::packets::{DATA_MAX, Reason};
use super::streams::{Gone, Incoming, Outgoing, Stream};
use crate::message::Message;
use crate::ui;

/// How long connecting to the target may take.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// Why a connection did not come to its good end.
enum Broken {
    /// It broke here.
    Here,
    /// The channel is over.
    Gone,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Here
    }
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Connects to the target, and carries.
pub(super) async fn connect(target: &str, stream: Stream) {
    let Stream { outgoing, incoming, mut place } = stream;
    let connected = tokio::select! {
        connected = timeout(CONNECT_MAX, TcpStream::connect(target)) => {
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        _ = place.reset() => return,
    };
    match connected {
        Ok(tcp) => carry(tcp, Stream { outgoing, incoming, place }).await,
        Err(error) => {
            ui::note(Message::TargetUnreached { target, error: &error });
            place.break_off(Reason::Unreachable).await;
        }
    }
}

/// Carries bytes both ways until both directions have ended.
pub(super) async fn carry(mut tcp: TcpStream, stream: Stream) {
    let Stream { outgoing, incoming, mut place } = stream;
    // Small writes are what ssh is made of; to wait for more would be felt.
    let _only_slower = tcp.set_nodelay(true);
    let (reader, writer) = tcp.split();
    let carried = tokio::select! {
        // First why it is over, then that it is.
        biased;
        reason = place.reset() => {
            if reason == Reason::Unreachable {
                ui::note(Message::TargetUnreachedThere);
            }
            let _closed_anyway = tcp.set_zero_linger();
            return;
        }
        carried = async { tokio::try_join!(send(reader, outgoing), receive(writer, incoming)) } => carried,
    };
    if let Err(broken) = carried {
        // The program at this end is to see that this is no good end.
        let _closed_anyway = tcp.set_zero_linger();
        drop(tcp);
        if let Broken::Here = broken {
            place.break_off(Reason::Broken).await;
        }
    }
}

async fn send(mut reader: ReadHalf<'_>, mut outgoing: Outgoing) -> Result<(), Broken> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(DATA_MAX);
        if (&mut reader).take(DATA_MAX as u64).read_buf(&mut buffer).await? == 0 {
            return Ok(outgoing.finish().await?);
        }
        outgoing.send(buffer.split().freeze()).await?;
    }
}

async fn receive(mut writer: WriteHalf<'_>, mut incoming: Incoming) -> Result<(), Broken> {
    while let Some(bytes) = incoming.next().await? {
        let count = Bytes::len(&bytes);
        writer.write_all(&bytes).await?;
        incoming.pass(count).await?;
    }
    Ok(writer.shutdown().await?)
}
