//! The view inside: every metric with the value that was caused, health and readiness, and who looks slowly or wrongly.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use common::scrape::{Samples, ask, ask_raw, parse, scrape, split};
use common::{
    Client, PATIENCE, Pair, await_stats, forward, masked, read_to_end, relay, relay_with, send_quietly, tcp,
    upgrade_request,
};
use phantom_core::wire::{ClientFrame, FRAME_MAX, SUBPROTOCOL};
use phantom_mio::{CloseCode, METRICS, RunningRelay, ServerConfig, View};

/// A relay that is looked at.
struct Watched {
    relay: RunningRelay,
    view: View,
}

fn watched(change: impl FnOnce(&mut ServerConfig)) -> Watched {
    let relay = relay_with(change);
    let view = View::bind("127.0.0.1:0", relay.handle()).unwrap();
    Watched { relay, view }
}

/// Which metrics have been seen with the value that was caused.
#[derive(Default)]
struct Seen(BTreeSet<String>);

enum Value {
    Is(f64),
    AtLeast(f64),
}

use Value::{AtLeast, Is};

impl Seen {
    /// Looks until every sample is as wanted.
    fn check(&mut self, address: SocketAddr, wanted: &[(&str, Value)]) -> Samples {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let samples = scrape(address);
            let wrong = wanted.iter().find(|(name, value)| {
                let sample = samples.get(&format!("phantom_relay_{name}"));
                !sample.is_some_and(|&sample| match value {
                    Is(value) => sample == *value,
                    AtLeast(value) => sample >= *value,
                })
            });
            let Some((name, value)) = wrong else {
                self.0.extend(wanted.iter().map(|(name, _)| name.split('{').next().unwrap().to_owned()));
                return samples;
            };
            let wanted = match value {
                Is(value) => format!("{value}"),
                AtLeast(value) => format!("at least {value}"),
            };
            assert!(Instant::now() < deadline, "{name} never was {wanted}: {samples:#?}");
        }
    }
}

#[test]
fn every_metric_has_the_value_that_was_caused() {
    let mut seen = Seen::default();
    quiet(&mut seen);
    traffic(&mut seen);
    partings(&mut seen);
    handshakes(&mut seen);
    pressure(&mut seen);
    memory(&mut seen);
    draining(&mut seen);
    let histogram = |name: &str| ["_count", "_sum"].map(|end| format!("{name}{end}"));
    let missing: Vec<_> = METRICS
        .iter()
        .map(|metric| metric.name().strip_prefix("phantom_relay_").unwrap().to_owned())
        .filter(|name| !seen.0.contains(name) && !histogram(name).iter().all(|name| seen.0.contains(name)))
        .collect();
    // The first is seen in tests/descriptors.rs, the second where certificates are.
    assert_eq!(missing, ["accept_failures_total", "certificate_not_after_seconds"]);
}

/// Nothing has happened: everything is there already, and says so.
fn quiet(seen: &mut Seen) {
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = watched(|_| {});
    let samples = seen.check(
        at.view.local_addr(),
        &[
            (concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), Is(1.0)),
            ("start_time_seconds", AtLeast(before as f64)),
            ("uptime_seconds", AtLeast(1e-6)),
            ("process_resident_memory_bytes", AtLeast(1e6)),
            ("process_open_fds", AtLeast(5.0)),
            ("process_max_fds", AtLeast(100.0)),
            ("memory_limit_bytes", Is(ServerConfig::default().server.memory as f64)),
            ("loop_round_seconds_count", AtLeast(1.0)),
            ("loop_round_seconds_sum", AtLeast(1e-6)),
        ],
    );
    let with =
        |start: &str| samples.keys().filter(|key| key.starts_with(&format!("phantom_relay_{start}"))).count();
    assert_eq!((with("requests_total{"), with("clients_closed_total{")), (18, 18));
    assert!(with("handshake_failures_total{") >= 10);
    for metric in METRICS {
        let name = metric.name();
        let count = samples.keys().filter(|key| key.starts_with(&name)).count();
        assert!(count > 0 || name.contains("certificate"), "{name}");
    }
}

