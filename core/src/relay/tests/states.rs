//! Every state of a connection with every kind of frame: what is answered, or which code ends the connection.

use super::*;
use crate::wire::CONTROL_MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Greeted,
    Idle,
    /// It has asked another, with request 1.
    Asked,
    /// Another asks it, with prompt 1.
    Asking,
    /// It has channel 0x100.
    Connected,
    /// It waits at the value of the frame below.
    Rejoining,
}

use State::*;

const STATES: [State; 6] = [Greeted, Idle, Asked, Asking, Connected, Rejoining];

/// The other client is one that waits, asks or is connected, as the state says.
fn enter(state: State) -> (World, ConnId, Client) {
    let mut world = World::new();
    let other = world.join_with(4);
    let subject = if state == Greeted {
        world.greeted().0
    } else {
        let subject = world.join_with(4);
        match state {
            Asked => world.connect(subject, 1, other.id),
            Asking => world.connect(other, 1, subject.id),
            Connected => {
                world.pair(subject, other);
            }
            Rejoining => world.send(subject.conn, ClientFrame::Rejoin { rendezvous: [6; 16], role: 0 }),
            Greeted | Idle => {}
        }
        subject.conn
    };
    world.take(subject);
    world.take(other.conn);
    (world, subject, other)
}

/// Each kind of frame, well-formed; CONNECT asks `target` and counts above what [`enter`] has used.
fn kinds(target: PeerId) -> [ClientFrame; 9] {
    use ClientFrame::*;
    [
        Register { version: VERSION, channels: 1 },
        Reclaim { version: VERSION, channels: 1, kid: 1, id: target, owner: [0; 8], expiry: 0, mac: [0; 16] },
        Connect { request: 2, target, nonce: [8; 16] },
        Accept { request: 1, nonce: [9; 16] },
        Cancel { request: 1 },
        Withdraw { request: 1 },
        Close { channel: 0x100 },
        Rejoin { rendezvous: [6; 16], role: 1 },
        Ping { token: 5 },
    ]
}

/// Each kind of frame and much that is none, as bytes.
pub(super) fn frames(target: PeerId) -> Vec<Vec<u8>> {
    let mut frames: Vec<_> = kinds(target).iter().map(|frame| frame.encode().to_vec()).collect();
    frames.push(b"\x20\0\0\x01\0payload".to_vec());
    frames.extend(bad().into_iter().map(|(frame, _)| frame));
    frames
}

/// What is no frame, or none that a client may send, with the code that answers it.
fn bad() -> Vec<(Vec<u8>, CloseCode)> {
    let mut all = std::vec![
        (Vec::new(), CloseCode::Malformed),
        (b"\x20\0\0\x01\0".to_vec(), CloseCode::Malformed),
        (b"\x20".to_vec(), CloseCode::Malformed),
        (std::vec![9; CONTROL_MAX + 1], CloseCode::Malformed),
    ];
    for kind in (0..=u8::MAX).filter(|&kind| kind != 0x20) {
        let code = if (1..=9).contains(&kind) { CloseCode::Malformed } else { CloseCode::UnknownFrame };
        all.push((std::vec![kind], code));
        all.push((std::vec![kind; 100], code));
    }
    all
}

