//! The two ends of a channel that was cut find each other, and nobody else.

use super::*;
use crate::wire::RelayFrame::Attached;

const VALUE: [u8; 16] = [3; 16];

fn rejoin(world: &mut World, client: Client, value: [u8; 16], role: u8) {
    world.send(client.conn, ClientFrame::Rejoin { rendezvous: value, role });
}

#[test]
fn opposite_roles_are_paired() {
    for first_role in [0, 1] {
        let mut world = World::new();
        let (a, b) = (world.join(), world.join());
        rejoin(&mut world, a, VALUE, first_role);
        world.expect_silence();
        rejoin(&mut world, b, VALUE, 1 - first_role);
        world.expect(a.conn, &[Attached { rendezvous: VALUE, channel: 0x100 }]);
        world.expect(b.conn, &[Attached { rendezvous: VALUE, channel: 0x100 }]);
        assert_eq!(world.forward(a.conn, 0x100), Some((b.conn, 0x100)));
        world.pass_alive(Duration::from_secs(130), &[a, b]);
        world.expect_silence();
    }
}

#[test]
fn after_a_cut_the_whole_way() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    let (old, _) = world.pair(a, b);
    world.disconnect(b.conn);
    world.expect_closed(a.conn, old, Ended::Detached);
    rejoin(&mut world, a, VALUE, 0);
    let b = world.join();
    rejoin(&mut world, b, VALUE, 1);
    world.expect(a.conn, &[Attached { rendezvous: VALUE, channel: 0x200 }]);
    world.expect(b.conn, &[Attached { rendezvous: VALUE, channel: 0x100 }]);
    assert_eq!((world.forward(a.conn, old), world.forward(a.conn, 0x200)), (None, Some((b.conn, 0x100))));
}

#[test]
fn a_newer_presenter_of_a_role_replaces_the_older() {
    let mut world = World::new();
    let (dead, a, b) = (world.join(), world.join(), world.join());
    rejoin(&mut world, dead, VALUE, 0);
    rejoin(&mut world, a, VALUE, 0);
    world.expect_silence();
    rejoin(&mut world, b, VALUE, 1);
    world.expect(a.conn, &[Attached { rendezvous: VALUE, channel: 0x100 }]);
    world.expect(b.conn, &[Attached { rendezvous: VALUE, channel: 0x100 }]);
    world.expect_silence();
}

#[test]
fn a_connection_is_never_paired_with_itself() {
    let mut world = World::new();
    let (a, b) = (world.join_with(4), world.join());
    rejoin(&mut world, a, VALUE, 0);
    rejoin(&mut world, a, VALUE, 1);
    rejoin(&mut world, a, VALUE, 1);
    world.expect_silence();
    rejoin(&mut world, b, VALUE, 1);
    world.expect_silence();
    rejoin(&mut world, a, VALUE, 0);
    assert_eq!((world.take(a.conn).len(), world.take(b.conn).len()), (1, 1));
}

#[test]
fn another_value_is_never_paired() {
    let mut world = World::new();
    let (a, mallory, b) = (world.join(), world.join_with(64), world.join());
    rejoin(&mut world, a, VALUE, 0);
    for bit in 0..64 {
        let mut value = VALUE;
        value[bit / 8] ^= 1 << (bit % 8);
        rejoin(&mut world, mallory, value, 1);
    }
    world.expect_silence();
    rejoin(&mut world, b, VALUE, 1);
    assert_eq!(world.take(b.conn).len(), 1);
}

#[test]
fn waiting_ends_after_two_minutes() {
    let mut world = World::new();
    let (a, b, c) = (world.join(), world.join(), world.join());
    rejoin(&mut world, a, VALUE, 0);
    rejoin(&mut world, b, [4; 16], 0);
    world.pass_alive(Duration::from_secs(60), &[a, b, c]);
    rejoin(&mut world, b, [4; 16], 0);
    world.pass_alive(Duration::from_secs(60) - MICRO, &[a, b, c]);
    assert_eq!(world.relay.waiting.len(), 2);
    world.pass_alive(MICRO, &[a, b, c]);
    assert_eq!(world.relay.waiting.len(), 1);
    rejoin(&mut world, c, VALUE, 1);
    world.expect_silence();
    world.pass_alive(Duration::from_secs(60) - MICRO, &[a, b, c]);
    rejoin(&mut world, a, [4; 16], 1);
    assert_eq!(world.take(b.conn).len(), 1, "a repeated REJOIN waits its whole time again");
}

