//! What is received, on a thread of its own, a little behind the network: taken apart into files, written, hashed and compared.
//!
//! Exactly what was announced is taken, and each file must be what the sender says it was. Only when everything is there and right does
//! anything get its name.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc as ended;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use phantom_core::packet::{self, Packet};
use tokio::sync::{mpsc, oneshot};

use super::early::Early;
use super::message::Sentence;
use super::packets::{Chunk, Hash, Kind, Reason, Sums, total};
use super::part::Had;
use super::plan::Plan;
use super::staging::Staging;
use super::talk::Refusal;
use super::target::write_refusal;
use crate::fault::Fault;
use crate::ui;

/// Orders that may wait for the disk.
const BEHIND: usize = 4;
/// Bytes that are written and hashed at once, if so many are there.
const WRITE_BYTES: usize = 256 * 1024;
/// How long a program that ends waits for the disk to take or lose what is unfinished.
const ABANDON_MAX: Duration = Duration::from_secs(3);

/// Where the bytes go.
pub(super) enum Goal {
    /// Files, which get their names at the end; what is there may be replaced.
    Files { staging: Staging, overwrite: bool },
    /// Standard output.
    Output,
    /// A text, into memory.
    Text(Vec<u8>),
}

/// What has come of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Files(Vec<PathBuf>),
    Output,
    Text(Vec<u8>),
}

enum Order {
    Packets(Vec<Bytes>),
    Done(Hash),
}

/// The thread that writes. Dropped before its end, it gives up, and what is unfinished has no name.
pub(super) struct Sink {
    orders: Option<mpsc::Sender<Order>>,
    result: oneshot::Receiver<Result<Outcome, Refusal>>,
    current: Arc<AtomicUsize>,
    /// Bytes of files that have come.
    come: Arc<AtomicU64>,
    /// Disconnected when the thread has left nothing behind.
    ended: ended::Receiver<()>,
    epitaph: Option<Arc<OnceLock<String>>>,
}

impl Sink {
    /// Begins to write.
    pub(super) fn start(plan: Arc<Plan>, goal: Goal, had: HashMap<usize, Had>) -> Self {
        let (orders, orders_out) = mpsc::channel(BEHIND);
        let (result_in, result) = oneshot::channel();
        let (ended_in, ended) = ended::channel::<()>();
        let current = Arc::new(AtomicUsize::new(0));
        let come = Arc::new(AtomicU64::new(0));
        let epitaph = match &goal {
            Goal::Files { staging, .. } => Some(staging.epitaph()),
            Goal::Output | Goal::Text(_) => None,
        };
        let writer = Writer {
            plan,
            goal,
            had,
            next: 0,
            open: None,
            buffer: Vec::new(),
            unsummed: VecDeque::new(),
            all: Vec::new(),
            current: Arc::clone(&current),
            come: Arc::clone(&come),
        };
        thread::spawn(move || {
            let _nobody_asks = result_in.send(writer.run(orders_out));
            drop(ended_in);
        });
        Self { orders: Some(orders), result, current, come, ended, epitaph }
    }

    /// Takes the next packets. Waits while the disk is behind.
    ///
    /// `false` means that it takes no more; [`finish`](Self::finish) says why.
    pub(super) async fn write(&self, packets: Vec<Bytes>) -> bool {
        match &self.orders {
            Some(orders) => orders.send(Order::Packets(packets)).await.is_ok(),
            None => false,
        }
    }

    /// Waits until it takes no more.
    pub(super) async fn gone(&self) {
        if let Some(orders) = &self.orders {
            orders.closed().await;
        }
    }

    /// Waits until everything is written, compared and in its place. Without `sent`, what has come was not all.
    ///
    /// # Errors
    /// Something of that failed, now or earlier.
    pub(super) async fn finish(&mut self, sent: Option<Hash>) -> Result<Outcome, Refusal> {
        if let (Some(orders), Some(hash)) = (self.orders.take(), sent) {
            let _refused_already = orders.send(Order::Done(hash)).await;
        }
        let broken = || (Reason::Write, Fault::file(Sentence::FilesUnwritten));
        (&mut self.result).await.unwrap_or_else(|_| Err(broken()))
    }

    /// How many bytes of files have come and been written.
    pub(super) fn come(&self) -> u64 {
        self.come.load(Ordering::Relaxed)
    }

    /// Which entry is being written.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.orders = None;
        let _in_time_or_not = self.ended.recv_timeout(ABANDON_MAX);
        if let Some(line) = self.epitaph.as_ref().and_then(|line| line.get()) {
            ui::note(line);
        }
    }
}

/// The file that is being written.
struct Open {
    place: Place,
    hasher: blake3::Hasher,
    /// Bytes that are missing; nothing if nobody knows.
    left: Option<u64>,
}

enum Place {
    File(File, Early),
    Output,
    Text,
}

struct Writer {
    plan: Arc<Plan>,
    goal: Goal,
    had: HashMap<usize, Had>,
    /// The next entry to look at.
    next: usize,
    open: Option<Open>,
    /// Bytes of the open file that are neither written nor hashed yet.
    buffer: Vec<u8>,
    /// Hashes of files that were written and are still to be compared.
    unsummed: VecDeque<Hash>,
    all: Vec<Hash>,
    current: Arc<AtomicUsize>,
    come: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<Outcome, Refusal> {
        let result = self.obey(&mut orders);
        if let (Err((Reason::Damaged | Reason::Protocol, _)), Goal::Files { staging, .. }) =
            (&result, &mut self.goal)
        {
            staging.condemn();
        }
        result?;
        match self.goal {
            Goal::Files { mut staging, overwrite } => staging.finish(overwrite).map(Outcome::Files),
            Goal::Output => Ok(Outcome::Output),
            Goal::Text(text) => Ok(Outcome::Text(text)),
        }
    }

