//! How two sides find each other: one invites and waits, the other has the invitation and asks.
//!
//! Whoever asks is accepted, for only the key tells who it is; who has another key is sent away, and the waiting goes on. Nothing is
//! done over a channel that is not secured.

use std::time::Duration;

use phantom_tokio::{
    Answer, AskError, Channel, ChannelError, ChannelState, Client, EncryptionKey, End, Event, PeerId,
};
use tokio::time::timeout;

use crate::address::{Address, PORT};
use crate::arguments::InviteArguments;
use crate::fault::Fault;
use crate::input::Lines;
use crate::interrupt::Interrupt;
use crate::invitation::Invitation;
use crate::ui;

/// How long somebody who was accepted may take to show the right key. Meanwhile others find this side busy.
const SECURE_MAX: Duration = Duration::from_secs(30);
/// How long saying goodbye may take.
pub(crate) const GOODBYE_MAX: Duration = Duration::from_secs(5);

/// Where and with what to meet.
pub(crate) struct Place {
    relay: Address,
    /// Nobody chose this relay.
    is_default: bool,
    /// To be made at random, if it is not given.
    key: Option<EncryptionKey>,
}

impl Place {
    /// The place of one who invites.
    ///
    /// # Errors
    /// The relay's address or the key is none.
    pub(crate) fn of_host(arguments: &InviteArguments) -> Result<Self, Fault> {
        let key = arguments.key.as_ref().map(|text| EncryptionKey::parse(text)).transpose();
        let key = key.map_err(|error| Fault::usage(format!("the key cannot be used: {error}")))?;
        let default = format!("ws://127.0.0.1:{PORT}");
        let relay = arguments.relay.as_ref().unwrap_or(&default).parse();
        let relay = relay.map_err(|error| Fault::usage(format!("the relay cannot be used: {error}")))?;
        Ok(Self { relay, is_default: arguments.relay.is_none(), key })
    }

    /// The place an invitation leads to.
    pub(crate) fn of_guest(invitation: &Invitation) -> Self {
        Self { relay: invitation.relay.clone(), is_default: false, key: Some(invitation.key.clone()) }
    }

    /// Joins the relay, does `work`, and leaves the relay, whatever has come of it: the other side learns at once that this one is
    /// gone.
    ///
    /// # Errors
    /// The relay was not reached, a signal came, or `work` failed.
    pub(crate) async fn visit<T>(
        &self,
        interrupt: &mut Interrupt,
        work: impl AsyncFnOnce(&Client) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut builder = Client::builder().relay(self.relay.to_string());
        if let Some(key) = &self.key {
            builder = builder.key(key.clone());
        }
        let client = tokio::select! {
            connected = builder.connect() => connected.map_err(|error| self.unreached(&error))?,
            fault = interrupt.wait() => return Err(fault),
        };
        let result = tokio::select! {
            result = work(&client) => result,
            fault = interrupt.wait() => Err(fault),
        };
        tokio::select! {
            _in_time_or_not = timeout(GOODBYE_MAX, client.leave()) => {}
            _impatient = interrupt.wait() => {}
        }
        result
    }

    fn unreached(&self, error: &phantom_tokio::Error) -> Fault {
        let mut sentence = format!("the relay {} was not reached: {error}", self.relay);
        if self.is_default {
            sentence += "\n\nWithout --relay, three terminals are needed:\n  phantom relay\n  phantom send FILE\n  phantom receive INVITATION";
        }
        Fault::relay(sentence)
    }

    /// Prints the invitation and waits until somebody with the right key is there.
    ///
    /// # Errors
    /// The relay is gone for good, or somebody seems to be guessing the key.
    pub(crate) async fn wait_for_guest(&self, client: &Client, command: &str) -> Result<Channel, Fault> {
        let mut id = client.id();
        self.invite(client, command).await?;
        let mut online = true;
        loop {
            let request = tokio::select! {
                request = client.next_request() => request.ok_or_else(relay_gone)?,
                event = client.next_event() => {
                    match event.ok_or_else(relay_gone)? {
                        Event::Offline { redial_in: None, .. } => return Err(relay_gone()),
                        Event::Offline { .. } if online => {
                            online = false;
                            ui::note("The connection to the relay is interrupted; trying again.");
                        }
                        Event::Online { id: now, .. } => {
                            if !std::mem::replace(&mut online, true) {
                                ui::note("The relay is there again.");
                            }
                            if std::mem::replace(&mut id, now) != now {
                                ui::note("The old invitation is void; this is the new one.");
                                self.invite(client, command).await?;
                            }
                        }
                        _ => {}
                    }
                    continue;
                }
            };
            let guest = request.from();
            ui::note(format_args!("{guest} asks to connect; accepted."));
            let secured = async {
                let channel = request.accept().await.map_err(Refused::Gone)?;
                secure(&channel).await.map_err(Refused::Channel)?;
                Ok(channel)
            };
            // A channel that is given up is dropped, which ends it.
            match timeout(SECURE_MAX, secured).await {
                Ok(Ok(channel)) => {
                    ui::note("Secured: the other side has the same key.");
                    return Ok(channel);
                }
                Ok(Err(Refused::Channel(ChannelError::KeysDiffer { .. }))) => {
                    ui::note(format_args!("{guest} has another key and was sent away. Still waiting."));
                }
                Ok(Err(Refused::Channel(error @ ChannelError::Locked { .. }))) => {
                    return Err(Fault::keys(error.to_string()));
                }
                Ok(Err(Refused::Channel(error))) => {
                    ui::note(format_args!("{guest} did not get in: {error}. Still waiting."));
                }
                Ok(Err(Refused::Gone(error))) => {
                    ui::note(format_args!("{guest} did not get in: {error}. Still waiting."));
                }
                Err(_elapsed) => {
                    ui::note(format_args!("{guest} showed no key in time and was sent away. Still waiting."));
                }
            }
        }
    }

