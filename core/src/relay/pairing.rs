//! Requests: connect, accept, cancel, withdraw, expire, cross, leave.
//!
//! A request belongs to two clients: its *source*, who asked, and its *target*, who is shown this request and decides on this
//! request. What happens to it, and what each side is told:
//!
//! | event | condition | source is told | target is told | then |
//! | --- | --- | --- | --- | --- |
//! | CONNECT | the own ID | `OwnId` | | |
//! | | a channel with the target, or all channels in use | `SourceAlreadyConnected` | | |
//! | | a request to the target, or as many as allowed, waiting | `RequestOpen` | | |
//! | | nobody has the ID | `TargetNotFound` | | |
//! | | all of the target's channels in use | `TargetAlreadyConnected` | | |
//! | | the target itself waits for the source | OPENED, crossing | OPENED, crossing | channel |
//! | | as many prompts at the target as allowed | `Throttled` | | |
//! | | otherwise | `Requested` | INCOMING | waits |
//! | ACCEPT | no such prompt | | `NotConnected` | |
//! | | the source's channels all in use, or one with the target | `SourceAlreadyConnected` | the same | over |
//! | | the target's channels all in use | `TargetAlreadyConnected` | the same | over |
//! | | otherwise | OPENED, approval | OPENED, acceptance | channel |
//! | CANCEL | | `Declined` | | over |
//! | WITHDRAW | | `Withdrawn` | `Withdrawn` | over |
//! | | no such request | `NotConnected` | | |
//! | its time is over | | `Expired` | `Expired` | over |
//! | the source leaves | | | `Left` | over |
//! | the target leaves | | `Left` | | over |
//!
//! CANCEL for a prompt that is over needs no answer: the target has decided, and the source has been told otherwise already.

use super::conn::{Peer, RequestKey};
use super::{Relay, Timer};
use crate::id::{ConnId, PeerId};
use crate::time::Instant;
use crate::wire::{Answer, CloseCode, OpenedBy, RelayFrame};

pub(super) struct Request {
    pub(super) source: ConnId,
    /// The number the source knows it by.
    pub(super) number: u32,
    /// The nonce of its CONNECT.
    nonce: [u8; 16],
    pub(super) target: ConnId,
    /// The number the target knows it by.
    pub(super) prompt: u32,
    pub(super) deadline: Instant,
}

impl Relay {
    pub(super) fn connect(
        &mut self,
        now: Instant,
        from: ConnId,
        number: u32,
        target_id: PeerId,
        nonce: [u8; 16],
    ) {
        let Some(source) = self.peer_mut(from) else { return };
        if number <= source.last_request {
            return self.close(now, from, CloseCode::Violation);
        }
        source.last_request = number;
        match self.judge_connect(from, target_id) {
            Judgement::Answer(answer) => self.answer(from, number, answer),
            Judgement::Crossing { with, target } => {
                let Some(crossed) = self.take_request(with) else { return };
                self.open_channel(
                    End { conn: from, by: OpenedBy::Crossing, request: number, peer_nonce: crossed.nonce },
                    End { conn: target, by: OpenedBy::Crossing, request: crossed.number, peer_nonce: nonce },
                );
            }
            Judgement::Ask { target } => self.ask(now, from, number, nonce, target),
        }
    }

    fn judge_connect(&self, from: ConnId, target_id: PeerId) -> Judgement {
        use Judgement::Answer as Say;
        let Some(source) = self.peer(from) else { return Say(Answer::NotConnected) };
        if source.id == target_id {
            return Say(Answer::OwnId);
        }
        if source.channels.is_full() {
            return Say(Answer::SourceAlreadyConnected);
        }
        let Some(target_conn) = self.ids.holder(target_id) else {
            return Say(if source.asked.len() >= self.limits.requests_out_max {
                Answer::RequestOpen
            } else {
                Answer::TargetNotFound
            });
        };
        if source.channels.with(target_conn).is_some() {
            return Say(Answer::SourceAlreadyConnected);
        }
        let waits_for_target =
            source.asked.iter().any(|&key| self.requests.get(key).is_some_and(|r| r.target == target_conn));
        if waits_for_target || source.asked.len() >= self.limits.requests_out_max {
            return Say(Answer::RequestOpen);
        }
        let Some(target) = self.peer(target_conn) else { return Say(Answer::TargetNotFound) };
        if target.channels.is_full() {
            return Say(Answer::TargetAlreadyConnected);
        }
        let crossed =
            target.asked.iter().find(|&&key| self.requests.get(key).is_some_and(|r| r.target == from));
        if let Some(&with) = crossed {
            return Judgement::Crossing { with, target: target_conn };
        }
        if target.asking.len() >= self.limits.requests_in_max {
            return Say(Answer::Throttled);
        }
        Judgement::Ask { target: target_conn }
    }

