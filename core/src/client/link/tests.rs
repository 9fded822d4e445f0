//! Each row of the link's table.

use alloc::vec::Vec;

use super::*;

const S: Duration = Duration::from_secs(1);

fn id(text: &str) -> PeerId {
    text.parse().unwrap()
}

fn welcome(text: &str) -> Welcome {
    Welcome {
        id: id(text),
        reclaimed: false,
        owner: [1; 8],
        kid: 2,
        expiry: 3,
        token_key: [4; 32],
        channels: 8,
        idle_s: 30,
        request_s: 60,
    }
}

struct Driven {
    link: Link,
    limits: ClientLimits,
    rng: Rng,
    now: Instant,
}

impl Driven {
    fn new(relays: usize) -> Self {
        Self {
            link: Link::new(relays),
            limits: ClientLimits { channels_max: 4, ..ClientLimits::default() }.clamped(),
            rng: Rng::from_seed(&[1; 32]),
            now: Instant::ZERO,
        }
    }

    /// Waits until its deadline.
    fn wait(&mut self) -> Option<Due> {
        self.now = self.now.max(self.link.deadline()?.0);
        let due = self.link.on_timeout(self.now, &self.limits);
        assert!(
            self.link.deadline().is_none_or(|(at, _)| at > self.now) || matches!(due, Some(Due::HangUp(_))),
            "the deadline moves on"
        );
        due
    }

    fn dial(&mut self) -> usize {
        match self.wait() {
            Some(Due::Dial(relay)) => relay,
            _ => panic!("a dial was due"),
        }
    }

    fn hello(&mut self) -> Result<ClientFrame, CloseCode> {
        self.link.hello(self.now, VERSION, &[5; 16], 0, &self.limits)
    }

    fn welcome(&mut self, text: &str) -> Result<Option<bool>, CloseCode> {
        self.link.welcome(self.now, &welcome(text), &self.limits)
    }

    fn lose(&mut self, code: Option<CloseCode>) -> Option<Instant> {
        self.link.lost(self.now, code, &self.limits, &mut self.rng)
    }

    fn online(&mut self, text: &str) -> usize {
        let relay = self.dial();
        assert!(self.link.connected(self.now, &self.limits));
        self.hello().unwrap();
        self.welcome(text).unwrap();
        relay
    }
}

#[test]
fn it_dials_is_greeted_joins_and_pings() {
    let mut driven = Driven::new(1);
    assert_eq!(driven.online("AAAAAA"), 0);
    let online = *driven.link.online().unwrap();
    assert_eq!((online.id, online.channels_max), (id("AAAAAA"), 4), "at most as many channels as wanted");
    let joined = driven.now;
    for i in 1..4 {
        assert!(matches!(driven.wait(), Some(Due::Ping)));
        assert_eq!(driven.now, joined + 15 * i * S);
        driven.link.heard(driven.now);
    }
}

/// From the last frame heard, a dead relay is noticed within 30 s.
#[test]
fn a_silent_relay_is_dead_within_two_intervals() {
    for last_heard in [0, 1, 14, 15, 16, 29] {
        let mut driven = Driven::new(1);
        driven.online("AAAAAA");
        let joined = driven.now;
        let heard = joined + last_heard * S;
        while driven.link.deadline().unwrap().0 < heard {
            let _ = driven.wait();
        }
        driven.link.heard(heard);
        driven.now = heard;
        while !matches!(driven.wait(), Some(Due::HangUp(CloseCode::Idle))) {}
        assert!(driven.now.since(heard) <= 30 * S, "{last_heard}: {:?}", driven.now.since(heard));
    }
}

#[test]
fn a_relay_with_less_patience_is_pinged_more_often() {
    let mut driven = Driven::new(1);
    driven.dial();
    driven.link.connected(driven.now, &driven.limits);
    driven.hello().unwrap();
    for idle_s in [0, 1, 2, 10] {
        let mut again = Driven::new(1);
        again.dial();
        again.link.connected(again.now, &again.limits);
        again.hello().unwrap();
        let hasty = Welcome { idle_s, ..welcome("AAAAAA") };
        again.link.welcome(again.now, &hasty, &again.limits).unwrap();
        let joined = again.now;
        assert!(matches!(again.wait(), Some(Due::Ping)));
        assert_eq!(again.now.since(joined), Duration::from_secs(u64::from(idle_s.max(2))) / 2);
    }
}

#[test]
fn each_stage_before_online_has_its_time() {
    let mut driven = Driven::new(1);
    driven.dial();
    let dialled = driven.now;
    assert!(matches!(driven.wait(), Some(Due::HangUp(CloseCode::Idle))));
    assert_eq!(driven.now.since(dialled), driven.limits.dial_timeout);
    driven.lose(None);
    driven.dial();
    driven.link.connected(driven.now, &driven.limits);
    assert!(!driven.link.connected(driven.now, &driven.limits), "only what was dialled");
    let greeted = driven.now;
    assert!(matches!(driven.wait(), Some(Due::HangUp(_))));
    assert_eq!(driven.now.since(greeted), driven.limits.join_timeout);
    driven.lose(None);
    driven.dial();
    driven.link.connected(driven.now, &driven.limits);
    driven.hello().unwrap();
    assert!(matches!(driven.wait(), Some(Due::HangUp(_))));
}