    async fn invite(&self, client: &Client, command: &str) -> Result<(), Fault> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => client.encryption_key().await.map_err(|_| relay_gone())?,
        };
        let invitation = Invitation { relay: self.relay.clone(), id: client.id(), key };
        let text = invitation.to_text();
        ui::note("Your invitation:");
        ui::say(&*text);
        ui::note("On the other side, run:");
        ui::command(format_args!("phantom {command} \"{}\"", *text));
        ui::note("Waiting for the other side. Ctrl-C ends it.");
        Ok(())
    }
}

/// Asks the one who invited, and waits until the channel is secured.
///
/// # Errors
/// There is nobody, or somebody who declines or has another key.
pub(crate) async fn go_to_host(client: &Client, host: PeerId) -> Result<Channel, Fault> {
    ui::note(format_args!("Asking {host} to connect."));
    let channel = client.ask(host).await.map_err(|error| match error {
        AskError::Answer(Answer::TargetNotFound) => Fault::peer(format!(
            "nobody with the ID {host} is at the relay; ask the other side whether it still waits, or for a new invitation"
        )),
        AskError::Answer(Answer::VersionUnsupported) => Fault::relay(error.to_string()),
        _ => Fault::peer(format!("{host} was not reached: {error}")),
    })?;
    secure(&channel).await.map_err(|error| match error {
        ChannelError::KeysDiffer { .. } => Fault::keys(
            "the keys differ: the key in the invitation is not the one that the other side has; ask for the invitation again",
        ),
        ChannelError::Ended { end, .. } => ended(end),
        error => Fault::keys(error.to_string()),
    })?;
    ui::note("Secured: the other side has the same key.");
    Ok(channel)
}

/// Waits until both have shown the same key. To wait in silence is no reason to give up.
async fn secure(channel: &Channel) -> Result<(), ChannelError> {
    loop {
        match channel.secured().await {
            Err(ChannelError::PeerSilent) => {}
            Err(ended @ ChannelError::Ended { .. }) => return Err(why_ended(channel, ended).await),
            other => return other,
        }
    }
}

/// The other side may end the channel as soon as it knows that the keys differ; then that is what matters.
async fn why_ended(channel: &Channel, ended: ChannelError) -> ChannelError {
    while let Some(state) = channel.next_state().await {
        if let ChannelState::KeysDiffer { guesses_left } = state {
            return ChannelError::KeysDiffer { guesses_left };
        }
    }
    ended
}

/// Reads an invitation from an argument, or from standard input if it is `-`.
///
/// # Errors
/// It is none.
pub(crate) async fn read_invitation(
    argument: &str,
    input: &mut Option<Lines>,
    interrupt: &mut Interrupt,
) -> Result<Invitation, Fault> {
    let line = if argument == "-" {
        let input = input.get_or_insert_with(Lines::start);
        tokio::select! {
            line = input.next() => line.unwrap_or_default(),
            fault = interrupt.wait() => return Err(fault),
        }
    } else {
        argument.to_owned()
    };
    line.parse().map_err(|error: crate::invitation::InvitationError| Fault::usage(error.to_string()))
}

/// Why nothing more can be said over a channel.
pub(crate) fn ended(end: End) -> Fault {
    match end {
        End::Finished => Fault::peer("the other side closed the channel before everything was done"),
        End::Aborted { code: 0 } => Fault::peer("the other side stopped"),
        End::Truncated => Fault::peer(
            "the connection was interrupted and the other side did not come back in time; start again",
        ),
        End::Left(_) => Fault::peer("the other side left before it was known whether the keys are the same"),
        end => Fault::peer(end.to_string()),
    }
}

fn relay_gone() -> Fault {
    Fault::relay("the relay is gone; start again")
}

/// Why a guest did not get in.
enum Refused {
    Gone(AskError),
    Channel(ChannelError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(relay: Option<&str>) -> Place {
        let arguments = InviteArguments { relay: relay.map(str::to_owned), key: None };
        Place::of_host(&arguments).unwrap()
    }

    #[test]
    fn whoever_names_no_relay_is_told_how_to_have_one() {
        let default = place(None).unreached(&phantom_tokio::Error::NoRelay).to_string();
        assert!(
            default.contains("ws://127.0.0.1:7777") && default.contains("\n  phantom relay\n"),
            "{default}"
        );
        let named = place(Some("wss://relay.example")).unreached(&phantom_tokio::Error::NoRelay).to_string();
        assert!(named.contains("wss://relay.example:443") && !named.contains("phantom relay"), "{named}");
    }
}
