//! `phantom chat`: lines to the other side and back.
//!
//! Lines that came go to standard output; what becomes of them, to standard error. The end of input ends the chat when everything
//! said has been heard.

use std::convert::Infallible;

use console::Term;
use phantom_core::packet::{self, Packet};
use phantom_tokio::{Channel, ChannelError, End, PeerId, Receiver, Sender};

use crate::arguments::ChatArguments;
use crate::fault::Fault;
use crate::input::Lines;
use crate::interrupt::Interrupt;
use crate::meet::{self, Place};
use crate::transfer::name::shown;
use crate::transfer::watch;
use crate::ui;

/// What somebody typed.
#[derive(Debug, PartialEq, Eq, Packet)]
#[packet(id = 16)]
struct Line {
    text: String,
}

pub(crate) async fn run(arguments: &ChatArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let mut input = None;
    match &arguments.invitation {
        None => {
            let place = Place::of_host(&arguments.invite)?;
            place
                .visit(interrupt, async |client| {
                    let channel = place.wait_for_guest(client, "chat").await?;
                    talk(channel, Lines::start()).await
                })
                .await
        }
        Some(invitation) => {
            let invitation = meet::read_invitation(invitation, &mut input, interrupt).await?;
            Place::of_guest(&invitation)
                .visit(interrupt, async |client| {
                    let channel = meet::go_to_host(client, invitation.id).await?;
                    talk(channel, input.unwrap_or_else(Lines::start)).await
                })
                .await
        }
    }
}

/// Talks until either side has had enough.
async fn talk(channel: Channel, lines: Lines) -> Result<(), Fault> {
    let peer = channel.opponent();
    ui::note(format_args!("You talk with {peer}. Ctrl-D ends it."));
    let (sender, receiver) = channel.split();
    tokio::select! {
        result = listen(&receiver, peer) => result,
        never = speak(sender, lines) => match never {},
        never = watch(async || receiver.next_state().await, |line| ui::note(line)) => match never {},
    }
}

/// Prints what comes, until nothing more comes.
async fn listen(receiver: &Receiver, peer: PeerId) -> Result<(), Fault> {
    loop {
        match receiver.receive_bytes().await {
            Ok(Some(bytes)) => match packet::decode(&bytes) {
                Ok(Line { text }) if Term::stdout().is_term() => {
                    ui::say(format_args!("{peer}: {}", shown(&text)));
                }
                Ok(Line { text }) => ui::say(shown(&text)),
                Err(_) => {
                    return Err(Fault::peer(
                        "the other side does not chat; is it phantom chat that runs there?",
                    ));
                }
            },
            Ok(None) => {
                ui::note("The chat is over: somebody left, and everything said has arrived.");
                return Ok(());
            }
            Err(ChannelError::Ended { end: End::Aborted { code: 0 }, .. }) => {
                return Err(Fault::peer("the other side left"));
            }
            Err(ChannelError::Ended { end, .. }) => return Err(meet::ended(end)),
            Err(error) => return Err(Fault::peer(error.to_string())),
        }
    }
}

/// Sends what is typed and says when it has been heard; at the end of input, ends the channel in good order. The one who listens
/// sees that end.
async fn speak(sender: Sender, mut lines: Lines) -> Infallible {
    let (mut said, mut heard) = (0, 0);
    loop {
        tokio::select! {
            line = lines.next() => {
                let Some(text) = line else { break };
                match sender.send(&Line { text }).await {
                    Ok(number) => said = number,
                    Err(_) => std::future::pending().await,
                }
            }
            Ok(()) = sender.delivered(heard + 1), if heard < said => heard = confirm(&sender, heard, said).await,
        }
    }
    if heard < said && sender.delivered(said).await.is_ok() {
        confirm(&sender, heard, said).await;
    }
    let _told_by_the_listener = sender.close().await;
    std::future::pending().await
}

/// Says how many more lines the other side has, and returns how many it has in all; at least one more.
async fn confirm(sender: &Sender, before: u64, said: u64) -> u64 {
    let mut heard = before + 1;
    while heard < said {
        tokio::select! {
            biased;
            Ok(()) = sender.delivered(heard + 1) => heard += 1,
            () = std::future::ready(()) => break,
        }
    }
    match heard - before {
        1 => ui::note("✓ delivered"),
        lines => ui::note(format_args!("✓ {lines} lines delivered")),
    }
    heard
}
