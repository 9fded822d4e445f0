//! From the first byte to WELCOME, and what keeps a connection alive.

use super::*;

const PING: ClientFrame = ClientFrame::Ping { token: 7 };

#[test]
fn hello_comes_first_with_a_fresh_challenge() {
    let mut world = World::new();
    let (first, second) = (world.greeted(), world.greeted());
    assert_ne!(first.1, second.1);
    world.expect_silence();
}

#[test]
fn registering_gives_an_id_and_says_the_terms() {
    let mut world = World::new();
    let client = world.join_with(64);
    assert!(client.id.as_bytes().iter().all(u8::is_ascii_alphanumeric));
    let Welcome { reclaimed, kid, expiry, channels, idle_s, request_s, .. } = client.welcome;
    assert_eq!((reclaimed, kid, channels, idle_s, request_s), (false, 1, 64, 30, 60));
    assert_eq!(expiry, 1_800_000_000 + 1000 + 24 * 3600);
}

#[test]
fn the_relay_grants_no_more_channels_than_its_own_limit() {
    let mut world = World::with(|config| config.limits.channels_max = 2);
    assert_eq!(world.join_with(64).welcome.channels, 2);
    assert_eq!(world.join_with(1).welcome.channels, 1);
}

#[test]
fn a_registration_the_relay_cannot_grant() {
    for (version, channels, code) in [
        (0, 1, CloseCode::VersionUnsupported),
        (2, 1, CloseCode::VersionUnsupported),
        (VERSION, 0, CloseCode::Malformed),
        (VERSION, 65, CloseCode::Malformed),
    ] {
        let mut world = World::new();
        let (conn, _) = world.greeted();
        world.send(conn, ClientFrame::Register { version, channels });
        assert_eq!(world.code(conn), Some(code), "{version} {channels}");
        world.expect_silence();
    }
}

#[test]
fn a_second_registration() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    world.pair(a, b);
    world.send(a.conn, ClientFrame::Register { version: VERSION, channels: 1 });
    assert_eq!(world.code(a.conn), Some(CloseCode::AlreadyRegistered));
    world.expect_closed(b.conn, 0x100, Ended::Detached);
}

#[test]
fn a_registration_must_come_in_time() {
    let mut world = World::new();
    let (conn, _) = world.greeted();
    world.pass(Duration::from_secs(10) - MICRO);
    assert_eq!(world.code(conn), None);
    world.pass(MICRO);
    assert_eq!(world.code(conn), Some(CloseCode::RegisterTimeout));
}

#[test]
fn silence_ends_a_connection_and_any_frame_keeps_it() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    world.pass(Duration::from_secs(20));
    world.send(a.conn, PING);
    world.expect(a.conn, &[RelayFrame::Pong { token: 7 }]);
    world.pass(Duration::from_secs(10));
    assert_eq!((world.code(a.conn), world.code(b.conn)), (None, Some(CloseCode::Idle)));
    world.pass(Duration::from_secs(20) - MICRO);
    assert_eq!(world.code(a.conn), None);
    world.pass(MICRO);
    assert_eq!(world.code(a.conn), Some(CloseCode::Idle));
}

#[test]
fn forwarding_keeps_a_connection() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    let (channel, _) = world.pair(a, b);
    world.pass(Duration::from_secs(29));
    world.forward(a.conn, channel).unwrap();
    world.pass(Duration::from_secs(29));
    assert_eq!((world.code(a.conn), world.code(b.conn)), (None, Some(CloseCode::Idle)));
}

/// A sender that is not read cannot be heard: it gets its whole idle time again when it is read again.
#[test]
fn a_sender_held_up_is_not_idle() {
    let mut world = World::with(|config| config.limits.stuck_timeout = Duration::from_secs(60));
    let (a, b) = (world.join(), world.join());
    world.pair(a, b);
    let to = b.conn;
    world.pass_alive(Duration::from_micros(1), &[b]);
    world.tell(Input::Blocked { from: a.conn, to });
    world.pass_alive(Duration::from_secs(30) - Duration::from_millis(1), &[b]);
    world.tell(Input::Unblocked { from: a.conn });
    world.pass_alive(Duration::from_secs(30) - MICRO, &[b]);
    assert_eq!(world.code(a.conn), None);
    world.pass(MICRO);
    assert_eq!(world.code(a.conn), Some(CloseCode::Idle));
}

#[test]
fn a_relay_takes_no_more_than_its_limit() {
    let mut world = World::with(|config| config.limits.connections_max = 2);
    let a = world.join();
    world.open();
    assert_eq!(world.try_open(Source::Unknown), Err(CloseCode::RelayFull));
    assert_eq!(world.relay.stats().closed[&CloseCode::RelayFull], 1);
    assert_eq!((world.relay.connections(), world.relay.stats().connections), (2, 2));
    world.disconnect(a.conn);
    assert!(world.try_open(Source::Unknown).is_ok());
}

#[test]
fn ids_are_unique() {
    let mut world = World::new();
    let ids: BTreeSet<_> = (0..100).map(|_| world.join().id).collect();
    assert_eq!(ids.len(), 100);
}

#[test]
fn what_is_no_frame_at_all_ends_the_connection() {
    let mut world = World::new();
    let ((greeted, _), joined) = (world.greeted(), world.join());
    world.tell(Input::Invalid { from: greeted, code: CloseCode::NotBinary });
    world.tell(Input::Invalid { from: joined.conn, code: CloseCode::TooLarge });
    assert_eq!(world.code(greeted), Some(CloseCode::NotBinary));
    assert_eq!(world.code(joined.conn), Some(CloseCode::TooLarge));
}
