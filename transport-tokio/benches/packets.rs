//! Packets from one client to another, each on a runtime of its own, as if they were two programs.
//!
//! For many packets, the client's task has a thread beside that of the program. For one there and back at a time, they share one, as in a
//! program that has nothing else to do; so does the program that sends the same bytes unencrypted, which is what they are compared with.
//!
//! ```text
//! cargo bench -p phantom-tokio --bench packets                    packets of 32 B, and one of 64 B there and back, with a relay of its own
//! packets packets URL                                             the first, through the relay at URL
//! packets latency URL                                             the second
//! packets plain PROXY BACKEND                                     the second unencrypted over TCP: to PROXY, which connects to BACKEND
//! ```
//!
//! Each line that it prints is a name and a number.

use std::env;
use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use phantom_mio::RelayServer;
use phantom_tokio::{Channel, Client, EncryptionKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const SMALL: usize = 32;
/// Packets that are taken at once, at most.
const BATCH: usize = 1024;
const PACKETS: usize = 4_000_000;
const PING: usize = 64;
const PINGS: usize = 20_000;
/// The first are not counted.
const WARM_UP: usize = 1000;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    // Cargo passes --bench to whatever it takes for a benchmark.
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let relay = RelayServer::bind("127.0.0.1:0")?.spawn()?;
            packets(&relay.url())?;
            latency(&relay.url())
        }
        ["packets", url] => packets(url),
        ["latency", url] => latency(url),
        ["plain", proxy, backend] => plain(proxy, backend),
        _ => Err("packets URL, latency URL, or plain PROXY BACKEND".into()),
    }
}

/// As many as go in a second.
fn packets(url: &str) -> Result<()> {
    let (near, far) = (runtime()?, runtime()?);
    let (a, b) = meet(url, &near, &far)?;
    let receiver = thread::spawn(move || {
        far.block_on(async {
            let (mut received, mut packets) = (0, Vec::new());
            while b.channel.receive_many(&mut packets, BATCH).await? > 0 {
                received += packets.len();
                assert!(packets.drain(..).all(|packet| packet.len() == SMALL));
            }
            Result::Ok(received)
        })
    });
    let begun = Instant::now();
    near.block_on(async {
        let packet = [7; SMALL];
        for _ in 0..PACKETS {
            a.channel.send_slice(&packet).await?;
        }
        let fate = a.channel.close().await?;
        assert_eq!(fate.delivered, PACKETS as u64);
        Result::Ok(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(receiver.join().map_err(|_| "the receiver panicked")??, PACKETS);
    println!("packets_s {:.0}", PACKETS as f64 / seconds);
    Ok(())
}

/// One there and back at a time; what is told is the time one way.
fn latency(url: &str) -> Result<()> {
    let (near, far) = (one_thread()?, one_thread()?);
    let builder = Client::builder().relay(url).key(EncryptionKey::parse("packets")?);
    let (tell, told) = mpsc::channel();
    let accepting = builder.clone();
    let echo = thread::spawn(move || {
        far.block_on(async {
            let client = accepting.connect().await?;
            tell.send(client.id())?;
            let channel = client.next_request().await.ok_or("the relay is gone")?.accept().await?;
            while let Some(packet) = channel.receive_bytes().await? {
                channel.send_bytes(packet).await?;
            }
            Result::Ok(())
        })
    });
    let id = told.recv()?;
    let taken = near.block_on(async {
        let client = builder.connect().await?;
        let channel = client.ask(id).await?;
        channel.secured().await?;
        let ping = Bytes::from(vec![7; PING]);
        let mut taken = Vec::with_capacity(PINGS);
        for _ in 0..WARM_UP + PINGS {
            let begun = Instant::now();
            channel.send_bytes(ping.clone()).await?;
            channel.receive_bytes().await?.ok_or("the other side left")?;
            taken.push(begun.elapsed());
        }
        channel.close().await?;
        Result::Ok(taken)
    })?;
    echo.join().map_err(|_| "the echo panicked")??;
    report(taken);
    Ok(())
}

/// The same without encryption, frames or a client.
fn plain(proxy: &str, backend: &str) -> Result<()> {
    let (near, far) = (one_thread()?, one_thread()?);
    let listener = far.block_on(TcpListener::bind(backend))?;
    let echo = thread::spawn(move || {
        far.block_on(async {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let mut ping = [0; PING];
            while stream.read_exact(&mut ping).await.is_ok() {
                stream.write_all(&ping).await?;
            }
            Result::Ok(())
        })
    });
    let taken = near.block_on(async {
        let mut stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        let mut ping = [7; PING];
        let mut taken = Vec::with_capacity(PINGS);
        for _ in 0..WARM_UP + PINGS {
            let begun = Instant::now();
            stream.write_all(&ping).await?;
            stream.read_exact(&mut ping).await?;
            taken.push(begun.elapsed());
        }
        Result::Ok(taken)
    })?;
    echo.join().map_err(|_| "the echo panicked")??;
    report(taken);
    Ok(())
}

fn report(mut taken: Vec<Duration>) {
    taken.drain(..WARM_UP);
    taken.sort();
    for (name, share) in [("p50_us", 0.5), ("p99_us", 0.99)] {
        let both_ways = taken[(taken.len() as f64 * share) as usize];
        println!("{name} {:.2}", both_ways.as_secs_f64() * 1e6 / 2.0);
    }
}

/// One side of a channel. The client goes with it: without it the channel would end.
struct Side {
    channel: Channel,
    _client: Client,
}

fn meet(url: &str, near: &Runtime, far: &Runtime) -> Result<(Side, Side)> {
    let builder = Client::builder().relay(url).key(EncryptionKey::parse("packets")?);
    let b = far.block_on(builder.clone().connect())?;
    let id = b.id();
    let accepting = far.spawn(async move {
        let channel = b.next_request().await.ok_or("the relay is gone")?.accept().await?;
        channel.secured().await?;
        Result::Ok(Side { channel, _client: b })
    });
    let a = near.block_on(async {
        let client = builder.connect().await?;
        let channel = client.ask(id).await?;
        channel.secured().await?;
        Result::Ok(Side { channel, _client: client })
    })?;
    Ok((a, far.block_on(accepting)??))
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// A client and its program on the same thread, as in a program with nothing else to do: nothing but a socket wakes either.
fn one_thread() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
