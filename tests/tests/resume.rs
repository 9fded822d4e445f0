//! What each misbehaviour leads to, and what can go wrong in resuming: one test per row of the two tables of the design.
//!
//! The partner is played by the test and has the right key, so it can seal whatever no honest client would.

use phantom_core::client::{ClientConfig, ClientLimits, End, Event, SendError};
use phantom_core::crypto::EncryptionKey;
use phantom_core::crypto::exchange::{Secured, Verdict};
use phantom_core::relay;
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{ClientFrame, Ended};
use phantom_tests::bare::Bare;
use phantom_tests::hostile::kind;
use phantom_tests::puppet::{Puppet, State, seal, share_payload};

const SECOND: Duration = Duration::from_secs(1);
const END: u8 = 2;
const FIN: u8 = 3;

fn key() -> EncryptionKey {
    phantom_tests::key("the same")
}

fn secured() -> (Puppet, Box<Secured>) {
    Puppet::secured(ClientConfig::default(), &key())
}

/// A secured channel that the relay has lost and found again.
fn reattached() -> (Puppet, Box<Secured>) {
    let (mut puppet, mut session) = secured();
    puppet.data(&mut session, &[END, b'0']);
    puppet.reattach();
    assert_eq!(puppet.received, ["0"]);
    (puppet, session)
}

fn end(text: &str) -> Vec<u8> {
    [&[END], text.as_bytes()].concat()
}

fn data_record(session: &mut Secured, plaintext: &[u8]) -> Vec<u8> {
    seal(|record| session.data_tx.seal(record).map(|_| ()), plaintext)
}

fn ctrl_record(session: &mut Secured, plaintext: &[u8]) -> Vec<u8> {
    seal(|record| session.ctrl_tx.seal(record).map(|_| ()), plaintext)
}

fn interrupted(event: &Event) -> bool {
    matches!(event, Event::Interrupted { .. })
}

/// What the client's ABORT says, if the partner has got one.
fn abort(puppet: &Puppet, session: &mut Secured) -> Option<u8> {
    puppet.payloads.iter().filter(|payload| payload[0] == kind::CTRL).find_map(|payload| {
        let mut record = payload.to_vec();
        let body = session.ctrl_rx.open(&mut record).ok()?;
        (body[0] == 2).then(|| body[1])
    })
}

// Section 2.4: what each misbehaviour leads to.

#[test]
fn a_record_that_was_here_before_is_dropped() {
    let (mut puppet, mut session) = secured();
    let record = data_record(&mut session, &end("once"));
    for _ in 0..5 {
        puppet.payload(&record);
    }
    puppet.pass(SECOND);
    assert_eq!(puppet.received, ["once"]);
    assert_eq!((puppet.end(), puppet.heard(interrupted)), (None, false));
}

#[test]
fn a_gap_is_asked_for_once_a_second_then_left_then_fatal() {
    let (mut puppet, mut session) = secured();
    let _lost = data_record(&mut session, &end("lost"));
    let after = data_record(&mut session, &end("after"));
    for attachment in 1..=3 {
        let rejoins = puppet.rejoins().len();
        let (_, start) = (puppet.states(&mut session), puppet.now);
        let mut asked = 0;
        while puppet.rejoins().len() == rejoins && puppet.end().is_none() {
            assert!(puppet.now.since(start) <= 11 * SECOND, "attachment {attachment}: it waits too long");
            puppet.payload(&after);
            puppet.pass(SECOND / 10);
            // The partner is there: it answers, but what it sends is lost.
            for state in puppet.states(&mut session) {
                asked += u32::from(state.retransmit);
                if state.ask {
                    puppet.ctrl(&mut session, &State { send_next: 2, ..State::FRESH }.encode());
                }
            }
        }
        assert!(puppet.now.since(start) >= 10 * SECOND, "attachment {attachment}: it waits too short");
        assert!((9..=12).contains(&asked), "attachment {attachment}: {asked} requests in 10 s");
        assert!(puppet.received.is_empty());
        if attachment < 3 {
            assert_eq!(puppet.end(), None);
            puppet.attach();
            puppet.ctrl(&mut session, &State { send_next: 2, ..State::FRESH }.encode());
        }
    }
    assert_eq!(puppet.end(), Some(End::RelayLoss));
}

