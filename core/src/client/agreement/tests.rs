//! Each row of the table, and every order in which two agreements can meet.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::crypto::Role;
use crate::crypto::guess::GUESSES_PER_PASSPHRASE;

fn key(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

fn inputs(role: Role) -> Inputs {
    Inputs {
        role,
        version: 1,
        id_connector: *b"AAAAAA",
        id_acceptor: *b"BBBBBB",
        nonce_connector: [1; 16],
        nonce_acceptor: [2; 16],
        run: 0,
        caps: 20,
    }
}

/// One side as its channel drives it: its key, its budget, and its end once it is secured or over.
struct Side {
    agreement: Option<Agreement>,
    key: Option<(EncryptionKey, &'static str)>,
    budget: GuessBudget,
    rng: Rng,
    now: Instant,
    /// The CONFIRM to be repeated, once secured.
    secured: Option<Confirm>,
    log: Vec<&'static str>,
    confirms: u32,
}

#[derive(Clone)]
enum Wire {
    Share(Share),
    Confirm(Confirm),
}

impl Side {
    fn new(role: Role) -> Self {
        let mut rng = Rng::from_seed(&[role as u8; 32]);
        Self {
            agreement: Some(Agreement::new(inputs(role))),
            key: None,
            budget: GuessBudget::new(&mut rng),
            rng,
            now: Instant::ZERO,
            secured: None,
            log: Vec::new(),
            confirms: 0,
        }
    }

    fn act(&mut self, act: impl FnOnce(&mut Agreement, Instant, &mut Means<'_>) -> Step) -> Vec<Wire> {
        let Some(agreement) = &mut self.agreement else { return Vec::new() };
        let mut means = Means {
            key: self.key.as_ref().map(|(key, _)| key),
            budget: &mut self.budget,
            rng: &mut self.rng,
        };
        let step = act(agreement, self.now, &mut means);
        self.confirms += u32::from(step.confirm.is_some());
        let sent = step.share.map(Wire::Share).into_iter().chain(step.confirm.map(Wire::Confirm)).collect();
        for news in step.news {
            self.log.push(match news {
                News::Secured { confirm, key_refused, .. } => {
                    self.secured = Some(confirm);
                    self.agreement = None;
                    if key_refused { "secured, key refused" } else { "secured" }
                }
                News::KeysDiffer { .. } => "keys differ",
                News::Altered => "altered",
                News::PeerSilent => "silent",
                News::Locked { .. } => "locked",
                News::Invalid => {
                    self.agreement = None;
                    "invalid"
                }
                News::TooManyRuns => {
                    self.agreement = None;
                    "too many"
                }
            });
        }
        sent
    }

    fn set(&mut self, text: &'static str) -> Vec<Wire> {
        let changed = self.key.as_ref().is_none_or(|(_, old)| *old != text);
        self.key = Some((key(text), text));
        self.act(|agreement, now, means| agreement.key_set(now, changed, means))
    }

    fn take(&mut self, message: &Wire) -> Vec<Wire> {
        match message {
            Wire::Share(share) => {
                let share = *share;
                self.act(|agreement, now, means| agreement.on_share(now, share, means))
            }
            Wire::Confirm(confirm) => self.act(|agreement, _, means| agreement.on_confirm(confirm, means)),
        }
    }

    fn wait(&mut self) -> Vec<Wire> {
        if let Some(at) = self.agreement.as_ref().and_then(Agreement::deadline) {
            self.now = self.now.max(at);
        }
        self.act(|agreement, now, means| agreement.on_timeout(now, means))
    }

    fn stage(&self) -> &'static str {
        match self.agreement.as_ref().map(|agreement| &agreement.stage) {
            None if self.secured.is_some() => "secured",
            None => "over",
            Some(Stage::Idle) => "idle",
            Some(Stage::Asked(_)) => "asked",
            Some(Stage::Delayed { .. }) => "delayed",
            Some(Stage::Shared { .. }) => "shared",
            Some(Stage::Confirmed(confirmed)) if confirmed.key_waits => "confirmed, key waits",
            Some(Stage::Confirmed(_)) => "confirmed",
            Some(Stage::Failed) => "failed",
            Some(Stage::Locked { share: None }) => "locked",
            Some(Stage::Locked { share: Some(_) }) => "locked, asked",
        }
    }

    fn run(&self) -> u16 {
        self.agreement.as_ref().map_or(0, |agreement| agreement.inputs.run)
    }
}

fn pair() -> (Side, Side) {
    (Side::new(Role::Connector), Side::new(Role::Acceptor))
}

/// Hands over messages both ways, in order, until none is left; timers run out when nothing else happens, if `timers`.
fn talk(a: &mut Side, b: &mut Side, to_b: Vec<Wire>, to_a: Vec<Wire>, timers: bool) {
    let (mut to_b, mut to_a) = (VecDeque::from(to_b), VecDeque::from(to_a));
    loop {
        while let Some(message) = to_b.pop_front() {
            to_a.extend(b.take(&message));
        }
        while let Some(message) = to_a.pop_front() {
            to_b.extend(a.take(&message));
        }
        if to_b.is_empty() && timers {
            to_b.extend(a.wait());
            to_a.extend(b.wait());
        }
        if to_b.is_empty() && to_a.is_empty() {
            return;
        }
    }
}

fn share_of(wire: &[Wire]) -> Share {
    match wire {
        [Wire::Share(share), ..] => *share,
        _ => panic!("a SHARE was to be sent"),
    }
}

#[test]
fn one_key_at_both_ends_secures_in_any_order_of_setting_it() {
    let (mut a, mut b) = pair();
    let share = a.set("one");
    assert_eq!((a.stage(), share.len()), ("shared", 1));
    assert!(b.take(&share[0]).is_empty());
    assert_eq!(b.stage(), "asked");
    let answer = b.set("one");
    assert_eq!((b.stage(), answer.len()), ("confirmed", 2));
    talk(&mut a, &mut b, Vec::new(), answer, false);
    assert_eq!((a.stage(), b.stage()), ("secured", "secured"));
    assert_eq!(
        (a.budget.spent(&key("one")), b.budget.spent(&key("one"))),
        (0, 0),
        "the guesses are given back"
    );

    let (mut a, mut b) = pair();
    let (to_b, to_a) = (a.set("one"), b.set("one"));
    talk(&mut a, &mut b, to_b, to_a, false);
    assert_eq!((a.stage(), b.stage()), ("secured", "secured"));
}

#[test]
fn different_keys_fail_on_both_sides_and_nothing_is_tried_again_by_itself() {
    let (mut a, mut b) = pair();
    let (to_b, to_a) = (a.set("one"), b.set("two"));
    talk(&mut a, &mut b, to_b, to_a, true);
    assert_eq!((a.stage(), b.stage()), ("failed", "failed"));
    assert_eq!((&a.log[..], &b.log[..]), (&["keys differ"][..], &["keys differ"][..]));
    assert_eq!((a.budget.spent(&key("one")), b.budget.spent(&key("two"))), (1, 1));
    assert!(a.wait().is_empty() && b.wait().is_empty());
    // The user sets the same key again: that is an act, and opens the next run. The answer comes late.
    let again = a.set("one");
    assert_eq!(share_of(&again).run, 2);
    assert!(b.take(&again[0]).is_empty());
    assert_eq!(b.stage(), "delayed");
    assert_eq!(b.agreement.as_ref().unwrap().deadline(), Some(b.now + Duration::from_secs(1)));
    // A key set meanwhile is the one that answers.
    assert!(b.set("one").is_empty());
    let answer = b.wait();
    assert_eq!((b.stage(), answer.len()), ("confirmed", 2));
    talk(&mut a, &mut b, Vec::new(), answer, false);
    assert_eq!((a.stage(), b.stage()), ("secured", "secured"));
}

#[test]
fn another_key_while_the_share_is_out_opens_the_next_run_and_the_same_one_does_not() {
    let (mut a, _) = pair();
    assert_eq!(share_of(&a.set("one")).run, 1);
    assert!(a.set("one").is_empty());
    assert_eq!(share_of(&a.set("two")).run, 2);
}

/// After CONFIRM a side waits for the verdict, whatever its user does; then the new key is tried, or refused.
#[test]
fn a_key_set_after_confirm_waits_for_the_verdict() {
    for (others, expected) in [("one", "secured, key refused"), ("two", "keys differ")] {
        let (mut a, mut b) = pair();
        let (to_b, to_a) = (a.set("one"), b.set(others));
        let confirm = a.take(&to_a[0]);
        assert_eq!((a.stage(), confirm.len()), ("confirmed", 1));
        assert!(a.set("two").is_empty());
        assert_eq!(a.stage(), "confirmed, key waits");
        let to_a = b.take(&to_b[0]);
        let next = a.take(&to_a[0]);
        assert_eq!(a.log, [expected]);
        assert_eq!(next.len(), usize::from(others == "two"), "the next run is opened if this one failed");
    }
}

#[test]
fn a_key_set_back_before_the_verdict_is_not_refused() {
    let (mut a, mut b) = pair();
    let (to_b, to_a) = (a.set("one"), b.set("one"));
    let _ = a.take(&to_a[0]);
    let _ = a.set("two");
    let _ = a.set("one");
    let to_a = b.take(&to_b[0]);
    let _ = a.take(&to_a[0]);
    assert_eq!(a.log, ["secured"]);
}

/// Following the other side into the next run uses the new key there. It must not be tried once more, nor called refused.
#[test]
fn a_key_that_waited_is_used_up_by_following_the_next_run() {
    for (third, expected) in [("two", "secured"), ("three", "keys differ")] {
        let (mut a, mut b) = pair();
        let (to_b, to_a) = (a.set("one"), b.set("other"));
        let _ = a.take(&to_a[0]);
        let _ = a.set("two");
        assert_eq!(a.stage(), "confirmed, key waits");
        // The other side was still without our share, and has changed its key.
        let next = b.set(third);
        assert_eq!(share_of(&next).run, 2);
        let _ = b.take(&to_b[0]);
        assert!(a.take(&next[0]).is_empty());
        assert_eq!(a.stage(), "delayed");
        let answer = a.wait();
        talk(&mut a, &mut b, answer, Vec::new(), false);
        assert_eq!(a.log, [expected]);
        assert_eq!(a.run(), if third == "two" { 0 } else { 2 }, "no third run is opened by itself");
    }
}

#[test]
fn messages_of_other_runs_are_ignored() {
    let (mut a, mut b) = pair();
    let to_a = b.set("one");
    let share = share_of(&to_a);
    let _ = a.set("one");
    for run in [0, 3, 4, u16::MAX] {
        assert!(a.take(&Wire::Share(Share { run, ..share })).is_empty());
        assert_eq!((a.stage(), a.run()), ("shared", 1));
    }
    let confirm = Confirm { run: 1, check: [0; 16], tag: [0; 32] };
    assert!(a.take(&Wire::Confirm(confirm)).is_empty());
    assert_eq!(a.stage(), "shared");
    let _ = a.take(&to_a[0]);
    assert_eq!(a.stage(), "confirmed");
    assert!(a.take(&to_a[0]).is_empty(), "one scalar meets one share");
    for run in [0, 2] {
        assert!(a.take(&Wire::Confirm(Confirm { run, ..confirm })).is_empty());
    }
    assert_eq!((a.stage(), a.log.len()), ("confirmed", 0));
}

#[test]
fn run_numbers_end_without_harm() {
    let (mut a, mut b) = pair();
    let share = share_of(&b.set("one"));
    for run in 1..=u16::MAX {
        assert!(a.take(&Wire::Share(Share { run, ..share })).is_empty());
    }
    assert!(a.take(&Wire::Share(Share { run: 0, ..share })).is_empty());
    assert_eq!((a.stage(), a.run()), ("asked", u16::MAX));
    let _ = a.set("one");
    let _ = a.take(&Wire::Confirm(Confirm { run: u16::MAX, check: [0; 16], tag: [0; 32] }));
    let _ = a.set("two");
    assert_eq!(a.log, ["altered", "too many"]);
}

#[test]
fn silence_is_reported_once_per_way_and_the_right_confirm_still_secures() {
    let (mut a, mut b) = pair();
    let (to_b, to_a) = (a.set("one"), b.set("one"));
    let _ = a.take(&to_a[0]);
    let agreement = |a: &Side| a.agreement.as_ref().unwrap().deadline();
    assert_eq!(agreement(&a), Some(a.now + CONFIRM_PATIENCE));
    let _ = a.wait();
    let _ = a.wait();
    assert_eq!((&a.log[..], agreement(&a)), (&["silent"][..], None));
    // A new way, long after: its patience begins anew.
    a.now = a.now + Duration::from_secs(100);
    let now = a.now;
    a.agreement.as_mut().unwrap().on_attached(now);
    assert_eq!(agreement(&a), Some(now + CONFIRM_PATIENCE));
    let confirm = b.take(&to_b[0]);
    let _ = a.take(&confirm[0]);
    assert_eq!(a.log, ["silent", "secured"]);
}

#[test]
fn an_undecodable_or_reflected_share_ends_the_channel_without_a_confirm() {
    let (mut a, _) = pair();
    let own = share_of(&a.set("one"));
    assert!(a.take(&Wire::Share(own)).is_empty());
    assert_eq!((a.stage(), a.confirms), ("over", 0));
    let (mut a, _) = pair();
    let _ = a.set("one");
    assert!(a.take(&Wire::Share(Share { share: [0xff; 32], ..own })).is_empty());
    assert_eq!((&a.log[..], a.confirms), (&["invalid"][..], 0));
}

#[test]
fn altered_fields_are_said_so() {
    let (mut a, mut b) = pair();
    let (to_b, to_a) = (a.set("one"), b.set("one"));
    let mut altered = share_of(&to_a);
    altered.ad[23] ^= 1;
    let confirm = a.take(&Wire::Share(altered));
    let to_a = b.take(&to_b[0]);
    let _ = b.take(&confirm[0]);
    let _ = a.take(&to_a[0]);
    assert_eq!((&a.log[..], &b.log[..]), (&["altered"][..], &["altered"][..]));
}

/// Opens runs against `a` with a wrong key, as often as it answers.
fn guess_on(a: &mut Side, from: u16, runs: u16) {
    for run in from..from + runs {
        let mut rng = Rng::from_seed(&[9; 32]);
        let mut other = inputs(Role::Acceptor);
        other.run = run;
        let exchange = Exchange::start(other, &key("wrong"), &mut rng);
        let mut sent = a.take(&Wire::Share(Share { run, share: exchange.share(), ad: exchange.ad() }));
        sent.extend(a.wait());
        if let [Wire::Share(share), Wire::Confirm(_)] = &sent[..] {
            let confirming = exchange.finish(&share.share, &share.ad).unwrap();
            let (check, tag) = confirming.confirm();
            let _ = a.take(&Wire::Confirm(Confirm { run, check, tag }));
        }
    }
}

#[test]
fn five_guesses_lock_a_channel_until_its_owner_acts() {
    let (mut a, _) = pair();
    a.key = Some((key("right"), "right"));
    guess_on(&mut a, 1, 12);
    assert_eq!((a.confirms, a.stage()), (u32::from(GUESSES_PER_CHANNEL), "locked, asked"));
    assert_eq!(a.log.iter().filter(|&&news| news == "locked").count(), 1);
    // The same key again changes nothing; an unlock allows as many again.
    assert!(a.set("right").is_empty());
    assert_eq!(a.agreement.as_mut().unwrap().unlock(), GUESSES_PER_CHANNEL);
    let answer = a.set("right");
    assert_eq!((answer.len(), a.stage()), (2, "confirmed"));
}

#[test]
fn another_key_unlocks_the_channel_and_not_the_passphrase() {
    let (mut a, _) = pair();
    a.key = Some((key("right"), "right"));
    guess_on(&mut a, 1, 6);
    assert_eq!(a.stage(), "locked, asked");
    assert_eq!(a.set("another").len(), 2);
    assert_eq!(a.budget.spent(&key("right")), u32::from(GUESSES_PER_CHANNEL));
}

#[test]
fn a_spent_passphrase_locks_every_channel_and_a_generated_key_none() {
    let (mut a, _) = pair();
    for _ in 0..GUESSES_PER_PASSPHRASE {
        let _ = a.budget.charge(&key("right")).unwrap();
    }
    assert!(a.set("right").is_empty());
    assert_eq!((a.stage(), &a.log[..]), ("locked", &["locked"][..]));

    // The key that waited for the verdict is spent: that, too, is told.
    let (mut a, mut b) = pair();
    for _ in 0..GUESSES_PER_PASSPHRASE {
        let _ = a.budget.charge(&key("spent")).unwrap();
    }
    let (to_b, to_a) = (a.set("one"), b.set("two"));
    let _ = a.take(&to_a[0]);
    let _ = a.set("spent");
    let to_a = b.take(&to_b[0]);
    assert!(a.take(&to_a[0]).is_empty());
    assert_eq!((&a.log[..], a.stage()), (&["keys differ", "locked"][..], "locked"));
}

#[test]
fn sixteen_failed_runs_end_the_channel_at_either_side() {
    let (mut a, mut b) = pair();
    let texts = ["k0", "k1"];
    let mut runs = 0;
    while a.agreement.is_some() && b.agreement.is_some() {
        let (mut to_b, mut to_a) = (a.set(texts[runs % 2]), Vec::new());
        if runs == 0 {
            to_a = b.set("k2");
        } else {
            // A new key for each run, so that no channel is locked before.
            b.key = Some((key(texts[(runs + 1) % 2]), "changed"));
            b.agreement.as_mut().unwrap().unlock();
        }
        to_b.extend(a.wait());
        talk(&mut a, &mut b, to_b, to_a, true);
        runs += 1;
    }
    assert_eq!(runs, usize::from(RUNS_MAX));
    assert_eq!((a.log.last(), b.log.last()), (Some(&"too many"), Some(&"too many")));
}

// Every order.

#[derive(Clone, Copy, Debug)]
enum Move {
    Set(usize, &'static str),
    Deliver(usize),
    Wait(usize),
    Cut,
}

struct World {
    sides: [Side; 2],
    /// What is on its way to each side.
    wires: [VecDeque<Wire>; 2],
    sets: [u8; 2],
    cuts: u8,
}

impl World {
    fn new() -> Self {
        Self {
            sides: [Side::new(Role::Connector), Side::new(Role::Acceptor)],
            wires: [VecDeque::new(), VecDeque::new()],
            sets: [0; 2],
            cuts: 0,
        }
    }

    fn carry_out(&mut self, step: Move) {
        match step {
            Move::Set(side, text) => {
                self.sets[side] += 1;
                let sent = self.sides[side].set(text);
                self.wires[1 - side].extend(sent);
            }
            Move::Deliver(side) => {
                let message = self.wires[side].pop_front().unwrap();
                let sent = self.sides[side].take(&message);
                self.wires[1 - side].extend(sent);
            }
            Move::Wait(side) => {
                let sent = self.sides[side].wait();
                self.wires[1 - side].extend(sent);
            }
            Move::Cut => {
                self.cuts += 1;
                self.wires = [VecDeque::new(), VecDeque::new()];
                // Who has sent CONFIRM looks for the other side and says it again; for everybody else the channel is over.
                let repeated = [0, 1].map(|side: usize| {
                    let side = &mut self.sides[side];
                    let confirmed = side.agreement.as_ref().and_then(Agreement::confirmed);
                    let again = side.secured.or(confirmed.map(|(confirm, _)| confirm));
                    if again.is_none() {
                        side.agreement = None;
                    }
                    again
                });
                // The two find each other only if both look, by the same value; here the same run stands for that.
                let met = matches!(repeated, [Some(a), Some(b)] if a.run == b.run && a.check == b.check);
                for (side, again) in repeated.into_iter().enumerate() {
                    match again {
                        Some(confirm) if met => self.wires[1 - side].push_back(Wire::Confirm(confirm)),
                        // In vain: patience ends it.
                        _ => {
                            self.sides[side].agreement = None;
                            self.sides[side].secured = None;
                        }
                    }
                }
            }
        }
    }

    fn moves(&self, keys: &[&'static str], sets: u8, cuts: u8) -> Vec<Move> {
        let mut moves = Vec::new();
        for side in 0..2 {
            if !self.wires[side].is_empty() {
                moves.push(Move::Deliver(side));
            }
            let delayed = self.sides[side].stage() == "delayed";
            if delayed {
                moves.push(Move::Wait(side));
            }
            if self.sets[side] < sets && self.sides[side].agreement.is_some() {
                moves.extend(keys.iter().map(|&text| Move::Set(side, text)));
            }
        }
        if self.cuts < cuts {
            moves.push(Move::Cut);
        }
        moves
    }

    /// Everything that decides what can happen next. A share is known by its run: a side makes one a run.
    fn fingerprint(&self) -> String {
        let wire = |wire: &Wire| match wire {
            Wire::Share(share) => format!("S{}", share.run),
            Wire::Confirm(confirm) => format!("C{}", confirm.run),
        };
        let side = |i: usize| {
            let side = &self.sides[i];
            let agreement = side.agreement.as_ref();
            let confirmed = agreement.and_then(|agreement| match &agreement.stage {
                Stage::Confirmed(confirmed) => Some(confirmed.key.to_text()),
                Stage::Shared { key, .. } => Some(key.to_text()),
                _ => None,
            });
            format!(
                "{} {} {:?} {:?} {} {} {:?}",
                side.stage(),
                side.run(),
                side.key.as_ref().map(|(_, text)| *text),
                confirmed.as_deref(),
                agreement.map_or(0, |a| a.guesses),
                self.sets[i],
                self.wires[i].iter().map(wire).collect::<Vec<_>>()
            )
        };
        // A share whose sender still stands by it was made with the key in its stage; any other comes to no verdict.
        format!("{} | {} | {}", side(0), side(1), self.cuts)
    }

    fn check(&self, path: &[Move]) {
        let quiet = self.wires.iter().all(VecDeque::is_empty)
            && self.sides.iter().all(|side| side.stage() != "delayed");
        let stages = [self.sides[0].stage(), self.sides[1].stage()];
        if quiet {
            let alone = stages.contains(&"secured") && stages != ["secured", "secured"];
            assert!(!alone, "one side is secured alone: {stages:?} after {path:?}");
            assert!(!stages.contains(&"asked") || self.sides.iter().any(|side| side.key.is_none()));
            assert!(
                !stages.iter().all(|stage| stage.starts_with("confirmed")),
                "both wait for a verdict: {stages:?} after {path:?}"
            );
        }
        for side in &self.sides {
            for text in ["one", "two"] {
                assert!(side.budget.spent(&key(text)) <= GUESSES_PER_PASSPHRASE);
            }
            let spent: u32 = ["one", "two"].iter().map(|text| side.budget.spent(&key(text))).sum();
            let given_back = u32::from(side.secured.is_some());
            assert!(
                side.secured.is_none() || spent + given_back == side.confirms,
                "each CONFIRM is charged once, and only the right one given back: {path:?}"
            );
            assert!(side.secured.is_some() || spent == side.confirms || self.cuts > 0, "{path:?}");
        }
    }
}

/// Searches everything that two users with two keys can do in any order, with messages delivered in order, and cuts at any time.
/// States are made again from their paths: an agreement is no value that could be copied.
fn search(sets: u8, cuts: u8) -> usize {
    let mut seen = BTreeSet::new();
    let mut frontier = vec![Vec::new()];
    while let Some(path) = frontier.pop() {
        let mut world = World::new();
        path.iter().for_each(|&step| world.carry_out(step));
        if !seen.insert(world.fingerprint()) {
            continue;
        }
        world.check(&path);
        for step in world.moves(&["one", "two"], sets, cuts) {
            let mut longer = path.clone();
            longer.push(step);
            frontier.push(longer);
        }
    }
    seen.len()
}

#[test]
fn no_order_leaves_one_side_secured_alone() {
    let states = search(2, 1);
    assert!(states > 1000, "only {states} states were reached");
}

/// Each guess is answered later than the one before, and not before its time.
#[test]
fn answers_to_further_runs_come_after_pauses_that_double() {
    let (mut a, _) = pair();
    a.key = Some((key("right"), "right"));
    guess_on(&mut a, 1, 1);
    for (run, pause) in [(2, 1), (3, 2), (4, 4), (5, 8)] {
        let mut other = inputs(Role::Acceptor);
        other.run = run;
        let exchange = Exchange::start(other, &key("wrong"), &mut Rng::from_seed(&[9; 32]));
        let share = Share { run, share: exchange.share(), ad: exchange.ad() };
        assert!(a.take(&Wire::Share(share)).is_empty());
        let due = a.agreement.as_ref().and_then(Agreement::deadline).expect("it will be answered");
        assert_eq!(due.since(a.now), Duration::from_secs(pause), "run {run}");
        assert!(
            a.act(|agreement, now, means| agreement.on_timeout(now, means)).is_empty(),
            "it is too early"
        );
        assert_eq!((a.stage(), a.wait().len()), ("delayed", 2));
        assert_eq!(a.agreement.as_ref().unwrap().failed, run - 1, "a run that was left has failed");
    }
}
