//! The simplest true description of a relay: who is there, which ends belong together, which requests wait.

use std::collections::{BTreeMap, BTreeSet};

use phantom_core::id::{ConnId, PeerId};
use phantom_core::relay::{Output, Relay};
use phantom_core::time::Duration;
use phantom_core::wire::{Answer, ClientFrame, Ended, FRAME_MAX, ForwardHeader, OpenedBy, RelayFrame};

use super::{Known, NOT_FOUND_EACH, NOT_FOUND_MAX, REQUESTS_IN_MAX, REQUESTS_OUT_MAX, SOURCES_MAX};

/// One end of a channel.
type End = (ConnId, u32);

#[derive(Default)]
pub(super) struct Model {
    /// Who is there, with the ID it has been given.
    members: BTreeMap<ConnId, Option<PeerId>>,
    /// Each end of each channel, with the other.
    links: BTreeMap<End, End>,
    /// Ends that are still to be told that their channel is over, and why.
    due: BTreeMap<End, Ended>,
    /// One end of a channel that has been announced to it alone so far.
    half: Option<(End, Proof)>,
    /// Who drew which nonce.
    nonces: BTreeMap<[u8; 16], ConnId>,
    /// In which role somebody waits for another end.
    rejoins: BTreeMap<(ConnId, [u8; 16]), u8>,
    /// Requests by their source, and by their target with the nonce of the CONNECT.
    asked: BTreeSet<(ConnId, u32)>,
    shown: BTreeMap<(ConnId, u32), [u8; 16]>,
    /// How often somebody was told that nobody has an ID.
    not_found: u64,
    blocked: BTreeSet<ConnId>,
    /// The CONNECT that is being handled.
    calling: Option<(ConnId, PeerId)>,
    /// Whether the frame that is being handled is a claim with its proof.
    proven: bool,
}

/// What ties the two announcements of one channel together.
#[derive(Clone, Copy)]
enum Proof {
    /// The nonce of the other side.
    Nonce([u8; 16]),
    Rendezvous([u8; 16]),
}

/// What must become of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forwarding {
    To(ConnId, u32),
    No,
}