#[test]
fn greetings_out_of_place_and_of_other_versions_are_refused() {
    let mut driven = Driven::new(1);
    assert_eq!(driven.hello(), Err(CloseCode::Violation));
    driven.dial();
    driven.link.connected(driven.now, &driven.limits);
    assert_eq!(driven.welcome("AAAAAA"), Err(CloseCode::Violation));
    let (now, limits) = (driven.now, driven.limits.clone());
    assert_eq!(driven.link.hello(now, 0, &[0; 16], 0, &limits), Err(CloseCode::VersionUnsupported));
    assert_eq!(driven.link.hello(now, VERSION, &[0; 16], 1, &limits), Err(CloseCode::VersionUnsupported));
    let newer = driven.link.hello(now, 9, &[0; 16], 0, &limits);
    assert_eq!(newer, Ok(ClientFrame::Register { version: VERSION, channels: 4 }));
    assert_eq!(driven.hello(), Err(CloseCode::Violation), "a second HELLO");
    assert_eq!(driven.welcome("AAAAAA"), Ok(Some(false)));
    assert_eq!(driven.welcome("AAAAAA"), Ok(None), "a new token");
    assert_eq!(driven.welcome("BBBBBB"), Err(CloseCode::Violation), "another ID on one connection");
}

#[test]
fn an_id_is_reclaimed_at_its_own_relay_and_its_token_is_shown_to_no_other() {
    let mut driven = Driven::new(2);
    assert_eq!(driven.online("AAAAAA"), 0);
    driven.lose(None);
    assert_eq!(driven.dial(), 0, "the other ends of the channels are there");
    driven.link.connected(driven.now, &driven.limits);
    assert!(matches!(driven.hello(), Ok(ClientFrame::Reclaim { kid: 2, expiry: 3, .. })));
    // It fails: the next of the list, which knows nothing of this client.
    driven.lose(None);
    assert_eq!(driven.dial(), 1);
    driven.link.connected(driven.now, &driven.limits);
    assert!(matches!(driven.hello(), Ok(ClientFrame::Register { .. })));
    assert_eq!(driven.welcome("BBBBBB"), Ok(Some(false)));
    driven.lose(None);
    assert_eq!(driven.dial(), 1);
    driven.lose(None);
    assert_eq!(driven.dial(), 0);
    driven.link.connected(driven.now, &driven.limits);
    assert!(matches!(driven.hello(), Ok(ClientFrame::Reclaim { .. })));
    assert_eq!(driven.welcome("AAAAAA"), Ok(Some(false)), "not the ID it had last");
}

#[test]
fn the_pause_grows_with_each_failure_and_starts_anew_after_success() {
    let mut driven = Driven::new(1);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        driven.dial();
        pauses.push(driven.lose(None).unwrap().since(driven.now));
    }
    assert!(pauses.windows(2).all(|two| two[0] < two[1] || two[1] >= driven.limits.redial_max * 3 / 4));
    assert!(pauses.iter().all(|pause| *pause <= driven.limits.redial_max));
    driven.online("AAAAAA");
    assert!(driven.lose(None).unwrap().since(driven.now) <= driven.limits.redial_min);
}

#[test]
fn a_relay_that_restarts_is_awaited_if_it_is_the_only_one() {
    let mut driven = Driven::new(1);
    driven.online("AAAAAA");
    driven.link.drain(driven.now, 20 * S);
    let back = driven.now + 20 * S;
    driven.now = driven.now + 5 * S;
    let at = driven.lose(Some(CloseCode::GoingAway)).unwrap();
    assert!(at > back && at <= back + driven.limits.redial_min, "a little later, not all at once");
    // Not for ever, whatever it says.
    driven.online("AAAAAA");
    driven.link.drain(driven.now, Duration::from_secs(1 << 22));
    assert!(driven.lose(None).unwrap().since(driven.now) <= DRAIN_MAX + driven.limits.redial_min);

    let mut driven = Driven::new(2);
    driven.online("AAAAAA");
    driven.link.drain(driven.now, 20 * S);
    assert!(driven.lose(None).unwrap().since(driven.now) <= S);
    assert_eq!(driven.dial(), 1);
}

#[test]
fn codes_that_forbid_it_stop_the_client_until_its_user_acts() {
    for code in CloseCode::ALL {
        let mut driven = Driven::new(1);
        driven.online("AAAAAA");
        assert_eq!(driven.lose(Some(code)).is_some(), code.may_redial(), "{code:?}");
        if !code.may_redial() {
            assert!(driven.wait().is_none());
            driven.link.dial_now(driven.now);
            driven.dial();
        }
    }
    assert!(!CloseCode::Superseded.may_redial());
    let mut driven = Driven::new(1);
    driven.link.stop();
    assert_eq!(driven.lose(None), None);
}

