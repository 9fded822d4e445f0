//! Anything at any time: no panic, no bound exceeded, no deadline that does not move on.

use alloc::vec;
use alloc::vec::Vec;

use bytes::BytesMut;
use proptest::prelude::*;

use super::world::{Puppet, S, forward, id, payload, rejoin_of, secured};
use crate::client::{ClientLimits, Event, Input};
use crate::crypto::EncryptionKey;
use crate::id::PeerId;
use crate::time::Duration;
use crate::wire::{Answer, CloseCode, Ended, OpenedBy, RelayFrame};

#[derive(Clone, Debug)]
enum Act {
    Relay(RelayFrame),
    Raw(Vec<u8>),
    Payload(u32, Vec<u8>),
    /// What one side said last is given to the other, changed, or to itself.
    Replay {
        flip: Option<u8>,
        back: bool,
    },
    Forward,
    Wait(u32),
    Jump(u32),
    Attach(u32),
    Connected,
    DialFailed,
    Lost(u8),
    Writable(usize),
    Key(u8),
    ChannelKey(u8),
    Send(usize),
    Receive,
    Connect(u8),
    Accept,
    Cancel,
    Withdraw,
    Disconnect,
    Abort,
    Unlock,
    DialNow,
    Leave,
    Join,
}

fn peer(n: u8) -> PeerId {
    id(["AAAAAA", "BBBBBB", "CCCCCC", "DDDDDD"][usize::from(n % 4)])
}

