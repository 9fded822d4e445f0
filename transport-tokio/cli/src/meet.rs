//! How two sides find each other: one invites and waits, the other has the invitation and asks.
//!
//! Whoever asks is accepted, for only the key tells who it is; who has another key is sent away, and the waiting goes on. Nothing is
//! done over a channel that is not secured.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use phantom_core::packet::{self, Packet};
use phantom_tokio::{
    Answer, AskError, Channel, ChannelError, ChannelState, Client, ClientBuilder, EncryptionKey, End, Event,
    PeerId,
};
use tokio::time::timeout;

use crate::address::{Address, AddressError};
use crate::arguments::{ConnectArguments, InviteArguments};
use crate::config::Config;
use crate::connect;
use crate::embedded::{self, Embedded};
use crate::event::Event as Told;
use crate::explain;
use crate::fault::{Fault, Status};
use crate::interrupt::Interrupt;
use crate::invitation::Invitation;
use crate::message::Message;
use crate::prompt;
use crate::share;
use crate::ui;
use crate::words;

/// How long somebody who was accepted may take to show the right key. Meanwhile others find this side busy.
const SECURE_MAX: Duration = Duration::from_secs(30);
/// How long saying goodbye may take.
pub(crate) const GOODBYE_MAX: Duration = Duration::from_secs(5);

/// The name of a relay inside this program.
const HERE: &str = "here";

/// Where and with what to meet.
pub(crate) struct Place {
    relay: Address,
    builder: ClientBuilder,
    /// Where the other side finds it; at least one.
    there: Vec<Address>,
    embedded: Option<Embedded>,
    /// To be made at random, if it is not given.
    key: Option<EncryptionKey>,
    qr: bool,
    copy: bool,
}

impl Place {
    /// The place of one who invites: the relay that was named, or is in the settings, or runs on this machine; else one of our own.
    ///
    /// # Errors
    /// The relay's address or the key is none.
    pub(crate) fn of_host(arguments: &InviteArguments) -> Result<Self, Fault> {
        let key = key(arguments)?;
        let named = match arguments.relay.as_deref() {
            Some(HERE) => None,
            Some(relay) => Some(
                relay
                    .parse()
                    .map_err(|error: AddressError| Fault::usage(Message::RelayUnusable { error: &error }))?,
            ),
            None => Config::load()?.relay,
        };
        let found = || if arguments.relay.is_none() { found() } else { None };
        let (relay, embedded) = match named.or_else(found) {
            Some(relay) => (relay, None),
            None => {
                let embedded = Embedded::start()?;
                (embedded.here(), Some(embedded))
            }
        };
        let there = embedded.as_ref().map_or_else(|| vec![relay.clone()], Embedded::there);
        if embedded.is_some() {
            ui::note(Message::RelayHere { relay: &there[0] });
        }
        let mut builder = connect::builder(&relay, &arguments.connect)?;
        if embedded.is_some() {
            // No proxy leads into this program.
            builder = builder.no_proxy("*");
        }
        Ok(Self { relay, builder, there, embedded, key, qr: arguments.qr, copy: arguments.copy })
    }

    /// The place an invitation leads to.
    ///
    /// # Errors
    /// A file with a certificate cannot be read.
    pub(crate) fn of_guest(invitation: &Invitation, arguments: &ConnectArguments) -> Result<Self, Fault> {
        let relay = invitation.relay.clone();
        let key = Some(invitation.key.clone());
        let builder = connect::builder(&relay, arguments)?;
        Ok(Self { there: vec![relay.clone()], relay, builder, embedded: None, key, qr: false, copy: false })
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
        let mut builder = self.builder.clone();
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
        if let Some(embedded) = &self.embedded {
            tokio::select! {
                _in_time_or_not = timeout(GOODBYE_MAX, embedded.everybody_left()) => {}
                _impatient = interrupt.wait() => {}
            }
        }
        result
    }

    fn unreached(&self, error: &phantom_tokio::Error) -> Fault {
        let (relay, error) = (self.relay.to_string(), explain::relay(error));
        Fault::relay(Message::RelayUnreached { relay: &relay, error: &error })
    }

    /// Prints the invitation and waits until somebody with the right key is there.
    ///
    /// # Errors
    /// The relay is gone for good, or somebody seems to be guessing the key.
    pub(crate) async fn wait_for_guest(&self, client: &Client, command: &str) -> Result<Channel, Fault> {
        let id = client.id();
        self.invite(client, command).await?;
        self.wait(client, command, id).await
    }