#[test]
fn pauses_double_up_to_the_longest_and_vary() {
    let mut rng = Rng::from_seed(&[9; 32]);
    let (min, max) = (Duration::from_millis(500), Duration::from_secs(30));
    for attempts in 0..40 {
        let full = min.saturating_mul(1 << attempts.min(16)).min(max);
        let pauses: Vec<_> = (0..50).map(|_| pause(attempts, min, max, &mut rng)).collect();
        assert!(pauses.iter().all(|p| *p <= full && *p >= full * 3 / 4));
        assert!(pauses.iter().any(|p| *p != pauses[0]), "no jitter");
    }
}

/// Whatever an embedder sets, time goes on and nothing overflows.
#[test]
fn limits_are_what_the_protocol_allows() {
    let zero = ClientLimits {
        channels_max: 0,
        prompts_max: 0,
        packet_max_log2: 0,
        queue_max_bytes: 0,
        unacked_max_bytes: 0,
        unacked_max_records: 0,
        receive_window_bytes: 0,
        dial_timeout: Duration::ZERO,
        join_timeout: Duration::ZERO,
        ping_interval: Duration::ZERO,
        redial_min: Duration::ZERO,
        redial_max: Duration::ZERO,
        secure_timeout: Duration::ZERO,
        patience: Duration::ZERO,
        patience_unsecured: Duration::ZERO,
    };
    let huge = ClientLimits {
        channels_max: u8::MAX,
        prompts_max: usize::MAX,
        packet_max_log2: u8::MAX,
        queue_max_bytes: usize::MAX,
        unacked_max_bytes: usize::MAX,
        unacked_max_records: usize::MAX,
        receive_window_bytes: usize::MAX,
        dial_timeout: Duration::MAX,
        join_timeout: Duration::MAX,
        ping_interval: Duration::MAX,
        redial_min: Duration::MAX,
        redial_max: Duration::MAX,
        secure_timeout: Duration::MAX,
        patience: Duration::MAX,
        patience_unsecured: Duration::MAX,
    };
    for (limits, channels, log2) in [(zero, 1, 16), (huge, 64, 30)] {
        let mut driven = Driven::new(0);
        driven.limits = limits.clamped();
        assert_eq!((driven.limits.channels_max, driven.limits.packet_max_log2), (channels, log2));
        assert!((128 << 10..=1 << 30).contains(&driven.limits.receive_window_bytes));
        assert!(driven.limits.unacked_max_bytes >= 128 << 10);
        driven.dial();
        driven.lose(None);
        driven.online("AAAAAA");
        assert!(matches!(driven.wait(), Some(Due::Ping)));
        driven.lose(None);
        driven.dial();
    }
}

#[test]
fn the_round_trip_is_measured_when_joining_and_with_each_ping() {
    let mut driven = Driven::new(1);
    assert_eq!(driven.link.round_trip(), None);
    driven.dial();
    driven.link.connected(driven.now, &driven.limits);
    driven.now = driven.now + Duration::from_millis(500);
    driven.link.hello(driven.now, VERSION, &[0; 16], 0, &driven.limits).unwrap();
    driven.now = driven.now + Duration::from_millis(30);
    assert_eq!(driven.link.round_trip(), None, "it is not online");
    driven.link.welcome(driven.now, &welcome("AAAAAA"), &driven.limits).unwrap();
    assert_eq!(driven.link.round_trip(), Some(Duration::from_millis(30)));
    assert!(matches!(driven.wait(), Some(Due::Ping)));
    driven.now = driven.now + Duration::from_millis(70);
    driven.link.answered(driven.now);
    assert_eq!(driven.link.round_trip(), Some(Duration::from_millis(70)));
    // An answer to nothing measures nothing.
    driven.now = driven.now + Duration::from_millis(900);
    driven.link.answered(driven.now);
    assert_eq!(driven.link.round_trip(), Some(Duration::from_millis(70)));
    driven.link.lost(driven.now, None, &driven.limits, &mut driven.rng);
    assert_eq!(driven.link.round_trip(), None);
}

#[test]
fn it_does_nothing_before_its_time() {
    let mut driven = Driven::new(1);
    let early = |driven: &mut Driven| {
        let (at, _) = driven.link.deadline().unwrap();
        assert!(at > driven.now);
        assert!(driven.link.on_timeout(driven.now, &driven.limits).is_none());
        assert_eq!(driven.link.deadline().unwrap().0, at);
    };
    driven.dial();
    early(&mut driven);
    driven.link.connected(driven.now, &driven.limits);
    early(&mut driven);
    driven.hello().unwrap();
    early(&mut driven);
    driven.lose(None);
    early(&mut driven);
}
