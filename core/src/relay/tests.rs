//! The relay machine, driven frame by frame. After every single call the [`World`] checks the contract of the machine and the
//! [`invariants`] of its tables.

mod blind;
mod budgets;
mod channels;
mod contract;
mod invariants;
mod model;
mod pairing;
mod random;
mod reclaim;
mod registration;
mod rejoin;
mod states;

use alloc::vec::Vec;

use super::*;
use crate::wire::{Answer, Ended, OpenedBy};

const SEED: [u8; 32] = [42; 32];
const MICRO: Duration = Duration::from_micros(1);

fn secret(kid: u8) -> RelaySecret {
    RelaySecret::new(kid, [kid; 32])
}

/// Whoever asks may ask for ever.
fn without_end(limits: &mut RelayLimits) {
    let rate = Rate::new(1, Duration::ZERO);
    (limits.connect_rate, limits.connect_source_rate) = (rate, rate);
    (limits.pair_rate, limits.prompt_rate) = (rate, rate);
}

fn address(number: u32) -> Source {
    Source::Address(core::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into())
}

/// A relay, a clock, and all that its clients have been sent.
struct World {
    relay: Relay,
    now: Instant,
    sent: BTreeMap<ConnId, Vec<RelayFrame>>,
    closed: BTreeMap<ConnId, CloseCode>,
    unblocked: Vec<ConnId>,
    /// Everything that came out, in order.
    transcript: Vec<u8>,
    /// Frames that were to wait behind data.
    behind: usize,
    /// Addresses given to connections.
    addresses: u32,
    /// Every frame that was sent, and when.
    log: Vec<(Instant, ConnId, ControlFrame)>,
}

/// A connection that has registered.
#[derive(Clone, Copy)]
struct Client {
    conn: ConnId,
    id: PeerId,
    welcome: Welcome,
}

impl World {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(adjust: impl FnOnce(&mut RelayConfig)) -> Self {
        let mut config = RelayConfig::new(secret(1), 1_800_000_000);
        adjust(&mut config);
        Self {
            relay: Relay::new(config, SEED),
            now: Instant::ZERO + Duration::from_secs(1000),
            sent: BTreeMap::new(),
            behind: 0,
            addresses: 0,
            log: Vec::new(),
            closed: BTreeMap::new(),
            unblocked: Vec::new(),
            transcript: Vec::new(),
        }
    }

    fn try_open(&mut self, source: Source) -> Result<ConnId, CloseCode> {
        let opened = self.relay.open(self.now, source);
        self.settle();
        opened
    }

    /// A connection from an address of its own.
    fn open(&mut self) -> ConnId {
        self.addresses += 1;
        self.open_from(address(self.addresses))
    }

    fn open_from(&mut self, source: Source) -> ConnId {
        self.try_open(source).expect("there is room")
    }

    /// A connection that has been greeted, and its challenge.
    fn greeted(&mut self) -> (ConnId, [u8; 16]) {
        let conn = self.open();
        self.greeting(conn)
    }

    fn greeting(&mut self, conn: ConnId) -> (ConnId, [u8; 16]) {
        match self.take(conn)[..] {
            [RelayFrame::Hello { version: VERSION, challenge, work: 0 }] => (conn, challenge),
            ref other => panic!("HELLO comes first and alone, not {other:?}"),
        }
    }

    /// A client with one channel.
    fn join(&mut self) -> Client {
        self.join_with(1)
    }

    fn join_with(&mut self, channels: u8) -> Client {
        let conn = self.open();
        self.join_over(conn, channels)
    }

    /// A client with one channel, from there.
    fn join_from(&mut self, source: Source) -> Client {
        let conn = self.open_from(source);
        self.join_over(conn, 1)
    }

    fn join_over(&mut self, conn: ConnId, channels: u8) -> Client {
        self.greeting(conn);
        self.send(conn, ClientFrame::Register { version: VERSION, channels });
        self.welcomed(conn)
    }

    /// What WELCOME, and nothing else, has just said to this connection.
    fn welcomed(&mut self, conn: ConnId) -> Client {
        match self.take(conn)[..] {
            [RelayFrame::Welcome(welcome)] => Client { conn, id: welcome.id, welcome },
            ref other => panic!("expected one WELCOME, not {other:?}"),
        }
    }

    fn raw(&mut self, from: ConnId, frame: &mut [u8]) -> Handled {
        let handled = self.relay.handle(self.now, Input::Frame { from, frame });
        self.settle();
        handled
    }

    /// Tells the relay what asks for no forwarding.
    fn tell(&mut self, input: Input<'_>) {
        assert_eq!(self.relay.handle(self.now, input), Handled::Done);
        self.settle();
    }

    /// Sends bytes that are not to be forwarded.
    fn send_bytes(&mut self, from: ConnId, bytes: &[u8]) {
        self.tell(Input::Frame { from, frame: &mut bytes.to_vec() });
    }

    fn send(&mut self, from: ConnId, frame: ClientFrame) {
        self.send_bytes(from, &frame.encode());
    }

    fn connect(&mut self, from: Client, request: u32, target: PeerId) {
        self.send(from.conn, ClientFrame::Connect { request, target, nonce: [1; 16] });
    }

    fn accept(&mut self, from: Client, request: u32) {
        self.send(from.conn, ClientFrame::Accept { request, nonce: [2; 16] });
    }

    fn disconnect(&mut self, conn: ConnId) {
        self.tell(Input::Closed { conn });
        self.take(conn);
    }

