//! One channel of a client: where it is attached, how far it is secured, and how it ends.
//!
//! | stage | what it waits for | deadline |
//! | --- | --- | --- |
//! | `Agreeing` | both keys, and their agreement | `secure_timeout` |
//! | `Secured` | packets, and both ends | none while attached and heard |
//! | `Secured`, complete | the other side to know it, too | 30 s |
//! | cut, with a session or a CONFIRM | the other end, by REJOIN | `patience` |
//! | `Ended` | the application to take what has arrived | none: nothing is held but that |

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::agreement::{Agreement, Means, News, Step};
use super::event::{End, Event, Fate};
use super::limits::{LINGER, REJOIN_REPEAT};
use super::message::{Confirm, Message};
use super::outbound::SendQueue;
use super::session::{Fault, Outcome, Session};
use super::{ClientLimits, Output, SendError};
use crate::crypto::exchange::Inputs;
use crate::crypto::{EncryptionKey, GuessBudget, Role};
use crate::id::{ChannelId, PeerId};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::{ClientFrame, Ended};

pub(super) struct Channel {
    id: ChannelId,
    peer: PeerId,
    role: Role,
    attachment: Attachment,
    stage: Stage,
    queue: SendQueue,
    /// The key of this channel alone, if one was set.
    own_key: Option<EncryptionKey>,
    /// The last packet that was reported delivered.
    reported: u64,
    /// The application knows that there is something to take.
    told_readable: bool,
    /// Ways in a row that were left because they did not lead to the other side.
    left: u32,
}

enum Attachment {
    Attached {
        number: u32,
    },
    /// No way to the other side. Until when to look for one, and when to ask the relay next.
    Cut {
        patience_ends: Instant,
        rejoin_at: Instant,
    },
    /// For ever.
    None,
}

enum Stage {
    Agreeing { agreement: Box<Agreement>, until: Instant },
    Secured { session: Box<Session>, confirm: Confirm, linger_until: Option<Instant> },
    Ended { session: Option<Box<Session>>, end: End, told: bool },
}

/// What a channel works with, and does not own.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) out: &'a mut VecDeque<Output>,
    pub(super) budget: &'a mut GuessBudget,
    pub(super) rng: &'a mut Rng,
    /// The client's key, if it counts as set.
    pub(super) default_key: Option<&'a EncryptionKey>,
    pub(super) limits: &'a ClientLimits,
    pub(super) online: bool,
}

impl Context<'_> {
    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn transmit(&mut self, frame: Bytes) {
        self.out.push_back(Output::Transmit(frame));
    }

    fn control(&mut self, frame: &ClientFrame) {
        self.transmit(Bytes::copy_from_slice(&frame.encode()));
    }
}

impl Channel {
    pub(super) fn open(
        id: ChannelId,
        peer: PeerId,
        number: u32,
        inputs: Inputs,
        cx: &mut Context<'_>,
    ) -> Self {
        let mut channel = Self {
            id,
            peer,
            role: inputs.role,
            attachment: Attachment::Attached { number },
            stage: Stage::Agreeing {
                agreement: Box::new(Agreement::new(inputs)),
                until: cx.now + cx.limits.secure_timeout,
            },
            queue: SendQueue::new(cx.limits),
            own_key: None,
            reported: 0,
            told_readable: false,
            left: 0,
        };
        cx.event(Event::Opened { channel: id, peer, role: channel.role });
        channel.key_set(true, cx);
        channel
    }

    // What the user does.

    /// The key that applies to this channel has been set; `changed` if it is another one than before.
    pub(super) fn key_set(&mut self, changed: bool, cx: &mut Context<'_>) {
        if self.own_key.is_some() || cx.default_key.is_some() {
            self.agree(cx, |agreement, now, means| agreement.key_set(now, changed, means));
        }
    }

    /// Sets the key of this channel alone. Returns false, and changes nothing, if the channel is secured with another one.
    pub(super) fn set_own_key(&mut self, key: EncryptionKey, cx: &mut Context<'_>) -> bool {
        let same = self.own_key.as_ref().or(cx.default_key).is_some_and(|old| old.same_as(&key));
        if !matches!(self.stage, Stage::Agreeing { .. }) {
            return same;
        }
        self.own_key = Some(key);
        self.key_set(!same, cx);
        true
    }

    pub(super) fn has_own_key(&self) -> bool {
        self.own_key.is_some()
    }

