//! A client whose relay and partner are one, played by the test: it knows the key, if the test wants, and does anything at all.
//!
//! What a hostile relay can do with honest records, the [`World`](crate::World) does. Here is what only a partner with the right key
//! can: seal what no honest client would.

use bytes::{Bytes, BytesMut};
use phantom_core::client::{Client, ClientConfig, End, Event, Input, Output};
use phantom_core::crypto::exchange::{Confirming, Exchange, Inputs, Secured, Verdict};
use phantom_core::crypto::record::{HEADER, TAG};
use phantom_core::crypto::{EncryptionKey, Role};
use phantom_core::id::{ChannelId, PeerId};
use phantom_core::rng::Rng;
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{
    ClientFrame, CloseCode, FORWARD_HEADER, ForwardHeader, OpenedBy, RelayFrame, VERSION, Welcome,
};

use crate::hostile::kind;

/// The client under test, alone with whoever plays relay and partner.
pub struct Puppet {
    /// The machine under test.
    pub client: Client,
    /// The time.
    pub now: Instant,
    /// What it told its application.
    pub events: Vec<Event>,
    /// What its application has taken.
    pub received: Vec<Bytes>,
    /// Frames it sent to the relay, but FORWARD.
    pub control: Vec<ClientFrame>,
    /// Payloads it sent to its partner.
    pub payloads: Vec<Bytes>,
    /// The code with which it hung up, if it has.
    pub hung_up: Option<CloseCode>,
    /// For the partner's own choices.
    pub rng: Rng,
    /// The channel, as the client knows it.
    pub channel: Option<ChannelId>,
    number: u32,
    inputs: Option<Inputs>,
    prompts: u32,
}

/// The ID the client is given.
pub const CLIENT_ID: &str = "CLIENT";
/// The ID of the partner.
pub const PEER_ID: &str = "PEERPE";

impl Puppet {
    /// A client that has been greeted and given an ID.
    #[must_use]
    pub fn online(config: ClientConfig) -> Self {
        let mut rng = Rng::from_seed(&[0x42; 32]);
        let mut puppet = Self {
            client: Client::new(config, rng.bytes()),
            now: Instant::from_micros(1_000_000),
            events: Vec::new(),
            received: Vec::new(),
            control: Vec::new(),
            payloads: Vec::new(),
            hung_up: None,
            rng,
            channel: None,
            number: 0x100,
            inputs: None,
            prompts: 0,
        };
        puppet.pass(Duration::ZERO);
        puppet.join();
        puppet
    }

    /// The transport comes to stand, and the relay greets.
    pub fn join(&mut self) {
        self.hung_up = None;
        self.input(Input::Connected);
        let challenge = self.rng.bytes();
        self.relay(RelayFrame::Hello { version: VERSION, challenge, work: 0 });
        self.relay(RelayFrame::Welcome(Welcome {
            id: peer_id(CLIENT_ID),
            reclaimed: false,
            owner: [1; 8],
            kid: 1,
            expiry: u64::MAX,
            token_key: [2; 32],
            channels: 64,
            idle_s: 30,
            request_s: 60,
        }));
    }

    /// The partner asks and the client accepts; the partner is the connector.
    pub fn open(&mut self) -> ChannelId {
        self.prompts += 1;
        let nonce_connector = self.rng.bytes();
        let request = self.prompts;
        self.relay(RelayFrame::Incoming { request, source: peer_id(PEER_ID), nonce: nonce_connector });
        let shown = self.events.iter().rev().find_map(|event| match event {
            Event::Incoming { request, .. } => Some(*request),
            _ => None,
        });
        self.client.accept(self.now, shown.expect("the request is shown")).expect("it can be accepted");
        self.drain();
        let nonce_acceptor = self.control.iter().rev().find_map(|frame| match frame {
            ClientFrame::Accept { nonce, .. } => Some(*nonce),
            _ => None,
        });
        self.inputs = Some(Inputs {
            role: Role::Connector,
            version: VERSION,
            id_connector: *peer_id(PEER_ID).as_bytes(),
            id_acceptor: *peer_id(CLIENT_ID).as_bytes(),
            nonce_connector,
            nonce_acceptor: nonce_acceptor.expect("ACCEPT was sent"),
            run: 0,
            caps: 20,
        });
        self.number += 0x100;
        let (by, channel) = (OpenedBy::Acceptance, self.number);
        self.relay(RelayFrame::Opened { by, request, channel, nonce: nonce_connector });
        let opened = self.client.channels().last().expect("the channel is open");
        self.channel = Some(opened);
        opened
    }

