//! Scenarios: small texts that say what happens to a few clients and a relay, and what each must hear.
//!
//! One line, one step; `#` begins a comment. Time passes only in `wait` and while an expectation is not met yet.
//!
//! ```text
//! clients A B C(channels=2)            clients of a new world, all online
//! A key "ABCDE12345"                   the client's key; `A key of B`: the key that B reads out
//! A reads key                          from now on its random key counts as set
//! A channel key "…" [with B]           the key of one channel
//! A asks B, A asks nobody, A asks A    a request; B accepts A, B declines A, A withdraws B decide it
//! A sends "text" [to B]                a packet; `A sends 40 x 1000 bytes [to B]`: that many, as far as they are taken
//! A disconnects [B], A aborts [B]      the end of a channel; A leaves, A dials: of the link, and a new one
//! A unlocks [B]
//! A stops reading, A reads
//! cut A, lose A                        the link is cut; the relay does not notice the second
//! stall A, unstall A                   the link passes nothing, and nobody notices
//! hide A, show A                       A cannot dial
//! kill relay, start relay, drain relay 5s
//! replace relay                        by one with another secret
//! wait 61s
//! expect A hears Answer Expired        within 30 s, after what was expected of A before
//! expect A hears Closed within 70s
//! expect A does not hear Secured [for 10s]
//! expect A received ["one", "two"]     everything it has taken, from all channels, within 30 s
//! expect A received 40 packets
//! expect A is online | offline | secured | waiting | alone
//! expect A keeps its id, expect A has another id
//! A asks B fails OwnId                 any step of a client may be expected to fail
//! ```
//!
//! What a client hears is an event as words: `Answer Expired B`, `Closed B Finished delivered=3 uncertain=0 unsent=0`. An
//! expectation is met by an event that has all of its words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use phantom_core::client::{Client, ClientConfig, Event};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::{ChannelId, PeerId};
use phantom_core::relay::RelaySecret;
use phantom_core::time::{Duration, Instant};

use crate::World;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a scenario.
///
/// # Errors
/// Which line failed, and why.
pub fn run(text: &str) -> Result<(), String> {
    let mut scenario = Scenario {
        world: World::new(1),
        names: Vec::new(),
        first_ids: BTreeMap::new(),
        ids: Vec::new(),
        heard: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        let words = words_of(line);
        if words.is_empty() {
            continue;
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        scenario.step(&words).map_err(|error| {
            let news = scenario.news();
            format!("line {}: {}\n  {error}\n{news}", number + 1, line.trim())
        })?;
    }
    Ok(())
}

/// The words of a line; a quoted one keeps its opening quote, so that it cannot be taken for a keyword.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '#' {
            break;
        }
        let (word, tail) = match first {
            '"' => {
                let end = rest[1..].find('"').map_or(rest.len(), |end| end + 1);
                (rest[..end].to_string(), rest.get(end + 1..).unwrap_or_default())
            }
            '[' | ']' | ',' => (first.to_string(), &rest[1..]),
            _ => {
                let end = rest.find([' ', ',', '[', ']', '\t']).unwrap_or(rest.len());
                (rest[..end].to_string(), &rest[end..])
            }
        };
        if word != "," {
            words.push(word);
        }
        rest = tail.trim_start();
    }
    words
}

struct Scenario {
    world: World,
    names: Vec<String>,
    first_ids: BTreeMap<usize, PeerId>,
    /// The latest ID of each client that was online.
    ids: Vec<Option<PeerId>>,
    /// How many events of each client have been expected.
    heard: Vec<usize>,
}

type Step = Result<(), String>;

