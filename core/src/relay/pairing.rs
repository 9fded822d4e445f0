//! Requests: connect, accept, cancel, withdraw, expire, cross, leave.
//!
//! A request belongs to two clients: its *source*, who asked, and its *target*, who is shown this request and decides on this
//! request. What happens to it, and what each side is told; the first line that fits counts. *Exact* is a source that has budget left,
//! *blind* one that has none, and a request of it.
//!
//! | event | condition | source is told | target is told | then |
//! | --- | --- | --- | --- | --- |
//! | CONNECT | the own ID | `OwnId` | | |
//! | | all channels in use, or one with the target | `SourceAlreadyConnected` | | |
//! | | a request for the ID, or as many as allowed, waiting | `RequestOpen` | | |
//! | | the target, not all channels in use, waits for the source | OPENED, crossing | OPENED, crossing | channel |
//! | | the client or its source asks too often, or has too many waiting | `Throttled` | | |
//! | | exact; its source asks for this ID too often, or waits for it | `Throttled` | | |
//! | | exact; nobody has the ID | `TargetNotFound` | | |
//! | | exact; all of the target's channels in use | `TargetAlreadyConnected` | | |
//! | | exact; the target has been shown enough | `Requested` | | waits, without prompt |
//! | | exact; otherwise | `Requested` | INCOMING | waits |
//! | | blind; any of these conditions | `Requested` | | waits, without prompt |
//! | | blind; otherwise | `Requested` | INCOMING | waits |
//! | ACCEPT | no such prompt | | `NotConnected` | |
//! | | the source's channels all in use, or one with the target | `SourceAlreadyConnected` | the same | over |
//! | | the target's channels all in use | `TargetAlreadyConnected` | the same | over |
//! | | otherwise | OPENED, approval | OPENED, acceptance | channel |
//! | CANCEL | blind | | | waits, without prompt |
//! | | otherwise | `Declined` | | over |
//! | WITHDRAW | | `Withdrawn` | `Withdrawn`, if it has a prompt | over |
//! | | no such request | `NotConnected` | | |
//! | its time is over | blind, or without prompt | `Unavailable` | `Expired`, if it has a prompt | over |
//! | | otherwise | `Expired` | `Expired` | over |
//! | the source leaves | | | `Left`, if it has a prompt | over |
//! | the target leaves | blind | | | waits, without prompt |
//! | | otherwise | `Left` | | over |
//!
//! CANCEL for a prompt that is over needs no answer: the target has decided, and the source has been told otherwise already. The
//! conditions of CONNECT are in [`judge`](super::judge), what is particular to blind requests in [`blind`](super::blind).

use super::budget::Hold;
use super::conn::{Peer, RequestKey};
use super::judge::Judgement;
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
    /// The ID that was asked for.
    pub(super) target: PeerId,
    /// Who has been shown it, if anybody has.
    pub(super) prompt: Option<Prompt>,
    /// Whether the source is told nothing but consent.
    pub(super) blind: bool,
    pub(super) hold: Hold,
    pub(super) deadline: Instant,
}

