//! Two clients through one relay: meet, agree, talk, end; and the same through cuts.

use bytes::Bytes;
use phantom_core::client::{End, Event};
use phantom_core::id::ChannelId;
use phantom_core::time::Duration;
use phantom_tests::{World, key, keyed};

/// Two clients with one key, met and secured.
fn pair(seed: u64) -> (World, ChannelId, ChannelId) {
    let mut world = World::new(seed);
    world.add(keyed("ABCDE12345"));
    world.add(keyed("ABCDE12345"));
    world.join_all();
    let (a, b) = world.meet(0, 1);
    assert!(world.run_until(Duration::from_secs(10), |w| {
        w.nodes[0].client.is_secured(a) && w.nodes[1].client.is_secured(b)
    }));
    (world, a, b)
}

#[test]
fn two_clients_meet_and_talk_both_ways_and_part() {
    let (mut world, a, b) = pair(1);
    let now = world.now;
    world.nodes[0].client.send(now, a, "Приветик!!!").unwrap();
    world.nodes[1].client.send(now, b, "Приветик!!!").unwrap();
    assert!(world.run_until(Duration::from_secs(5), |w| w.nodes.iter().all(|n| n.packets().len() == 1)));
    assert_eq!(world.nodes[0].packets(), ["Приветик!!!"]);
    assert_eq!(world.nodes[1].packets(), ["Приветик!!!"]);
    let now = world.now;
    world.nodes[0].client.disconnect(now, a).unwrap();
    let finished = |event: &Event| matches!(event, Event::Closed { end: End::Finished, .. });
    let parted = world.run_until(Duration::from_secs(5), |w| w.nodes.iter().all(|n| n.heard(finished)));
    assert!(parted, "{:?}\n{:?}", world.nodes[0].events, world.nodes[1].events);
}

#[test]
fn a_mebibyte_packet_and_many_small_ones_arrive_in_order() {
    let (mut world, a, _) = pair(2);
    let big = Bytes::from((0..1 << 20).map(|i| (i * 7 % 251) as u8).collect::<Vec<_>>());
    let now = world.now;
    world.nodes[0].client.send(now, a, big.clone()).unwrap();
    let small: Vec<Bytes> =
        (0..20_000u32).map(|i| Bytes::copy_from_slice(&i.to_be_bytes()[..(i % 5) as usize])).collect();
    let mut next = 0;
    assert!(world.run_until(Duration::from_secs(60), |w| {
        while next < small.len() && w.nodes[0].client.send(w.now, a, small[next].clone()).is_ok() {
            next += 1;
        }
        w.nodes[1].packets().len() == 1 + small.len()
    }));
    assert_eq!(world.nodes[1].packets()[0], big);
    assert_eq!(world.nodes[1].packets()[1..], small);
}

#[test]
fn a_cut_in_the_middle_loses_nothing() {
    let (mut world, a, b) = pair(3);
    let mut sent = 0u32;
    for round in 0..20 {
        let target = sent + 500;
        assert!(world.run_until(Duration::from_secs(120), |w| {
            while sent < target && w.nodes[0].client.send(w.now, a, sent.to_be_bytes().to_vec()).is_ok() {
                sent += 1;
            }
            sent == target
        }));
        world.run_for(Duration::from_millis(3 * round));
        match round % 4 {
            0 => world.cut(0),
            1 => world.cut(1),
            2 => {
                world.kill_relay();
                world.run_for(Duration::from_secs(2));
                world.start_relay();
            }
            _ => world.cut_client_side(0),
        }
    }
    let arrived = world.run_until(Duration::from_secs(300), |w| w.nodes[1].packets().len() == sent as usize);
    assert!(arrived, "{} of {sent}; {:?}", world.nodes[1].packets().len(), world.nodes[1].events);
    for (i, packet) in world.nodes[1].packets().iter().enumerate() {
        assert_eq!(packet[..], (i as u32).to_be_bytes());
    }
    assert!(world.nodes[1].client.is_secured(b));
}

#[test]
fn different_keys_are_said_so_on_both_sides_and_nothing_is_handed_over() {
    let mut world = World::new(4);
    world.add(keyed("ABCDE12345"));
    world.add(keyed("another one"));
    world.join_all();
    let (a, b) = world.meet(0, 1);
    let now = world.now;
    world.nodes[0].client.send(now, a, "secret").unwrap();
    let differ = |event: &Event| matches!(event, Event::KeysDiffer { .. });
    assert!(world.run_until(Duration::from_secs(5), |w| w.nodes.iter().all(|n| n.heard(differ))));
    assert!(world.nodes[1].packets().is_empty());
    // The right key, set afterwards, sends what waited.
    let now = world.now;
    world.nodes[1].client.set_channel_key(now, b, key("ABCDE12345")).unwrap();
    assert!(
        world.run_until(Duration::from_secs(20), |w| w.nodes[1].packets() == ["secret"]),
        "{:?}",
        world.nodes[1].events
    );
}

#[test]
fn one_seed_is_one_run() {
    let run = || {
        let (mut world, a, _) = pair(5);
        let now = world.now;
        world.nodes[0].client.send(now, a, vec![7; 100_000].split_off(50_000)).unwrap();
        world.run_for(Duration::from_secs(60));
        world.trace()
    };
    assert_eq!(run(), run());
}