    /// Waits until somebody with the right key is there again. The invitation is the same, unless the relay has given another ID
    /// since `id`.
    ///
    /// # Errors
    /// As [`wait_for_guest`](Self::wait_for_guest).
    pub(crate) async fn wait(
        &self,
        client: &Client,
        command: &str,
        mut id: PeerId,
    ) -> Result<Channel, Fault> {
        let mut online = true;
        loop {
            let request = tokio::select! {
                request = client.next_request() => request.ok_or_else(relay_gone)?,
                event = client.next_event() => {
                    match event.ok_or_else(relay_gone)? {
                        Event::Offline { redial_in: None, .. } => return Err(relay_gone()),
                        Event::Offline { .. } if online => {
                            online = false;
                            ui::event(&Told::Offline);
                            ui::note(Message::RelayInterrupted);
                        }
                        Event::Online { id: now, .. } => {
                            if !std::mem::replace(&mut online, true) {
                                ui::event(&Told::Online);
                                ui::note(Message::RelayBack);
                            }
                            if std::mem::replace(&mut id, now) != now {
                                ui::note(Message::InvitationVoid);
                                self.invite(client, command).await?;
                            }
                        }
                        _ => {}
                    }
                    continue;
                }
            };
            let guest = request.from();
            ui::event(&Told::Request { from: guest });
            ui::note(Message::Asks { guest });
            let secured = async {
                let channel = request.accept().await.map_err(Refused::Gone)?;
                secure(&channel).await.map_err(Refused::Channel)?;
                Ok(channel)
            };
            // A channel that is given up is dropped, which ends it.
            match timeout(SECURE_MAX, secured).await {
                Ok(Ok(channel)) => {
                    ui::event(&Told::Secured);
                    ui::note(Message::Secured);
                    return Ok(channel);
                }
                Ok(Err(Refused::Channel(ChannelError::KeysDiffer { .. }))) => {
                    ui::event(&Told::Refused { from: guest });
                    ui::note(Message::OtherKey { guest });
                }
                Ok(Err(Refused::Channel(error @ ChannelError::Locked { .. }))) => {
                    return Err(Fault::keys(explain::channel(error)));
                }
                Ok(Err(Refused::Channel(error))) => {
                    ui::note(Message::NotIn { guest, error: &explain::channel(error) });
                }
                Ok(Err(Refused::Gone(error))) => {
                    ui::note(Message::NotIn { guest, error: &explain::request(error) });
                }
                Err(_elapsed) => {
                    ui::note(Message::NoKeyInTime { guest });
                }
            }
        }
    }

    async fn invite(&self, client: &Client, command: &str) -> Result<(), Fault> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => client.encryption_key().await.map_err(|_| relay_gone())?,
        };
        let texts: Vec<_> = self
            .there
            .iter()
            .map(|relay| Invitation { relay: relay.clone(), id: client.id(), key: key.clone() }.to_text())
            .collect();
        let (text, others) = texts.split_first().expect("a relay is somewhere");
        if ui::is_json() {
            let relay = self.there[0].to_string();
            ui::event(&Told::Invitation { invitation: text, relay: &relay, id: client.id(), command });
            return Ok(());
        }
        ui::note(Message::InvitationIs);
        ui::say(&**text);
        if self.qr {
            share::show_qr(text);
        }
        if self.copy {
            share::copy(text);
        }
        ui::note(Message::RunThere);
        ui::command(format_args!("phantom {command} \"{}\"", **text));
        if !others.is_empty() {
            ui::note(Message::OrThere);
        }
        for text in others {
            ui::command(format_args!("phantom {command} \"{}\"", **text));
        }
        ui::note(Message::Waiting);
        Ok(())
    }
}

/// The relay that is named, in an argument or in the settings, or runs on this machine.
///
/// # Errors
/// There is none, or its address is not one.
pub(crate) fn relay_of(url: Option<&str>) -> Result<Address, Fault> {
    match url {
        Some(url) => {
            url.parse().map_err(|error: AddressError| Fault::usage(Message::RelayUnusable { error: &error }))
        }
        None => match Config::load()?.relay.or_else(found) {
            Some(relay) => Ok(relay),
            None => Err(Fault::usage(Message::NameRelay)),
        },
    }
}

/// A relay that runs on this machine.
fn found() -> Option<Address> {
    let relay = embedded::find()?;
    ui::note(Message::RelayFound { relay: &relay });
    Some(relay)
}

/// The key that was given, or is to be of words.
fn key(arguments: &InviteArguments) -> Result<Option<EncryptionKey>, Fault> {
    let unusable = |error: &dyn Display| Fault::usage(Message::KeyUnusable { error });
    let text = match (&arguments.key, arguments.words) {
        (_, Some(words)) => {
            ui::note(Message::WordsBits { words, bits: u32::from(words) * 10 });
            words::draw(words)
                .map_err(|error| Fault::new(Status::Other, Message::NoEntropy { error: &error }))?
        }
        (Some(text), None) => {
            words::read_copied(text).map_err(|error| unusable(&error))?;
            text.clone()
        }
        (None, None) => return Ok(None),
    };
    EncryptionKey::parse(&text).map(Some).map_err(|error| unusable(&explain::key(error)))
}

