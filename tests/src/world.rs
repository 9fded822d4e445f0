//! The world: it moves messages and time, and nothing else. All decisions are the machines'.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use phantom_core::client::{self, Client, ClientConfig, Event};
use phantom_core::id::{ChannelId, ConnId, PeerId};
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelaySecret};
use phantom_core::rng::Rng;
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::CloseCode;

use crate::link::{Conditions, Link, Message, Pipe, Up};

/// One client and its transport.
pub struct Node {
    /// The machine. Commands may be given to it at any time; [`World::settle`] carries out what follows from them.
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
    link: Link,
}

impl Node {
    /// The latest channel it was told of.
    #[must_use]
    pub fn channel(&self) -> Option<ChannelId> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Opened { channel, .. } => Some(*channel),
            _ => None,
        })
    }

    /// Whether it has told of an event like this.
    pub fn heard(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    /// The packets taken from the latest channel.
    #[must_use]
    pub fn packets(&self) -> &[Bytes] {
        self.channel().and_then(|channel| self.received.get(&channel)).map_or(&[], Vec::as_slice)
    }
}

/// A forwarded frame that passes the relay, and what may be done with it by a hostile one.
pub struct Passage<'a> {
    /// Which client it came from, and which it goes to.
    pub from: usize,
    /// As above.
    pub to: usize,
    /// The frame as the receiver would get it. Whatever is in this list is delivered instead, in order.
    pub frames: &'a mut Vec<Vec<u8>>,
    /// For choices.
    pub rng: &'a mut Rng,
}

