//! A TCP proxy that misbehaves on command: it cuts, stalls and half-closes the connections that pass through it.
//!
//! It knows nothing of what it carries. One thread copies each direction of each connection; a test says what happens, and when.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The proxy. Dropping it cuts everything and frees the port.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    /// Something in `state` has changed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    next: u64,
    /// Bytes carried, both ways.
    carried: u64,
    /// Everything carried so far, if it is to be kept.
    captured: Option<Vec<u8>>,
    /// Nothing passes while this is set.
    stalled: bool,
    closed: bool,
    outage: Outage,
}

struct Connection {
    number: u64,
    client: TcpStream,
    target: TcpStream,
}

/// How long fewer connections stood than were wanted, or nothing passed.
#[derive(Default)]
struct Outage {
    wanted: usize,
    since: Option<Instant>,
    total: Duration,
}

impl State {
    fn settle_outage(&mut self) {
        let out = self.connections.len() < self.outage.wanted || self.stalled;
        match (out, self.outage.since) {
            (true, None) => self.outage.since = Some(Instant::now()),
            (false, Some(since)) => {
                self.outage.total += since.elapsed();
                self.outage.since = None;
            }
            _ => {}
        }
    }

    fn forget(&mut self, number: u64) {
        self.connections.retain(|connection| {
            let kept = connection.number != number;
            if !kept {
                // Whoever has gone already needs no goodbye.
                let _ = connection.client.shutdown(Shutdown::Both);
                let _ = connection.target.shutdown(Shutdown::Both);
            }
            kept
        });
        self.settle_outage();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Listens on a free loopback port and carries everything to `target`.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { target, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.lock().closed {
                    break;
                }
                // No relay there: the client sees its connection end at once.
                if let Ok(target) = TcpStream::connect(accepting.target) {
                    let _ = carry(&accepting, &client, &target);
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Keeps a copy of everything that passes from now on.
    pub fn capture(&self) {
        self.shared.lock().captured = Some(Vec::new());
    }

    /// What has passed since [`capture`](Self::capture), both ways.
    #[must_use]
    pub fn captured(&self) -> Vec<u8> {
        self.shared.lock().captured.clone().unwrap_or_default()
    }

    /// Waits until so many bytes have passed in all, or until `limit`; says whether they have.
    #[must_use]
    pub fn wait_carried(&self, bytes: u64, limit: Duration) -> bool {
        self.wait(limit, |state| state.carried >= bytes)
    }

    /// Waits until so many connections stand, or until `limit`; says whether they do.
    #[must_use]
    pub fn wait_connections(&self, count: usize, limit: Duration) -> bool {
        self.wait(limit, |state| state.connections.len() >= count)
    }

    fn wait(&self, limit: Duration, done: impl Fn(&State) -> bool) -> bool {
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), limit, |state| !done(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    /// Bytes that have passed, both ways.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.shared.lock().carried
    }

    /// Cuts the connection at this place among those that stand, modulo their number.
    pub fn cut(&self, which: usize) {
        let mut state = self.shared.lock();
        if let Some(number) = pick(&state, which) {
            state.forget(number);
        }
    }

    /// Closes one direction of the connection at this place: towards the relay, or towards the client.
    pub fn half_close(&self, which: usize, towards_relay: bool) {
        let state = self.shared.lock();
        let Some(number) = pick(&state, which) else { return };
        if let Some(connection) = state.connections.iter().find(|connection| connection.number == number) {
            let side = if towards_relay { &connection.target } else { &connection.client };
            let _ = side.shutdown(Shutdown::Write);
        }
    }

    /// Lets nothing pass, or lets it pass again. Connections stay up.
    pub fn stall(&self, stalled: bool) {
        let mut state = self.shared.lock();
        state.stalled = stalled;
        state.settle_outage();
        self.shared.changed.notify_all();
    }

    /// From now on, counts the time in which fewer connections than this stand, or nothing passes.
    pub fn count_outage(&self, wanted: usize) {
        let mut state = self.shared.lock();
        state.outage = Outage { wanted, ..Outage::default() };
        state.settle_outage();
    }

    /// The time counted, which is not counted any further.
    #[must_use]
    pub fn take_outage(&self) -> Duration {
        let mut state = self.shared.lock();
        let outage = std::mem::take(&mut state.outage);
        outage.total + outage.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        while let Some(number) = state.connections.first().map(|connection| connection.number) {
            state.forget(number);
        }
        state.stalled = false;
        self.shared.changed.notify_all();
        drop(state);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn pick(state: &State, which: usize) -> Option<u64> {
    let index = which.checked_rem(state.connections.len())?;
    state.connections.get(index).map(|connection| connection.number)
}

fn carry(shared: &Arc<Shared>, client: &TcpStream, target: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let mut state = shared.lock();
    state.next += 1;
    let number = state.next;
    let (keep_client, keep_target) = (client.try_clone()?, target.try_clone()?);
    state.connections.push(Connection { number, client: keep_client, target: keep_target });
    state.settle_outage();
    shared.changed.notify_all();
    drop(state);
    for (from, to) in [(client, target), (target, client)] {
        let (from, to, shared) = (from.try_clone()?, to.try_clone()?, Arc::clone(shared));
        thread::spawn(move || {
            copy(&shared, from, to);
            shared.lock().forget(number);
            shared.changed.notify_all();
        });
    }
    Ok(())
}

/// Copies until either end is gone.
fn copy(shared: &Shared, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let waiting = shared.changed.wait_while(shared.lock(), |state| state.stalled);
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
        state.carried += read as u64;
        if let Some(captured) = &mut state.captured {
            captured.extend_from_slice(&buffer[..read]);
        }
        shared.changed.notify_all();
        drop(state);
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}
