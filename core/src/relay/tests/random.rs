//! Clients at random, honest and hostile: after each step the relay has done exactly what the [`model`](super::model) says, and
//! the [`World`] has checked the tables.

use std::string::String;
use std::{format, vec};

use proptest::prelude::*;

use super::model::{Joined, Member, Model, nonce, words};
use super::*;

/// Clients at once. One more than the relay takes connections.
const CLIENTS: usize = 6;

/// One step: who, what, and whether it is done even where an honest client would first open, register, or hold its tongue.
type Step = (usize, Act, bool);

/// What one client does, or what happens to it.
#[derive(Clone, Debug)]
enum Act {
    Open,
    Register(u8),
    /// Takes back the ID last given to that client, over a connection that has just been opened.
    Reclaim(usize),
    Connect {
        target: usize,
        step: u32,
    },
    ConnectNobody,
    Accept(usize),
    Cancel(usize),
    Withdraw(usize),
    Close(usize),
    Forward(usize),
    Rejoin(u8, u8),
    Ping,
    Bytes(Vec<u8>),
    Disconnect,
    /// Held up by its partner in one of its channels, or by any client.
    Blocked(usize),
    BlockedBy(usize),
    Unblocked,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let any_client = 0..CLIENTS;
    let pick = 0..8_usize;
    let act = prop_oneof![
        6 => Just(Act::Open),
        8 => (0..4_u8).prop_map(Act::Register),
        2 => any_client.clone().prop_map(Act::Reclaim),
        20 => (any_client.clone(), 1..4_u32).prop_map(|(target, step)| Act::Connect { target, step }),
        3 => any_client.clone().prop_map(|target| Act::Connect { target, step: 0 }),
        2 => Just(Act::ConnectNobody),
        16 => pick.clone().prop_map(Act::Accept),
        3 => pick.clone().prop_map(Act::Cancel),
        3 => pick.clone().prop_map(Act::Withdraw),
        4 => pick.clone().prop_map(Act::Close),
        10 => pick.clone().prop_map(Act::Forward),
        12 => (0..4_u8, 0..2_u8).prop_map(|(value, role)| Act::Rejoin(value, role)),
        4 => Just(Act::Ping),
        8 => prop::collection::vec(any::<u8>(), 0..12).prop_map(Act::Bytes),
        1 => Just(Act::Disconnect),
        4 => pick.prop_map(Act::Blocked),
        1 => any_client.prop_map(Act::BlockedBy),
        2 => Just(Act::Unblocked),
        6 => (0..9_000_u64).prop_map(Act::Pass),
    ];
    // Half of what happens, happens to two clients, so that stories come about.
    (prop_oneof![0..CLIENTS, 0..2_usize], act, prop::bool::weighted(0.03))
}

fn script(steps: core::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), steps)
}

/// Where a client dials from: two from one address, two from one site, one from its own, one from nobody knows where.
fn source(client: usize) -> Source {
    let from = |address: &str| Source::Address(address.parse().unwrap());
    match client {
        0 | 1 => from("192.0.2.1"),
        2 => from("192.0.2.2"),
        3 => from("2001:db8:0:1::1"),
        4 => from("2001:db8:0:2::1"),
        _ => Source::Unknown,
    }
}

/// The relay and its model, side by side.
struct Pair {
    world: World,
    model: Model,
    conns: [Option<ConnId>; CLIENTS],
    /// What each client was last welcomed with.
    welcomes: [Option<Welcome>; CLIENTS],
    challenges: BTreeMap<ConnId, [u8; 16]>,
    /// Every channel number ever told to a connection.
    numbers: BTreeSet<(ConnId, u32)>,
    opened: usize,
    attached: usize,
    ended: BTreeSet<Ended>,
}

impl Pair {
    fn new() -> Self {
        let world = World::with(|config| {
            let limits = &mut config.limits;
            limits.connections_max = CLIENTS - 1;
            (limits.requests_out_max, limits.requests_in_max) = (2, 2);
            // Short against the idle time, so that each of them ends now and then.
            limits.request_lifetime = Duration::from_secs(8);
            limits.stuck_timeout = Duration::from_secs(6);
            limits.rejoin_lifetime = Duration::from_secs(12);
            limits.requests_source_max = 3;
            limits.connect_rate = Rate::new(6, Duration::from_secs(2));
            limits.connect_source_rate = Rate::new(8, Duration::from_secs(1));
            limits.pair_rate = Rate::new(3, Duration::from_secs(9));
            limits.prompt_rate = Rate::new(4, Duration::from_secs(8));
            limits.exact_rate = Rate::new(3, Duration::from_secs(10));
            limits.exact_total_rate = Rate::new(4, Duration::from_secs(3));
            limits.sources_max = 4;
        });
        let model = Model::new(world.relay.limits.clone(), world.now);
        Self {
            world,
            model,
            conns: [None; CLIENTS],
            welcomes: [None; CLIENTS],
            challenges: BTreeMap::new(),
            numbers: BTreeSet::new(),
            opened: 0,
            attached: 0,
            ended: BTreeSet::new(),
        }
    }

