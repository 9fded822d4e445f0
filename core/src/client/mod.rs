//! The client: one link to a relay, requests, and channels that only their two ends can read.
//!
//! Where things are: the link and its state table in `link`, requests and their state table in `pairing`, one channel and its stages
//! in `channel`, the key agreement and its state table in `agreement`, a secured channel in `session` with its two halves `outbound`
//! and `inbound`, packets that wait to be sealed in `queue`, laid out as in `packets`, and to be taken in `unread`, what two clients say to each other in
//! `message`, every limit in `limits`.

mod agreement;
mod channel;
mod error;
mod event;
mod inbound;
mod io;
mod limits;
mod link;
mod message;
mod outbound;
mod packets;
mod pairing;
mod queue;
mod session;
mod unread;

use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;
use core::ops::Bound;

use bytes::{Buf, Bytes, BytesMut};

pub use error::{ConnectError, NoChannel, RequestError, SendError, SetKeyError};
pub use event::{End, Event, Fate, Held, Traffic};
pub use io::{ClientConfig, Input, Output};
pub use limits::ClientLimits;
pub use packets::{PACKET_WHOLE_MAX, Packets};
pub use unread::Batch;

use crate::Deadline;
use crate::crypto::exchange::Inputs;
use crate::crypto::{EncryptionKey, GuessBudget, Role};
use crate::id::{ChannelId, PeerId, RequestId};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::{
    Answer, ClientFrame, CloseCode, FORWARD, FORWARD_HEADER, FRAME_MAX, ForwardHeader, RelayFrame, VERSION,
};
use channel::{Channel, Context};
use limits::REPLIES_MAX;
use link::{Due, Link, LinkState};
use pairing::{Agreed, Opening, Pairing};

/// The largest packet that can be queued before a channel is secured: every side takes this much, and what the other side takes
/// beyond it is not known yet.
pub const PACKET_MAX_UNSECURED: usize = 1 << limits::PACKET_LOG2_MIN;

/// The client machine.
///
/// Tell it what happened with [`handle`](Self::handle), or what the user wants with the commands, then drain
/// [`poll_output`](Self::poll_output), then wait until [`poll_timeout`](Self::poll_timeout) or the next thing that happens. Its
/// first deadline is [`Instant::ZERO`]: it wants to dial.
///
/// * Nothing happens except inside `handle`, the commands and `poll_output`. The machine reads no clock and draws no entropy
///   but its seed.
/// * The same seed and the same calls give the same output, byte for byte.
/// * While output is queued, the deadline is not later than the latest moment it was told. After `handle(t, Input::Timeout)` and
///   a drain it is later than `t`, or absent.
/// * Handling time early, twice, or slightly backwards is harmless.
/// * Nothing that comes from the relay or the other side can make it panic, exceed a limit of [`ClientLimits`], or affect a
///   channel that is not its own. No packet is handed out that the other side did not seal, in its order, once.
///
/// It is neither `Clone` nor serialisable: a copy would seal two plaintexts under one nonce. A process that forks, or a virtual
/// machine that is restored from a snapshot, must make new clients.
pub struct Client {
    limits: ClientLimits,
    rng: Rng,
    key: EncryptionKey,
    /// Whether the key was set, or has been read by the user: until then nobody else can have it.
    key_counts: bool,
    budget: GuessBudget,
    link: Link,
    pairing: Pairing,
    channels: BTreeMap<ChannelId, Channel>,
    /// The relay's numbers of the channels that are attached.
    numbers: BTreeMap<u32, ChannelId>,
    last_channel: u32,
    /// The channel whose frame was sent last: the next turn is that of the one after it.
    served: ChannelId,
    /// Answers to unwanted frames since the last ping.
    replies: u8,
    /// Bytes of data that the transport takes before it says so again.
    credit: usize,
    out: VecDeque<Output>,
    now: Instant,
}

