//! The same promises as in `simulation.rs`, over lists of actions that shrink to what a person can read.

use phantom_tests::actions::{Action, Setup, Swarm};
use phantom_tests::hostile::Weights;
use phantom_tests::simulation::{self, Broken, Simulation, Tally};
use proptest::prelude::*;

/// Layouts, with an honest relay or with a hostile one.
fn setups(hostile: bool) -> impl Strategy<Value = Setup> {
    any::<([u8; 8], [u8; 24])>().prop_map(move |(layout, weights)| Setup {
        hostile: hostile.then(|| Weights::draw(&mut &weights[..])),
        ..Setup::draw(&mut &layout[..])
    })
}

/// Layouts and what happens in them.
fn scripts(hostile: bool) -> impl Strategy<Value = (Setup, Vec<Action>)> {
    setups(hostile).prop_flat_map(|setup| {
        let (swarm, layout) = (Swarm::even(&setup), setup.clone());
        let action = any::<[u8; 6]>().prop_map(move |bytes| swarm.draw_action(&mut &bytes[..], &layout));
        (Just(setup), proptest::collection::vec(action, 1..25))
    })
}

fn play(seed: u64, setup: &Setup, actions: &[Action]) -> Result<Tally, Broken> {
    simulation::play(Simulation::new(seed, setup.clone()), |_, played| actions.get(played).cloned())
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PHANTOM_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_honest_relay_loses_nothing(seed in 0..1000u64, (setup, actions) in scripts(false)) {
        play(seed, &setup, &actions).map_err(|broken| TestCaseError::fail(broken.to_string()))?;
    }

    #[test]
    fn a_hostile_relay_alters_nothing(seed in 0..1000u64, (setup, actions) in scripts(true)) {
        play(seed, &setup, &actions).map_err(|broken| TestCaseError::fail(broken.to_string()))?;
    }

    /// One seed and one list of actions give one run, byte for byte.
    #[test]
    fn a_run_can_be_repeated(seed in 0..1000u64, (setup, actions) in scripts(false)) {
        let trace = || play(seed, &setup, &actions).map(|tally| tally.trace);
        let (first, second) = (trace(), trace());
        prop_assert_eq!(first.map_err(|b| b.to_string()), second.map_err(|b| b.to_string()));
    }
}