    /// The owner of the key allows as many guesses again. Returns how many had been spent.
    pub(super) fn unlock(&mut self, cx: &mut Context<'_>) -> u32 {
        let Stage::Agreeing { agreement, .. } = &mut self.stage else { return 0 };
        let here = u32::from(agreement.unlock());
        let key = self.own_key.as_ref().or(cx.default_key);
        let spent = key.map_or(0, |key| cx.budget.unlock(key)).max(here);
        self.key_set(false, cx);
        spent
    }

    pub(super) fn send(&mut self, packet: Bytes) -> Result<u64, SendError> {
        let max = match &self.stage {
            Stage::Ended { .. } => return Err(SendError::NoChannel),
            Stage::Secured { session, .. } if session.is_finishing() => return Err(SendError::NoChannel),
            Stage::Secured { session, .. } => session.packet_max(),
            Stage::Agreeing { .. } => super::PACKET_MAX_UNSECURED,
        };
        if packet.len() > max {
            return Err(SendError::TooLarge { max });
        }
        self.queue.push(packet).ok_or(SendError::Full)
    }

    pub(super) fn take(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let session = match &mut self.stage {
            Stage::Secured { session, .. } => session,
            Stage::Ended { session: Some(session), .. } => session,
            _ => return None,
        };
        let packet = session.take();
        if !session.is_readable() {
            self.told_readable = false;
        }
        self.settle(cx);
        packet
    }

    /// Ends the channel in good order: what is queued is sent first. Before it is secured it ends at once.
    pub(super) fn disconnect(&mut self, cx: &mut Context<'_>) {
        match &mut self.stage {
            Stage::Secured { session, .. } => session.finish(),
            Stage::Agreeing { .. } => self.end(End::Disconnected, cx),
            Stage::Ended { .. } => {}
        }
        self.settle(cx);
    }

    /// Ends the channel at once; what has not been confirmed may be lost.
    pub(super) fn abort(&mut self, cx: &mut Context<'_>) {
        self.fail(Fault::Aborted { code: 0 }, End::Disconnected, cx);
        self.settle(cx);
    }

    // What comes from the other side.

    pub(super) fn on_payload(&mut self, payload: BytesMut, cx: &mut Context<'_>) {
        let message = Message::decode(&payload);
        match (&mut self.stage, message) {
            (Stage::Agreeing { .. }, Some(Message::Share(share))) => {
                self.agree(cx, |agreement, now, means| agreement.on_share(now, share, means));
            }
            (Stage::Agreeing { .. }, Some(Message::Confirm(confirm))) => {
                self.agree(cx, |agreement, _, means| agreement.on_confirm(&confirm, means));
            }
            (Stage::Secured { session, .. }, Some(Message::Data)) => {
                let outcome = session.on_data(cx.now, payload);
                self.on_outcome(outcome, cx);
            }
            (Stage::Secured { session, .. }, Some(Message::Ctrl)) => {
                let was_proven = session.is_proven();
                let outcome = session.on_ctrl(cx.now, payload);
                if !was_proven && session.is_proven() {
                    self.left = 0;
                    cx.event(Event::Resumed { channel: self.id });
                }
                self.on_outcome(outcome, cx);
            }
            // Records before the channel is secured, shares after it, and what is unknown: nothing vouches for them.
            _ => {}
        }
        self.settle(cx);
    }

    fn on_outcome(&mut self, outcome: Outcome, cx: &mut Context<'_>) {
        match outcome {
            Outcome::Fine => {}
            Outcome::Leave => self.leave(cx),
            Outcome::Fatal(fault) => {
                let end = match fault {
                    Fault::Tampered { seq } => End::Tampered { seq },
                    Fault::Violation => End::Violation,
                    Fault::RelayLoss => End::RelayLoss,
                    Fault::Aborted { code } => End::Aborted { code },
                    Fault::Exhausted => End::Exhausted,
                };
                self.fail(fault, end, cx);
            }
        }
    }

