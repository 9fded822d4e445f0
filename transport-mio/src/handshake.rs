//! The WebSocket handshake: a bounded HTTP request, and one answer.
//!
//! | the client sends | it gets | counted as |
//! | --- | --- | --- |
//! | a WebSocket request that offers `phantom.1` | 101, and that subprotocol | |
//! | a WebSocket request without it | 400 | [`Subprotocol`](HandshakeFailure::Subprotocol) |
//! | a WebSocket request with a wrong version or key | 400 | [`WebSocket`](HandshakeFailure::WebSocket) |
//! | a plain GET | 426 | [`PlainHttp`](HandshakeFailure::PlainHttp) |
//! | another method | 405 | [`Method`](HandshakeFailure::Method) |
//! | more than 8 KiB, or too many headers | 431 | [`TooLarge`](HandshakeFailure::TooLarge) |
//! | anything that is no HTTP | 400 | [`NotHttp`](HandshakeFailure::NotHttp) |
//! | the beginning of TLS, where plain HTTP is spoken | the connection is closed | [`Tls`](HandshakeFailure::Tls) |
//! | plain HTTP, where TLS is spoken | 400 | [`PlainOnTls`](HandshakeFailure::PlainOnTls) |
//! | other than TLS, or unusable TLS, where it is spoken | a TLS alert | [`TlsFailed`](HandshakeFailure::TlsFailed) |
//! | another beginning than the PROXY protocol, from a trusted proxy | the connection is closed | [`NoProxyHeader`](HandshakeFailure::NoProxyHeader) |
//! | a PROXY header with a mistake in it | the connection is closed | [`ProxyHeader`](HandshakeFailure::ProxyHeader) |
//! | no usable `X-Forwarded-For`, from a trusted proxy | 400 | [`ForwardedFor`](HandshakeFailure::ForwardedFor) |
//! | a request of a web page that is not welcome | 403 | [`Origin`](HandshakeFailure::Origin) |
//! | a request without a token, or with a wrong one, where one is needed | 401 | [`Token`](HandshakeFailure::Token) |
//! | nothing, or not the whole request in time | the connection is closed | [`Timeout`](HandshakeFailure::Timeout) |
//!
//! An address that is [refused](crate::Refusal) is not answered at all, unless it becomes known only with the request: then it gets 403 or 429.
//!
//! tungstenite parses the request and computes the answer. Its own handshake over a stream is not used: it takes a request that
//! arrives in many small pieces for an attack, and tells a client nothing when it refuses it.

use std::net::IpAddr;

use phantom_core::wire::SUBPROTOCOL;
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use crate::access::Access;
use crate::proxy::{ClientAddresses, HEADER_MAX, Header, Introduction};
use crate::stats::Refusal;

/// The longest request, in bytes.
const HEAD_MAX: usize = 8 * 1024;
/// The header with the addresses that a request has come through.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The first byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a connection never became a WebSocket of this protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// A WebSocket request that does not offer the subprotocol `phantom.1`.
    Subprotocol,
    /// A WebSocket request with a wrong version or key.
    WebSocket,
    /// A plain HTTP request.
    PlainHttp,
    /// An HTTP request with another method than GET.
    Method,
    /// A request longer than allowed.
    TooLarge,
    /// No HTTP.
    NotHttp,
    /// TLS, which is not spoken on this port.
    Tls,
    /// Plain HTTP on a port where TLS is spoken.
    PlainOnTls,
    /// No TLS on a port where it is spoken, or nothing in common with the relay's.
    TlsFailed,
    /// No header of the PROXY protocol, from a proxy that is trusted to send one.
    NoProxyHeader,
    /// A header of the PROXY protocol with a mistake in it.
    ProxyHeader,
    /// No usable `X-Forwarded-For`, from a proxy that is trusted to send one.
    ForwardedFor,
    /// A web page whose origin is not welcome.
    Origin,
    /// No token, or a wrong one, where one is needed.
    Token,
    /// The request was not complete in time.
    Timeout,
    /// The client closed before the request was complete.
    Gone,
    /// So many handshakes were under way that the oldest had to give way.
    Crowded,
}

