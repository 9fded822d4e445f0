//! The streams of one channel.
//!
//! Whoever reads the channel never waits for a stream: what comes for one goes into its inbox, which holds no more than the other
//! side was allowed to send. So a stream that nobody reads stands still, and no other does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use phantom_core::packet::{self, Packet};
use phantom_tokio::Sender;
use tokio::sync::{Semaphore, mpsc, watch};

use super::packets::{Credit, Data, Finish, Open, Reason, Reset, STREAM_WINDOW, STREAMS_MAX, Side};

/// Streams that the side with the target takes. The other side may be done with a stream whose bytes are still passed on here.
const TAKEN_MAX: usize = 4 * STREAMS_MAX;

/// The streams of one channel, and the way out for what they say.
pub(super) struct Streams {
    side: Side,
    sender: Sender,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<u32, Entry>,
    next: u32,
}

/// A stream, as the reader of the channel knows it.
struct Entry {
    /// Bytes that this side may send.
    credit: Arc<Semaphore>,
    /// Bytes that the other side may send.
    allowed: usize,
    finished: bool,
    inbox: mpsc::UnboundedSender<Option<Bytes>>,
    reset: watch::Sender<Option<Reason>>,
}

/// One stream of bytes in either direction.
pub(super) struct Stream {
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) place: Place,
}

/// What goes to the other side.
pub(super) struct Outgoing {
    id: u32,
    streams: Arc<Streams>,
    credit: Arc<Semaphore>,
}

/// What comes from the other side.
pub(super) struct Incoming {
    id: u32,
    streams: Arc<Streams>,
    inbox: mpsc::UnboundedReceiver<Option<Bytes>>,
    /// Bytes that were passed on and not yet allowed again.
    passed: usize,
}

/// A stream's place among the others. When it is dropped, what still comes for the stream is thrown away.
pub(super) struct Place {
    id: u32,
    streams: Arc<Streams>,
    reset: watch::Receiver<Option<Reason>>,
}

/// The channel is over, or the stream is not known any more.
#[derive(Debug)]
pub(super) struct Gone;

/// The other side broke the rules of [`packets`](super::packets).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misunderstood;

impl Streams {
    pub(super) fn new(side: Side, sender: Sender) -> Arc<Self> {
        Arc::new(Self { side, sender, table: Mutex::default() })
    }

    /// Opens a stream to the other side, which has the target.
    pub(super) async fn open(self: &Arc<Self>) -> Result<Stream, Gone> {
        let stream = {
            let mut table = self.table();
            let id = loop {
                let id = table.next;
                table.next = id.wrapping_add(1);
                if !table.entries.contains_key(&id) {
                    break id;
                }
            };
            self.enter(&mut table, id)
        };
        self.say(&Open { stream: stream.place.id }).await?;
        Ok(stream)
    }

    /// Understands a packet, and returns the stream that it opens, if it does.
    pub(super) fn handle(self: &Arc<Self>, packet: &Bytes) -> Result<Option<Stream>, Misunderstood> {
        let mut table = self.table();
        let id = packet::id(packet).map_err(|_| Misunderstood)?;
        match id {
            Open::ID => {
                let Open { stream } = read(packet)?;
                let taken = table.entries.contains_key(&stream) || table.entries.len() >= TAKEN_MAX;
                if self.side == Side::Listens || taken {
                    return Err(Misunderstood);
                }
                return Ok(Some(self.enter(&mut table, stream)));
            }
            Data::ID => {
                let Data { stream, bytes } = read(packet)?;
                let Some(entry) = table.entries.get_mut(&stream) else { return Ok(None) };
                if entry.finished || bytes.is_empty() || bytes.len() > entry.allowed {
                    return Err(Misunderstood);
                }
                entry.allowed -= bytes.len();
                // Nobody takes what comes for a stream that is ending.
                let _ = entry.inbox.send(Some(bytes));
            }
            Credit::ID => {
                let Credit { stream, bytes } = read(packet)?;
                let Some(entry) = table.entries.get(&stream) else { return Ok(None) };
                let bytes = usize::try_from(bytes).map_err(|_| Misunderstood)?;
                if bytes > STREAM_WINDOW.saturating_sub(entry.credit.available_permits()) {
                    return Err(Misunderstood);
                }
                entry.credit.add_permits(bytes);
            }
            Finish::ID => {
                let Finish { stream } = read(packet)?;
                let Some(entry) = table.entries.get_mut(&stream) else { return Ok(None) };
                if std::mem::replace(&mut entry.finished, true) {
                    return Err(Misunderstood);
                }
                let _ = entry.inbox.send(None);
            }
            Reset::ID => {
                let Reset { stream, reason } = read(packet)?;
                if let Some(entry) = table.entries.remove(&stream) {
                    let _ = entry.reset.send(Some(reason));
                }
            }
            _ => return Err(Misunderstood),
        }
        Ok(None)
    }

