//! What a channel's handles and the driver share: packets on their way in either direction, and what the channel has come to.
//!
//! Each part is behind its own lock, held for a few instructions and never across an `await`. Packets cross in batches: the
//! driver swaps the whole outbox out, in which packets lie as they will be sealed, and fills the inbox to its brim with what came
//! in one record. An outbox is full at [`OUTBOX_MAX`]; an inbox is full at [`INBOX_MAX`],
//! and the rest waits in the machine, where the end-to-end window counts it.

mod status;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use phantom_core::client::{Batch, End, Fate, PACKET_MAX_UNSECURED, Packets};
use phantom_core::crypto::Role;
use phantom_core::id::{ChannelId, PeerId};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::status::Status;
use crate::waker::DriverWaker;
use crate::{ChannelError, ChannelState, ChannelStats, SendError};

/// What packets in an outbox may count: their bytes, and 32 more for each. One packet always fits.
const OUTBOX_MAX: usize = 256 << 10;
/// What batches in an inbox may count: their bytes, and [`BATCH_OVERHEAD`] more for each.
const INBOX_MAX: usize = 256 << 10;
const BATCH_OVERHEAD: usize = 64;

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) id: ChannelId,
    pub(crate) peer: PeerId,
    pub(crate) role: Role,
    opened_at: Instant,
    outbox: Mutex<Outbox>,
    inbox: Mutex<Inbox>,
    status: Mutex<Status>,
    /// The outbox has room again, or the channel will take no more.
    pub(crate) room: Arc<Notify>,
    /// The inbox has packets, or the channel is over.
    pub(crate) readable: Arc<Notify>,
    /// The status has changed.
    pub(crate) changed: Arc<Notify>,
    /// The other side has ended its byte stream.
    stream_ended: AtomicBool,
    /// The driver has something to do here.
    dirty: AtomicBool,
    driver: Arc<DriverWaker>,
}

#[derive(Debug)]
struct Outbox {
    packets: Packets,
    packet_max: usize,
    /// Packets ever taken; also the number of the latest.
    accepted: u64,
    /// Bytes of those.
    accepted_bytes: u64,
    gate: Gate,
}

#[derive(Debug)]
enum Gate {
    Open,
    /// This side finishes: what is here still goes out.
    Finishing,
    /// The other side finishes: nothing more goes out.
    Shut,
}

#[derive(Debug, Default)]
struct Inbox {
    batches: VecDeque<Batch>,
    /// What they count.
    size: usize,
    /// The machine has, or may have, more.
    more: bool,
    /// Packets and bytes that were taken.
    taken: (u64, u64),
    /// Nobody will take anything any more.
    discard: bool,
    over: bool,
}

impl Pipe {
    pub(crate) fn new(id: ChannelId, peer: PeerId, role: Role, driver: Arc<DriverWaker>) -> Self {
        Self {
            id,
            peer,
            role,
            opened_at: Instant::now(),
            outbox: Mutex::new(Outbox {
                packets: Packets::new(),
                packet_max: PACKET_MAX_UNSECURED,
                accepted: 0,
                accepted_bytes: 0,
                gate: Gate::Open,
            }),
            inbox: Mutex::default(),
            status: Mutex::default(),
            room: Arc::default(),
            readable: Arc::default(),
            changed: Arc::default(),
            stream_ended: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            driver,
        }
    }

    // What the handles do.

    /// Lets `put` put a packet of `len` bytes into the outbox, when there is room, and returns its number.
    pub(crate) async fn send(&self, len: usize, put: impl FnOnce(&mut Packets)) -> Result<u64, SendError> {
        let mut put = Some(put);
        loop {
            if let Some(done) = self.try_send(len, &mut put) {
                return done;
            }
            // The driver may have made room between the look and the wait: look again once it can no longer be missed.
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if let Some(done) = self.try_send(len, &mut put) {
                return done;
            }
            room.await;
        }
    }

    /// The same error, with the end if there is one.
    fn refusal(&self, refused: SendError) -> SendError {
        match (refused, self.end()) {
            (SendError::Closing, Some((end, fate))) => SendError::Ended { end, fate },
            (refused, _) => refused,
        }
    }