impl Client {
    /// A client that wants to dial. `seed` must be 32 bytes of real entropy: keys and nonces come of it.
    #[must_use]
    pub fn new(config: ClientConfig, seed: [u8; 32]) -> Self {
        let mut rng = Rng::from_seed(&seed);
        let budget = GuessBudget::new(&mut rng);
        let key_counts = config.key.is_some();
        let key = config.key.unwrap_or_else(|| EncryptionKey::generate(&mut rng));
        Self {
            limits: config.limits.clamped(),
            rng,
            key,
            key_counts,
            budget,
            link: Link::new(config.relays),
            pairing: Pairing::new(),
            channels: BTreeMap::new(),
            numbers: BTreeMap::new(),
            last_channel: 0,
            served: ChannelId(0),
            replies: 0,
            credit: usize::MAX,
            out: VecDeque::new(),
            now: Instant::ZERO,
        }
    }

    // What happens.

    /// Handles one thing that happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Connected => {
                if self.link.connected(self.now, &self.limits) {
                    (self.credit, self.replies) = (usize::MAX, 0);
                }
            }
            Input::DialFailed => {
                if matches!(self.link.state(), LinkState::Dialing { .. }) {
                    self.lose_link(None);
                }
            }
            Input::Received(frame) => self.frame(frame),
            Input::Invalid(code) => self.hang_up(code),
            Input::Writable(bytes) => self.credit = bytes,
            Input::Disconnected { code } => {
                if self.link.is_connected() {
                    self.lose_link(code);
                }
            }
            Input::Timeout => self.timeout(),
        }
    }

    /// The next thing to do, until there is none.
    ///
    /// Records are sealed here, when the transport asks for them: stop calling it while the transport takes nothing, or say
    /// so with [`Input::Writable`] and 0, and packets gather into fuller records.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        if self.link.online().is_some()
            && let Some(frame) = self.poll_channels()
        {
            return Some(frame);
        }
        self.out.pop_front()
    }

    /// One frame of the next channel that has one. Each has its turn, so a full one does not starve the others.
    fn poll_channels(&mut self) -> Option<Output> {
        let data = self.credit > 0;
        let wants = |(_, channel): &(&ChannelId, &Channel)| channel.wants_to_send(self.now, data);
        let after = (Bound::Excluded(self.served), Bound::Unbounded);
        let mut in_turn = self.channels.range(after).chain(self.channels.range(..=self.served));
        let turn = in_turn.find(wants).map(|(&id, _)| id)?;
        self.served = turn;
        let frame = self.with_channel(turn, |channel, cx| channel.poll(data, cx)).flatten()?;
        self.credit = self.credit.saturating_sub(frame.len());
        // Ahead of what the channel said on the way: a CLOSE must not overtake its last record.
        Some(Output::Transmit(frame))
    }

    /// When to call `handle` with [`Input::Timeout`], and what is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let online = self.link.online().is_some();
        let data = self.credit > 0;
        if !self.out.is_empty() || (online && self.channels.values().any(|c| c.wants_to_send(self.now, data)))
        {
            return Some(Deadline { at: self.now, reason: "output is queued" });
        }
        let channels = self.channels.values().filter_map(|channel| channel.deadline(online));
        let (at, reason) = channels.chain(self.link.deadline()).chain(self.pairing.deadline()).min()?;
        Some(Deadline { at, reason })
    }

    fn timeout(&mut self) {
        match self.link.on_timeout(self.now, &self.limits) {
            None => {}
            Some(Due::Dial(relay)) => self.out.push_back(Output::Dial { relay }),
            Some(Due::Ping) => {
                self.replies = 0;
                self.control(&ClientFrame::Ping { token: 0 });
            }
            Some(Due::HangUp(code)) => self.hang_up(code),
        }
        while let Some((request, peer)) = self.pairing.take_overdue(self.now) {
            self.event(Event::Answer { request, peer, answer: Answer::Expired });
        }
        for id in self.channel_ids() {
            self.with_channel(id, Channel::on_timeout);
        }
    }

    fn frame(&mut self, mut frame: BytesMut) {
        if !self.link.is_connected() {
            return;
        }
        self.link.heard(self.now);
        if frame.len() > FRAME_MAX {
            return self.hang_up(CloseCode::TooLarge);
        }
        if let Some(header) = ForwardHeader::peek(&frame) {
            if let Some(&channel) = self.numbers.get(&header.channel) {
                frame.advance(FORWARD_HEADER);
                self.with_channel(channel, |channel, cx| channel.on_payload(frame, cx));
            }
            return;
        }
        match RelayFrame::decode(&frame) {
            Err(_) if frame.first() == Some(&FORWARD) => self.hang_up(CloseCode::Malformed),
            Err(error) => self.hang_up(error.close_code()),
            Ok(RelayFrame::Hello { version, challenge, work }) => {
                match self.link.hello(self.now, version, &challenge, work, &self.limits) {
                    Ok(answer) => self.control(&answer),
                    Err(code) => self.hang_up(code),
                }
            }
            Ok(RelayFrame::Welcome(welcome)) => match self.link.welcome(self.now, &welcome, &self.limits) {
                Ok(Some(kept)) => self.online(welcome.id, kept),
                Ok(None) => {}
                Err(code) => self.hang_up(code),
            },
            Ok(_) if self.link.online().is_none() => self.hang_up(CloseCode::Violation),
            // That a channel is open is said by OPENED alone.
            Ok(
                RelayFrame::Answer { answer: Answer::Approved | Answer::ConnectionDone, .. }
                | RelayFrame::Ended { answer: Answer::Approved | Answer::ConnectionDone, .. },
            ) => self.hang_up(CloseCode::Violation),
            Ok(RelayFrame::Answer { request, answer }) => self.answered(true, request, answer),
            Ok(RelayFrame::Ended { request, answer }) => self.answered(false, request, answer),
            Ok(RelayFrame::Incoming { request, source, nonce }) => self.incoming(request, source, nonce),
            Ok(RelayFrame::Opened { by, request, channel, nonce }) => {
                let Some(own) = self.link.online().map(|online| online.id) else { return };
                match self.pairing.opened(own, by, request, nonce) {
                    Opening::Channel(agreed) => self.open_channel(own, channel, &agreed),
                    Opening::Unwanted(request) => {
                        self.reply(&ClientFrame::Close { channel });
                        if let Some((request, peer)) = request {
                            self.event(Event::Answer { request, peer, answer: Answer::Withdrawn });
                        }
                    }
                }
            }
            Ok(RelayFrame::Closed { channel, reason }) => {
                if let Some(&id) = self.numbers.get(&channel) {
                    self.with_channel(id, |channel, cx| channel.on_cut(Some(reason), cx));
                }
            }
            Ok(RelayFrame::Attached { rendezvous, channel }) => self.attached(&rendezvous, channel),
            Ok(RelayFrame::Pong { .. }) => self.link.answered(self.now),
            Ok(RelayFrame::Drain { after_ms }) => {
                self.link.drain(self.now, Duration::from_millis(u64::from(after_ms)));
                self.event(Event::RelayRestarting { after_ms });
            }
        }
    }

    fn online(&mut self, id: PeerId, kept: bool) {
        self.event(Event::Online { id, kept });
        for channel in self.channel_ids() {
            self.with_channel(channel, Channel::on_online);
        }
    }

    fn answered(&mut self, own: bool, number: u32, answer: Answer) {
        if let Some((request, peer)) = self.pairing.answered(own, number, answer) {
            self.event(Event::Answer { request, peer, answer });
        }
    }

    fn incoming(&mut self, number: u32, from: PeerId, nonce: [u8; 16]) {
        let Some(online) = self.link.online() else { return };
        let (own, lifetime, max) = (online.id, online.request_lifetime, self.limits.prompts_max);
        let prompt = if from == own {
            None
        } else {
            self.pairing.prompt(self.now, from, number, nonce, lifetime, max)
        };
        match prompt {
            Some(request) => self.event(Event::Incoming { request, from }),
            None => self.reply(&ClientFrame::Cancel { request: number }),
        }
    }

    fn open_channel(&mut self, own: PeerId, number: u32, agreed: &Agreed) {
        let Agreed { request, peer, role, nonce_connector, nonce_acceptor, prompt } = *agreed;
        let known = self.numbers.contains_key(&number) || self.channel_with(peer).is_some();
        if known || self.is_full() {
            self.reply(&ClientFrame::Close { channel: number });
            for request in prompt.into_iter().chain([request]) {
                self.event(Event::Answer { request, peer, answer: Answer::NotConnected });
            }
            return;
        }
        if let Some(request) = prompt {
            self.event(Event::Answer { request, peer, answer: Answer::ConnectionDone });
        }
        let answer = if role == Role::Connector { Answer::Approved } else { Answer::ConnectionDone };
        self.event(Event::Answer { request, peer, answer });
        let (connector, acceptor) = if role == Role::Connector { (own, peer) } else { (peer, own) };
        let inputs = Inputs {
            role,
            version: VERSION,
            id_connector: *connector.as_bytes(),
            id_acceptor: *acceptor.as_bytes(),
            nonce_connector,
            nonce_acceptor,
            run: 0,
            caps: u32::from(self.limits.packet_max_log2),
        };
        self.last_channel += 1;
        let id = ChannelId(self.last_channel);
        let channel = Channel::open(id, peer, number, inputs, &mut self.context());
        self.channels.insert(id, channel);
        self.after_channel(id, None);
    }

    fn attached(&mut self, rendezvous: &[u8; 16], number: u32) {
        let waiting =
            self.channels.iter().find(|(_, channel)| channel.rendezvous().as_ref() == Some(rendezvous));
        match waiting.map(|(&id, _)| id) {
            Some(id) if !self.numbers.contains_key(&number) => {
                self.with_channel(id, |channel, cx| channel.on_attached(number, cx));
            }
            _ => self.reply(&ClientFrame::Close { channel: number }),
        }
    }

    /// Hangs up for a reason of this side, and dials again in time.
    fn hang_up(&mut self, code: CloseCode) {
        if self.link.is_connected() || matches!(self.link.state(), LinkState::Dialing { .. }) {
            self.out.push_back(Output::HangUp(code));
            let lasting = matches!(code, CloseCode::VersionUnsupported).then_some(code);
            self.lose_link(lasting);
        }
    }

    fn lose_link(&mut self, code: Option<CloseCode>) {
        let redial_at = self.link.lost(self.now, code, &self.limits, &mut self.rng);
        self.out.retain(|output| !matches!(output, Output::Transmit(_)));
        self.event(Event::Offline { code, redial_at });
        for (request, peer) in self.pairing.clear() {
            self.event(Event::Answer { request, peer, answer: Answer::NotConnected });
        }
        for id in self.channel_ids() {
            self.with_channel(id, |channel, cx| channel.on_cut(None, cx));
        }
    }

    // What the user wants.

    /// Asks the client `id` for a channel. What becomes of it is told by [`Event::Answer`], and at last [`Event::Opened`].
    ///
    /// # Errors
    /// Nothing is sent, and the error says why.
    pub fn connect(&mut self, now: Instant, id: PeerId) -> Result<RequestId, ConnectError> {
        self.now = self.now.max(now);
        let online = self.link.online().ok_or(ConnectError::Offline)?;
        if online.id == id {
            return Err(ConnectError::OwnId);
        }
        if self.is_full() || self.channel_with(id).is_some() {
            return Err(ConnectError::AlreadyConnected);
        }
        if self.pairing.asks(id) {
            return Err(ConnectError::RequestOpen);
        }
        let nonce = self.rng.bytes();
        let (request, number) = self.pairing.ask(self.now, id, nonce, online.request_lifetime);
        self.control(&ClientFrame::Connect { request: number, target: id, nonce });
        Ok(request)
    }

    /// Accepts the request that [`Event::Incoming`] showed.
    ///
    /// # Errors
    /// There is no such request any more, or no room for a channel.
    pub fn accept(&mut self, now: Instant, request: RequestId) -> Result<(), RequestError> {
        self.now = self.now.max(now);
        if self.is_full() {
            return Err(RequestError::AlreadyConnected);
        }
        let nonce = self.rng.bytes();
        let number = self.pairing.accept(request, nonce).ok_or(RequestError::NotConnected)?;
        self.control(&ClientFrame::Accept { request: number, nonce });
        Ok(())
    }

    /// Declines the request that [`Event::Incoming`] showed.
    ///
    /// # Errors
    /// There is no such request any more.
    pub fn cancel(&mut self, now: Instant, request: RequestId) -> Result<(), RequestError> {
        self.now = self.now.max(now);
        let number = self.pairing.cancel(request).ok_or(RequestError::NotConnected)?;
        self.control(&ClientFrame::Cancel { request: number });
        Ok(())
    }

    /// Takes an own request back. An [`Event::Answer`] confirms it.
    ///
    /// # Errors
    /// There is no such request any more.
    pub fn withdraw(&mut self, now: Instant, request: RequestId) -> Result<(), RequestError> {
        self.now = self.now.max(now);
        let number = self.pairing.withdraw(request).ok_or(RequestError::NotConnected)?;
        self.control(&ClientFrame::Withdraw { request: number });
        Ok(())
    }

    /// The key of this client, to be told to the other side. From now on it counts as set.
    pub fn encryption_key(&mut self, now: Instant) -> EncryptionKey {
        self.now = self.now.max(now);
        if !core::mem::replace(&mut self.key_counts, true) {
            self.default_key_set(true);
        }
        self.key.clone()
    }

    /// Sets the key of this client: for channels that are not secured and have no key of their own, and for those to come. A
    /// channel that is secured keeps its keys.
    pub fn set_encryption_key(&mut self, now: Instant, key: EncryptionKey) {
        self.now = self.now.max(now);
        let changed = !(self.key_counts && self.key.same_as(&key));
        self.key = key;
        self.key_counts = true;
        self.default_key_set(changed);
    }

    fn default_key_set(&mut self, changed: bool) {
        for id in self.channel_ids() {
            self.with_channel(id, |channel, cx| {
                if !channel.has_own_key() {
                    channel.key_set(changed, cx);
                }
            });
        }
    }

    /// Sets the key of one channel. To set the one it is secured with again changes nothing.
    ///
    /// # Errors
    /// The channel is secured with another key, which it keeps, or there is no such channel.
    pub fn set_channel_key(
        &mut self,
        now: Instant,
        channel: ChannelId,
        key: EncryptionKey,
    ) -> Result<(), SetKeyError> {
        self.now = self.now.max(now);
        match self.with_live(channel, |channel, cx| channel.set_own_key(key, cx)) {
            None => Err(SetKeyError::NoChannel),
            Some(false) => Err(SetKeyError::ChannelSecured),
            Some(true) => Ok(()),
        }
    }

    /// Allows as many guesses again at the key of a channel that is [`Locked`](Event::Locked), and tries once more. Returns how
    /// many guesses had failed.
    ///
    /// # Errors
    /// There is no such channel.
    pub fn unlock(&mut self, now: Instant, channel: ChannelId) -> Result<u32, NoChannel> {
        self.now = self.now.max(now);
        self.with_live(channel, Channel::unlock).ok_or(NoChannel)
    }

    /// Queues a packet and returns its number, counting from 1 in each channel. It leaves when the channel is secured and the
    /// transport takes it; [`Event::Delivered`] tells when the other side has it.
    ///
    /// # Errors
    /// Nothing is queued, and the error says why.
    pub fn send(
        &mut self,
        now: Instant,
        channel: ChannelId,
        packet: impl Into<Bytes>,
    ) -> Result<u64, SendError> {
        self.now = self.now.max(now);
        self.channels.get_mut(&channel).ok_or(SendError::NoChannel)?.send(packet.into())
    }

    /// Queues packets from the front of `packets`, as [`send`](Self::send) does one after the other, until there are none left. Those that were
    /// queued are gone from it.
    ///
    /// # Errors
    /// The one that is now first was not queued, and the error says why.
    pub fn send_all(
        &mut self,
        now: Instant,
        channel: ChannelId,
        packets: &mut Packets,
    ) -> Result<(), SendError> {
        self.now = self.now.max(now);
        self.channels.get_mut(&channel).ok_or(SendError::NoChannel)?.send_all(packets)
    }

    /// Takes the next packet that has arrived. Taking it lets the other side send more.
    pub fn receive(&mut self, now: Instant, channel: ChannelId) -> Option<Bytes> {
        self.now = self.now.max(now);
        self.with_channel(channel, Channel::take).flatten()
    }

    /// Takes the next packets that have arrived together, as [`receive`](Self::receive) does with one.
    pub fn receive_batch(&mut self, now: Instant, channel: ChannelId) -> Option<Batch> {
        self.now = self.now.max(now);
        self.with_channel(channel, Channel::take_batch).flatten()
    }

    /// Ends a channel in good order: everything queued is sent first, and the end is told by [`Event::Closed`] once both sides have
    /// everything and what arrived here has been taken. A channel that is not secured ends at once.
    ///
    /// # Errors
    /// There is no such channel.
    pub fn disconnect(&mut self, now: Instant, channel: ChannelId) -> Result<(), NoChannel> {
        self.now = self.now.max(now);
        self.with_live(channel, Channel::disconnect).ok_or(NoChannel)
    }

    /// Ends a channel at once. What is not confirmed may be lost; [`Event::Closed`] says how much. What has arrived and was not
    /// taken is dropped, also if the channel was over already.
    ///
    /// # Errors
    /// There is no such channel.
    pub fn abort(&mut self, now: Instant, channel: ChannelId) -> Result<(), NoChannel> {
        self.now = self.now.max(now);
        self.with_channel(channel, Channel::abort).ok_or(NoChannel)
    }

    /// Dial without waiting longer, if the client waits or has stopped: the network has changed, say.
    pub fn dial_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.link.dial_now(self.now);
    }

    /// Ends every channel at once and leaves the relay. The client does nothing more until `dial_now`.
    pub fn leave(&mut self, now: Instant) {
        self.now = self.now.max(now);
        for id in self.channel_ids() {
            self.with_channel(id, Channel::abort);
        }
        if self.link.is_connected() || matches!(self.link.state(), LinkState::Dialing { .. }) {
            self.out.push_back(Output::HangUp(CloseCode::Normal));
        }
        self.link.stop();
        for (request, peer) in self.pairing.clear() {
            self.event(Event::Answer { request, peer, answer: Answer::NotConnected });
        }
    }

    // What is known.

    /// The ID, while online.
    #[must_use]
    pub fn id(&self) -> Option<PeerId> {
        self.link.online().map(|online| online.id)
    }

    /// The channels, in the order in which they were opened.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.channels.iter().filter(|(_, channel)| channel.is_live()).map(|(&id, _)| id)
    }

    /// Who is at the other end.
    #[must_use]
    pub fn opponent(&self, channel: ChannelId) -> Option<PeerId> {
        self.channels.get(&channel).map(Channel::peer)
    }

    /// Which side this one is.
    #[must_use]
    pub fn role(&self, channel: ChannelId) -> Option<Role> {
        self.channels.get(&channel).map(Channel::role)
    }

    /// Whether packets go through.
    #[must_use]
    pub fn is_secured(&self, channel: ChannelId) -> bool {
        self.channels.get(&channel).is_some_and(Channel::is_secured)
    }

    /// The longest packet that [`send`](Self::send) takes, in bytes: before the channel is secured [`PACKET_MAX_UNSECURED`], then what the
    /// other side takes.
    #[must_use]
    pub fn packet_max(&self, channel: ChannelId) -> Option<usize> {
        self.channels.get(&channel).map(Channel::packet_max)
    }

    /// 128 bits that are the same at both ends of a secured channel, and at no end of a channel with somebody in the middle. Of
    /// use to two people whose key may be known to others: they compare it by voice.
    #[must_use]
    pub fn verifier(&self, channel: ChannelId) -> Option<[u8; 16]> {
        self.channels.get(&channel).and_then(Channel::verifier)
    }

    /// What has become of the packets sent so far.
    #[must_use]
    pub fn fate(&self, channel: ChannelId) -> Option<Fate> {
        self.channels.get(&channel).map(Channel::fate)
    }

    /// What a channel holds in memory now.
    #[must_use]
    pub fn held(&self, channel: ChannelId) -> Option<Held> {
        self.channels.get(&channel).map(Channel::held)
    }

    /// What a channel has sealed and sent so far; nothing if there is no such channel any more.
    #[must_use]
    pub fn traffic(&self, channel: ChannelId) -> Option<Traffic> {
        self.channels.get(&channel).map(Channel::traffic)
    }

    /// How long the relay took for its latest answer, to a ping or to joining; nothing while it is not reached. Measured when the link
    /// goes online and with every ping; what waits in the transport before it counts.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.round_trip()
    }

    // Helpers.

    fn is_full(&self) -> bool {
        let granted = self.link.online().map_or(self.limits.channels_max, |online| online.channels_max);
        self.channels.values().filter(|channel| channel.is_live()).count() >= usize::from(granted)
            || self.channels.len() > ENDED_FACTOR * usize::from(self.limits.channels_max)
    }

    fn channel_with(&self, peer: PeerId) -> Option<ChannelId> {
        self.channels.iter().find(|(_, c)| c.is_live() && c.peer() == peer).map(|(&id, _)| id)
    }

    fn channel_ids(&self) -> alloc::vec::Vec<ChannelId> {
        self.channels.keys().copied().collect()
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            now: self.now,
            out: &mut self.out,
            budget: &mut self.budget,
            rng: &mut self.rng,
            default_key: self.key_counts.then_some(&self.key),
            limits: &self.limits,
            online: self.link.online().is_some(),
        }
    }

    /// Lets a channel act, and keeps the table of numbers right.
    fn with_channel<T>(
        &mut self,
        id: ChannelId,
        act: impl FnOnce(&mut Channel, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let channel = self.channels.get_mut(&id)?;
        let before = channel.number();
        let mut cx = Context {
            now: self.now,
            out: &mut self.out,
            budget: &mut self.budget,
            rng: &mut self.rng,
            default_key: self.key_counts.then_some(&self.key),
            limits: &self.limits,
            online: self.link.online().is_some(),
        };
        let result = act(channel, &mut cx);
        self.after_channel(id, before);
        Some(result)
    }

    /// The same for a channel that is not over.
    fn with_live<T>(
        &mut self,
        id: ChannelId,
        act: impl FnOnce(&mut Channel, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let live = self.channels.get(&id).is_some_and(Channel::is_live);
        if live { self.with_channel(id, act) } else { None }
    }

    fn after_channel(&mut self, id: ChannelId, before: Option<u32>) {
        let Some(channel) = self.channels.get(&id) else { return };
        let number = channel.number();
        if before != number {
            if let Some(before) = before {
                self.numbers.remove(&before);
            }
            if let Some(number) = number {
                self.numbers.insert(number, id);
            }
        }
        if channel.is_over() {
            self.channels.remove(&id);
        }
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// Answers something that was not wanted; not without bound.
    fn reply(&mut self, frame: &ClientFrame) {
        if self.replies < REPLIES_MAX {
            self.replies += 1;
            self.control(frame);
        }
    }

    fn control(&mut self, frame: &ClientFrame) {
        self.out.push_back(Output::Transmit(Bytes::copy_from_slice(&frame.encode())));
    }
}

/// Channels that are over, but whose packets the application has not taken, are kept up to this many per channel allowed.
const ENDED_FACTOR: usize = 2;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("channels", &self.channels.len()).finish_non_exhaustive()
    }
}

/// The largest packet that a side with these capabilities takes.
fn packet_max_of(caps: u32) -> usize {
    let log2 = (caps & 0xff) as u8;
    1 << log2.clamp(limits::PACKET_LOG2_MIN, limits::PACKET_LOG2_MAX)
}

#[cfg(test)]
mod tests;
