//! A model of the relay that is too simple to be wrong in the same way: plain lists, everything looked up by walking them.
//!
//! Told what a client does, it says what every connection must be sent, closed with, or freed from.

use std::format;
use std::string::String;

use super::*;

/// A connection, as the model knows it.
pub(super) struct Member {
    pub(super) conn: ConnId,
    pub(super) source: Source,
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
    pub(super) connects: Spent,
    pub(super) shown: Spent,
}

pub(super) struct Asked {
    pub(super) source: ConnId,
    pub(super) number: u32,
    pub(super) target: PeerId,
    /// Who has been shown it, and under which number.
    pub(super) prompt: Option<(ConnId, u32)>,
    pub(super) blind: bool,
    /// Those it counts at: its source and the site of that, if they have a place.
    counts: Vec<String>,
    /// The source it is the pair's request of.
    pair: Option<String>,
    pub(super) ends: Instant,
}

/// What has been spent of a rate, as the time in which it comes back.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    time: Duration,
    at: Instant,
}

impl Spent {
    fn now(self, now: Instant) -> Duration {
        self.time.saturating_sub(now.since(self.at))
    }

    fn may(self, now: Instant, rate: Rate) -> bool {
        self.now(now) + rate.refill <= rate.refill * rate.burst
    }

    fn spend(&mut self, now: Instant, rate: Rate) {
        *self = Self { time: self.now(now) + rate.refill, at: now };
    }

    fn forgive(&mut self, now: Instant, rate: Rate) {
        *self = Self { time: self.now(now).saturating_sub(rate.refill), at: now };
    }
}

/// A source or a site with a place.
pub(super) struct Account {
    name: String,
    connects: Spent,
    exact: Spent,
}

