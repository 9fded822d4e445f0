//! `phantom doctor` against servers that fail at one step each, and `phantom bench`.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use common::{Ended, Phantom, command, relay, run};
use phantom_core::wire::SUBPROTOCOL;
use phantom_mio::{
    AccessToken, Listener, RelayServer, RunningRelay, ServerConfig, TlsConfig, TlsFiles, TokenFile,
};
use phantom_tokio::Fingerprint;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// A server that does this with its connections.
fn server(work: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(work));
    address
}

/// The steps, each with whether it went well.
fn steps(ended: &Ended) -> Vec<(String, bool)> {
    let objects = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps = objects.filter(|object| object["event"] == "step");
    steps.map(|step| (step["name"].as_str().unwrap().to_owned(), step["ok"].as_bool().unwrap())).collect()
}

/// It fails at the last of these steps, and at none before; the sentence has this in it.
#[track_caller]
fn fails(url: &str, expected: &[&str], sentence: &str) {
    fails_trusting(None, url, expected, sentence);
}

#[track_caller]
fn fails_trusting(root: Option<&Path>, url: &str, expected: &[&str], sentence: &str) {
    let start = |arguments: &[&str]| {
        let mut command = command(arguments);
        if let Some(root) = root {
            command.env("SSL_CERT_FILE", root);
        }
        Phantom::spawn(command).end()
    };
    let ended = start(&["doctor", "--json", url]);
    assert_eq!(ended.status, Some(3), "{}", ended.stdout);
    let (last, before) = expected.split_last().unwrap();
    let expected: Vec<_> = before.iter().map(|name| ((*name).to_owned(), true)).collect();
    assert_eq!(steps(&ended), [expected, vec![((*last).to_owned(), false)]].concat(), "{}", ended.stdout);
    let ended = start(&["doctor", url]);
    ended.failed(3, "Try: ");
    assert!(ended.stdout.contains(sentence), "{sentence:?} is not in: {}", ended.stdout);
}

#[test]
fn all_is_well() {
    let (_relay, url) = relay();
    let ended = run(["doctor", "--json", &url]);
    ended.succeeded();
    let names = ["lookup", "tcp", "websocket", "version", "registration", "round-trip", "echo"];
    assert_eq!(steps(&ended), names.map(|name| (name.to_owned(), true)));
    let ended = run(["doctor", &url]);
    ended.succeeded();
    assert!(ended.stdout.contains("20 packets of 1024 bytes came back"), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "colours are for terminals: {}", ended.stdout);
}

#[test]
fn a_name_that_nobody_knows() {
    fails("ws://no-such-host.invalid", &["lookup"], "name lookup");
}

#[test]
fn a_port_on_which_nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fails(&format!("ws://{address}"), &["lookup", "tcp"], "refused");
}

#[test]
fn a_server_without_tls() {
    let address = server(|mut tcp| {
        let _ = tcp.write_all(b"220 mail.example ESMTP\r\n");
        let _ = tcp.read(&mut [0; 1024]);
    });
    fails(&format!("wss://{address}"), &["lookup", "tcp", "tls"], "no TLS with");
}

/// A relay with a certificate for this name until this year, and the root that signed it.
fn relay_with_certificate(folder: &Path, name: &str, until: i32) -> RunningRelay {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, folder.to_str().unwrap());
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let mut own = CertificateParams::new(vec![name.to_owned()]).unwrap();
    own.not_before = date_time_ymd(2000, 1, 1);
    own.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = own.signed_by(&key, &root).unwrap();
    fs::write(folder.join("root.pem"), root.pem()).unwrap();
    fs::write(folder.join("certificate.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let files = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let listener = Listener::tcp("127.0.0.1:0").unwrap().tls(TlsConfig::load(&files).unwrap());
    RelayServer::with_listeners(vec![listener], ServerConfig::default()).unwrap().spawn().unwrap()
}

#[test]
fn certificates_and_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    let tls = ["lookup", "tcp", "tls"];

    let relay = relay_with_certificate(folder.path(), "localhost", 2100);
    let url = format!("wss://localhost:{}", relay.local_addr().port());
    let mut well = command(["doctor", &url]);
    well.env("SSL_CERT_FILE", &root);
    Phantom::spawn(well).end().succeeded();
    let by_address = format!("wss://127.0.0.1:{}", relay.local_addr().port());
    fails_trusting(Some(&root), &by_address, &tls, "it is for another name");
    let other = tempfile::tempdir().unwrap();
    let _other = relay_with_certificate(other.path(), "localhost", 2100);
    fails_trusting(Some(&other.path().join("root.pem")), &url, &tls, "nobody whom this machine trusts");

    let relay = relay_with_certificate(folder.path(), "localhost", 2020);
    let url = format!("wss://localhost:{}", relay.local_addr().port());
    fails_trusting(Some(&root), &url, &tls, "it has expired");
}

