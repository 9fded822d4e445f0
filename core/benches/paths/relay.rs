//! What the relay does to each frame.

use std::hint::black_box;

use phantom_core::id::{ConnId, PeerId};
use phantom_core::relay::{Handled, Input, Output, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::time::Instant;
use phantom_core::wire::{ClientFrame, ForwardHeader, OpenedBy, RelayFrame, VERSION};

use super::{MEDIUM, Path, Run, SMALL};

pub(crate) const PATHS: &[Path] = &[
    Path { name: "decode CONNECT", bytes: 0, runs: 1000, prepare: decode },
    Path { name: "encode OPENED", bytes: 0, runs: 1000, prepare: encode },
    Path { name: "forward 32 B in the relay", bytes: 32, runs: 1000, prepare: || forward(SMALL) },
    Path { name: "forward 1 KiB in the relay", bytes: 1024, runs: 1000, prepare: || forward(MEDIUM) },
];

const NOW: Instant = Instant::ZERO;

fn decode() -> Run {
    let frame = ClientFrame::Connect { request: 7, target: peer(), nonce: [3; 16] }.encode();
    Box::new(move || {
        black_box(ClientFrame::decode(black_box(&frame))).expect("it is one");
    })
}

fn encode() -> Run {
    let frame = RelayFrame::Opened { by: OpenedBy::Approval, request: 7, channel: 9, nonce: [3; 16] };
    Box::new(move || {
        black_box(black_box(&frame).encode());
    })
}

fn forward(size: usize) -> Run {
    let (mut relay, from, channel) = relay_with_channel();
    let header = ForwardHeader { channel };
    let mut frame = [&header.to_bytes()[..], &vec![7; size]].concat();
    Box::new(move || {
        header.rewrite(&mut frame);
        let handled = relay.handle(NOW, Input::Frame { from, frame: black_box(&mut frame) });
        assert!(matches!(handled, Handled::Forward(_)));
    })
}

fn peer() -> PeerId {
    "AF83X1".parse().expect("an ID")
}

/// A relay with two clients and a channel between them; the first of them, and its number of the channel.
fn relay_with_channel() -> (Relay, ConnId, u32) {
    let mut relay = Relay::new(RelayConfig::new(RelaySecret::new(0, [1; 32]), 0), [2; 32]);
    let [(a, _), (b, id)] = [(); 2].map(|()| {
        let conn = relay.open(NOW, Source::Unknown).expect("there is room");
        let register = ClientFrame::Register { version: VERSION, channels: 1 };
        let answers = say(&mut relay, conn, register);
        let id = answers.iter().find_map(|frame| match frame {
            RelayFrame::Welcome(welcome) => Some(welcome.id),
            _ => None,
        });
        (conn, id.expect("welcome"))
    });
    let asked = say(&mut relay, a, ClientFrame::Connect { request: 1, target: id, nonce: [1; 16] });
    let request = asked.iter().find_map(|frame| match *frame {
        RelayFrame::Incoming { request, .. } => Some(request),
        _ => None,
    });
    let accept = ClientFrame::Accept { request: request.expect("it is shown"), nonce: [2; 16] };
    let opened = say(&mut relay, b, accept);
    let channel = opened.iter().find_map(|frame| match *frame {
        RelayFrame::Opened { by: OpenedBy::Approval, channel, .. } => Some(channel),
        _ => None,
    });
    (relay, a, channel.expect("it is open"))
}

/// What the relay says, to anybody, when a client says this.
fn say(relay: &mut Relay, from: ConnId, frame: ClientFrame) -> Vec<RelayFrame> {
    let handled = relay.handle(NOW, Input::Frame { from, frame: &mut frame.encode().to_vec() });
    assert_eq!(handled, Handled::Done);
    let mut said = Vec::new();
    while let Some(output) = relay.poll_output() {
        if let Output::Transmit { frame, .. } = output {
            said.push(RelayFrame::decode(&frame).expect("the relay's own"));
        }
    }
    said
}
