//! From settings to a relay that runs, and to its end.

use std::io;

use phantom_mio::{Handle, RelayServer, Reload, TokenFile, View};

use super::fault::{Fault, Status};
use super::logs::LogGuard;
use super::room::Room;
use super::settings::Effective;
use super::signals::Signals;
use super::{files, limits, memory, places, say, systemd};

/// Runs until it is told to stop.
pub(crate) fn serve(effective: Effective) -> Result<(), Fault> {
    // Before there are threads.
    let inherited =
        systemd::inherited().map_err(|error| refused("the sockets that systemd hands over", &error))?;
    let signals = Signals::take().map_err(|error| refused("signals", &error))?;
    let log = files::log(&effective)?;
    for note in &effective.notes {
        log::warn!("{note}");
    }
    let mut config = limits::config(&effective.settings);
    if let Some(file) = files::secret(&effective)? {
        config.secret = Some(file.secret);
        config.previous_secret = file.previous;
    }
    config.access = files::access(&effective)?;
    let tls = files::tls(&effective)?;
    let places = places::open(&effective, inherited, tls)?;
    let wanted = Room { connections: config.relay.connections_max, handshakes: config.server.handshakes_max };
    let room = wanted.make();
    (config.relay.connections_max, config.server.handshakes_max) = (room.connections, room.handshakes);
    let greeting = places.greeting();
    let relay = RelayServer::with_listeners(places.listeners, config)?;
    let handle = relay.handle();
    let _view = places
        .metrics
        .map(|listener| View::serve(listener, handle.clone()))
        .transpose()
        .map_err(|error| refused("what a view of the relay needs", &error))?;
    memory::give_back(handle.clone()).map_err(|error| refused("a thread that looks after memory", &error))?;
    systemd::watch(handle.clone()).map_err(|error| refused("a thread for systemd", &error))?;
    signals
        .obey(handle.clone(), move || reload(&effective, &handle, &log))
        .map_err(|error| refused("a thread for signals", &error))?;
    say(&mut io::stdout(), &greeting);
    systemd::ready();
    let served = relay.run().map_err(|error| refused("the relay's loop", &error));
    log::logger().flush();
    served
}

/// Reads the files again that may change while the relay runs. One that cannot be used changes nothing.
fn reload(effective: &Effective, handle: &Handle, log: &LogGuard) {
    log.reopen();
    let mut new = Reload::default();
    match files::tls(effective) {
        Ok(tls) => new.tls = tls,
        Err(fault) => log::error!("{fault}; the certificate that was read before stays in use"),
    }
    match files::access(effective) {
        Ok(access) => new.access = Some(access),
        Err(fault) => log::error!("{fault}; the tokens that were read before stay valid"),
    }
    let certificate = new.tls.is_some();
    let tokens = new.access.as_ref().and_then(|access| access.tokens.as_ref()).map(TokenFile::len);
    if new.tls.is_none() && tokens.is_none() {
        log::info!("told to read files again; there was none to take into use");
    }
    handle.reload(new);
    // Answered only when the loop has taken it.
    let _counters = handle.stats();
    if certificate {
        log::info!("the certificate and its key have been read again; new connections begin with them");
    }
    if let Some(tokens) = tokens {
        log::info!(tokens; "the file of access tokens has been read again; new connections need one of them");
    }
}

fn refused(what: &str, error: &io::Error) -> Fault {
    Fault::new(Status::System, format!("the system refuses {what}: {error}"))
}
