//! Break, then heal: channels under anything that can happen to links, readers and relays, and what must hold all the while.
//!
//! Each channel has a key of its own, and some have two that differ: those are not secured and carry nothing until they heal, when the
//! wrong key is put right.
//!
//! After every step: what a side has taken is a prefix of what the other has sent, packet for packet; no channel holds more than
//! its limits; nothing is reported delivered that the other side does not have; the relay has passed nothing to anybody but the
//! partner of who sent it, whatever strangers say. A channel that is secured never ends, unless the
//! relay is a hostile one, and then only by a verdict that says so. After healing every channel that has not ended makes
//! progress within [`HEALED_WITHIN`], and ends in good order with everything delivered.

use std::fmt;
use std::ops::AddAssign;

use bytes::Bytes;
use phantom_core::client::{ClientConfig, ClientLimits, End, Event};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::ChannelId;
use phantom_core::rng::Rng;
use phantom_core::time::Duration;

use crate::World;
use crate::actions::{Action, Setup, Swarm};
use crate::hostile::Chaos;
use crate::link::Conditions;
use crate::stranger;

/// After healing, everything that was sent is delivered within this time: a dead link is noticed (30 s), the relay is dialled
/// (30 s), the other end asked for again (60 s), and a way that leads nowhere left (8 s).
pub const HEALED_WITHIN: Duration = Duration::from_secs(150);

/// A channel that was cut before it was secured has ended at both sides, or is secured, within this time more.
const UNSECURED_WITHIN: Duration = Duration::from_secs(160);

/// An end that waits in vain for its partner's last word ends within this time.
const PARTED_WITHIN: Duration = Duration::from_secs(620);

/// Moments at which something happens while a run waits once; that is more than a thousand a second.
const MOMENTS_MAX: usize = 1_000_000;

/// What was done, for a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Links made, the first of each client included.
    pub dials: u64,
    /// Links made again by a client that had one before.
    pub redials: u64,
    /// Times a channel was found again.
    pub resumed: u64,
    /// Packets delivered.
    pub delivered: u64,
    /// Channel ends that ended for a fault of the relay.
    pub ended: u64,
    /// How long it took by the world's clock.
    pub time: Duration,
    /// A digest of the whole run.
    pub trace: [u8; 32],
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.dials += other.dials;
        self.redials += other.redials;
        self.resumed += other.resumed;
        self.delivered += other.delivered;
        self.ended += other.ended;
        self.time += other.time;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dials, redials, resumed, delivered, ended, time, .. } = self;
        write!(
            f,
            "{dials} links made, {redials} of them again, {resumed} times resumed, {delivered} packets delivered, \
             {ended} ends by a verdict, {} hours by the world's clock",
            time.as_secs() / 3600
        )
    }
}

/// What did not hold.
#[derive(Clone, Debug)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! hold {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(Broken(format!($($text)+)));
        }
    };
}

#[derive(Clone, Copy)]
struct Side {
    node: usize,
    channel: ChannelId,
    sent: u64,
    /// Of the other end's packets.
    got: u64,
    delivered: u64,
    end: Option<End>,
    was_secured: bool,
    /// One of the two ends has been told to end the channel.
    parting: bool,
}

impl Side {
    /// A hostile relay has led it where its partner is not.
    fn is_astray(&self) -> bool {
        !self.was_secured || matches!(self.end, Some(End::Tampered { .. } | End::RelayLoss))
    }
}

/// A world with channels in it, of which everything is checked.
pub struct Simulation {
    /// The world.
    pub world: World,
    seed: u64,
    setup: Setup,
    pairs: Vec<[Side; 2]>,
    /// How many events of each client have been looked at.
    looked: Vec<usize>,
    limits: ClientLimits,
    broken_for: Duration,
    tally: Tally,
    mischief: Rng,
}

