//! The whole world: a relay, clients with channels between them, and anything that can happen to links, readers and the relay.
//!
//! * Everything that the simulation promises (`phantom_tests::simulation`) holds after every action, and what is broken heals.
//! * The first byte says how the world is laid out; the others are actions, drawn as those of the simulation are. What is left to chance
//!   there, such as what a hostile relay does with a frame, comes of all bytes together.

use phantom_core::rng::Rng;
use phantom_tests::actions::{Setup, Swarm};
use phantom_tests::hostile::Weights;
use phantom_tests::simulation::{self, Simulation};

use crate::beginning::Beginnings;

/// The actions of one story.
const ACTIONS_MAX: usize = 64;

/// How many layouts there are; that of a number is always the same.
const LAYOUTS: u8 = 24;

/// A story of these actions in a world that is there already.
///
/// # Panics
/// A promise is broken.
pub fn world(data: &[u8]) {
    thread_local! {
        static BEGINNINGS: Beginnings<Simulation> = const { Beginnings::new() };
    }
    let (&first, mut actions) = data.split_first().unwrap_or((&0, &[]));
    let layout = first % LAYOUTS;
    let story = |mut simulation: Simulation| {
        simulation.reseed(blake3::hash(data).as_bytes());
        let told = simulation::play(simulation, |setup, played| {
            let more = !actions.is_empty() && played < ACTIONS_MAX;
            more.then(|| Swarm::even(setup).draw_action(&mut actions, setup))
        });
        if let Err(broken) = told {
            panic!("{broken}");
        }
    };
    // SAFETY: playing drops the simulation, and keeps nothing of it.
    BEGINNINGS.with(|beginnings| unsafe {
        beginnings.tell(layout, || Simulation::new(u64::from(layout), setup(layout)), story);
    });
}

/// Layouts like those of the simulation, but small: one channel, in every sixth two; every third of them with a hostile relay.
fn setup(layout: u8) -> Setup {
    let mut rng = Rng::from_seed(blake3::hash(&[layout]).as_bytes());
    let hostile = (layout % 3 == 2).then(|| Weights::draw(&mut rng));
    let drawn = Setup::draw(&mut rng);
    let pairs = if layout % 6 == 5 { 2 } else { 1 };
    Setup { pairs, strangers: drawn.strangers.min(1), hostile, light: true, ..drawn }
}