    fn run(script: &[Step]) -> Self {
        let mut pair = Self::new();
        for (number, (client, act, hostile)) in script.iter().enumerate() {
            let act = if *hostile { act.clone() } else { pair.honest(*client, act) };
            pair.act(*client, &act);
            pair.compare(&format!("step {number}: client {client}, {act:?}"));
        }
        pair
    }

    /// What an honest client would do instead.
    fn honest(&self, client: usize, act: &Act) -> Act {
        let conn = self.conns[client];
        let joined = conn.is_some_and(|conn| self.model.joined(conn).is_some());
        match act {
            Act::Pass(_) | Act::Disconnect => act.clone(),
            _ if conn.is_none() => Act::Open,
            Act::Reclaim(_) if !joined => act.clone(),
            _ if !joined => Act::Register(1 + u8::try_from(client % 3).unwrap()),
            Act::Register(_) | Act::Reclaim(_) | Act::Bytes(_) | Act::Connect { step: 0, .. } => Act::Ping,
            _ => act.clone(),
        }
    }

    fn act(&mut self, client: usize, act: &Act) {
        match (act, self.conns[client]) {
            (Act::Pass(millis), _) => {
                let time = Duration::from_millis(*millis);
                self.model.pass(self.world.now + time);
                self.world.pass(time);
            }
            (Act::Open, None) => {
                let opened = self.world.try_open(source(client));
                let expected = self.model.members.len() < CLIENTS - 1;
                assert_eq!(opened.is_ok(), expected);
                if let Ok(conn) = opened {
                    self.conns[client] = Some(conn);
                    let ends = self.model.now + self.model.limits.register_timeout;
                    self.model.members.push(Member {
                        conn,
                        source: source(client),
                        ends,
                        blocked: None,
                        joined: None,
                    });
                    self.model.said.entry(conn).or_default().push("hello".into());
                }
            }
            (Act::Open, Some(_)) | (_, None) => {}
            (Act::Disconnect, Some(conn)) => {
                self.model.leave(conn);
                self.world.tell(Input::Closed { conn });
                self.conns[client] = None;
            }
            (Act::Blocked(pick), Some(conn)) => {
                let numbers = self.model.numbers(conn);
                if let Some(&number) = numbers.get(pick % numbers.len().max(1)) {
                    let (to, _) = self.model.far_end(conn, number).unwrap();
                    self.block(conn, to);
                }
            }
            (&Act::BlockedBy(other), Some(conn)) => {
                if let Some(to) = self.conns[other] {
                    self.block(conn, to);
                }
            }
            (Act::Unblocked, Some(from)) => {
                if self.model.member(from).blocked.take().is_some() {
                    self.model.heard(from);
                }
                self.world.tell(Input::Unblocked { from });
            }
            (Act::Bytes(bytes), Some(conn)) => self.bytes(conn, bytes),
            (Act::Forward(pick), Some(conn)) => {
                let number = self.pick_number(conn, *pick);
                self.model.heard(conn);
                let expected = self.model.far_end(conn, number);
                if self.model.joined(conn).is_none() {
                    self.model.close(conn, CloseCode::NotRegistered);
                }
                assert_eq!(self.world.forward(conn, number), expected);
            }
            (_, Some(conn)) => {
                if let Some(frame) = self.frame(conn, act) {
                    self.model.heard(conn);
                    self.foresee(conn, frame);
                    self.world.send(conn, frame);
                }
            }
        }
    }

    fn block(&mut self, from: ConnId, to: ConnId) {
        if self.model.member(from).blocked.take().is_some() {
            self.model.heard(from);
        }
        if self.model.partners(from, to) {
            let ends = self.model.now + self.model.limits.stuck_timeout;
            self.model.member(from).blocked = Some((to, ends));
        } else {
            self.model.unblocked.push(from);
        }
        self.world.tell(Input::Blocked { from, to });
    }