#[test]
fn what_was_missing_heals_a_gap() {
    let (mut puppet, mut session) = secured();
    let first = data_record(&mut session, &end("first"));
    let second = data_record(&mut session, &end("second"));
    puppet.payload(&second);
    puppet.pass(5 * SECOND);
    puppet.payload(&first);
    puppet.payload(&second);
    puppet.pass(30 * SECOND);
    assert_eq!(puppet.received, ["first", "second"]);
    assert_eq!(puppet.end(), None);
}

#[test]
fn the_tail_that_no_gap_would_show_is_asked_for() {
    let (mut puppet, mut session) = secured();
    let lost = data_record(&mut session, &end("the last"));
    puppet.states(&mut session);
    puppet.ctrl(&mut session, &State { send_next: 1, ..State::FRESH }.encode());
    puppet.pass(2 * SECOND);
    assert!(puppet.states(&mut session).iter().any(|state| state.retransmit && state.recv_next == 0));
    puppet.payload(&lost);
    assert_eq!(puppet.received, ["the last"]);
}

#[test]
fn a_wrong_partner_is_left_and_the_seventeenth_is_fatal() {
    let (mut puppet, mut session) = reattached();
    let mut before = puppet.now;
    for wrong in 1..=17 {
        assert_eq!(puppet.end(), None, "after {} wrong partners", wrong - 1);
        let rejoins = puppet.rejoins().len();
        // A record sealed with other keys.
        let mut stranger = data_record(&mut session, &end("from somebody else"));
        let forged_seq = puppet.received.len() as u64;
        stranger[1..9].copy_from_slice(&forged_seq.to_be_bytes());
        *stranger.last_mut().unwrap() ^= 1;
        puppet.payload(&stranger);
        if wrong == 17 {
            break;
        }
        assert!(matches!(puppet.control.last(), Some(ClientFrame::Close { .. })), "the way is left");
        while puppet.rejoins().len() == rejoins {
            puppet.pass(SECOND / 10);
            assert!(puppet.now.since(before) < 60 * SECOND);
        }
        // With growing pauses, up to the longest.
        let pause = puppet.now.since(before);
        let least = (SECOND / 2 * (1 << (wrong - 1).min(10))).min(30 * SECOND) * 7 / 10;
        assert!(pause >= least, "wrong partner {wrong}: a pause of {pause:?}");
        before = puppet.now;
        puppet.attach();
    }
    assert!(matches!(puppet.end(), Some(End::Tampered { .. })), "{:?}", puppet.end());
    assert_eq!(puppet.received, ["0"]);
}

#[test]
fn a_wrong_tag_ends_the_channel_and_tells_the_partner() {
    for bit in [9 * 8, 9 * 8 + 7, 15 * 8 - 1] {
        let (mut puppet, mut session) = secured();
        puppet.data(&mut session, &end("good"));
        let mut record = data_record(&mut session, &end("altered"));
        record[bit / 8] ^= 0x80 >> (bit % 8);
        puppet.payload(&record);
        assert_eq!(puppet.end(), Some(End::Tampered { seq: 1 }));
        assert_eq!(puppet.received, ["good"]);
        assert_eq!(abort(&puppet, &mut session), Some(1));
        // Nothing after it is taken, not even the right record.
        puppet.data(&mut session, &end("after"));
        assert_eq!(puppet.received, ["good"]);
    }
}

