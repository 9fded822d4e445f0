//! The Phantom relay on [mio](https://docs.rs/mio): one thread, one event loop, one relay machine.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let relay = phantom_mio::RelayServer::bind("127.0.0.1:7777")?;
//! relay.run()?;
//! # Ok(())
//! # }
//! ```
//!
//! The rules are those of [`phantom_core::relay`]; this crate carries bytes. Whatever a client does ends at most its own connection:
//!
//! * Frames are WebSocket messages under the subprotocol `phantom.1`. What is no such handshake gets an HTTP answer and is closed.
//! * What waits for a receiver is bounded. When it is full, its senders are not read until it has room; nobody else notices.
//! * Turns go round the addresses, and all memory is counted against one budget; the greediest suffer first.
//! * Control frames overtake data. A frame that has begun to leave is finished first.
//! * Everything that is waited for has a deadline ([`ServerLimits`], [`RelayLimits`]).
//!
//! The library prints nothing. It logs through the `log` crate: no ID, address or key above the level `debug`.
//!
//! Where things are: where it listens in `listener`, the loop in `server`, what follows from what in `switchboard`, the hot path in
//! `switchboard/forward`, one socket in `conn`, TLS on it in `tls`, its certificate in `certificate`, what waits to be written in `outbox`,
//! decoding in `inbound`, HTTP in `handshake`, who shares what in `addresses` and `budget`.
#![forbid(unsafe_code)]

mod access;
mod addresses;
mod budget;
mod certificate;
mod clock;
mod config;
#[doc(hidden)]
pub mod conformance;
mod conn;
mod entropy;
mod error;
mod handle;
mod handshake;
mod heap;
mod inbound;
mod limit;
mod listener;
mod metrics;
mod network;
mod outbox;
mod pace;
mod process;
mod proxy;
mod secret;
mod server;
mod socket;
#[doc(hidden)]
pub mod stage;
mod stats;
mod switchboard;
mod timers;
mod tls;
mod token;
mod view;

pub use access::{Access, AccessToken, Origin, OriginError, TokenFile, TokenFileError, TokenFileProblem};
pub use certificate::{TlsConfig, TlsError, TlsFiles, TlsProblem, TlsWarning};
pub use config::{ServerConfig, ServerLimits};
pub use error::{SecretProblem, StartError};
pub use handle::{Handle, Reload, RunningRelay};
pub use handshake::HandshakeFailure;
pub use limit::raise_file_limit;
pub use listener::{Listener, LocalAddress};
pub use metrics::{METRICS, Metric, MetricKind, render as render_metrics};
pub use network::{Network, NetworkError};
pub use phantom_core::relay::{RelayLimits, RelaySecret, RelayStats};
pub use phantom_core::wire::CloseCode;
pub use process::ProcessStats;
pub use proxy::{ClientAddress, ClientAddresses};
pub use secret::SecretFile;
pub use server::RelayServer;
pub use stats::{Histogram, Refusal, ServerState, ServerStats};
pub use view::View;
