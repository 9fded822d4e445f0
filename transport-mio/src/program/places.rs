//! Where the relay listens: what the settings say, or what systemd hands over in their place.

use std::net::TcpListener;

use phantom_mio::{Listener, LocalAddress, StartError, TlsConfig};

use super::fault::{Fault, Status};
use super::settings::Effective;
use super::systemd::Socket;
use super::value::Address;

/// Everything that is listened on.
pub(crate) struct Places {
    pub(crate) listeners: Vec<Listener>,
    /// Where metrics are shown.
    pub(crate) metrics: Option<TcpListener>,
}

/// Listens in every place, or nowhere.
pub(crate) fn open(
    effective: &Effective,
    inherited: Vec<(String, Socket)>,
    tls: Option<TlsConfig>,
) -> Result<Places, Fault> {
    let (mut plain, mut secure, mut metrics) = (Vec::new(), Vec::new(), None);
    for (name, socket) in inherited {
        let listeners = match name.as_str() {
            "metrics_listen" => {
                let Socket::Tcp(socket) = socket else {
                    let sentence = "systemd hands over a Unix socket named `metrics_listen`; it must be TCP";
                    return Err(Fault::new(Status::Listen, sentence));
                };
                metrics = Some(socket);
                continue;
            }
            "listen_tls" => &mut secure,
            "listen" | "unknown" | "" => &mut plain,
            // Sockets of a unit that gives them no name bear the name of the unit.
            name if name.ends_with(".socket") => &mut plain,
            name => {
                let name = name.escape_debug();
                let sentence = format!(
                    "systemd hands over a socket named `{name}`; FileDescriptorName= may be listen, listen_tls or metrics_listen"
                );
                return Err(Fault::new(Status::Listen, sentence));
            }
        };
        listeners.push(match socket {
            Socket::Tcp(socket) => Listener::from_tcp(socket)?,
            Socket::Unix(socket) => Listener::from_unix(socket)?,
        });
    }
    let settings = &effective.settings;
    for (key, addresses, listeners) in
        [("listen", &settings.listen, &mut plain), ("listen_tls", &settings.listen_tls, &mut secure)]
    {
        if listeners.is_empty() {
            let opened = addresses.iter().map(listen).collect::<Result<Vec<_>, _>>();
            *listeners = opened.map_err(|error| named(effective, key, error))?;
        }
    }
    if let Some(config) = tls {
        plain.extend(secure.into_iter().map(|listener| listener.tls(config.clone())));
    } else if !secure.is_empty() {
        let sentence = "systemd hands over a socket named `listen_tls`, but tls_certificate is not set";
        return Err(Fault::new(Status::Settings, sentence));
    }
    if plain.is_empty() {
        let sentence =
            format!("{} and listen_tls are empty, so there is nowhere to listen", effective.name("listen"));
        return Err(Fault::new(Status::Settings, sentence));
    }
    if let (None, Some(address)) = (&metrics, settings.metrics_listen) {
        let opened = TcpListener::bind(address).map_err(|source| StartError::Listen { address, source });
        metrics = Some(opened.map_err(|error| named(effective, "metrics_listen", error))?);
    }
    Ok(Places { listeners: plain, metrics })
}

fn listen(address: &Address) -> Result<Listener, StartError> {
    match address {
        Address::Internet(address) => Listener::tcp(address.as_str()),
        Address::Unix(path) => Listener::unix(path),
    }
}

fn named(effective: &Effective, key: &str, error: StartError) -> Fault {
    let Fault { status, sentence } = error.into();
    Fault::new(status, format!("{}: {sentence}", effective.name(key)))
}

impl Places {
    /// One line for each place: who comes there, and how.
    pub(crate) fn greeting(&self) -> String {
        let metrics = self.metrics.as_ref().and_then(|socket| socket.local_addr().ok());
        let metrics =
            metrics.map(|address| format!("phantom-relay shows its metrics at http://{address}/metrics\n"));
        self.listeners.iter().map(greeting).chain(metrics).collect()
    }
}

fn greeting(listener: &Listener) -> String {
    let address = listener.local_address();
    let how = match address {
        LocalAddress::Unix(_) => "a reverse proxy on this machine forwards clients to it".to_owned(),
        LocalAddress::Tcp(address) if listener.is_tls() => {
            format!("clients reach it at wss://<a name in the certificate>:{}", address.port())
        }
        LocalAddress::Tcp(address) if address.ip().is_unspecified() => {
            format!("clients reach it at ws://<an address of this machine>:{}", address.port())
        }
        LocalAddress::Tcp(address) => format!("clients reach it at ws://{address}"),
    };
    format!("phantom-relay listens on {address}; {how}\n")
}