impl Scenario {
    fn step(&mut self, words: &[&str]) -> Step {
        match *words {
            ["clients", ref clients @ ..] => self.clients(clients),
            ["cut", who] => self.link(who, World::cut),
            ["lose", who] => self.link(who, World::cut_client_side),
            ["stall", who] => self.link(who, |world, node| world.stall(node, true)),
            ["unstall", who] => self.link(who, |world, node| world.stall(node, false)),
            ["hide", who] => self.link(who, |world, node| world.nodes[node].reachable = false),
            ["show", who] => self.link(who, |world, node| world.nodes[node].reachable = true),
            ["kill", "relay"] => {
                self.world.kill_relay();
                Ok(())
            }
            ["start", "relay"] => {
                self.world.start_relay();
                Ok(())
            }
            ["replace", "relay"] => {
                self.world.kill_relay();
                self.world.start_relay_with(RelaySecret::new(2, [0x77; 32]));
                Ok(())
            }
            ["drain", "relay", time] => {
                let time = duration(time)?;
                self.world.drain_relay_for(time);
                Ok(())
            }
            ["wait", time] => {
                let time = duration(time)?;
                self.world.run_for(time);
                Ok(())
            }
            ["expect", who, ref rest @ ..] => {
                let node = self.node(who)?;
                self.expect(node, rest)
            }
            [who, ref rest @ ..] => {
                let node = self.node(who)?;
                match *rest {
                    [ref command @ .., "fails", error] => match self.command(node, command) {
                        Ok(()) => Err("it did not fail".into()),
                        Err(found) if found.starts_with(error) => Ok(()),
                        Err(found) => Err(format!("it failed with {found}")),
                    },
                    _ => self.command(node, rest),
                }
            }
            [] => Ok(()),
        }
    }

    fn clients(&mut self, clients: &[&str]) -> Step {
        for client in clients {
            let (name, options) = client.split_once('(').unwrap_or((client, ""));
            let mut config = ClientConfig::default();
            for option in options.trim_end_matches(')').split(';').filter(|option| !option.is_empty()) {
                let (name, value) = option.split_once('=').ok_or("an option is name=value")?;
                match name {
                    "channels" => config.limits.channels_max = value.parse().map_err(|_| "a number")?,
                    "patience" => config.limits.patience = duration(value)?,
                    "queue" => config.limits.queue_max_bytes = value.parse().map_err(|_| "a number")?,
                    _ => return Err(format!("no option {name}")),
                }
            }
            self.world.add(config);
            self.names.push(name.into());
            self.heard.push(0);
            self.ids.push(None);
        }
        self.world.join_all();
        self.note_ids();
        self.first_ids = self.ids.iter().enumerate().filter_map(|(node, id)| Some((node, (*id)?))).collect();
        self.heard = self.world.nodes.iter().map(|node| node.events.len()).collect();
        Ok(())
    }

    fn link(&mut self, who: &str, act: impl FnOnce(&mut World, usize)) -> Step {
        let node = self.node(who)?;
        act(&mut self.world, node);
        Ok(())
    }

