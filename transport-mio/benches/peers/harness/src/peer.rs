//! The relays that are compared: how each is started, and how it is spoken to.

use std::fs;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::dialect::{Dialect, Iroh, Phantom, Proxied, Room};
use crate::system::{self, Cores};

/// Ours, without limits on what a client may send: no peer has any.
pub(crate) const PHANTOM: &str = "phantom";
/// Ours, with its defaults.
pub(crate) const PHANTOM_DEFAULTS: &str = "phantom, defaults";
/// The least a WebSocket relay has to do.
pub(crate) const FLOOR: &str = "floor";
/// HAProxy that forwards TCP by copying.
pub(crate) const HAPROXY: &str = "haproxy";
/// tokio-tungstenite with batched flush.
pub(crate) const TUNGSTENITE: &str = "tungstenite";
/// iroh-relay.
pub(crate) const IROH: &str = "iroh-relay";

/// Where the programs are.
pub(crate) struct Places {
    /// Our relay and our command.
    pub(crate) ours: PathBuf,
    /// The relays of this workspace.
    pub(crate) own: PathBuf,
    /// What was installed.
    pub(crate) tools: PathBuf,
    /// For what is written.
    pub(crate) scratch: PathBuf,
}

/// One relay, not yet started.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) dialect: Box<dyn Dialect>,
    command: Command,
}

/// The port behind HAProxy at which this program listens.
const BACKEND: u16 = 7902;
/// How far the port of another relay of a kind is from the first's.
const ANOTHER: u16 = 100;

impl Peer {
    /// The relay of this name.
    ///
    /// # Errors
    /// Its settings cannot be written.
    pub(crate) fn new(name: &'static str, places: &Places) -> io::Result<Self> {
        Self::at(port(name), name, places)
    }

    /// Another one of the same kind, to be compared with the first while that is there.
    ///
    /// # Errors
    /// Its settings cannot be written.
    pub(crate) fn another(name: &'static str, places: &Places) -> io::Result<Self> {
        Self::at(port(name) + ANOTHER, name, places)
    }

    fn at(port: u16, name: &'static str, places: &Places) -> io::Result<Self> {
        let dialect: Box<dyn Dialect> = match name {
            PHANTOM | PHANTOM_DEFAULTS => Box::new(Phantom { port }),
            IROH => Box::new(Iroh { port }),
            HAPROXY => Box::new(Proxied::new(port, BACKEND)?),
            _ => Box::new(Room { port }),
        };
        Ok(Self { name, port, dialect, command: command(name, port, places)? })
    }

    /// HAProxy in front of a backend that is not this program; listens here.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn start_proxy(
        listen: u16,
        backend: u16,
        cores: Cores,
        places: &Places,
    ) -> io::Result<Running> {
        let settings = haproxy_settings(&listen.to_string(), backend, &places.scratch)?;
        start(Command::new("haproxy").args(["-db", "-f"]).arg(settings), listen, cores, places)
    }

    /// Starts it here, and waits until it listens.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn start(&mut self, cores: Cores, places: &Places) -> io::Result<Running> {
        start(&mut self.command, self.port, cores, places)
            .map_err(|error| io::Error::new(error.kind(), format!("{} does not start: {error}", self.name)))
    }
}

/// Starts a server here, and waits until it listens.
pub(crate) fn start(command: &mut Command, port: u16, cores: Cores, places: &Places) -> io::Result<Running> {
    let log = File::options().create(true).append(true).open(places.scratch.join("relays.log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let own = rustix::thread::sched_getaffinity(None)?;
    system::run_on(cores)?;
    let child = command.spawn();
    rustix::thread::sched_setaffinity(None, &own)?;
    let running = Running(child?);
    system::wait_for_port(port)?;
    Ok(running)
}

/// A process that ends when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ = self.0.wait();
    }
}

const fn port(name: &str) -> u16 {
    // Each has its own, so that no connection of one that has just ended is in the way of the next.
    match name.as_bytes() {
        b"phantom" => 7170,
        b"phantom, defaults" => 7171,
        b"floor" => 7115,
        b"haproxy" => 7102,
        b"tungstenite" => 7112,
        _ => 7140,
    }
}

fn command(name: &str, port: u16, places: &Places) -> io::Result<Command> {
    let port = port.to_string();
    let mut command = match name {
        PHANTOM | PHANTOM_DEFAULTS => Command::new(places.ours.join("phantom-relay")),
        IROH => Command::new(places.tools.join("bin/iroh-relay")),
        HAPROXY => Command::new("haproxy"),
        _ => Command::new(places.own.join(name)),
    };
    if matches!(name, PHANTOM | PHANTOM_DEFAULTS) {
        // Of the open files that a process may have, few are set aside for handshakes: no more than these are under way here.
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--max-handshakes", "64"]);
    }
    match name {
        PHANTOM => {
            command.args(["--client-messages-per-second", "0", "--client-bytes-per-second", "0"]);
            command.args(["--idle-timeout", "1h"]);
            // The same few addresses ask each other again and again; all of it is counted as ever.
            command.args([
                "--request-pace-per-source",
                "10000+1/1s",
                "--request-pace-per-pair",
                "10000+1/1s",
            ]);
        }
        PHANTOM_DEFAULTS => {}
        IROH => {
            let settings = iroh_settings(&port, &places.scratch)?;
            command.env("RUST_LOG", "error").args(["--dev", "--config-path"]).arg(settings);
        }
        HAPROXY => {
            command.args(["-db", "-f"]).arg(haproxy_settings(&port, BACKEND, &places.scratch)?);
        }
        _ => {
            command.arg(port);
        }
    }
    Ok(command)
}

fn iroh_settings(port: &str, scratch: &Path) -> io::Result<PathBuf> {
    let file = scratch.join("iroh-relay.toml");
    let text = format!(
        "enable_relay = true\nhttp_bind_addr = \"127.0.0.1:{port}\"\nenable_quic_addr_discovery = false\nenable_metrics = false\n"
    );
    fs::write(&file, text)?;
    Ok(file)
}

fn haproxy_settings(port: &str, backend: u16, scratch: &Path) -> io::Result<PathBuf> {
    let file = scratch.join(format!("haproxy-{port}.cfg"));
    let text = format!(
        "global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 300s\n  timeout server 300s\n\
         frontend near\n  bind 127.0.0.1:{port} backlog 4096\n  maxconn 9000\n  default_backend far\n\
         backend far\n  server one 127.0.0.1:{backend}\n"
    );
    fs::write(&file, text)?;
    Ok(file)
}