impl Simulation {
    /// Clients that have met, two for each channel.
    #[must_use]
    pub fn new(seed: u64, setup: Setup) -> Self {
        let mut world = World::new(seed);
        let mut limits = ClientLimits::default();
        limits.channels_max = 8;
        if setup.small {
            limits.receive_window_bytes = 128 << 10;
            limits.unacked_max_bytes = 128 << 10;
            limits.unacked_max_records = 24;
            limits.queue_max_bytes = 64 << 10;
        }
        for _ in 0..setup.nodes() + setup.strangers {
            world.add(ClientConfig { limits: limits.clone(), ..ClientConfig::default() });
        }
        world.join_all();
        let mut pairs = Vec::new();
        for pair in 0..setup.pairs {
            let nodes = if setup.star { [0, pair + 1] } else { [2 * pair, 2 * pair + 1] };
            let (a, b) = world.meet(nodes[0], nodes[1]);
            pairs.push([(nodes[0], a), (nodes[1], b)].map(|(node, channel)| Side {
                node,
                channel,
                sent: 0,
                got: 0,
                delivered: 0,
                end: None,
                was_secured: false,
                parting: false,
            }));
        }
        for (pair, ends) in pairs.iter().enumerate() {
            for (side, end) in ends.iter().enumerate() {
                let differs = side == 1 && !setup.is_equal(pair);
                let key = key(seed, pair, !differs);
                // A client with one channel may as well have the key as its own.
                if setup.star || pair % 2 == 0 {
                    let set =
                        world.act(end.node, |client, now| client.set_channel_key(now, end.channel, key));
                    set.expect("it has just been opened");
                } else {
                    world.act(end.node, |client, now| client.set_encryption_key(now, key));
                }
            }
        }
        if !setup.early {
            for (_, [a, b]) in pairs.iter().enumerate().filter(|&(pair, _)| setup.is_equal(pair)) {
                world.secure((a.node, a.channel), (b.node, b.channel));
            }
        }
        if let Some(weights) = setup.hostile {
            world.meddler = Some(Box::new(Chaos::new(weights)));
        }
        let looked = vec![0; setup.nodes()];
        let mischief = Rng::from_seed(&world.rng().bytes());
        let (broken_for, tally) = (Duration::ZERO, Tally::default());
        Self { world, seed, setup, pairs, looked, limits, broken_for, tally, mischief }
    }

    /// Another course of all that is left to chance from here on: the relay's IDs, what a hostile relay and strangers do.
    pub fn reseed(&mut self, seed: &[u8; 32]) {
        *self.world.rng() = Rng::from_seed(seed);
        self.mischief = Rng::from_seed(&self.world.rng().bytes());
    }

    /// Lets one thing happen.
    ///
    /// # Errors
    /// Something that must hold does not.
    pub fn apply(&mut self, action: &Action) -> Result<(), Broken> {
        let world = &mut self.world;
        match *action {
            Action::Send { pair, side, count } => self.send(pair, side, count),
            Action::Wait { ms } => {
                let time = Duration::from_millis(u64::from(ms));
                let left = self.setup.broken_max().saturating_sub(self.broken_for);
                self.broken_for += time.min(left);
                self.run(time.min(left), |_| false)?;
            }
            Action::Cut(node) => world.cut(node),
            Action::CutClientSide(node) => world.cut_client_side(node),
            Action::CutRelaySide(node) => world.cut_relay_side(node),
            Action::Stall(node) => world.stall(node, true),
            Action::StallDown(node) => world.stall_down(node, true),
            Action::Unstall(node) => world.stall(node, false),
            Action::Unreachable(node) => world.nodes[node].reachable = false,
            Action::Reachable(node) => world.nodes[node].reachable = true,
            Action::Delay(node, ms) => {
                world.nodes[node].conditions.delay = Duration::from_millis(u64::from(ms));
            }
            Action::Narrow(node) => {
                let conditions = &mut world.nodes[node].conditions;
                (conditions.up_max, conditions.down_max) = (1, 1);
            }
            Action::Wide(node) => {
                let Conditions { up_max, down_max, .. } = Conditions::default();
                let conditions = &mut world.nodes[node].conditions;
                (conditions.up_max, conditions.down_max) = (up_max, down_max);
            }
            Action::Mischief { stranger, count } => self.mischief(stranger, count),
            Action::KillRelay => world.kill_relay(),
            Action::StartRelay if world.relay.is_none() => world.start_relay(),
            Action::StartRelay => {}
            Action::StopReading(node) => world.nodes[node].reads = false,
            Action::Read(node) => world.nodes[node].reads = true,
            Action::ReadSome { pair, side, count } => {
                let Side { node, channel, .. } = self.pairs[pair][side];
                let now = world.now;
                for _ in 0..count {
                    world.nodes[node].read_one(now, channel);
                }
            }
            Action::DialNow(node) => world.act(node, |client, now| client.dial_now(now)),
            Action::Disconnect { pair, side } => self.disconnect(pair, side),
        }
        self.world.settle();
        self.check()
    }

