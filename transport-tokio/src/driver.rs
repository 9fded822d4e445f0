//! The one task that owns the machine, the link and the timer.
//!
//! A turn: take commands, take what came over the link, move packets from the outboxes, let time pass, then do what the machine
//! wants until it wants nothing more, and flush once. Every part of a turn is bounded, and after [`ROUNDS`] rounds others
//! have theirs. Nothing here waits but for the whole: commands, link, timer and handles wake the same task.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use phantom_core::client::{
    Batch, Client as Machine, ConnectError, End, Event as News, Fate, Held, Input, Output, Packets,
    RequestError, SendError, SetKeyError, Traffic,
};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::{ChannelId, PeerId, RequestId};
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{Answer, CloseCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::link::{Happened, Link};
use crate::news::News as Board;
use crate::pipe::Pipe;
use crate::socket::Incoming;
use crate::trace::Trace;
use crate::waker::DriverWaker;
use crate::{AskError, Channel, ChannelError, ChannelState, ClientStats, Error, Event};

/// Rounds of one turn.
const ROUNDS: usize = 8;
/// Commands of one round.
const COMMANDS: usize = 64;
/// Messages of one round.
const MESSAGES: usize = 32;

/// What the handles want. Data takes another way: see [`Pipe`].
pub(crate) enum Command {
    Ask { peer: PeerId, reply: Asker },
    Accept { request: RequestId, reply: Asker },
    Decline { request: RequestId },
    Key { reply: oneshot::Sender<EncryptionKey> },
    SetKey { key: EncryptionKey },
    SetChannelKey { channel: ChannelId, key: EncryptionKey, reply: oneshot::Sender<Result<(), SetKeyError>> },
    Unlock { channel: ChannelId, reply: oneshot::Sender<u32> },
    Abort { channel: ChannelId },
    Stats { reply: oneshot::Sender<ClientStats> },
    ChannelStats { channel: ChannelId, reply: oneshot::Sender<(Traffic, Held, Fate)> },
    DialNow,
    Leave { done: Option<oneshot::Sender<()>> },
}

pub(crate) type Asker = oneshot::Sender<Result<Channel, AskError>>;

pub(crate) struct Driver {
    machine: Machine,
    clock: Clock,
    link: Link,
    timer: Pin<Box<Sleep>>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// For the channels to come.
    command_sender: mpsc::UnboundedSender<Command>,
    waker: Arc<DriverWaker>,
    board: Arc<Board>,
    channels: BTreeMap<ChannelId, Lane>,
    /// Who waits for what becomes of a request.
    asking: BTreeMap<RequestId, Asking>,
    /// Who asks again while the relay has yet to confirm that the last request is withdrawn.
    asking_again: Vec<(PeerId, Asker)>,
    /// Requests that were granted, until their channel opens.
    opening: BTreeMap<PeerId, Asker>,
    /// Whoever made the client, until it is online.
    joining: Option<Joining>,
    /// Why the link could not be made, until the machine has drawn its conclusion.
    failure: Option<Error>,
    leaving: Option<Vec<oneshot::Sender<()>>>,
    times_online: u64,
    trace: Trace,
}

/// One channel's way between its pipe and the machine.
struct Lane {
    pipe: Arc<Pipe>,
    /// Taken from the outbox, and not by the machine yet.
    staged: Packets,
    /// Memory for batches on their way from the machine to the inbox; empty between turns.
    scratch: VecDeque<Batch>,
    /// The machine has been told to end it.
    finished: bool,
}

struct Asking {
    asker: Asker,
    /// Whom it asks, if it is an own request, which can be withdrawn.
    of: Option<PeerId>,
    withdrawn: bool,
}

pub(crate) struct Joining {
    pub(crate) reply: oneshot::Sender<Result<(), Error>>,
    /// Relays that could not be reached.
    pub(crate) failed: usize,
}

impl Driver {
    pub(crate) fn new(
        machine: Machine,
        link: Link,
        commands: (mpsc::UnboundedSender<Command>, mpsc::UnboundedReceiver<Command>),
        board: Arc<Board>,
        joined: oneshot::Sender<Result<(), Error>>,
    ) -> Self {
        Self {
            machine,
            clock: Clock::start(),
            link,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            commands: commands.1,
            command_sender: commands.0,
            waker: Arc::default(),
            board,
            channels: BTreeMap::new(),
            asking: BTreeMap::new(),
            asking_again: Vec::new(),
            opening: BTreeMap::new(),
            joining: Some(Joining { reply: joined, failed: 0 }),
            failure: None,
            leaving: None,
            times_online: 0,
            trace: Trace::new(),
        }
    }

    /// Runs the rounds of a turn. Returns whether there is more to do at once.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        self.waker.listen(cx);
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let mut busy = self.take_commands(now, cx);
            busy |= self.take_messages(now, cx);
            self.withdraw_forsaken(now, cx);
            self.serve_handles(now);
            if self.machine.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                self.machine.handle(now, Input::Timeout);
            }
            busy |= self.transmit(now, cx);
            if !busy {
                return false;
            }
        }
        true
    }

    // What the handles want.

    fn take_commands(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        for _ in 0..COMMANDS {
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(command)) => self.on_command(now, command),
                // There is always one sender: this driver's.
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
        true
    }

    fn on_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Ask { peer, reply } => self.ask(now, peer, reply),
            Command::Accept { request, reply } => match self.machine.accept(now, request) {
                Ok(()) => {
                    self.asking.insert(request, Asking { asker: reply, of: None, withdrawn: false });
                }
                Err(error) => drop(reply.send(Err(AskError::Answer(match error {
                    RequestError::AlreadyConnected => Answer::TargetAlreadyConnected,
                    _ => Answer::NotConnected,
                })))),
            },
            // A request that is over needs no decision.
            Command::Decline { request } => drop(self.machine.cancel(now, request)),
            Command::Key { reply } => drop(reply.send(self.machine.encryption_key(now))),
            Command::SetKey { key } => {
                for lane in self.channels.values() {
                    lane.pipe.on_remedy();
                }
                self.machine.set_encryption_key(now, key);
            }
            Command::SetChannelKey { channel, key, reply } => {
                self.remedy(channel);
                let _ = reply.send(self.machine.set_channel_key(now, channel, key));
            }
            Command::Unlock { channel, reply } => {
                self.remedy(channel);
                let _ = reply.send(self.machine.unlock(now, channel).unwrap_or(0));
            }
            // It may be over already.
            Command::Abort { channel } => drop(self.machine.abort(now, channel)),
            Command::Stats { reply } => drop(reply.send(ClientStats {
                round_trip: self.machine.round_trip(),
                reconnects: self.times_online.saturating_sub(1),
                channels: self.channels.len(),
            })),
            Command::ChannelStats { channel, reply } => {
                let traffic = self.machine.traffic(channel).unwrap_or_default();
                let held = self.machine.held(channel).unwrap_or_default();
                let _ = reply.send((traffic, held, self.machine.fate(channel).unwrap_or_default()));
            }
            Command::DialNow => self.machine.dial_now(now),
            Command::Leave { done } => {
                if self.leaving.is_none() {
                    self.machine.leave(now);
                }
                self.leaving.get_or_insert_default().extend(done);
            }
        }
    }

    fn ask(&mut self, now: Instant, peer: PeerId, asker: Asker) {
        match self.machine.connect(now, peer) {
            Ok(request) => {
                self.asking.insert(request, Asking { asker, of: Some(peer), withdrawn: false });
            }
            Err(ConnectError::RequestOpen) if self.is_forsaken(peer) => self.asking_again.push((peer, asker)),
            Err(error) => drop(asker.send(Err(AskError::Connect(error)))),
        }
    }

    /// Whether nobody waits any more for the request to `peer` that is open.
    fn is_forsaken(&self, peer: PeerId) -> bool {
        self.asking.values().any(|asking| asking.of == Some(peer) && asking.asker.is_closed())
    }

    fn remedy(&self, channel: ChannelId) {
        if let Some(lane) = self.channels.get(&channel) {
            lane.pipe.on_remedy();
        }
    }

    /// Withdraws requests whose asker has gone.
    fn withdraw_forsaken(&mut self, now: Instant, cx: &mut Context<'_>) {
        for (&request, asking) in &mut self.asking {
            if asking.of.is_some() && !asking.withdrawn && asking.asker.poll_closed(cx).is_ready() {
                asking.withdrawn = true;
                // It may be over already.
                let _ = self.machine.withdraw(now, request);
            }
        }
    }

    /// Moves packets for the channels whose handles say so.
    fn serve_handles(&mut self, now: Instant) {
        for (&id, lane) in &mut self.channels {
            if lane.pipe.take_dirty() {
                lane.drain_outbox(now, id, &mut self.machine);
                lane.fill_inbox(now, id, &mut self.machine);
            }
        }
    }

    // What comes over the link.

    fn take_messages(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        for _ in 0..MESSAGES {
            let Poll::Ready(happened) = self.link.poll(cx) else { return false };
            let input = match happened {
                Happened::Connected => Input::Connected,
                Happened::DialFailed(error) => {
                    self.failure = Some(error);
                    Input::DialFailed
                }
                Happened::Incoming(Incoming::Frame(frame)) => Input::Received(frame),
                Happened::Incoming(Incoming::Invalid(code)) => Input::Invalid(code),
                Happened::Incoming(Incoming::Closed { code }) => Input::Disconnected { code },
            };
            self.machine.handle(now, input);
        }
        true
    }

    // What the machine wants.

    /// Returns whether there is something to do at once: more could be sent, or a dial must be begun.
    fn transmit(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        self.machine.handle(now, Input::Writable(self.link.room()));
        let mut dialled = false;
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Dial { relay } => {
                    self.link.dial(relay);
                    self.trace.dial(&self.link.relay());
                    dialled = true;
                }
                Output::Transmit(frame) => self.link.feed(&frame),
                Output::HangUp(code) => self.hang_up(code),
                Output::Event(event) => self.on_event(now, event),
            }
        }
        let was_full = self.link.room() == 0;
        let flushed = self.link.poll_flush(cx);
        dialled || (flushed && was_full)
    }

    fn hang_up(&mut self, code: CloseCode) {
        let relay = self.link.relay();
        let failure = match (self.link.hang_up(code), code) {
            (None, _) | (_, CloseCode::Normal) => return,
            (Some(step), CloseCode::Idle) => Error::Timeout { relay, step },
            (Some(_), CloseCode::VersionUnsupported) => Error::Refused { relay, code },
            (Some(_), _) => Error::NotPhantom { relay },
        };
        self.failure = Some(failure);
    }

    fn on_event(&mut self, now: Instant, event: News) {
        self.trace.event(&event, self.failure.as_ref());
        match event {
            News::Online { id, kept } => {
                self.times_online += 1;
                self.board.on_event(Event::Online { id, kept });
                if let Some(joining) = self.joining.take() {
                    let _ = joining.reply.send(Ok(()));
                }
            }
            News::Offline { code, redial_at } => self.on_offline(now, code, redial_at),
            News::RelayRestarting { after_ms } => {
                self.board.on_event(Event::RelayRestarting { after: Duration::from_millis(after_ms.into()) });
            }
            News::Incoming { request, from } => self.board.on_request(request, from),
            News::Answer { request, peer, answer } => self.on_answer(now, request, peer, answer),
            News::Opened { channel: id, peer, role } => {
                // Requests that crossed have become one channel.
                self.board.forget_requests(|_, from| from == peer);
                let pipe = Arc::new(Pipe::new(id, peer, role, Arc::clone(&self.waker)));
                let lane = Lane::new(Arc::clone(&pipe));
                self.channels.insert(id, lane);
                let channel = Channel::new(pipe, self.command_sender.clone());
                if let Some(asker) = self.opening.remove(&peer) {
                    // If nobody waits for it any more, dropping it ends it.
                    let _ = asker.send(Ok(channel));
                }
            }
            News::Closed { channel, end, fate, .. } => {
                if let Some(lane) = self.channels.remove(&channel) {
                    lane.pipe.on_end(end, fate);
                }
            }
            event => self.on_channel_event(now, event),
        }
    }

    fn on_offline(&mut self, now: Instant, code: Option<CloseCode>, redial_at: Option<Instant>) {
        let failure = self.failure.take();
        let Some(joining) = &mut self.joining else {
            let redial_in = redial_at.map(|at| at.since(now));
            return self.board.on_event(Event::Offline { code, error: failure, redial_in });
        };
        joining.failed += 1;
        if joining.failed < self.link.relays() && redial_at.is_some() {
            return;
        }
        let relay = self.link.relay();
        let error = failure.unwrap_or_else(|| match code {
            Some(code) => Error::Refused { relay, code },
            None => Error::Lost { relay },
        });
        if let Some(joining) = self.joining.take() {
            let _ = joining.reply.send(Err(error));
        }
        self.machine.leave(now);
        self.leaving.get_or_insert_default();
    }

    fn on_answer(&mut self, now: Instant, request: RequestId, peer: PeerId, answer: Answer) {
        self.board.on_event(Event::Answer { peer, answer });
        if answer.is_interim() {
            return;
        }
        self.board.forget_requests(|over, _| over == request);
        let Some(Asking { asker, .. }) = self.asking.remove(&request) else { return };
        match answer {
            Answer::Approved | Answer::ConnectionDone => drop(self.opening.insert(peer, asker)),
            _ => drop(asker.send(Err(AskError::Answer(answer)))),
        }
        for (again, asker) in std::mem::take(&mut self.asking_again) {
            self.ask(now, again, asker);
        }
    }

    fn on_channel_event(&mut self, now: Instant, event: News) {
        let (News::Secured { channel }
        | News::KeysDiffer { channel, .. }
        | News::HandshakeAltered { channel }
        | News::PeerSilent { channel }
        | News::Locked { channel, .. }
        | News::KeyRefused { channel }
        | News::Readable { channel }
        | News::Writable { channel }
        | News::Delivered { channel, .. }
        | News::Interrupted { channel, .. }
        | News::Resumed { channel }) = event
        else {
            return;
        };
        let Some(lane) = self.channels.get_mut(&channel) else { return };
        match event {
            News::Readable { .. } => return lane.fill_inbox(now, channel, &mut self.machine),
            News::Writable { .. } => return lane.drain_outbox(now, channel, &mut self.machine),
            _ => {}
        }
        let pipe = &*lane.pipe;
        match event {
            News::Delivered { up_to, .. } => {
                pipe.on_delivered(up_to);
                let held = self.machine.held(channel).unwrap_or_default();
                if held.queued == 0 && held.unacked_records == 0 {
                    pipe.relax();
                    lane.staged.relax();
                }
            }
            News::Secured { .. } => {
                let packet_max = self.machine.packet_max(channel).unwrap_or_default();
                pipe.on_secured(packet_max, self.machine.verifier(channel));
            }
            News::KeysDiffer { guesses_left, .. } => pipe.on_trouble(
                ChannelError::KeysDiffer { guesses_left },
                ChannelState::KeysDiffer { guesses_left },
            ),
            News::HandshakeAltered { .. } => {
                pipe.on_trouble(ChannelError::HandshakeAltered, ChannelState::HandshakeAltered);
            }
            News::PeerSilent { .. } => pipe.on_trouble(ChannelError::PeerSilent, ChannelState::PeerSilent),
            News::Locked { failed, .. } => {
                pipe.on_trouble(ChannelError::Locked { failed }, ChannelState::Locked { failed });
            }
            News::KeyRefused { .. } => pipe.on_state(ChannelState::KeyRefused),
            News::Interrupted { relay_says, .. } => pipe.on_state(ChannelState::Interrupted { relay_says }),
            News::Resumed { .. } => pipe.on_state(ChannelState::Resumed),
            _ => {}
        }
    }

    /// Sets the timer to the machine's deadline. Returns whether it has passed already.
    fn set_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.machine.poll_timeout() else { return false };
        let at = self.clock.tokio(deadline.at);
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        self.timer.as_mut().poll(cx).is_ready()
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut more = this.turn(cx);
        let quiet = this.link.poll_goodbye(cx).is_ready();
        if this.leaving.is_some() && quiet && !more {
            return Poll::Ready(());
        }
        more |= this.set_timer(cx);
        if more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Whatever ends the driver, nobody waits for it in vain.
