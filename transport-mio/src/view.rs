//! The view from outside: `/metrics`, `/healthz` and `/readyz` over HTTP, on a listener and a thread of their own.
//!
//! The rule: whoever looks costs the relay one question, and cannot hold up the others who look. Connections here are few, each has one
//! deadline from beginning to end, one request, and one answer. The relay's loop is asked through its [`Handle`] with a deadline, so a
//! loop that hangs is seen as such.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /metrics` | 200 and the [metrics](crate::METRICS); 503 while the loop does not answer |
//! | `GET /healthz` | 200 while the loop answers within 2 s, else 503 |
//! | `GET /readyz` | 200 while new clients are welcome, else 503 and why not |
//! | `GET /` | 200 and these paths |
//! | another path | 404 |
//! | another method than GET and HEAD | 405 |
//! | more than 8 KiB, or too many headers | 431 |
//! | no HTTP | 400 |
//!
//! It speaks neither TLS nor passwords: let it listen where only those come who may look.

mod answer;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::handle::Handle;
use answer::{Asked, Question};

/// Connections at once; more wait until one of these ends.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may last.
const CONNECTION_TIME: Duration = Duration::from_secs(5);
/// How long the relay's loop may take to answer.
const LOOP_TIME: Duration = Duration::from_secs(2);
/// How long no connection is accepted after the system had no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that may come behind a request before the connection is cut.
const IGNORED_MAX: usize = 64 * 1024;

const LISTENER: Token = Token(CONNECTIONS_MAX);
const WAKER: Token = Token(CONNECTIONS_MAX + 1);