    /// Everything works again: then everything must arrive, and every channel end in good order.
    ///
    /// # Errors
    /// Something that must hold does not.
    pub fn heal(mut self) -> Result<Tally, Broken> {
        self.world.meddler = None;
        if self.world.relay.is_none() {
            self.world.start_relay();
        }
        for node in 0..self.world.nodes.len() {
            self.world.stall(node, false);
            let node = &mut self.world.nodes[node];
            (node.reachable, node.reads, node.conditions) = (true, true, Conditions::default());
        }
        let [first, second, last] = if self.setup.light { [1, 2, 1] } else { [3, 20, 50] };
        for pair in 0..self.pairs.len() {
            self.send(pair, 0, first);
            self.send(pair, 1, first);
        }
        let unsecured = self.setup.early || self.setup.unequal > 0;
        self.put_keys_right();
        let within = if unsecured { HEALED_WITHIN + UNSECURED_WITHIN } else { HEALED_WITHIN };
        let healed = self.run(within, Self::all_delivered)?;
        hold!(healed, "not healed {within:?} after: {}", self.state());
        // And something new is taken, and goes through at once.
        for pair in 0..self.pairs.len() {
            let before = self.pairs[pair].map(|side| side.sent);
            self.send(pair, 0, second);
            self.send(pair, 1, second);
            let ends = &self.pairs[pair];
            let stands = self.is_good(ends) && ends.iter().all(|side| side.end.is_none() && !side.parting);
            let taken = ends.iter().zip(before).all(|(side, before)| side.sent > before);
            hold!(taken || !stands, "nothing more is taken after healing: {}", self.state());
        }
        let fresh = self.run(Duration::from_secs(20), Self::all_delivered)?;
        hold!(fresh, "what was sent after healing did not arrive: {}", self.state());
        for pair in 0..self.pairs.len() {
            self.send(pair, 0, last);
            self.send(pair, 1, last);
            if !self.pairs[pair][0].parting {
                self.disconnect(pair, pair % 2);
            }
        }
        let parted = |sim: &mut Self| {
            let mut parting = sim.pairs.iter().filter(|pair| pair[0].parting && sim.is_good(pair));
            parting.all(|pair| pair.iter().all(|side| side.end.is_some()))
        };
        // An end whose partner has finished, and was cut before it could say so for the last time, waits in vain.
        let ended = self.run(Duration::from_secs(60), parted)? || self.run(PARTED_WITHIN, parted)?;
        hold!(ended, "a channel did not end: {}", self.state());
        for pair in self.pairs.iter().filter(|pair| pair[0].parting) {
            let fault = |side: &Side| !matches!(side.end, Some(End::Finished | End::Truncated));
            if pair.iter().any(fault) {
                continue;
            }
            hold!(pair.iter().any(|side| side.end == Some(End::Finished)), "not finished: {}", self.state());
            for (side, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                hold!(side.got == other.sent, "finished, but not all is there: {}", self.state());
            }
        }
        self.tally.dials = self.world.dials;
        self.tally.redials = self.world.dials - self.world.nodes.len() as u64;
        self.tally.time = self.world.now.since(World::START);
        self.tally.trace = self.world.trace();
        Ok(self.tally)
    }