impl Model {
    pub(super) fn connections(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_open(&self, conn: ConnId) -> bool {
        self.members.contains_key(&conn)
    }

    pub(super) fn opened(&mut self, conn: ConnId) {
        self.members.insert(conn, None);
    }

    pub(super) fn blocked(&mut self, conn: ConnId) {
        if self.is_open(conn) {
            self.blocked.insert(conn);
        }
    }

    pub(super) fn unblocked(&mut self, conn: ConnId) {
        self.blocked.remove(&conn);
    }

    /// A frame is about to be handled: what must follow.
    pub(super) fn frame(&mut self, from: ConnId, frame: &[u8], decoded: Option<&ClientFrame>) -> Forwarding {
        self.calling = match decoded {
            Some(ClientFrame::Connect { target, .. }) => Some((from, *target)),
            _ => None,
        };
        if !self.members.get(&from).is_some_and(Option::is_some) {
            return Forwarding::No;
        }
        match decoded {
            Some(ClientFrame::Connect { nonce, .. } | ClientFrame::Accept { nonce, .. }) => {
                self.nonces.insert(*nonce, from);
            }
            Some(ClientFrame::Cancel { request }) => {
                self.shown.remove(&(from, *request));
            }
            Some(ClientFrame::Close { channel }) => {
                let reason = if self.links.contains_key(&(from, *channel)) {
                    Ended::Closed
                } else {
                    Ended::NotConnected
                };
                let told = self.unlink((from, *channel)).unwrap_or((from, *channel));
                self.due.insert(told, reason);
            }
            Some(ClientFrame::Rejoin { rendezvous, role }) => {
                self.rejoins.insert((from, *rendezvous), *role);
            }
            _ => {}
        }
        let channel = ForwardHeader::peek(frame).filter(|_| frame.len() <= FRAME_MAX);
        match channel.and_then(|header| self.links.get(&(from, header.channel))) {
            Some(&(to, number)) => Forwarding::To(to, number),
            None => Forwarding::No,
        }
    }

    /// The frame that comes next claims an ID, and may.
    pub(super) fn proven(&mut self) {
        self.proven = true;
    }

    /// What the frame led to has been told.
    pub(super) fn handled(&mut self) {
        self.calling = None;
        self.proven = false;
    }

    /// A connection is gone, by whoever's wish.
    pub(super) fn gone(&mut self, conn: ConnId) {
        if self.members.remove(&conn).is_none() {
            return;
        }
        self.blocked.remove(&conn);
        self.asked.retain(|&(source, _)| source != conn);
        self.shown.retain(|&(target, _), _| target != conn);
        self.rejoins.retain(|&(waiting, _), _| waiting != conn);
        let ends: Vec<_> = self.links.keys().copied().filter(|&(holder, _)| holder == conn).collect();
        for end in ends {
            if let Some(other) = self.unlink(end) {
                self.due.insert(other, Ended::Detached);
            }
        }
        self.due.retain(|&(holder, _), _| holder != conn);
    }

    pub(super) fn output(&mut self, output: &Output, known: &mut BTreeMap<ConnId, Known>) {
        match output {
            Output::Transmit { to, frame, .. } => {
                assert!(self.is_open(*to), "said to a connection that is gone");
                let frame = RelayFrame::decode(frame).expect("the relay's own frames are well formed");
                let known = known.get_mut(to).expect("known since it was opened");
                self.said(*to, frame, known);
            }
            Output::Close { conn, .. } => {
                assert!(self.is_open(*conn), "closed a connection that is gone");
                self.gone(*conn);
            }
            Output::Unblock { from } => {
                assert!(self.blocked.remove(from), "let a sender go on that was not held up");
            }
        }
    }

    fn said(&mut self, to: ConnId, frame: RelayFrame, known: &mut Known) {
        let id = self.members.get(&to).copied().flatten();
        let before_welcome = matches!(frame, RelayFrame::Hello { .. } | RelayFrame::Welcome(_));
        assert!(id.is_some() || before_welcome, "{frame:?} before WELCOME");
        match frame {
            RelayFrame::Hello { challenge, .. } => known.challenge = challenge,
            RelayFrame::Welcome(welcome) => {
                assert!(id.is_none_or(|id| id == welcome.id), "an ID stays while its holder does");
                let others = self.members.iter().filter(|&(&conn, _)| conn != to);
                assert!(others.into_iter().all(|(_, &id)| id != Some(welcome.id)), "one ID, one holder");
                self.members.insert(to, Some(welcome.id));
                assert!(id.is_some() || !welcome.reclaimed || self.proven, "reclaimed without proof");
                known.welcome = Some(welcome);
            }
            RelayFrame::Answer { request, answer } if answer.is_interim() => {
                self.is_true(to, answer);
                assert!(self.asked.insert((to, request)), "one request, one answer that it waits");
            }
            RelayFrame::Answer { request, answer } => {
                self.is_true(to, answer);
                self.asked.remove(&(to, request));
            }
            RelayFrame::Incoming { request, source, nonce } => {
                let asker = self.nonces.get(&nonce).copied().expect("the nonce of a CONNECT");
                let name = self.members.get(&asker).copied().flatten();
                assert_eq!(name, Some(source), "the relay names who asks");
                assert_ne!(asker, to, "nobody asks himself");
                assert_eq!(self.shown.insert((to, request), nonce), None, "a prompt's number is used once");
                known.prompts.push(request);
            }
            RelayFrame::Ended { request, .. } => {
                self.shown.remove(&(to, request));
            }
            RelayFrame::Opened { by, request, channel, nonce } => {
                match by {
                    OpenedBy::Acceptance => {
                        assert_eq!(
                            self.shown.remove(&(to, request)),
                            Some(nonce),
                            "accepted as it was shown"
                        );
                    }
                    OpenedBy::Approval => {
                        assert!(self.asked.remove(&(to, request)), "approved as it was asked");
                    }
                    OpenedBy::Crossing => {
                        self.asked.remove(&(to, request));
                        self.shown.retain(|&(target, _), shown| target != to || *shown != nonce);
                    }
                }
                known.channels.push(channel);
                self.announced((to, channel), Proof::Nonce(nonce));
            }
            RelayFrame::Attached { rendezvous, channel } => {
                known.channels.push(channel);
                self.announced((to, channel), Proof::Rendezvous(rendezvous));
            }
            RelayFrame::Closed { channel, reason } => {
                if reason == Ended::Stuck && !self.due.contains_key(&(to, channel)) {
                    let other = self.unlink((to, channel)).expect("a stuck channel was open");
                    self.due.insert(other, Ended::Stuck);
                } else {
                    assert_eq!(self.due.remove(&(to, channel)), Some(reason), "an end is told once, and why");
                }
            }
            RelayFrame::Pong { .. } | RelayFrame::Drain { .. } => {}
        }
    }

    /// An answer given at once to a CONNECT must be true, as far as it says anything: *Requested* may be said of whoever is not here,
    /// and how often somebody may ask is not known here.
    fn is_true(&mut self, to: ConnId, answer: Answer) {
        let Some((_, id)) = self.calling.filter(|&(source, _)| source == to) else { return };
        let target = self.members.iter().find(|&(_, &held)| held == Some(id)).map(|(&conn, _)| conn);
        let asked = self.asked.iter().filter(|&&(source, _)| source == to).count();
        let channels = |conn| self.links.keys().filter(|&&(holder, _)| Some(holder) == conn).count();
        let holds = match answer {
            Answer::OwnId => target == Some(to),
            Answer::TargetNotFound => target.is_none(),
            Answer::Requested => target != Some(to),
            Answer::RequestOpen => asked > 0,
            Answer::Throttled => true,
            Answer::SourceAlreadyConnected => channels(Some(to)) > 0,
            Answer::TargetAlreadyConnected => channels(target) > 0,
            _ => false,
        };
        assert!(holds, "{answer:?} is not true");
        self.not_found += u64::from(answer == Answer::TargetNotFound);
    }

    /// A channel is announced to one end, then to the other.
    fn announced(&mut self, end: End, proof: Proof) {
        assert!(!self.links.contains_key(&end) && !self.due.contains_key(&end), "a number is used once");
        let Some((first, first_proof)) = self.half.replace((end, proof)) else { return };
        self.half = None;
        assert_ne!(first.0, end.0, "a channel has two ends");
        match (first_proof, proof) {
            (Proof::Nonce(at_first), Proof::Nonce(at_second)) => {
                assert_eq!(self.nonces.get(&at_first), Some(&end.0), "each end has the nonce of the other");
                assert_eq!(
                    self.nonces.get(&at_second),
                    Some(&first.0),
                    "each end has the nonce of the other"
                );
            }
            (Proof::Rendezvous(at_first), Proof::Rendezvous(at_second)) => {
                assert_eq!(at_first, at_second);
                let role = |conn| self.rejoins.get(&(conn, at_first)).copied();
                assert!(
                    role(first.0).is_some() && role(end.0).is_some() && role(first.0) != role(end.0),
                    "two who wait for each other, in two roles"
                );
            }
            _ => panic!("one end is opened and the other attached"),
        }
        self.links.insert(first, end);
        self.links.insert(end, first);
    }

    fn unlink(&mut self, end: End) -> Option<End> {
        let other = self.links.remove(&end)?;
        self.links.remove(&other);
        Some(other)
    }

    /// Everything has been drained.
    pub(super) fn settled(&self, relay: &Relay, passed: Duration) {
        assert!(self.half.is_none(), "a channel with one end");
        assert!(self.due.is_empty(), "not told of their channel's end: {:?}", self.due);
        assert!(self.shown.len() <= self.asked.len(), "whatever is shown was asked");
        for &conn in self.members.keys() {
            assert!(self.asked.iter().filter(|&&(source, _)| source == conn).count() <= REQUESTS_OUT_MAX);
            assert!(self.shown.keys().filter(|&&(target, _)| target == conn).count() <= REQUESTS_IN_MAX);
        }
        let stats = relay.stats();
        assert!(
            self.not_found <= NOT_FOUND_MAX + passed.as_secs() / NOT_FOUND_EACH.as_secs(),
            "told too much"
        );
        assert!(stats.sources <= SOURCES_MAX as u64);
        assert_eq!(stats.requests, self.asked.len() as u64);
        assert_eq!(stats.channels, self.links.len() as u64 / 2);
        assert_eq!((stats.connections, relay.connections()), (self.members.len() as u64, self.members.len()));
    }
}
