//! The whole machine against a relay that follows a script.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::world::{Puppet, S, forward, id, meet, payload, rejoin_of, secured};
use crate::client::limits::{REPLIES_MAX, WRONG_PARTNERS_MAX};
use crate::client::{
    ClientLimits, ConnectError, End, Event, Fate, Input, NoChannel, Output, RequestError, SendError,
    SetKeyError,
};
use crate::crypto::EncryptionKey;
use crate::time::Duration;
use crate::wire::{Answer, ClientFrame, CloseCode, Ended, OpenedBy, RelayFrame};

fn limits() -> ClientLimits {
    ClientLimits { channels_max: 4, ..ClientLimits::default() }
}

fn cut(puppet: &mut Puppet) {
    let channel = 1;
    puppet.relay(RelayFrame::Closed { channel, reason: Ended::Detached });
}

fn reattach(a: &mut Puppet, b: &mut Puppet, channel: u32) {
    for puppet in [a, b] {
        let rendezvous = rejoin_of(&puppet.take_sent()).expect("REJOIN was sent");
        puppet.relay(RelayFrame::Attached { rendezvous, channel });
    }
}

fn closed(puppet: &Puppet) -> Option<(End, Fate)> {
    puppet.events.iter().find_map(|event| match event {
        Event::Closed { end, fate, .. } => Some((*end, *fate)),
        _ => None,
    })
}

fn frames(sent: &[Bytes]) -> Vec<ClientFrame> {
    sent.iter().filter_map(|frame| ClientFrame::decode(frame).ok()).collect()
}

#[test]
fn a_cut_is_healed_by_rejoin_and_repeated_until_then() {
    let (mut a, mut b) = secured(&limits());
    cut(&mut a);
    let channel = a.channel();
    a.client.send(a.now, channel, "hello").unwrap();
    assert!(rejoin_of(&a.sent).is_some());
    a.wait(59 * S);
    assert_eq!(a.sent.iter().filter(|frame| frame[0] == 0x08).count(), 1);
    a.wait(2 * S);
    assert_eq!(a.sent.iter().filter(|frame| frame[0] == 0x08).count(), 2);
    cut(&mut b);
    b.now = a.now;
    reattach(&mut a, &mut b, 2);
    forward(&mut a, &mut b);
    for puppet in [&a, &b] {
        assert_eq!(puppet.heard(|event| matches!(event, Event::Interrupted { .. })), 1);
        assert_eq!(puppet.heard(|event| matches!(event, Event::Resumed { .. })), 1);
    }
    let channel = b.channel();
    assert_eq!(b.client.receive(b.now, channel), Some(Bytes::from("hello")));
}

/// A cut between the two CONFIRMs: one side is secured, the other is not, and the way found again makes it so.
#[test]
fn a_cut_between_the_confirms_leaves_nobody_secured_alone() {
    let mut a = Puppet::online("AAAAAA", "one key", limits());
    let mut b = Puppet::online("BBBBBB", "one key", limits());
    meet(&mut a, &mut b);
    let (from_a, from_b) = (a.take_sent(), b.take_sent());
    from_a.iter().for_each(|frame| b.raw(frame));
    from_b.iter().for_each(|frame| a.raw(frame));
    // The CONFIRM of A arrives, that of B is lost.
    a.take_sent().iter().for_each(|frame| b.raw(frame));
    assert!(b.client.is_secured(b.channel()) && !a.client.is_secured(a.channel()));
    let channel = b.channel();
    b.client.send(b.now, channel, "early").unwrap();
    b.drain();
    b.take_sent();
    cut(&mut a);
    cut(&mut b);
    a.wait(100 * S);
    b.now = a.now;
    reattach(&mut a, &mut b, 2);
    forward(&mut a, &mut b);
    for _ in 0..3 {
        a.wait(S);
        b.wait(S);
        forward(&mut a, &mut b);
    }
    let channel = a.channel();
    assert!(a.client.is_secured(channel));
    assert_eq!(a.client.receive(a.now, channel), Some(Bytes::from("early")));
    let order: Vec<_> = a.events.iter().filter(|e| !matches!(e, Event::Online { .. })).collect();
    let at = |wanted: fn(&Event) -> bool| order.iter().position(|event| wanted(event)).unwrap();
    assert!(at(|e| matches!(e, Event::Interrupted { .. })) < at(|e| matches!(e, Event::Secured { .. })));
    assert!(at(|e| matches!(e, Event::Secured { .. })) < at(|e| matches!(e, Event::Resumed { .. })));
    assert!(at(|e| matches!(e, Event::Resumed { .. })) < at(|e| matches!(e, Event::Readable { .. })));
}

