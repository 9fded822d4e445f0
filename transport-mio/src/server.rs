//! The event loop: accept, give turns, keep deadlines, stop.
//!
//! In each round, in this order: note every event; accept a batch; give a turn to each socket that waits for one; handle what is due;
//! then wait, but not at all while somebody still waits for a turn.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::thread;

use mio::{Events, Interest, Poll, Waker};
use phantom_core::relay::{Relay, RelayConfig, RelaySecret};
use phantom_core::time::Instant;

use crate::budget;
use crate::clock::{self, Clock};
use crate::config::{ServerConfig, ServerLimits};
use crate::entropy;
use crate::error::StartError;
use crate::handle::{Handle, RunningRelay};
use crate::heap;
use crate::listener::{Listener, LocalAddress};
use crate::stats::{Histogram, ServerState, ServerStats};
use crate::switchboard::Switchboard;
use crate::token::{self, WAKER};

/// Events taken from the system at once.
const EVENTS: usize = 1024;

/// A relay that listens, and serves when it is [run](Self::run).
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let relay = phantom_mio::RelayServer::bind("127.0.0.1:7777")?;
/// relay.run()?;
/// # Ok(())
/// # }
/// ```
pub struct RelayServer {
    poll: Poll,
    listeners: Vec<Listener>,
    local_addrs: Vec<LocalAddress>,
    handle: Handle,
    clock: Clock,
    limits: ServerLimits,
    board: Switchboard,
    /// Set while no connection is accepted, because the system had no room for one.
    paused_until: Option<Instant>,
    /// When it was made, in seconds of Unix time.
    started: u64,
    rounds: Histogram,
    lateness: Histogram,
}