#[test]
fn once_a_record_has_opened_a_wrong_tag_is_fatal_after_a_rejoin_as_well() {
    let (mut puppet, mut session) = reattached();
    puppet.ctrl(&mut session, &State::FRESH.encode());
    let mut record = data_record(&mut session, &end("altered"));
    record[10] ^= 1;
    puppet.payload(&record);
    assert_eq!(puppet.end(), Some(End::Tampered { seq: 1 }));
}

#[test]
fn a_ctrl_record_not_above_the_last_is_dropped() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    let old = ctrl_record(&mut session, &State { window: 1 << 20, ..State::FRESH }.encode());
    let abort = ctrl_record(&mut session, &[2, 0]);
    let new = ctrl_record(&mut session, &State::FRESH.encode());
    puppet.payload(&new);
    puppet.payload(&old);
    puppet.payload(&abort);
    puppet.payload(&new);
    assert_eq!(puppet.end(), None);
    assert!(puppet.client.is_secured(channel));
}

#[test]
fn a_ctrl_record_with_a_wrong_tag_is_fatal_and_its_header_moves_nothing() {
    let (mut puppet, mut session) = secured();
    let mut forged = ctrl_record(&mut session, &State::FRESH.encode());
    *forged.last_mut().unwrap() ^= 1;
    puppet.payload(&forged);
    assert!(matches!(puppet.end(), Some(End::Tampered { .. })));
    // On a way that has proved nothing, a made-up record with a huge number silences nobody.
    let (mut puppet, mut session) = reattached();
    let mut huge = forged;
    huge[1..9].copy_from_slice(&((1u64 << 60) - 1).to_be_bytes());
    puppet.payload(&huge);
    puppet.pass(SECOND);
    puppet.attach();
    puppet.ctrl(&mut session, &State::FRESH.encode());
    assert!(puppet.heard(|event| matches!(event, Event::Resumed { .. })));
}

#[test]
fn records_before_the_channel_is_secured_are_dropped() {
    let mut puppet = Puppet::online(ClientConfig { key: Some(key()), ..ClientConfig::default() });
    puppet.open();
    let (_, mut other) = secured();
    puppet.data(&mut other, &end("sealed for somebody else"));
    puppet.ctrl(&mut other, &[2, 0]);
    puppet.payload(&[END, b'p', b'l', b'a', b'i', b'n']);
    assert_eq!((puppet.end(), puppet.received.len()), (None, 0));
    // Between the two CONFIRMs, too: resume brings them again.
    let exchange = puppet.share(1, &key());
    let confirming = puppet.finish(exchange);
    let (check, tag) = confirming.confirm();
    let Verdict::Secured(mut session) = puppet.judge(confirming) else { panic!("the keys agree") };
    let early = data_record(&mut session, &end("early"));
    puppet.payload(&early);
    assert!(puppet.received.is_empty());
    puppet.payload(&[&[kind::CONFIRM][..], &1u16.to_be_bytes(), &check, &tag].concat());
    puppet.payload(&early);
    assert_eq!(puppet.received, ["early"]);
}

#[test]
fn shares_after_the_channel_is_secured_are_dropped_and_so_is_what_is_unknown() {
    let (mut puppet, mut session) = secured();
    let sent = puppet.count(kind::SHARE) + puppet.count(kind::CONFIRM);
    for run in [0, 1, 2, 3, u16::MAX] {
        puppet.payload(&share_payload(run, &[7; 32], &[0; 24]));
        puppet.payload(&[&[kind::CONFIRM][..], &run.to_be_bytes(), &[1; 48]].concat());
    }
    for kind in (0..=255).filter(|kind| ![0x01, 0x02, 0x10, 0x11].contains(kind)) {
        puppet.payload(&[kind, 1, 2, 3]);
    }
    assert_eq!(puppet.count(kind::SHARE) + puppet.count(kind::CONFIRM), sent);
    puppet.data(&mut session, &end("as before"));
    assert_eq!((puppet.received.as_slice(), puppet.end()), (&["as before".into()][..], None));
}