fn relay_frame() -> impl Strategy<Value = RelayFrame> {
    let answer = prop::sample::select(Answer::ALL.to_vec());
    let small = 0u32..4;
    prop_oneof![
        (small.clone(), answer.clone()).prop_map(|(request, answer)| RelayFrame::Answer { request, answer }),
        (small.clone(), answer).prop_map(|(request, answer)| RelayFrame::Ended { request, answer }),
        (small.clone(), any::<u8>()).prop_map(|(request, n)| RelayFrame::Incoming {
            request,
            source: peer(n),
            nonce: [n; 16]
        }),
        (0u8..3, small.clone(), small.clone()).prop_map(|(by, request, channel)| RelayFrame::Opened {
            by: [OpenedBy::Approval, OpenedBy::Acceptance, OpenedBy::Crossing][usize::from(by)],
            request,
            channel,
            nonce: [by; 16]
        }),
        (small.clone(), 1u8..5).prop_map(|(channel, reason)| RelayFrame::Closed {
            channel,
            reason: Ended::from_wire(reason).unwrap()
        }),
        small.prop_map(|channel| RelayFrame::Attached { rendezvous: [0; 16], channel }),
        Just(RelayFrame::Pong { token: 0 }),
        any::<u32>().prop_map(|after_ms| RelayFrame::Drain { after_ms }),
        Just(RelayFrame::Hello { version: 1, challenge: [1; 16], work: 0 }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        4 => relay_frame().prop_map(Act::Relay),
        1 => bytes(40).prop_map(Act::Raw),
        2 => (0u32..3, prop::sample::select(vec![1u8, 2, 0x10, 0x11, 0x12]), bytes(90)).prop_map(
            |(channel, kind, mut body)| {
                body.insert(0, kind);
                Act::Payload(channel, body)
            }
        ),
        2 => (prop::option::of(any::<u8>()), any::<bool>()).prop_map(|(flip, back)| Act::Replay { flip, back }),
        8 => Just(Act::Forward),
        6 => (0u32..4).prop_map(Act::Wait),
        2 => (0u32..100_000).prop_map(Act::Jump),
        4 => (0u32..4).prop_map(Act::Attach),
        1 => Just(Act::Connected),
        1 => Just(Act::DialFailed),
        1 => any::<u8>().prop_map(Act::Lost),
        1 => prop_oneof![Just(0usize), 1usize..20_000, Just(usize::MAX)].prop_map(Act::Writable),
        2 => any::<u8>().prop_map(Act::Key),
        2 => any::<u8>().prop_map(Act::ChannelKey),
        4 => (0usize..70_000).prop_map(Act::Send),
        3 => Just(Act::Receive),
        2 => any::<u8>().prop_map(Act::Connect),
        2 => Just(Act::Accept),
        1 => Just(Act::Cancel),
        1 => Just(Act::Withdraw),
        1 => Just(Act::Disconnect),
        1 => Just(Act::Abort),
        1 => Just(Act::Unlock),
        1 => Just(Act::DialNow),
        1 => Just(Act::Leave),
        4 => Just(Act::Join),
    ]
}

fn key(n: u8) -> EncryptionKey {
    EncryptionKey::parse(["one key", "another"][usize::from(n % 2)]).unwrap()
}

fn carry_out(act: Act, a: &mut Puppet, b: &mut Puppet) {
    let now = a.now;
    let channel = a.channel();
    let request = a.events.iter().rev().find_map(|event| match event {
        Event::Incoming { request, .. } | Event::Answer { request, .. } => Some(*request),
        _ => None,
    });
    match act {
        Act::Relay(frame) => a.relay(frame),
        Act::Raw(frame) => a.raw(&frame),
        Act::Payload(channel, body) => a.raw(&payload(channel, &body)),
        Act::Replay { flip, back } => {
            let from = if back { &*a } else { &*b };
            if let Some(frame) = from.sent.last() {
                let mut frame = BytesMut::from(&frame[..]);
                if let Some(at) = flip {
                    let at = usize::from(at) % frame.len();
                    frame[at] ^= 1;
                }
                a.input(Input::Received(frame));
            }
        }
        Act::Forward => {
            let to_relay = forward(a, b);
            // Kept for those who look for REJOIN.
            for (puppet, frames) in [(a, &to_relay[0]), (b, &to_relay[1])] {
                puppet.sent.extend(frames.iter().cloned());
            }
            return;
        }
        Act::Wait(times) => {
            for _ in 0..times {
                if a.client.poll_timeout().is_some() {
                    a.wait_once();
                }
            }
        }
        Act::Jump(ms) => {
            a.now = a.now + Duration::from_millis(u64::from(ms));
            a.input(Input::Timeout);
            b.now = b.now.max(a.now);
        }
        Act::Attach(number) => {
            for puppet in [a, b] {
                if let Some(rendezvous) = rejoin_of(&puppet.sent) {
                    puppet.relay(RelayFrame::Attached { rendezvous, channel: number });
                }
            }
            return;
        }
        Act::Connected => a.input(Input::Connected),
        Act::DialFailed => a.input(Input::DialFailed),
        Act::Lost(n) => {
            let code = CloseCode::ALL.get(usize::from(n)).copied();
            a.input(Input::Disconnected { code });
        }
        Act::Writable(bytes) => a.input(Input::Writable(bytes)),
        Act::Key(n) => a.client.set_encryption_key(now, key(n)),
        Act::ChannelKey(n) => _ = a.client.set_channel_key(now, channel, key(n)),
        Act::Send(len) => _ = a.client.send(now, channel, vec![1; len]),
        Act::Receive => _ = a.client.receive(now, channel),
        Act::Connect(n) => _ = a.client.connect(now, peer(n)),
        Act::Accept => _ = request.map(|request| a.client.accept(now, request)),
        Act::Cancel => _ = request.map(|request| a.client.cancel(now, request)),
        Act::Withdraw => _ = request.map(|request| a.client.withdraw(now, request)),
        Act::Disconnect => _ = a.client.disconnect(now, channel),
        Act::Abort => _ = a.client.abort(now, channel),
        Act::Unlock => _ = a.client.unlock(now, channel),
        Act::DialNow => a.client.dial_now(now),
        Act::Leave => a.client.leave(now),
        Act::Join => {
            a.client.dial_now(now);
            for _ in 0..3 {
                if a.client.id().is_none() && a.client.poll_timeout().is_some() && a.wait_once() {
                    a.input(Input::Connected);
                    a.relay(RelayFrame::Hello { version: 1, challenge: [0; 16], work: 0 });
                    a.relay(a.welcome());
                }
            }
        }
    }
    a.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_at_any_time_is_survived(acts in prop::collection::vec(act(), 1..120)) {
        let limits = ClientLimits { channels_max: 3, prompts_max: 2, ..ClientLimits::default() };
        let (mut a, mut b) = secured(&limits);
        for act in acts {
            carry_out(act, &mut a, &mut b);
            prop_assert!(a.client.poll_output().is_none(), "drained is drained");
            prop_assert!(a.client.channels().count() <= 3);
            let deadline = a.client.poll_timeout();
            prop_assert!(deadline.is_none_or(|d| d.reason != "output is queued"), "{deadline:?}");
            // Told the time, the machine always has a later deadline, or none. Checked by `wait_once`.
            if deadline.is_some_and(|deadline| deadline.at <= a.now) {
                a.wait_once();
            }
        }
        // Each channel ends, or lives, but none is told of twice.
        let ends = a.heard(|event| matches!(event, Event::Closed { .. }));
        let opened = a.heard(|event| matches!(event, Event::Opened { .. }));
        prop_assert!(ends + a.client.channels().count() <= opened);
        // Left alone for a day with a relay that is there, every channel comes to an end: nothing waits for ever.
        for _ in 0..200 {
            if a.client.poll_timeout().is_none() {
                break;
            }
            a.wait(432 * S);
        }
        for channel in a.client.channels().collect::<Vec<_>>() {
            prop_assert!(false, "channel {channel} goes on for ever: {:?}", a.client.poll_timeout());
        }
    }
}
