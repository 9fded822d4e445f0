//! The counters as Prometheus text (format 0.0.4): one table says every metric's name, type, help and source.
//!
//! The rule: a value is a number and a label is a word of this file. So no ID, address, key or other word of a client can get out
//! here. Every word of a label is written from the start, with zero, so that rates and alerts see the first event.

use std::fmt::Write;
use std::time::Duration;

use phantom_core::wire::{Answer, CloseCode};

use crate::handshake::HandshakeFailure;
use crate::process::ProcessStats;
use crate::stats::{Histogram, Refusal, ServerState, ServerStats};

/// The content type of [`render`]'s text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What every name begins with.
const PREFIX: &str = "phantom_relay_";

/// One row of the table of metrics.
pub struct Metric {
    name: &'static str,
    kind: MetricKind,
    help: &'static str,
    source: fn(&Facts<'_>, &mut Samples<'_>),
}

/// The type of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only grows, until the relay is started again.
    Counter,
    /// A figure of now.
    Gauge,
    /// Times, counted in buckets.
    Histogram,
}

impl Metric {
    /// Its name, with prefix and unit.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> MetricKind {
        self.kind
    }

    /// What it says, in one sentence.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        self.help
    }
}

impl std::fmt::Debug for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name())
    }
}

/// Where values come from.
struct Facts<'a> {
    server: &'a ServerStats,
    process: &'a ProcessStats,
}

use MetricKind::{Counter, Gauge};

