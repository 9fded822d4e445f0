//! One channel of a client: where it is attached, how far it is secured, and how it ends.
//!
//! | stage | what it waits for | deadline |
//! | --- | --- | --- |
//! | `Agreeing` | both keys, and their agreement | `secure_timeout` |
//! | `Secured` | packets, and both ends | none while attached and heard |
//! | `Secured`, complete | the other side to know it, too | 30 s |
//! | cut, with a session or a CONFIRM | the other end, by REJOIN | `patience`, since it was first looked for |
//! | `Ended` | the application to take what has arrived | none: nothing is held but that |
//!
//! A channel that is `Secured` and whose packets have all arrived, both ways, is complete: whatever happens to it then, it has
//! finished.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::agreement::{Agreement, Means, News, Step};
use super::event::{End, Event, Fate, Held, Traffic};
use super::limits::{LINGER, REJOIN_REPEAT};
use super::message::{Confirm, Message};
use super::packets::Packets;
use super::queue::SendQueue;
use super::session::{Fault, Outcome, Session};
use super::unread::{Batch, Unread};
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
    /// Ways in a row that did not lead to the other side.
    left: u32,
    /// Since when the other end is looked for, until it is heard again.
    lost_at: Option<Instant>,
}

enum Attachment {
    Attached {
        number: u32,
        /// Found by REJOIN: it may lead to somebody else.
        found: bool,
    },
    /// No way to the other side. Until when to look for one, and when to ask the relay next.
    Cut { patience_ends: Instant, rejoin_at: Instant },
    /// For ever.
    None,
}

