//! Where a relay listens: TCP addresses and Unix sockets, plain or with TLS.
//!
//! The rule: a place is listened on when the [`Listener`] is made, or nothing is. IPv6 is IPv6 only, so that `0.0.0.0` and `[::]` stand
//! side by side and every client has one address. The file of a Unix socket is removed by whoever made it, and by nobody else.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Type};

use crate::certificate::TlsConfig;
use crate::error::StartError;
use crate::socket::Socket;

/// Connections that wait to be accepted: as many as the system allows, for it takes less than it is asked for.
const BACKLOG: i32 = i32::MAX;

/// A place where a relay listens, for [`RelayServer::with_listeners`](crate::RelayServer::with_listeners).
///
/// ```no_run
/// # fn main() -> Result<(), phantom_mio::StartError> {
/// use phantom_mio::{Listener, RelayServer, ServerConfig};
///
/// let listeners = vec![
///     Listener::tcp("0.0.0.0:7777")?,
///     Listener::tcp("[::]:7777")?,
///     Listener::unix("/run/phantom/relay.socket")?,
/// ];
/// let relay = RelayServer::with_listeners(listeners, ServerConfig::default())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    /// The file that was made for it. It goes before the socket does, so that a successor never finds it stale, and ours to remove.
    file: Option<OwnFile>,
    socket: Accepting,
    address: LocalAddress,
    tls: Option<TlsConfig>,
    /// Connections may be waiting.
    pub(crate) ready: bool,
}

/// Where a [`Listener`] listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocalAddress {
    /// An address and a port of TCP.
    Tcp(SocketAddr),
    /// The file of a Unix socket; empty if the socket has none.
    Unix(PathBuf),
}

#[derive(Debug)]
enum Accepting {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl Listener {
    /// Listens on a TCP address. Port 0 takes a free port.
    ///
    /// A name may stand for several addresses; the first that can be listened on is taken.
    ///
    /// # Errors
    /// If none of its addresses can be listened on.
    pub fn tcp(address: impl ToSocketAddrs) -> Result<Self, StartError> {
        let mut problem = StartError::Address(io::Error::new(ErrorKind::InvalidInput, "it names no address"));
        for address in address.to_socket_addrs().map_err(StartError::Address)? {
            match listen_tcp(address) {
                Ok(socket) => return Self::from_tcp(socket),
                Err(source) => problem = StartError::Listen { address, source },
            }
        }
        Err(problem)
    }

    /// Listens on a Unix socket, for a reverse proxy on the same machine.
    ///
    /// A socket that an earlier process left there is replaced if nobody listens on it. The file is removed when the relay stops. Whoever
    /// shall connect needs the right to write to the file: the process' umask decides that, and the folder it is in.
    ///
    /// # Errors
    /// If somebody listens there already, if the path is something else than a socket, or if the system refuses.
    pub fn unix(path: impl AsRef<Path>) -> Result<Self, StartError> {
        let path = path.as_ref();
        let fail = |source| StartError::ListenUnix { path: path.to_owned(), source };
        remove_stale(path).map_err(fail)?;
        let socket = listen_unix(path).map_err(fail)?;
        let file = OwnFile::of(path).map_err(fail)?;
        let mut listener = Self::from_unix(socket)?;
        listener.file = Some(file);
        Ok(listener)
    }

    /// A TCP socket that listens already, as systemd hands it over.
    ///
    /// # Errors
    /// If the system does not say where it listens, or lets it be nothing but blocking.
    pub fn from_tcp(socket: std::net::TcpListener) -> Result<Self, StartError> {
        socket.set_nonblocking(true).map_err(StartError::System)?;
        let address = LocalAddress::Tcp(socket.local_addr().map_err(StartError::System)?);
        let socket = Accepting::Tcp(mio::net::TcpListener::from_std(socket));
        Ok(Self { file: None, socket, address, tls: None, ready: true })
    }

    /// A Unix socket that listens already, as systemd hands it over. Its file is left alone.
    ///
    /// # Errors
    /// If the system does not say where it listens, or lets it be nothing but blocking.
    pub fn from_unix(socket: std::os::unix::net::UnixListener) -> Result<Self, StartError> {
        socket.set_nonblocking(true).map_err(StartError::System)?;
        let address = socket.local_addr().map_err(StartError::System)?;
        let address = LocalAddress::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned());
        let socket = Accepting::Unix(mio::net::UnixListener::from_std(socket));
        Ok(Self { file: None, socket, address, tls: None, ready: true })
    }

    /// The same place, where TLS is spoken.
    #[must_use]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Whether TLS is spoken there.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_address(&self) -> &LocalAddress {
        &self.address
    }

    /// To be polled under this token.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let source: &mut dyn Source = match &mut self.socket {
            Accepting::Tcp(socket) => socket,
            Accepting::Unix(socket) => socket,
        };
        registry.register(source, token, Interest::READABLE)
    }

    /// The next connection, and the address it comes from if it comes over a network.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        let gone = |error| io::Error::new(ErrorKind::ConnectionAborted, error);
        let (socket, address) = match &self.socket {
            Accepting::Tcp(listener) => {
                let (socket, from) = listener.accept()?;
                socket.set_nodelay(true).map_err(gone)?;
                (Socket::Tcp(socket), Some(from.ip().to_canonical()))
            }
            Accepting::Unix(listener) => (Socket::Unix(listener.accept()?.0), None),
        };
        let socket = match &self.tls {
            None => socket,
            Some(tls) => socket.secure(tls.rustls()).map_err(io::Error::other).map_err(gone)?,
        };
        Ok((socket, address))
    }

    /// When its certificate expires, if it has one.
    pub(crate) fn certificate_expires(&self) -> Option<u64> {
        self.tls.as_ref().and_then(TlsConfig::expires)
    }

    /// Begins the TLS of connections accepted from now on with this, if it speaks TLS.
    pub(crate) fn reload(&mut self, config: &TlsConfig) {
        if let Some(tls) = &mut self.tls {
            *tls = config.clone();
        }
    }
}

impl LocalAddress {
    /// The address, if it is one of TCP.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for LocalAddress {
    /// As it is written in a configuration: `127.0.0.1:7777`, `unix:/run/phantom/relay.socket`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a relay that has just stopped must not keep its successor from listening.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn listen_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Err(ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
    }
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Whoever listens but is too busy to accept must not hold us up.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Ok(()) | Err(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

/// The file of a Unix socket, removed with this value unless another has taken its place.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl OwnFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let ours = identity(&self.path).is_ok_and(|found| found == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            log::warn!("the socket file {} cannot be removed: {error}", self.path.display());
        }
    }
}

/// What tells one file from another: its device and its number there.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