#[test]
fn what_a_partner_seals_and_must_not_is_a_violation() {
    let data: &[(&str, &[&[u8]])] = &[
        ("an unknown item", &[&[6, 1]]),
        ("item zero", &[&[0]]),
        ("the reserved bit", &[&[0x80 | END, 1]]),
        ("an empty part", &[&[1]]),
        ("no packet among many", &[&[5]]),
        ("a length over the end", &[&[5, 2, 1]]),
        ("a length that is not minimal", &[&[5, 0x81, 0x00, 1]]),
        ("many inside a packet", &[&[1, 1], &[5, 1, 1]]),
        ("the end inside a packet", &[&[1, 1], &[FIN]]),
        ("an end with a body", &[&[FIN, 1]]),
        ("a packet after the end", &[&[FIN], &[END, 1]]),
        ("a second end", &[&[FIN], &[FIN]]),
        ("a key update with a body", &[&[4, 1]]),
    ];
    for (name, records) in data {
        let (mut puppet, mut session) = secured();
        for record in *records {
            puppet.data(&mut session, record);
        }
        assert_eq!(puppet.end(), Some(End::Violation), "{name}");
        assert_eq!(abort(&puppet, &mut session), Some(2), "{name}");
        assert!(puppet.received.is_empty(), "{name}");
    }
    let ctrl: &[(&str, Vec<u8>)] = &[
        ("an acknowledgement of what was not sent", State { recv_next: 1, ..State::FRESH }.encode()),
        ("an unknown control item", vec![3]),
        ("a short STATE", State::FRESH.encode()[..21].to_vec()),
        ("an unknown flag", [&State::FRESH.encode()[..21], &[4]].concat()),
        ("a long ABORT", vec![2, 0, 0]),
    ];
    for (name, plaintext) in ctrl {
        let (mut puppet, mut session) = secured();
        puppet.ctrl(&mut session, plaintext);
        assert_eq!(puppet.end(), Some(End::Violation), "{name}");
    }
}

#[test]
fn a_record_beyond_the_promised_edge_is_a_violation() {
    let mut config = ClientConfig::default();
    config.limits.receive_window_bytes = 128 << 10;
    config.limits.packet_max_log2 = 16;
    let (mut puppet, mut session) = Puppet::secured(config, &key());
    // The application takes nothing.
    puppet.channel = None;
    let record = [&[END][..], &[7; 16_000]].concat();
    let fit = (128 << 10) / (record.len() + 25);
    for _ in 0..fit {
        puppet.data(&mut session, &record);
        assert_eq!(abort(&puppet, &mut session), None);
    }
    puppet.data(&mut session, &record);
    assert_eq!(abort(&puppet, &mut session), Some(2));
}

#[test]
fn a_packet_above_the_largest_is_a_violation() {
    let mut config = ClientConfig::default();
    config.limits.packet_max_log2 = 16;
    let (mut puppet, mut session) = Puppet::secured(config, &key());
    let part = [&[1][..], &[7; 16_000]].concat();
    for _ in 0..4 {
        puppet.data(&mut session, &part);
        assert_eq!(puppet.end(), None);
    }
    puppet.data(&mut session, &[&[END][..], &vec![7; (1 << 16) - 64_000 + 1]].concat());
    assert_eq!(puppet.end(), Some(End::Violation));
}

#[test]
fn a_channel_that_goes_without_an_end_is_interrupted_and_then_truncated() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    for _ in 0..3 {
        puppet.client.send(puppet.now, channel, "packet").unwrap();
        puppet.drain();
    }
    puppet.ctrl(&mut session, &State { recv_next: 1, ..State::FRESH }.encode());
    puppet.detach();
    let word = Some(Ended::Detached);
    assert!(
        puppet.heard(|event| matches!(event, Event::Interrupted { relay_says, .. } if *relay_says == word))
    );
    puppet.client.send(puppet.now, channel, "packet").unwrap();
    puppet.pass(599 * SECOND);
    assert_eq!(puppet.end(), None);
    puppet.pass(2 * SECOND);
    assert_eq!(puppet.end(), Some(End::Truncated));
    let Some(Event::Closed { fate, .. }) = puppet.events.last() else { panic!("Closed is the last") };
    assert_eq!((fate.delivered, fate.uncertain, fate.unsent), (1, 2, 1));
}