fn traffic(seen: &mut Seen) {
    let at = watched(|_| {});
    let mut pair = Pair::meet(at.relay.local_addr());
    let samples = seen.check(
        at.view.local_addr(),
        &[
            ("connections_accepted_total", Is(2.0)),
            ("addresses", Is(1.0)),
            ("sockets{state=\"open\"}", Is(2.0)),
            ("sockets{state=\"handshaking\"}", Is(0.0)),
            ("sockets_by_transport{transport=\"plain\"}", Is(2.0)),
            ("clients", Is(2.0)),
            ("channels", Is(1.0)),
            ("requests_total{answer=\"incoming\"}", Is(1.0)),
            ("requests_total{answer=\"approved\"}", Is(1.0)),
            ("requests_total{answer=\"connection_done\"}", Is(1.0)),
            ("requests_total{answer=\"declined\"}", Is(0.0)),
            // Two REGISTER, CONNECT, ACCEPT.
            ("received_frames_total", Is(4.0)),
            ("memory_used_bytes", AtLeast(1e6)),
        ],
    );
    pair.exchange(&[7; 1000]);
    pair.a.send_bytes(&forward(9999, b"to nobody"));
    let was = |name: &str| samples[&format!("phantom_relay_{name}")];
    seen.check(
        at.view.local_addr(),
        &[
            ("forwarded_frames_total", Is(2.0)),
            ("forwarded_bytes_total", Is(2.0 * 1005.0)),
            ("dropped_frames_total{reason=\"no_channel\"}", Is(1.0)),
            ("received_frames_total", Is(7.0)),
            ("sent_frames_total", Is(was("sent_frames_total") + 2.0)),
            // A client's frame has a header of 8 bytes with its mask, or 6 if it is short; the relay's one of 4.
            ("received_bytes_total", Is(was("received_bytes_total") + 2.0 * 1013.0 + 6.0 + 14.0)),
            ("sent_bytes_total", Is(was("sent_bytes_total") + 2.0 * 1009.0)),
        ],
    );
}

fn partings(seen: &mut Seen) {
    let at = watched(|config| config.server.close_linger = PATIENCE);
    let address = at.relay.local_addr();
    let (mut polite, _) = Client::join(address);
    polite.socket.close(None).unwrap();
    polite.ends();
    drop(Client::join(address));
    let (mut wrong, _) = Client::join(address);
    wrong.socket.send(tungstenite::Message::text("hello")).unwrap();
    let waiting = tcp(address);
    seen.check(
        at.view.local_addr(),
        &[
            ("clients_left_total{how=\"closed\"}", Is(1.0)),
            ("clients_left_total{how=\"lost\"}", Is(1.0)),
            ("clients_closed_total{code=\"not_binary\"}", Is(1.0)),
            ("clients_closed_total{code=\"malformed\"}", Is(0.0)),
            ("sockets{state=\"closing\"}", Is(1.0)),
            ("sockets{state=\"handshaking\"}", Is(1.0)),
            ("sockets{state=\"open\"}", Is(0.0)),
        ],
    );
    drop((wrong, waiting));
}

fn handshakes(seen: &mut Seen) {
    let at = watched(|config| config.server.handshakes_max = 2);
    let address = at.relay.local_addr();
    let upgrade = upgrade_request(SUBPROTOCOL);
    for request in [
        upgrade_request("other"),
        upgrade.replace("Version: 13", "Version: 12"),
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(9000)),
        "\0".to_owned(),
        "\x16\x03\x01".to_owned(),
    ] {
        let mut socket = tcp(address);
        send_quietly(&mut socket, request.as_bytes());
        read_to_end(&mut socket);
    }
    let two = [tcp(address), tcp(address)];
    // The first of them gives way.
    let third = tcp(address);
    seen.check(at.view.local_addr(), &[("handshake_failures_total{reason=\"crowded\"}", Is(1.0))]);
    drop((two, third));
    let each = ["subprotocol", "websocket", "plain_http", "method", "too_large", "not_http", "tls"];
    let each = each.map(|reason| format!("handshake_failures_total{{reason=\"{reason}\"}}"));
    let mut wanted: Vec<_> = each.iter().map(|name| (name.as_str(), Is(1.0))).collect();
    wanted.push(("handshake_failures_total{reason=\"gone\"}", Is(2.0)));
    seen.check(at.view.local_addr(), &wanted);

    let at = watched(|config| config.server.handshake_timeout = Duration::from_millis(50));
    assert_eq!(read_to_end(&mut tcp(at.relay.local_addr())), b"");
    seen.check(
        at.view.local_addr(),
        &[
            ("handshake_failures_total{reason=\"timeout\"}", Is(1.0)),
            ("loop_lateness_seconds_count", AtLeast(1.0)),
            ("loop_lateness_seconds_sum", AtLeast(1e-6)),
        ],
    );
}

