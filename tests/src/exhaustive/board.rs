//! The machines, what is under way between them, and one step at a time.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::BytesMut;
use phantom_core::client::{self, Client, ClientConfig, ClientLimits, Event};
use phantom_core::id::ConnId;
use phantom_core::relay::{self, Handled, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{CloseCode, RelayFrame};

use super::court::{Court, Ended};
use super::{Bounds, Broken};

/// One step. Clients are named by their number, links by the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The transport that a client wanted stands.
    Dial(usize),
    /// The relay hears the next thing of a link.
    ToRelay(usize),
    /// A client hears the next thing of a link.
    ToClient(usize),
    /// Nothing happens until the next deadline.
    Wait,
    /// The link of a client breaks, and what was under way on it is lost.
    Cut(usize),
    /// The relay is started anew.
    Restart,
    /// The first client asks the second.
    Ask(usize, usize),
    /// The first client accepts the request of the second.
    Accept(usize, usize),
    /// The first client declines the request of the second.
    Decline(usize, usize),
    /// The first client takes its request to the second back.
    Withdraw(usize, usize),
    /// The first client sends a packet to the second.
    Send(usize, usize),
    /// The first client ends its channel with the second in good order.
    End(usize, usize),
}

/// The machines and what is under way.
pub struct Board {
    bounds: Bounds,
    now: Instant,
    relay: Relay,
    relay_past: Past,
    seats: Vec<Seat>,
    wires: Vec<Wire>,
    court: Court,
    cuts: u8,
    restarts: u8,
    waits: u8,
}

struct Seat {
    client: Client,
    past: Past,
    /// Its link, if it holds one for standing.
    wire: Option<usize>,
    dialing: bool,
}

/// A link, from its making to the moment when both ends have noticed its end.
struct Wire {
    seat: usize,
    conn: ConnId,
    /// Whether the relay holds it for standing.
    open: bool,
    up: VecDeque<Message>,
    down: VecDeque<Message>,
}

#[derive(Clone, Hash)]
enum Message {
    Frame(Vec<u8>),
    /// The link is gone; with the code the relay closed it, if it did.
    Gone(Option<u16>),
}

/// All that a machine has ever heard, in a digest.
#[derive(Clone, Copy, Default, Hash)]
struct Past([u64; 2]);

impl Past {
    fn hear(&mut self, what: impl Hash) {
        self.0 = digest(&(self.0, what));
    }
}

fn digest(of: &impl Hash) -> [u64; 2] {
    [0_u8, 1].map(|half| {
        let mut hasher = DefaultHasher::new();
        (half, of).hash(&mut hasher);
        hasher.finish()
    })
}

/// How long everything may take to come to rest. No deadline of these clients and this relay is longer.
const REST: Duration = Duration::from_secs(200);

impl Board {
    /// The state after these steps.
    ///
    /// # Errors
    /// Something is broken on the way.
    pub fn at(bounds: &Bounds, path: &[Move]) -> Result<Self, Broken> {
        let mut board = Self::new(bounds)?;
        for &step in path {
            board.play(step)?;
        }
        Ok(board)
    }

    /// Everybody is online, and who shall have a channel has one.
    fn new(bounds: &Bounds) -> Result<Self, Broken> {
        let seat = |number: usize| {
            let mut limits = ClientLimits::default();
            limits.channels_max = bounds.channels;
            limits.patience = Duration::from_secs(60);
            limits.patience_unsecured = Duration::from_secs(45);
            limits.secure_timeout = Duration::from_secs(90);
            let key = bounds.keyed.then(|| crate::key("the same"));
            let config = ClientConfig { limits, key, ..ClientConfig::default() };
            let client = Client::new(config, [number as u8 + 1; 32]);
            Seat { client, past: Past::default(), wire: None, dialing: false }
        };
        let mut board = Self {
            bounds: bounds.clone(),
            now: Instant::from_micros(1_000_000),
            relay: new_relay(0),
            relay_past: Past::default(),
            seats: (0..bounds.clients).map(seat).collect(),
            wires: Vec::new(),
            court: Court::new(bounds.clients),
            cuts: 0,
            restarts: 0,
            waits: 0,
        };
        board.pass_time()?;
        board.deliver_all()?;
        for &(a, b) in bounds.secured {
            board.play(Move::Ask(a, b))?;
            board.deliver_all()?;
            board.play(Move::Accept(b, a))?;
            board.deliver_all()?;
        }
        board.court.forget_what_was_done();
        Ok(board)
    }