#[test]
fn the_relays_word_is_never_a_clean_end() {
    for reason in [Ended::Closed, Ended::Detached, Ended::Stuck, Ended::NotConnected] {
        let (mut puppet, _) = secured();
        let channel = puppet.channel.unwrap();
        puppet.detach();
        puppet.pass(601 * SECOND);
        assert_eq!(puppet.end(), Some(End::Truncated), "{reason}");
        assert!(!puppet.client.is_secured(channel));
    }
}

#[test]
fn finished_needs_the_partners_end_and_every_own_packet_confirmed() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    puppet.client.send(puppet.now, channel, "unconfirmed").unwrap();
    puppet.drain();
    puppet.data(&mut session, &[FIN]);
    puppet.pass(SECOND);
    assert_eq!(puppet.end(), None, "a packet is not confirmed");
    // One packet, one end.
    puppet.ctrl(&mut session, &State { recv_next: 2, send_next: 1, ..State::FRESH }.encode());
    assert_eq!(puppet.end(), Some(End::Finished));
}

// Section 4.5: what can go wrong.

/// A session that could be copied could seal two plaintexts under one nonce.
#[test]
fn nothing_that_seals_can_be_copied() {
    trait Unknown {
        const CLONES: bool = false;
    }
    impl<T> Unknown for T {}
    struct Asks<T>(std::marker::PhantomData<T>);
    #[allow(dead_code)]
    impl<T: Clone> Asks<T> {
        const CLONES: bool = true;
    }
    use phantom_core::client::Client;
    use phantom_core::crypto::record::{Ctrl, Data, Sealer};
    const {
        assert!(Asks::<String>::CLONES, "the question works");
        assert!(!Asks::<Client>::CLONES);
        assert!(!Asks::<Secured>::CLONES);
        assert!(!Asks::<Sealer<Data>>::CLONES);
        assert!(!Asks::<Sealer<Ctrl>>::CLONES);
    }
}

#[test]
fn a_stale_state_moves_nothing_back() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    for _ in 0..2 {
        puppet.client.send(puppet.now, channel, "packet").unwrap();
        puppet.drain();
    }
    puppet.ctrl(&mut session, &State { recv_next: 2, window: 1000, ..State::FRESH }.encode());
    // Newer by its number, older by its content: a partner's fault, and harmless.
    puppet.ctrl(&mut session, &State { recv_next: 1, window: 0, ..State::FRESH }.encode());
    puppet.ctrl(&mut session, &State { recv_next: 2, window: 0, ..State::FRESH }.encode());
    assert_eq!(puppet.client.fate(channel).unwrap().delivered, 2);
    puppet.client.send(puppet.now, channel, "more").unwrap();
    let sent = puppet.count(kind::DATA);
    puppet.drain();
    assert_eq!(puppet.count(kind::DATA), sent + 1, "the window is not taken back");
    assert_eq!(puppet.end(), None);
}

#[test]
fn a_flood_of_requests_costs_one_pass_a_second() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    for _ in 0..10 {
        puppet.client.send(puppet.now, channel, vec![7; 4000]).unwrap();
        puppet.drain();
    }
    let sent = puppet.count(kind::DATA);
    assert_eq!(sent, 10);
    for _ in 0..200 {
        puppet.ctrl(&mut session, &State { retransmit: true, ask: true, ..State::FRESH }.encode());
        puppet.pass(SECOND / 100);
    }
    let again = puppet.count(kind::DATA) - sent;
    assert!((10..=30).contains(&again), "{again} records were sent again in 2 s");
}

