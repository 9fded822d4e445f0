//! One honest visit of each kind, so that whatever a relay does once in its life it has done: what it takes afterwards is taken for
//! somebody.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use phantom_core::wire::{ClientFrame, PAYLOAD_MAX};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::identity::Identity;
use crate::program::Result;
use crate::raw::{self, BINARY, CLOSE, PING, Pair, Raw};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 3, 1));
const PATIENCE: Duration = Duration::from_secs(10);

/// Visits the relay at `to`, and by TLS at `secure`.
///
/// # Errors
/// The relay does not do what it should.
pub fn all(to: SocketAddr, secure: SocketAddr, identity: &Identity) -> Result<()> {
    for request in ["GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "no request\r\n\r\n", "GET / HTTP/1.1\r\n"] {
        page(to, request)?;
    }
    requests(to)?;
    messages(to)?;
    late_reader(to)?;
    encrypted(secure, identity)
}

/// Asks as a browser would, or worse, and reads what comes.
fn page(to: SocketAddr, request: &str) -> Result<()> {
    let mut socket = raw::dial(HOME, to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(request.as_bytes())?;
    socket.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    // It may be cut off, too.
    let _end = socket.read_to_end(&mut answer);
    Ok(())
}

/// Everything that can be asked of the relay.
fn requests(to: SocketAddr) -> Result<()> {
    let (mut a, mut b) = (Raw::join(HOME, to, 4)?, Raw::join(HOME, to, 4)?);
    let nobody = "000000".parse().map_err(|_| "no ID")?;
    for (request, target) in [(1, nobody), (2, b.id), (3, a.id)] {
        a.say(ClientFrame::Connect { request, target, nonce: [1; 16] })?;
        a.hear()?;
    }
    a.say(ClientFrame::Withdraw { request: 2 })?;
    b.say(ClientFrame::Cancel { request: 1 })?;
    a.say(ClientFrame::Rejoin { rendezvous: [5; 16], role: 0 })?;
    b.say(ClientFrame::Rejoin { rendezvous: [5; 16], role: 1 })?;
    a.say(ClientFrame::Ping { token: 1 })?;
    a.hear()?;
    b.hear()?;
    Ok(())
}

/// Messages of each length form, in one piece and in several; a ping; a close frame.
fn messages(to: SocketAddr) -> Result<()> {
    let mut pair = Pair::meet(HOME, to)?;
    let mut bytes = Vec::new();
    // As many long ones as fill what the relay reads into.
    let whole = [1, 1000, PAYLOAD_MAX, PAYLOAD_MAX, PAYLOAD_MAX, PAYLOAD_MAX];
    for len in whole {
        raw::forward(&mut bytes, pair.a_channel, &vec![1; len]);
    }
    let mut message = phantom_core::wire::ForwardHeader { channel: pair.a_channel }.to_bytes().to_vec();
    message.extend([2; 100]);
    raw::frame(&mut bytes, BINARY & 0x0f, &message[..50]);
    raw::frame(&mut bytes, PING, b"between");
    raw::frame(&mut bytes, 0x80, &message[50..]);
    pair.a.socket.write_all(&bytes)?;
    for _ in 0..=whole.len() {
        while pair.b.inbox.message().is_none() {
            if pair.b.inbox.read(&mut pair.b.socket)? == 0 {
                return Err("the relay does not pass on what it is given".into());
            }
        }
    }
    raw::frame(&mut bytes, CLOSE, &1000_u16.to_be_bytes());
    bytes.drain(..bytes.len() - 8);
    pair.a.socket.write_all(&bytes)?;
    Ok(())
}

/// A receiver that reads late, so that its sender is held up.
fn late_reader(to: SocketAddr) -> Result<()> {
    const MESSAGES: usize = 200;
    let mut pair = Pair::meet(HOME, to)?;
    let mut message = Vec::new();
    raw::forward(&mut message, pair.a_channel, &vec![3; PAYLOAD_MAX]);
    let mut socket = pair.a.socket.try_clone()?;
    let sender = thread::spawn(move || (0..MESSAGES).try_for_each(|_| socket.write_all(&message)));
    thread::sleep(Duration::from_millis(300));
    let mut came = 0;
    while came < MESSAGES {
        match pair.b.inbox.message() {
            Some(_) => came += 1,
            None => {
                if pair.b.inbox.read(&mut pair.b.socket)? == 0 {
                    return Err("it has ended".into());
                }
            }
        }
    }
    Ok(sender.join().map_err(|_| "the sender has fallen over")??)
}

/// TLS, and a page by it.
fn encrypted(to: SocketAddr, identity: &Identity) -> Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(identity.certificate.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = raw::dial(HOME, to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    let mut stream = StreamOwned::new(session, socket);
    stream.write_all(raw::upgrade_request().as_bytes())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if &answer != b"HTTP/1.1 101" {
        return Err("the relay does not speak WebSocket over TLS".into());
    }
    // The same again, and what is no TLS.
    page(to, "GET / HTTP/1.1\r\n\r\n")?;
    page(to, "\u{16}\u{3}\u{1}\0\u{2}xx")
}
