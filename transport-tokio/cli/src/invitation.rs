//! An invitation: everything the other side needs, in one string.
//!
//! ```text
//! phantom://host[:7777][/path]/ID#KEY       over ws://
//! phantoms://host[:443][/path]/ID#KEY       over wss://
//! ```
//!
//! The key is in the fragment, which no program sends anywhere on its own account. A generated key stands there as it is read
//! aloud; in a passphrase, everything but unreserved characters is percent-encoded, so that the whole is one word for every shell
//! and every chat program. Who has an invitation has the key: it is shown to its owner and never logged.

use std::fmt;
use std::str::FromStr;

use phantom_core::crypto::{EncryptionKey, KeyError};
use phantom_core::id::PeerId;
use zeroize::Zeroizing;

use crate::address::{Address, AddressError, PORT, is_unreserved};
use crate::explain;
use crate::message::Message;
use crate::words;

const SCHEME: &str = "phantom";
const SCHEME_TLS: &str = "phantoms";
const PORT_TLS: u16 = 443;

/// Who to ask, where, and with which key.
pub(crate) struct Invitation {
    pub(crate) relay: Address,
    pub(crate) id: PeerId,
    pub(crate) key: EncryptionKey,
}

impl Invitation {
    /// The string. It is as secret as the key.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let scheme = if self.relay.tls { SCHEME_TLS } else { SCHEME };
        let relay = self.relay.rest(self.relay.tls.then_some(PORT_TLS));
        let key = percent_encode(&self.key.to_text());
        Zeroizing::new(format!("{scheme}://{relay}/{}#{}", self.id, *key))
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(InvitationError::NotOne)?;
        let (tls, port) = match scheme {
            _ if scheme.eq_ignore_ascii_case(SCHEME) => (false, PORT),
            _ if scheme.eq_ignore_ascii_case(SCHEME_TLS) => (true, PORT_TLS),
            _ => return Err(InvitationError::Scheme),
        };
        let (rest, key) = match rest.split_once('#') {
            Some((rest, key)) => (rest, Some(key)),
            None => (rest, None),
        };
        let (relay, id) = Address::split_last_segment(rest).ok_or(InvitationError::Id)?;
        let relay = Address::parse_rest(tls, relay, port).map_err(InvitationError::Relay)?;
        let id = id.parse().map_err(|_| InvitationError::Id)?;
        let key = percent_decode(key.ok_or(InvitationError::NoKey)?).ok_or(InvitationError::Encoding)?;
        words::read_copied(&key).map_err(|_| InvitationError::Words)?;
        let key = EncryptionKey::parse(&key).map_err(InvitationError::Key)?;
        Ok(Self { relay, id, key })
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invitation")
    }
}

fn percent_encode(text: &str) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

/// What was encoded, if each percent sign is followed by two digits and the whole is UTF-8.
fn percent_decode(text: &str) -> Option<Zeroizing<String>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            out.push((digit()? << 4 | digit()?) as u8);
        } else {
            out.push(byte);
        }
    }
    Some(Zeroizing::new(std::str::from_utf8(&out).ok()?.to_owned()))
}

/// Why a text is no invitation. Nothing of the text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvitationError {
    NotOne,
    Scheme,
    Relay(AddressError),
    Id,
    NoKey,
    Encoding,
    Words,
    Key(KeyError),
}

impl fmt::Display for InvitationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOne => Message::NotAnInvitation.fmt(f),
            Self::Scheme => Message::InvitationScheme.fmt(f),
            Self::Relay(error) => Message::InvitationRelay { error }.fmt(f),
            Self::Id => Message::InvitationId.fmt(f),
            Self::NoKey => Message::InvitationNoKey.fmt(f),
            Self::Encoding => Message::InvitationDamaged.fmt(f),
            Self::Words | Self::Key(KeyError::Typo) => Message::InvitationTypo.fmt(f),
            Self::Key(error) => Message::InvitationKey { error: &explain::key(*error) }.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
