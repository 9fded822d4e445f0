//! `phantom pipe`: what comes in here goes out there, and the other way round.
//!
//! Each direction ends by itself: the end of input ends one of them, and the other goes on. Standard output carries the other
//! side's bytes and nothing else; everything that is said goes to standard error.
//!
//! ```text
//! Hello { version }    the first packet in each direction
//! Data { bytes }       the next bytes
//! Finish               the end of input
//! ```

use std::io::{self, Write};

use bytes::Bytes;
use phantom_core::packet::{self, Packet};
use phantom_tokio::{Channel, Receiver, Sender};
use tokio::task::spawn_blocking;

use crate::arguments::PipeArguments;
use crate::fault::Fault;
use crate::input::{Chunks, ReadError};
use crate::interrupt::Interrupt;
use crate::meet;
use crate::message::Message;
use crate::ui;

const VERSION: u32 = 1;

#[derive(Debug, PartialEq, Eq, Packet)]
#[packet(id = 64)]
struct Hello {
    version: u32,
}

#[derive(Debug, PartialEq, Eq, Packet)]
#[packet(id = 65)]
struct Data {
    bytes: Bytes,
}

#[derive(Debug, PartialEq, Eq, Packet)]
#[packet(id = 66)]
struct Finish;

pub(crate) async fn run(arguments: &PipeArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    ui::output_is_data();
    let (invitation, invite) = (arguments.invitation.as_deref(), &arguments.invite);
    meet::meet(invitation, invite, "pipe", interrupt, async |channel| carry(channel, Chunks::start()).await)
        .await
}

/// Carries both ways until both directions have ended.
async fn carry(channel: Channel, input: Chunks) -> Result<(), Fault> {
    let channel = meet::greet(channel, &Hello { version: VERSION }, |hello| match hello {
        Some(Hello { version: VERSION }) => Ok(()),
        _ => Err(Fault::peer(Message::OtherProgram { program: "phantom pipe" })),
    });
    let (sender, receiver) = channel.await?.split();
    let watching = meet::watch(async || receiver.next_state().await, ui::note);
    let carried = async {
        tokio::try_join!(send(&sender, input), receive(&receiver))?;
        // Everything of the other side is written; now it learns that, and this side that it has everything, too.
        let drain = async { while let Ok(Some(_)) = receiver.receive_bytes().await {} };
        tokio::join!(sender.close(), drain).0.map(drop).map_err(meet::over)
    };
    tokio::select! {
        carried = carried => carried,
        never = watching => match never {},
    }
}

async fn send(sender: &Sender, mut input: Chunks) -> Result<(), Fault> {
    // If the channel is over, whoever receives knows why.
    let said = async {
        while let Some(bytes) = input.next().await.map_err(Some)? {
            sender.send(&Data { bytes }).await.map_err(|_| None)?;
        }
        sender.send(&Finish).await.map_err(|_| None)?;
        Ok(())
    };
    match said.await {
        Ok(()) => Ok(()),
        Err(None) => std::future::pending().await,
        Err(Some(ReadError(error))) => Err(Fault::file(Message::InputUnread { error: &error })),
    }
}

async fn receive(receiver: &Receiver) -> Result<(), Fault> {
    loop {
        let packet = receiver.receive_bytes().await.map_err(meet::over)?;
        let packet = packet.ok_or_else(|| Fault::peer(Message::PeerLeft))?;
        match packet::id(&packet) {
            Ok(Finish::ID) => {
                ui::end_output().map_err(|error| Fault::file(Message::OutputUnwritten { error: &error }))?;
                return Ok(());
            }
            Ok(Data::ID) => {
                let Data { bytes } =
                    packet::decode(&packet).map_err(|_| Fault::peer(Message::Misunderstood))?;
                write(bytes)
                    .await
                    .map_err(|error| Fault::file(Message::OutputUnwritten { error: &error }))?;
            }
            _ => return Err(Fault::peer(Message::Misunderstood)),
        }
    }
}

/// Whoever reads standard output may take its time, and nothing else waits for it meanwhile.
async fn write(bytes: Bytes) -> io::Result<()> {
    let written = spawn_blocking(move || {
        let mut output = io::stdout().lock();
        output.write_all(&bytes)?;
        output.flush()
    });
    written.await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

#[cfg(test)]
mod tests {
    use phantom_core::packet::encode;

    use super::*;

    /// Byte for byte: who changes these has made another protocol.
    #[test]
    fn the_bytes_of_every_packet() {
        let hello = encode(&Hello { version: VERSION }).unwrap();
        let data = encode(&Data { bytes: Bytes::from_static(b"abc") }).unwrap();
        let finish = encode(&Finish).unwrap();
        assert_eq!([&hello[..], &data[..], &finish[..]].map(ui::hex), ["a002", "a046616263", "a080"]);
    }
}
