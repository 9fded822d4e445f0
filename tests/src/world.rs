//! The world: it moves messages and time, and nothing else. All decisions are the machines'.
//!
//! * It sleeps exactly until the next deadline or arrival. A machine whose deadline is wrong stands still here, or is caught by an
//!   assertion; a busy loop would hide both.
//! * Whatever wakes the world wakes every machine in it, too early by what the machine has said: then it must have nothing to do, or it
//!   would have slept past something.
//! * All chance comes of one seed, and everything moved goes into a digest: two runs of one seed have the same.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use phantom_core::Deadline;
use phantom_core::client::{self, Client, ClientConfig};
use phantom_core::id::{ChannelId, ConnId, PeerId};
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::rng::Rng;
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::CloseCode;

use crate::hostile::{Meddler, Passage};
use crate::link::{Link, Message, Pipe, Up};
use crate::node::Node;

/// One relay, many clients, one clock.
pub struct World {
    /// The time of the world.
    pub now: Instant,
    /// The relay; none while it is down.
    pub relay: Option<Relay>,
    /// The clients.
    pub nodes: Vec<Node>,
    /// If set, everything the relay sends passes through it.
    pub meddler: Option<Box<dyn Meddler>>,
    /// If set, every byte that reaches the relay or leaves it, for tests that search it.
    pub captured: Option<Vec<u8>>,
    /// Times a link came to stand.
    pub dials: u64,
    /// From whom to whom the relay has passed a payload.
    pub passed: BTreeSet<(usize, usize)>,
    trace: blake3::Hasher,
    rng: Rng,
    /// When every machine was last told the time.
    woken: Instant,
    owners: BTreeMap<ConnId, usize>,
    /// What clients that hung up had sent before: it still arrives.
    parting: Vec<(ConnId, Pipe)>,
    relay_config: RelayConfig,
}

/// Rounds in which somebody does something, at one moment.
const ROUNDS_MAX: usize = 100_000;

impl World {
    /// When it begins.
    pub const START: Instant = Instant::from_micros(1_000_000);

