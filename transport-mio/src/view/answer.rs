//! One request, one answer: which question it is, and what the relay's counters say to it.

use crate::metrics;
use crate::process::ProcessStats;
use crate::stats::{ServerState, ServerStats};

/// The longest request head, in bytes.
const HEAD_MAX: usize = 8 * 1024;
/// The most headers.
const HEADERS_MAX: usize = 64;
/// With fewer descriptors left than this, new clients are not welcome.
const DESCRIPTORS_LEFT_MIN: u64 = 16;

const PLAIN: &str = "text/plain; charset=utf-8";
const PATHS: &str = "/metrics  the counters, for Prometheus\n/healthz  whether the relay's loop answers\n/readyz   whether new clients are welcome\n";

/// What has come of a request.
pub(super) enum Question {
    /// More must come.
    Incomplete,
    /// This.
    Asked(Asked),
}

/// A request that is complete, or can be answered before it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    what: What,
    /// The answer's head is wanted, and not the rest.
    head_only: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Metrics,
    Health,
    Readiness,
    Paths,
    NoSuchPath,
    OtherMethod,
    TooLarge,
    NoHttp,
}

/// What these bytes ask.
pub(super) fn parse(head: &[u8]) -> Question {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let what = match request.parse(head) {
        Ok(_) if head.len() > HEAD_MAX => What::TooLarge,
        Ok(httparse::Status::Partial) => return Question::Incomplete,
        Ok(httparse::Status::Complete(_)) => match (request.method, request.path) {
            (Some("GET" | "HEAD"), Some(target)) => path(target),
            _ => What::OtherMethod,
        },
        Err(httparse::Error::TooManyHeaders) => What::TooLarge,
        Err(_) => What::NoHttp,
    };
    Question::Asked(Asked { what, head_only: request.method == Some("HEAD") })
}

fn path(target: &str) -> What {
    match target.split('?').next() {
        Some("/metrics") => What::Metrics,
        Some("/healthz") => What::Health,
        Some("/readyz") => What::Readiness,
        Some("/") => What::Paths,
        _ => What::NoSuchPath,
    }
}

impl Asked {
    /// Whether the relay's loop has to be asked.
    pub(super) const fn needs_stats(self) -> bool {
        matches!(self.what, What::Metrics | What::Health | What::Readiness)
    }

    /// The whole answer. `stats` is `None` if the loop has not answered.
    pub(super) fn answer(self, stats: Option<&ServerStats>) -> Vec<u8> {
        let (status, kind, body) = match (self.what, stats) {
            (What::Metrics, Some(stats)) => {
                ("200 OK", metrics::CONTENT_TYPE, metrics::render(stats, &ProcessStats::read()))
            }
            (What::Health, Some(stats)) => verdict(unhealthy(stats)),
            (What::Readiness, Some(stats)) => verdict(unready(stats, &ProcessStats::read())),
            (What::Metrics | What::Health | What::Readiness, None) => {
                verdict(Some("the relay's loop does not answer"))
            }
            (What::Paths, _) => ("200 OK", PLAIN, PATHS.to_owned()),
            (What::NoSuchPath, _) => {
                ("404 Not Found", PLAIN, format!("There is no such path. There are:\n{PATHS}"))
            }
            (What::OtherMethod, _) => ("405 Method Not Allowed", PLAIN, "Only GET and HEAD.\n".to_owned()),
            (What::TooLarge, _) => {
                ("431 Request Header Fields Too Large", PLAIN, "The request is too long.\n".to_owned())
            }
            (What::NoHttp, _) => ("400 Bad Request", PLAIN, "This is no HTTP request.\n".to_owned()),
        };
        let allow = if self.what == What::OtherMethod { "Allow: GET, HEAD\r\n" } else { "" };
        let length = body.len();
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        );
        if !self.head_only {
            answer.push_str(&body);
        }
        answer.into_bytes()
    }
}

fn verdict(problem: Option<&str>) -> (&'static str, &'static str, String) {
    match problem {
        None => ("200 OK", PLAIN, "ok\n".to_owned()),
        Some(problem) => ("503 Service Unavailable", PLAIN, format!("{problem}\n")),
    }
}

/// Why the relay had better be started again.
const fn unhealthy(stats: &ServerStats) -> Option<&'static str> {
    match stats.state {
        ServerState::Serving | ServerState::Draining => None,
        ServerState::Waiting => Some("the relay does not run yet"),
        ServerState::Stopped => Some("the relay has stopped"),
    }
}

/// Why new clients had better go elsewhere.
fn unready(stats: &ServerStats, process: &ProcessStats) -> Option<&'static str> {
    if let Some(problem) = unhealthy(stats) {
        Some(problem)
    } else if stats.state == ServerState::Draining {
        Some("the relay drains")
    } else if !stats.accepting {
        Some("the system has no room for another connection")
    } else if process.free_descriptors().is_some_and(|left| left < DESCRIPTORS_LEFT_MIN) {
        Some("hardly any descriptor is left")
    } else if stats.memory_short {
        Some("the memory budget is used up")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> Option<(What, bool)> {
        match parse(head.as_bytes()) {
            Question::Incomplete => None,
            Question::Asked(asked) => Some((asked.what, asked.head_only)),
        }
    }

    #[test]
    fn requests_are_told_apart() {
        for (head, expected) in [
            ("GET /metrics HTTP/1.1\r\n\r\n", Some((What::Metrics, false))),
            ("GET /metrics?x=1 HTTP/1.0\r\nHost: a\r\n\r\n", Some((What::Metrics, false))),
            ("HEAD /healthz HTTP/1.1\r\n\r\n", Some((What::Health, true))),
            ("GET /readyz HTTP/1.1\n\n", Some((What::Readiness, false))),
            ("GET / HTTP/1.1\r\n\r\n", Some((What::Paths, false))),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", Some((What::NoSuchPath, false))),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some((What::OtherMethod, false))),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n", None),
            ("", None),
            ("\x16\x03\x01", Some((What::NoHttp, false))),
            ("PRI * HTTP/2.0\r\n\r\n", Some((What::NoHttp, false))),
        ] {
            assert_eq!(asked(head), expected, "{head:?}");
        }
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(asked(&long), Some((What::TooLarge, false)));
        assert_eq!(asked(&long[..HEAD_MAX]), None);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(asked(&many), Some((What::TooLarge, false)));
    }

    #[test]
    fn readiness_says_what_is_in_the_way() {
        let good = ServerStats { state: ServerState::Serving, accepting: true, ..ServerStats::default() };
        let process = |open| ProcessStats {
            open_descriptors: Some(open),
            max_descriptors: Some(1000),
            ..ProcessStats::default()
        };
        let with = |change: fn(&mut ServerStats)| {
            let mut stats = good.clone();
            change(&mut stats);
            unready(&stats, &process(900))
        };
        assert_eq!(with(|_| {}), None);
        assert_eq!(with(|stats| stats.memory_short = true), Some("the memory budget is used up"));
        assert_eq!(
            with(|stats| stats.accepting = false),
            Some("the system has no room for another connection")
        );
        assert_eq!(with(|stats| stats.state = ServerState::Draining), Some("the relay drains"));
        assert_eq!(with(|stats| stats.state = ServerState::Stopped), Some("the relay has stopped"));
        assert_eq!(unready(&good, &process(985)), Some("hardly any descriptor is left"));
        assert_eq!(unready(&good, &ProcessStats::default()), None);
    }
}
