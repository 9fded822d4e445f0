//! Requests as a client sees them: its own, and those it is asked to decide. The relay's table is in `relay/pairing.rs`.
//!
//! | state | event | becomes | the application hears |
//! | --- | --- | --- | --- |
//! | | `connect` | `Asked` | |
//! | `Asked` | ANSWER `Requested` | `Asked` | `Answer` |
//! | `Asked` | OPENED, approval or crossing | channel | `Answer` (approved), `Opened` |
//! | `Asked` | any other ANSWER | over | `Answer` |
//! | `Asked` | OPENED, crossing, with a prompt of the same peer shown | channel; the prompt is over, too | `Answer` of both, `Opened` |
//! | `Asked` | `withdraw` | `Withdrawing` | |
//! | `Withdrawing` | ANSWER | over | `Answer` |
//! | `Withdrawing` | OPENED | over; the channel is closed at once | `Answer` (withdrawn) |
//! | | INCOMING | `Prompted` | `Incoming` |
//! | `Prompted` | ENDED | over | `Answer` |
//! | `Prompted` | `accept` | `Accepting` | |
//! | `Prompted` | `cancel` | over | |
//! | `Accepting` | OPENED, acceptance | channel | `Answer` (connection done), `Opened` |
//! | `Accepting` | ENDED | over | `Answer` |
//! | any | the link is lost, or the relay is silent beyond the request's lifetime | over | `Answer` |
//!
//! The roles, and whom the channel is with, follow from what this client's own user did and typed, never from the relay's word.

use alloc::collections::BTreeMap;

use super::limits::REQUEST_GRACE;
use crate::crypto::Role;
use crate::id::{PeerId, RequestId};
use crate::time::{Duration, Instant};
use crate::wire::{Answer, OpenedBy};

pub(super) struct Pairing {
    requests: BTreeMap<RequestId, Request>,
    last_id: u32,
    /// The number of the latest CONNECT on this link.
    last_number: u32,
}

struct Request {
    peer: PeerId,
    /// The number on the wire: of the CONNECT for own requests, of the INCOMING for others'.
    number: u32,
    state: RequestState,
    deadline: Instant,
}

#[derive(Clone, Copy)]
enum RequestState {
    Asked { nonce: [u8; 16] },
    Withdrawing,
    Prompted { peer_nonce: [u8; 16] },
    Accepting { peer_nonce: [u8; 16], nonce: [u8; 16] },
}

impl RequestState {
    const fn is_own(self) -> bool {
        matches!(self, Self::Asked { .. } | Self::Withdrawing)
    }
}

/// A channel that this client's user has agreed to, and the other side as well.
pub(super) struct Agreed {
    pub(super) request: RequestId,
    pub(super) peer: PeerId,
    pub(super) role: Role,
    pub(super) nonce_connector: [u8; 16],
    pub(super) nonce_acceptor: [u8; 16],
    /// A request of the same peer that was shown, and is over with this.
    pub(super) prompt: Option<RequestId>,
}

/// What an OPENED leads to.
pub(super) enum Opening {
    Channel(Agreed),
    /// Nobody here wants it any more; the request it came from is over.
    Unwanted(Option<(RequestId, PeerId)>),
}

impl Pairing {
    pub(super) fn new() -> Self {
        Self { requests: BTreeMap::new(), last_id: 0, last_number: 0 }
    }

