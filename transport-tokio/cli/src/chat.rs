//! `phantom chat`: lines to the other side and back.
//!
//! Lines that came go to standard output; what becomes of them, to standard error. The end of input ends the chat when everything
//! said has been heard. Who invited outlasts a guest that goes without a word: the invitation still holds, and lines that are typed
//! meanwhile wait for whoever comes back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;

use console::Term;
use phantom_core::packet::{self, Packet};
use phantom_tokio::{Channel, ChannelError, Client, End, PeerId, Receiver, Sender};

use crate::arguments::ChatArguments;
use crate::event::Event;
use crate::explain;
use crate::fault::Fault;
use crate::input::Lines;
use crate::interrupt::Interrupt;
use crate::meet::{self, Place};
use crate::message::Message;
use crate::prompt;
use crate::transfer::name::shown;
use crate::ui;

/// What the other side is to run.
const COMMAND: &str = "chat";

/// What somebody typed.
#[derive(Debug, PartialEq, Eq, Packet)]
#[packet(id = 16)]
struct Line {
    text: String,
}

/// What is typed here, and what of it nobody was there to be told.
struct Said {
    lines: Lines,
    unsent: VecDeque<String>,
    /// Nothing more will be typed.
    over: bool,
}

/// Why a talk is over without having ended in good order.
enum Parting {
    /// The other side has gone, and may come back.
    Gone(Fault),
    Failed(Fault),
}

pub(crate) async fn run(arguments: &ChatArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    match arguments.invitation.as_deref() {
        None => {
            let place = Place::of_host(&arguments.invite)?;
            place.visit(interrupt, async |client| host(&place, client).await).await
        }
        Some(text) => {
            let invitation = prompt::read_invitation(Some(text), interrupt).await?;
            let place = Place::of_guest(&invitation, &arguments.invite.connect)?;
            let visit = async |client: &Client| {
                let channel = meet::go_to_host(client, invitation.id).await?;
                let talked = talk(channel, &mut Said::start()).await;
                talked.map_err(|(Parting::Gone(fault) | Parting::Failed(fault))| fault)
            };
            place.visit(interrupt, visit).await
        }
    }
}

/// Talks with one guest after the other, until one says goodbye or nothing more is typed.
async fn host(place: &Place, client: &Client) -> Result<(), Fault> {
    let mut channel = place.wait_for_guest(client, COMMAND).await?;
    let mut said = Said::start();
    loop {
        let (peer, id) = (channel.opponent(), client.id());
        match talk(channel, &mut said).await {
            Ok(()) => return Ok(()),
            Err(Parting::Failed(fault)) => return Err(fault),
            Err(Parting::Gone(fault)) if said.over => return Err(fault),
            Err(Parting::Gone(_)) => {
                ui::event(&Event::Left { from: peer });
                ui::note(Message::PeerAway { peer });
            }
        }
        let mut back = pin!(place.wait(client, COMMAND, id));
        channel = loop {
            tokio::select! {
                channel = &mut back => break channel?,
                line = said.lines.next() => match line {
                    Some(text) => {
                        said.unsent.push_back(text);
                        ui::note(Message::SaidLater);
                    }
                    None => return said.end(),
                },
            }
        };
    }
}

impl Said {
    fn start() -> Self {
        Self { lines: Lines::start(), unsent: VecDeque::new(), over: false }
    }

    /// The next line to be sent; nothing at the end. Cancel-safe.
    async fn next(&mut self) -> Option<String> {
        if let Some(text) = self.unsent.pop_front() {
            return Some(text);
        }
        let line = self.lines.next().await;
        self.over = line.is_none();
        line
    }

    /// Nobody is there, and nothing more is typed.
    fn end(&self) -> Result<(), Fault> {
        match self.unsent.len() {
            0 => Ok(()),
            lines => Err(Fault::peer(Message::NeverHeard { lines })),
        }
    }
}

/// Talks until either side has had enough.
async fn talk(channel: Channel, said: &mut Said) -> Result<(), Parting> {
    let peer = channel.opponent();
    ui::note(Message::Talking { peer });
    let (sender, receiver) = channel.split();
    let mut account = Account { said: 0, heard: 0 };
    let result = tokio::select! {
        result = listen(&receiver, peer) => result,
        never = speak(sender, said, &mut account) => match never {},
        never = meet::watch(async || receiver.next_state().await, ui::note) => match never {},
    };
    // Nobody types any more, so that this comes last.
    match &result {
        Ok(()) => ui::note(Message::ChatOver),
        Err(_) if account.said > account.heard => {
            ui::note(Message::Undelivered { lines: account.said - account.heard });
        }
        Err(_) => {}
    }
    result
}

/// Prints what comes, until nothing more comes.
async fn listen(receiver: &Receiver, peer: PeerId) -> Result<(), Parting> {
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
                    let fault = Fault::peer(Message::OtherProgram { program: "phantom chat" });
                    return Err(Parting::Failed(fault));
                }
            },
            Ok(None) => return Ok(()),
            Err(ChannelError::Ended { end: End::Aborted { code: 0 }, .. }) => {
                return Err(Parting::Gone(Fault::peer(Message::PeerLeft)));
            }
            Err(ChannelError::Ended { end: end @ End::Truncated, .. }) => {
                return Err(Parting::Gone(meet::ended(end)));
            }
            Err(ChannelError::Ended { end, .. }) => return Err(Parting::Failed(meet::ended(end))),
            Err(error) => return Err(Parting::Failed(Fault::peer(explain::channel(error)))),
        }
    }
}

/// How many lines this side has said, and the other one has.
struct Account {
    said: u64,
    heard: u64,
}

/// Sends what is typed and says when it has been heard; at the end of input, ends the channel in good order. The one who listens
/// sees that end.
async fn speak(sender: Sender, said: &mut Said, account: &mut Account) -> Infallible {
    loop {
        tokio::select! {
            line = said.next() => {
                let Some(text) = line else { break };
                // It stays until it is sent, for another to hear if this one has gone.
                said.unsent.push_front(text.clone());
                match sender.send(&Line { text }).await {
                    Ok(number) => account.said = number,
                    Err(_) => std::future::pending().await,
                }
                said.unsent.pop_front();
            }
            Ok(()) = sender.delivered(account.heard + 1), if account.heard < account.said => confirm(&sender, account).await,
        }
    }
    if account.heard < account.said && sender.delivered(account.said).await.is_ok() {
        confirm(&sender, account).await;
    }
    let _told_by_the_listener = sender.close().await;
    std::future::pending().await
}

/// Says how many more lines the other side has; at least one more.
async fn confirm(sender: &Sender, account: &mut Account) {
    let before = account.heard;
    account.heard += 1;
    while account.heard < account.said {
        tokio::select! {
            biased;
            Ok(()) = sender.delivered(account.heard + 1) => account.heard += 1,
            () = std::future::ready(()) => break,
        }
    }
    let lines = account.heard - before;
    ui::event(&Event::Delivered { lines });
    match lines {
        1 => ui::note(Message::Delivered),
        lines => ui::note(Message::LinesDelivered { lines }),
    }
}