fn pressure(seen: &mut Seen) {
    const OUTBOX: usize = 256 * 1024;
    let at = watched(|config| {
        config.server.outbox_bytes_max = OUTBOX;
        config.server.outbox_bytes_low = OUTBOX / 2;
    });
    let pair = Pair::meet(at.relay.local_addr());
    let mut socket = pair.a.socket.get_ref().try_clone().unwrap();
    let message = masked(0x82, &forward(pair.a_channel, &vec![1; FRAME_MAX - 5]));
    let pouring = thread::spawn(move || while socket.write_all(&message).is_ok() {});
    let samples = seen.check(
        at.view.local_addr(),
        &[
            ("held_up_senders", Is(1.0)),
            ("held_up_total", AtLeast(1.0)),
            ("outbox_bytes", AtLeast(OUTBOX as f64 / 2.0)),
            ("outbox_peak_bytes", AtLeast(OUTBOX as f64)),
            ("outbox_largest_bytes", AtLeast(OUTBOX as f64 / 2.0)),
        ],
    );
    // Only one client has anything waiting.
    assert_eq!(samples["phantom_relay_outbox_bytes"], samples["phantom_relay_outbox_largest_bytes"]);
    drop(pair);
    drop(at);
    pouring.join().unwrap();

    let at = watched(|config| config.server.client_messages_per_second = 1);
    let (mut hasty, _) = Client::join(at.relay.local_addr());
    (0..20).for_each(|token| hasty.send(ClientFrame::Ping { token }));
    seen.check(at.view.local_addr(), &[("rests_total", AtLeast(1.0))]);
}

/// Requests without end, of which each holds some memory.
fn memory(seen: &mut Seen) {
    let _as_it_is = phantom_mio::raise_file_limit();
    let at = watched(|config| config.server.memory = 16 * 1024 * 1024);
    let address = at.relay.local_addr();
    let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(8000));
    let mut begun = Vec::new();
    let mut begin = || {
        let mut socket = tcp(address);
        send_quietly(&mut socket, head.as_bytes());
        begun.push(socket);
    };
    while !at.relay.handle().stats().memory_short {
        begin();
    }
    assert_eq!(ready(&at), (503, "the memory budget is used up\n".to_owned()));
    assert_eq!(Client::dial(address).close_code(), CloseCode::RelayFull);
    while at.relay.handle().stats().shed == 0 {
        begin();
    }
    seen.check(
        at.view.local_addr(),
        &[
            ("connections_refused_total{reason=\"memory\"}", Is(1.0)),
            ("connections_shed_total", AtLeast(1.0)),
            ("memory_limit_bytes", Is(16.0 * 1024.0 * 1024.0)),
            ("memory_used_bytes", AtLeast(15.0 * 1024.0 * 1024.0)),
        ],
    );
    drop(begun);
    await_stats(&at.relay.handle(), "there is room again", |stats| !stats.memory_short);
    assert_eq!(ready(&at), (200, "ok\n".to_owned()));
}

fn draining(seen: &mut Seen) {
    let Watched { relay, view } = watched(|config| config.server.close_linger = PATIENCE);
    let (client, _) = Client::join(relay.local_addr());
    assert_eq!(ask(view.local_addr(), "GET", "/healthz").0, 200);
    seen.check(view.local_addr(), &[("draining", Is(0.0))]);
    relay.handle().stop();
    seen.check(view.local_addr(), &[("draining", Is(1.0))]);
    assert_eq!(ask(view.local_addr(), "GET", "/healthz").0, 200);
    let (status, _, why) = ask(view.local_addr(), "GET", "/readyz");
    assert_eq!((status, why.as_str()), (503, "the relay drains\n"));
    drop(client);
    relay.stop().unwrap();
    for path in ["/healthz", "/readyz"] {
        let (status, _, why) = ask(view.local_addr(), "GET", path);
        assert_eq!((status, why.as_str()), (503, "the relay has stopped\n"));
    }
    seen.check(view.local_addr(), &[("draining", Is(0.0))]);
}

fn ready(at: &Watched) -> (u16, String) {
    let (status, _, body) = ask(at.view.local_addr(), "GET", "/readyz");
    (status, body)
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_counted_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay");
    let listener = phantom_mio::Listener::unix(&path).unwrap();
    let relay = phantom_mio::RelayServer::with_listeners(vec![listener], ServerConfig::default()).unwrap();
    let relay = relay.spawn().unwrap();
    let view = View::bind("127.0.0.1:0", relay.handle()).unwrap();
    let _socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
    Seen::default().check(
        view.local_addr(),
        &[
            ("sockets_by_transport{transport=\"unix\"}", Is(1.0)),
            ("sockets_by_transport{transport=\"plain\"}", Is(0.0)),
        ],
    );
}