    /// A new own request: its ID, and its number for CONNECT.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        peer: PeerId,
        nonce: [u8; 16],
        lifetime: Duration,
    ) -> (RequestId, u32) {
        self.last_number += 1;
        let number = self.last_number;
        let id = self.insert(now, peer, number, RequestState::Asked { nonce }, lifetime);
        (id, number)
    }

    /// Somebody else's request. Returns nothing if there are too many, or one of this peer or number waits already.
    pub(super) fn prompt(
        &mut self,
        now: Instant,
        peer: PeerId,
        number: u32,
        peer_nonce: [u8; 16],
        lifetime: Duration,
        max: usize,
    ) -> Option<RequestId> {
        if self.last_id >= PROMPT_ID_MAX {
            return None;
        }
        let others = || self.requests.values().filter(|request| !request.state.is_own());
        if others().count() >= max || others().any(|request| request.number == number || request.peer == peer)
        {
            return None;
        }
        Some(self.insert(now, peer, number, RequestState::Prompted { peer_nonce }, lifetime))
    }

    fn insert(
        &mut self,
        now: Instant,
        peer: PeerId,
        number: u32,
        state: RequestState,
        lifetime: Duration,
    ) -> RequestId {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.requests.insert(id, Request { peer, number, state, deadline: now + lifetime + REQUEST_GRACE });
        id
    }

    /// Accepts a request that was shown: its number for ACCEPT.
    pub(super) fn accept(&mut self, id: RequestId, nonce: [u8; 16]) -> Option<u32> {
        let request = self.requests.get_mut(&id)?;
        let RequestState::Prompted { peer_nonce } = request.state else { return None };
        request.state = RequestState::Accepting { peer_nonce, nonce };
        Some(request.number)
    }

    /// Declines a request that was shown: its number for CANCEL.
    pub(super) fn cancel(&mut self, id: RequestId) -> Option<u32> {
        matches!(self.requests.get(&id)?.state, RequestState::Prompted { .. })
            .then(|| self.requests.remove(&id))
            .flatten()
            .map(|request| request.number)
    }

    /// Takes an own request back: its number for WITHDRAW.
    pub(super) fn withdraw(&mut self, id: RequestId) -> Option<u32> {
        let request = self.requests.get_mut(&id)?;
        let RequestState::Asked { .. } = request.state else { return None };
        request.state = RequestState::Withdrawing;
        Some(request.number)
    }

    /// An ANSWER (`own`) or ENDED: which request it is about, if any. It is over unless the answer is interim.
    pub(super) fn answered(&mut self, own: bool, number: u32, answer: Answer) -> Option<(RequestId, PeerId)> {
        let id = self.find(own, number)?;
        let peer = self.requests.get(&id)?.peer;
        if !answer.is_interim() {
            self.requests.remove(&id);
        }
        Some((id, peer))
    }

    /// An OPENED.
    pub(super) fn opened(
        &mut self,
        own_id: PeerId,
        by: OpenedBy,
        number: u32,
        peer_nonce: [u8; 16],
    ) -> Opening {
        let own = by != OpenedBy::Acceptance;
        let Some(id) = self.find(own, number) else { return Opening::Unwanted(None) };
        let Some(request) = self.requests.remove(&id) else { return Opening::Unwanted(None) };
        let peer = request.peer;
        let crossing = by == OpenedBy::Crossing;
        let mut agreed = |role, nonce_connector, nonce_acceptor| {
            // The other side's own prompt for us, if it was shown, has been answered by our asking.
            let prompt = if crossing { self.take_prompt_of(peer) } else { None };
            Opening::Channel(Agreed { request: id, peer, role, nonce_connector, nonce_acceptor, prompt })
        };
        match (request.state, by) {
            (RequestState::Asked { nonce }, OpenedBy::Approval) => agreed(Role::Connector, nonce, peer_nonce),
            (RequestState::Asked { nonce }, OpenedBy::Crossing) => {
                if own_id < peer {
                    agreed(Role::Connector, nonce, peer_nonce)
                } else {
                    agreed(Role::Acceptor, peer_nonce, nonce)
                }
            }
            (RequestState::Accepting { peer_nonce: shown, nonce }, OpenedBy::Acceptance) => {
                agreed(Role::Acceptor, shown, nonce)
            }
            _ => Opening::Unwanted(Some((id, peer))),
        }
    }

    fn take_prompt_of(&mut self, peer: PeerId) -> Option<RequestId> {
        let of_peer = |request: &Request| !request.state.is_own() && request.peer == peer;
        let id = self.requests.iter().find(|(_, request)| of_peer(request)).map(|(&id, _)| id)?;
        self.requests.remove(&id).map(|_| id)
    }

    /// Whether an own request to this peer waits.
    pub(super) fn asks(&self, peer: PeerId) -> bool {
        self.requests.values().any(|request| request.state.is_own() && request.peer == peer)
    }

    /// The link is lost, and with it every request.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = (RequestId, PeerId)> + use<> {
        self.last_number = 0;
        core::mem::take(&mut self.requests).into_iter().map(|(id, request)| (id, request.peer))
    }

    /// A request whose time is over though the relay has not said so.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<(RequestId, PeerId)> {
        let (&id, request) = self.requests.iter().find(|(_, request)| request.deadline <= now)?;
        let peer = request.peer;
        self.requests.remove(&id);
        Some((id, peer))
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        self.requests.values().map(|request| (request.deadline, "a request expires")).min()
    }

    fn find(&self, own: bool, number: u32) -> Option<RequestId> {
        let matches = |request: &Request| request.number == number && request.state.is_own() == own;
        self.requests.iter().find(|(_, request)| matches(request)).map(|(&id, _)| id)
    }
}

/// Requests beyond this one are not shown: the relay must not use up the numbers of the user's own.
const PROMPT_ID_MAX: u32 = 1 << 31;

#[cfg(test)]
mod tests;
