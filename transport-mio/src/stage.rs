//! For benchmarks: a relay whose rounds are called one by one, over Unix sockets, with a clock that stands. So the same bytes cost the
//! same instructions every time. No part of the relay, and no promise to anybody.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mio::{Events, Interest, Poll};
use phantom_core::relay::{Relay, RelayConfig, RelaySecret};
use phantom_core::time::Instant;

use crate::access::Access;
use crate::config::ServerLimits;
use crate::proxy::ClientAddresses;
use crate::socket::Socket;
use crate::switchboard::Switchboard;

/// A relay without a loop of its own.
pub struct Stage {
    board: Switchboard,
    poll: Poll,
    events: Events,
}

impl Stage {
    /// Without limits on what a client may send, and with a secret that everybody knows.
    ///
    /// # Errors
    /// If the system gives no poll.
    pub fn new() -> io::Result<Self> {
        let config = RelayConfig::new(RelaySecret::new(0, [1; 32]), 0);
        let limits = ServerLimits {
            client_bytes_per_second: 0,
            client_messages_per_second: 0,
            ..ServerLimits::default()
        };
        Ok(Self {
            board: Switchboard::new(
                Relay::new(config, [2; 32]),
                limits,
                ClientAddresses::default(),
                Access::default(),
            ),
            poll: Poll::new()?,
            events: Events::with_capacity(64),
        })
    }

    /// The client's end of a new connection.
    ///
    /// # Errors
    /// If the system gives no pair of sockets.
    pub fn connect(&mut self) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        far.set_nonblocking(true)?;
        let socket = Socket::Unix(mio::net::UnixStream::from_std(far));
        let key = self
            .board
            .admit(Instant::ZERO, socket, None, None)
            .ok_or(io::Error::from(io::ErrorKind::ConnectionRefused))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.board
            .socket(key)
            .map_or(Ok(()), |socket| socket.register(self.poll.registry(), key.into(), interest))?;
        Ok(near)
    }

    /// Handles whatever has happened, until nobody waits for a turn.
    ///
    /// # Errors
    /// If the system's poll fails.
    pub fn round(&mut self) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            self.board.event(Instant::ZERO, event.token().into(), event);
        }
        self.board.turns(Instant::ZERO);
        while self.board.is_busy() {
            self.board.turns(Instant::ZERO);
        }
        Ok(())
    }
}