#[test]
fn a_server_that_is_only_a_web_server() {
    let address = server(|mut tcp| {
        let _ = tcp.read(&mut [0; 4096]);
        let _ = tcp.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    fails(&format!("ws://{address}"), &["lookup", "tcp", "websocket"], "404");
}

/// Speaks WebSocket, as a Phantom relay or not, and then does this.
fn websocket(phantom: bool, then: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    server(move |tcp| {
        #[expect(clippy::result_large_err, reason = "the form that tungstenite calls")]
        let choose = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            if phantom {
                response.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse().unwrap());
            }
            Ok(response)
        };
        if let Ok(socket) = tungstenite::accept_hdr(tcp, choose) {
            then(socket.get_ref().try_clone().unwrap());
        }
    })
}

#[test]
fn a_websocket_that_is_no_relay() {
    let address = websocket(false, |_| ());
    fails(&format!("ws://{address}"), &["lookup", "tcp", "websocket", "version"], "no Phantom relay");
}

#[test]
fn a_relay_that_hangs_up_before_it_gives_an_id() {
    let address = websocket(true, |_| ());
    let steps = ["lookup", "tcp", "websocket", "version", "registration"];
    fails(&format!("ws://{address}"), &steps, "lost before it gave an ID");
}

/// Stands before a relay. `pass` sees what comes from a client, the first time with 0, and what goes to it, and may change it; what it
/// does not pass ends the connection, and no other is taken.
fn before(relay: &str, pass: impl Fn(Way, usize, &mut [u8]) -> bool + Clone + Send + 'static) -> SocketAddr {
    let relay: SocketAddr = relay.strip_prefix("ws://").unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if over.load(Relaxed) {
                break;
            }
            let there = TcpStream::connect(relay).unwrap();
            for (way, mut from, mut to) in [
                (Way::Up, client.try_clone().unwrap(), there.try_clone().unwrap()),
                (Way::Down, there, client),
            ] {
                let (pass, over) = (pass.clone(), Arc::clone(&over));
                thread::spawn(move || {
                    let mut buffer = [0; 16 * 1024];
                    for number in 0.. {
                        let count = from.read(&mut buffer).unwrap_or(0);
                        let chunk = &mut buffer[..count];
                        if count == 0 || !pass(way, number, chunk) || to.write_all(chunk).is_err() {
                            over.store(count != 0, Relaxed);
                            break;
                        }
                    }
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    address
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Up,
    Down,
}

#[test]
fn a_relay_that_hangs_up_instead_of_an_answer() {
    let (_relay, url) = relay();
    // After the request for WebSocket and the registration comes the question.
    let address = before(&url, |way, number, _| way == Way::Down || number < 2);
    let steps = ["lookup", "tcp", "websocket", "version", "registration", "round-trip"];
    fails(&format!("ws://{address}"), &steps, "round trip to the relay");
}

#[test]
fn a_relay_that_changes_what_it_forwards() {
    let (_relay, url) = relay();
    let address = before(&url, |way, _, chunk| {
        // Long is only what goes through the channel.
        if let (Way::Down, true, Some(last)) = (way, chunk.len() > 1024, chunk.last_mut()) {
            *last ^= 1;
        }
        true
    });
    let steps = ["lookup", "tcp", "websocket", "version", "registration", "round-trip", "echo"];
    fails(&format!("ws://{address}"), &steps, "altered on its way");
}

#[test]
fn a_proxy_that_is_not_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut doctor = command(["doctor", "--json", "ws://relay.example"]);
    doctor.env("http_proxy", format!("http://127.0.0.1:{port}"));
    let ended = Phantom::spawn(doctor).end();
    assert_eq!(ended.status, Some(3));
    assert_eq!(steps(&ended), [("proxy".to_owned(), false)], "{}", ended.stdout);
}

#[test]
fn a_proxy_that_leads_to_the_relay() {
    let (_relay, url) = relay();
    let relay: SocketAddr = url.strip_prefix("ws://").unwrap().parse().unwrap();
    // It speaks CONNECT, and leads everybody to the one relay.
    let proxy = server(move |mut client| {
        let mut request = [0; 4096];
        let count = client.read(&mut request).unwrap_or(0);
        assert!(request[..count].starts_with(b"CONNECT relay.example:80 "), "{:?}", &request[..count]);
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let there = TcpStream::connect(relay).unwrap();
        for (mut from, mut to) in [(client.try_clone().unwrap(), there.try_clone().unwrap()), (there, client)]
        {
            thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
    });
    let ended = run(["doctor", "--json", "ws://relay.example", "--proxy", &format!("http://{proxy}")]);
    ended.succeeded();
    let names = ["proxy", "websocket", "version", "registration", "round-trip", "echo"];
    assert_eq!(steps(&ended), names.map(|name| (name.to_owned(), true)));
}

#[test]
fn a_relay_that_wants_a_token() {
    let token = AccessToken::draw().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokens"), token.hash()).unwrap();
    let mut config = ServerConfig::default();
    config.access.tokens = Some(TokenFile::load(&folder.path().join("tokens")).unwrap());
    let relay = RelayServer::with_listeners(vec![Listener::tcp("127.0.0.1:0").unwrap()], config);
    let relay = relay.unwrap().spawn().unwrap();
    fails(&relay.url(), &["lookup", "tcp", "websocket"], "wants an access token");
    let with = |token: &str| {
        let mut doctor = command(["doctor", &relay.url()]);
        doctor.env("PHANTOM_TOKEN", token);
        Phantom::spawn(doctor).end()
    };
    with(token.reveal()).succeeded();
    let other = with("0ther-token");
    other.failed(3, "PHANTOM_TOKEN or --token");
    assert!(!other.stderr.contains("0ther") && !other.stdout.contains("0ther"), "a token is never shown");
}

#[test]
fn a_pinned_certificate_and_a_root_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let relay = relay_with_certificate(folder.path(), "localhost", 2100);
    let url = format!("wss://localhost:{}", relay.local_addr().port());
    run(["doctor", &url]).failed(3, "--root FILE or --pin");
    let root = folder.path().join("root.pem");
    run(["doctor", &url, "--root", root.to_str().unwrap()]).succeeded();
    let pem = fs::read(folder.path().join("certificate.pem")).unwrap();
    let pin = Fingerprint::of(&CertificateDer::from_pem_slice(&pem).unwrap()).to_string();
    run(["doctor", &url, "--pin", &pin]).succeeded();
    let other = run(["doctor", &url, "--pin", &Fingerprint::of(b"another").to_string()]);
    other.failed(3, "TLS");
    assert!(other.stdout.contains(&pin), "the one that was found is said: {}", other.stdout);
    run(["doctor", &url, "--pin", "12"]).failed(2, "--pin");
    run(["doctor", &url, "--root", "/no/such.pem"]).failed(6, "cannot be read");
}

#[test]
fn russian_words_for_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let relay = relay_with_certificate(folder.path(), "localhost", 2020);
    let mut doctor = command(["doctor", &format!("wss://localhost:{}", relay.local_addr().port())]);
    doctor.env("SSL_CERT_FILE", folder.path().join("root.pem")).env("LC_ALL", "ru_RU.UTF-8");
    let ended = Phantom::spawn(doctor).end();
    ended.failed(3, "Что попробовать: проверьте имя");
    assert!(ended.stdout.contains("срок его действия истёк"), "{}", ended.stdout);
    let mut doctor = command(["doctor", "ws://relay.example", "--proxy", "http://127.0.0.1:1"]);
    doctor.env("LC_ALL", "ru");
    let ended = Phantom::spawn(doctor).end();
    assert!(ended.stdout.contains("✗ прокси: прокси 127.0.0.1:1 недоступен"), "{}", ended.stdout);
}

#[test]
fn a_bench_in_a_table_and_in_objects() {
    let (_relay, url) = relay();
    let ended = run(["bench", &url, "--pairs", "2", "--size", "64,4096", "--duration", "0.2"]);
    ended.succeeded();
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
    let ended = run(["bench", "--json", &url, "--size", "64", "--duration", "0.2"]);
    let result: Value = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(result["size"], 64);
    assert!(result["packets_per_second"].as_f64().unwrap() > 1.0, "{result}");
    assert!(result["round_trip_us"]["p99"].as_u64() >= result["round_trip_us"]["p50"].as_u64(), "{result}");
    run(["bench", &url, "--size", "0"]).failed(2, "1 to 1048576");
    run(["bench", &url, "--duration", "0"]).failed(2, "0.1 to 3600");
}
