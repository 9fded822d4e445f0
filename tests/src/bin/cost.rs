//! What a relay's work costs in processor time: letting a client in, carrying a GiB in messages of several lengths, carrying one message by
//! itself; plain, and by TLS.
//!
//! ```text
//! cargo run --release -p phantom-tests --bin cost
//! cargo run --release -p phantom-tests --bin cost -- --mib 1024 --clients 5000
//! ```
//!
//! It runs `phantom-relay` with its defaults and reads its processor time from the system before and after, so that it matters little
//! what else the machine does. Both clients of a pair are sockets of one thread: it writes a batch, then reads it at the other end.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io};

use phantom_core::id::PeerId;
use phantom_core::wire::{ClientFrame, PAYLOAD_MAX, RelayFrame, VERSION};
use phantom_tests::identity::{Files, Identity};
use phantom_tests::program::{Programs, Result, Running, free_address};
use phantom_tests::raw::{self, BINARY, Inbox};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Bytes written before the other end reads: less than a relay keeps for a receiver.
const BATCH: usize = 256 * 1024;
/// Messages that are each waited for.
const SINGLE: usize = 20_000;
const MIB: usize = 1024 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut mib, mut clients) = (512, 2000);
    let words: Vec<String> = env::args().skip(1).collect();
    for pair in words.chunks(2) {
        let [word, number] = pair else { return Err(format!("{} needs a number", pair[0]).into()) };
        match word.as_str() {
            "--mib" => mib = number.parse::<usize>()?.max(1),
            "--clients" => clients = number.parse::<usize>()?.max(1),
            _ => return Err(format!("{word} is unknown; there are --mib and --clients").into()),
        }
    }
    phantom_mio::raise_file_limit()?;
    let (at, secure) = (free_address()?, free_address()?);
    let folder = tempfile::tempdir()?;
    let (files, identity) = (Files::of(folder.path()), Identity::make()?);
    files.install(&identity)?;
    let mut arguments = files.arguments().to_vec();
    arguments.extend(["--listen-tls".to_owned(), secure.to_string()]);
    let relay = Programs::build_relay()?.relay(at, &arguments, false)?;
    let tls = trusting(&identity)?;
    println!("{:<8} {:>22} {:>14} {:>12}", "", "what", "CPU", "of it each");
    let dial_tls = |from| encrypted(from, secure, &tls);
    measure(&relay, "plain", mib, clients, |from| raw::dial(from, at))?;
    measure(&relay, "TLS 1.3", mib, clients, dial_tls)
}

fn trusting(identity: &Identity) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(identity.certificate.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each is a client of its own.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn encrypted(
    from: IpAddr,
    to: SocketAddr,
    config: &Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = "localhost".try_into().map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    session.set_buffer_limit(None);
    Ok(StreamOwned::new(session, raw::dial(from, to)?))
}

fn measure<S: Read + Write>(
    relay: &Running,
    how: &str,
    mib: usize,
    clients: usize,
    dial: impl Fn(IpAddr) -> io::Result<S>,
) -> Result<()> {
    let say = |what: &str, cost: Duration, each: Duration| {
        println!("{how:<8} {what:>22} {:>11.3} s {:>9.2} µs", cost.as_secs_f64(), each.as_secs_f64() * 1e6);
    };
    let home = |number: usize| {
        let number = u32::try_from(number % 250).unwrap_or_default();
        IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 5, 0, 1)) + number))
    };
    let before = relay.usage()?.busy;
    let mut crowd = Vec::new();
    for number in 0..clients {
        crowd.push(Client::join(dial(home(number))?)?);
    }
    let cost = relay.usage()?.busy.saturating_sub(before);
    say("client let in", cost, cost / u32::try_from(clients)?);
    drop(crowd);
    let (mut a, mut b) = (Client::join(dial(home(0))?)?, Client::join(dial(home(0))?)?);
    let channel = a.call(&mut b)?;
    for len in [64, 1024, 16 * 1024, PAYLOAD_MAX] {
        let mut message = Vec::new();
        raw::forward(&mut message, channel, &vec![7; len]);
        let at_once = (BATCH / message.len()).max(1);
        let batch = message.repeat(at_once);
        // The smallest are carried in smaller quantity: they cost by the message.
        let volume = if len < 1024 { mib * MIB / 16 } else { mib * MIB };
        let rounds = (volume / (len * at_once)).max(1);
        let before = relay.usage()?.busy;
        for _ in 0..rounds {
            a.socket.write_all(&batch)?;
            a.socket.flush()?;
            b.take(at_once)?;
        }
        let cost = relay.usage()?.busy.saturating_sub(before);
        let messages = rounds * at_once;
        let gib = cost.mul_f64(1024.0 * MIB as f64 / (messages * len) as f64);
        say(&format!("GiB of {len} bytes"), gib, cost.div_f64(messages as f64));
    }
    let mut message = Vec::new();
    raw::forward(&mut message, channel, &[7; 64]);
    let before = relay.usage()?.busy;
    for _ in 0..SINGLE {
        a.socket.write_all(&message)?;
        a.socket.flush()?;
        b.take(1)?;
    }
    let cost = relay.usage()?.busy.saturating_sub(before);
    say("64 bytes by themselves", cost, cost.div_f64(SINGLE as f64));
    Ok(())
}

/// A client over whatever carries bytes.
struct Client<S> {
    socket: S,
    inbox: Inbox,
    id: PeerId,
}

impl<S: Read + Write> Client<S> {
    fn join(mut socket: S) -> Result<Self> {
        socket.write_all(raw::upgrade_request().as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        let id = PeerId::from_bytes(*b"000000").ok_or("no ID")?;
        let mut client = Self { socket, inbox: Inbox::default(), id };
        client.say(ClientFrame::Register { version: VERSION, channels: 1 })?;
        loop {
            if let RelayFrame::Welcome(welcome) = client.hear()? {
                client.id = welcome.id;
                return Ok(client);
            }
        }
    }

    fn say(&mut self, frame: ClientFrame) -> io::Result<()> {
        let mut bytes = Vec::new();
        raw::say(&mut bytes, frame);
        self.socket.write_all(&bytes)?;
        self.socket.flush()
    }

    fn hear(&mut self) -> io::Result<RelayFrame> {
        loop {
            match self.inbox.message() {
                Some((BINARY, payload)) => {
                    return RelayFrame::decode(payload).map_err(|_| ErrorKind::InvalidData.into());
                }
                Some(_) => return Err(io::Error::other("the relay closes")),
                None => {
                    if self.inbox.read(&mut self.socket)? == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }

    /// The next so many messages.
    fn take(&mut self, count: usize) -> io::Result<()> {
        let mut came = 0;
        while came < count {
            match self.inbox.message() {
                Some(_) => came += 1,
                None => {
                    if self.inbox.read(&mut self.socket)? == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Calls another, who accepts; says the number of the channel.
    fn call(&mut self, other: &mut Self) -> Result<u32> {
        self.say(ClientFrame::Connect { request: 1, target: other.id, nonce: [1; 16] })?;
        let request = loop {
            if let RelayFrame::Incoming { request, .. } = other.hear()? {
                break request;
            }
        };
        other.say(ClientFrame::Accept { request, nonce: [2; 16] })?;
        let opened = |client: &mut Self| loop {
            if let RelayFrame::Opened { channel, .. } = client.hear()? {
                return io::Result::Ok(channel);
            }
        };
        opened(other)?;
        Ok(opened(self)?)
    }
}