    fn command(&mut self, node: usize, words: &[&str]) -> Step {
        self.note_ids();
        match *words {
            ["key", "of", whose] => {
                let whose = self.node(whose)?;
                let key = self.world.act(whose, Client::encryption_key);
                self.world.act(node, |client, now| client.set_encryption_key(now, key));
                Ok(())
            }
            ["key", text] => {
                let key = key(text)?;
                self.world.act(node, |client, now| client.set_encryption_key(now, key));
                Ok(())
            }
            ["reads", "key"] => {
                let _ = self.world.act(node, Client::encryption_key);
                Ok(())
            }
            ["channel", "key", text, ref with @ ..] => {
                let (key, channel) = (key(text)?, self.channel(node, with)?);
                self.act(node, |client, now| client.set_channel_key(now, channel, key))
            }
            ["asks", "nobody"] => {
                let nobody = "000000".parse().expect("an ID");
                self.act(node, |client, now| client.connect(now, nobody))
            }
            ["asks", whom] => {
                let id = self.id(whom)?;
                self.act(node, |client, now| client.connect(now, id))
            }
            ["withdraws", whom] => {
                let id = self.id(whom)?;
                let request = self.world.nodes[node].events.iter().rev().find_map(|event| match event {
                    Event::Answer { request, peer, .. } if *peer == id => Some(*request),
                    _ => None,
                });
                let request = request.ok_or("it has asked nobody so")?;
                self.act(node, |client, now| client.withdraw(now, request))
            }
            [verb @ ("accepts" | "declines"), whom] => {
                let id = self.id(whom)?;
                let request = self.world.nodes[node].request_from(id, 0).ok_or("it was not asked")?;
                if verb == "accepts" {
                    self.act(node, |client, now| client.accept(now, request))
                } else {
                    self.act(node, |client, now| client.cancel(now, request))
                }
            }
            ["sends", count, "x", size, "bytes", ref with @ ..] => {
                let channel = self.channel(node, with)?;
                let (count, size): (usize, usize) =
                    (count.parse().map_err(|_| "a number")?, size.parse().map_err(|_| "a number")?);
                let mut sent = 0;
                let mut refused = None;
                self.world.run_until(Duration::from_secs(60), |world| {
                    while sent < count {
                        match world.nodes[node].client.send(world.now, channel, vec![sent as u8; size]) {
                            Ok(_) => sent += 1,
                            Err(phantom_core::client::SendError::Full) => return false,
                            Err(error) => {
                                refused = Some(error);
                                return true;
                            }
                        }
                    }
                    true
                });
                refused.map_or(Ok(()), |error| Err(format!("{error:?}")))?;
                if sent == count { Ok(()) } else { Err("Full".into()) }
            }
            ["sends", text, ref with @ ..] => {
                let channel = self.channel(node, with)?;
                let packet = quoted(text)?.as_bytes().to_vec();
                self.act(node, |client, now| client.send(now, channel, packet))
            }
            [verb @ ("disconnects" | "aborts" | "unlocks"), ref with @ ..] => {
                let channel = self.channel(node, with)?;
                match verb {
                    "disconnects" => self.act(node, |client, now| client.disconnect(now, channel)),
                    "aborts" => self.act(node, |client, now| client.abort(now, channel)),
                    _ => self.act(node, |client, now| client.unlock(now, channel)),
                }
            }
            ["leaves"] => {
                self.world.act(node, Client::leave);
                Ok(())
            }
            ["dials"] => {
                self.world.act(node, Client::dial_now);
                Ok(())
            }
            ["stops", "reading"] => {
                self.world.nodes[node].reads = false;
                Ok(())
            }
            ["reads"] => {
                self.world.nodes[node].reads = true;
                Ok(())
            }
            _ => Err("no such step".into()),
        }
    }

    fn act<T, E: std::fmt::Debug>(
        &mut self,
        node: usize,
        command: impl FnOnce(&mut Client, Instant) -> Result<T, E>,
    ) -> Step {
        self.world.act(node, command).map(|_| ()).map_err(|error| format!("{error:?}"))
    }