/// A request that is being received.
#[derive(Default)]
pub(crate) struct Handshake {
    head: Vec<u8>,
    /// What has to come first, or with it.
    introduction: Introduction,
    /// Whoever speaks WebSocket is welcome.
    pub(crate) any_subprotocol: bool,
}

/// What has become of it.
pub(crate) enum Progress {
    /// More must come.
    Waiting,
    /// The proxy has said for whom it comes, if for anybody. What follows in the input is the rest of the handshake.
    Introduced(Option<IpAddr>),
    /// It is a WebSocket now: send this answer. What follows in the input belongs to it.
    Upgraded {
        answer: Vec<u8>,
        /// For whom the request was forwarded, if that had to be said.
        forwarded_for: Option<IpAddr>,
    },
    /// Send this answer, if any, and close.
    Refused(HandshakeFailure, Vec<u8>),
}

impl Handshake {
    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        self.head.capacity()
    }

    /// A handshake that begins as it has to.
    pub(crate) fn new(introduction: Introduction) -> Self {
        Self { introduction, ..Self::default() }
    }

    /// Takes what it needs from `input`.
    pub(crate) fn feed(
        &mut self,
        input: &mut &[u8],
        addresses: &ClientAddresses,
        access: &Access,
    ) -> Progress {
        if self.introduction == Introduction::Header {
            return self.feed_header(input);
        }
        let before = self.head.len();
        let taken = input.len().min(HEAD_MAX - before);
        self.head.extend_from_slice(&input[..taken]);
        match self.head.first() {
            None => return Progress::Waiting,
            Some(&TLS_HANDSHAKE) => return Progress::Refused(HandshakeFailure::Tls, Vec::new()),
            Some(first) if !first.is_ascii_uppercase() => return not_http(),
            Some(_) => {}
        }
        let Some(end) = head_end(&self.head, before.saturating_sub(3)) else {
            *input = &input[taken..];
            return if self.head.len() < HEAD_MAX { Progress::Waiting } else { too_large() };
        };
        *input = &input[end - before..];
        match Request::try_parse(&self.head[..end]) {
            Ok(Some((_, request))) if self.introduction == Introduction::Forwarded => {
                judge_forwarded(&request, addresses, access)
            }
            Ok(Some((_, request))) => judge(&request, self.any_subprotocol, access, None),
            Ok(None) => not_http(),
            Err(error) => refuse(&error),
        }
    }

    fn feed_header(&mut self, input: &mut &[u8]) -> Progress {
        let before = self.head.len();
        let taken = input.len().min(HEADER_MAX - before);
        self.head.extend_from_slice(&input[..taken]);
        match Header::parse(&self.head) {
            Header::Waiting => {
                *input = &input[taken..];
                Progress::Waiting
            }
            Header::Complete(len, client) => {
                *input = &input[len - before..];
                *self = Self::default();
                Progress::Introduced(client)
            }
            Header::Missing => Progress::Refused(HandshakeFailure::NoProxyHeader, Vec::new()),
            Header::Invalid => Progress::Refused(HandshakeFailure::ProxyHeader, Vec::new()),
        }
    }
}

