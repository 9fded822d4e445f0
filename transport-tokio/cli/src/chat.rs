//! `phantom chat`: lines to the other side and back.
//!
//! Lines that came go to standard output; what becomes of them, to standard error. The end of input ends the chat when everything
//! said has been heard.

use std::convert::Infallible;

use console::Term;
use phantom_core::packet::{self, Packet};
use phantom_tokio::{Channel, ChannelError, End, PeerId, Receiver, Sender};

use crate::arguments::ChatArguments;
use crate::event::Event;
use crate::explain;
use crate::fault::Fault;
use crate::input::Lines;
use crate::interrupt::Interrupt;
use crate::meet;
use crate::message::Message;
use crate::transfer::name::shown;
use crate::ui;

/// What somebody typed.
#[derive(Debug, PartialEq, Eq, Packet)]
#[packet(id = 16)]
struct Line {
    text: String,
}

pub(crate) async fn run(arguments: &ChatArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let (invitation, invite) = (arguments.invitation.as_deref(), &arguments.invite);
    meet::meet(invitation, invite, "chat", interrupt, async |channel| talk(channel, Lines::start()).await)
        .await
}

/// Talks until either side has had enough.
async fn talk(channel: Channel, lines: Lines) -> Result<(), Fault> {
    let peer = channel.opponent();
    ui::note(Message::Talking { peer });
    let (sender, receiver) = channel.split();
    let result = tokio::select! {
        result = listen(&receiver, peer) => result,
        never = speak(sender, lines) => match never {},
        never = meet::watch(async || receiver.next_state().await, ui::note) => match never {},
    };
    // Nobody types any more, so that this comes last.
    if result.is_ok() {
        ui::note(Message::ChatOver);
    }
    result
}

/// Prints what comes, until nothing more comes.
async fn listen(receiver: &Receiver, peer: PeerId) -> Result<(), Fault> {
    loop {
        match receiver.receive_bytes().await {
            Ok(Some(bytes)) => match packet::decode(&bytes) {
                Ok(Line { text }) if ui::is_json() => ui::event(&Event::Line { text: &text }),
                // What was pasted as several lines stays so; nothing else of the text can drive the terminal.
                Ok(Line { text }) => text.split('\n').map(shown).for_each(|line| {
                    if Term::stdout().is_term() {
                        ui::say(format_args!("{peer}: {line}"));
                    } else {
                        ui::say(line);
                    }
                }),
                Err(_) => {
                    return Err(Fault::peer(Message::OtherProgram { program: "phantom chat" }));
                }
            },
            Ok(None) => {
                return Ok(());
            }
            Err(ChannelError::Ended { end: End::Aborted { code: 0 }, .. }) => {
                return Err(Fault::peer(Message::PeerLeft));
            }
            Err(ChannelError::Ended { end, .. }) => return Err(meet::ended(end)),
            Err(error) => return Err(Fault::peer(explain::channel(error))),
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
    ui::event(&Event::Delivered { lines: heard - before });
    match heard - before {
        1 => ui::note(Message::Delivered),
        lines => ui::note(Message::LinesDelivered { lines }),
    }
    heard
}
