//! The same promises as in `simulation.rs`, over lists of actions that shrink to what a person can read.

use phantom_tests::hostile::Weights;
use phantom_tests::simulation::{Action, Broken, Setup, Simulation, Tally};
use proptest::prelude::*;

fn setups() -> impl Strategy<Value = Setup> {
    let early = proptest::bool::weighted(0.2);
    (1..=2usize, any::<bool>(), any::<bool>(), early, 0..=1usize, 1..=2usize).prop_map(
        |(pairs, star, small, early, unequal, strangers)| Setup {
            pairs,
            star,
            small,
            early,
            unequal,
            strangers,
            hostile: None,
        },
    )
}

fn weights() -> impl Strategy<Value = Weights> {
    let often = || 0..40u8;
    let seldom = || 0..6u8;
    (often(), often(), often(), often(), seldom(), seldom(), seldom(), seldom()).prop_map(
        |(drop, repeat, reorder, replay, swap, reflect, flip, invent)| Weights {
            drop,
            repeat,
            reorder,
            replay,
            swap,
            reflect,
            flip,
            invent,
        },
    )
}

fn actions(setup: &Setup) -> impl Strategy<Value = Vec<Action>> + use<> {
    let node = || 0..setup.nodes();
    let end = || (0..setup.pairs, 0..2usize);
    let stranger = 0..setup.strangers;
    let action = prop_oneof![
        4 => (end(), 0..300u16).prop_map(|((pair, side), count)| Action::Send { pair, side, count }),
        4 => (0..5_000u32).prop_map(|ms| Action::Wait { ms }),
        1 => (5_000..60_000u32).prop_map(|ms| Action::Wait { ms }),
        1 => node().prop_map(Action::Cut),
        1 => node().prop_map(Action::CutClientSide),
        1 => node().prop_map(Action::CutRelaySide),
        1 => node().prop_map(Action::Stall),
        1 => node().prop_map(Action::StallDown),
        1 => node().prop_map(Action::Unstall),
        1 => node().prop_map(Action::Unreachable),
        1 => node().prop_map(Action::Reachable),
        1 => (node(), 0..1_000u16).prop_map(|(node, ms)| Action::Delay(node, ms)),
        1 => node().prop_map(Action::Narrow),
        1 => node().prop_map(Action::Wide),
        1 => (stranger, 0..40u8).prop_map(|(stranger, count)| Action::Mischief { stranger, count }),
        1 => Just(Action::KillRelay),
        1 => Just(Action::StartRelay),
        1 => node().prop_map(Action::StopReading),
        1 => node().prop_map(Action::Read),
        1 => (end(), 0..20u8).prop_map(|((pair, side), count)| Action::ReadSome { pair, side, count }),
        1 => node().prop_map(Action::DialNow),
        1 => end().prop_map(|(pair, side)| Action::Disconnect { pair, side }),
    ];
    proptest::collection::vec(action, 1..25)
}

fn play(seed: u64, setup: &Setup, actions: &[Action]) -> Result<Tally, Broken> {
    let mut simulation = Simulation::new(seed, setup.clone());
    actions.iter().try_for_each(|action| simulation.apply(action))?;
    simulation.heal()
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PHANTOM_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_honest_relay_loses_nothing(
        seed in 0..1000u64,
        (setup, actions) in setups().prop_flat_map(|setup| (Just(setup.clone()), actions(&setup))),
    ) {
        play(seed, &setup, &actions).map_err(|broken| TestCaseError::fail(broken.to_string()))?;
    }

    #[test]
    fn a_hostile_relay_alters_nothing(
        seed in 0..1000u64,
        weights in weights(),
        (setup, actions) in setups().prop_flat_map(|setup| (Just(setup.clone()), actions(&setup))),
    ) {
        let setup = Setup { hostile: Some(weights), ..setup };
        play(seed, &setup, &actions).map_err(|broken| TestCaseError::fail(broken.to_string()))?;
    }

    /// One seed and one list of actions give one run, byte for byte.
    #[test]
    fn a_run_can_be_repeated(
        seed in 0..1000u64,
        (setup, actions) in setups().prop_flat_map(|setup| (Just(setup.clone()), actions(&setup))),
    ) {
        let trace = || play(seed, &setup, &actions).map(|tally| tally.trace);
        let (first, second) = (trace(), trace());
        prop_assert_eq!(first.map_err(|b| b.to_string()), second.map_err(|b| b.to_string()));
    }
}
