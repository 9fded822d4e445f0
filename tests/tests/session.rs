//! Two clients through one relay: meet, agree, talk, end; and the same through cuts.

use bytes::Bytes;
use phantom_core::client::{ClientLimits, End, Event, Input, SendError};
use phantom_core::id::ChannelId;
use phantom_core::time::{Duration, Instant};
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

/// A receiver that does not take its packets for a minute holds up its sender; both memories stay flat, and nothing is lost.
#[test]
fn a_receiver_that_stops_reading_for_a_minute_holds_up_its_sender() {
    let (mut world, a, b) = pair(6);
    world.nodes[1].reads = false;
    let packet = |number: u32| {
        let mut packet = vec![0; 10_000];
        packet[..4].copy_from_slice(&number.to_be_bytes());
        packet
    };
    let mut sent = 0;
    let mut send_all = |world: &mut World| {
        while world.nodes[0].client.send(world.now, a, packet(sent)).is_ok() {
            sent += 1;
        }
        sent
    };
    let held = |world: &World| {
        let (at_a, at_b) = (world.nodes[0].client.held(a).unwrap(), world.nodes[1].client.held(b).unwrap());
        (at_a.queued + at_a.unacked, at_b.received)
    };
    world.run_until(Duration::from_secs(10), |w| {
        send_all(w);
        false
    });
    let (taken, full) = (send_all(&mut world), held(&world));
    let refused = world.nodes[0].client.send(world.now, a, packet(0));
    assert_eq!(refused, Err(SendError::Full));
    world.run_for(Duration::from_secs(60));
    assert_eq!((send_all(&mut world), held(&world)), (taken, full), "a minute changes nothing");
    let window = ClientLimits::default().receive_window_bytes;
    assert!(full.1 <= window + 16_384 && full.0 <= 2 * window + 16_384, "{full:?}");
    world.nodes[1].reads = true;
    let all = world.run_until(Duration::from_secs(60), |w| w.nodes[1].packets().len() == taken as usize);
    assert!(all, "{} of {taken}", world.nodes[1].packets().len());
    for (number, received) in (0..).zip(world.nodes[1].packets()) {
        assert_eq!(received[..], packet(number));
    }
}

/// From the moment the link stands again, one round trip between the two clients brings the channel back.
#[test]
fn resuming_takes_one_reconnect_and_one_round_trip() {
    let (mut world, _, _) = pair(7);
    let one_way = world.nodes[0].conditions.delay + world.nodes[1].conditions.delay;
    world.cut(0);
    let marks = world.nodes.iter().map(|node| node.events.len()).collect::<Vec<_>>();
    let since = |world: &World, node: usize, wanted: fn(&Event) -> bool| {
        world.nodes[node].events[marks[node]..].iter().any(wanted)
    };
    let online = |w: &mut World| since(w, 0, |event| matches!(event, Event::Online { .. }));
    assert!(world.run_until(Duration::from_secs(10), online));
    let reconnected = world.now;
    let resumed = |event: &Event| matches!(event, Event::Resumed { .. });
    assert!(world.run_until(Duration::from_secs(10), |w| since(w, 0, resumed) && since(w, 1, resumed)));
    let took = world.now.since(reconnected);
    assert!(took <= 2 * one_way, "{took:?} for a round trip of {:?}", 2 * one_way);
}

/// A laptop that sleeps: for its client no time passes, then hours at once. It comes back where it was, if its partner still waits.
#[test]
fn a_clock_that_jumps_costs_a_reconnect_and_nothing_else() {
    let mut world = World::new(8);
    for _ in 0..2 {
        let mut config = keyed("ABCDE12345");
        config.limits.patience = Duration::from_secs(24 * 3600);
        world.add(config);
    }
    world.join_all();
    let (a, b) = world.meet(0, 1);
    world.run_for(Duration::from_secs(1));
    world.nodes[0].client.send(world.now, a, "before").unwrap();
    world.run_for(Duration::from_secs(1));
    // Nobody is told anything for five hours; then everybody is told the time, and a little later an earlier one.
    world.now = world.now + Duration::from_secs(5 * 3600);
    world.settle();
    world.nodes[1].client.handle(Instant::ZERO, Input::Timeout);
    world.nodes[0].client.send(world.now, a, "after").unwrap();
    let arrived = world.run_until(Duration::from_secs(120), |w| w.nodes[1].packets() == ["before", "after"]);
    assert!(arrived, "{:?}", world.nodes[1].events);
    assert!(world.nodes[1].client.is_secured(b));
}
