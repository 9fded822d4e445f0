//! Why a relay does not start, in sentences that say what to do.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a relay could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address to listen on could not be understood or looked up.
    Address(io::Error),
    /// Nobody may or can listen on this address.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody may or can listen on this Unix socket.
    ListenUnix {
        /// The file of the socket.
        path: PathBuf,
        /// What the system says. [`ErrorKind::AlreadyExists`]: there is a file that is no socket.
        source: io::Error,
    },
    /// The file with the relay's secret could not be used.
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: SecretProblem,
    },
    /// The system gives no random numbers.
    Entropy(getrandom::Error),
    /// The system refuses something that every relay needs.
    System(io::Error),
}

/// What is wrong with the file of a relay's secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum SecretProblem {
    /// It could not be read or made.
    Io(io::Error),
    /// Others than its owner may read it.
    Exposed,
    /// It is not such a file.
    Malformed,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(source) => {
                write!(
                    f,
                    "the address to listen on is not usable ({source}); write it as host:port, for example 127.0.0.1:7777"
                )
            }
            Self::Listen { address, source } => match source.kind() {
                ErrorKind::AddrInUse => write!(
                    f,
                    "{address} is in use: another program, perhaps another relay, listens there; stop it or choose another port"
                ),
                ErrorKind::PermissionDenied => write!(
                    f,
                    "this user may not listen on {address}; choose a port from 1024 up, or give the program CAP_NET_BIND_SERVICE (in a systemd unit: AmbientCapabilities=)"
                ),
                ErrorKind::AddrNotAvailable => {
                    write!(
                        f,
                        "{address} is no address of this machine; use one of its own, or 0.0.0.0 for all of them"
                    )
                }
                _ => write!(f, "cannot listen on {address}: {source}"),
            },
            Self::ListenUnix { path, source } => {
                let path = path.display();
                match source.kind() {
                    ErrorKind::AddrInUse => write!(
                        f,
                        "unix:{path} is in use: another program, perhaps another relay, listens there; stop it or choose another path"
                    ),
                    ErrorKind::AlreadyExists => write!(
                        f,
                        "{path} is there and is no socket; remove it or choose another path for the Unix socket"
                    ),
                    ErrorKind::NotFound => write!(
                        f,
                        "the folder for the Unix socket {path} does not exist; make it or choose another path"
                    ),
                    ErrorKind::PermissionDenied => write!(
                        f,
                        "this user may not make the Unix socket {path}; choose a folder that belongs to this user"
                    ),
                    _ => write!(f, "cannot listen on unix:{path}: {source}"),
                }
            }
            Self::Secret { path, problem } => {
                let path = path.display();
                match problem {
                    SecretProblem::Io(source) => write!(
                        f,
                        "the secret file {path} cannot be used ({source}); check that its folder exists and belongs to this user"
                    ),
                    SecretProblem::Exposed => {
                        write!(f, "others may read the secret file {path}; run: chmod 600 {path}")
                    }
                    SecretProblem::Malformed => write!(
                        f,
                        "{path} is no secret file of a Phantom relay; name another file, or remove it to have a new one made"
                    ),
                }
            }
            Self::Entropy(source) => write!(f, "the system gives no random numbers: {source}"),
            Self::System(source) => write!(f, "the system refuses what a relay needs: {source}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address(source)
            | Self::Listen { source, .. }
            | Self::ListenUnix { source, .. }
            | Self::System(source) => Some(source),
            Self::Secret { problem: SecretProblem::Io(source), .. } => Some(source),
            Self::Secret { .. } => None,
            Self::Entropy(source) => Some(source),
        }
    }
}
