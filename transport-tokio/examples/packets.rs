//! How many packets a second go from one client through a relay to another, encrypted, and what each part costs: `packets [bytes [seconds]]`.
//!
//! The relay and the two clients live in this process, each on threads of its own. Packets are sent and received one by one.

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use phantom_mio::RelayServer;
use phantom_tokio::{Client, EncryptionKey};
use tokio::runtime::{Builder, Runtime};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let size = arguments.next().map_or(Ok(32), |text| text.parse::<usize>())?;
    let seconds = arguments.next().map_or(Ok(3.0), |text| text.parse::<f64>())?;

    let relay = RelayServer::bind("127.0.0.1:0")?.spawn()?;
    let builder = Client::builder().relay(relay.url()).key(EncryptionKey::parse("packets")?);
    let (near, far) = (runtime("sender")?, runtime("receiver")?);
    let b = far.block_on(builder.clone().connect())?;
    let id = b.id();
    let receiving = thread::Builder::new().name("receiver-app".into()).spawn(move || {
        far.block_on(async {
            let channel = b.next_request().await.ok_or("the relay has gone")?.accept().await?;
            let (mut packets, mut bytes) = (0_u64, 0_u64);
            while let Some(packet) = channel.receive_bytes().await? {
                packets += 1;
                bytes += packet.len() as u64;
            }
            Ok::<_, Failure>((packets, bytes))
        })
    })?;
    let sending = thread::Builder::new().name("sender-app".into()).spawn(move || {
        near.block_on(async {
            let a = builder.connect().await?;
            let channel = a.ask(id).await?;
            channel.secured().await?;
            let (before, start) = (cpu_seconds(), Instant::now());
            let mut content = vec![0; size];
            let mut sent = 0_u64;
            while !sent.is_multiple_of(1024) || start.elapsed() < Duration::from_secs_f64(seconds) {
                let mark = sent.to_le_bytes();
                let len = size.min(mark.len());
                content[..len].copy_from_slice(&mark[..len]);
                channel.send_slice(&content).await?;
                sent += 1;
            }
            let fate = channel.close().await?;
            let (elapsed, after) = (start.elapsed(), cpu_seconds());
            if fate.delivered != sent {
                return Err(format!("{sent} packets sent, {} delivered", fate.delivered).into());
            }
            Ok::<_, Failure>((sent, elapsed.as_secs_f64(), before, after))
        })
    })?;
    let (sent, elapsed, before, after) = sending.join().map_err(|_| "the sender panicked")??;
    let received = receiving.join().map_err(|_| "the receiver panicked")??;
    if received != (sent, sent * size as u64) {
        return Err(format!("{sent} packets sent, {} received", received.0).into());
    }
    let rate = sent as f64 / elapsed;
    println!(
        "{sent} packets of {size} bytes in {elapsed:.2} s: {:.2} M packets/s, {:.0} MB/s",
        rate / 1e6,
        rate * size as f64 / 1e6
    );
    for (thread, cpu) in after {
        let spent = cpu - before.get(&thread).copied().unwrap_or(0.0);
        if spent > 0.0 {
            println!("  {thread:16} {spent:6.2} CPU s, {:6.0} ns a packet", spent * 1e9 / sent as f64);
        }
    }
    Ok(())
}

/// One for each client, as if they were two programs.
fn runtime(name: &str) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()
}

/// The processor time of each thread, by name, in seconds; empty where there is no `/proc`.
fn cpu_seconds() -> BTreeMap<String, f64> {
    let mut seconds = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanoseconds = read("schedstat").split(' ').next().and_then(|text| text.parse::<f64>().ok());
        *seconds.entry(read("comm").trim().to_owned()).or_insert(0.0) += nanoseconds.unwrap_or(0.0) / 1e9;
    }
    seconds
}