    fn obey(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<(), Refusal> {
        self.advance()?;
        loop {
            let order = match orders.try_recv() {
                Ok(order) => Some(order),
                // What has come is written before anything else is waited for.
                Err(_) => self.flush().map(|()| orders.blocking_recv())?,
            };
            match order {
                Some(Order::Packets(packets)) => packets.iter().try_for_each(|packet| self.take(packet))?,
                Some(Order::Done(hash)) => return self.check(&hash),
                None => return Err((Reason::Wanted, Fault::peer(Sentence::GivenUp))),
            }
        }
    }

    fn take(&mut self, packet: &Bytes) -> Result<(), Refusal> {
        if packet::id(packet) == Ok(Chunk::ID) {
            return self.write(Chunk::data_in(packet).map_err(|_| protocol())?);
        }
        let Sums { hashes } = packet::decode(packet).map_err(|_| protocol())?;
        self.compare(&hashes)
    }

    /// Opens the next file that is not there, and makes those that have no bytes.
    fn advance(&mut self) -> Result<(), Refusal> {
        while let Some(item) = self.plan.items.get(self.next) {
            let entry = self.next;
            self.next += 1;
            let Kind::File { size, .. } = item.kind else { continue };
            let (hasher, from) = match self.had.remove(&entry) {
                Some(Had::Whole(hash)) => {
                    self.all.push(hash);
                    continue;
                }
                Some(Had::Part(hasher, from)) => (*hasher, from),
                None => (blake3::Hasher::new(), 0),
            };
            let place = match &self.goal {
                Goal::Files { staging, .. } => {
                    let file = staging.file(item, from);
                    let file = file.map_err(|error| {
                        write_refusal(Sentence::NotMade { path: &item.path.display() }, &error)
                    })?;
                    Place::File(file, Early::default())
                }
                Goal::Output => Place::Output,
                Goal::Text(_) => Place::Text,
            };
            self.current.store(entry, Ordering::Relaxed);
            let open = Open { place, hasher, left: size.map(|size| size - from) };
            if open.left == Some(0) {
                self.close(open)?;
            } else {
                self.open = Some(open);
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, mut data: &[u8]) -> Result<(), Refusal> {
        if data.is_empty() {
            return Err(protocol());
        }
        while !data.is_empty() {
            let Some(open) = &mut self.open else { return Err(protocol()) };
            let count = open
                .left
                .map_or(data.len(), |left| data.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            let (now, later) = data.split_at(count.min(WRITE_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            self.come.fetch_add(now.len() as u64, Ordering::Relaxed);
            open.left = open.left.map(|left| left - now.len() as u64);
            data = later;
            if open.left == Some(0) {
                self.close_open()?;
                self.advance()?;
            } else if self.buffer.len() == WRITE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes and hashes what has come.
    fn flush(&mut self) -> Result<(), Refusal> {
        let Some(open) = self.open.as_mut().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        match (&mut open.place, &mut self.goal) {
            (Place::File(file, early), _) => {
                file.write_all(&self.buffer).and_then(|()| early.wrote(file, self.buffer.len()))
            }
            (Place::Text, Goal::Text(text)) => text.write_all(&self.buffer),
            _ => io::stdout().write_all(&self.buffer).and_then(|()| io::stdout().flush()),
        }
        .map_err(|error| write_refusal(Sentence::FileUnwritten, &error))?;
        open.hasher.update(&self.buffer);
        self.buffer.clear();
        Ok(())
    }

    fn close_open(&mut self) -> Result<(), Refusal> {
        self.flush()?;
        self.open.take().map_or(Ok(()), |open| self.close(open))
    }

    fn close(&mut self, open: Open) -> Result<(), Refusal> {
        if let (Place::File(file, early), Goal::Files { staging, .. }) = (open.place, &self.goal) {
            early
                .finish()
                .and_then(|()| staging.close(&file))
                .map_err(|error| write_refusal(Sentence::FileUnwritten, &error))?;
        }
        let hash = *open.hasher.finalize().as_bytes();
        self.unsummed.push_back(hash);
        self.all.push(hash);
        Ok(())
    }

    /// The next files must be these.
    fn compare(&mut self, hashes: &[Hash]) -> Result<(), Refusal> {
        // What has no known length has its end here.
        if self.open.as_ref().is_some_and(|open| open.left.is_none()) {
            self.close_open()?;
        }
        for hash in hashes {
            if self.unsummed.pop_front().ok_or_else(protocol)? != *hash {
                return Err(damaged());
            }
        }
        Ok(())
    }

    /// Everything must be there.
    fn check(&self, hash: &Hash) -> Result<(), Refusal> {
        if self.open.is_some() || !self.unsummed.is_empty() {
            return Err(protocol());
        }
        if total(&self.all) == *hash { Ok(()) } else { Err(damaged()) }
    }
}

fn protocol() -> Refusal {
    (Reason::Protocol, Fault::peer(Reason::Protocol.told()))
}

fn damaged() -> Refusal {
    (Reason::Damaged, Fault::file(Sentence::ArrivedDamaged))
}
