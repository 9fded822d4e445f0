//! How a relay is dialled, the same for every command: what the command line says of proxies, certificates and tokens.

use std::fs;

use phantom_tokio::{Client, ClientBuilder};

use crate::address::Address;
use crate::arguments::ConnectArguments;
use crate::fault::Fault;
use crate::message::Message;

/// A client for this relay, through the proxy that is named here or in the environment.
///
/// # Errors
/// A file with a certificate cannot be read.
pub(crate) fn builder(relay: &Address, arguments: &ConnectArguments) -> Result<ClientBuilder, Fault> {
    let mut builder = Client::builder().relay(relay.to_string());
    builder = match &arguments.proxy {
        Some(proxy) => builder.proxy(proxy.as_str()),
        None => builder.proxy_from_environment(),
    };
    if let Some(token) = &arguments.token {
        builder = builder.token(token.as_str());
    }
    for pin in &arguments.pin {
        builder = builder.pin_certificate(*pin);
    }
    for path in &arguments.root {
        let pem = fs::read(path).map_err(|error| {
            Fault::file(Message::CertificateUnread { path: &path.display(), error: &error })
        })?;
        builder = builder.root_certificate_pem(&pem);
    }
    Ok(builder)
}

/// Whether a proxy is named here or in the environment; it may be one for other relays.
pub(crate) fn has_proxy(arguments: &ConnectArguments) -> bool {
    let names = ["http_proxy", "https_proxy", "all_proxy"];
    let set = |name: String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    arguments.proxy.is_some() || names.iter().any(|name| set((*name).to_owned()) || set(name.to_uppercase()))
}