    fn enter(self: &Arc<Self>, table: &mut Table, id: u32) -> Stream {
        let credit = Arc::new(Semaphore::new(STREAM_WINDOW));
        let (sender, inbox) = mpsc::unbounded_channel();
        let (reset, was_reset) = watch::channel(None);
        let entry = Entry {
            credit: Arc::clone(&credit),
            allowed: STREAM_WINDOW,
            finished: false,
            inbox: sender,
            reset,
        };
        table.entries.insert(id, entry);
        Stream {
            outgoing: Outgoing { id, streams: Arc::clone(self), credit },
            incoming: Incoming { id, streams: Arc::clone(self), inbox, passed: 0 },
            place: Place { id, streams: Arc::clone(self), reset: was_reset },
        }
    }

    async fn say<P: Packet>(&self, packet: &P) -> Result<(), Gone> {
        self.sender.send(packet).await.map(drop).map_err(|_| Gone)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<P: Packet>(packet: &[u8]) -> Result<P, Misunderstood> {
    packet::decode(packet).map_err(|_| Misunderstood)
}

impl Outgoing {
    /// Sends at most [`DATA_MAX`](super::packets::DATA_MAX) bytes, as soon as the other side allows it.
    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let count = u32::try_from(bytes.len()).map_err(|_| Gone)?;
        self.credit.acquire_many(count).await.map_err(|_| Gone)?.forget();
        self.streams.say(&Data { stream: self.id, bytes }).await
    }

    /// Sends no more.
    pub(super) async fn finish(self) -> Result<(), Gone> {
        self.streams.say(&Finish { stream: self.id }).await
    }
}

impl Incoming {
    /// The next bytes; nothing when the other side has finished.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Gone> {
        self.inbox.recv().await.ok_or(Gone)
    }

    /// Bytes were passed on: the other side may send as many again.
    pub(super) async fn pass(&mut self, bytes: usize) -> Result<(), Gone> {
        self.passed += bytes;
        if self.passed < STREAM_WINDOW / 2 {
            return Ok(());
        }
        let passed = std::mem::take(&mut self.passed);
        if let Some(entry) = self.streams.table().entries.get_mut(&self.id) {
            entry.allowed += passed;
        }
        let bytes = u32::try_from(passed).map_err(|_| Gone)?;
        self.streams.say(&Credit { stream: self.id, bytes }).await
    }
}

impl Place {
    /// Waits until the other side says that the stream is over.
    pub(super) async fn reset(&mut self) -> Reason {
        match self.reset.wait_for(Option::is_some).await.map(|reason| *reason) {
            Ok(Some(reason)) => reason,
            // The channel is over, which somebody else sees.
            _ => std::future::pending().await,
        }
    }

    /// Ends the stream in both directions.
    pub(super) async fn break_off(self, reason: Reason) {
        let _over_anyway = self.streams.say(&Reset { stream: self.id, reason }).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.table().entries.remove(&self.id);
    }
}