/// Every metric there is, in the order in which they are written.
pub static METRICS: &[Metric] = &[
    Metric {
        name: "build_info",
        kind: Gauge,
        help: "Always 1; the label says which version this is.",
        source: |_, out| out.labelled("version", [(env!("CARGO_PKG_VERSION"), 1)]),
    },
    Metric {
        name: "start_time_seconds",
        kind: Gauge,
        help: "When the relay was made, in seconds of Unix time.",
        source: |facts, out| out.one(facts.server.started),
    },
    Metric {
        name: "uptime_seconds",
        kind: Gauge,
        help: "How long ago that was.",
        source: |facts, out| out.seconds(facts.server.uptime),
    },
    Metric {
        name: "draining",
        kind: Gauge,
        help: "1 while the relay listens no more and its clients are being sent away.",
        source: |facts, out| out.one(u64::from(facts.server.state == ServerState::Draining)),
    },
    Metric {
        name: "connections_accepted_total",
        kind: Counter,
        help: "Connections accepted.",
        source: |facts, out| out.one(facts.server.accepted),
    },
    Metric {
        name: "connections_refused_total",
        kind: Counter,
        help: "Connections refused by a rule or a limit of the relay.",
        source: |facts, out| {
            out.labelled(
                "reason",
                REFUSALS.iter().map(|(key, word)| (*word, count(&facts.server.refused, key))),
            );
        },
    },
    Metric {
        name: "connections_shed_total",
        kind: Counter,
        help: "Connections given up because too much memory was held.",
        source: |facts, out| out.one(facts.server.shed),
    },
    Metric {
        name: "addresses",
        kind: Gauge,
        help: "Addresses, or networks that count as one, that have connections.",
        source: |facts, out| out.one(facts.server.addresses as u64),
    },
    Metric {
        name: "accept_failures_total",
        kind: Counter,
        help: "How often the system had no room for another connection.",
        source: |facts, out| out.one(facts.server.accept_failures),
    },
    Metric {
        name: "sockets",
        kind: Gauge,
        help: "Open connections, by what they are doing.",
        source: |facts, out| {
            let stats = facts.server;
            out.labelled(
                "state",
                [
                    ("handshaking", stats.handshaking as u64),
                    ("open", stats.open as u64),
                    ("closing", stats.closing as u64),
                ],
            );
        },
    },
    Metric {
        name: "sockets_by_transport",
        kind: Gauge,
        help: "Open connections, by what they came over.",
        source: |facts, out| {
            let stats = facts.server;
            let counts =
                [("plain", stats.plain as u64), ("tls", stats.tls as u64), ("unix", stats.unix as u64)];
            out.labelled("transport", counts);
        },
    },
    Metric {
        name: "handshake_failures_total",
        kind: Counter,
        help: "Connections that never became a WebSocket of this protocol.",
        source: |facts, out| {
            let failures = &facts.server.handshake_failures;
            out.labelled(
                "reason",
                HANDSHAKE_FAILURES.iter().map(|(key, word)| (*word, count(failures, key))),
            );
        },
    },
    Metric {
        name: "clients",
        kind: Gauge,
        help: "WebSockets that the relay serves, registered or about to.",
        source: |facts, out| out.one(facts.server.relay.connections),
    },
    Metric {
        name: "clients_closed_total",
        kind: Counter,
        help: "WebSockets that this relay ended, by close code.",
        source: |facts, out| {
            let closed = &facts.server.relay.closed;
            out.labelled("code", CLOSE_CODES.iter().map(|(key, word)| (*word, count(closed, key))));
        },
    },
    Metric {
        name: "clients_left_total",
        kind: Counter,
        help: "WebSockets that ended from the other side: closed properly, or lost.",
        source: |facts, out| {
            out.labelled("how", [("closed", facts.server.closed_by_client), ("lost", facts.server.lost)]);
        },
    },
    Metric {
        name: "channels",
        kind: Gauge,
        help: "Channels open now.",
        source: |facts, out| out.one(facts.server.relay.channels),
    },
    Metric {
        name: "requests_total",
        kind: Counter,
        help: "What became of requests, by answer. What both sides are told is counted once.",
        source: |facts, out| {
            let answers = &facts.server.relay.answers;
            out.labelled("answer", ANSWERS.iter().map(|(key, word)| (*word, count(answers, key))));
        },
    },
    Metric {
        name: "received_frames_total",
        kind: Counter,
        help: "Messages of clients, of whatever kind.",
        source: |facts, out| out.one(facts.server.frames_received),
    },
    Metric {
        name: "received_bytes_total",
        kind: Counter,
        help: "Bytes read from connections, after decryption.",
        source: |facts, out| out.one(facts.server.bytes_received),
    },
    Metric {
        name: "sent_frames_total",
        kind: Counter,
        help: "Messages for clients, of whatever kind, sent or still waiting.",
        source: |facts, out| out.one(facts.server.frames_sent),
    },
    Metric {
        name: "sent_bytes_total",
        kind: Counter,
        help: "Bytes written to connections, before encryption.",
        source: |facts, out| out.one(facts.server.bytes_sent),
    },
    Metric {
        name: "forwarded_frames_total",
        kind: Counter,
        help: "Frames passed on from one client to another.",
        source: |facts, out| out.one(facts.server.relay.frames_forwarded),
    },
    Metric {
        name: "forwarded_bytes_total",
        kind: Counter,
        help: "Their bytes, with their headers.",
        source: |facts, out| out.one(facts.server.relay.bytes_forwarded),
    },
    Metric {
        name: "dropped_frames_total",
        kind: Counter,
        help: "Frames that were not passed on.",
        source: |facts, out| out.labelled("reason", [("no_channel", facts.server.relay.frames_dropped)]),
    },
    Metric {
        name: "held_up_senders",
        kind: Gauge,
        help: "Senders that are not read now, because their receiver is full.",
        source: |facts, out| out.one(facts.server.held_up_now as u64),
    },
    Metric {
        name: "held_up_total",
        kind: Counter,
        help: "How often a sender was held up.",
        source: |facts, out| out.one(facts.server.held_up),
    },
    Metric {
        name: "rests_total",
        kind: Counter,
        help: "How often a client was not read for a moment, because it was ahead of its pace.",
        source: |facts, out| out.one(facts.server.rested),
    },
    Metric {
        name: "outbox_bytes",
        kind: Gauge,
        help: "Bytes that wait to be sent, to all clients.",
        source: |facts, out| out.one(facts.server.outbox_bytes as u64),
    },
    Metric {
        name: "outbox_largest_bytes",
        kind: Gauge,
        help: "The most bytes that wait now for one client.",
        source: |facts, out| out.one(facts.server.outbox_bytes_largest as u64),
    },
    Metric {
        name: "outbox_peak_bytes",
        kind: Gauge,
        help: "The most bytes of data that ever waited for one client.",
        source: |facts, out| out.one(facts.server.outbox_bytes_peak as u64),
    },
    Metric {
        name: "memory_used_bytes",
        kind: Gauge,
        help: "Bytes held, as the memory budget counts them.",
        source: |facts, out| out.one(facts.server.memory_used as u64),
    },
    Metric {
        name: "memory_limit_bytes",
        kind: Gauge,
        help: "The memory budget.",
        source: |facts, out| out.one(facts.server.memory_limit as u64),
    },
    Metric {
        name: "loop_round_seconds",
        kind: MetricKind::Histogram,
        help: "How long a round of the event loop took, without its wait.",
        source: |facts, out| out.histogram(&facts.server.rounds),
    },
    Metric {
        name: "loop_lateness_seconds",
        kind: MetricKind::Histogram,
        help: "How long after its time a deadline was handled.",
        source: |facts, out| out.histogram(&facts.server.lateness),
    },
    Metric {
        name: "certificate_not_after_seconds",
        kind: Gauge,
        help: "When the first of the certificates in use ends, in seconds of Unix time; absent without TLS.",
        source: |facts, out| out.maybe(facts.server.certificate_not_after),
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Gauge,
        help: "Memory of the process that is really there.",
        source: |facts, out| out.maybe(facts.process.resident_bytes),
    },
    Metric {
        name: "process_open_fds",
        kind: Gauge,
        help: "Open descriptors of the process.",
        source: |facts, out| out.maybe(facts.process.open_descriptors),
    },
    Metric {
        name: "process_max_fds",
        kind: Gauge,
        help: "How many descriptors it may have.",
        source: |facts, out| out.maybe(facts.process.max_descriptors),
    },
];

