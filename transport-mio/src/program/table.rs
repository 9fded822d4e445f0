//! The one table of settings. Flags, variables, keys of the file, help, `--print-config` and the example file all come from it, so that
//! they cannot differ.
//!
//! The first line above a setting is its line in the help; what follows stands in the file as well. All fit a terminal of 80 columns.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use phantom_mio::{Access, Network, Origin, RelayLimits, ServerLimits};

use super::pace::Pace;
use super::size::Size;
use super::span::Span;
use super::value::{Address, ClientAddress, Given, LogFormat, LogLevel, Value};

/// One row of the table.
pub(crate) struct Setting {
    /// As it is called in the file.
    pub(crate) key: &'static str,
    pub(crate) section: &'static str,
    /// What it is, line by line; each begins with a space.
    pub(crate) about: &'static [&'static str],
    /// What stands for its value in the help.
    pub(crate) value_name: &'static str,
    /// Its flag may be given several times.
    pub(crate) many: bool,
    /// Its flag may stand alone.
    pub(crate) alone: bool,
    /// A value to show where none is set.
    pub(crate) example: &'static str,
    /// The smallest and the largest value, if it has them.
    pub(crate) range: fn() -> Option<String>,
    /// Sets it, or says what is wrong.
    pub(crate) take: fn(&mut Settings, &Given) -> Result<(), String>,
    /// Its value as TOML, if it is set.
    pub(crate) toml: fn(&Settings) -> Option<String>,
}

impl Setting {
    /// `--max-connections`, without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// `PHANTOM_RELAY_MAX_CONNECTIONS`
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.to_ascii_uppercase())
    }
}

/// What the variables of this program begin with.
pub(crate) const PREFIX: &str = "PHANTOM_RELAY_";