/// A repeated CONFIRM proves nothing about the way: a stranger at its end is left, not taken for a forger.
#[test]
fn a_channel_secured_over_a_found_way_still_doubts_the_way() {
    let mut a = Puppet::online("AAAAAA", "one key", limits());
    let mut b = Puppet::online("BBBBBB", "one key", limits());
    meet(&mut a, &mut b);
    let (from_a, from_b) = (a.take_sent(), b.take_sent());
    from_a.iter().for_each(|frame| b.raw(frame));
    from_b.iter().for_each(|frame| a.raw(frame));
    let confirm = b.take_sent().remove(0);
    cut(&mut a);
    let rendezvous = rejoin_of(&a.take_sent()).unwrap();
    a.relay(RelayFrame::Attached { rendezvous, channel: 1 });
    a.raw(&confirm);
    assert!(a.client.is_secured(a.channel()));
    a.take_sent();
    a.raw(&payload(1, &[&[0x10][..], &[0; 39]].concat()));
    assert_eq!(closed(&a), None);
    assert_eq!(frames(&a.take_sent()), [ClientFrame::Close { channel: 1 }]);
}

#[test]
fn a_cut_before_confirm_ends_the_channel_and_after_it_two_minutes_do() {
    let mut a = Puppet::online("AAAAAA", "one key", limits());
    let mut b = Puppet::online("BBBBBB", "one key", limits());
    meet(&mut a, &mut b);
    let to_a = b.take_sent();
    cut(&mut b);
    assert!(matches!(closed(&b), Some((End::Left(Some(Ended::Detached)), _))));
    to_a.iter().for_each(|frame| a.raw(frame));
    cut(&mut a);
    a.wait(119 * S);
    assert_eq!(closed(&a), None);
    a.wait(2 * S);
    assert!(matches!(closed(&a), Some((End::Left(_), _))));
}

#[test]
fn patience_counts_from_the_first_cut_since_the_other_side_was_heard() {
    for patience in [5, 600] {
        let limits = ClientLimits { patience: patience * S, ..limits() };
        let (mut a, mut b) = secured(&limits);
        // Long silence on a good way is no loss.
        for _ in 0..5 {
            a.wait(20 * S);
            b.wait(20 * S);
            forward(&mut a, &mut b);
        }
        let channel = a.channel();
        a.client.send(a.now, channel, "lost?").unwrap();
        a.drain();
        cut(&mut a);
        let lost = a.now;
        // Ways to nowhere, again and again, do not prolong it.
        while closed(&a).is_none() {
            a.wait((patience / 10).max(1) * S);
            if let Some(rendezvous) = rejoin_of(&a.take_sent()) {
                a.relay(RelayFrame::Attached { rendezvous, channel: 9 });
            }
        }
        assert!(a.now.since(lost) <= (patience + patience / 10 + 9) * S, "{:?}", a.now.since(lost));
        let fate = Fate { delivered: 0, uncertain: 1, unsent: 0 };
        assert_eq!(closed(&a), Some((End::Truncated, fate)));
    }
    let (mut a, _) = secured(&ClientLimits { patience: Duration::ZERO, ..limits() });
    cut(&mut a);
    assert!(matches!(closed(&a), Some((End::Truncated, _))));
}

/// A relay that attaches and cuts as fast as it can is not followed at that speed.
#[test]
fn ways_that_lead_nowhere_are_looked_for_ever_more_slowly() {
    let (mut a, _) = secured(&limits());
    cut(&mut a);
    let mut rejoins = 0;
    let end = a.now + 60 * S;
    while a.now < end {
        if let Some(rendezvous) = rejoin_of(&a.take_sent()) {
            rejoins += 1;
            a.relay(RelayFrame::Attached { rendezvous, channel: 3 });
            a.relay(RelayFrame::Closed { channel: 3, reason: Ended::Closed });
        } else {
            a.wait(S / 4);
        }
    }
    assert!((3..12).contains(&rejoins), "{rejoins}");
}

