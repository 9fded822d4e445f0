//! The library's limits and the log's settings, as the settings say them.

use log::LevelFilter;
use phantom_mio::{Access, ServerConfig, TokenFile};

use super::logs::{self, LogSettings};
use super::value::{ClientAddress, LogFormat, LogLevel};

use super::table::Settings;

/// Everything but the secrets.
pub(crate) fn config(settings: &Settings) -> ServerConfig {
    let mut config = ServerConfig::default();
    let relay = &mut config.relay;
    relay.connections_max = settings.max_connections;
    relay.channels_max = settings.max_channels;
    relay.requests_out_max = settings.max_requests_out;
    relay.requests_in_max = settings.max_requests_in;
    relay.requests_source_max = settings.max_requests_per_source;
    relay.sources_max = settings.max_sources;
    relay.pairs_max = settings.max_pairs;
    relay.connect_rate = settings.request_pace.rate();
    relay.connect_source_rate = settings.request_pace_per_source.rate();
    relay.pair_rate = settings.request_pace_per_pair.rate();
    relay.prompt_rate = settings.prompt_pace.rate();
    relay.exact_rate = settings.exact_answer_pace.rate();
    relay.exact_total_rate = settings.exact_answer_pace_in_all.rate();
    relay.request_lifetime = settings.request_lifetime.duration();
    relay.register_timeout = settings.register_timeout.duration();
    relay.idle_timeout = settings.idle_timeout.duration();
    relay.stuck_timeout = settings.channel_stall_timeout.duration();
    relay.rejoin_lifetime = settings.rejoin_lifetime.duration();
    relay.retired_for = settings.retired_for.duration();
    relay.retired_max = settings.max_retired;
    relay.token_lifetime = settings.token_lifetime.duration();
    relay.token_renewal = settings.token_renewal.duration();
    let server = &mut config.server;
    server.memory = settings.memory.bytes();
    server.client_bytes_per_second = settings.client_bytes_per_second.0;
    server.client_messages_per_second = settings.client_messages_per_second;
    server.handshake_timeout = settings.handshake_timeout.duration();
    server.handshakes_max = settings.max_handshakes;
    server.outbox_bytes_max = settings.receiver_buffer.bytes();
    server.outbox_bytes_low = settings.receiver_buffer_low.bytes();
    server.control_bytes_max = settings.control_buffer.bytes();
    server.stall_timeout = settings.stall_timeout.duration();
    server.close_linger = settings.close_linger.duration();
    server.drain_timeout = settings.drain_timeout.duration();
    server.drain_after = settings.come_back_after.duration();
    config.addresses.from = match settings.client_address {
        ClientAddress::Socket => phantom_mio::ClientAddress::Socket,
        ClientAddress::ProxyProtocol => phantom_mio::ClientAddress::ProxyProtocol,
        ClientAddress::XForwardedFor => phantom_mio::ClientAddress::XForwardedFor,
    };
    config.addresses.trusted_proxies.clone_from(&settings.trusted_proxies);
    config
}

/// Who may come in, with the tokens that were read.
pub(crate) fn access(settings: &Settings, tokens: Option<TokenFile>) -> Access {
    let mut access = Access::default();
    access.allow.clone_from(&settings.allow);
    access.deny.clone_from(&settings.deny);
    access.origins.clone_from(&settings.allowed_origins);
    access.tokens = tokens;
    access.connections_per_address = settings.max_connections_per_address;
    access.connections_per_second_per_address = settings.connections_per_second_per_address;
    access.connection_burst_per_address = settings.connection_burst_per_address;
    access
}

/// How the log is written.
pub(crate) fn log(settings: &Settings) -> LogSettings {
    LogSettings {
        level: match settings.log_level {
            LogLevel::Error => LevelFilter::Error,
            LogLevel::Warn => LevelFilter::Warn,
            LogLevel::Info => LevelFilter::Info,
            LogLevel::Debug => LevelFilter::Debug,
        },
        format: match settings.log_format {
            LogFormat::Text => logs::LogFormat::Text,
            LogFormat::Json => logs::LogFormat::Json,
        },
        file: settings.log_file.clone(),
        addresses: settings.log_addresses,
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::super::table::{Setting, TABLE};
    use super::*;

    /// Those that something else than this file makes use of.
    const ELSEWHERE: [&str; 7] = [
        "listen",
        "listen_tls",
        "tls_certificate",
        "tls_key",
        "access_tokens",
        "secret_file",
        "metrics_listen",
    ];

    /// For each type of a setting, a value that is no default.
    const OTHERS: [&str; 11] = [
        "7",
        "\"7s\"",
        "\"7m\"",
        "\"17 MiB\"",
        "\"7+1/7s\"",
        "true",
        "\"proxy-protocol\"",
        "\"json\"",
        "\"/7\"",
        "[\"192.0.2.7\"]",
        "\"debug\"",
    ];

    fn outcome(settings: &Settings) -> String {
        format!("{:?} {:?} {:?}", config(settings), access(settings, None), log(settings))
    }

    fn other(setting: &Setting) -> Settings {
        let default = (setting.toml)(&Settings::default());
        let given = |text| file::read(&format!("{} = {text}", setting.key)).keys.remove(0).given;
        let changed = OTHERS.iter().find_map(|text| {
            let mut settings = Settings::default();
            (setting.take)(&mut settings, &given(*text)).ok()?;
            ((setting.toml)(&settings) != default).then_some(settings)
        });
        changed.unwrap_or_else(|| panic!("no other value for {setting:?}"))
    }

    #[test]
    fn every_setting_reaches_what_it_is_for() {
        let unchanged = outcome(&Settings::default());
        for setting in TABLE.iter().filter(|setting| !ELSEWHERE.contains(&setting.key)) {
            assert_ne!(outcome(&other(setting)), unchanged, "{setting:?}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let defaults = Settings::default();
        assert_eq!(format!("{:?}", config(&defaults)), format!("{:?}", ServerConfig::default()));
        assert_eq!(format!("{:?}", access(&defaults, None)), format!("{:?}", Access::default()));
    }
}