    /// By which a state is recognised.
    #[must_use]
    pub fn fingerprint(&self) -> [u64; 2] {
        let seats: Vec<_> = self.seats.iter().map(|seat| (seat.past, seat.dialing, seat.wire)).collect();
        let wires: Vec<_> = self.wires.iter().map(|w| (w.seat, w.open, &w.up, &w.down)).collect();
        let spent = (self.cuts, self.restarts, self.waits);
        digest(&(self.relay_past, seats, wires, spent, self.now.as_micros()))
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.deliveries().is_empty()
    }

    fn deliveries(&self) -> Vec<Move> {
        let dials = (0..self.seats.len()).filter(|&seat| self.seats[seat].dialing).map(Move::Dial);
        let wires = self.wires.iter().enumerate().flat_map(|(number, wire)| {
            let up = (!wire.up.is_empty()).then_some(Move::ToRelay(number));
            let down = (!wire.down.is_empty()).then_some(Move::ToClient(number));
            [up, down].into_iter().flatten()
        });
        dials.chain(wires).collect()
    }

    /// Everything that can happen next, within the bounds.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        let mut moves = self.deliveries();
        if moves.is_empty() && self.waits < self.bounds.waits {
            moves.push(Move::Wait);
        }
        if self.restarts < self.bounds.restarts {
            moves.push(Move::Restart);
        }
        for seat in 0..self.seats.len() {
            if self.cuts < self.bounds.cuts && self.seats[seat].wire.is_some_and(|wire| self.wires[wire].open)
            {
                moves.push(Move::Cut(seat));
            }
        }
        self.court.users_moves(&self.bounds, |seat| self.seats[seat].client.id(), &mut moves);
        moves
    }

    /// One step.
    ///
    /// # Errors
    /// Something is broken by it.
    pub fn play(&mut self, step: Move) -> Result<(), Broken> {
        match step {
            Move::Dial(seat) => self.dial(seat)?,
            Move::ToRelay(wire) => self.arrive_at_relay(wire)?,
            Move::ToClient(wire) => self.arrive_at_client(wire)?,
            Move::Wait => {
                self.waits += 1;
                self.pass_time()?;
            }
            Move::Cut(seat) => {
                self.cuts += 1;
                self.break_link(seat);
            }
            Move::Restart => self.restart(),
            Move::Ask(seat, ..)
            | Move::Accept(seat, ..)
            | Move::Decline(seat, ..)
            | Move::Withdraw(seat, ..)
            | Move::Send(seat, ..)
            | Move::End(seat, ..) => {
                let now = self.now;
                let Seat { client, past, .. } = &mut self.seats[seat];
                past.hear((now.as_micros(), format!("{step:?}")));
                self.court.act(now, step, client)?;
                self.drain(seat)?;
            }
        }
        self.court.check(self.seats.iter().map(|seat| &seat.client))
    }

    // The relay.

    fn dial(&mut self, seat: usize) -> Result<(), Broken> {
        self.seats[seat].dialing = false;
        self.relay_past.hear((self.now.as_micros(), "open", seat));
        let source = Source::Address([10, 0, 0, seat as u8].into());
        let conn = self.relay.open(self.now, source).map_err(|code| Broken(format!("refused: {code:?}")))?;
        self.wires.push(Wire { seat, conn, open: true, up: VecDeque::new(), down: VecDeque::new() });
        self.seats[seat].wire = Some(self.wires.len() - 1);
        self.court.connected(conn, seat);
        self.drain_relay()?;
        self.tell(seat, client::Input::Connected, "connected")
    }

    fn arrive_at_relay(&mut self, wire: usize) -> Result<(), Broken> {
        let Wire { conn, open, .. } = self.wires[wire];
        let Some(message) = self.wires[wire].up.pop_front().filter(|_| open) else { return Ok(()) };
        self.relay_past.hear((self.now.as_micros(), wire, &message));
        match message {
            Message::Gone(_) => {
                self.wires[wire].open = false;
                let _ = self.relay.handle(self.now, relay::Input::Closed { conn });
                self.court.disconnected(conn);
            }
            Message::Frame(mut frame) => {
                let before = frame.clone();
                let handled =
                    self.relay.handle(self.now, relay::Input::Frame { from: conn, frame: &mut frame });
                self.court.at_relay(conn, &before, handled, &frame)?;
                if let Handled::Forward(to) = handled {
                    self.send_down(to, Message::Frame(frame));
                }
            }
        }
        self.drain_relay()
    }

    fn drain_relay(&mut self) -> Result<(), Broken> {
        let mut said = Vec::new();
        while let Some(output) = self.relay.poll_output() {
            match output {
                relay::Output::Transmit { to, frame, .. } => {
                    let read = RelayFrame::decode(&frame);
                    said.push((to, read.map_err(|error| Broken(format!("the relay says {error:?}")))?));
                    self.send_down(to, Message::Frame(frame.to_vec()));
                }
                relay::Output::Close { conn, code } => {
                    self.send_down(conn, Message::Gone(Some(code.to_wire())));
                    if let Some(wire) = self.wires.iter_mut().find(|wire| wire.open && wire.conn == conn) {
                        wire.open = false;
                        wire.up.clear();
                    }
                    self.court.disconnected(conn);
                }
                relay::Output::Unblock { .. } => {}
            }
        }
        self.court.said(&said)
    }

    /// Puts a message on its way to whoever still holds the link.
    fn send_down(&mut self, to: ConnId, message: Message) {
        let Some(number) = self.wires.iter().position(|wire| wire.open && wire.conn == to) else { return };
        let wire = &mut self.wires[number];
        if self.seats[wire.seat].wire == Some(number) {
            wire.down.push_back(message);
        }
    }

    fn break_link(&mut self, seat: usize) {
        let Some(number) = self.seats[seat].wire else { return };
        let wire = &mut self.wires[number];
        wire.up.clear();
        wire.down.clear();
        if wire.open {
            wire.up.push_back(Message::Gone(None));
        }
        wire.down.push_back(Message::Gone(None));
    }

    fn restart(&mut self) {
        self.restarts += 1;
        self.relay = new_relay(self.restarts);
        self.relay_past = Past::default();
        self.relay_past.hear(self.restarts);
        self.court.restarted();
        for seat in 0..self.seats.len() {
            self.break_link(seat);
        }
        for wire in &mut self.wires {
            wire.open = false;
            wire.up.clear();
        }
    }

    // A client.

    fn arrive_at_client(&mut self, number: usize) -> Result<(), Broken> {
        let wire = &mut self.wires[number];
        let (seat, conn) = (wire.seat, wire.conn);
        let Some(message) = wire.down.pop_front() else { return Ok(()) };
        match &message {
            Message::Frame(frame) => {
                self.court.hears(seat, conn, frame);
                self.tell(seat, client::Input::Received(BytesMut::from(&frame[..])), &message)
            }
            Message::Gone(code) => {
                self.seats[seat].wire = None;
                let code = code.and_then(CloseCode::from_wire);
                self.tell(seat, client::Input::Disconnected { code }, &message)
            }
        }
    }

    fn tell(&mut self, seat: usize, input: client::Input, what: impl Hash) -> Result<(), Broken> {
        let Seat { client, past, .. } = &mut self.seats[seat];
        past.hear((self.now.as_micros(), what));
        client.handle(self.now, input);
        self.drain(seat)
    }

    fn drain(&mut self, seat: usize) -> Result<(), Broken> {
        while let Some(output) = self.seats[seat].client.poll_output() {
            match output {
                client::Output::Dial { .. } => self.seats[seat].dialing = true,
                client::Output::Transmit(frame) => {
                    self.court.says(seat, &frame)?;
                    if let Some(wire) = self.seats[seat].wire.map(|number| &mut self.wires[number])
                        && wire.open
                        && !wire.up.iter().any(|message| matches!(message, Message::Gone(_)))
                    {
                        wire.up.push_back(Message::Frame(frame.to_vec()));
                    }
                }
                client::Output::HangUp(code) => {
                    return Err(Broken(format!("client {seat} hangs up with {code:?}")));
                }
                client::Output::Event(event) => {
                    let client = &mut self.seats[seat].client;
                    self.court.told(self.now, seat, event, client)?;
                    if let Event::Offline { .. } = event {
                        self.seats[seat].dialing = false;
                    }
                }
            }
        }
        Ok(())
    }

    // Time.

    /// Nothing happens until the next deadline of any machine; then it is told.
    fn pass_time(&mut self) -> Result<(), Broken> {
        let clients = self.seats.iter().filter_map(|seat| seat.client.poll_timeout());
        let Some(next) = clients.chain(self.relay.poll_timeout()).map(|deadline| deadline.at).min() else {
            return Err(Broken("nobody waits for anything".into()));
        };
        self.now = self.now.max(next);
        let due = |deadline: Option<phantom_core::Deadline>, now| deadline.is_some_and(|d| d.at <= now);
        if due(self.relay.poll_timeout(), self.now) {
            self.relay_past.hear((self.now.as_micros(), "time"));
            let _ = self.relay.handle(self.now, relay::Input::Timeout);
            self.drain_relay()?;
        }
        for seat in 0..self.seats.len() {
            if due(self.seats[seat].client.poll_timeout(), self.now) {
                self.tell(seat, client::Input::Timeout, "time")?;
            }
            if due(self.seats[seat].client.poll_timeout(), self.now) {
                return Err(Broken(format!("the deadline of client {seat} does not move on")));
            }
        }
        if due(self.relay.poll_timeout(), self.now) {
            return Err(Broken("the deadline of the relay does not move on".into()));
        }
        Ok(())
    }

    fn deliver_all(&mut self) -> Result<(), Broken> {
        while let Some(&step) = self.deliveries().first() {
            self.play(step)?;
        }
        Ok(())
    }

    /// Runs on without acts and faults until nobody waits for anything that a deadline must end, then tries whether what is left is
    /// of use.
    ///
    /// # Errors
    /// It does not come to rest, or not rightly.
    pub fn come_to_rest(&mut self) -> Result<Ended, Broken> {
        let end = self.now + REST;
        self.deliver_all()?;
        while let Err(why) = self.is_at_rest() {
            if self.now >= end {
                return Err(Broken(format!("no rest: {why}")));
            }
            self.pass_time()?;
            self.deliver_all()?;
        }
        self.court.ends_agree()?;
        for (seat, with) in self.court.secured() {
            self.play(Move::Send(seat, with))?;
        }
        self.deliver_all()?;
        let soon = self.now + Duration::from_secs(5);
        while self.now < soon && self.court.missing().is_some() {
            self.pass_time()?;
            self.deliver_all()?;
        }
        if let Some(missing) = self.court.missing() {
            return Err(Broken(format!("a channel that stands carries nothing: {missing}")));
        }
        self.meet_again()?;
        Ok(self.court.ended())
    }

    fn is_at_rest(&self) -> Result<(), String> {
        match self.seats.iter().position(|seat| seat.client.id().is_none()) {
            Some(seat) => Err(format!("client {seat} is not online")),
            None => self.court.is_at_rest(),
        }
    }

    /// Who has no channel can have one.
    fn meet_again(&mut self) -> Result<(), Broken> {
        for &(a, b) in self.bounds.clone().may_ask {
            if self.court.has_room(a, &self.bounds)
                && self.court.has_room(b, &self.bounds)
                && !self.court.met(a, b)
            {
                self.play(Move::Ask(a, b))?;
                self.deliver_all()?;
                self.play(Move::Accept(b, a))?;
                self.deliver_all()?;
                if !self.court.met(a, b) {
                    return Err(Broken(format!("{a} and {b} do not find together any more")));
                }
            }
        }
        Ok(())
    }
}

fn new_relay(number: u8) -> Relay {
    let mut config = RelayConfig::new(RelaySecret::new(1, [0x5e; 32]), 1_800_000_000);
    // So that an undecided request is the first thing to expire.
    config.limits.request_lifetime = Duration::from_secs(5);
    Relay::new(config, [number + 0x40; 32])
}
