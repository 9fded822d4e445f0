//! How an invitation comes from the other side into this program, without a trace in the list of processes or the shell's history.

use std::fmt::Display;

use phantom_tokio::EncryptionKey;

use crate::address::AddressError;
use crate::config::Config;
use crate::fault::Fault;
use crate::interrupt::Interrupt;
use crate::invitation::{Invitation, InvitationError};
use crate::message::Message;
use crate::words::{self, Reading};
use crate::{editor, explain, input, ui};

/// Reads an invitation from an argument; from the first line of standard input, if it is `-` or there is none; from a person, if one
/// sits at standard input.
///
/// # Errors
/// It is none.
pub(crate) async fn read_invitation(
    argument: Option<&str>,
    interrupt: &mut Interrupt,
) -> Result<Invitation, Fault> {
    let invitation = async {
        match argument {
            Some(text) if text != "-" => parse(text),
            _ if editor::is_there() => ask_invitation().await,
            _ => parse(&input::first_line().await),
        }
    };
    tokio::select! {
        invitation = invitation => invitation,
        fault = interrupt.wait() => Err(fault),
    }
}

fn parse(text: &str) -> Result<Invitation, Fault> {
    text.parse().map_err(|error: InvitationError| Fault::usage(error.to_string()))
}

/// Asks for an invitation, or for its parts, as they may have been said over the telephone.
async fn ask_invitation() -> Result<Invitation, Fault> {
    let missing = || Fault::usage(Message::NoInvitation);
    let again = |error: &dyn Display| ui::note(Message::Again { error });
    loop {
        let typed = editor::ask(Message::AskInvitation.into(), false).await.ok_or_else(missing)?;
        let Ok(id) = typed.trim().parse() else {
            match typed.parse() {
                Ok(invitation) => return Ok(invitation),
                Err::<_, InvitationError>(error) => again(&error),
            }
            continue;
        };
        let named = std::env::var("PHANTOM_RELAY").ok().and_then(|relay| relay.parse().ok());
        let mut relay = named.or(Config::load()?.relay);
        while relay.is_none() {
            let typed = editor::ask(Message::AskRelay.into(), false).await.ok_or_else(missing)?;
            relay = typed.trim().parse().map_err(|error: AddressError| again(&error)).ok();
        }
        loop {
            let typed = editor::ask(Message::AskKey.into(), true).await.ok_or_else(missing)?;
            match typed_key(&typed) {
                Ok(key) => {
                    if let Some(relay) = relay {
                        return Ok(Invitation { relay, id, key });
                    }
                }
                Err(error) => again(&error),
            }
        }
    }
}

/// The key that a person typed.
fn typed_key(typed: &str) -> Result<EncryptionKey, String> {
    let words = match words::read_typed(typed).map_err(|error| error.to_string())? {
        Reading::Key(words) => Some(words),
        Reading::Other => None,
    };
    let text = words.as_ref().map_or(typed, |words| words);
    EncryptionKey::parse(text).map_err(explain::key)
}
