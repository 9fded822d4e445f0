//! A client that comes back proves that an ID was its own.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// What a client sends to get back what this WELCOME gave it.
fn claim(welcome: Welcome, challenge: [u8; 16]) -> ClientFrame {
    let Welcome { id, owner, kid, expiry, token_key, channels, .. } = welcome;
    let mac = reclaim_mac(&token_key, &challenge);
    ClientFrame::Reclaim { version: VERSION, channels, kid, id, owner, expiry, mac }
}

/// Reclaims over a new connection.
fn come_back(world: &mut World, welcome: Welcome) -> Client {
    let (conn, challenge) = world.greeted();
    world.send(conn, claim(welcome, challenge));
    world.welcomed(conn)
}

/// The claim was not believed, and the claimant was given another ID without being told why.
#[track_caller]
fn assert_refused(before: Welcome, after: Client) {
    assert!(!after.welcome.reclaimed);
    assert_ne!((after.id, after.welcome.owner), (before.id, before.owner));
}

#[track_caller]
fn assert_reclaimed(before: Welcome, after: Client) {
    assert!(after.welcome.reclaimed);
    assert_eq!((after.id, after.welcome.owner), (before.id, before.owner));
}

#[test]
fn a_good_token_gives_the_id_back() {
    let mut world = World::new();
    let old = world.join_with(5);
    world.disconnect(old.conn);
    world.pass(HOUR);
    let new = come_back(&mut world, old.welcome);
    assert_reclaimed(old.welcome, new);
    assert_eq!(new.welcome.channels, 5);
    assert_eq!(new.welcome.expiry, old.welcome.expiry + 3600, "the token is renewed");
    let caller = world.join();
    world.connect(caller, 1, old.id);
    world.expect_answer(caller.conn, 1, Answer::Requested);
    assert_eq!(world.take(new.conn).len(), 1);
}

#[test]
fn the_old_connection_is_superseded() {
    let mut world = World::new();
    let (old, partner, caller) = (world.join_with(2), world.join(), world.join());
    let (_, channel) = world.pair(old, partner);
    world.connect(caller, 1, old.id);
    world.take(caller.conn);
    world.take(old.conn);
    let new = come_back(&mut world, old.welcome);
    assert_reclaimed(old.welcome, new);
    assert_eq!(world.code(old.conn), Some(CloseCode::Superseded));
    world.expect_closed(partner.conn, channel, Ended::Detached);
    world.expect_answer(caller.conn, 1, Answer::Left);
    world.connect(caller, 2, old.id);
    assert_eq!(world.take(new.conn).len(), 1, "the new connection is called");
    world.send(old.conn, ClientFrame::Ping { token: 1 });
    world.disconnect(old.conn);
    assert_eq!(world.code(new.conn), None);
}

/// The ID given back is the holder's again: neither kept back nor given to others when its older retirement ends.
#[test]
fn an_id_reclaimed_stays_its_own() {
    let mut world = World::with(|config| config.limits.retired_for = Duration::from_secs(20));
    let old = world.join();
    let new = come_back(&mut world, old.welcome);
    world.pass_alive(Duration::from_secs(40), &[new]);
    world.join();
    assert_reclaimed(old.welcome, come_back(&mut world, old.welcome));
}

#[test]
fn a_restarted_relay_honours_its_tokens() {
    let mut first = World::new();
    let (old, other) = (first.join(), first.join());
    let mut second = World::with(|config| {
        config.previous_secret = Some(secret(9));
    });
    assert_reclaimed(old.welcome, come_back(&mut second, old.welcome));
    let mut rotated = World::with(|config| {
        config.secret = secret(2);
        config.previous_secret = Some(secret(1));
    });
    let new = come_back(&mut rotated, other.welcome);
    assert_reclaimed(other.welcome, new);
    assert_eq!(new.welcome.kid, 2, "and the next token is made with the new secret");
    assert_reclaimed(other.welcome, come_back(&mut rotated, new.welcome));
    let mut forgotten = World::with(|config| config.secret = secret(2));
    assert_refused(other.welcome, come_back(&mut forgotten, other.welcome));
}

#[test]
fn the_same_number_with_another_secret_is_not_believed() {
    let old = World::new().join();
    let mut world = World::with(|config| config.secret = RelaySecret::new(1, [7; 32]));
    world.join();
    assert_refused(old.welcome, come_back(&mut world, old.welcome));
}