    fn expect(&mut self, node: usize, words: &[&str]) -> Step {
        match *words {
            ["hears", ref wanted @ .., "within", time] => self.hears(node, wanted, duration(time)?),
            ["hears", ref wanted @ ..] => self.hears(node, wanted, PATIENCE),
            ["does", "not", "hear", ref wanted @ .., "for", time] => {
                let time = duration(time)?;
                self.world.run_for(time);
                self.does_not_hear(node, wanted)
            }
            ["does", "not", "hear", ref wanted @ ..] => self.does_not_hear(node, wanted),
            ["received", "[", ref packets @ .., "]"] => {
                let wanted: Vec<Vec<u8>> = packets
                    .iter()
                    .map(|text| quoted(text).map(|text| text.as_bytes().to_vec()))
                    .collect::<Result<_, _>>()?;
                let got = |world: &World| -> Vec<Vec<u8>> {
                    world.nodes[node].received.values().flatten().map(|packet| packet.to_vec()).collect()
                };
                if self.world.run_until(PATIENCE, |world| got(world) == wanted) {
                    return Ok(());
                }
                let got = got(&self.world);
                let text: Vec<_> = got.iter().map(|packet| String::from_utf8_lossy(packet)).collect();
                Err(format!("it has {text:?}"))
            }
            ["received", count, "packets"] => {
                let wanted: usize = count.parse().map_err(|_| "a number")?;
                let got = |world: &World| world.nodes[node].received.values().map(Vec::len).sum::<usize>();
                let enough = self.world.run_until(PATIENCE, |world| got(world) == wanted);
                if enough { Ok(()) } else { Err(format!("it has {}", got(&self.world))) }
            }
            ["is", state] => {
                let holds = |world: &World| {
                    let client = &world.nodes[node].client;
                    let secured = |channel| client.is_secured(channel);
                    match state {
                        "online" => Some(client.id().is_some()),
                        "offline" => Some(client.id().is_none()),
                        "secured" => Some(client.channels().count() > 0 && client.channels().all(secured)),
                        "waiting" => Some(client.channels().any(|channel| !secured(channel))),
                        "alone" => Some(client.channels().count() == 0),
                        _ => None,
                    }
                };
                holds(&self.world).ok_or("no such state")?;
                let held = self.world.run_until(PATIENCE, |world| holds(world) == Some(true));
                if held { Ok(()) } else { Err("it is not".into()) }
            }
            ["keeps", "its", "id"] if self.has_first_id(node)? => Ok(()),
            ["has", "another", "id"] if !self.has_first_id(node)? => Ok(()),
            ["keeps" | "has", ..] => Err(format!("its ID is {}", self.world.id(node))),
            _ => Err("no such expectation".into()),
        }
    }

    fn has_first_id(&mut self, node: usize) -> Result<bool, String> {
        let online = self.world.run_until(PATIENCE, |world| world.nodes[node].client.id().is_some());
        if !online {
            return Err("it is not online".into());
        }
        Ok(self.first_ids.get(&node) == Some(&self.world.id(node)))
    }

    fn hears(&mut self, node: usize, wanted: &[&str], within: Duration) -> Step {
        let found = |scenario: &Self| {
            let heard = scenario.heard[node];
            let events = &scenario.world.nodes[node].events[heard..];
            events.iter().position(|event| scenario.is(event, wanted)).map(|place| heard + place + 1)
        };
        let end = self.world.now + within;
        loop {
            self.world.settle();
            self.note_ids();
            if let Some(heard) = found(self) {
                self.heard[node] = heard;
                return Ok(());
            }
            if !self.world.advance(end) {
                return Err("it does not hear that".into());
            }
        }
    }

    fn does_not_hear(&mut self, node: usize, wanted: &[&str]) -> Step {
        let events = &self.world.nodes[node].events[self.heard[node]..];
        match events.iter().find(|event| wanted == ["anything"] || self.is(event, wanted)) {
            None => Ok(()),
            Some(event) => Err(format!("it hears {}", self.words(event))),
        }
    }

    fn is(&self, event: &Event, wanted: &[&str]) -> bool {
        let words = self.words(event);
        wanted.iter().all(|wanted| words.split(' ').any(|word| word == *wanted))
    }