/// The text of a scrape. A metric without a value now is left out, with its head.
#[must_use]
pub fn render(server: &ServerStats, process: &ProcessStats) -> String {
    let facts = Facts { server, process };
    let mut text = String::with_capacity(16 * 1024);
    for metric in METRICS {
        let mut samples = Samples { metric, text: &mut text, headed: false };
        (metric.source)(&facts, &mut samples);
    }
    text
}

/// Where a metric's values are written.
struct Samples<'a> {
    metric: &'static Metric,
    text: &'a mut String,
    headed: bool,
}

impl Samples<'_> {
    fn one(&mut self, value: u64) {
        self.line("", format_args!(""), format_args!("{value}"));
    }

    fn maybe(&mut self, value: Option<u64>) {
        value.into_iter().for_each(|value| self.one(value));
    }

    fn seconds(&mut self, value: Duration) {
        self.line("", format_args!(""), format_args!("{}", value.as_secs_f64()));
    }

    /// One value for each word of a label.
    fn labelled(&mut self, label: &'static str, values: impl IntoIterator<Item = (&'static str, u64)>) {
        for (word, value) in values {
            self.line("", format_args!("{{{label}=\"{word}\"}}"), format_args!("{value}"));
        }
    }

    fn histogram(&mut self, histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            let bound = bound.as_secs_f64();
            self.line("_bucket", format_args!("{{le=\"{bound}\"}}"), format_args!("{count}"));
        }
        let count = histogram.count();
        self.line("_bucket", format_args!("{{le=\"+Inf\"}}"), format_args!("{count}"));
        self.line("_sum", format_args!(""), format_args!("{}", histogram.sum().as_secs_f64()));
        self.line("_count", format_args!(""), format_args!("{count}"));
    }

    fn line(&mut self, suffix: &str, labels: std::fmt::Arguments<'_>, value: std::fmt::Arguments<'_>) {
        let Metric { name, kind, help, .. } = self.metric;
        let kind = match kind {
            Counter => "counter",
            Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        if !std::mem::replace(&mut self.headed, true) {
            let head = format_args!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n");
            self.text.write_fmt(head).expect("a String takes everything");
        }
        let line = format_args!("{PREFIX}{name}{suffix}{labels} {value}\n");
        self.text.write_fmt(line).expect("a String takes everything");
    }
}

fn count<K: Ord>(counts: &std::collections::BTreeMap<K, u64>, key: &K) -> u64 {
    counts.get(key).copied().unwrap_or(0)
}