#[test]
fn what_is_sent_again_is_the_same_record() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    puppet.client.send(puppet.now, channel, "the same bytes").unwrap();
    puppet.drain();
    puppet.reattach();
    puppet.ctrl(&mut session, &State { retransmit: true, ..State::FRESH }.encode());
    puppet.client.send(puppet.now, channel, "another").unwrap();
    puppet.drain();
    let records: Vec<_> = puppet.payloads.iter().filter(|p| p[0] == kind::DATA).collect();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0], records[1]);
    assert_ne!(records[0], records[2]);
}

#[test]
fn nothing_new_is_sent_over_a_new_way_before_the_partner_has_spoken() {
    let (mut puppet, mut session) = reattached();
    let channel = puppet.channel.unwrap();
    let sent = puppet.count(kind::DATA);
    puppet.client.send(puppet.now, channel, "early").unwrap();
    puppet.drain();
    assert_eq!(puppet.count(kind::DATA), sent);
    assert!(puppet.states(&mut session).last().unwrap().retransmit);
    puppet.ctrl(&mut session, &State::FRESH.encode());
    assert_eq!(puppet.count(kind::DATA), sent + 1);
}

#[test]
fn a_lost_window_update_is_asked_for() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    let mut config_window = State { window: 0, ..State::FRESH };
    // The first window is 64 KiB; after it the client waits for more.
    for _ in 0..20 {
        puppet.client.send(puppet.now, channel, vec![7; 10_000]).unwrap();
    }
    puppet.drain();
    let sent = puppet.count(kind::DATA);
    puppet.states(&mut session);
    puppet.pass(3 * SECOND);
    assert!(puppet.states(&mut session).iter().any(|state| state.ask), "it asks when nothing comes");
    config_window.recv_next = sent as u64;
    config_window.window = 500_000;
    puppet.ctrl(&mut session, &config_window.encode());
    assert!(puppet.count(kind::DATA) > sent);
}

#[test]
fn three_unanswered_requests_and_the_way_is_left() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    puppet.states(&mut session);
    puppet.client.send(puppet.now, channel, "into the void").unwrap();
    puppet.drain();
    let start = puppet.now;
    while puppet.rejoins().is_empty() {
        puppet.pass(SECOND / 10);
        assert!(puppet.now.since(start) < 30 * SECOND, "it stays for ever");
    }
    assert_eq!(puppet.states(&mut session).iter().filter(|state| state.ask).count(), 3);
}

#[test]
fn finished_does_not_need_the_last_word_of_two_generals() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    puppet.client.disconnect(puppet.now, channel).unwrap();
    puppet.drain();
    puppet.data(&mut session, &[FIN]);
    // The client's own end is never confirmed.
    puppet.pass(29 * SECOND);
    assert_eq!(puppet.end(), None, "it answers as long as the partner may ask");
    puppet.pass(2 * SECOND);
    assert_eq!(puppet.end(), Some(End::Finished));
}

#[test]
fn a_confirm_lost_in_a_cut_is_repeated_until_a_record_opens() {
    let mut puppet = Puppet::online(ClientConfig { key: Some(key()), ..ClientConfig::default() });
    let channel = puppet.open();
    let exchange = puppet.share(1, &key());
    let confirming = puppet.finish(exchange);
    let confirmed: Vec<_> = puppet.payloads.iter().filter(|p| p[0] == kind::CONFIRM).cloned().collect();
    assert_eq!(confirmed.len(), 1);
    // Cut before the partner's CONFIRM has come.
    puppet.reattach();
    assert_eq!(puppet.end(), None);
    let Verdict::Secured(mut session) = puppet.confirm(1, confirming) else { panic!("the keys agree") };
    assert!(puppet.client.is_secured(channel));
    // Cut again: the partner may not have it still.
    puppet.reattach();
    puppet.ctrl(&mut session, &State::FRESH.encode());
    puppet.reattach();
    let all: Vec<_> = puppet.payloads.iter().filter(|p| p[0] == kind::CONFIRM).collect();
    assert_eq!(all.len(), 3, "after each ATTACHED until a record has opened, and no more");
    assert!(all.iter().all(|confirm| **confirm == confirmed[0]));
}

