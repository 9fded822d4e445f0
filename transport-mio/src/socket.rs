//! What carries a connection's bytes: TCP, or a Unix socket behind a proxy of this machine; and TLS over either.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustls::ServerConfig;

use crate::handshake::HandshakeFailure;
use crate::tls::TlsSocket;

/// One accepted connection, whatever it came over. Nothing here blocks.
#[derive(Debug)]
pub(crate) enum Socket {
    /// From the network.
    Tcp(TcpStream),
    /// From this machine.
    Unix(UnixStream),
    /// From either, encrypted.
    Tls(Box<TlsSocket>),
}

impl Socket {
    /// TLS over this socket.
    pub(crate) fn secure(self, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self::Tls(Box::new(TlsSocket::new(self, config)?)))
    }

    /// Something else comes before TLS.
    pub(crate) fn hold_back(&mut self) {
        if let Self::Tls(socket) = self {
            socket.hold_back();
        }
    }

    /// What came before TLS is over, and these bytes have been read already; says whether it takes them, because there is TLS.
    pub(crate) fn begin(&mut self, early: &[u8]) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(socket) => {
                socket.begin(early);
                true
            }
        }
    }

    /// Tells the peer that nothing more comes. With TLS, what waits leaves first: see [`wants_flush`](Self::wants_flush).
    pub(crate) fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(how),
            Self::Unix(socket) => socket.shutdown(how),
            Self::Tls(socket) => socket.shutdown(),
        }
    }

    /// Whether something waits to be written that nobody gave it to write.
    pub(crate) fn wants_flush(&self) -> bool {
        matches!(self, Self::Tls(socket) if socket.wants_flush())
    }

    /// Whether the last read stopped early: there may be more that no event announces.
    pub(crate) fn has_more(&self) -> bool {
        matches!(self, Self::Tls(socket) if socket.has_more())
    }

    /// Whether an end is known that no event announces.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Self::Tls(socket) if socket.has_ended())
    }

    /// If it has ended because the peer does not speak TLS: how it failed. It is being told.
    pub(crate) fn refuse(&mut self) -> Option<HandshakeFailure> {
        match self {
            Self::Tls(socket) => socket.refuse(),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// Bytes of memory that it holds itself.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            Self::Tls(socket) => socket.memory(),
        }
    }

    /// To be polled under this token.
    pub(crate) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let source: &mut dyn Source = match self {
            Self::Tcp(socket) => socket,
            Self::Unix(socket) => socket,
            Self::Tls(socket) => return socket.carrier().register(registry, token, interest),
        };
        registry.register(source, token, interest)
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buf),
            Self::Unix(socket) => socket.read(buf),
            Self::Tls(socket) => socket.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
            Self::Tls(socket) => socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write_vectored(bufs),
            Self::Unix(socket) => socket.write_vectored(bufs),
            Self::Tls(socket) => socket.write_vectored(bufs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Tls(socket) => socket.flush(),
        }
    }
}