    /// Nothing if the outbox is full; otherwise the packet has been put there, or refused.
    pub(crate) fn try_send(
        &self,
        len: usize,
        put: &mut Option<impl FnOnce(&mut Packets)>,
    ) -> Option<Result<u64, SendError>> {
        let mut outbox = lock(&self.outbox);
        if let Err(refused) = outbox.admits(len)? {
            drop(outbox);
            return Some(Err(self.refusal(refused)));
        }
        let was_empty = outbox.packets.is_empty();
        if let Some(put) = put.take() {
            put(&mut outbox.packets);
        }
        outbox.accepted_bytes += len as u64;
        outbox.accepted += 1;
        let number = outbox.accepted;
        drop(outbox);
        if was_empty {
            lock(&self.status).delivery.measured.get_or_insert_with(|| (number, Instant::now()));
            self.wake_driver();
        }
        Some(Ok(number))
    }

    /// The next packet; nothing after an end in good order.
    pub(crate) async fn receive(&self) -> Result<Option<Bytes>, ChannelError> {
        self.take(Inbox::next).await
    }

    /// Puts packets behind those in `into`, `limit` at most and at least 1, and returns how many; 0 after an end in good order.
    pub(crate) async fn receive_many(
        &self,
        into: &mut Vec<Bytes>,
        limit: usize,
    ) -> Result<usize, ChannelError> {
        let before = into.len();
        self.take(|inbox| {
            into.extend(std::iter::from_fn(|| inbox.next()).take(limit.max(1)));
            (into.len() > before).then_some(())
        })
        .await?;
        Ok(into.len() - before)
    }

    async fn take<T>(
        &self,
        mut take: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<Option<T>, ChannelError> {
        loop {
            if let Some(done) = self.try_take(&mut take) {
                return done;
            }
            let mut readable = std::pin::pin!(self.readable.notified());
            readable.as_mut().enable();
            if let Some(done) = self.try_take(&mut take) {
                return done;
            }
            readable.await;
        }
    }

    /// Nothing if there is no packet now, but may be one later.
    pub(crate) fn try_receive(&self) -> Option<Result<Option<Bytes>, ChannelError>> {
        self.try_take(Inbox::next)
    }

    fn try_take<T>(
        &self,
        take: impl FnOnce(&mut Inbox) -> Option<T>,
    ) -> Option<Result<Option<T>, ChannelError>> {
        let mut inbox = lock(&self.inbox);
        if let Some(taken) = take(&mut inbox) {
            let wants_more = inbox.more && inbox.size <= INBOX_MAX / 2;
            if wants_more {
                inbox.more = false;
            }
            drop(inbox);
            if wants_more {
                self.wake_driver();
            }
            return Some(Ok(Some(taken)));
        }
        if !inbox.over {
            return None;
        }
        drop(inbox);
        Some(match self.end() {
            Some((End::Finished, _)) => Ok(None),
            Some((end, fate)) => Err(ChannelError::Ended { end, fate }),
            None => return None,
        })
    }

    /// Nobody takes packets any more: what comes is thrown away.
    pub(crate) fn discard(&self) {
        let mut inbox = lock(&self.inbox);
        inbox.discard = true;
        inbox.batches.clear();
        inbox.size = 0;
        drop(inbox);
        self.wake_driver();
    }

    /// No more packets: what is in the outbox goes out, then the end.
    pub(crate) fn finish(&self) {
        let mut outbox = lock(&self.outbox);
        if matches!(outbox.gate, Gate::Open) {
            outbox.gate = Gate::Finishing;
        }
        drop(outbox);
        self.room.notify_waiters();
        self.wake_driver();
    }

    /// Whether the channel needs nobody to end it any more.
    pub(crate) fn is_finishing(&self) -> bool {
        self.wants_end() || self.end().is_some()
    }

    /// Waits until `look` finds something in the status.
    async fn wait<T>(&self, mut look: impl FnMut(&mut Status) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look(&mut lock(&self.status)) {
                return found;
            }
            changed.await;
        }
    }

    pub(crate) async fn secured(&self) -> Result<(), ChannelError> {
        self.wait(|status| {
            if status.secured {
                return Some(Ok(()));
            }
            // The trouble comes first, for it is why: the other side may end the channel as soon as it knows of it.
            let ended = || status.end.map(|(end, fate)| ChannelError::Ended { end, fate });
            status.trouble.take().or_else(ended).map(Err)
        })
        .await
    }