#[test]
fn every_field_of_the_token_is_proved() {
    let lies: [fn(&mut Welcome); 8] = [
        |w| w.id = PeerId::from_bytes(*b"ZZZZZZ").unwrap(),
        |w| w.owner[7] ^= 1,
        |w| w.kid = 2,
        |w| w.kid = 3,
        |w| w.expiry += 1,
        |w| w.expiry -= 1,
        |w| w.token_key[0] ^= 1,
        |w| w.token_key[31] ^= 0x80,
    ];
    for lie in lies {
        // Another number for the same bytes: the number is proved by itself.
        let mut world = World::with(|config| config.previous_secret = Some(RelaySecret::new(2, [1; 32])));
        let old = world.join();
        let mut lied = old.welcome;
        lie(&mut lied);
        assert_refused(old.welcome, come_back(&mut world, lied));
        assert_eq!(world.code(old.conn), None, "the holder is not disturbed");
        world.disconnect(old.conn);
        assert_refused(old.welcome, come_back(&mut world, lied));
        assert_reclaimed(old.welcome, come_back(&mut world, old.welcome));
    }
}

#[test]
fn every_bit_of_the_proof_counts() {
    let mut world = World::new();
    let old = world.join();
    for bit in 0..128 {
        let (conn, challenge) = world.greeted();
        let mut frame = claim(old.welcome, challenge).encode().to_vec();
        let mac = frame.len() - 16;
        frame[mac + bit / 8] ^= 1 << (bit % 8);
        world.send_bytes(conn, &frame);
        assert_refused(old.welcome, world.welcomed(conn));
        world.disconnect(conn);
    }
}

#[test]
fn a_recorded_claim_is_useless() {
    let mut world = World::new();
    let old = world.join();
    let (first, challenge) = world.greeted();
    let recorded = claim(old.welcome, challenge);
    world.send(first, recorded);
    assert_reclaimed(old.welcome, world.welcomed(first));
    let (second, _) = world.greeted();
    world.send(second, recorded);
    assert_refused(old.welcome, world.welcomed(second));
    assert_eq!(world.code(first), None);
}

#[test]
fn a_token_ends() {
    for (wait, good) in [(24 * HOUR - Duration::from_secs(1), true), (24 * HOUR, false)] {
        let mut world = World::new();
        let old = world.join();
        world.disconnect(old.conn);
        world.pass(wait);
        assert_eq!(come_back(&mut world, old.welcome).welcome.reclaimed, good);
    }
}

#[test]
fn a_token_from_a_wrong_clock_is_refused() {
    for (ahead, good) in [(3600, true), (3601, false)] {
        let old = World::with(|config| config.unix_origin += ahead).join();
        let mut world = World::new();
        assert_eq!(come_back(&mut world, old.welcome).welcome.reclaimed, good);
    }
}

/// After a restart the ID may have been drawn for somebody else: who has it keeps it.
#[test]
fn the_present_holder_keeps_an_id_drawn_twice() {
    let mut world = World::new();
    let holder = world.join();
    let owner = [0xaa; 8];
    let token_key = *secret(1).token_key(holder.id, owner, holder.welcome.expiry);
    let earlier = Welcome { owner, token_key, ..holder.welcome };
    let new = come_back(&mut world, earlier);
    assert!(!new.welcome.reclaimed && new.id != holder.id && new.welcome.owner != owner);
    assert_eq!(world.code(holder.conn), None);
    world.disconnect(holder.conn);
    assert_reclaimed(earlier, come_back(&mut world, earlier));
}

#[test]
fn a_claim_with_bad_terms_ends_the_connection_and_not_the_holder() {
    for (version, channels, code) in [
        (9, 1, CloseCode::VersionUnsupported),
        (VERSION, 0, CloseCode::Malformed),
        (VERSION, 65, CloseCode::Malformed),
    ] {
        let mut world = World::new();
        let old = world.join();
        let (conn, challenge) = world.greeted();
        let mut frame = claim(old.welcome, challenge).encode().to_vec();
        (frame[1], frame[2]) = (version, channels);
        world.send_bytes(conn, &frame);
        assert_eq!((world.code(conn), world.code(old.conn)), (Some(code), None));
    }
}

/// Without it a client online for a day would lose its ID at the relay's next restart.
#[test]
fn a_long_connection_is_given_new_tokens() {
    let mut world = World::new();
    let client = world.join();
    world.pass_alive(12 * HOUR - Duration::from_secs(60), &[client]);
    world.expect_silence();
    world.pass_alive(Duration::from_secs(120), &[client]);
    let renewed = world.welcomed(client.conn);
    assert_reclaimed(client.welcome, renewed);
    assert!(renewed.welcome.expiry >= client.welcome.expiry + 12 * 3600);
    world.pass_alive(11 * HOUR, &[client]);
    world.expect_silence();
    world.disconnect(client.conn);
    world.pass(2 * HOUR);
    assert_refused(client.welcome, come_back(&mut world, client.welcome));
    assert_reclaimed(renewed.welcome, come_back(&mut world, renewed.welcome));
}

#[test]
fn no_lifetime_is_too_long_to_be_counted() {
    let mut world = World::with(|config| config.limits.token_lifetime = Duration::MAX);
    let old = world.join();
    assert_reclaimed(old.welcome, come_back(&mut world, old.welcome));
}