/// Serves the view until it is dropped.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let relay = phantom_mio::RelayServer::bind("127.0.0.1:7777")?;
/// let _view = phantom_mio::View::bind("127.0.0.1:9777", relay.handle())?;
/// relay.run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct View {
    local_addr: SocketAddr,
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Listens here, and serves.
    ///
    /// # Errors
    /// If the address cannot be listened on, or as [`serve`](Self::serve).
    pub fn bind(address: impl ToSocketAddrs, handle: Handle) -> io::Result<Self> {
        Self::serve(std::net::TcpListener::bind(address)?, handle)
    }

    /// Serves what comes to this listener, on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no poll or no thread.
    pub fn serve(listener: std::net::TcpListener, handle: Handle) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut server = Server {
            poll,
            listener,
            handle,
            stop: Arc::clone(&stop),
            conns: [const { None }; CONNECTIONS_MAX],
            waiting: true,
            paused_until: None,
        };
        let thread = thread::Builder::new().name("view".to_owned()).spawn(move || server.serve())?;
        Ok(Self { local_addr, waker, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// Whoever is being answered is cut off.
impl Drop for View {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let woken = self.waker.wake();
        if let Some(thread) = self.thread.take()
            && woken.is_ok()
        {
            let _ended = thread.join();
        }
    }
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    handle: Handle,
    stop: Arc<AtomicBool>,
    conns: [Option<Conn>; CONNECTIONS_MAX],
    /// Connections may be waiting to be accepted.
    waiting: bool,
    /// Set while no connection is accepted, because the system had no room for one.
    paused_until: Option<Instant>,
}

impl Server {
    fn serve(&mut self) {
        let mut events = Events::with_capacity(2 * CONNECTIONS_MAX);
        while !self.stop.load(Ordering::Acquire) {
            let timeout =
                if self.waiting && self.paused_until.is_none() && self.conns.iter().any(Option::is_none) {
                    Some(Duration::ZERO)
                } else {
                    let ends = self.conns.iter().flatten().map(|conn| conn.ends);
                    let next = ends.chain(self.paused_until).min();
                    next.map(|at| at.saturating_duration_since(Instant::now()))
                };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return log::error!("nobody can look at the relay any more: {error}");
                }
                _ => {}
            }
            self.waiting |= events.iter().any(|event| event.token() == LISTENER);
            self.accept();
            self.receive();
            self.answer();
            self.send();
        }
    }

    /// Takes who waits, while there is a place.
    fn accept(&mut self) {
        let now = Instant::now();
        self.conns.iter_mut().for_each(|place| drop(place.take_if(|conn| conn.ends <= now)));
        if self.paused_until.is_some_and(|at| at > now) {
            return;
        }
        self.paused_until = None;
        while self.waiting
            && let Some((token, place)) = (0..).zip(&mut self.conns).find(|(_, place)| place.is_none())
        {
            match self.listener.accept() {
                Ok((mut socket, _)) => {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    if self.poll.registry().register(&mut socket, Token(token), interest).is_ok() {
                        *place = Some(Conn {
                            socket,
                            phase: Phase::Asking(Vec::new()),
                            ends: now + CONNECTION_TIME,
                        });
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.waiting = false,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        self.paused_until = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn receive(&mut self) {
        for place in &mut self.conns {
            place.take_if(|conn| conn.receive().is_err());
        }
    }

    /// Answers all who have asked by now, with one question to the loop.
    fn answer(&mut self) {
        let asks_loop = |conn: &Conn| matches!(&conn.phase, Phase::Asked(asked) if asked.needs_stats());
        let stats = if self.conns.iter().flatten().any(asks_loop) {
            self.handle.stats_within(LOOP_TIME)
        } else {
            None
        };
        for conn in self.conns.iter_mut().flatten() {
            if let Phase::Asked(asked) = &conn.phase {
                conn.phase = Phase::Answering(asked.answer(stats.as_ref()), 0);
            }
        }
    }

    fn send(&mut self) {
        for place in &mut self.conns {
            place.take_if(|conn| conn.send().is_err());
        }
    }
}

/// One who looks.
struct Conn {
    socket: TcpStream,
    phase: Phase,
    ends: Instant,
}

enum Phase {
    /// So much of the request has come.
    Asking(Vec<u8>),
    /// The request is complete.
    Asked(Asked),
    /// So much of the answer has gone.
    Answering(Vec<u8>, usize),
    /// The answer has gone; what comes is thrown away until the other side closes, so that it can read the answer. So many bytes more,
    /// and it is cut off.
    Closing(usize),
}

/// The connection is of no more use.
struct Gone;

impl Conn {
    fn receive(&mut self) -> Result<(), Gone> {
        let mut buf = [0; 4096];
        while matches!(self.phase, Phase::Asking(_) | Phase::Closing(_)) {
            let read = match self.socket.read(&mut buf) {
                Ok(0) => return Err(Gone),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone),
            };
            match &mut self.phase {
                Phase::Asking(head) => {
                    head.extend_from_slice(&buf[..read]);
                    if let Question::Asked(asked) = answer::parse(head) {
                        self.phase = Phase::Asked(asked);
                    }
                }
                Phase::Closing(left) => *left = left.checked_sub(read).ok_or(Gone)?,
                Phase::Asked(_) | Phase::Answering(..) => {}
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Gone> {
        while let Phase::Answering(answer, sent) = &mut self.phase {
            match self.socket.write(&answer[*sent..]) {
                Ok(0) => return Err(Gone),
                Ok(written) => *sent += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone),
            }
            if *sent == answer.len() {
                self.phase = Phase::Closing(IGNORED_MAX);
                self.socket.shutdown(Shutdown::Write).map_err(|_| Gone)?;
                return self.receive();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, path: &str) -> String {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A relay whose loop runs, as far as anybody knows, and never answers.
    #[test]
    fn a_loop_that_hangs_is_seen() {
        let poll = Poll::new().unwrap();
        let handle = Handle::new(Waker::new(poll.registry(), Token(0)).unwrap());
        handle.begin();
        let view = View::bind("127.0.0.1:0", handle).unwrap();
        let begin = Instant::now();
        let askers: Vec<_> = ["/healthz", "/readyz", "/metrics"]
            .into_iter()
            .map(|path| {
                let address = view.local_addr();
                thread::spawn(move || ask(address, path))
            })
            .collect();
        for asker in askers {
            let answer = asker.join().unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("the relay's loop does not answer\n"),
                "{answer}"
            );
        }
        // One question serves all who wait, so this is at most two of them.
        assert!(begin.elapsed() >= LOOP_TIME && begin.elapsed() < LOOP_TIME * 5 / 2, "{:?}", begin.elapsed());
    }

    #[test]
    fn a_relay_that_does_not_run_yet_is_not_ready() {
        let poll = Poll::new().unwrap();
        let view =
            View::bind("127.0.0.1:0", Handle::new(Waker::new(poll.registry(), Token(0)).unwrap())).unwrap();
        let answer = ask(view.local_addr(), "/readyz");
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("the relay does not run yet\n"),
            "{answer}"
        );
    }
}