#[test]
fn wrong_partners_are_left_with_growing_pauses_and_the_seventeenth_is_fatal() {
    let (mut a, _) = secured(&ClientLimits { patience: 100_000 * S, ..limits() });
    cut(&mut a);
    let forged = [&[0x11][..], &[0; 6], &[200, 0], &[0; 30]].concat();
    for partner in 1..=WRONG_PARTNERS_MAX + 1 {
        while rejoin_of(&a.sent).is_none() {
            a.wait(S);
        }
        let rendezvous = rejoin_of(&a.take_sent()).unwrap();
        a.relay(RelayFrame::Attached { rendezvous, channel: 3 });
        a.take_sent();
        a.raw(&payload(3, &forged));
        assert_eq!(closed(&a).is_some(), partner > WRONG_PARTNERS_MAX, "partner {partner}");
    }
    assert!(matches!(closed(&a), Some((End::Tampered { .. }, _))));
}

/// Everything arrived both ways: whatever happens to the way then, the channel has finished.
#[test]
fn a_complete_channel_has_finished_however_it_is_left() {
    for how in ["cut", "silence", "link lost"] {
        let (mut a, mut b) = secured(&limits());
        let channel = a.channel();
        a.client.disconnect(a.now, channel).unwrap();
        a.drain();
        // Both FINs come through, the confirmation of A's own does not: B's application is told, A goes on answering.
        a.take_sent().iter().for_each(|frame| b.raw(frame));
        b.take_sent().iter().rev().take(1).for_each(|frame| a.raw(frame));
        assert_eq!(closed(&a), None, "{how}");
        match how {
            "cut" => cut(&mut a),
            "silence" => {
                a.wait(29 * S);
                assert_eq!(closed(&a), None, "it answers as long as the other side may ask");
                a.wait(2 * S);
            }
            _ => a.input(Input::Disconnected { code: None }),
        }
        assert!(matches!(closed(&a), Some((End::Finished, _))), "{how}: {:?}", a.events);
    }
}

#[test]
fn what_arrived_can_be_taken_after_the_end_and_the_end_is_told_after_it() {
    let (mut a, mut b) = secured(&limits());
    let (at_a, at_b) = (a.channel(), b.channel());
    for packet in ["one", "two"] {
        a.client.send(a.now, at_a, packet).unwrap();
    }
    a.drain();
    forward(&mut a, &mut b);
    a.client.abort(a.now, at_a).unwrap();
    a.drain();
    forward(&mut a, &mut b);
    assert!(matches!(closed(&a), Some((End::Disconnected, _))));
    assert_eq!((closed(&b), b.client.channels().count()), (None, 0));
    // The channel is over: nothing but taking is possible.
    assert_eq!(b.client.send(b.now, at_b, "x"), Err(SendError::NoChannel));
    assert_eq!(b.client.disconnect(b.now, at_b), Err(NoChannel));
    assert_eq!(b.client.unlock(b.now, at_b), Err(NoChannel));
    let key = EncryptionKey::parse("one key").unwrap();
    assert_eq!(b.client.set_channel_key(b.now, at_b, key), Err(SetKeyError::NoChannel));
    assert_eq!(b.client.receive(b.now, at_b), Some(Bytes::from("one")));
    assert_eq!(b.client.receive(b.now, at_b), Some(Bytes::from("two")));
    b.drain();
    assert!(matches!(closed(&b), Some((End::Aborted { code: 0 }, _))));
    assert_eq!(b.client.receive(b.now, at_b), None);
}

#[test]
fn an_application_that_aborts_need_not_take_what_has_arrived() {
    for over in [false, true] {
        let (mut a, mut b) = secured(&limits());
        let (at_a, at_b) = (a.channel(), b.channel());
        a.client.send(a.now, at_a, "unread").unwrap();
        a.drain();
        forward(&mut a, &mut b);
        if over {
            a.client.abort(a.now, at_a).unwrap();
            a.drain();
            forward(&mut a, &mut b);
        }
        b.client.abort(b.now, at_b).unwrap();
        b.drain();
        assert!(closed(&b).is_some());
        assert_eq!(b.client.abort(b.now, at_b), Err(NoChannel));
    }
}

#[test]
fn a_secured_channel_keeps_the_key_it_was_secured_with() {
    let (mut a, _) = secured(&limits());
    let channel = a.channel();
    let key = |text| EncryptionKey::parse(text).unwrap();
    a.client.set_encryption_key(a.now, key("newer"));
    assert_eq!(a.client.set_channel_key(a.now, channel, key("one key")), Ok(()));
    assert_eq!(a.client.set_channel_key(a.now, channel, key("newer")), Err(SetKeyError::ChannelSecured));
    assert!(a.client.is_secured(channel));
}