    /// Who has the wrong key is told the right one, and both try as often as it takes.
    fn put_keys_right(&mut self) {
        let wrong = self.setup.pairs - self.setup.unequal..self.setup.pairs;
        self.setup.unequal = 0;
        for pair in wrong {
            for Side { node, channel, .. } in self.pairs[pair] {
                let right = key(self.seed, pair, true);
                // Unless it has ended by now.
                let _ = self.world.act(node, |client, now| client.set_channel_key(now, channel, right));
                let _ = self.world.act(node, |client, now| client.unlock(now, channel));
            }
        }
    }

    fn all_delivered(&mut self) -> bool {
        self.pairs.iter().all(|pair| {
            let delivered = pair[0].got == pair[1].sent && pair[1].got == pair[0].sent;
            // One that was cut before it was secured has ended at both ends: nobody waits alone.
            let gone = pair.iter().all(|side| side.end.is_some());
            if self.is_good(pair) {
                delivered || pair[0].end.is_some()
            } else {
                gone || self.setup.hostile.is_some()
            }
        })
    }

    /// Both ends are secured, and neither has ended for a fault.
    fn is_good(&self, pair: &[Side; 2]) -> bool {
        pair.iter().all(|side| side.was_secured && matches!(side.end, None | Some(End::Finished)))
    }

    fn mischief(&mut self, stranger: usize, count: u8) {
        let node = self.setup.nodes() + stranger;
        let known: Vec<_> = self.world.nodes.iter().filter_map(|node| node.client.id()).collect();
        for _ in 0..count {
            let frame = stranger::frame(&mut self.mischief, &known);
            self.world.inject_to_relay(node, &frame);
        }
    }

    /// In good order only if it is secured; before, it ends at once, and that is of no interest here.
    fn disconnect(&mut self, pair: usize, side: usize) {
        let Side { node, channel, .. } = self.pairs[pair][side];
        if self.is_good(&self.pairs[pair]) && self.world.nodes[node].client.is_secured(channel) {
            for side in &mut self.pairs[pair] {
                side.parting = true;
            }
            let _ = self.world.act(node, |client, now| client.disconnect(now, channel));
        }
    }

    fn send(&mut self, pair: usize, side: usize, count: u16) {
        let Side { node, channel, sent, .. } = &mut self.pairs[pair][side];
        let (node, channel) = (*node, *channel);
        for _ in 0..count {
            let packet = packet(pair, side, *sent, self.setup.light);
            if self.world.nodes[node].client.send(self.world.now, channel, packet).is_err() {
                break;
            }
            *sent += 1;
        }
        self.world.settle();
    }