/// The words of a label, one for each variant. A variant that is missing does not compile, but for those that another crate may add:
/// those a test finds.
macro_rules! words {
    ($list:ident: $kind:ident { $($variant:ident $word:literal,)+ } $($others:pat_param)?) => {
        const $list: &[($kind, &str)] = &[$(($kind::$variant, $word)),+];
        const _: fn($kind) = |key| match key {
            $($kind::$variant => {})+
            $($others => {})?
        };
    };
}

words!(REFUSALS: Refusal {
    Denied "denied",
    AddressFull "address_full",
    AddressRate "address_rate",
    Memory "memory",
});

words!(HANDSHAKE_FAILURES: HandshakeFailure {
    Subprotocol "subprotocol",
    WebSocket "websocket",
    PlainHttp "plain_http",
    Method "method",
    TooLarge "too_large",
    NotHttp "not_http",
    Tls "tls",
    PlainOnTls "plain_on_tls",
    TlsFailed "tls_failed",
    NoProxyHeader "no_proxy_header",
    ProxyHeader "proxy_header",
    ForwardedFor "forwarded_for",
    Origin "origin",
    Token "token",
    Timeout "timeout",
    Gone "gone",
    Crowded "crowded",
});

words!(ANSWERS: Answer {
    Requested "requested",
    SourceAlreadyConnected "source_already_connected",
    TargetAlreadyConnected "target_already_connected",
    TargetNotFound "target_not_found",
    NotConnected "not_connected",
    Declined "declined",
    Approved "approved",
    ConnectionDone "connection_done",
    RequestOpen "request_open",
    Incoming "incoming",
    Withdrawn "withdrawn",
    Expired "expired",
    Throttled "throttled",
    Refused "refused",
    VersionUnsupported "version_unsupported",
    Unavailable "unavailable",
    Left "left",
    OwnId "own_id",
} _);

words!(CLOSE_CODES: CloseCode {
    Normal "normal",
    GoingAway "going_away",
    Malformed "malformed",
    UnknownFrame "unknown_frame",
    TooLarge "too_large",
    NotBinary "not_binary",
    NotRegistered "not_registered",
    AlreadyRegistered "already_registered",
    VersionUnsupported "version_unsupported",
    Violation "violation",
    RegisterTimeout "register_timeout",
    Idle "idle",
    Stalled "stalled",
    Superseded "superseded",
    RelayFull "relay_full",
    IdsExhausted "ids_exhausted",
    Throttled "throttled",
    Refused "refused",
} _);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_answer_and_close_code_has_its_own_word() {
        assert_eq!(ANSWERS.iter().map(|(key, _)| *key).collect::<Vec<_>>(), Answer::ALL);
        assert_eq!(CLOSE_CODES.iter().map(|(key, _)| *key).collect::<Vec<_>>(), CloseCode::ALL);
        let words = [words(ANSWERS), words(CLOSE_CODES), words(REFUSALS), words(HANDSHAKE_FAILURES)];
        let lens = [ANSWERS.len(), CLOSE_CODES.len(), REFUSALS.len(), HANDSHAKE_FAILURES.len()];
        assert_eq!(words.map(|words| words.len()), lens);
    }

    fn words<K>(list: &[(K, &'static str)]) -> BTreeSet<&'static str> {
        list.iter().map(|(_, word)| *word).collect()
    }

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<_> = METRICS.iter().map(Metric::name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert_eq!(metric.name().ends_with("_total"), metric.kind == Counter, "{metric:?}");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\\', '\n']), "{metric:?}");
        }
    }

    /// What this test cannot cause in a relay without a certificate, a budget and rules of access.
    #[test]
    fn what_others_count_is_written() {
        let stats = ServerStats {
            memory_used: 7,
            memory_limit: 8,
            certificate_not_after: Some(9),
            refused: [(Refusal::AddressFull, 10)].into(),
            ..ServerStats::default()
        };
        let text = render(&stats, &ProcessStats::default());
        for line in [
            "memory_used_bytes 7",
            "memory_limit_bytes 8",
            "certificate_not_after_seconds 9",
            "connections_refused_total{reason=\"address_full\"} 10",
        ] {
            assert!(text.contains(&format!("\n{PREFIX}{line}\n")), "{line} in {text}");
        }
        assert!(!text.contains("process_"));
        assert!(!render(&ServerStats::default(), &ProcessStats::default()).contains("certificate"));
    }
}