macro_rules! settings {
    ($($section:literal { $(
        $(#[doc = $about:literal])+
        $key:ident: $type:ty = $default:expr $(, $range:expr)?;
    )+ })+) => {
        /// A value for every setting.
        #[derive(Clone, Debug)]
        pub(crate) struct Settings { $($($(#[doc = $about])+ pub(crate) $key: $type,)+)+ }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($($key: $default,)+)+ }
            }
        }

        /// All settings, in the order in which they are shown.
        pub(crate) const TABLE: &[Setting] = &[$($(Setting {
            key: stringify!($key),
            section: $section,
            about: &[$($about),+],
            value_name: <$type as Value>::NAME,
            many: <$type as Value>::MANY,
            alone: <$type as Value>::ALONE,
            example: <$type as Value>::EXAMPLE,
            range: || None$(.or(Some(shown(&$range))))?,
            take: |settings, given| {
                let value = <$type as Value>::understand(given)?;
                $(within(&value, &$range)?;)?
                settings.$key = value;
                Ok(())
            },
            toml: |settings| settings.$key.toml(),
        },)+)+];
    };
}

fn shown(range: &RangeInclusive<impl Display>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

fn within<T: PartialOrd + Display>(value: &T, range: &RangeInclusive<T>) -> Result<(), String> {
    if range.contains(value) { Ok(()) } else { Err(format!("is {value}, but must be {}", shown(range))) }
}

fn relay() -> RelayLimits {
    RelayLimits::default()
}

fn server() -> ServerLimits {
    ServerLimits::default()
}

fn access() -> Access {
    Access::default()
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn times(from: u64, to: u64) -> RangeInclusive<Span> {
    Span::seconds(from)..=Span::seconds(to)
}

fn sizes(from: u64, to: u64) -> RangeInclusive<Size> {
    Size(from)..=Size(to)
}

settings! {
    "Where clients come in" {
        /// Listen here without TLS: host:port or unix:/path
        ///
        /// An empty list listens nowhere, if only listen_tls is wanted. A Unix socket
        /// is for a reverse proxy on this machine. Sockets inherited from systemd
        /// under the name "listen" take the place of this list.
        listen: Vec<Address> = vec![Address::Internet("127.0.0.1:7777".to_owned())];

        /// Listen here with TLS: host:port or unix:/path
        ///
        /// Needs tls_certificate. Sockets inherited from systemd under the name
        /// "listen_tls" take the place of this list.
        listen_tls: Vec<Address> = Vec::new();

        /// The certificate and its chain, PEM; SIGHUP reads it again
        tls_certificate: Option<PathBuf> = None;

        /// The key of the certificate, PEM, if it is not in the same file
        tls_key: Option<PathBuf> = None;

        /// Who says where a client comes from
        ///
        /// The socket: nobody stands in between. Otherwise a reverse proxy, by the
        /// PROXY protocol (version 1 or 2) or by the header X-Forwarded-For. It must
        /// be trusted: see trusted_proxies. Proxies on a Unix socket are.
        client_address: ClientAddress = ClientAddress::Socket;

        /// Proxies that are believed: addresses and networks
        trusted_proxies: Vec<Network> = Vec::new();
    }
    "Who may come in" {
        /// Only clients with a token in this file may; SIGHUP reads it again
        ///
        /// `phantom-relay new-token NAME` makes a token, and the line for this file.
        access_tokens: Option<PathBuf> = None;

        /// Only web pages from here may; other programs are not concerned
        ///
        /// For example `https://example.org` or `*.example.org`.
        allowed_origins: Vec<Origin> = Vec::new();

        /// Only these addresses and networks may
        allow: Vec<Network> = Vec::new();

        /// These addresses and networks may not, even if allow names them
        deny: Vec<Network> = Vec::new();

        /// Connections at once from one IPv4 address or IPv6 /64
        ///
        /// Ten times as many from all of an IPv6 /48 together.
        max_connections_per_address: usize = access().connections_per_address, 1..=10_000_000;

        /// New connections per second from one, in the long run; 0: no limit
        connections_per_second_per_address: u32 = access().connections_per_second_per_address;

        /// New connections from one that may come at once after a pause
        connection_burst_per_address: u32 = access().connection_burst_per_address, 1..=10_000_000;
    }
    "How many, and how much" {
        /// Memory for everything; near it, the greediest suffer first
        ///
        /// Under systemd or in a container, the limit there must be larger.
        memory: Size = Size(server().memory as u64), sizes(16 * MIB, 1 << 40);

        /// Connections at once
        ///
        /// Every connection and every handshake is an open file; if the system allows
        /// too few files, the relay says so when it starts, and takes fewer.
        max_connections: usize = relay().connections_max, 1..=10_000_000;

        /// Handshakes under way at once; beyond it the oldest is ended
        max_handshakes: usize = server().handshakes_max, 1..=1_000_000;

        /// Channels of one client at once, whatever it asks for
        max_channels: u8 = relay().channels_max, 1..=relay().channels_max;

        /// Requests of one client that wait for an answer
        max_requests_out: usize = relay().requests_out_max, 1..=1000;

        /// Requests that wait for one client's decision
        max_requests_in: usize = relay().requests_in_max, 1..=1000;

        /// Requests of one source that wait for an answer
        ///
        /// An IPv4 address or an IPv6 /64; ten times as many of a /48.
        max_requests_per_source: usize = relay().requests_source_max, 1..=1_000_000;

        /// Sources that are remembered
        max_sources: usize = relay().sources_max, 1..=10_000_000;

        /// Pairs of a source and an ID that are remembered
        ///
        /// At least max_connections times max_requests_out, or requests may reach
        /// nobody.
        max_pairs: usize = relay().pairs_max, 1..=100_000_000;

        /// IDs given up that are remembered; the oldest is forgotten
        max_retired: usize = relay().retired_max, 0..=10_000_000;

        /// Data that may wait for one receiver; then its senders wait
        ///
        /// Each of its senders may add one frame (64 KiB) beyond it.
        receiver_buffer: Size = Size(server().outbox_bytes_max as u64), sizes(64 * KIB, GIB);

        /// The senders go on when no more than this waits
        receiver_buffer_low: Size = Size(server().outbox_bytes_low as u64), sizes(0, GIB);

        /// Control frames that may wait for one receiver
        ///
        /// A receiver for which more waits is cut off.
        control_buffer: Size = Size(server().control_bytes_max as u64), sizes(KIB, GIB);
    }
    "How fast" {
        /// Bytes that one client may send per second; 0: no limit
        ///
        /// It is read no faster.
        client_bytes_per_second: Size = Size(server().client_bytes_per_second);

        /// Messages that one client may send per second; 0: no limit
        ///
        /// It is read no faster. One for the relay itself counts as 50.
        client_messages_per_second: u64 = server().client_messages_per_second;

        /// Requests of one client
        ///
        /// Here and below, 10+1/6s is ten times at once, and once more every six
        /// seconds; 0+1/6s is never, and 10+1/0s without end. A source is an IPv4
        /// address or an IPv6 /64; a /48 may do ten times as much.
        request_pace: Pace = relay().connect_rate.into();

        /// Requests of one source
        request_pace_per_source: Pace = relay().connect_source_rate.into();

        /// Requests of one source for one ID that are not accepted
        request_pace_per_pair: Pace = relay().pair_rate.into();

        /// Requests shown to one client that it does not accept
        prompt_pace: Pace = relay().prompt_rate.into();

        /// Times that one source is told that nobody has an ID
        ///
        /// Beyond it, it is told the same whether somebody has it or not: that keeps
        /// scanners from finding out. See SECURITY.md before raising it.
        exact_answer_pace: Pace = relay().exact_rate.into();

        /// Times that all sources together are told so
        exact_answer_pace_in_all: Pace = relay().exact_total_rate.into();
    }
    "How long" {
        /// How long a WebSocket handshake may take
        handshake_timeout: Span = server().handshake_timeout.into(), times(1, HOUR);

        /// How long a new client may take to ask for its ID
        register_timeout: Span = relay().register_timeout.into(), times(1, HOUR);

        /// How long a client may be silent
        idle_timeout: Span = relay().idle_timeout.into(), times(1, DAY);

        /// How long a receiver may take nothing before it is cut off
        stall_timeout: Span = server().stall_timeout.into(), times(1, HOUR);

        /// How long it may hold up a sender before their channel is closed
        channel_stall_timeout: Span = relay().stuck_timeout.into(), times(1, HOUR);

        /// How long a request waits for the other client's decision
        request_lifetime: Span = relay().request_lifetime.into(), times(1, HOUR);

        /// How long a client that came back waits for its partner
        rejoin_lifetime: Span = relay().rejoin_lifetime.into(), times(1, HOUR);

        /// How long an ID that was given up is given to nobody else
        retired_for: Span = relay().retired_for.into(), times(0, DAY);

        /// How long a client that is gone may come back under its ID
        token_lifetime: Span = relay().token_lifetime.into(), times(MINUTE, 365 * DAY);

        /// How often a client that stays gets a fresh right to its ID
        token_renewal: Span = relay().token_renewal.into(), times(MINUTE, 365 * DAY);

        /// How long a connection that is being closed may take to hear why
        close_linger: Span = server().close_linger.into(),
            Span::milliseconds(10)..=Span::seconds(MINUTE);
    }
    "Stopping and coming back" {
        /// Where the relay's secret is kept; made at the first start
        ///
        /// Without it, clients lose their IDs when the relay restarts. Only the user
        /// that the relay runs as may be able to read it. Under systemd, the default
        /// is the file `secret` in the unit's StateDirectory.
        secret_file: Option<PathBuf> = None;

        /// How long stopping may take; who is there then is cut off
        drain_timeout: Span = server().drain_timeout.into(), times(0, HOUR);

        /// When clients are told to come back after the relay stops
        come_back_after: Span = server().drain_after.into(), times(0, HOUR);
    }
    "What is seen from outside" {
        /// Show metrics and health over HTTP here: address and port
        ///
        /// At /metrics, /healthz and /readyz, for everybody who can connect: without
        /// TLS and without a password. 127.0.0.1:9464 is for this machine only.
        metrics_listen: Option<SocketAddr> = None;

        /// What is worth a line in the log
        log_level: LogLevel = LogLevel::Info;

        /// For people or for machines
        log_format: LogFormat = LogFormat::Text;

        /// Where the log goes instead of stderr; SIGHUP opens it again
        log_file: Option<PathBuf> = None;

        /// Whether the log may show the addresses of clients
        log_addresses: bool = false;
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_fits_a_terminal() {
        for setting in TABLE {
            let first = setting.about[0];
            let default = (setting.toml)(&Settings::default()).unwrap_or_default();
            assert!(first.len() + default.len() <= 69 && !first.ends_with('.'), "{setting:?}");
            for line in setting.about {
                assert!(line.is_empty() || line.starts_with(' ') && line.len() <= 77, "{setting:?}: {line}");
            }
        }
    }

    #[test]
    fn every_default_and_every_example_would_be_accepted() {
        for setting in TABLE {
            let defaults = Settings::default();
            let text = (setting.toml)(&defaults).unwrap_or_else(|| setting.example.to_owned());
            let file = super::super::file::read(&format!("{} = {text}\n", setting.key));
            let mut settings = Settings::default();
            (setting.take)(&mut settings, &file.keys[0].given).unwrap_or_else(|e| panic!("{setting:?} {e}"));
            assert_eq!((setting.toml)(&settings), Some(text), "{setting:?}");
        }
    }
}
