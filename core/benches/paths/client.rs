//! Packets from one client through a relay to another: three machines and no socket.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use phantom_core::client::{Client, ClientConfig, Event, Input, Output, Packets};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::{ChannelId, ConnId};
use phantom_core::relay::{Handled, Input as Came, Output as Do, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::time::{Duration, Instant};

use super::{Path, Run, SMALL};

pub(crate) const PATHS: &[Path] = &[
    Path {
        name: "100 packets of 32 B, client to client",
        bytes: 3200,
        runs: 100,
        prepare: || carry(100, SMALL),
    },
    Path {
        name: "1 packet of 64 KiB, client to client",
        bytes: 64 << 10,
        runs: 20,
        prepare: || carry(1, 64 << 10),
    },
];

fn carry(count: usize, size: usize) -> Run {
    let mut trio = Trio::meet();
    let packet = Bytes::from(vec![7; size]);
    Box::new(move || {
        let mut packets = Packets::new();
        (0..count).for_each(|_| packets.push(packet.clone()));
        trio.now = trio.now + Duration::from_millis(1);
        trio.send(&mut packets);
        trio.settle();
        assert_eq!(trio.received, count, "each arrives at once");
        trio.received = 0;
    })
}

/// Two clients with a channel, and their relay.
struct Trio {
    now: Instant,
    relay: Relay,
    conns: [ConnId; 2],
    clients: [Client; 2],
    /// Of the client that sends.
    channel: Option<ChannelId>,
    down: [VecDeque<BytesMut>; 2],
    received: usize,
}

impl Trio {
    fn meet() -> Self {
        let now = Instant::ZERO;
        let mut relay = Relay::new(RelayConfig::new(RelaySecret::new(0, [1; 32]), 0), [2; 32]);
        let conns = [(); 2].map(|()| relay.open(now, Source::Unknown).expect("there is room"));
        let key = EncryptionKey::parse("ABCDE12345").expect("a key");
        let client = |seed| {
            Client::new(ClientConfig { key: Some(key.clone()), ..ClientConfig::default() }, [seed; 32])
        };
        let clients = [client(3), client(4)];
        let mut trio =
            Self { now, relay, conns, clients, channel: None, down: Default::default(), received: 0 };
        trio.settle();
        let channel = trio.channel.expect("a channel");
        assert!(trio.clients[0].is_secured(channel));
        trio
    }

    fn send(&mut self, packets: &mut Packets) {
        let channel = self.channel.expect("a channel");
        self.clients[0].send_all(self.now, channel, packets).expect("there is room");
    }

    /// Goes on until nobody has anything more to do now.
    fn settle(&mut self) {
        let mut busy = true;
        while busy {
            busy = self.relay_speaks();
            for i in [0, 1] {
                self.clients[i].handle(self.now, Input::Timeout);
                busy |= self.client_speaks(i);
                while let Some(frame) = self.down[i].pop_front() {
                    self.clients[i].handle(self.now, Input::Received(frame));
                    busy = true;
                }
                busy |= self.client_speaks(i);
            }
        }
    }

    fn client_speaks(&mut self, i: usize) -> bool {
        let mut spoke = false;
        while let Some(output) = self.clients[i].poll_output() {
            spoke = true;
            match output {
                Output::Dial { .. } => self.clients[i].handle(self.now, Input::Connected),
                Output::Transmit(frame) => {
                    let mut frame = BytesMut::from(&frame[..]);
                    let from = self.conns[i];
                    let handled = self.relay.handle(self.now, Came::Frame { from, frame: &mut frame });
                    if let Handled::Forward(to) = handled {
                        self.down[usize::from(to == self.conns[1])].push_back(frame);
                    }
                }
                Output::HangUp(code) => panic!("{code}"),
                Output::Event(event) => self.heed(i, event),
            }
        }
        spoke
    }

    fn relay_speaks(&mut self) -> bool {
        let mut spoke = false;
        while let Some(output) = self.relay.poll_output() {
            spoke = true;
            if let Do::Transmit { to, frame, .. } = output {
                self.down[usize::from(to == self.conns[1])].push_back(BytesMut::from(&frame[..]));
            }
        }
        spoke
    }

    fn heed(&mut self, i: usize, event: Event) {
        let now = self.now;
        match event {
            Event::Online { id, .. } if i == 1 => {
                self.clients[0].connect(now, id).expect("it may ask");
            }
            Event::Incoming { request, .. } => self.clients[i].accept(now, request).expect("it is there"),
            Event::Opened { channel, .. } if i == 0 => self.channel = Some(channel),
            Event::Readable { channel } => {
                while let Some(packet) = self.clients[i].receive(now, channel) {
                    black_box(packet);
                    self.received += 1;
                }
            }
            _ => {}
        }
    }
}
