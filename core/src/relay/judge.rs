//! What becomes of a CONNECT: the first rule that fits counts.
//!
//! 1. What the source knows by itself is answered exactly, and costs nothing: its own ID, its channels, its requests.
//! 2. Whoever is asked for, and asks for who asked, has decided: no limit stands between two who want each other.
//! 3. What a connection or a source may ask is counted before anything is looked up.
//! 4. Then the pair of the source and the ID, whether somebody has that ID or not.
//! 5. Then the target. Within its budget a source is told the truth about it at once. Beyond, nothing is told: see
//!    [`blind`](super::blind).
//!
//! Rules 1, 3 and 4 do not depend on who is here. So beyond the budget nothing that a source is told does, but consent.

use super::Relay;
use super::budget::Admission;
use super::conn::RequestKey;
use crate::id::{ConnId, PeerId};
use crate::time::Instant;
use crate::wire::Answer;

pub(super) enum Judgement {
    /// It is over already.
    Say(Answer),
    /// The target waits for the source.
    Crossing { with: RequestKey, target: ConnId },
    /// It waits for the target's decision.
    Ask { target: ConnId, blind: bool },
    /// It waits for nobody, and `paired` is whether it counts as the request of its pair.
    Shadow { paired: bool },
}

impl Relay {
    pub(super) fn judge_connect(&mut self, now: Instant, from: ConnId, target: PeerId) -> Judgement {
        if let Some(judgement) = self.judge_by_source(from, target) {
            return judgement;
        }
        match self.admit(now, from) {
            Admission::Throttled => Judgement::Say(Answer::Throttled),
            Admission::Exact => self.judge_exactly(now, from, target),
            Admission::Uniform => self.judge_blindly(now, from, target),
        }
    }

    /// What needs no budget.
    fn judge_by_source(&self, from: ConnId, target_id: PeerId) -> Option<Judgement> {
        use Judgement::Say;
        let source = self.peer(from)?;
        if source.id == target_id {
            return Some(Say(Answer::OwnId));
        }
        let target = self.ids.holder(target_id);
        if source.channels.is_full() || target.is_some_and(|conn| source.channels.with(conn).is_some()) {
            return Some(Say(Answer::SourceAlreadyConnected));
        }
        let waits = self.find_asked(from, target_id).is_some();
        if waits || source.asked.len() >= self.limits.requests_out_max {
            return Some(Say(Answer::RequestOpen));
        }
        let target = target.filter(|&conn| self.peer(conn).is_some_and(|peer| !peer.channels.is_full()))?;
        let with = self.find_asked(target, source.id)?;
        Some(Judgement::Crossing { with, target })
    }

    /// Counts a CONNECT at its connection and at its source.
    fn admit(&mut self, now: Instant, from: ConnId) -> Admission {
        let rate = self.limits.connect_rate;
        let Some(conn) = self.conns.get_mut(from.0) else { return Admission::Throttled };
        let group = conn.source;
        let Some(source) = conn.peer_mut().filter(|peer| peer.connects.has(now, rate)) else {
            return Admission::Throttled;
        };
        let admission = self.budgets.admit(now, group, &self.limits);
        if admission != Admission::Throttled {
            source.connects.take(now, rate);
        }
        admission
    }

    fn judge_exactly(&mut self, now: Instant, from: ConnId, target_id: PeerId) -> Judgement {
        if !self.may_call(now, from, target_id) {
            return Judgement::Say(Answer::Throttled);
        }
        let Some(target) = self.ids.holder(target_id) else {
            if let Some(conn) = self.conns.get(from.0) {
                self.budgets.told(now, conn.source, &self.limits);
            }
            return Judgement::Say(Answer::TargetNotFound);
        };
        if self.peer(target).is_none_or(|peer| peer.channels.is_full()) {
            return Judgement::Say(Answer::TargetAlreadyConnected);
        }
        if self.may_prompt(now, target) {
            Judgement::Ask { target, blind: false }
        } else {
            Judgement::Shadow { paired: true }
        }
    }

    fn judge_blindly(&mut self, now: Instant, from: ConnId, target_id: PeerId) -> Judgement {
        if !self.may_call(now, from, target_id) {
            return Judgement::Shadow { paired: false };
        }
        let free = |conn: &ConnId| self.peer(*conn).is_some_and(|peer| !peer.channels.is_full());
        match self.ids.holder(target_id).filter(free) {
            Some(target) if self.may_prompt(now, target) => Judgement::Ask { target, blind: true },
            _ => Judgement::Shadow { paired: true },
        }
    }

    /// Counts a request of this source for this ID.
    fn may_call(&mut self, now: Instant, from: ConnId, target: PeerId) -> bool {
        let source = self.conns.get(from.0).map(|conn| conn.source);
        source.is_some_and(|source| self.budgets.may_call(now, source, target, &self.limits))
    }

    /// Whether the target can be shown one more request.
    fn may_prompt(&self, now: Instant, target: ConnId) -> bool {
        self.peer(target).is_some_and(|peer| {
            peer.asking.len() < self.limits.requests_in_max && peer.prompts.has(now, self.limits.prompt_rate)
        })
    }

    /// The request of this client for this ID.
    fn find_asked(&self, source: ConnId, target: PeerId) -> Option<RequestKey> {
        let asked = &self.peer(source)?.asked;
        asked.iter().copied().find(|&key| self.requests.get(key).is_some_and(|r| r.target == target))
    }
}