#[test]
fn records_before_secured_and_shares_after_it_move_nothing() {
    let mut a = Puppet::online("AAAAAA", "one key", limits());
    let mut b = Puppet::online("BBBBBB", "one key", limits());
    meet(&mut a, &mut b);
    let early = a.take_sent();
    for kind in [0x10, 0x11, 0x12, 0x00] {
        b.raw(&payload(1, &[&[kind][..], &[0; 40]].concat()));
    }
    assert!(b.take_sent().len() == 1 && closed(&b).is_none(), "its own SHARE");
    let (mut a, mut b) = secured(&limits());
    early.iter().for_each(|frame| b.raw(frame));
    assert!(forward(&mut a, &mut b).iter().all(Vec::is_empty) && closed(&b).is_none());
}

#[test]
fn a_lost_link_ends_requests_and_keeps_channels_and_its_frames_are_not_sent_later() {
    let (mut a, _) = secured(&limits());
    a.client.connect(a.now, id("CCCCCC")).unwrap();
    a.client.handle(a.now, Input::Disconnected { code: None });
    a.drain();
    assert!(a.sent.iter().all(|frame| frame[0] != 0x03), "CONNECT went with the link");
    let answer = |event: &Event| matches!(event, Event::Answer { answer: Answer::NotConnected, .. });
    assert_eq!(a.heard(answer), 1);
    assert_eq!(a.heard(|event| matches!(event, Event::Interrupted { .. })), 1);
    a.sent.clear();
    while !a.wait_once() {}
    a.input(Input::Connected);
    a.relay(RelayFrame::Hello { version: 1, challenge: [0; 16], work: 0 });
    a.relay(a.welcome());
    assert!(rejoin_of(&a.sent).is_some(), "at once when the link stands");
}

#[test]
fn what_a_relay_must_not_do_ends_its_link_and_nothing_else() {
    let approved = RelayFrame::Answer { request: 1, answer: Answer::Approved };
    let done = RelayFrame::Ended { request: 1, answer: Answer::ConnectionDone };
    let hello = RelayFrame::Hello { version: 1, challenge: [0; 16], work: 0 };
    for frame in [approved, done, hello] {
        let (mut a, _) = secured(&limits());
        a.relay(frame);
        assert_eq!(a.hung_up, Some(CloseCode::Violation));
        assert!(a.client.is_secured(a.channel()));
    }
    for (frame, code) in [
        (&[][..], CloseCode::Malformed),
        (&[0x20, 0, 0, 0, 1], CloseCode::Malformed),
        (&[0x83, 0], CloseCode::Malformed),
        (&[0x42], CloseCode::UnknownFrame),
        (&[0x03], CloseCode::UnknownFrame),
        (&[0x20; crate::wire::FRAME_MAX + 1], CloseCode::TooLarge),
    ] {
        let (mut a, _) = secured(&limits());
        a.raw(frame);
        assert_eq!(a.hung_up, Some(code));
        // Frames that were on their way are of a link that is gone.
        let events = a.events.len();
        a.relay(RelayFrame::Drain { after_ms: 1 });
        assert_eq!(a.events.len(), events);
    }
}

#[test]
fn channels_and_ways_that_nobody_wants_are_closed_again() {
    let (mut a, _) = secured(&limits());
    let close = |channel| [ClientFrame::Close { channel }];
    a.relay(RelayFrame::Opened { by: OpenedBy::Approval, request: 99, channel: 5, nonce: [0; 16] });
    assert_eq!(frames(&a.take_sent()), close(5));
    a.relay(RelayFrame::Attached { rendezvous: [0; 16], channel: 6 });
    assert_eq!(frames(&a.take_sent()), close(6));
    // A number that is in use already.
    let (number, _) = a.ask(id("CCCCCC"));
    a.relay(RelayFrame::Opened { by: OpenedBy::Approval, request: number, channel: 1, nonce: [0; 16] });
    assert_eq!(frames(&a.take_sent()), close(1));
    // More channels than allowed.
    for i in 0..4u32 {
        let peer = id(["DDDDDD", "EEEEEE", "FFFFFF", "GGGGGG"][i as usize]);
        a.relay(RelayFrame::Incoming { request: 50 + i, source: peer, nonce: [0; 16] });
    }
    let prompts: Vec<_> = a
        .events
        .iter()
        .filter_map(|event| if let Event::Incoming { request, .. } = event { Some(*request) } else { None })
        .collect();
    for request in &prompts {
        a.client.accept(a.now, *request).unwrap();
    }
    a.drain();
    a.take_sent();
    for i in 0..4u32 {
        a.relay(RelayFrame::Opened {
            by: OpenedBy::Acceptance,
            request: 50 + i,
            channel: 60 + i,
            nonce: [0; 16],
        });
    }
    assert_eq!(a.client.channels().count(), 4);
    assert!(frames(&a.take_sent()).contains(&ClientFrame::Close { channel: 63 }));
    assert_eq!(a.client.connect(a.now, id("HHHHHH")), Err(ConnectError::AlreadyConnected));
    assert_eq!(a.client.accept(a.now, prompts[0]), Err(RequestError::AlreadyConnected));
}

