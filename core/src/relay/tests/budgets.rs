//! Who may ask how much, and how many know of whom: every limit at its edge.

use super::blind::nobody;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn v6(subnet: u16, host: u16) -> Source {
    Source::Address(core::net::Ipv6Addr::new(0x2001, 0xdb8, 1, subnet, 0, 0, 0, host).into())
}

impl World {
    /// A connection from there asks once for this ID; what it is told, before it leaves.
    fn one_call(&mut self, source: Source, target: PeerId) -> Answer {
        let client = self.join_from(source);
        self.connect(client, 1, target);
        let answer = self.only_answer(client);
        self.disconnect(client.conn);
        answer
    }

    fn only_answer(&mut self, client: Client) -> Answer {
        match self.take(client.conn)[..] {
            [RelayFrame::Answer { answer, .. }] => answer,
            ref other => panic!("expected one ANSWER, not {other:?}"),
        }
    }

    /// How often in a row somebody from there is told that nobody has an ID.
    fn exact(&mut self, source: Source) -> usize {
        let tell = |world: &mut Self| world.one_call(source, nobody(1 + world.addresses));
        (0..1000)
            .take_while(|_| {
                self.addresses += 1;
                tell(self) == Answer::TargetNotFound
            })
            .count()
    }

    /// How many requests this client has been shown since the last look.
    fn shown(&mut self, client: Client) -> usize {
        self.take(client.conn).iter().filter(|frame| matches!(frame, RelayFrame::Incoming { .. })).count()
    }
}

#[test]
fn a_source_has_five_exact_answers_and_one_more_each_two_minutes() {
    let mut world = World::new();
    assert_eq!(world.exact(address(1)), 5);
    assert_eq!(world.exact(address(2)), 5, "another source has its own");
    world.pass(SECOND * 120 - MICRO);
    assert_eq!(world.exact(address(1)), 0);
    world.pass(MICRO);
    assert_eq!(world.exact(address(1)), 1);
    world.pass(SECOND * 1200);
    assert_eq!(world.exact(address(1)), 5);
}

#[test]
fn what_is_there_costs_no_exact_answer() {
    let mut world = World::new();
    let targets = [(); 8].map(|()| world.join());
    for target in targets {
        assert_eq!(world.one_call(address(100), target.id), Answer::Requested);
    }
    assert_eq!(world.exact(address(100)), 5);
}

#[test]
fn all_unknown_sources_share_one_budget() {
    let mut world = World::new();
    assert_eq!((world.exact(Source::Unknown), world.exact(Source::Unknown)), (5, 0));
}

#[test]
fn a_subnet_has_one_budget_and_a_site_has_ten() {
    let mut world = World::new();
    assert_eq!((world.exact(v6(0, 1)), world.exact(v6(0, 2))), (5, 0));
    for subnet in 1..10 {
        world.pass(SECOND);
        assert_eq!(world.exact(v6(subnet, 1)), 5);
    }
    world.pass(SECOND);
    assert!(world.exact(v6(10, 1)) <= 1, "a tenth of a budget comes back in 12 s");
    assert_eq!(world.exact(address(1)), 5);
}

#[test]
fn all_together_have_fifty_exact_answers_a_second() {
    let mut world = World::new();
    let exact: usize = (100..200).map(|number| world.exact(address(number))).sum();
    assert_eq!(exact, 50);
    world.pass(SECOND / 10);
    assert_eq!(world.exact(address(1)), 5, "50 a second");
    assert_eq!(world.exact(address(2)), 0);
}

#[test]
fn a_client_asks_ten_times_at_once_and_then_once_in_six_seconds() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join());
    // Taking it back helps neither to ask more often nor to bother anybody more often.
    let loops = |world: &mut World, first: u32| {
        let mut answers = Vec::new();
        for number in first..first + 20 {
            world.connect(a, number, b.id);
            answers.push(world.only_answer(a));
            world.send(a.conn, ClientFrame::Withdraw { request: number });
            world.take(a.conn);
        }
        answers.iter().filter(|&&answer| answer == Answer::Requested).count()
    };
    assert_eq!(loops(&mut world, 1), 3, "its source may ask for one ID three times");
    assert_eq!(world.shown(b), 3);
    let rest = |world: &mut World, first: u32| {
        let mut open = 0;
        for number in first..first + 20 {
            world.connect(a, number, nobody(number));
            open += usize::from(world.only_answer(a) != Answer::Throttled);
        }
        open
    };
    assert_eq!(rest(&mut world, 100), 0, "refused ones count");
    world.pass_alive(SECOND * 12, &[a, b]);
    assert_eq!(rest(&mut world, 200), 2);
}