#[test]
fn before_its_confirm_a_channel_ends_with_its_way_and_after_it_in_two_minutes() {
    let mut puppet = Puppet::online(ClientConfig { key: Some(key()), ..ClientConfig::default() });
    puppet.open();
    puppet.detach();
    assert_eq!(puppet.end(), Some(End::Left(Some(Ended::Detached))));

    let mut puppet = Puppet::online(ClientConfig { key: Some(key()), ..ClientConfig::default() });
    puppet.open();
    let exchange = puppet.share(1, &key());
    drop(puppet.finish(exchange));
    puppet.detach();
    puppet.pass(119 * SECOND);
    assert_eq!(puppet.end(), None);
    puppet.pass(2 * SECOND);
    assert_eq!(puppet.end(), Some(End::Left(None)));
}

#[test]
fn a_packet_longer_than_the_window_passes() {
    let mut config = ClientConfig::default();
    config.limits.receive_window_bytes = 128 << 10;
    let (mut puppet, mut session) = Puppet::secured(config, &key());
    let part = [&[1][..], &[7; 16_000]].concat();
    let mut budget = 64 << 10;
    for sent in 0..60u64 {
        while budget < part.len() as u64 + 25 {
            let states = puppet.states(&mut session);
            match states.last() {
                Some(state) if state.recv_next == sent => budget = u64::from(state.window),
                _ => puppet.pass(SECOND / 10),
            }
            assert_eq!(puppet.end(), None);
        }
        budget -= part.len() as u64 + 25;
        puppet.data(&mut session, &part);
    }
    puppet.data(&mut session, &[END]);
    assert_eq!(puppet.received.len(), 1);
    assert_eq!(puppet.received[0].len(), 60 * 16_000);
}

#[test]
fn an_end_passes_a_shut_window() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    // Exactly as much as the partner takes at first, and not a byte more afterwards.
    let record = 16 * 1024 - 1;
    let mut left: usize = 64 << 10;
    while left > 26 {
        let size = record.min(left - 26);
        puppet.client.send(puppet.now, channel, vec![7; size]).unwrap();
        puppet.drain();
        left -= size + 26;
    }
    let sent = puppet.count(kind::DATA);
    puppet.ctrl(&mut session, &State { recv_next: 0, window: 0, ..State::FRESH }.encode());
    puppet.client.disconnect(puppet.now, channel).unwrap();
    puppet.drain();
    assert_eq!(puppet.count(kind::DATA), sent + 1);
}

#[test]
fn a_stranger_at_the_rendezvous_is_a_nuisance_and_no_more() {
    let (mut puppet, mut session) = reattached();
    for _ in 0..3 {
        puppet.payload(&[&[kind::DATA][..], &1u64.to_be_bytes(), &[9; 40]].concat());
        puppet.pass(10 * SECOND);
        puppet.attach();
    }
    puppet.ctrl(&mut session, &State { send_next: 1, ..State::FRESH }.encode());
    puppet.data(&mut session, &end("it was the right one"));
    assert_eq!(puppet.received, ["0", "it was the right one"]);
}