#[test]
fn a_relay_that_floods_is_not_answered_without_bound() {
    let mut a = Puppet::online("AAAAAA", "one key", limits());
    for i in 0..1000u32 {
        a.relay(RelayFrame::Attached { rendezvous: [0; 16], channel: i });
        a.relay(RelayFrame::Incoming { request: i, source: id("AAAAAA"), nonce: [0; 16] });
    }
    assert_eq!(a.sent.len(), usize::from(REPLIES_MAX));
    assert_eq!(a.heard(|event| matches!(event, Event::Incoming { .. })), 0, "nobody asks in our own name");
    a.wait(16 * S);
    a.sent.clear();
    a.relay(RelayFrame::Attached { rendezvous: [0; 16], channel: 1 });
    assert_eq!(a.sent.len(), 1);
}

#[test]
fn channels_take_turns() {
    let mut a = Puppet::online("AAAAAA", "one key", limits());
    let mut others = ["BBBBBB", "CCCCCC", "DDDDDD"].map(|name| Puppet::online(name, "one key", limits()));
    for (other, number) in others.iter_mut().zip(1..) {
        let (request, nonce_a) = a.ask(other.name);
        let nonce_b = other.accept(a.name, 7, nonce_a);
        a.relay(RelayFrame::Opened { by: OpenedBy::Approval, request, channel: number, nonce: nonce_b });
        other.relay(RelayFrame::Opened {
            by: OpenedBy::Acceptance,
            request: 7,
            channel: number,
            nonce: nonce_a,
        });
        forward(&mut a, other);
    }
    let channels: Vec<_> = a.client.channels().collect();
    assert!(channels.iter().all(|&channel| a.client.is_secured(channel)));
    a.input(Input::Writable(0));
    for &channel in &channels {
        a.client.send(a.now, channel, alloc::vec![0; 60_000]).unwrap();
    }
    a.client.handle(a.now, Input::Writable(usize::MAX));
    a.drain();
    let order: Vec<_> = a.take_sent().iter().map(|frame| frame[4]).collect();
    assert!(
        order.len() >= 9
            && order.chunks(3).take(3).all(|turn| turn.len() == 3
                && turn[0] != turn[1]
                && turn[1] != turn[2]
                && turn[0] != turn[2]),
        "{order:?}"
    );
}

#[test]
fn a_transport_that_takes_no_data_is_given_control_alone() {
    let (mut a, mut b) = secured(&limits());
    a.input(Input::Writable(0));
    let channel = a.channel();
    a.client.send(a.now, channel, "waits").unwrap();
    a.drain();
    assert!(a.sent.is_empty());
    assert!(a.client.poll_timeout().unwrap().at > a.now, "nothing to do until the transport says so");
    a.wait(16 * S);
    assert!(frames(&a.sent).contains(&ClientFrame::Ping { token: 0 }));
    a.input(Input::Writable(1));
    forward(&mut a, &mut b);
    let channel = b.channel();
    assert_eq!(b.client.receive(b.now, channel), Some(Bytes::from("waits")));
}

#[test]
fn nothing_prints_a_secret() {
    let a = Puppet::online("AAAAAA", "one key", limits());
    let welcome = a.welcome().encode();
    let input = Input::Received(BytesMut::from(&*welcome));
    let output = Output::Transmit(Bytes::copy_from_slice(&welcome));
    let shown = format!("{input:?} {output:?} {:?}", a.client);
    assert!(!shown.contains("w") && !shown.contains("119"), "{shown}");
    assert!(shown.contains(&welcome.len().to_string()));
}

#[test]
fn leaving_says_so_and_does_nothing_more() {
    let (mut a, mut b) = secured(&limits());
    a.client.leave(a.now);
    a.drain();
    assert_eq!(a.hung_up, Some(CloseCode::Normal));
    assert_eq!(a.client.poll_timeout(), None);
    a.take_sent().iter().filter(|frame| frame[0] == 0x20).for_each(|frame| b.raw(frame));
    assert!(matches!(closed(&b), Some((End::Aborted { code: 0 }, _))));
    let now = a.now;
    a.client.dial_now(now);
    assert!(a.wait_once());
}