impl Drop for Driver {
    fn drop(&mut self) {
        for (&id, lane) in &self.channels {
            let fate = self.machine.fate(id).unwrap_or_default();
            lane.pipe.on_end(End::Disconnected, fate);
        }
        self.board.on_over();
    }
}

impl Lane {
    fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, staged: Packets::new(), scratch: VecDeque::new(), finished: false }
    }

    /// Gives the machine what it takes of the outbox. What it does not take waits for [`News::Writable`].
    fn drain_outbox(&mut self, now: Instant, id: ChannelId, machine: &mut Machine) {
        if self.pipe.wants_end() && !machine.is_secured(id) {
            // Nothing can leave; what waits never will.
            return self.finish(now, id, machine);
        }
        loop {
            if self.staged.is_empty() {
                let last = self.pipe.take_outbox(&mut self.staged);
                if self.staged.is_empty() {
                    if last {
                        self.finish(now, id, machine);
                    }
                    return;
                }
            }
            match machine.send_all(now, id, &mut self.staged) {
                Ok(()) => {}
                Err(SendError::Full) => return,
                // The other side has finished. What was not taken is counted as unsent.
                Err(_) => {
                    self.staged = Packets::new();
                    return self.pipe.shut();
                }
            }
        }
    }

    fn finish(&mut self, now: Instant, id: ChannelId, machine: &mut Machine) {
        if !self.finished {
            self.finished = true;
            // It may be over already.
            let _ = machine.disconnect(now, id);
        }
    }

    fn fill_inbox(&mut self, now: Instant, id: ChannelId, machine: &mut Machine) {
        self.pipe.fill_inbox(&mut self.scratch, || machine.receive_batch(now, id));
    }
}
