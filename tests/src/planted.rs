//! A check that has never failed proves little: faults planted around the machines, and what the simulation says to them. Faults within
//! them are the [mutants'](../mutants/README.md).

use bytes::Bytes;

use crate::actions::{Action, Setup};
use crate::simulation::Simulation;

const SETUP: Setup = Setup {
    pairs: 2,
    star: false,
    small: false,
    early: false,
    unequal: 0,
    strangers: 0,
    hostile: None,
    light: false,
};
const NOTHING: Action = Action::Wait { ms: 0 };

/// Two channels that have carried something.
fn simulation() -> Simulation {
    let mut simulation = Simulation::new(1, SETUP);
    for action in [Action::Send { pair: 0, side: 0, count: 5 }, Action::Wait { ms: 500 }, NOTHING] {
        simulation.apply(&action).expect("nothing is wrong");
    }
    simulation
}

fn complaint(mut simulation: Simulation, action: &Action) -> String {
    simulation.apply(action).expect_err("a fault was planted").to_string()
}

#[test]
fn a_frame_that_reaches_a_third_is_noticed() {
    let mut simulation = simulation();
    simulation.world.passed.insert((0, 3));
    assert_eq!(complaint(simulation, &NOTHING), "what client 0 sent went to client 3");
}

/// The second client hands out `packets` beside what it was sent.
fn handed_out(packets: &[Bytes]) -> String {
    let mut simulation = simulation();
    simulation.apply(&Action::StopReading(1)).expect("nothing is wrong");
    simulation.apply(&Action::Send { pair: 0, side: 0, count: 1 }).expect("nothing is wrong");
    let node = &mut simulation.world.nodes[1];
    let channel = node.channel().expect("it has one");
    node.received.entry(channel).or_default().extend_from_slice(packets);
    complaint(simulation, &NOTHING)
}

#[test]
fn a_packet_that_was_not_sent_is_noticed() {
    let made_up = Bytes::from_static(b"never sent");
    assert!(handed_out(&[made_up]).contains("was not sent as such"));
}

#[test]
fn a_packet_that_comes_twice_or_too_late_is_noticed() {
    let mut all = simulation();
    all.apply(&Action::StopReading(1)).expect("nothing is wrong");
    all.apply(&Action::Send { pair: 0, side: 0, count: 3 }).expect("nothing is wrong");
    all.apply(&Action::Wait { ms: 500 }).expect("nothing is wrong");
    let channel = all.world.nodes[1].channel().expect("it has one");
    let now = all.world.now;
    // One packet is swallowed on the way from the machine to whoever counts.
    all.world.nodes[1].client.receive(now, channel).expect("it has arrived");
    assert!(complaint(all, &Action::Read(1)).contains("was not sent as such"));
}

#[test]
fn one_frame_more_is_another_run() {
    let run = |more: bool| {
        let mut simulation = simulation();
        if more {
            simulation.world.inject_to_relay(0, &phantom_core::wire::ClientFrame::Ping { token: 7 }.encode());
        }
        simulation.heal().expect("nothing is wrong").trace
    };
    assert_eq!(run(false), run(false));
    assert_ne!(run(false), run(true));
}

#[test]
fn a_channel_that_is_secured_with_two_keys_is_noticed() {
    let mut simulation = Simulation::new(1, Setup { unequal: 1, ..SETUP });
    simulation.apply(&Action::Wait { ms: 5_000 }).expect("the last channel is not secured");
    // The user has found the right key, and the simulation knows nothing of it.
    for node in [2, 3] {
        let channel = simulation.world.nodes[node].channel().expect("it has one");
        let key = crate::key("the same for both");
        let set = simulation.world.act(node, |client, now| client.set_channel_key(now, channel, key));
        set.expect("it is not secured");
    }
    let said = complaint(simulation, &Action::Wait { ms: 5_000 });
    assert_eq!(said, "pair 1 is secured with two keys that differ");
}
