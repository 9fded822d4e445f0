//! `phantom-relay`: arguments, signals, exit status.
#![forbid(unsafe_code)]

mod program {
    pub(crate) mod logs;
}

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use phantom_mio::{Handle, RelayServer, SecretFile, ServerConfig, StartError};
use program::logs::{self, LogSettings};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const FAILED: u8 = 1;
const CANNOT_LISTEN: u8 = 3;
const BAD_SECRET: u8 = 4;

const EXAMPLES: &str = "\
Examples:
  phantom-relay
      For this machine only: clients reach it at ws://127.0.0.1:7777.
  phantom-relay --listen 0.0.0.0:7777 --secret-file /var/lib/phantom/relay.secret
      For everybody; clients keep their IDs when the relay restarts.

Exit status:
  0  stopped by SIGINT or SIGTERM; a second one ends the relay at once
  1  the system refused something
  2  wrong arguments
  3  the address cannot be listened on
  4  the secret file cannot be used";

/// A Phantom relay: programs that cannot reach each other meet here. It forwards what it cannot read.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Where to listen, as host:port
    #[arg(
        long,
        value_name = "ADDR",
        env = "PHANTOM_RELAY_LISTEN",
        default_value = "127.0.0.1:7777",
        value_parser = NonEmptyStringValueParser::new()
    )]
    listen: String,

    /// Where the relay's secret is kept; made at the first start. Without it, clients lose their IDs when the relay restarts
    #[arg(long, value_name = "FILE", env = "PHANTOM_RELAY_SECRET_FILE")]
    secret_file: Option<PathBuf>,

    /// Connections at once
    #[arg(long, value_name = "N", env = "PHANTOM_RELAY_MAX_CONNECTIONS", default_value_t = 65_536)]
    max_connections: usize,
}

fn main() -> ExitCode {
    let settings = LogSettings { level: log::LevelFilter::Warn, ..LogSettings::default() };
    let ended = match logs::start(&settings) {
        Ok(_guard) => run(&Arguments::parse()),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&mut io::stderr(), &format!("phantom-relay: {error}"));
            ExitCode::from(match error.downcast_ref() {
                Some(StartError::Address(_) | StartError::Listen { .. } | StartError::ListenUnix { .. }) => {
                    CANNOT_LISTEN
                }
                Some(StartError::Secret { .. }) => BAD_SECRET,
                _ => FAILED,
            })
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut config = ServerConfig::default();
    config.relay.connections_max = arguments.max_connections;
    if let Some(path) = &arguments.secret_file {
        let file = SecretFile::load_or_create(path)?;
        config.secret = Some(file.secret);
        config.previous_secret = file.previous;
    }
    if let Err(error) = phantom_mio::raise_file_limit() {
        log::warn!(
            "the limit of open files could not be raised, so there may be room for few connections: {error}"
        );
    }
    let relay = RelayServer::bind_with(arguments.listen.as_str(), config)?;
    stop_on_signals(relay.handle())?;
    say(&mut io::stdout(), &greeting(relay.local_addr()));
    relay.run()?;
    Ok(())
}

/// The first signal stops the relay, a second one ends the process.
fn stop_on_signals(handle: Handle) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            handle.stop();
        }
        if let Some(signal) = signals.next() {
            std::process::exit(128 + signal);
        }
    })?;
    Ok(())
}

fn greeting(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let port = address.port();
        format!(
            "phantom-relay listens on {address}; clients reach it at ws://<an address of this machine>:{port}"
        )
    } else {
        format!("phantom-relay listens on {address}; clients reach it at ws://{address}")
    }
}

/// Nobody may be listening any more; that is no reason to stop.
fn say(to: &mut impl Write, line: &str) {
    let _unheard = writeln!(to, "{line}").and_then(|()| to.flush());
}