    /// Lets the agreement act, and carries out what it says.
    fn agree(
        &mut self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Agreement, Instant, &mut Means<'_>) -> Step,
    ) {
        let Stage::Agreeing { agreement, until } = &mut self.stage else { return };
        let key = self.own_key.as_ref().or(cx.default_key);
        let mut means = Means { key, budget: &mut *cx.budget, rng: &mut *cx.rng };
        let step = act(agreement, cx.now, &mut means);
        if step.share.is_some() || step.confirm.is_some() {
            *until = cx.now + cx.limits.secure_timeout;
        }
        let channel = self.id;
        // A failed run's news comes before the share that opens the next; a run's own share before its CONFIRM.
        let mut news = step.news;
        if let Attachment::Attached { number } = self.attachment {
            let frames = [step.share.map(|share| share.frame(number)), step.confirm.map(|c| c.frame(number))];
            for frame in frames.into_iter().flatten() {
                cx.transmit(frame);
            }
        }
        match news.take() {
            None => {}
            Some(News::Secured { secured, confirm, key_refused }) => {
                let session = Box::new(Session::new(cx.now, *secured, cx.limits));
                self.stage = Stage::Secured { session, confirm, linger_until: None };
                cx.event(Event::Secured { channel });
                if key_refused {
                    cx.event(Event::KeyRefused { channel });
                }
            }
            Some(News::KeysDiffer { guesses_left }) => cx.event(Event::KeysDiffer { channel, guesses_left }),
            Some(News::Altered) => cx.event(Event::HandshakeAltered { channel }),
            Some(News::PeerSilent) => cx.event(Event::PeerSilent { channel }),
            Some(News::Locked { failed }) => cx.event(Event::Locked { channel, failed }),
            Some(News::Invalid) => self.end(End::HandshakeInvalid, cx),
            Some(News::TooManyRuns) => self.end(End::TooManyRuns, cx),
        }
    }

    // What happens to the way.

    /// The relay says that the channel is gone, or the link to the relay is.
    pub(super) fn on_cut(&mut self, word: Option<Ended>, cx: &mut Context<'_>) {
        if !matches!(self.attachment, Attachment::Attached { .. }) {
            return;
        }
        self.attachment = Attachment::None;
        match &self.stage {
            Stage::Ended { .. } => {}
            Stage::Secured { linger_until: Some(_), .. } => self.end(End::Finished, cx),
            Stage::Secured { .. } if cx.limits.patience > Duration::ZERO => {
                self.cut(word, Duration::ZERO, cx)
            }
            Stage::Secured { .. } => self.end(End::Truncated, cx),
            Stage::Agreeing { agreement, .. }
                if agreement.confirmed().is_some() && cx.limits.patience > Duration::ZERO =>
            {
                self.cut(word, Duration::ZERO, cx);
            }
            Stage::Agreeing { .. } => self.end(End::Left(word), cx),
        }
        self.settle(cx);
    }

    /// This way is no good: give it up and look for another, with growing pauses.
    fn leave(&mut self, cx: &mut Context<'_>) {
        let Attachment::Attached { number } = self.attachment else { return };
        cx.control(&ClientFrame::Close { channel: number });
        let pause = super::link::pause(self.left, cx.limits.redial_min, cx.limits.redial_max, cx.rng);
        self.left = self.left.saturating_add(1);
        self.cut(None, pause, cx);
    }

    /// Looks for the other end from `pause` on, as long as patience lasts. It began when the other side was last heard.
    fn cut(&mut self, word: Option<Ended>, pause: Duration, cx: &mut Context<'_>) {
        let patience_ends = match &mut self.stage {
            Stage::Secured { session, .. } => {
                session.detached();
                session.heard() + cx.limits.patience
            }
            _ => cx.now + cx.limits.patience.min(cx.limits.patience_unsecured),
        };
        self.attachment = Attachment::Cut { patience_ends, rejoin_at: cx.now + pause };
        cx.event(Event::Interrupted { channel: self.id, relay_says: word });
        self.rejoin(cx);
    }

    /// Asks the relay for the other end, if it is time and the relay is there.
    fn rejoin(&mut self, cx: &mut Context<'_>) {
        let Attachment::Cut { rejoin_at, .. } = &mut self.attachment else { return };
        let rendezvous = match &self.stage {
            Stage::Secured { session, .. } => session.rendezvous(),
            Stage::Agreeing { agreement, .. } => match agreement.confirmed() {
                Some((_, rendezvous)) => rendezvous,
                None => return,
            },
            Stage::Ended { .. } => return,
        };
        if cx.online && *rejoin_at <= cx.now {
            *rejoin_at = cx.now + REJOIN_REPEAT;
            cx.control(&ClientFrame::Rejoin { rendezvous, role: self.role as u8 });
        }
    }