    /// Bytes that may happen to be a frame are left out; what is none ends the connection.
    fn bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        let code = match ClientFrame::decode(bytes) {
            Ok(_) => return,
            Err(_) if bytes.first() == Some(&FORWARD) && bytes.len() > 5 => return,
            Err(_) if bytes.first() == Some(&FORWARD) => CloseCode::Malformed,
            Err(error) => error.close_code(),
        };
        self.model.close(conn, code);
        self.world.send_bytes(conn, bytes);
    }

    /// One of its open channels, or one that it had, or one that was never there.
    fn pick_number(&self, conn: ConnId, pick: usize) -> u32 {
        let known: Vec<_> =
            self.numbers.iter().filter(|known| known.0 == conn).map(|known| known.1).collect();
        let open = self.model.numbers(conn);
        match pick {
            0..5 if !open.is_empty() => open[pick % open.len()],
            5..7 if !known.is_empty() => known[pick % known.len()],
            _ => 0x101,
        }
    }

    fn frame(&self, conn: ConnId, act: &Act) -> Option<ClientFrame> {
        use ClientFrame as F;
        let last_request = self.model.joined(conn).map_or(0, |joined| joined.last_request);
        let prompts: Vec<_> =
            self.model.asked.iter().filter_map(|a| a.prompt).filter(|a| a.0 == conn).map(|a| a.1).collect();
        let prompt = |pick: usize| prompts.get(pick).or(prompts.first()).copied().unwrap_or(1);
        Some(match *act {
            Act::Register(channels) => F::Register { version: VERSION, channels },
            Act::Reclaim(client) => {
                let Welcome { id, owner, kid, expiry, token_key, .. } = self.welcomes[client]?;
                let mac = reclaim_mac(&token_key, self.challenges.get(&conn)?);
                F::Reclaim { version: VERSION, channels: 2, kid, id, owner, expiry, mac }
            }
            Act::Connect { target, step } => {
                let (target, request) = (self.welcomes[target]?.id, last_request + step);
                F::Connect { request, target, nonce: nonce(conn, request) }
            }
            Act::ConnectNobody => {
                let (target, request) = ("ZZZZZZ".parse().unwrap(), last_request + 1);
                F::Connect { request, target, nonce: nonce(conn, request) }
            }
            Act::Accept(pick) => F::Accept { request: prompt(pick), nonce: nonce(conn, prompt(pick)) },
            Act::Cancel(pick) => F::Cancel { request: prompt(pick) },
            Act::Withdraw(pick) => {
                let mine: Vec<_> =
                    self.model.asked.iter().filter(|a| a.source == conn).map(|a| a.number).collect();
                F::Withdraw { request: mine.get(pick).or(mine.first()).copied().unwrap_or(last_request) }
            }
            Act::Close(pick) => F::Close { channel: self.pick_number(conn, pick) },
            Act::Rejoin(value, role) => F::Rejoin { rendezvous: [value; 16], role },
            Act::Ping => F::Ping { token: 3 },
            _ => return None,
        })
    }

    fn foresee(&mut self, conn: ConnId, frame: ClientFrame) {
        use ClientFrame as F;
        let model = &mut self.model;
        let joined = model.joined(conn).is_some();
        match frame {
            F::Register { .. } | F::Reclaim { .. } if joined => {
                model.close(conn, CloseCode::AlreadyRegistered);
            }
            F::Register { channels: 0, .. } => model.close(conn, CloseCode::Malformed),
            F::Register { channels, .. } => self.join(conn, channels, None),
            F::Reclaim { channels, id, .. } => self.join(conn, channels, Some(id)),
            _ if !joined => model.close(conn, CloseCode::NotRegistered),
            F::Connect { request, target, .. } => model.connect(conn, request, target),
            F::Accept { request, .. } => model.accept(conn, request),
            F::Cancel { request } => {
                if let Some(at) = model.asked.iter().position(|a| a.prompt == Some((conn, request))) {
                    model.refuse(at, Answer::Declined);
                }
            }
            F::Withdraw { request } => {
                match model.asked.iter().position(|a| (a.source, a.number) == (conn, request)) {
                    Some(at) => {
                        let asked = model.asked.remove(at);
                        model.answer(conn, request, Answer::Withdrawn);
                        model.prompt_ended(&asked, Answer::Withdrawn);
                    }
                    None => model.answer(conn, request, Answer::NotConnected),
                }
            }
            F::Close { channel } => match model.far_end(conn, channel) {
                Some((other, _)) => model.cut(conn, channel, &[other], Ended::Closed),
                None => model.say(conn, RelayFrame::Closed { channel, reason: Ended::NotConnected }),
            },
            F::Rejoin { rendezvous, role } => model.rejoin(conn, rendezvous[0], role),
            F::Ping { token } => model.say(conn, RelayFrame::Pong { token }),
        }
    }

    /// Every token in this test is good, so a reclaim always succeeds.
    fn join(&mut self, conn: ConnId, channels: u8, reclaimed: Option<PeerId>) {
        if let Some(holder) = reclaimed.and_then(|id| self.model.holder(id)) {
            self.model.close(holder, CloseCode::Superseded);
        }
        let said = format!("welcome, reclaimed: {}", reclaimed.is_some());
        self.model.said.entry(conn).or_default().push(said);
        // A fresh ID becomes known with WELCOME; until then nobody can name it.
        let id = reclaimed.unwrap_or("000000".parse().unwrap());
        let ends = self.model.now + self.model.limits.idle_timeout;
        let member = self.model.member(conn);
        member.ends = ends;
        let (connects, shown) = Default::default();
        let room = usize::from(channels);
        member.joined = Some(Joined { id, room, last_request: 0, prompts: 0, connects, shown });
    }

    /// Takes what the relay did, learns the names it has chosen, and compares.
    fn compare(&mut self, step: &str) {
        let sent = core::mem::take(&mut self.world.sent);
        let mut said: BTreeMap<ConnId, Vec<String>> = BTreeMap::new();
        for (conn, frames) in sent {
            for frame in frames {
                self.learn(conn, frame);
                said.entry(conn).or_default().push(words(frame));
            }
        }
        let mut expected = core::mem::take(&mut self.model.said);
        said.values_mut().chain(expected.values_mut()).for_each(|words| words.sort());
        assert_eq!(said, expected, "{step}");
        let mut unblocked = core::mem::take(&mut self.world.unblocked);
        let mut expected = core::mem::take(&mut self.model.unblocked);
        unblocked.sort();
        expected.sort();
        assert_eq!(unblocked, expected, "{step}");
        assert_eq!(self.world.closed, self.model.closed, "{step}");
        for conn in &mut self.conns {
            conn.take_if(|conn| self.model.closed.contains_key(conn));
        }
        self.compare_channels(step);
    }

    fn learn(&mut self, conn: ConnId, frame: RelayFrame) {
        match frame {
            RelayFrame::Hello { challenge, .. } => {
                self.challenges.insert(conn, challenge);
            }
            RelayFrame::Welcome(welcome) => {
                self.model.member(conn).joined.as_mut().unwrap().id = welcome.id;
                let client = self.conns.iter().position(|&known| known == Some(conn)).unwrap();
                self.welcomes[client] = Some(welcome);
            }
            RelayFrame::Opened { channel, .. } | RelayFrame::Attached { channel, .. } => {
                assert!(self.numbers.insert((conn, channel)), "a channel number is used once");
                let unknown = (conn, None);
                let end = self.model.channels.iter_mut().flatten().find(|end| **end == unknown);
                end.expect("the model has a channel there").1 = Some(channel);
                match frame {
                    RelayFrame::Opened { .. } => self.opened += 1,
                    _ => self.attached += 1,
                }
            }
            RelayFrame::Closed { reason, .. } => {
                self.ended.insert(reason);
            }
            _ => {}
        }
    }

    /// The relay's own tables say the same as the model: who is here, who asks whom, who is connected with whom.
    fn compare_channels(&self, step: &str) {
        let relay = &self.world.relay;
        assert_eq!(relay.conns.len(), self.model.members.len(), "{step}");
        assert_eq!(relay.requests.len(), self.model.asked.len(), "{step}");
        assert_eq!(relay.waiting.len(), self.model.waits.len(), "{step}");
        assert_eq!(relay.stats.channels, self.model.channels.len() as u64, "{step}");
        for [a, b] in &self.model.channels {
            let other = relay.peer(a.0).unwrap().channels.other_end(a.1.unwrap()).unwrap();
            assert_eq!((other.conn, Some(other.channel)), (b.0, b.1), "{step}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_relay_does_what_the_model_says(script in script(100..200)) {
        Pair::run(&script);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn the_same_seed_and_calls_give_the_same_bytes(script in script(100..200)) {
        prop_assert_eq!(Pair::run(&script).world.transcript, Pair::run(&script).world.transcript);
    }
}

/// The scripts are not all noise: they reach what is worth testing.
#[test]
fn random_scripts_get_somewhere() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut answers, mut closed, mut ended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut opened, mut attached) = (0, 0);
    for _ in 0..100 {
        let script = script(150..200).new_tree(&mut runner).unwrap().current();
        let pair = Pair::run(&script);
        answers.extend(pair.world.relay.stats().answers.keys().copied());
        closed.extend(pair.world.closed.values().copied());
        ended.extend(pair.ended);
        opened += pair.opened;
        attached += pair.attached;
    }
    assert_eq!(answers.len(), 16, "{answers:?}");
    assert_eq!(ended.len(), 4, "{ended:?}");
    for code in [CloseCode::Violation, CloseCode::Idle, CloseCode::Superseded, CloseCode::RegisterTimeout] {
        assert!(closed.contains(&code), "{closed:?}");
    }
    assert!(opened > 400 && attached > 200, "{opened} opened, {attached} attached");
}
