//! `phantom relay`: the relay of `phantom-mio`, inside this program.

use std::net::{Ipv4Addr, SocketAddr};

use phantom_mio::RelayServer;
use tokio::task::spawn_blocking;

use crate::address::PORT;
use crate::arguments::RelayArguments;
use crate::event::Event;
use crate::fault::{Fault, Status};
use crate::interrupt::Interrupt;
use crate::message::Message;
use crate::ui;

/// Runs until Ctrl-C, which is its good end.
pub(crate) async fn run(arguments: &RelayArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    if log::set_logger(&Notices).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    if let Err(error) = phantom_mio::raise_file_limit() {
        ui::note(Message::FewClients { error: &error });
    }
    let relay =
        RelayServer::bind(arguments.listen.as_str()).map_err(|error| Fault::relay(error.to_string()))?;
    let handle = relay.handle();
    greet(relay.local_addr());
    let mut serving = spawn_blocking(move || relay.run());
    let served = tokio::select! {
        served = &mut serving => served,
        _ = interrupt.wait() => {
            ui::note(Message::RelayStops);
            handle.stop();
            serving.await
        }
    };
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Fault::new(Status::Other, Message::RelayStopped { error: &error })),
        Err(_panic) => Err(Fault::new(Status::Other, Message::RelayFailed)),
    }
}

fn greet(address: SocketAddr) {
    let url = if address.ip().is_unspecified() {
        format!("ws://{}:{}", Message::RelayAnywhere, address.port())
    } else {
        format!("ws://{address}")
    };
    let is_default = address == SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let relay = if is_default { String::new() } else { format!(" --relay {url}") };
    ui::event(&Event::Listening { address });
    ui::say(Message::RelayListens { address, url: &url });
    ui::note(Message::InAnotherTerminal);
    ui::command(format_args!("phantom send FILE{relay}"));
    ui::note(Message::CtrlCEnds);
}

/// What the relay warns of.
struct Notices;

impl log::Log for Notices {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("phantom_mio")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            ui::note(record.args());
        }
    }

    fn flush(&self) {}
}
