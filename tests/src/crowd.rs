//! A crowd of clients that have joined and then only say that they are there: sockets of one thread, from many loopback addresses.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use phantom_core::wire::ClientFrame;

use crate::program::Result;
use crate::raw::{self, Raw};

/// They come from so many addresses in turn, because a relay lets in only so many from one, and only so fast.
const ADDRESSES: usize = 2000;
/// How often each says that it is there.
pub const PING_EVERY: Duration = Duration::from_secs(15);

/// All clients, in the order in which they say that they are there.
pub struct Crowd {
    at: SocketAddr,
    poll: Poll,
    members: Vec<TcpStream>,
    due: VecDeque<(Instant, usize)>,
    ping: Vec<u8>,
    /// What the relay has answered so far.
    pub answers: u64,
}

impl Crowd {
    /// Nobody yet, for the relay at this address.
    ///
    /// # Errors
    /// The system gives no poll.
    pub fn new(at: SocketAddr) -> Result<Self> {
        let mut ping = Vec::new();
        raw::say(&mut ping, ClientFrame::Ping { token: 1 });
        let (members, due) = (Vec::new(), VecDeque::new());
        Ok(Self { at, poll: Poll::new()?, members, due, ping, answers: 0 })
    }

    /// Lets clients join until there are so many.
    ///
    /// # Errors
    /// One is not let in, or is disconnected.
    pub fn grow(&mut self, count: usize) -> Result<()> {
        while self.members.len() < count {
            let number = self.members.len();
            let address = u32::from(Ipv4Addr::new(127, 1, 0, 1)) + u32::try_from(number % ADDRESSES)?;
            let raw = Raw::join(IpAddr::V4(address.into()), self.at, 1)
                .map_err(|error| format!("client {number} is not let in: {error}"))?;
            raw.socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(raw.socket);
            self.poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
            self.members.push(socket);
            self.due.push_back((Instant::now() + PING_EVERY, number));
            self.attend(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Waits at most so long, reads what came, and sends what is due.
    ///
    /// # Errors
    /// One is disconnected.
    pub fn attend(&mut self, wait: Duration) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        self.poll.poll(&mut events, Some(wait))?;
        let mut scratch = [0; 4096];
        for event in &events {
            let number = event.token().0;
            loop {
                match self.members[number].read(&mut scratch) {
                    Ok(0) => return Err(format!("client {number} was disconnected").into()),
                    Ok(_) if scratch[0] == raw::CLOSE => {
                        return Err(format!("client {number} was closed").into());
                    }
                    Ok(_) => self.answers += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(format!("client {number} was disconnected: {error}").into()),
                }
            }
        }
        let now = Instant::now();
        while let Some(&(due, number)) = self.due.front()
            && due <= now
        {
            self.due.pop_front();
            self.members[number].write_all(&self.ping)?;
            self.due.push_back((due + PING_EVERY, number));
        }
        Ok(())
    }

    /// Stays, on a thread of its own.
    #[must_use]
    pub fn stand_by(self) -> Bystanders {
        let over = Arc::new(AtomicBool::new(false));
        let (mut crowd, flag) = (self, Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                crowd.attend(Duration::from_millis(50)).map_err(|error| error.to_string())?;
            }
            Ok(())
        });
        Bystanders { over, thread }
    }
}

/// A crowd that stays until it is asked.
pub struct Bystanders {
    over: Arc<AtomicBool>,
    thread: JoinHandle<std::result::Result<(), String>>,
}

impl Bystanders {
    /// Lets them go.
    ///
    /// # Errors
    /// One of them has been disconnected before.
    pub fn leave(self) -> std::result::Result<(), String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err("the crowd has fallen over".to_owned()))
    }
}