impl RelayServer {
    /// A relay with the default limits and a secret for this run only.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Self, StartError> {
        Self::bind_with(address, ServerConfig::default())
    }

    /// A relay with these limits. Port 0 takes a free port; [`local_addr`](Self::local_addr) says which.
    ///
    /// A name may stand for several addresses; the first that can be listened on is taken.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the system gives no random numbers or no poll.
    pub fn bind_with(address: impl ToSocketAddrs, config: ServerConfig) -> Result<Self, StartError> {
        Self::with_listeners(vec![Listener::tcp(address)?], config)
    }

    /// A relay that listens in all these places, with these limits.
    ///
    /// # Errors
    /// If there is no listener, or the system gives no random numbers or no poll.
    pub fn with_listeners(mut listeners: Vec<Listener>, config: ServerConfig) -> Result<Self, StartError> {
        if listeners.is_empty() {
            return Err(StartError::Address(io::Error::new(ErrorKind::InvalidInput, "there is none")));
        }
        let poll = Poll::new().map_err(StartError::System)?;
        for (number, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), token::listener(number)).map_err(StartError::System)?;
        }
        let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::System)?;
        let secret = match config.secret {
            Some(secret) => secret,
            None => RelaySecret::new(0, entropy::draw().map_err(StartError::Entropy)?),
        };
        let mut machine = RelayConfig::new(secret, clock::unix_now());
        machine.limits = budget::fit(config.relay, config.server.memory);
        machine.previous_secret = config.previous_secret;
        let relay = Relay::new(machine, entropy::draw().map_err(StartError::Entropy)?);
        let limits = config.server.sane();
        Ok(Self {
            poll,
            local_addrs: listeners.iter().map(|listener| listener.local_address().clone()).collect(),
            listeners,
            handle: Handle::new(waker),
            clock: Clock::new(),
            board: Switchboard::new(relay, limits.clone(), config.addresses, config.access),
            limits,
            paused_until: None,
            started: clock::unix_now(),
            rounds: Histogram::default(),
            lateness: Histogram::default(),
        })
    }

    /// Where the first of its TCP listeners listens; `0.0.0.0:0` if it has none.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        let mut addresses = self.local_addrs.iter();
        addresses.find_map(LocalAddress::tcp).unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Where each of its listeners listens, in their order.
    #[must_use]
    pub fn local_addrs(&self) -> &[LocalAddress] {
        &self.local_addrs
    }

    /// Stops the relay and reads its counters, from any thread.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves on this thread until the relay is [stopped](Handle::stop).
    ///
    /// # Errors
    /// If the system's poll fails, which it never should. No client can make it fail.
    pub fn run(mut self) -> io::Result<()> {
        self.handle.begin();
        self.serve()
    }

    /// Serves on a thread of its own, until what is returned is dropped.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn spawn(self) -> io::Result<RunningRelay> {
        let (handle, local_addr) = (self.handle(), self.local_addr());
        let mut tcp = self.listeners.iter().filter(|listener| listener.local_address().tcp().is_some());
        let scheme = if tcp.next().is_some_and(Listener::is_tls) { "wss" } else { "ws" };
        handle.begin();
        let thread = thread::Builder::new().name("phantom-relay".to_owned()).spawn(move || self.run())?;
        Ok(RunningRelay { handle, local_addr, scheme, thread: Some(thread) })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut stop_by = None;
        let mut now = self.clock.now();
        for listener in &self.listeners {
            log::info!(at:% = listener.local_address(), tls = listener.is_tls(); "the relay listens");
        }
        log::info!("the relay serves");
        loop {
            now = self.wait(&mut events, stop_by, now)?;
            for event in &events {
                if event.token() == WAKER {
                    continue;
                }
                let listener =
                    (0..).zip(&mut self.listeners).find(|(n, _)| token::listener(*n) == event.token());
                match listener {
                    Some((_, listener)) => listener.ready = true,
                    None => self.board.event(now, event.token().into(), event),
                }
            }
            self.reload();
            self.accept(now);
            self.board.turns(now);
            self.board.timeout(now);
            if self.handle.take_gather_memory() {
                heap::gather();
            }
            self.handle.answer(|| self.stats(ServerState::Serving));
            if self.handle.is_stopping() {
                let end = *stop_by.get_or_insert_with(|| {
                    log::info!(sockets = self.board.len(); "the relay drains: it listens no more, and tells its clients");
                    // The ports and files are free for a successor from here on.
                    self.listeners.clear();
                    self.board.drain(now);
                    now + self.limits.drain_timeout
                });
                if self.board.len() == 0 || end <= now {
                    log::info!(sockets = self.board.len(); "the relay has drained");
                    return Ok(());
                }
            }
        }
    }

    /// Ends the round that began at `began`; waits for events, for the next deadline, or not at all; says when the next round begins.
    fn wait(&mut self, events: &mut Events, stop_by: Option<Instant>, began: Instant) -> io::Result<Instant> {
        let now = self.clock.now();
        self.rounds.record(now.since(began));
        let accepting = self.paused_until.is_none() && self.listeners.iter().any(|listener| listener.ready);
        let deadline = self.board.deadline().into_iter().chain(self.paused_until).chain(stop_by).min();
        let timeout = if accepting || self.board.is_busy() {
            Some(std::time::Duration::ZERO)
        } else {
            deadline.map(|at| at.since(now))
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = self.clock.now();
        if let Some(at) = deadline.filter(|&at| at <= now) {
            self.lateness.record(now.since(at));
        }
        Ok(now)
    }

    /// The counters of the board and those of the loop itself.
    fn stats(&self, state: ServerState) -> ServerStats {
        ServerStats {
            state: if self.listeners.is_empty() { state.max(ServerState::Draining) } else { state },
            accepting: self.paused_until.is_none() && !self.listeners.is_empty(),
            started: self.started,
            uptime: self.clock.now().since(Instant::ZERO),
            rounds: self.rounds.clone(),
            lateness: self.lateness.clone(),
            certificate_not_after: self.listeners.iter().filter_map(Listener::certificate_expires).min(),
            ..self.board.stats()
        }
    }

    /// Takes what it has been given instead of what it has.
    fn reload(&mut self) {
        let new = self.handle.take_reload();
        if let Some(tls) = &new.tls {
            self.listeners.iter_mut().for_each(|listener| listener.reload(tls));
        }
        if let Some(access) = new.access {
            self.board.set_access(access);
        }
    }

    /// Accepts a batch from each listener. Whatever goes wrong with one connection is that connection's matter.
    fn accept(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|at| at > now) {
            return;
        }
        self.paused_until = None;
        for listener in self.listeners.iter_mut().filter(|listener| listener.ready) {
            for _ in 0..self.limits.accept_batch {
                match listener.accept() {
                    Ok((socket, address)) => {
                        let tls = listener.tls_config();
                        let Some(key) = self.board.admit(now, socket, address, tls) else { continue };
                        let interest = Interest::READABLE | Interest::WRITABLE;
                        let registry = self.poll.registry();
                        let registered =
                            self.board.socket(key).map(|s| s.register(registry, key.into(), interest));
                        if let Some(Err(error)) = registered {
                            log::warn!("a connection cannot be polled and is dropped: {error}");
                            self.board.discard(now, key);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        listener.ready = false;
                        break;
                    }
                    Err(error) if is_one_connections_matter(error.kind()) => {}
                    Err(error) => {
                        log::warn!("no room for another connection; trying again shortly: {error}");
                        self.board.count_accept_failure();
                        self.paused_until = Some(now + self.limits.accept_pause);
                        return;
                    }
                }
            }
        }
    }
}

/// Whoever asks for the counters from here on gets the last ones.
impl Drop for RelayServer {
    fn drop(&mut self) {
        self.handle.end(self.stats(ServerState::Stopped));
    }
}

impl std::fmt::Debug for RelayServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayServer").field("local_addrs", &self.local_addrs).finish_non_exhaustive()
    }
}

/// Errors of `accept` that say something about the connection that was to be accepted, not about the system.
const fn is_one_connections_matter(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::PermissionDenied
    )
}