    /// Runs for a time or until `done`, and checks after every step.
    fn run(&mut self, time: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Result<bool, Broken> {
        let end = self.world.now + time;
        for _ in 0..MOMENTS_MAX {
            self.world.settle();
            self.check()?;
            if done(self) {
                return Ok(true);
            }
            let before = self.world.now;
            if !self.world.advance(end) {
                return Ok(false);
            }
            hold!(self.world.now > before, "at {before:?} something is due that nobody does");
        }
        Err(Broken(format!("more than {MOMENTS_MAX} moments within {time:?}: {}", self.state())))
    }

    /// What must hold at every moment.
    fn check(&mut self) -> Result<(), Broken> {
        for pair in 0..self.pairs.len() {
            for side in [0, 1] {
                let Side { node, channel, .. } = self.pairs[pair][side];
                let taken = self.world.nodes[node].received.remove(&channel).unwrap_or_default();
                hold!(
                    taken.is_empty() || self.setup.is_equal(pair),
                    "pair {pair}: end {side} took something, and the keys differ"
                );
                for got in taken {
                    let number = self.pairs[pair][side].got;
                    let (from, sent) = (1 - side, self.pairs[pair][1 - side].sent);
                    hold!(number < sent, "pair {pair}: end {side} took more than was sent");
                    hold!(
                        got == packet(pair, from, number, self.setup.light),
                        "pair {pair}: what end {side} took as packet {number} was not sent as such"
                    );
                    self.pairs[pair][side].got += 1;
                    self.tally.delivered += 1;
                }
                self.check_memory(node, channel)?;
            }
        }
        for &(from, to) in &self.world.passed {
            let ends = |[a, b]: &[Side; 2]| [(a.node, b.node), (b.node, a.node)].contains(&(from, to));
            hold!(self.pairs.iter().any(ends), "what client {from} sent went to client {to}");
        }
        self.world.passed.clear();
        for node in 0..self.setup.nodes() {
            while let Some(&event) = self.world.nodes[node].events.get(self.looked[node]) {
                self.looked[node] += 1;
                self.look(node, event)?;
            }
        }
        Ok(())
    }

    fn check_memory(&self, node: usize, channel: ChannelId) -> Result<(), Broken> {
        let Some(held) = self.world.nodes[node].client.held(channel) else { return Ok(()) };
        let limits = &self.limits;
        let (packet_max, window) = (1 << limits.packet_max_log2, limits.receive_window_bytes);
        hold!(held.queued <= limits.queue_max_bytes.max(packet_max + 32), "queue too long: {held:?}");
        hold!(held.unacked <= limits.unacked_max_bytes, "too much kept to send again: {held:?}");
        hold!(held.unacked_records <= limits.unacked_max_records + 4, "too many records kept: {held:?}");
        hold!(held.received <= window + packet_max + (64 << 10), "too much received: {held:?}");
        Ok(())
    }

    fn look(&mut self, node: usize, event: Event) -> Result<(), Broken> {
        let hostile = self.setup.hostile.is_some();
        let reads = self.world.nodes[node].reads;
        let find = |pairs: &[[Side; 2]], channel: ChannelId| {
            pairs.iter().enumerate().find_map(|(pair, ends)| {
                let side = ends.iter().position(|end| end.node == node && end.channel == channel)?;
                Some((pair, side))
            })
        };
        match event {
            Event::Secured { channel } => {
                if let Some((pair, side)) = find(&self.pairs, channel) {
                    hold!(self.setup.is_equal(pair), "pair {pair} is secured with two keys that differ");
                    self.pairs[pair][side].was_secured = true;
                }
            }
            Event::Resumed { .. } => self.tally.resumed += 1,
            Event::Delivered { channel, up_to } => {
                let Some((pair, side)) = find(&self.pairs, channel) else { return Ok(()) };
                let [end, other] = [self.pairs[pair][side], self.pairs[pair][1 - side]];
                hold!(up_to > end.delivered && up_to <= end.sent, "delivered {up_to} of {}", end.sent);
                let other_reads = self.world.nodes[other.node].reads && other.node != node;
                hold!(!other_reads || up_to <= other.got, "delivered {up_to}, but {} are there", other.got);
                self.pairs[pair][side].delivered = up_to;
            }
            Event::Closed { channel, end, fate, .. } => {
                let Some((pair, side)) = find(&self.pairs, channel) else { return Ok(()) };
                let this = self.pairs[pair][side];
                self.pairs[pair][side].end = Some(end);
                let sum = fate.delivered + fate.uncertain + fate.unsent;
                hold!(sum == this.sent, "the fate of {} packets is {fate:?}", this.sent);
                match end {
                    End::Finished => {
                        hold!(fate.delivered == this.sent, "finished, but {fate:?} of {}", this.sent);
                        let sent = self.pairs[pair][1 - side].sent;
                        hold!(this.got == sent, "finished, but {} of {sent} are there", this.got);
                    }
                    // Its partner has finished and is gone; nothing is missing, but nobody can tell it so.
                    End::Truncated if self.pairs[pair][1 - side].end == Some(End::Finished) => {}
                    // Its partner met the hostile relay's work: it ended, and the ABORT that would have said so was lost with the
                    // way; or it followed a SHARE of the next run that was none, and waits for this end under another value.
                    End::Truncated if hostile && self.pairs[pair][1 - side].is_astray() => {
                        self.tally.ended += 1;
                    }
                    End::Left(_) | End::NeverSecured if !this.was_secured => {}
                    End::Tampered { .. } | End::Aborted { code: 1 } if hostile => self.tally.ended += 1,
                    End::RelayLoss | End::Aborted { code: 3 } if hostile => self.tally.ended += 1,
                    End::HandshakeInvalid | End::TooManyRuns if hostile && !this.was_secured => {
                        self.tally.ended += 1;
                    }
                    _ => {
                        let other = self.pairs[pair][1 - side].end;
                        hold!(
                            false,
                            "pair {pair}, end {side} ended: {end} ({end:?}), the other {other:?}; reads: {reads}"
                        );
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn state(&self) -> String {
        let end = |end: &Side| {
            let client = &self.world.nodes[end.node].client;
            format!(
                "client {} sent {} got {} delivered {} end {:?} secured {} online {:?} held {:?} next {:?}",
                end.node,
                end.sent,
                end.got,
                end.delivered,
                end.end,
                client.is_secured(end.channel),
                client.id(),
                client.held(end.channel),
                client.poll_timeout(),
            )
        };
        let pairs: Vec<_> = self.pairs.iter().map(|[a, b]| format!("\n  {}\n  {}", end(a), end(b))).collect();
        format!("at {:?}{}", self.world.now, pairs.concat())
    }
}

/// The key of a channel, or what was taken for it.
fn key(seed: u64, pair: usize, right: bool) -> EncryptionKey {
    crate::key(&format!("{} {seed} {pair}", if right { "the key of" } else { "misheard" }))
}

/// What an end sends as its packet of this number: of many lengths, unless all are short, and to be told from every other.
fn packet(pair: usize, side: usize, number: u64, light: bool) -> Bytes {
    let mix = (number + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((pair as u64) << 32 | (side as u64) << 8)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let len = match mix >> 56 {
        0..=7 => 0,
        _ if light => (mix >> 40 & 0x3f) as usize,
        8..=199 => (mix >> 40 & 0x3f) as usize,
        200..=249 => (mix >> 40 & 0x7ff) as usize,
        250..=254 => (mix >> 40 & 0x7fff) as usize,
        _ => 60_000,
    };
    let mut bytes = vec![0; len];
    for (word, place) in bytes.chunks_mut(8).enumerate() {
        let word = mix ^ ((word as u64 & 0xff) * 0x0101_0101_0101_0101);
        place.copy_from_slice(&word.to_be_bytes()[..place.len()]);
    }
    bytes.into()
}

/// One random run: swarm weights of its own, then as many actions, then healing.
///
/// # Errors
/// Something that must hold does not; the text says after which actions.
pub fn run(seed: u64) -> Result<Tally, Broken> {
    let mut rng = Rng::from_seed(blake3::hash(&[&b"swarm"[..], &seed.to_be_bytes()].concat()).as_bytes());
    let setup = Setup::draw(&mut rng);
    let swarm = Swarm::draw(&mut rng, &setup);
    let actions = swarm.draw_len(&mut rng);
    play(Simulation::new(seed, setup), |setup, played| {
        (played < actions).then(|| swarm.draw_action(&mut rng, setup))
    })
}

/// Lets actions happen until there is none, then heals.
///
/// `next` is told the layout and how many there were.
///
/// # Errors
/// Something that must hold does not; the text says after which actions.
pub fn play(
    mut simulation: Simulation,
    mut next: impl FnMut(&Setup, usize) -> Option<Action>,
) -> Result<Tally, Broken> {
    let setup = simulation.setup.clone();
    let mut played = Vec::new();
    while let Some(action) = next(&setup, played.len()) {
        played.push(action);
        let action = played.last().expect("just pushed");
        simulation.apply(action).map_err(|broken| Broken(format!("{broken}\n{setup:?}\n{played:?}")))?;
    }
    simulation.heal().map_err(|broken| Broken(format!("{broken}\n{setup:?}\n{played:?}, then healed")))
}