#[test]
fn paths_methods_and_what_is_no_request() {
    let at = watched(|_| {});
    let address = at.view.local_addr();
    let (status, _, body) = ask(address, "GET", "/");
    assert_eq!(status, 200);
    assert!(["/metrics", "/healthz", "/readyz"].iter().all(|path| body.contains(path)), "{body}");
    assert_eq!(ask(address, "GET", "/healthz"), {
        let (_, head, _) = ask(address, "GET", "/readyz");
        (200, head, "ok\n".to_owned())
    });
    let (status, head, body) = ask(address, "HEAD", "/metrics");
    assert_eq!((status, body.as_str()), (200, ""));
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    assert!(length.parse::<usize>().unwrap() > 1000);
    assert_eq!(ask(address, "GET", "/metrics/x").0, 404);
    assert_eq!(ask(address, "GET", "/metrics?name=x").0, 200);
    let (status, head, _) = ask(address, "DELETE", "/metrics");
    assert_eq!(status, 405);
    assert!(head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
    assert_eq!(split(&ask_raw(address, b"\x16\x03\x01\x00\x01")).0, 400);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(split(&ask_raw(address, long.as_bytes())).0, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(split(&ask_raw(address, many.as_bytes())).0, 431);
    // In pieces, and with the sending side closed behind it.
    let mut socket = tcp(address);
    for byte in b"GET /healthz HTTP/1.1\r\n\r\n" {
        socket.write_all(&[*byte]).unwrap();
    }
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(split(&String::from_utf8(read_to_end(&mut socket)).unwrap()).0, 200);
}

#[test]
fn who_looks_slowly_holds_nobody_up_for_long() {
    let at = watched(|_| {});
    let slow = || {
        let mut socket = tcp(at.view.local_addr());
        socket.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
        socket
    };
    let begin = Instant::now();
    let mut some: Vec<_> = (0..15).map(|_| slow()).collect();
    assert_eq!(ready(&at).0, 200);
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    // Now every place is taken, until the time of the first is over. A byte now and then does not make it longer.
    some.extend([slow(), slow(), slow()]);
    assert!(some[0].write_all(b"x").is_ok());
    assert_eq!(ready(&at).0, 200);
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn the_view_ends_when_it_is_dropped_and_the_relay_goes_on() {
    let Watched { relay, view } = watched(|_| {});
    let address = view.local_addr();
    let mut looking = tcp(address);
    assert_eq!(ask(address, "GET", "/healthz").0, 200);
    drop(view);
    assert_eq!(looking.read(&mut [0; 10]).unwrap_or(0), 0);
    assert!(std::net::TcpStream::connect(address).is_err());
    Pair::meet(relay.local_addr()).exchange(b"hello");
}

/// What the checker of these tests must refuse.
#[test]
fn the_checker_is_strict() {
    let good = "# HELP a_total Words.\n# TYPE a_total counter\na_total{b=\"c\"} 1\na_total{b=\"d\"} 2\n\
                # HELP h Words.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n";
    assert_eq!(parse(good).len(), 6);
    for (from, to) in [
        ("# HELP a_total Words.\n", ""),
        ("# TYPE a_total counter\n", ""),
        ("counter", "count"),
        ("a_total{b=\"d\"} 2", "a_total{b=\"c\"} 2"),
        ("a_total{b=\"d\"} 2", "a_other{b=\"d\"} 2"),
        ("a_total{b=\"d\"} 2", "a_total{b=d} 2"),
        ("a_total{b=\"d\"} 2", "a_total{b=\"d\"} NaN"),
        ("a_total{b=\"d\"} 2", "a_total{b=\"d\"} two"),
        ("h_bucket{le=\"1\"} 1", "h_bucket{le=\"1\"} 3"),
        ("h_count 2", "h_count 3"),
        ("h_count 2\n", "h_count 2"),
        ("# HELP h", "# HELP a_total"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(std::panic::catch_unwind(|| parse(&bad)).is_err(), "{bad}");
    }
}

/// Prometheus' own checker, where it is installed.
#[test]
fn promtool_has_nothing_to_say() {
    use std::process::{Command, Stdio};
    let relay = relay();
    let text = phantom_mio::render_metrics(&relay.handle().stats(), &phantom_mio::ProcessStats::read());
    parse(&text);
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = command else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
