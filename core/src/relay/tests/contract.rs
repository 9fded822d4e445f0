//! What the documentation of [`Relay`] promises to whoever drives it.

use super::*;

/// Two connected clients, a third that asks, and a fourth that waits at a rendezvous.
fn scene() -> (World, [Client; 4]) {
    let mut world = World::new();
    let clients = [world.join_with(2), world.join(), world.join(), world.join()];
    world.pair(clients[0], clients[1]);
    world.connect(clients[2], 1, clients[0].id);
    world.send(clients[3].conn, ClientFrame::Rejoin { rendezvous: [1; 16], role: 0 });
    for client in clients {
        world.take(client.conn);
    }
    (world, clients)
}

#[test]
fn while_output_is_queued_the_deadline_is_now() {
    let mut relay = Relay::new(RelayConfig::new(secret(1), 0), SEED);
    let now = Instant::from_micros(77);
    assert_eq!(relay.poll_timeout(), None);
    relay.open(now, Source::Unknown).unwrap();
    assert_eq!(relay.poll_timeout().map(|deadline| deadline.at), Some(now));
    assert!(relay.poll_output().is_some());
    assert_eq!(relay.poll_timeout().map(|deadline| deadline.at), Some(now + Duration::from_secs(10)));
    assert!(relay.poll_output().is_none());
}

#[test]
fn time_handled_early_twice_or_backwards_changes_nothing() {
    let (mut quiet, _) = scene();
    let (mut busy, _) = scene();
    let start = busy.now;
    for second in 0..200 {
        for _ in 0..2 {
            busy.pass(Duration::from_millis(500));
            busy.timeout();
            for back in [1, 700, 1_000_000_000] {
                let now = busy.now;
                busy.now = now - Duration::from_millis(back);
                busy.tell(Input::Timeout);
                busy.now = now;
            }
        }
        assert_eq!(busy.now.since(start), Duration::from_secs(second + 1));
    }
    quiet.pass(Duration::from_secs(200));
    assert_eq!(quiet.transcript, busy.transcript);
    assert_eq!(quiet.relay.connections(), 0);
}

/// A moment before the latest one is no time at all: what happens then lasts from the latest one on.
#[test]
fn a_clock_that_steps_back_shortens_nothing() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    let now = world.now;
    world.now = now - Duration::from_secs(20);
    let (greeted, _) = world.greeted();
    world.connect(a, 1, b.id);
    world.send(b.conn, ClientFrame::Ping { token: 0 });
    world.take(a.conn);
    world.take(b.conn);
    world.now = now;
    world.pass(Duration::from_secs(10) - MICRO);
    assert_eq!(world.code(greeted), None);
    world.pass(MICRO);
    assert_eq!(world.code(greeted), Some(CloseCode::RegisterTimeout));
    world.pass(Duration::from_secs(20) - MICRO);
    assert_eq!((world.code(a.conn), world.code(b.conn)), (None, None));
}

#[test]
fn a_connection_that_ended_is_inert() {
    let (mut world, clients) = scene();
    let [a, b, c, _] = clients;
    world.disconnect(c.conn);
    world.take(a.conn);
    let reused = world.join();
    assert_eq!(reused.conn.index(), c.conn.index());
    assert_ne!(reused.conn, c.conn);
    let (from, before) = (c.conn, world.transcript.len());
    for frame in states::frames(b.id) {
        world.send_bytes(from, &frame);
    }
    world.tell(Input::Closed { conn: from });
    world.tell(Input::Invalid { from, code: CloseCode::NotBinary });
    world.tell(Input::Blocked { from, to: a.conn });
    world.tell(Input::Unblocked { from });
    assert_eq!(world.transcript.len(), before);
}

#[test]
fn draining_tells_every_client_and_ends_nothing() {
    let (mut world, clients) = scene();
    let (greeted, _) = world.greeted();
    for (after, after_ms) in [(Duration::from_millis(1500), 1500), (Duration::MAX, u32::MAX)] {
        world.relay.drain(world.now, after);
        world.settle();
        for client in clients {
            world.expect(client.conn, &[RelayFrame::Drain { after_ms }]);
        }
        world.expect(greeted, &[]);
    }
    assert!(world.closed.is_empty());
    assert!(world.forward(clients[0].conn, 0x100).is_some());
}

#[test]
fn the_end_of_time_is_survived() {
    let (mut world, _) = scene();
    world.now = Instant::from_micros(u64::MAX);
    world.timeout();
    assert_eq!(world.relay.connections(), 0);
    let (conn, _) = world.greeted();
    world.timeout();
    assert_eq!(world.code(conn), Some(CloseCode::RegisterTimeout));
}

#[test]
fn times_of_zero_make_no_endless_loop() {
    let mut world = World::with(|config| {
        let limits = &mut config.limits;
        for time in [
            &mut limits.request_lifetime,
            &mut limits.stuck_timeout,
            &mut limits.rejoin_lifetime,
            &mut limits.retired_for,
            &mut limits.token_lifetime,
            &mut limits.token_renewal,
        ] {
            *time = Duration::ZERO;
        }
        limits.retired_max = 0;
    });
    let (a, b) = (world.join_with(2), world.join_with(2));
    world.pair(a, b);
    world.tell(Input::Blocked { from: a.conn, to: b.conn });
    world.send(a.conn, ClientFrame::Rejoin { rendezvous: [1; 16], role: 0 });
    world.timeout();
    world.pass(Duration::from_secs(30));
    assert_eq!(world.relay.connections(), 0);
}