/// What the subject and the other are sent, or the code with which the subject ends.
fn expected(state: State, frame: ClientFrame) -> Result<(Vec<RelayFrame>, Vec<RelayFrame>), CloseCode> {
    use ClientFrame as F;
    use RelayFrame as R;
    let answer = |request, answer| std::vec![R::Answer { request, answer }];
    let ended = |request, answer| std::vec![R::Ended { request, answer }];
    let opened = |by, request, nonce| std::vec![R::Opened { by, request, channel: 0x100, nonce }];
    let none = Vec::new;
    Ok(match (state, frame) {
        (Greeted, F::Register { .. } | F::Reclaim { .. }) => unreachable!("see `registration` and `reclaim`"),
        (Greeted, _) => return Err(CloseCode::NotRegistered),
        (_, F::Register { .. } | F::Reclaim { .. }) => return Err(CloseCode::AlreadyRegistered),

        (Asked, F::Connect { .. }) => (answer(2, Answer::RequestOpen), none()),
        (Asking, F::Connect { .. }) => {
            (opened(OpenedBy::Crossing, 2, [1; 16]), opened(OpenedBy::Crossing, 1, [8; 16]))
        }
        (Connected, F::Connect { .. }) => (answer(2, Answer::SourceAlreadyConnected), none()),
        // INCOMING names the subject, which the caller fills in.
        (Idle | Rejoining, F::Connect { .. }) => (answer(2, Answer::Requested), none()),

        (Asking, F::Accept { .. }) => {
            (opened(OpenedBy::Acceptance, 1, [1; 16]), opened(OpenedBy::Approval, 1, [9; 16]))
        }
        (_, F::Accept { .. }) => (ended(1, Answer::NotConnected), none()),

        (Asking, F::Cancel { .. }) => (none(), answer(1, Answer::Declined)),
        (_, F::Cancel { .. }) => (none(), none()),

        (Asked, F::Withdraw { .. }) => (answer(1, Answer::Withdrawn), ended(1, Answer::Withdrawn)),
        (_, F::Withdraw { .. }) => (answer(1, Answer::NotConnected), none()),

        (Connected, F::Close { .. }) => {
            (none(), std::vec![R::Closed { channel: 0x100, reason: Ended::Closed }])
        }
        (_, F::Close { channel }) => (std::vec![R::Closed { channel, reason: Ended::NotConnected }], none()),

        (_, F::Rejoin { .. }) => (none(), none()),
        (_, F::Ping { token }) => (std::vec![R::Pong { token }], none()),
    })
}

#[test]
fn every_frame_in_every_state() {
    let mut seen = 0;
    for state in STATES {
        for index in 0..9 {
            let (mut world, subject, other) = enter(state);
            let frame = kinds(other.id)[index];
            if state == Greeted && matches!(frame, ClientFrame::Register { .. } | ClientFrame::Reclaim { .. })
            {
                continue;
            }
            world.send(subject, frame);
            match expected(state, frame) {
                Err(code) => assert_eq!(world.code(subject), Some(code), "{state:?} {frame:?}"),
                Ok((to_subject, mut to_other)) => {
                    if let [RelayFrame::Answer { answer: Answer::Requested, .. }] = to_subject[..] {
                        let source = world.relay.peer(subject).unwrap().id;
                        to_other.push(RelayFrame::Incoming { request: 1, source, nonce: [8; 16] });
                    }
                    assert_eq!(world.code(subject), None, "{state:?} {frame:?}");
                    assert_eq!(world.take(subject), to_subject, "{state:?} {frame:?}");
                    assert_eq!(world.take(other.conn), to_other, "{state:?} {frame:?}");
                }
            }
            assert_eq!(world.code(other.conn), None);
            seen += 1;
        }
    }
    assert_eq!(seen, 6 * 9 - 2);
}

#[test]
fn a_payload_in_every_state() {
    for state in STATES {
        let (mut world, subject, other) = enter(state);
        let mut frame = *b"\x20\0\0\x01\0payload";
        let handled = world.raw(subject, &mut frame);
        let forwarded = state == Connected;
        assert_eq!(
            handled,
            if forwarded { Handled::Forward(other.conn) } else { Handled::Done },
            "{state:?}"
        );
        assert_eq!(world.code(subject), (state == Greeted).then_some(CloseCode::NotRegistered), "{state:?}");
        let stats = world.relay.stats();
        let counted = (u64::from(forwarded), u64::from(state != Greeted && !forwarded));
        assert_eq!((stats.frames_forwarded, stats.frames_dropped), counted, "{state:?}");
        world.expect_silence();
    }
}

#[test]
fn what_is_no_frame_in_every_state() {
    for state in STATES {
        for (frame, code) in bad() {
            let (mut world, subject, other) = enter(state);
            world.send_bytes(subject, &frame);
            assert_eq!(world.code(subject), Some(code), "{state:?} {frame:?}");
            let left: &[RelayFrame] = match state {
                Asked => &[RelayFrame::Ended { request: 1, answer: Answer::Left }],
                Asking => &[RelayFrame::Answer { request: 1, answer: Answer::Left }],
                Connected => &[RelayFrame::Closed { channel: 0x100, reason: Ended::Detached }],
                Greeted | Idle | Rejoining => &[],
            };
            world.expect(other.conn, left);
            world.expect_silence();
        }
    }
}
