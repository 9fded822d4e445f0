//! An exhaustive search over the real machines: a relay, a few clients, and every order in which a bounded number of things can
//! happen to them.
//!
//! The rules of the search:
//!
//! * A step is one thing that happens to one machine: a message arrives, a user acts, a link breaks, the relay is started anew, time
//!   passes to the next deadline. Each end of a broken link notices by itself. What is under way stays under way until a step
//!   delivers it, so every interleaving is tried.
//! * The machines cannot be copied. A state is reached by playing its steps again from the beginning; the machines are deterministic.
//! * Two orders of steps lead to the same state if every machine has heard the same in the same order and the same is under way. By
//!   that alone is a state recognised, so none is left out.
//! * Time passes while nothing is under way: messages are faster than deadlines.
//! * Where nothing is under way, the world is also run to its end without any further act or fault, and must come to rest: no request
//!   without an answer, no end of a channel without the other, and everything that waits has ended by a deadline.
//!
//! What is checked on the way is in `court`, what happens to the machines in [`Board`].

mod board;
mod court;

use std::collections::HashSet;
use std::fmt;

pub use board::{Board, Move};

/// How much may happen.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Clients.
    pub clients: usize,
    /// Channels that a client may have at once.
    pub channels: u8,
    /// Whether the clients have a key, and the same. Without one a channel stays unsecured.
    pub keyed: bool,
    /// Pairs that have a secured channel at the beginning.
    pub secured: &'static [(usize, usize)],
    /// Pairs of which the first may ask the second.
    pub may_ask: &'static [(usize, usize)],
    /// How often each of these pairs.
    pub asks: u8,
    /// Whether users also decline and withdraw.
    pub refuse: bool,
    /// Packets that each client may send on each of its channels.
    pub sends: u8,
    /// Times in all that a user ends a channel in good order.
    pub ends: u8,
    /// Links that break.
    pub cuts: u8,
    /// Times that the relay is started anew.
    pub restarts: u8,
    /// Times that nothing happens until the next deadline.
    pub waits: u8,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            clients: 2,
            channels: 1,
            keyed: false,
            secured: &[],
            may_ask: &[],
            asks: 1,
            refuse: false,
            sends: 0,
            ends: 0,
            cuts: 0,
            restarts: 0,
            waits: 0,
        }
    }
}

/// What the search has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps from one state to another.
    pub steps: usize,
    /// States in which nothing was under way, each run to its end.
    pub quiet: usize,
    /// The longest way to a state.
    pub longest: usize,
    /// Channels that were opened, over all runs to the end.
    pub opened: usize,
    /// Of these, ends that were found again.
    pub resumed: usize,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, quiet, longest, opened, resumed } = self;
        write!(f, "{states} states, {steps} steps, {quiet} of them quiet and run to the end ")?;
        write!(f, "({opened} channels, {resumed} ends found again), the longest way {longest} steps")
    }
}

/// Something that must hold does not.
#[derive(Clone, Debug)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tries everything within the bounds.
///
/// # Errors
/// What is broken, and the steps that lead to it.
pub fn explore(bounds: &Bounds) -> Result<Explored, Broken> {
    let mut explored = Explored::default();
    let mut seen = HashSet::new();
    let mut open = vec![Vec::new()];
    while let Some(mut path) = open.pop() {
        let told = |path: &[Move], broken: Broken| Broken(format!("{broken}\nafter {path:?}\n{bounds:?}"));
        let mut board = Board::at(bounds, &path).map_err(|broken| told(&path, broken))?;
        while seen.insert(board.fingerprint()) {
            explored.states += 1;
            explored.longest = explored.longest.max(path.len());
            if board.is_quiet() {
                explored.quiet += 1;
                let mut end = Board::at(bounds, &path).map_err(|broken| told(&path, broken))?;
                let ended = end.come_to_rest().map_err(|broken| told(&path, broken))?;
                explored.opened += ended.opened;
                explored.resumed += ended.resumed;
            }
            let mut moves = board.moves();
            explored.steps += moves.len();
            let Some(first) = moves.pop() else { break };
            open.extend(moves.into_iter().map(|step| [&path[..], &[step]].concat()));
            path.push(first);
            board.play(first).map_err(|broken| told(&path, broken))?;
        }
    }
    Ok(explored)
}
