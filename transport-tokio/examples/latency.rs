//! How long a packet and its answer take between two clients of one relay, encrypted: `latency [packets]`.
//!
//! To compare, the same bytes over plain TCP through a proxy: `latency packets 127.0.0.1:7001 127.0.0.1:7002`, where the proxy listens at the
//! first address and connects to the second. The rounds of both take turns.

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use phantom_mio::RelayServer;
use phantom_tokio::{Channel, Client, EncryptionKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

type Failure = Box<dyn Error + Send + Sync>;

const SIZE: usize = 64;
const ROUNDS: usize = 10;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let packets = arguments.next().map_or(Ok(20_000), |text| text.parse::<usize>())?;
    let proxy: Option<(SocketAddr, SocketAddr)> = match (arguments.next(), arguments.next()) {
        (Some(proxy), Some(backend)) => Some((proxy.parse()?, backend.parse()?)),
        _ => None,
    };
    // One thread for each side: what it waits for and what it does are in one place.
    let (near, far) = (runtime()?, runtime()?);

    let relay = RelayServer::bind("127.0.0.1:0")?.spawn()?;
    let builder = Client::builder().relay(relay.url()).key(EncryptionKey::parse("latency")?);
    let b = far.block_on(builder.clone().connect())?;
    let id = b.id();
    let listener = match proxy {
        Some((_, backend)) => Some(far.block_on(TcpListener::bind(backend))?),
        None => None,
    };
    thread::spawn(move || {
        let echo_packets = async {
            let channel = b.next_request().await.ok_or("the relay has gone")?.accept().await?;
            while let Some(packet) = channel.receive_bytes().await? {
                channel.send_bytes(packet).await?;
            }
            Ok::<_, Failure>(())
        };
        let echo_bytes = async {
            let Some(listener) = listener else { return Ok(()) };
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let mut bytes = [0; SIZE];
            while stream.read_exact(&mut bytes).await.is_ok() {
                stream.write_all(&bytes).await?;
            }
            Ok::<_, Failure>(())
        };
        // When the other side has measured enough, it goes.
        let _ = far.block_on(async { tokio::join!(echo_packets, echo_bytes) });
    });
    near.block_on(async {
        let a = builder.connect().await?;
        let channel = a.ask(id).await?;
        channel.secured().await?;
        let mut stream = match proxy {
            Some((proxy, _)) => Some(TcpStream::connect(proxy).await?),
            None => None,
        };
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            over_channel(&channel, packets / ROUNDS, &mut ours).await?;
            if let Some(stream) = &mut stream {
                over_tcp(stream, packets / ROUNDS, &mut plain).await?;
            }
        }
        let ours = show("phantom", &mut ours);
        if stream.is_some() {
            let plain = show("plain TCP", &mut plain);
            println!("ratio: p50 {:.2}, p99 {:.2}", ours.0 / plain.0, ours.1 / plain.1);
        }
        Ok::<_, Failure>(())
    })
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn over_channel(channel: &Channel, packets: usize, times: &mut Vec<Duration>) -> Result<(), Failure> {
    for _ in 0..packets {
        let start = Instant::now();
        channel.send_slice(&[7; SIZE]).await?;
        channel.receive_bytes().await?;
        times.push(start.elapsed());
    }
    Ok(())
}

async fn over_tcp(stream: &mut TcpStream, packets: usize, times: &mut Vec<Duration>) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut bytes = [7; SIZE];
    for _ in 0..packets {
        let start = Instant::now();
        stream.write_all(&bytes).await?;
        stream.read_exact(&mut bytes).await?;
        times.push(start.elapsed());
    }
    Ok(())
}

/// Prints the middle and the slow end of these times, in microseconds.
fn show(name: &str, times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |part: f64| {
        let index = (times.len() as f64 * part) as usize;
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let (p50, p99) = (at(0.5), at(0.99));
    println!("{name:10} {SIZE} B there and back: p50 {p50:.1} µs, p99 {p99:.1} µs");
    (p50, p99)
}
