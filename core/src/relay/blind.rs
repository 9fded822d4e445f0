//! Blind requests: the source learns nothing but consent.
//!
//! A scanner asks for one ID after the other and hears who is here. So beyond a small budget the answers stop telling. Such a
//! request is answered `Requested` at once and `Unavailable` when its time is over, at the very moment at which it would have
//! expired, whether the ID is nobody's, or its holder is busy, does not look, declines, or leaves. Only an acceptance looks different,
//! and a crossing, which is one. What the source does itself is answered at once, the same way for all: it may withdraw, and asking
//! again while it waits is `RequestOpen`.
//!
//! A blind request may have a prompt, which its target sees and decides as ever. It loses that prompt when the target declines or
//! leaves; the request itself goes on, and holds its places, until its time is over. One that never had a prompt is a *shadow*: of an
//! ID that nobody has, of a target that is busy, or that has been shown enough. The latter befalls exact requests too, so that nobody
//! is disturbed beyond the limits.
//!
//! This holds by construction: what the source is told is said from the request alone, which is the same with a prompt and without.

use super::Relay;
use super::conn::RequestKey;
use super::pairing::Prompt;
use crate::id::ConnId;
use crate::wire::Answer;

impl Relay {
    /// The target will not have the request: an open one is over, a blind one goes on without its prompt.
    pub(super) fn refuse(&mut self, key: RequestKey, answer: Answer) {
        if self.requests.get(key).is_some_and(|request| request.blind) {
            self.drop_prompt(key);
        } else if let Some(request) = self.take_request(key) {
            self.answer(request.source, request.number, answer);
        }
    }

    /// Takes a request from its target, if it had been shown to one.
    pub(super) fn drop_prompt(&mut self, key: RequestKey) -> Option<Prompt> {
        let prompt = self.requests.get_mut(key)?.prompt.take()?;
        if let Some(target) = self.peer_mut(prompt.target) {
            target.asking.retain(|&k| k != key);
        }
        Some(prompt)
    }

    /// The request that `target` knows by this number.
    pub(super) fn find_prompt(&self, target: ConnId, number: u32) -> Option<RequestKey> {
        let shown = |key| self.requests.get(key).and_then(|request| request.prompt.as_ref());
        let asking = &self.peer(target)?.asking;
        asking.iter().copied().find(|&key| shown(key).is_some_and(|prompt| prompt.number == number))
    }
}
