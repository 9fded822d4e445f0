//! One client, its transport, and what its application has heard and taken.

use std::collections::BTreeMap;

use bytes::Bytes;
use phantom_core::client::{Client, End, Event, Input, Output};
use phantom_core::id::{ChannelId, PeerId, RequestId};
use phantom_core::relay::Source;
use phantom_core::time::Instant;

use crate::link::{Conditions, Link};

/// One client and its transport.
pub struct Node {
    /// The machine. Commands may be given to it at any time; [`World::settle`](crate::World::settle) carries out what follows
    /// from them.
    pub client: Client,
    /// What its link is like from now on.
    pub conditions: Conditions,
    /// Everything it told its application, in order.
    pub events: Vec<Event>,
    /// Everything its application has taken, by channel.
    pub received: BTreeMap<ChannelId, Vec<Bytes>>,
    /// Whether the application takes packets as soon as they are there.
    pub reads: bool,
    /// Whether the transport can be had.
    pub reachable: bool,
    /// Where the relay takes it to come from.
    pub source: Source,
    pub(crate) link: Link,
    /// The channels that may have something to take.
    readable: Vec<ChannelId>,
    /// The room on its link of which it was last told, in bytes.
    told_room: usize,
}

impl Node {
    pub(crate) fn new(client: Client, source: Source) -> Self {
        Self {
            client,
            conditions: Conditions::default(),
            events: Vec::new(),
            received: BTreeMap::new(),
            reads: true,
            reachable: true,
            source,
            link: Link::Down,
            readable: Vec::new(),
            told_room: 0,
        }
    }

    /// The latest channel it was told of.
    #[must_use]
    pub fn channel(&self) -> Option<ChannelId> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Opened { channel, .. } => Some(*channel),
            _ => None,
        })
    }

    /// The living channel with this peer.
    #[must_use]
    pub fn channel_with(&self, peer: PeerId) -> Option<ChannelId> {
        self.client.channels().find(|&channel| self.client.opponent(channel) == Some(peer))
    }

    /// The latest request of this peer that was shown, from the event with this number on.
    #[must_use]
    pub fn request_from(&self, peer: PeerId, since: usize) -> Option<RequestId> {
        self.events[since..].iter().rev().find_map(|event| match event {
            Event::Incoming { request, from } if *from == peer => Some(*request),
            _ => None,
        })
    }

    /// Whether it has told of an event like this.
    pub fn heard(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    /// How the channel ended, if the application has been told.
    #[must_use]
    pub fn end_of(&self, channel: ChannelId) -> Option<End> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Closed { channel: ended, end, .. } if *ended == channel => Some(*end),
            _ => None,
        })
    }

    /// The packets taken from the latest channel.
    #[must_use]
    pub fn packets(&self) -> &[Bytes] {
        self.channel().and_then(|channel| self.received.get(&channel)).map_or(&[], Vec::as_slice)
    }

    /// Whether, since it was last asked, anything has come to be done: by its link, or by itself.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let deadline = || self.client.poll_timeout().map(|deadline| deadline.at);
        let has_come = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.room() != self.told_room || has_come(self.link.due()) || has_come(deadline())
    }

    /// Tells the machine what its link takes now.
    pub(crate) fn tell_room(&mut self, now: Instant) {
        self.told_room = self.room();
        self.client.handle(now, Input::Writable(self.told_room));
    }

    /// Bytes that the link takes before the client must wait.
    fn room(&self) -> usize {
        let held = self.link.up().map(|up| up.to_relay.bytes());
        held.map_or(0, |held| self.conditions.up_max.saturating_sub(held))
    }

    /// The next thing the machine wants done, but its news, which are kept here.
    pub(crate) fn poll(&mut self, mut hear: impl FnMut(&Event)) -> Option<Output> {
        loop {
            match self.client.poll_output()? {
                Output::Event(event) => {
                    hear(&event);
                    if let Event::Readable { channel } = event {
                        self.readable.push(channel);
                    }
                    self.events.push(event);
                }
                output => return Some(output),
            }
        }
    }

    /// Lets the application take what is there; says whether it took anything.
    pub(crate) fn read(&mut self, now: Instant) -> bool {
        let mut took = false;
        if self.reads {
            for channel in std::mem::take(&mut self.readable) {
                while let Some(packet) = self.client.receive(now, channel) {
                    self.received.entry(channel).or_default().push(packet);
                    took = true;
                }
            }
        }
        took
    }

    /// Takes one packet, whether the application reads by itself or not.
    pub fn read_one(&mut self, now: Instant, channel: ChannelId) -> Option<Bytes> {
        let packet = self.client.receive(now, channel)?;
        self.received.entry(channel).or_default().push(packet.clone());
        Some(packet)
    }
}