    /// What the partner knows of a run.
    #[must_use]
    pub fn inputs(&self, run: u16) -> Inputs {
        Inputs { run, ..self.inputs.expect("a channel is open") }
    }

    /// The partner's share of a run, sent; the exchange goes on with the client's.
    pub fn share(&mut self, run: u16, key: &EncryptionKey) -> Exchange {
        let exchange = Exchange::start(self.inputs(run), key, &mut self.rng);
        self.payload(&share_payload(run, &exchange.share(), &exchange.ad()));
        exchange
    }

    /// The partner takes the client's latest share.
    pub fn finish(&mut self, exchange: Exchange) -> Confirming {
        let share = self.payloads.iter().rev().find(|p| p[0] == kind::SHARE).expect("a share was sent");
        let (y, ad) = share[3..].split_first_chunk::<32>().expect("a whole share");
        exchange.finish(y, ad.try_into().expect("a whole share")).expect("a valid share")
    }

    /// The partner confirms, and takes the client's confirmation.
    pub fn confirm(&mut self, run: u16, confirming: Confirming) -> Verdict {
        let (check, tag) = confirming.confirm();
        self.payload(&[&[kind::CONFIRM][..], &run.to_be_bytes(), &check, &tag].concat());
        self.judge(confirming)
    }

    /// The partner takes the client's confirmation.
    pub fn judge(&self, confirming: Confirming) -> Verdict {
        let sent = self.payloads.iter().rev().find(|p| p[0] == kind::CONFIRM).expect("a CONFIRM was sent");
        let (check, tag) = sent[3..].split_first_chunk::<16>().expect("a whole CONFIRM");
        confirming.judge(check, tag.try_into().expect("a whole CONFIRM"))
    }

    /// A channel with the partner, secured by `key`, which the client has, too; and the partner's side of it.
    pub fn secured(config: ClientConfig, key: &EncryptionKey) -> (Self, Box<Secured>) {
        let config = ClientConfig { key: Some(key.clone()), ..config };
        let mut puppet = Self::online(config);
        let channel = puppet.open();
        let exchange = puppet.share(1, key);
        let confirming = puppet.finish(exchange);
        let Verdict::Secured(session) = puppet.confirm(1, confirming) else { panic!("the keys agree") };
        assert!(puppet.client.is_secured(channel));
        (puppet, session)
    }

    /// A frame of the relay's comes.
    pub fn relay(&mut self, frame: RelayFrame) {
        self.input(Input::Received(BytesMut::from(&frame.encode()[..])));
    }

    /// A payload of the partner's comes.
    pub fn payload(&mut self, payload: &[u8]) {
        let header = ForwardHeader { channel: self.number }.to_bytes();
        self.input(Input::Received(BytesMut::from(&[&header, payload].concat()[..])));
    }

    /// A DATA record of the partner's comes.
    pub fn data(&mut self, session: &mut Secured, plaintext: &[u8]) {
        let record = seal(|record| session.data_tx.seal(record).map(|_| ()), plaintext);
        self.payload(&record);
    }

    /// A CTRL record of the partner's comes.
    pub fn ctrl(&mut self, session: &mut Secured, plaintext: &[u8]) {
        let record = seal(|record| session.ctrl_tx.seal(record).map(|_| ()), plaintext);
        self.payload(&record);
    }

    /// The relay ends the channel, and finds the other end again: by another number.
    pub fn reattach(&mut self) {
        self.detach();
        self.attach();
    }

    /// The relay ends the channel.
    pub fn detach(&mut self) {
        let (channel, reason) = (self.number, phantom_core::wire::Ended::Detached);
        self.relay(RelayFrame::Closed { channel, reason });
    }

    /// The relay has found the other end.
    ///
    /// # Panics
    /// The client has not asked.
    pub fn attach(&mut self) {
        let rendezvous = self.rejoins().last().copied().expect("a REJOIN was sent");
        self.number += 0x100;
        self.relay(RelayFrame::Attached { rendezvous, channel: self.number });
    }

    /// The rendezvous values the client has asked by, in order.
    #[must_use]
    pub fn rejoins(&self) -> Vec<[u8; 16]> {
        let value = |frame: &ClientFrame| match frame {
            ClientFrame::Rejoin { rendezvous, .. } => Some(*rendezvous),
            _ => None,
        };
        self.control.iter().filter_map(value).collect()
    }

