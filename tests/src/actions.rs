//! What may happen in a [simulation](crate::simulation), and the one place that draws it: by a seed in `simulation::run`, by lists that shrink in
//! `tests/properties.rs`, by the bytes of a fuzzer in its target `world`.

use phantom_core::rng::Rng;
use phantom_core::time::Duration;

use crate::hostile::Weights;

/// Where choices come from.
pub trait Choices {
    /// A number below `n`, which is not 0.
    fn below(&mut self, n: u64) -> u64;

    /// One of these.
    fn one_of<T: Copy>(&mut self, known: &[T]) -> T
    where
        Self: Sized,
    {
        known[self.below(known.len() as u64) as usize]
    }
}

impl Choices for Rng {
    fn below(&mut self, n: u64) -> u64 {
        u64::from_be_bytes(self.bytes()) % n
    }
}

/// Bytes from front to back, no more of them than `n` needs. When they are used up, every choice is the first one.
impl Choices for &[u8] {
    fn below(&mut self, n: u64) -> u64 {
        let needed = (u64::BITS - (n - 1).leading_zeros()).div_ceil(8) as usize;
        let (bytes, rest) = self.split_at(needed.min(self.len()));
        *self = rest;
        bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)) % n
    }
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// One end of a channel sends packets, as many as are taken.
    Send {
        /// Which channel.
        pair: usize,
        /// Which end.
        side: usize,
        /// How many.
        count: u16,
    },
    /// Time passes.
    Wait {
        /// In milliseconds.
        ms: u32,
    },
    /// A link is cut; both ends notice.
    Cut(usize),
    /// A link is cut; the relay does not notice.
    CutClientSide(usize),
    /// A link is cut; the client does not notice.
    CutRelaySide(usize),
    /// A link passes nothing, and nobody notices.
    Stall(usize),
    /// A link passes nothing to the client.
    StallDown(usize),
    /// A link passes again.
    Unstall(usize),
    /// The network of a client is gone for new links.
    Unreachable(usize),
    /// And is there again.
    Reachable(usize),
    /// The network of a client becomes slow, or fast.
    Delay(usize, u16),
    /// There is hardly any memory for what is on the way to and from a client.
    Narrow(usize),
    /// And there is enough again.
    Wide(usize),
    /// A client that keeps no rule says something, so many times.
    Mischief {
        /// Which of the strangers.
        stranger: usize,
        /// How many frames.
        count: u8,
    },
    /// The relay dies.
    KillRelay,
    /// It is started, if it is dead.
    StartRelay,
    /// An application takes nothing.
    StopReading(usize),
    /// An application takes everything again.
    Read(usize),
    /// An application takes some packets.
    ReadSome {
        /// Which channel.
        pair: usize,
        /// Which end.
        side: usize,
        /// How many.
        count: u8,
    },
    /// A client dials without waiting.
    DialNow(usize),
    /// One end of a channel ends it in good order.
    Disconnect {
        /// Which channel.
        pair: usize,
        /// Which end.
        side: usize,
    },
}

/// How the world of a run is laid out.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Channels.
    pub pairs: usize,
    /// All channels are one client's, else each has its own two.
    pub star: bool,
    /// Windows and queues as small as allowed.
    pub small: bool,
    /// It begins before the channels are secured.
    pub early: bool,
    /// Of how many channels, the last ones, the two ends have keys that differ.
    pub unequal: usize,
    /// Clients that have no channel and [keep no rule](crate::stranger).
    pub strangers: usize,
    /// What the relay does.
    pub hostile: Option<Weights>,
    /// Packets are short, and few after healing: for runs that are many rather than long.
    pub light: bool,
}

impl Setup {
    /// How many clients there are, but for the strangers.
    #[must_use]
    pub fn nodes(&self) -> usize {
        if self.star { self.pairs + 1 } else { 2 * self.pairs }
    }

    /// Whether the ends of this channel have one key.
    #[must_use]
    pub fn is_equal(&self, pair: usize) -> bool {
        pair + self.unequal < self.pairs
    }

    /// How long it may be broken without a channel losing its patience.
    #[must_use]
    pub fn broken_max(&self) -> Duration {
        Duration::from_secs(if self.early { 90 } else { 300 })
    }
}

