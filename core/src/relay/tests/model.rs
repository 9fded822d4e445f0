//! A model of the relay that is too simple to be wrong in the same way: plain lists, everything looked up by walking them.
//!
//! Told what a client does, it says what every connection must be sent, closed with, or freed from.

use std::format;
use std::string::String;

use super::*;

/// A connection, as the model knows it.
pub(super) struct Member {
    pub(super) conn: ConnId,
    /// When it ends if nothing is heard; set forward by every frame.
    pub(super) ends: Instant,
    pub(super) blocked: Option<(ConnId, Instant)>,
    pub(super) joined: Option<Joined>,
}

#[derive(Clone, Copy)]
pub(super) struct Joined {
    pub(super) id: PeerId,
    pub(super) room: usize,
    pub(super) last_request: u32,
    pub(super) prompts: u32,
}

pub(super) struct Asked {
    pub(super) source: ConnId,
    pub(super) number: u32,
    pub(super) target: ConnId,
    pub(super) prompt: u32,
    pub(super) ends: Instant,
}

pub(super) struct Waits {
    pub(super) value: u8,
    pub(super) role: u8,
    pub(super) conn: ConnId,
    pub(super) ends: Instant,
}

pub(super) struct Model {
    pub(super) limits: RelayLimits,
    pub(super) now: Instant,
    pub(super) members: Vec<Member>,
    pub(super) asked: Vec<Asked>,
    /// The two ends and their numbers, as soon as these have been seen.
    pub(super) channels: Vec<[(ConnId, Option<u32>); 2]>,
    pub(super) waits: Vec<Waits>,
    pub(super) said: BTreeMap<ConnId, Vec<String>>,
    pub(super) closed: BTreeMap<ConnId, CloseCode>,
    pub(super) unblocked: Vec<ConnId>,
}

/// A frame in words, without what the model does not foresee.
pub(super) fn words(frame: RelayFrame) -> String {
    match frame {
        RelayFrame::Hello { .. } => "hello".into(),
        RelayFrame::Welcome(welcome) => format!("welcome, reclaimed: {}", welcome.reclaimed),
        RelayFrame::Opened { by, request, nonce, .. } => format!("opened {by:?} {request} {nonce:?}"),
        RelayFrame::Attached { rendezvous, .. } => format!("attached {rendezvous:?}"),
        other => format!("{other:?}"),
    }
}

pub(super) fn nonce(conn: ConnId, number: u32) -> [u8; 16] {
    let mut nonce = [7; 16];
    nonce[0] = u8::try_from(conn.index()).unwrap();
    nonce[1..5].copy_from_slice(&number.to_be_bytes());
    nonce
}