    pub(crate) async fn delivered(&self, number: u64) -> Result<(), ChannelError> {
        self.wait(|status| status.delivered(number)).await
    }

    /// Nothing if it is not known yet whether packet `number` arrives.
    pub(crate) fn try_delivered(&self, number: u64) -> Option<Result<(), ChannelError>> {
        lock(&self.status).delivered(number)
    }

    pub(crate) fn on_stream_end(&self) {
        self.stream_ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stream_ended(&self) -> bool {
        self.stream_ended.load(Ordering::Relaxed)
    }

    pub(crate) async fn ended(&self) -> (End, Fate) {
        self.wait(|status| status.end).await
    }

    pub(crate) async fn next_state(&self) -> Option<ChannelState> {
        self.wait(|status| match (status.states.pop_front(), status.end) {
            (Some(state), _) => Some(Some(state)),
            (None, Some(_)) if status.told_end => Some(None),
            (None, Some((end, fate))) => {
                status.told_end = true;
                Some(Some(ChannelState::Ended { end, fate }))
            }
            (None, None) => None,
        })
        .await
    }

    pub(crate) fn end(&self) -> Option<(End, Fate)> {
        lock(&self.status).end
    }

    /// What can be told without the machine, but for `fate`, what it knows of the packets. What has not reached it never left.
    pub(crate) fn stats(&self, fate: Fate) -> ChannelStats {
        let mut stats = ChannelStats::default();
        let outbox = lock(&self.outbox);
        let accepted = outbox.accepted;
        stats.bytes_sent = outbox.accepted_bytes;
        drop(outbox);
        (stats.packets_received, stats.bytes_received) = lock(&self.inbox).taken;
        let status = lock(&self.status);
        let until = status.over_at.unwrap_or_else(Instant::now);
        stats.age = until.duration_since(self.opened_at);
        stats.delivery_time = status.delivery.latest;
        stats.interruptions = status.interruptions;
        stats.packets = match status.end {
            Some((_, fate)) => fate,
            None => Fate { unsent: accepted - fate.delivered - fate.uncertain, ..fate },
        };
        stats
    }

    pub(crate) fn is_secured(&self) -> bool {
        lock(&self.status).secured
    }

    pub(crate) fn verifier(&self) -> Option<[u8; 16]> {
        lock(&self.status).verifier
    }

    fn wake_driver(&self) {
        self.dirty.store(true, Ordering::Release);
        self.driver.wake();
    }

    // What the driver does.

    /// Whether a handle has left work since the last time this was asked.
    pub(crate) fn take_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire) && self.dirty.swap(false, Ordering::AcqRel)
    }

    /// Whether this side wants the channel closed.
    pub(crate) fn wants_end(&self) -> bool {
        matches!(lock(&self.outbox).gate, Gate::Finishing)
    }

    /// Moves everything from the outbox into `into`, which is empty. Returns whether it was the last there will be.
    pub(crate) fn take_outbox(&self, into: &mut Packets) -> bool {
        let mut outbox = lock(&self.outbox);
        let had_some = !outbox.packets.is_empty();
        std::mem::swap(&mut outbox.packets, into);
        let last = matches!(outbox.gate, Gate::Finishing);
        drop(outbox);
        if had_some {
            self.room.notify_waiters();
        }
        last
    }

    /// Nothing is under way: memory that was kept for what comes next is given back.
    pub(crate) fn relax(&self) {
        lock(&self.outbox).packets.relax();
    }

    /// Fills the inbox from `take`, as far as there is room. `scratch` is empty before and after.
    pub(crate) fn fill_inbox(&self, scratch: &mut VecDeque<Batch>, mut take: impl FnMut() -> Option<Batch>) {
        loop {
            let (room, discard) = {
                let inbox = lock(&self.inbox);
                (INBOX_MAX.saturating_sub(inbox.size), inbox.discard)
            };
            if discard {
                while take().is_some() {}
                return;
            }
            let (mut more, mut size) = (true, 0);
            while size < room {
                let Some(batch) = take() else {
                    more = false;
                    break;
                };
                size += size_of(&batch);
                scratch.push_back(batch);
            }
            if !self.put_inbox(scratch, size, more) {
                return;
            }
        }
    }

    /// Returns whether the receiver has been so quick that more should come at once.
    fn put_inbox(&self, batches: &mut VecDeque<Batch>, size: usize, more: bool) -> bool {
        let mut inbox = lock(&self.inbox);
        let hungry = more && inbox.size + size <= INBOX_MAX / 2;
        inbox.more = more && !hungry;
        if inbox.discard {
            batches.clear();
            return more;
        }
        inbox.size += size;
        let news = !batches.is_empty();
        if inbox.batches.is_empty() {
            std::mem::swap(&mut inbox.batches, batches);
        } else {
            inbox.batches.append(batches);
        }
        drop(inbox);
        if news {
            self.readable.notify_waiters();
        }
        hungry
    }

    pub(crate) fn on_secured(&self, packet_max: usize, verifier: Option<[u8; 16]>) {
        lock(&self.outbox).packet_max = packet_max;
        self.change(|status| {
            status.secured = true;
            status.verifier = verifier;
            status.trouble = None;
            status.push(ChannelState::Secured);
        });
    }

    /// The channel is not secured, for this reason.
    pub(crate) fn on_trouble(&self, error: ChannelError, state: ChannelState) {
        self.change(|status| {
            status.trouble = Some(error);
            status.push(state);
        });
    }

    /// Something has been done about what keeps the channel from being secured.
    pub(crate) fn on_remedy(&self) {
        self.change(|status| status.trouble = None);
    }

    pub(crate) fn on_delivered(&self, up_to: u64) {
        self.change(|status| {
            status.delivered = up_to;
            if let Some((_, since)) = status.delivery.measured.take_if(|&mut (number, _)| number <= up_to) {
                status.delivery.latest = Some(since.elapsed());
            }
        });
    }

    pub(crate) fn on_state(&self, state: ChannelState) {
        self.change(|status| {
            status.interruptions += u64::from(matches!(state, ChannelState::Interrupted { .. }));
            status.push(state);
        });
    }

    /// The other side ends the channel: it takes no more packets.
    pub(crate) fn shut(&self) {
        let mut outbox = lock(&self.outbox);
        if matches!(outbox.gate, Gate::Open) {
            outbox.gate = Gate::Shut;
        }
        drop(outbox);
        self.room.notify_waiters();
    }

    /// The channel is over. `fate` is what the machine knows; what has not reached it never left.
    pub(crate) fn on_end(&self, end: End, mut fate: Fate) {
        let mut outbox = lock(&self.outbox);
        outbox.gate = Gate::Shut;
        outbox.packets = Packets::new();
        fate.unsent = outbox.accepted - fate.delivered - fate.uncertain;
        drop(outbox);
        self.change(|status| {
            status.delivered = status.delivered.max(fate.delivered);
            status.over_at.get_or_insert_with(Instant::now);
            status.end.get_or_insert((end, fate));
        });
        lock(&self.inbox).over = true;
        self.room.notify_waiters();
        self.readable.notify_waiters();
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
        self.changed.notify_waiters();
    }
}

impl Outbox {
    /// Nothing if it is full; otherwise whether a packet of this length may come in.
    fn admits(&self, len: usize) -> Option<Result<(), SendError>> {
        if !matches!(self.gate, Gate::Open) {
            return Some(Err(SendError::Closing));
        }
        let max = self.packet_max;
        if len > max {
            return Some(Err(SendError::TooLarge { len, max }));
        }
        let full = !self.packets.is_empty() && self.packets.cost() + len > OUTBOX_MAX;
        (!full).then_some(Ok(()))
    }
}

impl Inbox {
    fn next(&mut self) -> Option<Bytes> {
        let batch = self.batches.front_mut()?;
        let before = size_of(batch);
        let packet = batch.next()?;
        if batch.is_empty() {
            self.size -= before;
            self.batches.pop_front();
        } else {
            self.size -= before - size_of(batch);
        }
        self.taken.0 += 1;
        self.taken.1 += packet.len() as u64;
        Some(packet)
    }
}

/// What a batch counts in an inbox.
fn size_of(batch: &Batch) -> usize {
    batch.size() + BATCH_OVERHEAD
}

/// A lock is held for a few instructions that cannot panic, so a poisoned one is still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
