//! Two honest pairs that measure what a relay gives them: bulk at a fixed pace one way, stamps of 64 bytes every few milliseconds the
//! other way.
//!
//! Their clients are bare sockets: what is measured is the relay. A stamp carries the time at which it was to leave, so that a sender
//! that could not send in time counts as late.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use phantom_core::id::PeerId;
use phantom_core::wire::FORWARD_HEADER;

use crate::raw::{self, BINARY, Inbox, Pair, Raw};

/// How many pairs there are.
pub const PAIRS: u8 = 2;
/// Bytes of one message of the bulk.
const BULK: usize = 16 * 1024;
const STAMP: usize = 64;
const STAMP_EVERY: Duration = Duration::from_millis(4);
/// A sender that was held up makes up for so much and no more: phases of a measurement must not flow into each other.
const CATCH_UP: Duration = Duration::from_millis(250);

/// The pairs, at work until they are dropped.
pub struct Honest {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    sockets: Vec<TcpStream>,
    /// Their IDs.
    pub ids: Vec<PeerId>,
}

struct Shared {
    epoch: Instant,
    over: AtomicBool,
    delivered: AtomicU64,
    late: Mutex<Vec<Duration>>,
    lost: AtomicU64,
}

/// What they had since they were asked before.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Bytes of bulk that arrived, each second.
    pub bytes_per_second: f64,
    /// How long a stamp took: half of them took less.
    pub median: Duration,
    /// One in a hundred took longer.
    pub p99: Duration,
    /// Connections that ended since the beginning.
    pub lost: u64,
}

impl Honest {
    /// Lets the pairs meet and begin, with this many bytes of bulk a second in all.
    ///
    /// # Errors
    /// The relay does not let them.
    pub fn start(to: SocketAddr, bytes_per_second: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            over: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            late: Mutex::default(),
            lost: AtomicU64::new(0),
        });
        let mut honest = Self { shared, threads: Vec::new(), sockets: Vec::new(), ids: Vec::new() };
        let every = Duration::from_secs_f64(BULK as f64 * f64::from(PAIRS) / bytes_per_second as f64);
        for n in 1..=PAIRS {
            let Pair { a, a_channel, b, b_channel } =
                Pair::meet(IpAddr::V4(Ipv4Addr::new(127, 0, 2, n)), to)?;
            for (raw, channel, len, every) in
                [(a, a_channel, BULK, every), (b, b_channel, STAMP, STAMP_EVERY)]
            {
                honest.employ(raw, channel, len, every)?;
            }
        }
        Ok(honest)
    }

    fn employ(&mut self, raw: Raw, channel: u32, len: usize, every: Duration) -> io::Result<()> {
        let Raw { socket, mut inbox, id } = raw;
        self.ids.push(id);
        // A relay under attack may be slow, and is not dead for it.
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(None)?;
        let (mut reader, mut writer) = (socket.try_clone()?, socket.try_clone()?);
        self.sockets.push(socket);
        let shared = Arc::clone(&self.shared);
        self.threads
            .push(thread::spawn(move || shared.ended(&shared.send(&mut writer, channel, len, every))));
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread::spawn(move || shared.ended(&shared.receive(&mut reader, &mut inbox))));
        Ok(())
    }

    /// What they had for so long from now.
    #[must_use]
    pub fn measure(&self, time: Duration) -> Measured {
        self.shared.take();
        let begun = Instant::now();
        thread::sleep(time);
        let (bytes, mut late) = self.shared.take();
        let elapsed = begun.elapsed();
        late.sort_unstable();
        // Nothing at all arrived: that is as late as the whole time.
        let rank = |share: usize| late.get(late.len() * share / 100).copied().unwrap_or(elapsed);
        Measured {
            bytes_per_second: bytes as f64 / elapsed.as_secs_f64(),
            median: rank(50),
            p99: rank(99),
            lost: self.shared.lost.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for socket in &self.sockets {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn send(&self, to: &mut TcpStream, channel: u32, len: usize, every: Duration) -> io::Result<()> {
        let mut message = Vec::new();
        raw::forward(&mut message, channel, &vec![0; len]);
        let stamp = message.len() - len;
        let mut due = Instant::now();
        while !self.over.load(Ordering::Relaxed) {
            due = due.max(Instant::now().checked_sub(CATCH_UP).unwrap_or(due));
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let time = u64::try_from((due - self.epoch).as_nanos()).map_err(io::Error::other)?;
            message[stamp..stamp + 8].copy_from_slice(&time.to_be_bytes());
            to.write_all(&message)?;
            due += every;
        }
        Ok(())
    }

    fn receive(&self, from: &mut TcpStream, inbox: &mut Inbox) -> io::Result<()> {
        while inbox.read(from)? > 0 {
            while let Some((first, payload)) = inbox.message() {
                match (first, payload.len() - FORWARD_HEADER.min(payload.len())) {
                    (BINARY, BULK) => {
                        self.delivered.fetch_add(BULK as u64, Ordering::Relaxed);
                    }
                    (BINARY, STAMP) => {
                        let mut time = [0; 8];
                        time.copy_from_slice(&payload[FORWARD_HEADER..FORWARD_HEADER + 8]);
                        let sent = Duration::from_nanos(u64::from_be_bytes(time));
                        let late = self.epoch.elapsed().saturating_sub(sent);
                        self.late.lock().unwrap_or_else(PoisonError::into_inner).push(late);
                    }
                    _ => {}
                }
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn ended(&self, result: &io::Result<()>) {
        if result.is_err() && !self.over.load(Ordering::Relaxed) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(&self) -> (u64, Vec<Duration>) {
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        (self.delivered.swap(0, Ordering::Relaxed), late)
    }
}