/// A request as its target knows it.
#[derive(Clone, Copy)]
pub(super) struct Prompt {
    pub(super) target: ConnId,
    pub(super) number: u32,
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
        let called = Called { from, number, nonce, target: target_id };
        match self.judge_connect(now, from, target_id) {
            Judgement::Say(answer) => self.answer(from, number, answer),
            Judgement::Crossing { with, target } => self.cross(&called, with, target),
            Judgement::Ask { target, blind } => {
                if let Some(key) = self.wait(now, &called, blind, true) {
                    self.prompt(now, key, target);
                }
            }
            Judgement::Shadow { paired } => {
                self.wait(now, &called, true, paired);
            }
        }
    }

    fn cross(&mut self, called: &Called, with: RequestKey, target: ConnId) {
        let &Called { from, number, nonce, .. } = called;
        let Some(crossed) = self.take_welcome(with) else { return };
        self.open_channel(
            End { conn: from, by: OpenedBy::Crossing, request: number, peer_nonce: crossed.nonce },
            End { conn: target, by: OpenedBy::Crossing, request: crossed.number, peer_nonce: nonce },
        );
    }

    /// The request begins to wait, and its source is told.
    fn wait(&mut self, now: Instant, called: &Called, blind: bool, paired: bool) -> Option<RequestKey> {
        let &Called { from, number, nonce, target } = called;
        let group = self.conns.get(from.0)?.source;
        let hold = self.budgets.hold(group, target, paired);
        let deadline = now + self.limits.request_lifetime;
        let request = Request { source: from, number, nonce, target, prompt: None, blind, hold, deadline };
        let key = self.requests.insert(request);
        self.timers.insert((deadline, Timer::Request(key)));
        if let Some(source) = self.peer_mut(from) {
            source.asked.push(key);
        }
        self.stats.blind += u64::from(blind);
        self.answer(from, number, Answer::Requested);
        Some(key)
    }

    /// Shows a request to its target.
    fn prompt(&mut self, now: Instant, key: RequestKey, target: ConnId) {
        let rate = self.limits.prompt_rate;
        let Some(peer) = self.peer_mut(target) else { return };
        peer.prompts.take(now, rate);
        peer.last_prompt = peer.last_prompt.wrapping_add(1);
        peer.asking.push(key);
        let number = peer.last_prompt;
        let Some(request) = self.requests.get_mut(key) else { return };
        request.prompt = Some(Prompt { target, number });
        let (from, nonce) = (request.source, request.nonce);
        let Some(source) = self.peer(from).map(|peer| peer.id) else { return };
        self.stats.count_answer(Answer::Incoming);
        self.transmit(target, RelayFrame::Incoming { request: number, source, nonce });
    }

    pub(super) fn accept(&mut self, from: ConnId, prompt: u32, nonce: [u8; 16]) {
        let Some(request) = self.find_prompt(from, prompt).and_then(|key| self.take_welcome(key)) else {
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
        if let Some(key) = self.find_prompt(from, prompt) {
            self.refuse(key, Answer::Declined);
        }
    }

    pub(super) fn withdraw(&mut self, from: ConnId, number: u32) {
        match self.find_request(from, number).and_then(|key| self.take_request(key)) {
            Some(request) => {
                self.answer(from, number, Answer::Withdrawn);
                self.prompt_ended(request.prompt, Answer::Withdrawn);
            }
            None => self.answer(from, number, Answer::NotConnected),
        }
    }

    pub(super) fn expire(&mut self, key: RequestKey) {
        if let Some(request) = self.take_request(key) {
            let answer = if request.blind { Answer::Unavailable } else { Answer::Expired };
            self.answer(request.source, request.number, answer);
            self.prompt_ended(request.prompt, Answer::Expired);
        }
    }

    /// Ends every request of a client that has left; `peer` is what was known of it.
    pub(super) fn end_requests_of(&mut self, peer: &Peer) {
        for &key in &peer.asked {
            if let Some(request) = self.take_request(key) {
                self.stats.count_answer(Answer::Left);
                self.prompt_ended(request.prompt, Answer::Left);
            }
        }
        for &key in &peer.asking {
            self.refuse(key, Answer::Left);
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

    /// Removes a request from every place that knows it. What is returned still says who had been shown it.
    pub(super) fn take_request(&mut self, key: RequestKey) -> Option<Request> {
        let prompt = self.drop_prompt(key);
        let request = self.requests.remove(key)?;
        self.timers.remove(&(request.deadline, Timer::Request(key)));
        self.budgets.release(request.hold, request.target);
        if let Some(source) = self.peer_mut(request.source) {
            source.asked.retain(|&k| k != key);
        }
        Some(Request { prompt, ..request })
    }

    /// The same for a request whose target agrees: it has bothered nobody, and counts neither at its pair nor at its target.
    fn take_welcome(&mut self, key: RequestKey) -> Option<Request> {
        let request = self.take_request(key)?;
        self.budgets.welcome(request.hold, request.target, self.limits.pair_rate);
        let rate = self.limits.prompt_rate;
        if let Some(target) = request.prompt.and_then(|prompt| self.peer_mut(prompt.target)) {
            target.prompts.give_back(rate);
        }
        Some(request)
    }

    pub(super) fn answer(&mut self, to: ConnId, request: u32, answer: Answer) {
        self.stats.count_answer(answer);
        self.transmit(to, RelayFrame::Answer { request, answer });
    }

    fn prompt_ended(&mut self, prompt: Option<Prompt>, answer: Answer) {
        if let Some(Prompt { target, number }) = prompt {
            self.ended(target, number, answer);
        }
    }

    fn ended(&mut self, to: ConnId, request: u32, answer: Answer) {
        self.transmit(to, RelayFrame::Ended { request, answer });
    }
}

/// A CONNECT.
struct Called {
    from: ConnId,
    number: u32,
    nonce: [u8; 16],
    target: PeerId,
}

/// What one end of a new channel is told.
struct End {
    conn: ConnId,
    by: OpenedBy,
    request: u32,
    peer_nonce: [u8; 16],
}