    fn ask(&mut self, now: Instant, source: ConnId, number: u32, nonce: [u8; 16], target: ConnId) {
        let deadline = now + self.limits.request_lifetime;
        let Some(called) = self.peer_mut(target) else { return };
        called.last_prompt = called.last_prompt.wrapping_add(1);
        let prompt = called.last_prompt;
        let key = self.requests.insert(Request { source, number, nonce, target, prompt, deadline });
        self.timers.insert((deadline, Timer::Request(key)));
        if let Some(called) = self.peer_mut(target) {
            called.asking.push(key);
        }
        let Some(caller) = self.peer_mut(source) else { return };
        caller.asked.push(key);
        let source_id = caller.id;
        self.answer(source, number, Answer::Requested);
        self.stats.count_answer(Answer::Incoming);
        self.transmit(target, RelayFrame::Incoming { request: prompt, source: source_id, nonce });
    }

    pub(super) fn accept(&mut self, from: ConnId, prompt: u32, nonce: [u8; 16]) {
        let Some(request) = self.find_prompt(from, prompt).and_then(|key| self.take_request(key)) else {
            self.stats.count_answer(Answer::NotConnected);
            return self.ended(from, prompt, Answer::NotConnected);
        };
        let full = |peer: Option<&Peer>| peer.is_none_or(|peer| peer.channels.is_full());
        let paired = self.peer(from).is_some_and(|target| target.channels.with(request.source).is_some());
        let refusal = if paired || full(self.peer(request.source)) {
            Some(Answer::SourceAlreadyConnected)
        } else if full(self.peer(from)) {
            Some(Answer::TargetAlreadyConnected)
        } else {
            None
        };
        if let Some(answer) = refusal {
            self.answer(request.source, request.number, answer);
            return self.ended(from, prompt, answer);
        }
        self.stats.count_answer(Answer::Approved);
        self.open_channel(
            End { conn: request.source, by: OpenedBy::Approval, request: request.number, peer_nonce: nonce },
            End { conn: from, by: OpenedBy::Acceptance, request: prompt, peer_nonce: request.nonce },
        );
    }

    pub(super) fn cancel(&mut self, from: ConnId, prompt: u32) {
        if let Some(request) = self.find_prompt(from, prompt).and_then(|key| self.take_request(key)) {
            self.answer(request.source, request.number, Answer::Declined);
        }
    }

    pub(super) fn withdraw(&mut self, from: ConnId, number: u32) {
        match self.find_request(from, number).and_then(|key| self.take_request(key)) {
            Some(request) => {
                self.answer(from, number, Answer::Withdrawn);
                self.ended(request.target, request.prompt, Answer::Withdrawn);
            }
            None => self.answer(from, number, Answer::NotConnected),
        }
    }

    pub(super) fn expire(&mut self, key: RequestKey) {
        if let Some(request) = self.take_request(key) {
            self.answer(request.source, request.number, Answer::Expired);
            self.ended(request.target, request.prompt, Answer::Expired);
        }
    }

    /// Ends every request of a client that has left; `peer` is what was known of it.
    pub(super) fn end_requests_of(&mut self, peer: &Peer) {
        for &key in &peer.asked {
            if let Some(request) = self.take_request(key) {
                self.stats.count_answer(Answer::Left);
                self.ended(request.target, request.prompt, Answer::Left);
            }
        }
        for &key in &peer.asking {
            if let Some(request) = self.take_request(key) {
                self.answer(request.source, request.number, Answer::Left);
            }
        }
    }

    /// Both ends have agreed: the channel is there.
    fn open_channel(&mut self, a: End, b: End) {
        if let Some((a_channel, b_channel)) = self.link(a.conn, b.conn) {
            self.stats.count_answer(Answer::ConnectionDone);
            for (end, channel) in [(a, a_channel), (b, b_channel)] {
                let End { conn, by, request, peer_nonce } = end;
                self.transmit(conn, RelayFrame::Opened { by, request, channel, nonce: peer_nonce });
            }
        }
    }

    fn find_request(&self, source: ConnId, number: u32) -> Option<RequestKey> {
        let asked = &self.peer(source)?.asked;
        asked.iter().copied().find(|&key| self.requests.get(key).is_some_and(|r| r.number == number))
    }

    fn find_prompt(&self, target: ConnId, prompt: u32) -> Option<RequestKey> {
        let asking = &self.peer(target)?.asking;
        asking.iter().copied().find(|&key| self.requests.get(key).is_some_and(|r| r.prompt == prompt))
    }

    /// Removes a request from every place that knows it.
    fn take_request(&mut self, key: RequestKey) -> Option<Request> {
        let request = self.requests.remove(key)?;
        self.timers.remove(&(request.deadline, Timer::Request(key)));
        if let Some(source) = self.peer_mut(request.source) {
            source.asked.retain(|&k| k != key);
        }
        if let Some(target) = self.peer_mut(request.target) {
            target.asking.retain(|&k| k != key);
        }
        Some(request)
    }

    fn answer(&mut self, to: ConnId, request: u32, answer: Answer) {
        self.stats.count_answer(answer);
        self.transmit(to, RelayFrame::Answer { request, answer });
    }

    fn ended(&mut self, to: ConnId, request: u32, answer: Answer) {
        self.transmit(to, RelayFrame::Ended { request, answer });
    }
}

enum Judgement {
    Answer(Answer),
    Crossing { with: RequestKey, target: ConnId },
    Ask { target: ConnId },
}

/// What one end of a new channel is told.
struct End {
    conn: ConnId,
    by: OpenedBy,
    request: u32,
    peer_nonce: [u8; 16],
}
