//! What a user of a client has done and heard, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use phantom_core::client::{Client, End, Event, Fate};
use phantom_core::id::{ChannelId, PeerId, RequestId};

use super::world::PROMPTS_MAX;

#[derive(Default)]
pub(super) struct Log {
    pub(super) channels: BTreeMap<ChannelId, Channel>,
    pub(super) requests: Vec<RequestId>,
    /// Whom the user asked or accepted.
    pub(super) agreed: BTreeSet<PeerId>,
    /// Every key the user has ever set or read.
    pub(super) keys: BTreeSet<u8>,
    /// Who asked the user, by request.
    pub(super) prompts: BTreeMap<RequestId, PeerId>,
    /// Of these, those that are not over.
    pub(super) undecided: BTreeSet<RequestId>,
}

#[derive(Default)]
pub(super) struct Channel {
    /// The lengths of the packets sent; their content follows from that.
    pub(super) sent: Vec<usize>,
    pub(super) received: usize,
    pub(super) delivered: u64,
    /// Its verifier, once it is secured.
    pub(super) secured: Option<[u8; 16]>,
    pub(super) closed: Option<(End, Fate)>,
    /// The user has thrown away what was not taken.
    pub(super) aborted: bool,
}

impl Log {
    /// The user ends these channels at once.
    pub(super) fn abort(&mut self, channels: &[ChannelId]) {
        for id in channels {
            if let Some(channel) = self.channels.get_mut(id) {
                channel.aborted = true;
            }
        }
    }

    /// Channels that are not over.
    pub(super) fn ids(&self) -> Vec<ChannelId> {
        self.channels.iter().filter(|(_, channel)| channel.closed.is_none()).map(|(&id, _)| id).collect()
    }

    pub(super) fn heard(&mut self, event: Event, client: &Client) {
        match event {
            Event::Incoming { request, from } => {
                self.requests.push(request);
                assert_eq!(self.prompts.insert(request, from), None, "a request is shown once");
                self.undecided.insert(request);
                assert!(self.undecided.len() <= PROMPTS_MAX, "more requests shown than allowed");
            }
            Event::Answer { request, answer, .. } if !answer.is_interim() => {
                self.undecided.remove(&request);
            }
            Event::Opened { channel, peer, .. } => {
                // Two who asked each other need not decide any more.
                self.undecided.retain(|request| self.prompts.get(request) != Some(&peer));
                assert!(self.agreed.contains(&peer), "a channel that the user did not agree to");
                let new = self.channels.insert(channel, Channel::default()).is_none();
                assert!(new, "a channel opens once");
            }
            Event::Secured { channel } => {
                let verifier = client.verifier(channel);
                let channel = self.open(channel);
                assert!(channel.secured.is_none(), "a channel is secured once");
                channel.secured = verifier;
            }
            Event::Delivered { channel, up_to } => {
                let channel = self.open(channel);
                assert!(up_to > channel.delivered && up_to <= channel.sent.len() as u64);
                channel.delivered = up_to;
            }
            Event::Closed { channel, end, fate, .. } => {
                let channel = self.open(channel);
                channel.closed = Some((end, fate));
                assert_eq!(fate.delivered + fate.uncertain + fate.unsent, channel.sent.len() as u64);
                assert!(fate.delivered >= channel.delivered);
                channel.delivered = fate.delivered;
                if end == End::Finished {
                    assert_eq!(
                        fate.delivered,
                        channel.sent.len() as u64,
                        "finished, and something is missing"
                    );
                }
            }
            Event::KeysDiffer { channel, .. }
            | Event::HandshakeAltered { channel }
            | Event::PeerSilent { channel }
            | Event::Locked { channel, .. }
            | Event::KeyRefused { channel }
            | Event::Readable { channel }
            | Event::Writable { channel }
            | Event::Interrupted { channel, .. }
            | Event::Resumed { channel } => {
                self.open(channel);
            }
            _ => {}
        }
    }

    fn open(&mut self, channel: ChannelId) -> &mut Channel {
        let channel = self.channels.get_mut(&channel).expect("heard of before it opened");
        assert!(channel.closed.is_none(), "heard of after it closed");
        channel
    }

    /// The channel that ends where the one with this verifier begins.
    fn counterpart(&self, verifier: Option<[u8; 16]>) -> Option<(u64, &Channel)> {
        let at =
            self.channels.values().position(|channel| verifier.is_some() && channel.secured == verifier)?;
        Some((at as u64, self.channels.values().nth(at)?))
    }
}

/// The place of a channel among all of its side: what its packets are named by.
pub(super) fn place(log: &Log, channel: ChannelId) -> u64 {
    log.channels.keys().take_while(|&&id| id != channel).count() as u64
}

/// A packet was handed out by `own`: it must be the next one of the other side.
pub(super) fn received(own: &mut Log, other: &Log, other_side: usize, id: ChannelId, packet: &[u8]) {
    let channel = own.channels.get_mut(&id).expect("packets come from channels that opened");
    let (place, sender) = other.counterpart(channel.secured).expect("nobody there has sealed anything");
    let number = channel.received;
    let len = *sender.sent.get(number).expect("more packets than were sent");
    assert_eq!(packet, super::content(other_side, place, number, len), "not the packet that was sent");
    channel.received += 1;
}

/// What both sides know together.
pub(super) fn consistent(own: &Log, other: &Log) {
    let secured = own.channels.values().any(|channel| channel.secured.is_some());
    assert!(!secured || !own.keys.is_disjoint(&other.keys), "secured with two different keys");
    for channel in own.channels.values() {
        let Some((_, sender)) = other.counterpart(channel.secured) else { continue };
        // A channel closes when all that came has been taken, or thrown away by an abort of this side.
        if let Some((end, _)) = channel.closed {
            let aborted = channel.aborted;
            assert!(
                aborted || sender.delivered <= channel.received as u64,
                "delivered, and never handed out"
            );
            if end == End::Finished && !aborted {
                assert_eq!(channel.received, sender.sent.len(), "finished, and something is missing");
            }
        }
    }
}