    /// The link to the relay stands: ask at once.
    pub(super) fn on_online(&mut self, cx: &mut Context<'_>) {
        if let Attachment::Cut { rejoin_at, .. } = &mut self.attachment {
            *rejoin_at = cx.now;
        }
        self.rejoin(cx);
    }

    /// The value by which this channel waits for its other end, if it does.
    pub(super) fn rendezvous(&self) -> Option<[u8; 16]> {
        match (&self.attachment, &self.stage) {
            (Attachment::Cut { .. }, Stage::Secured { session, .. }) => Some(session.rendezvous()),
            (Attachment::Cut { .. }, Stage::Agreeing { agreement, .. }) => {
                agreement.confirmed().map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The relay has found the other end, it says.
    pub(super) fn on_attached(&mut self, number: u32, cx: &mut Context<'_>) {
        self.attachment = Attachment::Attached { number };
        match &mut self.stage {
            Stage::Secured { session, confirm, .. } => {
                if !session.peer_opened() {
                    cx.transmit(confirm.frame(number));
                }
                session.attached(cx.now);
            }
            Stage::Agreeing { agreement, .. } => {
                if let Some((confirm, _)) = agreement.confirmed() {
                    cx.transmit(confirm.frame(number));
                }
            }
            Stage::Ended { .. } => {}
        }
        self.settle(cx);
    }

    // Time, and what goes out.

    pub(super) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        self.lose_patience(cx);
        self.rejoin(cx);
        let attached = matches!(self.attachment, Attachment::Attached { .. });
        match &mut self.stage {
            Stage::Agreeing { until, .. } if *until <= now => self.end(End::NeverSecured, cx),
            Stage::Agreeing { .. } if attached => {
                self.agree(cx, |agreement, now, means| agreement.on_timeout(now, means));
            }
            Stage::Secured { session, .. } if attached && session.deadline() <= now => {
                let outcome = session.on_timeout(now);
                self.on_outcome(outcome, cx);
            }
            _ => {}
        }
        // A clock that is told late may cut the channel only now, when patience, which began when the other side was last heard, is over
        // already.
        self.lose_patience(cx);
        self.settle(cx);
    }

    /// Ends a channel that was cut, if its time to be found again is over.
    fn lose_patience(&mut self, cx: &mut Context<'_>) {
        if let Attachment::Cut { patience_ends, .. } = self.attachment
            && patience_ends <= cx.now
        {
            let secured = matches!(self.stage, Stage::Secured { .. });
            self.end(if secured { End::Truncated } else { End::Left(None) }, cx);
        }
    }

    pub(super) fn deadline(&self, online: bool) -> Option<(Instant, &'static str)> {
        let way = match &self.attachment {
            Attachment::Cut { patience_ends, rejoin_at, .. } => {
                let at = if online { *patience_ends.min(rejoin_at) } else { *patience_ends };
                Some((at, "a cut channel looks for its other end"))
            }
            _ => None,
        };
        let attached = matches!(self.attachment, Attachment::Attached { .. });
        let stage = match &self.stage {
            Stage::Agreeing { agreement, until } => {
                let at = agreement.deadline().filter(|_| attached).map_or(*until, |at| at.min(*until));
                Some((at, "a channel must be secured"))
            }
            Stage::Secured { linger_until: Some(until), .. } if attached => {
                Some((*until, "the other side must learn that the channel is complete"))
            }
            Stage::Secured { session, .. } if attached => {
                Some((session.deadline(), "a session sends its state"))
            }
            _ => None,
        };
        way.into_iter().chain(stage).min()
    }

    /// The next frame of this channel; `data` if the transport takes data, too.
    pub(super) fn poll(&mut self, data: bool, cx: &mut Context<'_>) -> Option<Bytes> {
        let Attachment::Attached { number } = self.attachment else { return None };
        let Stage::Secured { session, .. } = &mut self.stage else { return None };
        let frame = session.poll_state(number).and_then(|state| match state {
            Some(state) => Ok(Some(state)),
            None if data => session.poll_data(cx.now, &mut self.queue, number),
            None => Ok(None),
        });
        let frame = frame.unwrap_or_else(|_| {
            self.fail(Fault::Exhausted, End::Exhausted, cx);
            None
        });
        self.settle(cx);
        frame
    }

    pub(super) fn wants_to_send(&self, now: Instant, data: bool) -> bool {
        match (&self.attachment, &self.stage) {
            (Attachment::Attached { .. }, Stage::Secured { session, .. }) => {
                session.wants_to_send(now, &self.queue, data)
            }
            _ => false,
        }
    }

    // How it ends.

    /// Says so to the other side, then ends.
    fn fail(&mut self, fault: Fault, end: End, cx: &mut Context<'_>) {
        if let (Attachment::Attached { number }, Stage::Secured { session, .. }) =
            (&self.attachment, &mut self.stage)
        {
            let answers_abort = matches!(end, End::Aborted { .. });
            if let Some(frame) = session.abort(*number, fault).filter(|_| !answers_abort) {
                cx.transmit(frame);
            }
        }
        self.end(end, cx);
    }

    fn end(&mut self, end: End, cx: &mut Context<'_>) {
        // The first end is the true one; what has arrived before it can still be taken.
        if matches!(self.stage, Stage::Ended { .. }) {
            return;
        }
        if let Attachment::Attached { number } = self.attachment {
            cx.control(&ClientFrame::Close { channel: number });
        }
        self.attachment = Attachment::None;
        let placeholder = Stage::Ended { session: None, end, told: false };
        if let Stage::Secured { session, .. } = core::mem::replace(&mut self.stage, placeholder) {
            self.stage = Stage::Ended { session: Some(session), end, told: false };
        }
    }

    /// Draws the conclusions after anything has happened.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let channel = self.id;
        if let Stage::Secured { session, linger_until, .. } = &mut self.stage {
            if session.peer_finished() {
                session.finish();
            }
            let acked = session.packets_acked();
            if acked > self.reported {
                self.reported = acked;
                cx.event(Event::Delivered { channel, up_to: acked });
            }
            if session.is_complete(&self.queue) {
                let until = *linger_until.get_or_insert(cx.now + LINGER);
                if session.is_quiet() || until <= cx.now {
                    self.end(End::Finished, cx);
                }
            }
        }
        if let Stage::Secured { session, .. } | Stage::Ended { session: Some(session), .. } = &self.stage
            && session.is_readable()
            && !self.told_readable
        {
            self.told_readable = true;
            cx.event(Event::Readable { channel });
        }
        if matches!(self.stage, Stage::Secured { .. } | Stage::Agreeing { .. }) && self.queue.take_room() {
            cx.event(Event::Writable { channel });
        }
        if let Stage::Ended { session, end, told: told @ false } = &mut self.stage
            && !session.as_ref().is_some_and(|session| session.is_readable())
        {
            *told = true;
            let (end, fate) = (*end, Self::fate_of(session.as_deref(), &self.queue));
            self.queue.clear();
            cx.event(Event::Closed { channel, peer: self.peer, end, fate });
        }
    }

    fn fate_of(session: Option<&Session>, queue: &SendQueue) -> Fate {
        let accepted = queue.accepted();
        match session {
            Some(session) => {
                let (delivered, started) = (session.packets_acked(), session.packets_started());
                Fate { delivered, uncertain: started - delivered, unsent: accepted - started }
            }
            None => Fate { delivered: 0, uncertain: 0, unsent: accepted },
        }
    }

    // What is known of it.

    pub(super) fn peer(&self) -> PeerId {
        self.peer
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// The number the relay knows it by.
    pub(super) fn number(&self) -> Option<u32> {
        match self.attachment {
            Attachment::Attached { number } => Some(number),
            _ => None,
        }
    }

    pub(super) fn is_secured(&self) -> bool {
        matches!(self.stage, Stage::Secured { .. })
    }

    /// Whether the application has been told that it is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Ended { told: true, .. })
    }

    /// Whether it still counts among the channels of the client.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.stage, Stage::Ended { .. })
    }

    pub(super) fn verifier(&self) -> Option<[u8; 16]> {
        match &self.stage {
            Stage::Secured { session, .. } => Some(session.verifier()),
            _ => None,
        }
    }

    pub(super) fn fate(&self) -> Fate {
        match &self.stage {
            Stage::Secured { session, .. } => Self::fate_of(Some(session), &self.queue),
            Stage::Ended { session, .. } => Self::fate_of(session.as_deref(), &self.queue),
            Stage::Agreeing { .. } => Self::fate_of(None, &self.queue),
        }
    }
}