impl Setup {
    /// Any layout.
    #[must_use]
    pub fn draw(choices: &mut impl Choices) -> Self {
        Self {
            pairs: 1 + choices.below(3) as usize,
            star: choices.below(3) == 0,
            small: choices.below(2) == 0,
            early: choices.below(4) == 0,
            unequal: usize::from(choices.below(6) == 0),
            strangers: choices.below(3) as usize,
            hostile: (choices.below(3) == 0).then(|| Weights::draw(choices)),
            light: false,
        }
    }
}

impl Weights {
    /// Any; half of them do nothing that can end a channel, so that they reach far.
    #[must_use]
    pub fn draw(choices: &mut impl Choices) -> Self {
        let deadly = choices.below(2) == 0;
        let mut weight = |may: bool, max: u64| {
            if may && choices.below(2) == 0 { choices.below(max) as u8 } else { 0 }
        };
        Self {
            drop: weight(true, 40),
            repeat: weight(true, 40),
            reorder: weight(true, 40),
            replay: weight(true, 40),
            swap: weight(deadly, 6),
            reflect: weight(deadly, 6),
            flip: weight(deadly, 4),
            invent: weight(deadly, 6),
        }
    }
}

/// The kinds of actions, in the order of [`Action`]'s variants.
const KINDS: usize = 21;

/// How often which action happens in one run.
#[derive(Clone, Debug)]
pub struct Swarm {
    weights: [u64; KINDS],
    /// Many links and resumes, each with little to carry.
    restless: bool,
}

impl Swarm {
    /// Everything that can happen, sending and waiting more often than the rest.
    #[must_use]
    pub fn even(setup: &Setup) -> Self {
        let weights = std::array::from_fn(|kind| match kind {
            0 | 1 => 4,
            19 if setup.strangers == 0 => 0,
            _ => 1,
        });
        Self { weights, restless: false }
    }

    /// Of some things more than of others, and nothing of some; half of them are restless.
    #[must_use]
    pub fn draw(choices: &mut impl Choices, setup: &Setup) -> Self {
        let restless = choices.below(2) == 0;
        let weights = std::array::from_fn(|kind| match kind {
            0 | 1 => 8,
            2..=4 | 16 if restless => 4,
            19 if setup.strangers == 0 => 0,
            20 => choices.one_of(&[0, 0, 0, 1]),
            _ => choices.one_of(&[0, 0, 1, 2, 4]),
        });
        Self { weights, restless }
    }

    /// How long a run of it is, in actions.
    #[must_use]
    pub fn draw_len(&self, choices: &mut impl Choices) -> usize {
        let len = if self.restless { 100 + choices.below(500) } else { 10 + choices.below(60) };
        len as usize
    }

    /// One thing that can happen.
    #[must_use]
    pub fn draw_action(&self, choices: &mut impl Choices, setup: &Setup) -> Action {
        let mut left = choices.below(self.weights.iter().sum());
        let kind = self.weights.iter().position(|&weight| {
            let hit = left < weight;
            left = left.saturating_sub(weight);
            hit
        });
        let node = choices.below(setup.nodes() as u64) as usize;
        let (pair, side) = (choices.below(setup.pairs as u64) as usize, choices.below(2) as usize);
        match kind.unwrap_or(0) {
            0 => {
                let counts: &[u16] = match self.restless {
                    true => &[1, 2, 5],
                    false if setup.light => &[1, 2, 5, 50],
                    false => &[1, 5, 50, 500],
                };
                Action::Send { pair, side, count: choices.one_of(counts) }
            }
            1 if self.restless => Action::Wait { ms: choices.below(2_000) as u32 },
            1 => Action::Wait { ms: (choices.below(10) << choices.below(12)) as u32 },
            2 => Action::Cut(node),
            3 => Action::CutClientSide(node),
            4 => Action::CutRelaySide(node),
            5 => Action::Stall(node),
            6 => Action::StallDown(node),
            7 => Action::Unstall(node),
            8 => Action::Unreachable(node),
            9 => Action::Reachable(node),
            10 => Action::Delay(node, choices.one_of(&[0, 5, 100, 900])),
            11 => Action::KillRelay,
            12 => Action::StartRelay,
            13 => Action::StopReading(node),
            14 => Action::Read(node),
            15 => Action::ReadSome { pair, side, count: choices.below(20) as u8 },
            16 => Action::DialNow(node),
            17 => Action::Narrow(node),
            18 => Action::Wide(node),
            19 => Action::Mischief { stranger: node % setup.strangers, count: 1 + choices.below(40) as u8 },
            _ => Action::Disconnect { pair, side },
        }
    }
}
