//! A relay alone, spoken to frame by frame: for what no honest client sends.

use phantom_core::id::{ConnId, PeerId};
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelayLimits, RelaySecret, Source};
use phantom_core::time::Instant;
use phantom_core::wire::{ClientFrame, RelayFrame, VERSION};

/// A relay and the connections that a test makes by hand. The time stands still unless the test moves it.
pub struct Bare {
    /// The machine under test.
    pub relay: Relay,
    /// The time.
    pub now: Instant,
    addresses: u32,
}

impl Default for Bare {
    fn default() -> Self {
        Self::new()
    }
}

impl Bare {
    /// A relay without connections.
    #[must_use]
    pub fn new() -> Self {
        Self::with(RelayLimits::default())
    }

    /// A relay with these limits.
    #[must_use]
    pub fn with(limits: RelayLimits) -> Self {
        let mut config = RelayConfig::new(RelaySecret::new(1, [3; 32]), 1_800_000_000);
        config.limits = limits;
        Self { relay: Relay::new(config, [4; 32]), now: Instant::ZERO, addresses: 0x0a00_0000 }
    }

    /// A connection from an address of its own, with an ID and room for four channels.
    pub fn register(&mut self) -> (ConnId, PeerId) {
        self.addresses += 1;
        let source = Source::Address(std::net::Ipv4Addr::from_bits(self.addresses).into());
        let conn = self.relay.open(self.now, source).expect("there is room");
        self.say(conn, ClientFrame::Register { version: VERSION, channels: 4 });
        let id = self.outputs().into_iter().find_map(|(to, frame)| match frame {
            Some(RelayFrame::Welcome(welcome)) if to == conn => Some(welcome.id),
            _ => None,
        });
        (conn, id.expect("it is welcome"))
    }

    /// A client sends a frame that is not to be forwarded.
    pub fn say(&mut self, from: ConnId, frame: ClientFrame) {
        let mut bytes = frame.encode().to_vec();
        assert_eq!(self.raw(from, &mut bytes), Handled::Done);
    }

    /// A client sends any bytes.
    pub fn raw(&mut self, from: ConnId, frame: &mut [u8]) -> Handled {
        self.relay.handle(self.now, relay::Input::Frame { from, frame })
    }

    /// What it wants done: frames, and none for a close.
    pub fn outputs(&mut self) -> Vec<(ConnId, Option<RelayFrame>)> {
        std::iter::from_fn(|| self.relay.poll_output())
            .filter_map(|output| match output {
                relay::Output::Transmit { to, frame, .. } => Some((to, RelayFrame::decode(&frame).ok())),
                relay::Output::Close { conn, .. } => Some((conn, None)),
                relay::Output::Unblock { .. } => None,
            })
            .collect()
    }

    /// A channel from `a` to `b`: each side's number.
    pub fn channel(&mut self, a: ConnId, b: (ConnId, PeerId), request: u32) -> (u32, u32) {
        self.say(a, ClientFrame::Connect { request, target: b.1, nonce: [1; 16] });
        let prompt = self.outputs().into_iter().find_map(|(_, frame)| match frame {
            Some(RelayFrame::Incoming { request, .. }) => Some(request),
            _ => None,
        });
        self.say(b.0, ClientFrame::Accept { request: prompt.expect("the request is shown"), nonce: [2; 16] });
        let opened = self.outputs();
        let number = |conn| {
            opened.iter().find_map(|(to, frame)| match frame {
                Some(RelayFrame::Opened { channel, .. }) if *to == conn => Some(*channel),
                _ => None,
            })
        };
        (number(a).expect("open"), number(b.0).expect("open"))
    }
}
