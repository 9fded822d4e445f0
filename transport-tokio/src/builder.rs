//! The settings of a client to be made. All of them are checked before anything is dialled.

use std::fmt;
use std::sync::Arc;

use phantom_core::client::{Client as Machine, ClientConfig, ClientLimits};
use phantom_core::crypto::EncryptionKey;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::dial::Means;
use crate::driver::{Command, Driver};
use crate::link::Link;
use crate::news::News;
use crate::proxy::{Proxies, ProxyChoice};
use crate::tls::Trust;
use crate::token::AccessToken;
use crate::url::RelayUrl;
use crate::{Client, Error, Fingerprint};

/// The settings of a client to be made. Its `Debug` form shows no key, token or password, and of addresses only host and port.
#[derive(Clone, Default)]
#[must_use = "nothing happens before `connect`"]
pub struct ClientBuilder {
    relays: Vec<String>,
    limits: ClientLimits,
    channels: Option<u8>,
    key: Option<EncryptionKey>,
    roots: Vec<Vec<u8>>,
    pins: Vec<Fingerprint>,
    token: Option<AccessToken>,
    proxy: ProxyChoice,
    direct: String,
}

impl ClientBuilder {
    /// Adds a relay: `ws://host[:port][/path]`, or `wss://`. If there are several, they are dialled in turn; both sides must come
    /// to the same one.
    pub fn relay(mut self, url: impl Into<String>) -> Self {
        self.relays.push(url.into());
        self
    }

    /// How many channels there may be at once, 1 to 64; 1 by default. The relay may grant fewer.
    pub fn channels(mut self, channels: u8) -> Self {
        self.channels = Some(channels);
        self
    }

    /// Sets the encryption key; without one the client makes a random one.
    pub fn key(mut self, key: EncryptionKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets every limit and time; see [`ClientLimits`] for the defaults.
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Trusts these certificates, one or more as PEM, beside the system's, to vouch for `wss://` relays.
    pub fn root_certificate_pem(mut self, pem: &[u8]) -> Self {
        self.roots.push(pem.to_vec());
        self
    }

    /// Trusts `wss://` relays with this certificate or public key and no others. May be called several times: one of the pins must fit.
    /// Then names, dates, issuers and roots do not matter.
    pub fn pin_certificate(mut self, pin: Fingerprint) -> Self {
        self.pins.push(pin);
        self
    }

    /// Shows this token to the relays, which may want one of whom they let in: at most 4096 visible ASCII characters. It is shown to every
    /// relay that is dialled, and unencrypted to a `ws://` one.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(AccessToken::new(token.into()));
        self
    }

    /// Dials through this proxy: `http://[user[:password]@]host[:port]`, which must allow CONNECT, or `socks5://`. The relay's name is
    /// looked up by the proxy. Other characters in user name and password than letters, digits and `-._~` stand as `%` and
    /// two hexadecimal digits.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxyChoice::Named(Zeroizing::new(url.into()));
        self
    }

    /// Dials through the proxy that the environment names, if it does: `https_proxy` for `wss://` relays, `http_proxy` for `ws://`
    /// ones, `all_proxy` for both, and none for the relays in `no_proxy`; each also in capitals, and the small spelling counts if there are
    /// both. `HTTP_PROXY` is not taken in a CGI program. They are read by [`connect`](Self::connect).
    ///
    /// Without this or [`proxy`](Self::proxy) there is no proxy, whatever the environment says.
    pub fn proxy_from_environment(mut self) -> Self {
        self.proxy = ProxyChoice::Environment;
        self
    }

    /// Dials these relays directly: a list with commas as in `no_proxy`, of names, which stand for all names below them as
    /// well, addresses, networks like `10.0.0.0/8`, or `*`. Names and addresses may have a port.
    pub fn no_proxy(mut self, hosts: &str) -> Self {
        self.direct = format!("{},{hosts}", self.direct);
        self
    }

    /// Connects; see [`Client::connect`]. If there are several relays, each is tried once.
    ///
    /// # Errors
    /// What is wrong with the settings, or which part failed with the last relay tried, and what to try.
    pub async fn connect(self) -> Result<Client, Error> {
        let relays: Vec<_> = self.relays.iter().map(|url| RelayUrl::parse(url)).collect::<Result<_, _>>()?;
        if relays.is_empty() {
            return Err(Error::NoRelay);
        }
        let mut trust = Trust::default();
        for pem in &self.roots {
            trust.add_pem(pem)?;
        }
        for &pin in &self.pins {
            trust.pin(pin);
        }
        let authorization = self.token.as_ref().map(AccessToken::header).transpose()?;
        let means = Means { trust, proxies: Proxies::new(&self.proxy, &self.direct)?, authorization };
        let mut limits = self.limits;
        limits.channels_max = self.channels.unwrap_or(limits.channels_max);
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(Error::Entropy)?;
        let machine = Machine::new(ClientConfig { limits, relays: relays.len(), key: self.key }, *seed);

        let (sender, receiver) = mpsc::unbounded_channel();
        let (reply, joined) = oneshot::channel();
        let news = Arc::new(News::default());
        let link = Link::new(relays, means);
        // Leaves if this future is dropped.
        let guard = LeaveOnDrop(Some(sender.clone()));
        tokio::spawn(Driver::new(machine, link, (sender.clone(), receiver), Arc::clone(&news), reply));
        joined.await.unwrap_or(Err(Error::Left))?;
        let first_id = news.id().ok_or(Error::Left)?;
        guard.disarm();
        Ok(Client::new(news, sender, first_id))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold a token.
        let relay =
            |url: &String| RelayUrl::parse(url).map_or_else(|_| "?".to_owned(), |url| url.to_string());
        f.debug_struct("ClientBuilder")
            .field("relays", &self.relays.iter().map(relay).collect::<Vec<_>>())
            .field("channels", &self.channels)
            .field("limits", &self.limits)
            .field("pins", &self.pins)
            .finish_non_exhaustive()
    }
}

/// Stops the driver unless the client has come to be.
struct LeaveOnDrop(Option<mpsc::UnboundedSender<Command>>);

impl LeaveOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        if let Some(commands) = &self.0 {
            let _ = commands.send(Command::Leave { done: None });
        }
    }
}