    /// Connects two clients; returns each one's number of the channel.
    fn pair(&mut self, a: Client, b: Client) -> (u32, u32) {
        let number = self.relay.peer(a.conn).unwrap().last_request + 1;
        self.connect(a, number, b.id);
        let prompt = match self.take(b.conn)[..] {
            [RelayFrame::Incoming { request, .. }] => request,
            ref other => panic!("expected INCOMING, not {other:?}"),
        };
        self.accept(b, prompt);
        let (a_sent, b_sent) = (self.take(a.conn), self.take(b.conn));
        match (&a_sent[..], &b_sent[..]) {
            ([.., RelayFrame::Opened { channel: a, .. }], &[RelayFrame::Opened { channel: b, .. }]) => {
                (*a, b)
            }
            other => panic!("expected OPENED at both ends, not {other:?}"),
        }
    }

    /// Sends a payload into a channel; returns who gets it and on which number.
    fn forward(&mut self, from: ConnId, channel: u32) -> Option<(ConnId, u32)> {
        let mut frame = ForwardHeader { channel }.to_bytes().to_vec();
        frame.extend_from_slice(b"payload");
        match self.raw(from, &mut frame) {
            Handled::Forward(to) => {
                assert_eq!(&frame[5..], b"payload");
                Some((to, ForwardHeader::peek(&frame).unwrap().channel))
            }
            Handled::Done => None,
        }
    }

    /// All frames sent to this connection since the last look.
    fn take(&mut self, conn: ConnId) -> Vec<RelayFrame> {
        self.sent.remove(&conn).unwrap_or_default()
    }

    #[track_caller]
    fn expect(&mut self, conn: ConnId, frames: &[RelayFrame]) {
        assert_eq!(self.take(conn), frames);
    }

    #[track_caller]
    fn expect_answer(&mut self, conn: ConnId, request: u32, answer: Answer) {
        self.expect(conn, &[RelayFrame::Answer { request, answer }]);
    }

    #[track_caller]
    fn expect_ended(&mut self, conn: ConnId, request: u32, answer: Answer) {
        self.expect(conn, &[RelayFrame::Ended { request, answer }]);
    }

    #[track_caller]
    fn expect_closed(&mut self, conn: ConnId, channel: u32, reason: Ended) {
        self.expect(conn, &[RelayFrame::Closed { channel, reason }]);
    }

    /// Nobody has been sent anything that has not been looked at.
    #[track_caller]
    fn expect_silence(&self) {
        assert!(self.sent.is_empty(), "unexpected: {:?}", self.sent);
    }

    fn code(&self, conn: ConnId) -> Option<CloseCode> {
        self.closed.get(&conn).copied()
    }

    /// Lets time pass, stopping at every deadline as an embedder does.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.relay.poll_timeout().filter(|deadline| deadline.at <= end) {
            self.now = self.now.max(deadline.at);
            self.timeout();
        }
        self.now = end;
        self.timeout();
    }

    fn timeout(&mut self) {
        self.tell(Input::Timeout);
        let next = self.relay.poll_timeout();
        assert!(next.is_none_or(|deadline| deadline.at > self.now), "time {:?} was handled", self.now);
    }

    /// Lets time pass while these clients stay alive.
    fn pass_alive(&mut self, time: Duration, alive: &[Client]) {
        let end = self.now + time;
        while self.now < end {
            self.pass(end.since(self.now).min(Duration::from_secs(15)));
            for client in alive {
                self.send(client.conn, ClientFrame::Ping { token: 0 });
                let sent = self.sent.entry(client.conn).or_default();
                assert_eq!(sent.pop(), Some(RelayFrame::Pong { token: 0 }));
                if sent.is_empty() {
                    self.sent.remove(&client.conn);
                }
            }
        }
    }

    /// Takes all output and notes it.
    fn settle(&mut self) {
        loop {
            let due = self.relay.poll_timeout();
            let Some(output) = self.relay.poll_output() else { break };
            assert_eq!(
                due.map(|deadline| deadline.at),
                Some(self.relay.now),
                "while output is queued, it is time"
            );
            match output {
                Output::Transmit { to, frame, place } => {
                    assert!(
                        !self.closed.contains_key(&to),
                        "nothing is sent to a connection that was closed"
                    );
                    self.note(0, to, &frame);
                    self.log.push((self.now, to, frame));
                    let frame =
                        RelayFrame::decode(&frame).expect("the relay sends only what clients can read");
                    let ends_a_channel =
                        matches!(frame, RelayFrame::Closed { reason, .. } if reason != Ended::NotConnected);
                    let behind = matches!(place, Place::Behind);
                    assert!(!behind || ends_a_channel, "{frame:?} must not wait for data");
                    self.behind += usize::from(behind);
                    self.sent.entry(to).or_default().push(frame);
                }
                Output::Close { conn, code } => {
                    self.note(1, conn, &code.to_wire().to_be_bytes());
                    assert_eq!(self.closed.insert(conn, code), None, "a connection is closed once");
                }
                Output::Unblock { from } => {
                    self.note(2, from, &[]);
                    self.unblocked.push(from);
                }
            }
        }
        invariants::check(&self.relay);
    }

    fn note(&mut self, kind: u8, conn: ConnId, bytes: &[u8]) {
        self.transcript.push(kind);
        self.transcript.extend_from_slice(&u32::try_from(conn.index()).unwrap().to_be_bytes());
        self.transcript.extend_from_slice(bytes);
    }
}