/// Whom a source is counted as, and how many sources each of them stands for.
fn names(source: Source) -> Vec<(String, u32)> {
    match source {
        Source::Unknown => std::vec![("unknown".into(), 1)],
        Source::Address(core::net::IpAddr::V4(address)) => std::vec![(format!("{address}"), 1)],
        Source::Address(core::net::IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            std::vec![(format!("{a:x}:{b:x}:{c:x}:{d:x}"), 1), (format!("{a:x}:{b:x}:{c:x}"), 10)]
        }
    }
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
    pub(super) accounts: Vec<Account>,
    /// What each source has spent of its requests for an ID.
    pairs: Vec<(String, PeerId, Spent)>,
    exact: Spent,
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

/// A CONNECT.
struct Called {
    from: ConnId,
    number: u32,
    id: PeerId,
    target: PeerId,
}

enum Fate {
    Answer(Answer),
    Done,
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
            accounts: Vec::new(),
            pairs: Vec::new(),
            exact: Spent::default(),
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
        for asked in self.asked.extract_if(.., |a| a.source == conn).collect::<Vec<_>>() {
            self.prompt_ended(&asked, Answer::Left);
        }
        while let Some(at) = self.asked.iter().position(|a| a.prompt.is_some_and(|(to, _)| to == conn)) {
            self.refuse(at, Answer::Left);
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
        let rules = [Self::own_rules, Self::crossing, Self::rates, Self::truth];
        let called = Called { from, number, id, target };
        if let Some(Fate::Answer(answer)) = rules.into_iter().find_map(|rule| rule(self, &called)) {
            self.answer(from, number, answer);
        }
    }

    /// What the source knows by itself.
    fn own_rules(&mut self, &Called { from, id, target, .. }: &Called) -> Option<Fate> {
        let holder = self.holder(target);
        let mine = || self.asked.iter().filter(|asked| asked.source == from);
        Some(Fate::Answer(if id == target {
            Answer::OwnId
        } else if self.is_full(from) || holder.is_some_and(|to| self.partners(from, to)) {
            Answer::SourceAlreadyConnected
        } else if mine().any(|a| a.target == target) || mine().count() >= self.limits.requests_out_max {
            Answer::RequestOpen
        } else {
            return None;
        }))
    }

    fn crossing(&mut self, &Called { from, number, id, target }: &Called) -> Option<Fate> {
        let to = self.holder(target).filter(|&to| !self.is_full(to))?;
        let at = self.asked.iter().position(|a| (a.source, a.target) == (to, id))?;
        let theirs = self.agree(at).number;
        self.opened([
            (from, OpenedBy::Crossing, number, nonce(to, theirs)),
            (to, OpenedBy::Crossing, theirs, nonce(from, number)),
        ]);
        Some(Fate::Done)
    }

    fn rates(&mut self, &Called { from, .. }: &Called) -> Option<Fate> {
        let (now, limits) = (self.now, self.limits.clone());
        if !self.joined(from).unwrap().connects.may(now, limits.connect_rate) {
            return Some(Fate::Answer(Answer::Throttled));
        }
        let names = names(self.member(from).source);
        if self.place(&names) {
            let pending = |name: &String| self.asked.iter().filter(|a| a.counts.contains(name)).count();
            let may = |(name, n): &(String, u32)| {
                let account = self.accounts.iter().find(|account| account.name == *name).unwrap();
                account.connects.may(now, limits.connect_source_rate.times(*n))
                    && pending(name) < limits.requests_source_max * *n as usize
            };
            if !names.iter().all(may) {
                return Some(Fate::Answer(Answer::Throttled));
            }
            for (name, n) in &names {
                self.account(name).connects.spend(now, limits.connect_source_rate.times(*n));
            }
        }
        self.member(from).joined.as_mut().unwrap().connects.spend(now, limits.connect_rate);
        None
    }

    /// Whether all of these have a place, or have one now. Who has nothing to be remembered has none.
    fn place(&mut self, names: &[(String, u32)]) -> bool {
        let (asked, now) = (&self.asked, self.now);
        let ends = |spent: Spent| spent.at + spent.time;
        self.accounts.retain(|account| {
            ends(account.connects) >= now
                || ends(account.exact) >= now
                || asked.iter().any(|a| a.counts.contains(&account.name))
        });
        let known = |name: &String| self.accounts.iter().any(|account| account.name == *name);
        let new: Vec<_> = names.iter().map(|(name, _)| name).filter(|name| !known(name)).cloned().collect();
        if self.accounts.len() + new.len() > self.limits.sources_max {
            return false;
        }
        let fresh = Spent { time: Duration::ZERO, at: now };
        let account = |name| Account { name, connects: fresh, exact: fresh };
        self.accounts.extend(new.into_iter().map(account));
        true
    }

    fn account(&mut self, name: &str) -> &mut Account {
        self.accounts.iter_mut().find(|account| account.name == name).unwrap()
    }

    fn pair(&mut self, name: &str, target: PeerId) -> &mut Spent {
        if !self.pairs.iter().any(|(source, id, _)| (&**source, *id) == (name, target)) {
            self.pairs.push((name.into(), target, Spent::default()));
        }
        &mut self.pairs.iter_mut().find(|(source, id, _)| (&**source, *id) == (name, target)).unwrap().2
    }

    /// What is said of the target, and whether it is asked.
    fn truth(&mut self, &Called { from, number, id, target }: &Called) -> Option<Fate> {
        let (now, limits) = (self.now, self.limits.clone());
        let names = names(self.member(from).source);
        let placed: Vec<_> = self.accounts.iter().map(|account| account.name.clone()).collect();
        let placed = names.iter().all(|(name, _)| placed.contains(name));
        let exact = placed
            && self.exact.may(now, limits.exact_total_rate)
            && names.iter().all(|(name, n)| self.account(name).exact.may(now, limits.exact_rate.times(*n)));
        let source = names[0].0.clone();
        let waits = self.asked.iter().any(|a| a.pair.as_ref() == Some(&source) && a.target == target);
        let paired = !waits && self.pair(&source, target).may(now, limits.pair_rate);
        if paired {
            self.pair(&source, target).spend(now, limits.pair_rate);
        }
        let holder = self.holder(target);
        let free = holder.filter(|&to| !self.is_full(to));
        if exact {
            let answer = match (paired, holder, free) {
                (false, ..) => Some(Answer::Throttled),
                (_, None, _) => {
                    self.exact.spend(now, limits.exact_total_rate);
                    for (name, n) in &names {
                        self.account(name).exact.spend(now, limits.exact_rate.times(*n));
                    }
                    Some(Answer::TargetNotFound)
                }
                (_, _, None) => Some(Answer::TargetAlreadyConnected),
                (_, _, Some(_)) => None,
            };
            if let Some(answer) = answer {
                return Some(Fate::Answer(answer));
            }
        }
        let shown = |to| self.asked.iter().filter(|a| a.prompt.is_some_and(|(conn, _)| conn == to)).count();
        let asked = free.filter(|&to| {
            let room = shown(to) < limits.requests_in_max;
            paired && room && self.joined(to).unwrap().shown.may(now, limits.prompt_rate)
        });
        let prompt = asked.map(|to| {
            let called = self.member(to).joined.as_mut().unwrap();
            called.shown.spend(now, limits.prompt_rate);
            called.prompts += 1;
            let prompt = called.prompts;
            self.say(to, RelayFrame::Incoming { request: prompt, source: id, nonce: nonce(from, number) });
            (to, prompt)
        });
        self.asked.push(Asked {
            source: from,
            number,
            target,
            prompt,
            blind: !exact || prompt.is_none(),
            counts: if placed { names.into_iter().map(|(name, _)| name).collect() } else { Vec::new() },
            pair: paired.then_some(source),
            ends: now + limits.request_lifetime,
        });
        Some(Fate::Answer(Answer::Requested))
    }

    /// The target agrees to a request.
    fn agree(&mut self, at: usize) -> Asked {
        let asked = self.asked.remove(at);
        let (now, limits) = (self.now, self.limits.clone());
        if let Some(source) = &asked.pair {
            self.pair(source, asked.target).forgive(now, limits.pair_rate);
        }
        if let Some((target, _)) = asked.prompt {
            self.member(target).joined.as_mut().unwrap().shown.forgive(now, limits.prompt_rate);
        }
        asked
    }

    /// The target will not have a request.
    pub(super) fn refuse(&mut self, at: usize, answer: Answer) {
        if self.asked[at].blind {
            self.asked[at].prompt = None;
        } else {
            let asked = self.asked.remove(at);
            self.answer(asked.source, asked.number, answer);
        }
    }

    pub(super) fn prompt_ended(&mut self, asked: &Asked, answer: Answer) {
        if let Some((target, prompt)) = asked.prompt {
            self.ended(target, prompt, answer);
        }
    }

    pub(super) fn accept(&mut self, from: ConnId, prompt: u32) {
        let Some(at) = self.asked.iter().position(|a| a.prompt == Some((from, prompt))) else {
            return self.ended(from, prompt, Answer::NotConnected);
        };
        let Asked { source, number, .. } = self.agree(at);
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
                    let answer = if asked.blind { Answer::Unavailable } else { Answer::Expired };
                    self.answer(asked.source, asked.number, answer);
                    self.prompt_ended(&asked, Answer::Expired);
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