#[test]
fn one_that_leaves_waits_no_more() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    rejoin(&mut world, a, VALUE, 0);
    world.disconnect(a.conn);
    rejoin(&mut world, b, VALUE, 1);
    world.expect_silence();
}

/// A client that gave a channel up cannot take its REJOIN back. The newest are those it still wants, so the oldest yields.
#[test]
fn a_client_waits_at_as_many_values_as_it_has_channels() {
    let mut world = World::new();
    let (a, b) = (world.join_with(2), world.join_with(3));
    for value in [[1; 16], [2; 16], [1; 16], [3; 16]] {
        rejoin(&mut world, a, value, 0);
    }
    assert_eq!((world.code(a.conn), world.relay.waiting.len()), (None, 2));
    rejoin(&mut world, b, [2; 16], 1);
    world.expect_silence();
    rejoin(&mut world, b, [1; 16], 1);
    assert_eq!((world.take(a.conn).len(), world.take(b.conn).len()), (1, 1));
    let c = world.join();
    rejoin(&mut world, c, [3; 16], 1);
    assert_eq!((world.take(a.conn).len(), world.take(c.conn).len()), (1, 1));
}

/// A client that waits at as many values as allowed still completes a pair at another one.
#[test]
fn completing_a_pair_waits_for_nothing() {
    let mut world = World::new();
    let (a, b, c) = (world.join(), world.join(), world.join());
    rejoin(&mut world, a, [1; 16], 0);
    rejoin(&mut world, b, VALUE, 0);
    rejoin(&mut world, a, VALUE, 1);
    assert_eq!((world.take(a.conn).len(), world.take(b.conn).len()), (1, 1));
    rejoin(&mut world, c, [1; 16], 1);
    world.expect_silence();
    world.send(a.conn, ClientFrame::Close { channel: 0x100 });
    world.take(b.conn);
    rejoin(&mut world, c, [1; 16], 1);
    assert_eq!(
        (world.take(a.conn).len(), world.take(c.conn).len()),
        (1, 1),
        "it waited on, with the channel in use"
    );
}

/// The first goes on waiting, and a repeated REJOIN succeeds as soon as there is room.
#[test]
fn without_room_nobody_is_paired() {
    let mut world = World::new();
    let (a, b, c) = (world.join(), world.join(), world.join());
    let (at_a, _) = world.pair(a, c);
    rejoin(&mut world, a, VALUE, 0);
    rejoin(&mut world, b, VALUE, 1);
    world.expect_silence();
    world.send(a.conn, ClientFrame::Close { channel: at_a });
    world.take(c.conn);
    rejoin(&mut world, b, VALUE, 1);
    assert_eq!((world.take(a.conn).len(), world.take(b.conn).len()), (1, 1));
}

#[test]
fn a_pair_has_one_channel_however_it_came_about() {
    let mut world = World::new();
    let (a, b) = (world.join_with(3), world.join_with(3));
    let (at_a, _) = world.pair(a, b);
    rejoin(&mut world, a, VALUE, 0);
    rejoin(&mut world, b, VALUE, 1);
    world.expect_silence();
    world.send(a.conn, ClientFrame::Close { channel: at_a });
    world.take(b.conn);
    rejoin(&mut world, b, VALUE, 1);
    assert_eq!((world.take(a.conn).len(), world.take(b.conn).len()), (1, 1));
}

#[test]
fn whoever_waits_is_who_takes_the_memory() {
    let mut world = World::new();
    let (a, b) = (world.join_with(64), world.join_with(64));
    let (before, of_a) = (world.relay.memory(), world.relay.memory_of(a.conn));
    for value in 0..64 {
        rejoin(&mut world, a, [value; 16], 0);
    }
    let (grown, of_a_grown) = (world.relay.memory() - before, world.relay.memory_of(a.conn) - of_a);
    assert!(of_a_grown * 10 > grown * 8 && of_a_grown < grown * 2, "{of_a_grown} of {grown}");
    assert_eq!((world.relay.memory_of(b.conn), of_a), (0, 0));
    world.disconnect(a.conn);
    assert_eq!(world.relay.memory_of(a.conn), 0);
}