    /// A world with a relay and no clients; all chance in it comes of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_relay(seed, RelayConfig::new(RelaySecret::new(1, [0x5e; 32]), 1_800_000_000))
    }

    /// The same with a relay made of `config`.
    #[must_use]
    pub fn with_relay(seed: u64, config: RelayConfig) -> Self {
        let mut rng = Rng::from_seed(blake3::hash(&seed.to_be_bytes()).as_bytes());
        let relay = Relay::new(config.clone(), rng.bytes());
        Self {
            now: Self::START,
            relay: Some(relay),
            nodes: Vec::new(),
            meddler: None,
            captured: None,
            dials: 0,
            passed: BTreeSet::new(),
            trace: blake3::Hasher::new(),
            rng,
            woken: Self::START,
            owners: BTreeMap::new(),
            parting: Vec::new(),
            relay_config: config,
        }
    }

    /// Adds a client; its index is the number of clients before. It has an address of its own; for another one set its
    /// [`source`](Node::source) before it dials.
    pub fn add(&mut self, config: ClientConfig) -> usize {
        let index = self.nodes.len();
        let [.., high, low] = index.to_be_bytes();
        let source = Source::Address([10, 0, high, low].into());
        self.nodes.push(Node::new(Client::new(config, self.rng.bytes()), source));
        index
    }

    /// The world's own generator, for the choices of a test.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// A digest of everything that has been moved or told so far, and when.
    #[must_use]
    pub fn trace(&self) -> [u8; 32] {
        *self.trace.finalize().as_bytes()
    }

    /// The ID of a client that is online.
    ///
    /// # Panics
    /// It is not online.
    #[must_use]
    pub fn id(&self, node: usize) -> PeerId {
        self.nodes[node].client.id().expect("the client is online")
    }

    /// Gives a command to a client, at the time of the world, and carries out what follows.
    pub fn act<T>(&mut self, node: usize, command: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let result = command(&mut self.nodes[node].client, self.now);
        self.settle();
        result
    }

    // Time.

    /// Runs until `done` or for `limit`, whichever comes first; says which.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            if !self.advance(end) {
                return false;
            }
        }
    }

    /// On to the next moment at which anything happens, or to `end` if nothing does before; says which.
    pub fn advance(&mut self, end: Instant) -> bool {
        let next = self.next().filter(|&at| at <= end);
        // Whoever looked at the settled world may have done something.
        self.now = next.map_or(end, |at| at.max(self.now));
        next.is_some()
    }

    /// Runs for a time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Does everything that is due now, until nothing is.
    ///
    /// # Panics
    /// A machine breaks its contract: its deadline does not move on though it was told the time and drained, it has something to do
    /// before its deadline, or it never has nothing to do.
    pub fn settle(&mut self) {
        if self.woken < self.now {
            self.woken = self.now;
            self.wake_early();
        }
        for round in 0..ROUNDS_MAX {
            let mut busy = self.settle_relay();
            for node in 0..self.nodes.len() {
                // At first each is asked: a test may have done anything.
                if round == 0 || self.nodes[node].is_due(self.now) {
                    busy |= self.settle_node(node);
                }
            }
            if !busy {
                return;
            }
        }
        panic!("the world does not come to rest at {:?}", self.now);
    }

    /// The next moment at which anything happens.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let relay = self.relay.as_ref().and_then(Relay::poll_timeout).map(|deadline| deadline.at);
        let parting = self.parting.iter().filter_map(|(_, pipe)| pipe.due());
        let nodes = self.nodes.iter().flat_map(|node| {
            [node.client.poll_timeout().map(|deadline| deadline.at), node.link.due()].into_iter().flatten()
        });
        nodes.chain(parting).chain(relay).min()
    }

    // What a test does to links and to the relay.

    /// Cuts the link of a client; both ends notice at once. What was on its way is lost.
    pub fn cut(&mut self, node: usize) {
        let conn = self.conn(node);
        self.cut_client_side(node);
        if let Some(conn) = conn {
            self.relay_input(relay::Input::Closed { conn });
            self.forget_conn(conn);
        }
        self.settle();
    }

    /// Cuts the link of a client, and the relay does not notice: to it the socket looks alive.
    pub fn cut_client_side(&mut self, node: usize) {
        let input = match self.nodes[node].link {
            Link::Down => return,
            Link::Dialing { .. } => client::Input::DialFailed,
            Link::Up(_) => client::Input::Disconnected { code: None },
        };
        self.nodes[node].link = Link::Down;
        self.nodes[node].client.handle(self.now, input);
        // The relay's end stays in `owners`: what it sends there goes nowhere.
        self.unblock_senders_to(node);
        self.settle();
    }

    /// Cuts the link of a client, and the client does not notice: to it the socket looks alive.
    pub fn cut_relay_side(&mut self, node: usize) {
        if let Some(conn) = self.conn(node) {
            self.relay_input(relay::Input::Closed { conn });
            self.forget_conn(conn);
        }
        self.settle();
    }

    /// Nothing passes the link of a client any more, in either direction, and nobody notices; or it passes again.
    pub fn stall(&mut self, node: usize, stalled: bool) {
        if let Some(up) = self.nodes[node].link.up_mut() {
            up.to_relay.stalled = stalled;
            up.to_client.stalled = stalled;
        }
    }

    /// Nothing passes towards the client, or it passes again.
    pub fn stall_down(&mut self, node: usize, stalled: bool) {
        if let Some(up) = self.nodes[node].link.up_mut() {
            up.to_client.stalled = stalled;
        }
    }

    /// The relay dies, and every link with it.
    pub fn kill_relay(&mut self) {
        self.relay = None;
        self.owners.clear();
        self.parting.clear();
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.up().is_some() {
                self.cut_client_side(node);
            }
        }
    }

    /// A relay is there again: with the same secret, and nothing else of the old one.
    pub fn start_relay(&mut self) {
        self.relay = Some(Relay::new(self.relay_config.clone(), self.rng.bytes()));
    }

    /// The same with another secret: no token of the old one is worth anything.
    pub fn start_relay_with(&mut self, secret: RelaySecret) {
        self.relay_config.secret = secret;
        self.start_relay();
    }

    /// The relay tells its clients to come back after a time, and stops.
    pub fn drain_relay_for(&mut self, time: Duration) {
        let now = self.now;
        if let Some(relay) = &mut self.relay {
            relay.drain(now, time);
        }
        self.drain_relay();
        self.run_for(Duration::from_millis(100));
        self.kill_relay();
    }

    /// The relay's name of a client's link.
    #[must_use]
    pub fn conn(&self, node: usize) -> Option<ConnId> {
        self.nodes[node].link.up().and_then(|up| up.conn)
    }

    /// Puts a frame of anybody's making on the way to the relay, as if the client had sent it.
    pub fn inject_to_relay(&mut self, node: usize, frame: &[u8]) {
        let at = self.now;
        if let Some(up) = self.nodes[node].link.up_mut() {
            up.to_relay.push(at, Message::Frame(frame.to_vec()));
        }
        self.settle();
    }

    /// Puts a frame of anybody's making on the way to a client, as if the relay had sent it.
    pub fn inject_to_client(&mut self, node: usize, frame: &[u8]) {
        let at = self.now;
        if let Some(up) = self.nodes[node].link.up_mut() {
            up.to_client.push(at, Message::Frame(frame.to_vec()));
        }
        self.settle();
    }

    /// Whether nothing is on its way on any link.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let empty = |up: &Up| up.to_relay.is_empty() && up.to_client.is_empty();
        self.nodes.iter().all(|node| node.link.up().is_none_or(empty))
    }

    /// Tells the time to every machine whose deadline has not come.
    fn wake_early(&mut self) {
        let now = self.now;
        let is_later = |at: Option<Deadline>| at.is_none_or(|deadline| deadline.at > now);
        if let Some(relay) = &mut self.relay
            && let said = relay.poll_timeout()
            && is_later(said)
        {
            let _ = relay.handle(now, relay::Input::Timeout);
            let does = relay.poll_output();
            assert!(does.is_none(), "the relay does {does:?} at {now:?}, and had named {said:?}");
            assert_eq!(relay.poll_timeout(), said, "the relay's deadline moves at {now:?} without a reason");
        }
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let said = node.client.poll_timeout();
            if is_later(said) {
                node.client.handle(now, client::Input::Timeout);
                let does = node.client.poll_output();
                assert!(does.is_none(), "client {number} does {does:?} at {now:?}, and had named {said:?}");
                let says = node.client.poll_timeout();
                assert_eq!(says, said, "the deadline of client {number} moves at {now:?} without a reason");
            }
        }
    }

    // The relay's side.

    fn settle_relay(&mut self) -> bool {
        let mut busy = false;
        if self.relay.as_ref().and_then(Relay::poll_timeout).is_some_and(|deadline| deadline.at <= self.now) {
            self.relay_input(relay::Input::Timeout);
            busy = true;
            let next = self.relay.as_ref().and_then(Relay::poll_timeout);
            let now = self.now;
            assert!(
                next.is_none_or(|d| d.at > now),
                "the relay's deadline must move on: {next:?} at {now:?}"
            );
        }
        for node in 0..self.nodes.len() {
            loop {
                let now = self.now;
                let Some(up) = self.nodes[node].link.up_mut() else { break };
                if up.blocked_by.is_some() {
                    break;
                }
                let Some(message) = up.to_relay.pop(now) else { break };
                busy = true;
                let Some(conn) = up.conn else { continue };
                self.at_relay(conn, message);
            }
        }
        busy | self.settle_parting()
    }

    fn settle_parting(&mut self) -> bool {
        let mut busy = false;
        let mut parting = std::mem::take(&mut self.parting);
        for (conn, pipe) in &mut parting {
            while let Some(message) = pipe.pop(self.now) {
                busy = true;
                self.at_relay(*conn, message);
            }
        }
        parting.retain(|(_, pipe)| !pipe.is_empty());
        self.parting.append(&mut parting);
        busy
    }

    fn at_relay(&mut self, from: ConnId, message: Message) {
        match message {
            Message::Frame(frame) => self.frame_at_relay(from, frame),
            Message::Close(_) => {
                self.relay_input(relay::Input::Closed { conn: from });
                self.forget_conn(from);
            }
        }
    }

    fn frame_at_relay(&mut self, from: ConnId, mut frame: Vec<u8>) {
        let Some(relay) = &mut self.relay else { return };
        if let Some(captured) = &mut self.captured {
            captured.extend_from_slice(&frame);
        }
        let handled = relay.handle(self.now, relay::Input::Frame { from, frame: &mut frame });
        self.drain_relay();
        if let Handled::Forward(to) = handled {
            self.deliver(self.owners.get(&from).copied(), to, frame);
            self.block_if_full(from, to);
        }
    }

    /// A receiver that is full holds up its sender, as a relay with bounded queues does.
    fn block_if_full(&mut self, from: ConnId, to: ConnId) {
        let (Some(&sender), Some(&receiver)) = (self.owners.get(&from), self.owners.get(&to)) else { return };
        let full = self.nodes[receiver]
            .link
            .up()
            .is_some_and(|up| up.to_client.bytes() > self.nodes[receiver].conditions.down_max);
        if full && let Some(up) = self.nodes[sender].link.up_mut().filter(|up| up.conn == Some(from)) {
            up.blocked_by = Some(receiver);
            self.relay_input(relay::Input::Blocked { from, to });
        }
    }

    fn relay_input(&mut self, input: relay::Input<'_>) {
        if let Some(relay) = &mut self.relay {
            let _ = relay.handle(self.now, input);
            self.drain_relay();
        }
    }

    fn drain_relay(&mut self) {
        while let Some(output) = self.relay.as_mut().and_then(Relay::poll_output) {
            match output {
                relay::Output::Transmit { to, frame, .. } => self.deliver(None, to, frame.to_vec()),
                relay::Output::Close { conn, code } => {
                    self.put(conn, Message::Close(code.to_wire()));
                    self.forget_conn(conn);
                }
                relay::Output::Unblock { from } => {
                    if let Some(&node) = self.owners.get(&from)
                        && let Some(up) = self.nodes[node].link.up_mut()
                    {
                        up.blocked_by = None;
                    }
                }
            }
        }
    }

    /// What the relay sends, as it is or as a hostile one would rather have it.
    fn deliver(&mut self, from: Option<usize>, to: ConnId, frame: Vec<u8>) {
        if let Some(captured) = &mut self.captured {
            captured.extend_from_slice(&frame);
        }
        let Some(&receiver) = self.owners.get(&to) else { return };
        self.passed.extend(from.map(|from| (from, receiver)));
        let Some(meddler) = &mut self.meddler else { return self.put(to, Message::Frame(frame)) };
        let mut frames = vec![frame];
        meddler.meddle(Passage { from, to: receiver, frames: &mut frames, rng: &mut self.rng });
        for frame in frames {
            self.put(to, Message::Frame(frame));
        }
    }

    fn put(&mut self, conn: ConnId, message: Message) {
        let Some(&node) = self.owners.get(&conn) else { return };
        let node = &mut self.nodes[node];
        let at = self.now + node.conditions.delay;
        if let Some(up) = node.link.up_mut().filter(|up| up.conn == Some(conn)) {
            up.to_client.push(at, message);
        }
    }

    fn forget_conn(&mut self, conn: ConnId) {
        let Some(node) = self.owners.remove(&conn) else { return };
        if let Some(up) = self.nodes[node].link.up_mut().filter(|up| up.conn == Some(conn)) {
            up.conn = None;
            // Whoever waited for this receiver waits no more.
            self.unblock_senders_to(node);
        }
    }

    fn unblock_senders_to(&mut self, receiver: usize) {
        for sender in 0..self.nodes.len() {
            let Some(up) = self.nodes[sender].link.up_mut() else { continue };
            if up.blocked_by == Some(receiver) {
                up.blocked_by = None;
                if let Some(from) = up.conn {
                    self.relay_input(relay::Input::Unblocked { from });
                }
            }
        }
    }

    // A client's side.

    fn settle_node(&mut self, index: usize) -> bool {
        let now = self.now;
        let mut busy = self.dial_done(index);
        let (due, drained) = self.arrived(index);
        busy |= !due.is_empty();
        let node = &mut self.nodes[index];
        for message in due {
            match message {
                Message::Frame(frame) => {
                    self.trace.update(&now.as_micros().to_be_bytes()).update(&frame);
                    node.client.handle(now, client::Input::Received(BytesMut::from(Bytes::from(frame))));
                }
                Message::Close(code) => {
                    node.link = Link::Down;
                    let code = CloseCode::from_wire(code);
                    node.client.handle(now, client::Input::Disconnected { code });
                }
            }
        }
        if drained {
            self.unblock_senders_to(index);
        }
        busy |= self.drain_client(index);
        let deadline = |world: &Self| world.nodes[index].client.poll_timeout();
        if deadline(self).is_some_and(|deadline| deadline.at <= now) {
            busy = true;
            self.nodes[index].client.handle(now, client::Input::Timeout);
            self.drain_client(index);
            let next = deadline(self);
            assert!(
                next.is_none_or(|d| d.at > now),
                "the client's deadline must move on: {next:?} at {now:?}"
            );
        }
        // What has been taken makes room, of which the client may have something to say.
        let took = self.nodes[index].read(now);
        busy | (took && self.drain_client(index))
    }

    /// Messages that have reached the client, and whether its link has room again.
    fn arrived(&mut self, index: usize) -> (Vec<Message>, bool) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let Some(up) = node.link.up_mut() else { return (Vec::new(), false) };
        let due: Vec<_> = std::iter::from_fn(|| up.to_client.pop(now)).collect();
        let drained = !due.is_empty() && up.to_client.bytes() <= node.conditions.down_max / 2;
        (due, drained)
    }

    fn dial_done(&mut self, index: usize) -> bool {
        let Link::Dialing { until } = self.nodes[index].link else { return false };
        if until > self.now {
            return false;
        }
        let opened = match &mut self.relay {
            Some(relay) if self.nodes[index].reachable => relay.open(self.now, self.nodes[index].source).ok(),
            _ => None,
        };
        let node = &mut self.nodes[index];
        match opened {
            Some(conn) => {
                self.dials += 1;
                node.link = Link::Up(Up::new(conn));
                self.owners.insert(conn, index);
                node.client.handle(self.now, client::Input::Connected);
                self.drain_relay();
            }
            None => {
                node.link = Link::Down;
                node.client.handle(self.now, client::Input::DialFailed);
            }
        }
        true
    }

    fn drain_client(&mut self, index: usize) -> bool {
        let now = self.now;
        let mut busy = false;
        loop {
            let node = &mut self.nodes[index];
            node.tell_room(now);
            let trace = &mut self.trace;
            let Some(output) = node.poll(|event| {
                trace.update(&now.as_micros().to_be_bytes()).update(format!("{event:?}").as_bytes());
            }) else {
                break;
            };
            busy = true;
            match output {
                client::Output::Dial { .. } => {
                    node.link = Link::Dialing { until: now + node.conditions.dial }
                }
                client::Output::Transmit(frame) => {
                    self.trace.update(&now.as_micros().to_be_bytes()).update(&frame);
                    let at = now + node.conditions.delay;
                    if let Some(up) = node.link.up_mut() {
                        up.to_relay.push(at, Message::Frame(frame.into()));
                    }
                }
                client::Output::HangUp(code) => self.hang_up(index, code),
                client::Output::Event(_) => {}
            }
        }
        busy
    }

    /// The client is done with its link; what it sent before still arrives, and then its close.
    fn hang_up(&mut self, index: usize, code: CloseCode) {
        let node = &mut self.nodes[index];
        let at = self.now + node.conditions.delay;
        if let Link::Up(Up { conn: Some(conn), mut to_relay, .. }) =
            std::mem::replace(&mut node.link, Link::Down)
        {
            to_relay.push(at, Message::Close(code.to_wire()));
            self.parting.push((conn, to_relay));
        }
        self.unblock_senders_to(index);
    }

    // Short cuts for tests.

    /// Brings every client online.
    ///
    /// # Panics
    /// That takes more than a minute.
    pub fn join_all(&mut self) {
        let joined = self.run_until(Duration::from_secs(60), |world| {
            world.nodes.iter().all(|node| node.client.id().is_some())
        });
        assert!(joined, "not every client came online");
    }

    /// Lets `a` ask `b`, and `b` accept; returns the channel as each of them knows it.
    ///
    /// # Panics
    /// No channel comes of it within a minute.
    pub fn meet(&mut self, a: usize, b: usize) -> (ChannelId, ChannelId) {
        const LIMIT: Duration = Duration::from_secs(60);
        let (asker, asked) = (self.id(a), self.id(b));
        let mark = self.nodes[b].events.len();
        self.act(a, |client, now| client.connect(now, asked)).expect("the client may ask");
        let shown = self.run_until(LIMIT, |world| world.nodes[b].request_from(asker, mark).is_some());
        assert!(shown, "the request did not arrive");
        let request = self.nodes[b].request_from(asker, mark).expect("it has just been seen");
        self.act(b, |client, now| client.accept(now, request)).expect("the request waits");
        let ends =
            |world: &Self| Some((world.nodes[a].channel_with(asked)?, world.nodes[b].channel_with(asker)?));
        let open = self.run_until(LIMIT, |world| ends(world).is_some());
        assert!(open, "no channel was opened");
        ends(self).expect("both are open")
    }

    /// Runs until both ends of a channel are secured.
    ///
    /// # Panics
    /// That takes more than a minute.
    pub fn secure(&mut self, a: (usize, ChannelId), b: (usize, ChannelId)) {
        let secured =
            |world: &Self, (node, channel): (usize, ChannelId)| world.nodes[node].client.is_secured(channel);
        let both = self.run_until(Duration::from_secs(60), |world| secured(world, a) && secured(world, b));
        assert!(both, "the channel was not secured");
    }
}