/// Asks the one who invited, and waits until the channel is secured.
///
/// # Errors
/// There is nobody, or somebody who declines or has another key.
pub(crate) async fn go_to_host(client: &Client, host: PeerId) -> Result<Channel, Fault> {
    ui::event(&Told::Asking { id: host });
    ui::note(Message::Asking { host });
    let channel = client.ask(host).await.map_err(|error| match error {
        AskError::Answer(Answer::TargetNotFound) => Fault::peer(Message::Nobody { host }),
        AskError::Answer(Answer::VersionUnsupported) => Fault::relay(explain::request(error)),
        _ => Fault::peer(Message::Unreached { host, error: &explain::request(error) }),
    })?;
    secure(&channel).await.map_err(|error| match error {
        ChannelError::KeysDiffer { .. } => Fault::keys(Message::KeysDiffer),
        ChannelError::Ended { end, .. } => ended(end),
        error => Fault::keys(explain::channel(error)),
    })?;
    ui::event(&Told::Secured);
    ui::note(Message::Secured);
    Ok(channel)
}

/// Waits until both have shown the same key. To wait in silence is no reason to give up.
async fn secure(channel: &Channel) -> Result<(), ChannelError> {
    loop {
        match channel.secured().await {
            Err(ChannelError::PeerSilent) => {}
            other => return other,
        }
    }
}

/// Meets the other side, as the one who invites or as the one who has the invitation, and does `work` over the channel.
/// `other` is what the other side is to run, without the invitation.
///
/// # Errors
/// The two did not meet, a signal came, or `work` failed.
pub(crate) async fn meet(
    invitation: Option<&str>,
    invite: &InviteArguments,
    other: &str,
    interrupt: &mut Interrupt,
    work: impl AsyncFnOnce(Channel) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match invitation {
        None => {
            let place = Place::of_host(invite)?;
            place
                .visit(interrupt, async |client| work(place.wait_for_guest(client, other).await?).await)
                .await
        }
        Some(text) => {
            let invitation = prompt::read_invitation(Some(text), interrupt).await?;
            Place::of_guest(&invitation, &invite.connect)?
                .visit(interrupt, async |client| work(go_to_host(client, invitation.id).await?).await)
                .await
        }
    }
}

/// Says the first word and hears the other side's. `judge` decides whether the two go together. If they do not, the other side hears
/// this side's word all the same, before the channel ends.
///
/// # Errors
/// `judge` says what is wrong, or the other side is gone.
pub(crate) async fn greet<P: Packet>(
    channel: Channel,
    hello: &P,
    judge: impl FnOnce(Option<P>) -> Result<(), Fault>,
) -> Result<Channel, Fault> {
    // If the channel is over, what is heard says so.
    let _told_below = channel.send(hello).await;
    match channel.receive_bytes().await {
        Ok(Some(word)) => match judge(packet::decode(&word).ok()) {
            Ok(()) => Ok(channel),
            Err(fault) => {
                let _in_time_or_not = timeout(GOODBYE_MAX, channel.close()).await;
                Err(fault)
            }
        },
        Ok(None) => Err(Fault::peer(Message::PeerLeft)),
        Err(error) => Err(over(error)),
    }
}

/// Why nothing comes over a channel any more.
pub(crate) fn over(error: ChannelError) -> Fault {
    match error {
        ChannelError::Ended { end, .. } => ended(end),
        error => Fault::peer(explain::channel(error)),
    }
}

/// Says when the way to the other side is cut and when it is there again.
pub(crate) async fn watch(
    next: impl AsyncFn() -> Option<ChannelState>,
    note: impl Fn(Message<'static>),
) -> Infallible {
    while let Some(state) = next().await {
        match state {
            ChannelState::Interrupted { .. } => {
                ui::event(&Told::Interrupted);
                note(Message::Interrupted);
            }
            ChannelState::Resumed => {
                ui::event(&Told::Resumed);
                note(Message::Resumed);
            }
            _ => {}
        }
    }
    std::future::pending().await
}

/// Why nothing more can be said over a channel.
pub(crate) fn ended(end: End) -> Fault {
    match end {
        End::Finished => Fault::peer(Message::ClosedEarly),
        End::Aborted { code: 0 } => Fault::peer(Message::PeerStopped),
        End::Truncated => Fault::peer(Message::PeerLost),
        End::Left(_) => Fault::peer(Message::PeerLeftUnsecured),
        end => Fault::peer(explain::end(end)),
    }
}

fn relay_gone() -> Fault {
    Fault::relay(Message::RelayGone)
}

/// Why a guest did not get in.
enum Refused {
    Gone(AskError),
    Channel(ChannelError),
}