#[test]
fn a_source_asks_sixty_times_at_once_and_then_once_in_two_seconds() {
    let mut world = World::new();
    let asks = |world: &mut World, source| {
        let ask = |world: &mut World| {
            world.addresses += 1;
            world.one_call(source, nobody(world.addresses)) != Answer::Throttled
        };
        (0..1000).take_while(|_| ask(world)).count()
    };
    assert_eq!(asks(&mut world, address(1)), 60);
    assert_eq!(asks(&mut world, address(2)), 60);
    world.pass(SECOND * 4);
    assert_eq!(asks(&mut world, address(1)), 2);
    let site: usize = (0..11).map(|subnet| asks(&mut world, v6(subnet, 1))).sum();
    assert_eq!(site, 600);
}

#[test]
fn a_source_waits_for_sixty_four_at_once() {
    let mut world = World::with(|config| without_end(&mut config.limits));
    let wait = |world: &mut World, source| {
        let client = world.join_from(source);
        let asked = (1..=3).map(|number| {
            let target = world.join();
            world.connect(client, number, target.id);
            world.take(target.conn);
            world.only_answer(client)
        });
        let asked: Vec<_> = asked.collect();
        (client, asked.iter().filter(|&&answer| answer == Answer::Requested).count())
    };
    let source = Source::Unknown;
    let waiting: Vec<_> = (0..22).map(|_| wait(&mut world, source)).collect();
    assert_eq!(waiting.iter().map(|(_, asked)| asked).sum::<usize>(), 64);
    assert_eq!(wait(&mut world, source).1, 0);
    assert_eq!(wait(&mut world, address(999)).1, 3);
    world.disconnect(waiting[0].0.conn);
    assert_eq!(wait(&mut world, source).1, 3, "whoever leaves makes room");
}

#[test]
fn a_source_asks_for_an_id_three_times_in_ten_minutes_and_once_at_a_time() {
    let mut world = World::new();
    let (b, source) = (world.join(), address(100));
    let waits = world.join_from(source);
    world.connect(waits, 1, b.id);
    assert_eq!(world.only_answer(waits), Answer::Requested);
    assert_eq!(world.one_call(source, b.id), Answer::Throttled, "one of its clients waits already");
    world.send(b.conn, ClientFrame::Cancel { request: 1 });
    assert_eq!(world.one_call(source, b.id), Answer::Requested);
    assert_eq!(world.one_call(source, b.id), Answer::Requested);
    assert_eq!(world.one_call(source, b.id), Answer::Throttled);
    assert_eq!(world.one_call(address(101), b.id), Answer::Requested, "another source is another pair");
    assert_eq!(world.shown(b), 4);
    world.pass_alive(SECOND * 200, &[b]);
    assert_eq!(world.one_call(source, b.id), Answer::Requested);
    assert_eq!(world.one_call(source, b.id), Answer::Throttled);
    // Beyond the budget the answer is the same as ever, and nobody is bothered.
    world.exact(source);
    world.shown(b);
    assert_eq!(world.one_call(source, b.id), Answer::Requested);
    assert_eq!(world.shown(b), 0);
}

/// Typing the same wrong ID again and again is counted as well: what is counted does not depend on who is here.
#[test]
fn an_id_that_nobody_has_is_asked_for_as_rarely() {
    let mut world = World::new();
    let told = [(); 4].map(|()| world.one_call(address(1), nobody(1)));
    let unknown = Answer::TargetNotFound;
    assert_eq!(told, [unknown, unknown, unknown, Answer::Throttled]);
}

#[test]
fn a_target_is_shown_ten_requests_in_ten_minutes() {
    let mut world = World::new();
    let b = world.join();
    let call = |world: &mut World| {
        world.addresses += 1;
        world.one_call(address(world.addresses), b.id)
    };
    for _ in 0..12 {
        assert_eq!(call(&mut world), Answer::Requested);
    }
    assert_eq!(world.shown(b), 10);
    world.pass_alive(SECOND * 60, &[b]);
    assert_eq!((call(&mut world), call(&mut world)), (Answer::Requested, Answer::Requested));
    assert_eq!(world.shown(b), 1);
}