/// What a hostile relay does with each forwarded frame.
pub type Meddler = Box<dyn FnMut(Passage<'_>)>;

/// One relay, many clients, one clock.
pub struct World {
    /// The time of the world.
    pub now: Instant,
    /// The relay; none while it is down.
    pub relay: Option<Relay>,
    /// The clients.
    pub nodes: Vec<Node>,
    /// If set, every forwarded frame passes through it.
    pub meddler: Option<Meddler>,
    /// Every byte the relay has seen in forwarded frames, for tests that search it.
    pub captured: Option<Vec<u8>>,
    /// Of everything that was moved, in order: two runs of one seed have the same.
    trace: blake3::Hasher,
    rng: Rng,
    owners: BTreeMap<ConnId, usize>,
    restarts: u8,
    relay_config: RelayConfig,
}

impl World {
    /// A world with a relay and no clients; all chance in it comes of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let secret = RelaySecret::new(1, [0x5e; 32]);
        Self::with_relay(seed, RelayConfig::new(secret, 1_800_000_000))
    }

    /// The same with a relay made of `config`.
    #[must_use]
    pub fn with_relay(seed: u64, config: RelayConfig) -> Self {
        let mut rng = Rng::from_seed(blake3::hash(&seed.to_be_bytes()).as_bytes());
        let relay = Relay::new(config.clone(), rng.bytes());
        Self {
            now: Instant::from_micros(1_000_000),
            relay: Some(relay),
            nodes: Vec::new(),
            meddler: None,
            captured: None,
            trace: blake3::Hasher::new(),
            rng,
            owners: BTreeMap::new(),
            restarts: 0,
            relay_config: config,
        }
    }

    /// Adds a client; its index is the number of clients before.
    pub fn add(&mut self, config: ClientConfig) -> usize {
        let client = Client::new(config, self.rng.bytes());
        self.nodes.push(Node {
            client,
            conditions: Conditions::default(),
            events: Vec::new(),
            received: BTreeMap::new(),
            reads: true,
            reachable: true,
            link: Link::Down,
        });
        self.nodes.len() - 1
    }

    /// The world's own generator, for the choices of a test.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// A digest of everything that has been moved so far, and when.
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

    /// Runs until `done` or for `limit`, whichever comes first; says which.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            match self.next() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => {
                    self.now = end;
                    return false;
                }
            }
        }
    }

    /// Runs for a time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Does everything that is due now, until nothing is.
    ///
    /// # Panics
    /// A machine breaks its contract: its deadline does not move on though it was told the time and drained.
    pub fn settle(&mut self) {
        loop {
            let mut busy = self.settle_relay();
            for node in 0..self.nodes.len() {
                busy |= self.settle_node(node);
            }
            if !busy {
                break;
            }
        }
    }

    /// The next moment at which anything happens.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let relay = self.relay.as_ref().and_then(|relay| relay.poll_timeout()).map(|deadline| deadline.at);
        let nodes = self.nodes.iter().flat_map(|node| {
            let client = node.client.poll_timeout().map(|deadline| deadline.at);
            let link = match &node.link {
                Link::Down => [None, None],
                Link::Dialing { until } => [Some(*until), None],
                Link::Up(up) => [up.to_relay.due().filter(|_| up.blocked_by.is_none()), up.to_client.due()],
            };
            [client, link[0], link[1]]
        });
        nodes.flatten().chain(relay).min()
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
        if let Link::Up(_) | Link::Dialing { .. } = self.nodes[node].link {
            self.nodes[node].link = Link::Down;
            self.nodes[node].client.handle(self.now, client::Input::Disconnected { code: None });
        }
        // The relay's end stays in `owners`: what it sends there goes nowhere.
        self.settle();
    }

    /// Nothing passes the link of a client any more, in either direction, and nobody notices; or it passes again.
    pub fn stall(&mut self, node: usize, stalled: bool) {
        if let Link::Up(up) = &mut self.nodes[node].link {
            up.to_relay.stalled = stalled;
            up.to_client.stalled = stalled;
        }
    }

    /// Nothing passes towards the client, or it passes again.
    pub fn stall_down(&mut self, node: usize, stalled: bool) {
        if let Link::Up(up) = &mut self.nodes[node].link {
            up.to_client.stalled = stalled;
        }
    }

    /// The relay dies, and every link with it.
    pub fn kill_relay(&mut self) {
        self.relay = None;
        self.owners.clear();
        for node in 0..self.nodes.len() {
            self.cut_client_side(node);
        }
    }

    /// A relay is there again: with the same secret, and nothing else of the old one.
    pub fn start_relay(&mut self) {
        self.restarts += 1;
        let mut config = self.relay_config.clone();
        config.unix_origin = self.relay_config.unix_origin;
        self.relay = Some(Relay::new(config, self.rng.bytes()));
    }

    /// The relay's name of a client's link.
    #[must_use]
    pub fn conn(&self, node: usize) -> Option<ConnId> {
        match &self.nodes[node].link {
            Link::Up(up) => up.conn,
            _ => None,
        }
    }

    /// Puts a frame of anybody's making on the way to the relay, as if the client had sent it.
    pub fn inject_to_relay(&mut self, node: usize, frame: &[u8]) {
        let at = self.now;
        if let Link::Up(up) = &mut self.nodes[node].link {
            up.to_relay.push(at, Message::Frame(frame.to_vec()));
        }
    }

    /// Puts a frame of anybody's making on the way to a client, as if the relay had sent it.
    pub fn inject_to_client(&mut self, node: usize, frame: &[u8]) {
        let at = self.now;
        if let Link::Up(up) = &mut self.nodes[node].link {
            up.to_client.push(at, Message::Frame(frame.to_vec()));
        }
    }

    // Moving.

    fn settle_relay(&mut self) -> bool {
        let mut busy = false;
        if self.relay.as_ref().and_then(Relay::poll_timeout).is_some_and(|deadline| deadline.at <= self.now) {
            self.relay_input(relay::Input::Timeout);
            busy = true;
            let next = self.relay.as_ref().and_then(Relay::poll_timeout);
            assert!(
                next.is_none_or(|d| d.at > self.now),
                "the relay's deadline must move on: {next:?} at {:?}",
                self.now
            );
        }
        for node in 0..self.nodes.len() {
            loop {
                let now = self.now;
                let Link::Up(up) = &mut self.nodes[node].link else { break };
                if up.blocked_by.is_some() {
                    break;
                }
                let Some(message) = up.to_relay.pop(now) else { break };
                busy = true;
                let Some(conn) = up.conn else { continue };
                match message {
                    Message::Frame(mut frame) => self.frame_at_relay(node, conn, &mut frame),
                    Message::Close(_) => {
                        self.relay_input(relay::Input::Closed { conn });
                        self.forget_conn(conn);
                    }
                }
            }
        }
        busy
    }

    fn frame_at_relay(&mut self, node: usize, conn: ConnId, frame: &mut [u8]) {
        let Some(relay) = &mut self.relay else { return };
        let handled = relay.handle(self.now, relay::Input::Frame { from: conn, frame });
        self.drain_relay();
        if let Handled::Forward(to) = handled {
            if let Some(captured) = &mut self.captured {
                captured.extend_from_slice(frame);
            }
            let Some(&receiver) = self.owners.get(&to) else { return };
            let mut frames = vec![frame.to_vec()];
            if let Some(meddler) = &mut self.meddler {
                meddler(Passage { from: node, to: receiver, frames: &mut frames, rng: &mut self.rng });
            }
            for frame in frames {
                self.to_client(to, Message::Frame(frame));
            }
            self.block_if_full(node, conn, receiver, to);
        }
    }

    /// A receiver that is full holds up its sender, as a relay with bounded queues does.
    fn block_if_full(&mut self, sender: usize, from: ConnId, receiver: usize, to: ConnId) {
        let Link::Up(up) = &self.nodes[receiver].link else { return };
        if up.to_client.bytes() > self.nodes[receiver].conditions.down_max
            && let Link::Up(up) = &mut self.nodes[sender].link
        {
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
                relay::Output::Transmit { to, frame } => self.to_client(to, Message::Frame(frame.to_vec())),
                relay::Output::Close { conn, code } => {
                    self.to_client(conn, Message::Close(code.to_wire()));
                    self.forget_conn(conn);
                }
                relay::Output::Unblock { from } => {
                    if let Some(&node) = self.owners.get(&from)
                        && let Link::Up(up) = &mut self.nodes[node].link
                    {
                        up.blocked_by = None;
                    }
                }
            }
        }
    }

    fn to_client(&mut self, conn: ConnId, message: Message) {
        let Some(&node) = self.owners.get(&conn) else { return };
        let at = self.now + self.nodes[node].conditions.delay;
        if let Link::Up(up) = &mut self.nodes[node].link
            && up.conn == Some(conn)
        {
            up.to_client.push(at, message);
        }
    }

    fn forget_conn(&mut self, conn: ConnId) {
        if let Some(node) = self.owners.remove(&conn)
            && let Link::Up(up) = &mut self.nodes[node].link
            && up.conn == Some(conn)
        {
            up.conn = None;
            // Whoever waited for this receiver waits no more.
            self.unblock_senders_to(node);
        }
    }

    fn unblock_senders_to(&mut self, receiver: usize) {
        for sender in 0..self.nodes.len() {
            let Link::Up(up) = &mut self.nodes[sender].link else { continue };
            if up.blocked_by != Some(receiver) {
                continue;
            }
            up.blocked_by = None;
            if let Some(from) = up.conn {
                self.relay_input(relay::Input::Unblocked { from });
            }
        }
    }

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
                    node.client.handle(now, client::Input::Received(BytesMut::from(&frame[..])));
                }
                Message::Close(code) => {
                    node.link = Link::Down;
                    let code = CloseCode::from_wire(code);
                    node.client.handle(now, client::Input::Disconnected { code });
                }
            }
            Self::read_packets(node, now);
        }
        if drained {
            self.unblock_senders_to(index);
        }
        let node = &mut self.nodes[index];
        if node.client.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
            busy = true;
            node.client.handle(now, client::Input::Timeout);
            self.drain_client(index);
            let next = self.nodes[index].client.poll_timeout();
            assert!(
                next.is_none_or(|d| d.at > now),
                "the client's deadline must move on: {next:?} at {now:?}"
            );
        }
        let node = &mut self.nodes[index];
        Self::read_packets(node, now);
        busy | self.drain_client(index)
    }

    /// Messages that have reached the client, and whether its link has room again.
    fn arrived(&mut self, index: usize) -> (Vec<Message>, bool) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let Link::Up(up) = &mut node.link else { return (Vec::new(), false) };
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
            Some(relay) if self.nodes[index].reachable => relay.open(self.now).ok(),
            _ => None,
        };
        let node = &mut self.nodes[index];
        match opened {
            Some(conn) => {
                node.link = Link::Up(Up {
                    conn: Some(conn),
                    to_relay: Pipe::default(),
                    to_client: Pipe::default(),
                    blocked_by: None,
                });
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

    fn read_packets(node: &mut Node, now: Instant) {
        if !node.reads {
            return;
        }
        let channels: Vec<_> = node
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Opened { channel, .. } => Some(*channel),
                _ => None,
            })
            .collect();
        for channel in channels {
            while let Some(packet) = node.client.receive(now, channel) {
                node.received.entry(channel).or_default().push(packet);
            }
        }
    }

    fn drain_client(&mut self, index: usize) -> bool {
        let now = self.now;
        let mut busy = false;
        loop {
            let node = &mut self.nodes[index];
            let room = match &node.link {
                Link::Up(up) => node.conditions.up_max.saturating_sub(up.to_relay.bytes()),
                _ => 0,
            };
            node.client.handle(now, client::Input::Writable(room));
            let Some(output) = node.client.poll_output() else { break };
            busy = true;
            match output {
                client::Output::Event(event) => node.events.push(event),
                client::Output::Dial { .. } => {
                    node.link = Link::Dialing { until: now + node.conditions.dial }
                }
                client::Output::Transmit(frame) => {
                    self.trace.update(&now.as_micros().to_be_bytes()).update(&frame);
                    let at = now + node.conditions.delay;
                    if let Link::Up(up) = &mut node.link {
                        up.to_relay.push(at, Message::Frame(frame.to_vec()));
                    }
                }
                client::Output::HangUp(_) => {
                    let conn = match &node.link {
                        Link::Up(up) => up.conn,
                        _ => None,
                    };
                    node.link = Link::Down;
                    if let Some(conn) = conn {
                        self.relay_input(relay::Input::Closed { conn });
                        self.forget_conn(conn);
                    }
                }
            }
        }
        busy
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
        let (now, target) = (self.now, self.id(b));
        let from = self.id(a);
        self.nodes[a].client.connect(now, target).expect("the client may ask");
        let mark = self.nodes[b].events.len();
        let asked =
            self.run_until(Duration::from_secs(60), |world| world.incoming_since(b, mark, from).is_some());
        assert!(asked, "the request did not arrive");
        let request = self.incoming_since(b, mark, from).expect("it has just been seen");
        let now = self.now;
        self.nodes[b].client.accept(now, request).expect("the request waits");
        let with = |world: &Self, node: usize, peer: PeerId| {
            let client = &world.nodes[node].client;
            client.channels().find(|&channel| client.opponent(channel) == Some(peer))
        };
        let open = self.run_until(Duration::from_secs(60), |world| {
            with(world, a, target).is_some() && with(world, b, from).is_some()
        });
        assert!(open, "no channel was opened");
        (with(self, a, target).expect("open"), with(self, b, from).expect("open"))
    }

    fn incoming_since(&self, node: usize, mark: usize, peer: PeerId) -> Option<phantom_core::id::RequestId> {
        self.nodes[node].events[mark..].iter().find_map(|event| match event {
            Event::Incoming { request, from } if *from == peer => Some(*request),
            _ => None,
        })
    }
}