    /// An event as words, with the names of the scenario.
    fn words(&self, event: &Event) -> String {
        let whose = |channel: ChannelId| {
            self.world.nodes.iter().find_map(|node| node.client.opponent(channel)).map(|id| self.name(id))
        };
        match event {
            Event::Online { kept, .. } => format!("Online {}", if *kept { "kept" } else { "new" }),
            Event::Offline { code, redial_at } => {
                let again = if redial_at.is_some() { "redials" } else { "stays" };
                format!("Offline {} {again}", code.map_or(String::new(), |code| format!("{code:?}")))
            }
            Event::Incoming { from, .. } => format!("Incoming {}", self.name(*from)),
            Event::Answer { peer, answer, .. } => format!("Answer {answer:?} {}", self.name(*peer)),
            Event::Opened { peer, role, .. } => format!("Opened {} {role:?}", self.name(*peer)),
            Event::Closed { peer, end, fate, .. } => format!(
                "Closed {} {} delivered={} uncertain={} unsent={}",
                self.name(*peer),
                format!("{end:?}").replace(['(', ')', '{', '}', ':'], " "),
                fate.delivered,
                fate.uncertain,
                fate.unsent
            ),
            Event::KeysDiffer { guesses_left, .. } => format!("KeysDiffer left={guesses_left}"),
            Event::Locked { failed, .. } => format!("Locked failed={failed}"),
            Event::Delivered { up_to, .. } => format!("Delivered {up_to}"),
            Event::Interrupted { relay_says, .. } => {
                format!("Interrupted {}", relay_says.map_or(String::new(), |word| format!("{word:?}")))
            }
            Event::RelayRestarting { after_ms } => format!("RelayRestarting {after_ms}ms"),
            Event::Secured { channel }
            | Event::HandshakeAltered { channel }
            | Event::PeerSilent { channel }
            | Event::KeyRefused { channel }
            | Event::Readable { channel }
            | Event::Writable { channel }
            | Event::Resumed { channel } => {
                let debug = format!("{event:?}");
                let name = debug.split(' ').next().unwrap_or_default();
                format!("{name} {}", whose(*channel).unwrap_or_default())
            }
            _ => format!("{event:?}"),
        }
    }

    fn news(&self) -> String {
        let mut text = String::new();
        for (node, name) in self.names.iter().enumerate() {
            for (number, event) in self.world.nodes[node].events.iter().enumerate() {
                let mark = if number < self.heard[node] { ' ' } else { '>' };
                let _ = writeln!(text, "  {mark} {name} hears {}", self.words(event));
            }
        }
        text
    }

    fn node(&self, name: &str) -> Result<usize, String> {
        self.names.iter().position(|known| known == name).ok_or_else(|| format!("no client {name}"))
    }

    fn name(&self, id: PeerId) -> String {
        let first = self.first_ids.iter().find(|(_, first)| **first == id).map(|(&node, _)| node);
        let node = self.ids.iter().position(|known| *known == Some(id)).or(first);
        node.map_or_else(|| id.to_string(), |node| self.names[node].clone())
    }

    fn note_ids(&mut self) {
        for (node, known) in self.ids.iter_mut().enumerate() {
            *known = self.world.nodes[node].client.id().or(*known);
        }
    }

    fn id(&self, name: &str) -> Result<PeerId, String> {
        let node = self.node(name)?;
        self.ids[node].ok_or_else(|| format!("{name} was never online"))
    }

    /// The channel with somebody, or the only one, or the last there was.
    fn channel(&self, node: usize, with: &[&str]) -> Result<ChannelId, String> {
        let peer = match *with {
            [] => None,
            ["to" | "with", whom] | [whom] => Some(whom),
            _ => return Err("whom?".into()),
        };
        let client = &self.world.nodes[node].client;
        match peer {
            Some(whom) => {
                let node_of = self.node(whom)?;
                let ids = [self.ids[node_of], self.first_ids.get(&node_of).copied()];
                let found = client.channels().find(|&channel| {
                    let opponent = client.opponent(channel);
                    opponent.is_some() && ids.contains(&opponent)
                });
                found.ok_or_else(|| "NoChannel".into())
            }
            None => {
                let mut channels = client.channels();
                let first = channels.next().or(self.world.nodes[node].channel());
                first.filter(|_| channels.next().is_none()).ok_or_else(|| "with whom?".into())
            }
        }
    }
}

fn quoted(word: &str) -> Result<&str, String> {
    word.strip_prefix('"').ok_or_else(|| "a text in quotes is wanted".into())
}

fn key(word: &str) -> Result<EncryptionKey, String> {
    EncryptionKey::parse(quoted(word)?).map_err(|error| format!("{error:?}"))
}

fn duration(word: &str) -> Result<Duration, String> {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = word[..word.len() - unit.len()].parse().map_err(|_| "a time is wanted, as 61s")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "min" => Ok(Duration::from_secs(60 * number)),
        _ => Err("a time is wanted, as 61s".into()),
    }
}