/// Two who meet again and again bother nobody; neither does a crowd at somebody who takes all.
#[test]
fn what_is_accepted_does_not_count() {
    let mut world = World::new();
    let (a, b) = (world.join(), world.join_with(64));
    for number in 1..=9 {
        let (channel, _) = world.pair(a, b);
        world.send(a.conn, ClientFrame::Close { channel });
        world.take(b.conn);
        assert_eq!(world.relay.peer(a.conn).unwrap().last_request, number);
    }
    for _ in 0..40 {
        let other = world.join();
        world.pair(other, b);
    }
    assert_eq!(world.relay.stats().channels, 40);
}

#[test]
fn the_table_of_sources_is_bounded_and_who_finds_no_place_is_told_nothing() {
    let mut world = World::with(|config| config.limits.sources_max = 3);
    let b = world.join();
    assert_eq!((world.exact(address(100)), world.exact(v6(1, 1))), (5, 5));
    assert_eq!(world.relay.stats().sources, 3, "a site takes a place of its own");
    for source in [address(101), v6(2, 1), Source::Unknown] {
        assert_eq!(world.exact(source), 0);
        assert_eq!(world.one_call(source, b.id), Answer::Requested);
    }
    assert_eq!(world.relay.stats().sources, 3);
    assert_eq!(world.shown(b), 3, "it can still ask");
    // Five minutes later the site is whole again, and forgotten.
    world.pass_alive(SECOND * 601, &[b]);
    assert_eq!(world.exact(address(101)), 5);
    assert_eq!(world.relay.stats().sources, 1);
    let mut world = World::with(|config| config.limits.sources_max = 0);
    assert_eq!(world.exact(address(1)), 0);
}

#[test]
fn the_table_of_pairs_is_bounded() {
    let mut world = World::with(|config| config.limits.pairs_max = 2);
    for number in 0..20 {
        world.one_call(address(number), nobody(number));
        assert!(world.relay.stats().pairs <= 2);
    }
    // Two that wait keep their places. A third is not shown: better nobody asked than somebody pestered.
    let (b, clients) = (world.join(), [(); 3].map(|()| world.join()));
    for client in clients {
        world.connect(client, 1, b.id);
    }
    assert_eq!((world.shown(b), world.relay.stats().pairs), (2, 2));
    assert_eq!(world.only_answer(clients[2]), Answer::Throttled);
    let mut world = World::with(|config| config.limits.pairs_max = 0);
    assert_eq!(world.one_call(address(1), nobody(1)), Answer::Throttled);
}

/// A flood of REJOINs waits at as many values as the client may have channels, whatever it presents.
#[test]
fn a_flood_of_rejoins_takes_a_bounded_room() {
    let mut world = World::new();
    let a = world.join_with(4);
    for number in 0..1000_u32 {
        let mut rendezvous = [0; 16];
        rendezvous[..4].copy_from_slice(&number.to_be_bytes());
        world.send(a.conn, ClientFrame::Rejoin { rendezvous, role: 0 });
    }
    assert_eq!(world.relay.stats().rejoins, 4);
    world.expect_silence();
}

#[test]
fn figures_and_memory_follow_the_tables_and_end_where_they_began() {
    let mut world = World::new();
    let empty = world.relay.memory();
    let clients: Vec<_> = (0..200).map(|_| world.join_with(4)).collect();
    let joined = world.relay.memory();
    assert!((200 * 200..200 * 2000).contains(&(joined - empty)), "{empty}, {joined}");
    for pair in clients.chunks_exact(2).take(50) {
        world.connect(pair[0], 1, pair[1].id);
    }
    for client in &clients[100..] {
        world.send(
            client.conn,
            ClientFrame::Rejoin { rendezvous: [u8::try_from(client.conn.index()).unwrap(); 16], role: 0 },
        );
    }
    world.disconnect(clients[199].conn);
    let stats = world.relay.stats();
    assert_eq!((stats.connections, stats.peers, stats.requests), (199, 199, 50));
    assert_eq!((stats.sources, stats.pairs, stats.rejoins, stats.retired), (50, 50, 99, 1));
    assert!(world.relay.memory() > joined);
    for client in &clients[..199] {
        world.disconnect(client.conn);
    }
    world.pass(SECOND * 1000);
    let last = world.join();
    world.disconnect(last.conn);
    let stats = world.relay.stats();
    assert_eq!((stats.connections, stats.peers, stats.requests), (0, 0, 0));
    assert_eq!((stats.sources, stats.pairs, stats.rejoins, stats.retired), (0, 0, 0, 1));
}