enum Stage {
    Agreeing { agreement: Box<Agreement>, until: Instant },
    Secured { session: Box<Session>, confirm: Confirm, key: EncryptionKey, linger_until: Option<Instant> },
    Ended { unread: Unread, end: End, fate: Fate, told: bool },
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
            attachment: Attachment::Attached { number, found: false },
            stage: Stage::Agreeing {
                agreement: Box::new(Agreement::new(inputs)),
                until: cx.now + cx.limits.secure_timeout,
            },
            queue: SendQueue::new(cx.limits),
            own_key: None,
            reported: 0,
            told_readable: false,
            left: 0,
            lost_at: None,
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
        if let Stage::Secured { key: kept, .. } = &self.stage {
            return kept.same_as(&key);
        }
        let same = self.own_key.as_ref().or(cx.default_key).is_some_and(|old| old.same_as(&key));
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
        self.check_len(packet.len())?;
        self.queue.push(packet).ok_or(SendError::Full)
    }

    pub(super) fn send_all(&mut self, packets: &mut Packets) -> Result<(), SendError> {
        while let Some((cost, longest)) = packets.first_entry() {
            self.check_len(longest)?;
            if !self.queue.push_first(packets, cost) {
                return Err(SendError::Full);
            }
        }
        Ok(())
    }

    /// Whether a packet of `len` bytes may be queued, if there is room.
    fn check_len(&self, len: usize) -> Result<(), SendError> {
        match &self.stage {
            Stage::Ended { .. } => return Err(SendError::NoChannel),
            Stage::Secured { session, .. } if session.is_finishing() => return Err(SendError::NoChannel),
            Stage::Secured { .. } | Stage::Agreeing { .. } => {}
        }
        let max = self.packet_max();
        if len > max { Err(SendError::TooLarge { max }) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        self.take_with(cx, Session::take, Unread::take)
    }

    pub(super) fn take_batch(&mut self, cx: &mut Context<'_>) -> Option<Batch> {
        self.take_with(cx, Session::take_batch, Unread::take_batch)
    }

    fn take_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        live: impl FnOnce(&mut Session) -> Option<T>,
        over: impl FnOnce(&mut Unread) -> Option<T>,
    ) -> Option<T> {
        let (taken, more) = match &mut self.stage {
            Stage::Secured { session, .. } => (live(session), session.is_readable()),
            Stage::Ended { unread, .. } => (over(unread), !unread.is_empty()),
            Stage::Agreeing { .. } => return None,
        };
        self.told_readable &= more;
        self.settle(cx);
        taken
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

    /// Ends the channel at once; what has not been confirmed may be lost, and what has not been taken is dropped.
    pub(super) fn abort(&mut self, cx: &mut Context<'_>) {
        if self.is_live() {
            self.fail(Fault::Aborted { code: 0 }, End::Disconnected, cx);
        }
        if let Stage::Ended { unread, .. } = &mut self.stage {
            *unread = Unread::default();
        }
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
            (Stage::Secured { session, .. }, Some(kind @ (Message::Data | Message::Ctrl))) => {
                let was_proven = session.is_proven();
                let outcome = match kind {
                    Message::Ctrl => session.on_ctrl(cx.now, payload, &mut self.queue),
                    _ => session.on_data(cx.now, payload),
                };
                if !was_proven && session.is_proven() {
                    (self.left, self.lost_at) = (0, None);
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
        let attached = match self.attachment {
            Attachment::Attached { number, found } => Some((number, found)),
            Attachment::Cut { .. } | Attachment::None => None,
        };
        if let Some((number, _)) = attached {
            // A run's own share before its CONFIRM.
            let frames = [step.share.map(|share| share.frame(number)), step.confirm.map(|c| c.frame(number))];
            for frame in frames.into_iter().flatten() {
                cx.transmit(frame);
            }
        }
        for news in step.news {
            match news {
                News::Secured { secured, confirm, key, key_refused } => {
                    let mut session = Box::new(Session::new(cx.now, *secured, cx.limits));
                    if attached.is_some_and(|(_, found)| found) {
                        // A CONFIRM can be repeated by anybody who has seen it; only a record proves the way.
                        session.attached(cx.now);
                    }
                    self.stage = Stage::Secured { session, confirm, key, linger_until: None };
                    cx.event(Event::Secured { channel });
                    if key_refused {
                        cx.event(Event::KeyRefused { channel });
                    }
                }
                News::KeysDiffer { guesses_left } => cx.event(Event::KeysDiffer { channel, guesses_left }),
                News::Altered => cx.event(Event::HandshakeAltered { channel }),
                News::PeerSilent => cx.event(Event::PeerSilent { channel }),
                News::Locked { failed } => cx.event(Event::Locked { channel, failed }),
                News::Invalid => self.end(End::HandshakeInvalid, cx),
                News::TooManyRuns => self.end(End::TooManyRuns, cx),
            }
        }
    }

    // What happens to the way.

    /// The relay says that the channel is gone, or the link to the relay is.
    pub(super) fn on_cut(&mut self, word: Option<Ended>, cx: &mut Context<'_>) {
        let Attachment::Attached { found, .. } = self.attachment else { return };
        self.attachment = Attachment::None;
        let proven = match &self.stage {
            Stage::Secured { session, .. } => session.is_proven(),
            _ => !found,
        };
        match &self.stage {
            Stage::Ended { .. } => {}
            Stage::Agreeing { agreement, .. } if agreement.confirmed().is_none() => {
                self.end(End::Left(word), cx);
            }
            _ => {
                let pause = if proven { Duration::ZERO } else { self.pause(cx) };
                self.cut(word, pause, cx);
            }
        }
        self.settle(cx);
    }

    /// This way is no good: give it up and look for another, with growing pauses.
    fn leave(&mut self, cx: &mut Context<'_>) {
        let Attachment::Attached { number, .. } = self.attachment else { return };
        cx.control(&ClientFrame::Close { channel: number });
        self.attachment = Attachment::None;
        let pause = self.pause(cx);
        self.cut(None, pause, cx);
    }

    /// How long to wait after a way that did not lead to the other side.
    fn pause(&mut self, cx: &mut Context<'_>) -> Duration {
        let lost = self.left;
        self.left = lost.saturating_add(1);
        super::link::pause(lost, cx.limits.redial_min, cx.limits.redial_max, cx.rng)
    }

    /// Looks for the other end from `pause` on, as long as patience lasts. It began with the first cut since the other side was
    /// heard: a way that is found and lost again without a word from it is no news of it.
    fn cut(&mut self, word: Option<Ended>, pause: Duration, cx: &mut Context<'_>) {
        let patience = match &mut self.stage {
            Stage::Secured { linger_until: Some(_), .. } => return self.end(End::Finished, cx),
            Stage::Secured { session, .. } => {
                session.detached();
                cx.limits.patience
            }
            _ => cx.limits.patience.min(cx.limits.patience_unsecured),
        };
        let patience_ends = *self.lost_at.get_or_insert(cx.now) + patience;
        if patience_ends <= cx.now {
            return self.give_up(word, cx);
        }
        self.attachment = Attachment::Cut { patience_ends, rejoin_at: cx.now + pause };
        cx.event(Event::Interrupted { channel: self.id, relay_says: word });
        self.rejoin(cx);
    }

    fn give_up(&mut self, word: Option<Ended>, cx: &mut Context<'_>) {
        let end = if self.is_secured() { End::Truncated } else { End::Left(word) };
        self.end(end, cx);
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
        self.attachment = Attachment::Attached { number, found: true };
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
                agreement.on_attached(cx.now);
            }
            Stage::Ended { .. } => {}
        }
        self.settle(cx);
    }

    // Time, and what goes out.

    pub(super) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        if let Attachment::Cut { patience_ends, .. } = self.attachment {
            if patience_ends <= now {
                self.give_up(None, cx);
                return self.settle(cx);
            }
            self.rejoin(cx);
        }
        let attached = matches!(self.attachment, Attachment::Attached { .. });
        match &mut self.stage {
            Stage::Agreeing { until, .. } if *until <= now => self.end(End::NeverSecured, cx),
            Stage::Agreeing { .. } if attached => {
                self.agree(cx, |agreement, now, means| agreement.on_timeout(now, means));
            }
            Stage::Secured { session, linger_until, .. } if attached && session.deadline() <= now => {
                let outcome = session.on_timeout(now);
                // A complete channel answers as long as the other side may ask, whether it does or not.
                let stays = linger_until.is_some() && session.deadline() > now;
                if !(stays && outcome == Outcome::Leave) {
                    self.on_outcome(outcome, cx);
                }
            }
            _ => {}
        }
        self.settle(cx);
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
            _ => None,
        };
        let session = match &self.stage {
            Stage::Secured { session, .. } if attached => {
                Some((session.deadline(), "a session sends its state"))
            }
            _ => None,
        };
        way.into_iter().chain(stage).chain(session).min()
    }

    /// The next frame of this channel; `data` if the transport takes data, too.
    pub(super) fn poll(&mut self, data: bool, cx: &mut Context<'_>) -> Option<Bytes> {
        let Attachment::Attached { number, .. } = self.attachment else { return None };
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
        if let (Attachment::Attached { number, .. }, Stage::Secured { session, .. }) =
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
        if let Attachment::Attached { number, .. } = self.attachment {
            cx.control(&ClientFrame::Close { channel: number });
        }
        self.attachment = Attachment::None;
        let fate = self.fate();
        let ended = |unread| Stage::Ended { unread, end, fate, told: false };
        self.stage = match core::mem::replace(&mut self.stage, ended(Unread::default())) {
            Stage::Secured { session, .. } => ended(session.into_unread()),
            stage @ Stage::Ended { .. } => stage,
            Stage::Agreeing { .. } => ended(Unread::default()),
        };
        self.queue.clear();
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
        let readable = match &self.stage {
            Stage::Secured { session, .. } => session.is_readable(),
            Stage::Ended { unread, .. } => !unread.is_empty(),
            Stage::Agreeing { .. } => false,
        };
        if readable && !self.told_readable {
            self.told_readable = true;
            cx.event(Event::Readable { channel });
        }
        if self.is_live() && self.queue.take_room() {
            cx.event(Event::Writable { channel });
        }
        if let Stage::Ended { end, fate, told: told @ false, .. } = &mut self.stage
            && !readable
        {
            *told = true;
            cx.event(Event::Closed { channel, peer: self.peer, end: *end, fate: *fate });
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
            Attachment::Attached { number, .. } => Some(number),
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

    /// The longest packet that can be queued now.
    pub(super) fn packet_max(&self) -> usize {
        match &self.stage {
            Stage::Secured { session, .. } => session.packet_max(),
            Stage::Agreeing { .. } | Stage::Ended { .. } => super::PACKET_MAX_UNSECURED,
        }
    }

    pub(super) fn verifier(&self) -> Option<[u8; 16]> {
        match &self.stage {
            Stage::Secured { session, .. } => Some(session.verifier()),
            _ => None,
        }
    }

    pub(super) fn held(&self) -> Held {
        let held = match &self.stage {
            Stage::Agreeing { .. } => Held::default(),
            Stage::Secured { session, .. } => session.held(),
            Stage::Ended { unread, .. } => Held { received: unread.held(), ..Held::default() },
        };
        Held { queued: self.queue.bytes(), ..held }
    }

    pub(super) fn traffic(&self) -> Traffic {
        match &self.stage {
            Stage::Secured { session, .. } => session.traffic(),
            Stage::Agreeing { .. } | Stage::Ended { .. } => Traffic::default(),
        }
    }

    pub(super) fn fate(&self) -> Fate {
        let accepted = self.queue.accepted();
        match &self.stage {
            Stage::Agreeing { .. } => Fate { delivered: 0, uncertain: 0, unsent: accepted },
            Stage::Secured { session, .. } => {
                let (delivered, started) = (session.packets_acked(), session.packets_started());
                Fate { delivered, uncertain: started - delivered, unsent: accepted - started }
            }
            Stage::Ended { fate, .. } => *fate,
        }
    }
}