    /// How many payloads of a kind the client has sent.
    #[must_use]
    pub fn count(&self, kind: u8) -> usize {
        self.payloads.iter().filter(|payload| payload[0] == kind).count()
    }

    /// The STATEs that the client has sent and the partner can open, in order, without their first byte.
    pub fn states(&mut self, session: &mut Secured) -> Vec<State> {
        let mut states = Vec::new();
        for payload in &self.payloads {
            let mut record = payload.to_vec();
            if record[0] == kind::CTRL
                && let Ok(body) = session.ctrl_rx.open(&mut record)
                && body[0] == 1
            {
                states.push(State::decode(body));
            }
        }
        states
    }

    /// How the channel ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Closed { end, .. } => Some(*end),
            _ => None,
        })
    }

    /// Whether it has told of an event like this.
    pub fn heard(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    /// Time passes; the relay answers pings.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        while let Some(deadline) = self.client.poll_timeout().filter(|deadline| deadline.at <= end) {
            self.now = self.now.max(deadline.at);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    /// Something happens to the client.
    pub fn input(&mut self, input: Input) {
        self.client.handle(self.now, input);
        self.drain();
    }

    /// Takes everything the client wants done.
    pub fn drain(&mut self) {
        loop {
            while let Some(output) = self.client.poll_output() {
                match output {
                    Output::Transmit(frame) if ForwardHeader::peek(&frame).is_some() => {
                        self.payloads.push(frame.slice(FORWARD_HEADER..));
                    }
                    Output::Transmit(frame) => self.control_frame(&frame),
                    Output::Event(event) => self.events.push(event),
                    Output::HangUp(code) => self.hung_up = Some(code),
                    Output::Dial { .. } => {}
                }
            }
            let Some(packet) = self.channel.and_then(|channel| self.client.receive(self.now, channel)) else {
                break;
            };
            self.received.push(packet);
        }
    }

    fn control_frame(&mut self, frame: &[u8]) {
        let frame = ClientFrame::decode(frame).expect("a client sends frames");
        if let ClientFrame::Ping { token } = frame {
            let pong = RelayFrame::Pong { token }.encode();
            self.client.handle(self.now, Input::Received(BytesMut::from(&pong[..])));
        }
        self.control.push(frame);
    }
}

/// A STATE, as its receiver reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The next DATA record its sender will open.
    pub recv_next: u64,
    /// The next DATA record its sender will seal.
    pub send_next: u64,
    /// Bytes its sender takes.
    pub window: u32,
    /// Its sender wants one in return.
    pub ask: bool,
    /// Its sender wants everything from `recv_next` on again.
    pub retransmit: bool,
}

impl State {
    /// Nothing received, nothing sent, a window of 1 MiB.
    pub const FRESH: Self =
        Self { recv_next: 0, send_next: 0, window: 1 << 20, ask: false, retransmit: false };

    /// With the first byte of a CTRL record's plaintext.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let flags = u8::from(self.ask) | u8::from(self.retransmit) << 1;
        let (recv, send) = (self.recv_next.to_be_bytes(), self.send_next.to_be_bytes());
        [&[1][..], &recv, &send, &self.window.to_be_bytes(), &[flags]].concat()
    }

    fn decode(body: &[u8]) -> Self {
        let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
        Self {
            recv_next: number(1),
            send_next: number(9),
            window: u32::from_be_bytes(body[17..21].try_into().expect("four bytes")),
            ask: body[21] & 1 != 0,
            retransmit: body[21] & 2 != 0,
        }
    }
}

/// A sealed record.
pub fn seal<E: std::fmt::Debug>(seal: impl FnOnce(&mut [u8]) -> Result<(), E>, plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0; HEADER + plaintext.len() + TAG];
    record[HEADER..][..plaintext.len()].copy_from_slice(plaintext);
    seal(&mut record).expect("it can be sealed");
    record
}

/// A SHARE.
#[must_use]
pub fn share_payload(run: u16, share: &[u8; 32], ad: &[u8; 24]) -> Vec<u8> {
    [&[kind::SHARE][..], &run.to_be_bytes(), share, ad].concat()
}

fn peer_id(text: &str) -> PeerId {
    text.parse().expect("six letters")
}