/// A client whose first socket died unnoticed, and who was given another ID, waits twice for its partner. It must not meet itself.
#[test]
fn a_client_does_not_meet_its_own_half_dead_socket() {
    let mut bare = Bare::new();
    let [(dead, _), (alive, _), (partner, _)] = [(); 3].map(|()| bare.register());
    let value = [7; 16];
    bare.say(dead, ClientFrame::Rejoin { rendezvous: value, role: 0 });
    bare.say(alive, ClientFrame::Rejoin { rendezvous: value, role: 0 });
    assert_eq!(bare.outputs(), []);
    // Nor does one socket with both roles.
    bare.say(alive, ClientFrame::Rejoin { rendezvous: [8; 16], role: 0 });
    bare.say(alive, ClientFrame::Rejoin { rendezvous: [8; 16], role: 1 });
    assert_eq!(bare.outputs(), []);
    bare.say(partner, ClientFrame::Rejoin { rendezvous: value, role: 1 });
    let found: Vec<_> = bare.outputs().into_iter().map(|(to, _)| to).collect();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&alive) && found.contains(&partner), "the newer one is found");
}

/// The relay keeps a REJOIN for two minutes, and no more than the client's share of them.
#[test]
fn what_waits_at_the_relay_is_bounded() {
    let mut bare = Bare::new();
    let [(waiting, _), (partner, _), (greedy, _)] = [(); 3].map(|()| bare.register());
    bare.say(waiting, ClientFrame::Rejoin { rendezvous: [7; 16], role: 0 });
    for second in 1..=121 {
        bare.now = Instant::ZERO + second * SECOND;
        for conn in [waiting, partner, greedy] {
            bare.say(conn, ClientFrame::Ping { token: 0 });
        }
        let _ = bare.relay.handle(bare.now, relay::Input::Timeout);
    }
    bare.outputs();
    bare.say(partner, ClientFrame::Rejoin { rendezvous: [7; 16], role: 1 });
    assert_eq!(bare.outputs(), [], "it had waited too long");
    for value in 0..5 {
        bare.say(greedy, ClientFrame::Rejoin { rendezvous: [value; 16], role: 0 });
    }
    // Four channels, four values: the oldest has yielded.
    bare.say(partner, ClientFrame::Rejoin { rendezvous: [0; 16], role: 1 });
    assert_eq!(bare.outputs(), [], "nobody waits at the oldest any more");
    bare.say(partner, ClientFrame::Rejoin { rendezvous: [1; 16], role: 1 });
    let found: Vec<_> = bare.outputs().into_iter().map(|(to, _)| to).collect();
    assert_eq!((found.len(), found.contains(&greedy)), (2, true), "the other four wait");
}

#[test]
fn a_rejoin_is_repeated_while_patience_lasts() {
    let (mut puppet, _session) = secured();
    puppet.detach();
    puppet.pass(590 * SECOND);
    let rejoins = puppet.rejoins();
    assert_eq!(rejoins.len(), 10, "once a minute");
    assert!(rejoins.iter().all(|value| *value == rejoins[0]));
}

/// A window larger than what this side allows itself unconfirmed changes nothing; and a partner that never confirms fills that
/// and the queue, no more, and is left.
#[test]
fn a_window_without_bound_and_no_confirmation_cost_the_own_limits_and_no_more() {
    let (mut puppet, mut session) = secured();
    let channel = puppet.channel.unwrap();
    puppet.ctrl(&mut session, &State { window: u32::MAX, ..State::FRESH }.encode());
    let refused = loop {
        match puppet.client.send(puppet.now, channel, vec![7; 5000]) {
            Ok(_) => puppet.drain(),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, SendError::Full);
    let (held, limits) = (puppet.client.held(channel).unwrap(), ClientLimits::default());
    assert!(
        held.unacked <= limits.unacked_max_bytes && held.unacked_records <= limits.unacked_max_records,
        "{held:?}"
    );
    assert!(held.queued <= limits.queue_max_bytes && held.unacked > limits.unacked_max_bytes / 2, "{held:?}");
    puppet.pass(10 * SECOND);
    assert!(puppet.heard(interrupted), "a partner that says nothing is looked for elsewhere");
    assert_eq!(puppet.client.held(channel).unwrap().unacked, held.unacked);
}