/// Where the empty line that ends a request ends; it does not begin before `from`.
fn head_end(head: &[u8], from: usize) -> Option<usize> {
    let lines = head[from..].iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
    lines.map(|(at, _)| from + at + 1).find_map(|next| match head[next..] {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

fn judge_forwarded(request: &Request, addresses: &ClientAddresses, access: &Access) -> Progress {
    let values: Option<Vec<_>> =
        request.headers().get_all(FORWARDED_FOR).iter().map(|value| value.to_str().ok()).collect();
    match values.and_then(|values| addresses.forwarded_for(values.into_iter())) {
        Some(client) => judge(request, false, access, Some(client)),
        None => Progress::Refused(
            HandshakeFailure::ForwardedFor,
            answer(
                "400 Bad Request",
                "",
                "The proxy in front of this Phantom relay must say in X-Forwarded-For whom it asks for.",
            ),
        ),
    }
}

fn judge(
    request: &Request,
    any_subprotocol: bool,
    access: &Access,
    forwarded_for: Option<IpAddr>,
) -> Progress {
    let mut response = match create_response(request) {
        Ok(response) => response,
        Err(error) => return refuse(&error),
    };
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let ours = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if !ours && !any_subprotocol {
        return Progress::Refused(
            HandshakeFailure::Subprotocol,
            answer(
                "400 Bad Request",
                "",
                "This is a Phantom relay. It speaks the WebSocket subprotocol phantom.1 only.",
            ),
        );
    }
    if let Err(failure) = access.judge(request.uri(), request.headers()) {
        return Progress::Refused(failure, unwelcome(failure));
    }
    if ours {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let mut bytes = Vec::new();
    match write_response(&mut bytes, &response) {
        Ok(()) => Progress::Upgraded { answer: bytes, forwarded_for },
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &Error) -> Progress {
    use HandshakeFailure as Failure;
    let (failure, status, headers, text) = match error {
        Error::Protocol(ProtocolError::WrongHttpMethod) => (
            Failure::Method,
            "405 Method Not Allowed",
            "Allow: GET\r\n",
            "This is a Phantom relay. Connect with a Phantom client, by WebSocket.",
        ),
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::WrongHttpVersion,
        ) => (
            Failure::PlainHttp,
            "426 Upgrade Required",
            "Upgrade: websocket\r\n",
            "This is a Phantom relay. It runs, but there is no page to see: connect with a Phantom client.",
        ),
        Error::Protocol(
            ProtocolError::MissingSecWebSocketVersionHeader
            | ProtocolError::MissingSecWebSocketKey
            | ProtocolError::InvalidSecWebSocketKey,
        ) => (
            Failure::WebSocket,
            "400 Bad Request",
            "Sec-WebSocket-Version: 13\r\n",
            "The WebSocket request has a wrong version or key.",
        ),
        Error::Capacity(CapacityError::TooManyHeaders) => return too_large(),
        _ => return not_http(),
    };
    Progress::Refused(failure, answer(status, headers, text))
}

fn too_large() -> Progress {
    let text = "The request is longer than a Phantom relay reads.";
    Progress::Refused(HandshakeFailure::TooLarge, answer("431 Request Header Fields Too Large", "", text))
}

fn not_http() -> Progress {
    let text = "This is a Phantom relay, and this was no HTTP request.";
    Progress::Refused(HandshakeFailure::NotHttp, answer("400 Bad Request", "", text))
}

/// What a request gets that is right, but whose sender is not welcome.
fn unwelcome(failure: HandshakeFailure) -> Vec<u8> {
    match failure {
        HandshakeFailure::Token => answer(
            "401 Unauthorized",
            "WWW-Authenticate: Bearer\r\n",
            "This Phantom relay needs a token: send \"Authorization: Bearer TOKEN\", or add ?token=TOKEN to the address.",
        ),
        _ => answer("403 Forbidden", "", "Web pages of this origin may not use this Phantom relay."),
    }
}

/// What a request gets that was forwarded for an address that is refused.
pub(crate) fn refused(refusal: Refusal) -> Vec<u8> {
    match refusal {
        Refusal::Denied => answer("403 Forbidden", "", "This address may not use this Phantom relay."),
        Refusal::AddressFull | Refusal::AddressRate | Refusal::Memory => answer(
            "429 Too Many Requests",
            "Retry-After: 10\r\n",
            "There are too many connections from this address. Try again later.",
        ),
    }
}

/// What HTTP without TLS gets where TLS is spoken.
pub(crate) fn plain_on_tls() -> Vec<u8> {
    answer(
        "400 Bad Request",
        "",
        "This port of a Phantom relay speaks TLS: connect with wss:// instead of ws://.",
    )
}

fn answer(status: &str, headers: &str, text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}\n",
        text.len() + 1
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: relay\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    /// The failure, if any, the first line of the answer, and what is left of the input.
    fn ask(request: &[u8], portion: usize) -> Option<(Option<HandshakeFailure>, String, Vec<u8>)> {
        let mut handshake = Handshake::default();
        let mut at = 0;
        for chunk in request.chunks(portion) {
            at += chunk.len();
            let mut input = chunk;
            let (failure, answer) =
                match handshake.feed(&mut input, &ClientAddresses::default(), &Access::default()) {
                    Progress::Waiting | Progress::Introduced(_) => continue,
                    Progress::Upgraded { answer, .. } => (None, answer),
                    Progress::Refused(failure, answer) => (Some(failure), answer),
                };
            let line = String::from_utf8(answer).unwrap().lines().next().unwrap_or_default().to_owned();
            return Some((failure, line, [input, &request[at..]].concat()));
        }
        None
    }

    #[test]
    fn a_request_in_any_portions_is_answered_and_what_follows_is_left() {
        for offer in ["phantom.1", "chat, phantom.1", "chat\r\nSec-WebSocket-Protocol: phantom.1"] {
            let request = format!("{REQUEST}Sec-WebSocket-Protocol: {offer}\r\n\r\nframes");
            for portion in [1, 2, 3, 50, 10_000] {
                let (failure, line, rest) = ask(request.as_bytes(), portion).unwrap();
                assert_eq!((failure, line.as_str()), (None, "HTTP/1.1 101 Switching Protocols"));
                assert_eq!(rest, b"frames", "portion {portion}");
            }
        }
    }

    #[test]
    fn every_other_request_has_its_answer() {
        use HandshakeFailure as Failure;
        let long = format!("{REQUEST}X: {}\r\n\r\n", "x".repeat(HEAD_MAX));
        let endless = "G".repeat(HEAD_MAX);
        let many = format!("{REQUEST}{}\r\n", "A: b\r\n".repeat(200));
        for (request, failure, status) in [
            (format!("{REQUEST}\r\n").as_bytes(), Failure::Subprotocol, "400"),
            (
                format!("{REQUEST}Sec-WebSocket-Protocol: phantom.2\r\n\r\n").as_bytes(),
                Failure::Subprotocol,
                "400",
            ),
            (REQUEST.replace("13", "12").as_bytes(), Failure::WebSocket, "400"),
            (REQUEST.replace("Key: dGhl", "Key: ").as_bytes(), Failure::WebSocket, "400"),
            (b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n", Failure::PlainHttp, "426"),
            (b"GET / HTTP/1.0\r\n\r\n", Failure::PlainHttp, "426"),
            (b"POST / HTTP/1.1\r\nHost: relay\r\n\r\n", Failure::Method, "405"),
            (long.as_bytes(), Failure::TooLarge, "431"),
            (endless.as_bytes(), Failure::TooLarge, "431"),
            (many.as_bytes(), Failure::TooLarge, "431"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Failure::NotHttp, "400"),
            (b"GET what is this\r\n\r\n", Failure::NotHttp, "400"),
            (b"\x00\xff\x13random", Failure::NotHttp, "400"),
            (b"\x16\x03\x01\x02\x00\x01", Failure::Tls, ""),
        ] {
            let ended = [request, b"\r\n"].concat();
            for portion in [1, 10_000] {
                let (got, line, _) = ask(&ended, portion).expect("an answer");
                assert_eq!(got, Some(failure), "{}", String::from_utf8_lossy(request));
                assert!(line.contains(status), "{line}");
            }
        }
    }

    #[test]
    fn half_a_request_waits() {
        assert!(ask(REQUEST.as_bytes(), 7).is_none());
    }
}