impl Model {
    pub(super) fn new(limits: RelayLimits, now: Instant) -> Self {
        Self {
            limits,
            now,
            members: Vec::new(),
            asked: Vec::new(),
            channels: Vec::new(),
            waits: Vec::new(),
            said: BTreeMap::new(),
            closed: BTreeMap::new(),
            unblocked: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, to: ConnId, frame: RelayFrame) {
        self.said.entry(to).or_default().push(words(frame));
    }

    pub(super) fn answer(&mut self, to: ConnId, request: u32, answer: Answer) {
        self.say(to, RelayFrame::Answer { request, answer });
    }

    pub(super) fn ended(&mut self, to: ConnId, request: u32, answer: Answer) {
        self.say(to, RelayFrame::Ended { request, answer });
    }

    pub(super) fn member(&mut self, conn: ConnId) -> &mut Member {
        self.members.iter_mut().find(|member| member.conn == conn).unwrap()
    }

    pub(super) fn joined(&self, conn: ConnId) -> Option<Joined> {
        self.members.iter().find(|member| member.conn == conn)?.joined
    }

    pub(super) fn holder(&self, id: PeerId) -> Option<ConnId> {
        self.members.iter().find(|m| m.joined.is_some_and(|j| j.id == id)).map(|m| m.conn)
    }

    fn degree(&self, conn: ConnId) -> usize {
        self.channels.iter().flatten().filter(|end| end.0 == conn).count()
    }

    fn is_full(&self, conn: ConnId) -> bool {
        self.degree(conn) >= self.joined(conn).unwrap().room
    }

    pub(super) fn partners(&self, a: ConnId, b: ConnId) -> bool {
        self.channels.iter().any(|[x, y]| (x.0, y.0) == (a, b) || (y.0, x.0) == (a, b))
    }

    pub(super) fn heard(&mut self, conn: ConnId) {
        let ends = self.now + self.limits.idle_timeout;
        let member = self.member(conn);
        if member.joined.is_some() {
            member.ends = ends;
        }
    }

    fn unblock(&mut self, conn: ConnId, by: ConnId) {
        if self.members.iter().any(|m| m.conn == conn && m.blocked.is_some_and(|(other, _)| other == by)) {
            self.member(conn).blocked = None;
            self.heard(conn);
            self.unblocked.push(conn);
        }
    }

    pub(super) fn close(&mut self, conn: ConnId, code: CloseCode) {
        self.closed.insert(conn, code);
        self.leave(conn);
    }

    pub(super) fn leave(&mut self, conn: ConnId) {
        self.members.retain(|member| member.conn != conn);
        self.waits.retain(|waits| waits.conn != conn);
        for asked in self.asked.extract_if(.., |a| a.source == conn || a.target == conn).collect::<Vec<_>>() {
            if asked.source == conn {
                self.ended(asked.target, asked.prompt, Answer::Left);
            } else {
                self.answer(asked.source, asked.number, Answer::Left);
            }
        }
        for [a, b] in self.channels.extract_if(.., |[a, b]| a.0 == conn || b.0 == conn).collect::<Vec<_>>() {
            let (other, number) = if a.0 == conn { b } else { a };
            self.unblock(other, conn);
            self.say(other, RelayFrame::Closed { channel: number.unwrap(), reason: Ended::Detached });
        }
    }

    /// Ends a channel; tells these ends why.
    pub(super) fn cut(&mut self, conn: ConnId, number: u32, tell: &[ConnId], reason: Ended) {
        let at = self.channels.iter().position(|ends| ends.contains(&(conn, Some(number)))).unwrap();
        let [a, b] = self.channels.remove(at);
        self.unblock(a.0, b.0);
        self.unblock(b.0, a.0);
        for (end, number) in [a, b] {
            if tell.contains(&end) {
                self.say(end, RelayFrame::Closed { channel: number.unwrap(), reason });
            }
        }
    }

    fn opened(&mut self, ends: [(ConnId, OpenedBy, u32, [u8; 16]); 2]) {
        for (conn, by, request, nonce) in ends {
            self.say(conn, RelayFrame::Opened { by, request, channel: 0, nonce });
        }
        self.channels.push([(ends[0].0, None), (ends[1].0, None)]);
    }

    pub(super) fn connect(&mut self, from: ConnId, number: u32, target: PeerId) {
        let Joined { id, last_request, .. } = self.joined(from).unwrap();
        if number <= last_request {
            return self.close(from, CloseCode::Violation);
        }
        self.member(from).joined.as_mut().unwrap().last_request = number;
        let holder = self.holder(target);
        let waiting = self.asked.iter().filter(|asked| asked.source == from).count();
        let open = holder.is_some_and(|to| self.asked.iter().any(|a| (a.source, a.target) == (from, to)));
        let answer = if id == target {
            Answer::OwnId
        } else if self.is_full(from) || holder.is_some_and(|to| self.partners(from, to)) {
            Answer::SourceAlreadyConnected
        } else if open || waiting >= self.limits.requests_out_max {
            Answer::RequestOpen
        } else if let Some(to) = holder {
            if self.is_full(to) {
                Answer::TargetAlreadyConnected
            } else if let Some(at) = self.asked.iter().position(|a| (a.source, a.target) == (to, from)) {
                let Asked { number: theirs, .. } = self.asked.remove(at);
                return self.opened([
                    (from, OpenedBy::Crossing, number, nonce(to, theirs)),
                    (to, OpenedBy::Crossing, theirs, nonce(from, number)),
                ]);
            } else if self.asked.iter().filter(|a| a.target == to).count() >= self.limits.requests_in_max {
                Answer::Throttled
            } else {
                let called = self.member(to).joined.as_mut().unwrap();
                called.prompts += 1;
                let prompt = called.prompts;
                self.say(
                    to,
                    RelayFrame::Incoming { request: prompt, source: id, nonce: nonce(from, number) },
                );
                let ends = self.now + self.limits.request_lifetime;
                self.asked.push(Asked { source: from, number, target: to, prompt, ends });
                Answer::Requested
            }
        } else {
            Answer::TargetNotFound
        };
        self.answer(from, number, answer);
    }

    pub(super) fn accept(&mut self, from: ConnId, prompt: u32) {
        let Some(at) = self.asked.iter().position(|a| (a.target, a.prompt) == (from, prompt)) else {
            return self.ended(from, prompt, Answer::NotConnected);
        };
        let Asked { source, number, .. } = self.asked.remove(at);
        let refusal = if self.is_full(source) || self.partners(source, from) {
            Answer::SourceAlreadyConnected
        } else if self.is_full(from) {
            Answer::TargetAlreadyConnected
        } else {
            return self.opened([
                (source, OpenedBy::Approval, number, nonce(from, prompt)),
                (from, OpenedBy::Acceptance, prompt, nonce(source, number)),
            ]);
        };
        self.answer(source, number, refusal);
        self.ended(from, prompt, refusal);
    }

    pub(super) fn rejoin(&mut self, from: ConnId, value: u8, role: u8) {
        let at = self.waits.iter().position(|waits| waits.value == value);
        if let Some(at) = at {
            let Waits { role: other_role, conn: other, .. } = self.waits[at];
            if other != from && other_role != role {
                if !self.is_full(from) && !self.is_full(other) && !self.partners(from, other) {
                    self.waits.remove(at);
                    for conn in [from, other] {
                        self.say(conn, RelayFrame::Attached { rendezvous: [value; 16], channel: 0 });
                    }
                    self.channels.push([(from, None), (other, None)]);
                }
                return;
            }
            self.waits.remove(at);
        }
        let room = self.joined(from).unwrap().room;
        if self.waits.iter().filter(|waits| waits.conn == from).count() >= room {
            let oldest = self.waits.iter().position(|waits| waits.conn == from).unwrap();
            self.waits.remove(oldest);
        }
        let ends = self.now + self.limits.rejoin_lifetime;
        self.waits.push(Waits { value, role, conn: from, ends });
    }

    /// Lets everything end that ends by this moment, in the order of time; connections first, then requests, rejoins, patience.
    pub(super) fn pass(&mut self, until: Instant) {
        loop {
            let member =
                self.members.iter().filter(|m| m.blocked.is_none()).map(|m| (m.ends, 0, m.conn)).min();
            let asked = self.asked.iter().map(|a| (a.ends, 1, a.source)).min();
            let waits = self.waits.iter().map(|w| (w.ends, 2, w.conn)).min();
            let stuck = self.members.iter().filter_map(|m| Some((m.blocked?.1, 3, m.conn))).min();
            let Some((at, kind, conn)) = [member, asked, waits, stuck].into_iter().flatten().min() else {
                break;
            };
            if at > until {
                break;
            }
            self.now = at;
            match kind {
                0 => {
                    let registered = self.joined(conn).is_some();
                    self.close(conn, if registered { CloseCode::Idle } else { CloseCode::RegisterTimeout });
                }
                1 => {
                    let due = self.asked.iter().position(|a| a.ends == at && a.source == conn).unwrap();
                    let asked = self.asked.remove(due);
                    self.answer(asked.source, asked.number, Answer::Expired);
                    self.ended(asked.target, asked.prompt, Answer::Expired);
                }
                2 => self.waits.retain(|waits| waits.ends > at),
                _ => {
                    let (by, _) = self.member(conn).blocked.unwrap();
                    let number = self.number_with(conn, by);
                    self.cut(conn, number, &[conn, by], Ended::Stuck);
                }
            }
        }
        self.now = until;
    }

    fn number_with(&self, conn: ConnId, other: ConnId) -> u32 {
        let number = |[a, b]: &[(ConnId, Option<u32>); 2]| match (a.0, b.0) {
            (x, y) if (x, y) == (conn, other) => a.1,
            (x, y) if (y, x) == (conn, other) => b.1,
            _ => None,
        };
        self.channels.iter().find_map(number).unwrap()
    }

    /// All numbers of this end's channels.
    pub(super) fn numbers(&self, conn: ConnId) -> Vec<u32> {
        self.channels.iter().flatten().filter(|end| end.0 == conn).map(|end| end.1.unwrap()).collect()
    }

    pub(super) fn far_end(&self, conn: ConnId, number: u32) -> Option<(ConnId, u32)> {
        let ends = self.channels.iter().find(|ends| ends.contains(&(conn, Some(number))))?;
        ends.iter().find(|end| end.0 != conn).map(|end| (end.0, end.1.unwrap()))
    }
}
