//! How fast packets go from one client through a relay to another, all three in this process: `throughput [bytes [packets]]`.

use std::time::Instant;

use bytes::Bytes;
use phantom_mio::RelayServer;
use phantom_tokio::{Client, EncryptionKey};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let size = arguments.next().transpose()?.unwrap_or(64 << 10);
    let count = arguments.next().transpose()?.unwrap_or((1 << 30) / size.max(100));
    let relay = RelayServer::bind("127.0.0.1:0")?.spawn()?;
    let builder = Client::builder().relay(relay.url()).key(EncryptionKey::parse("throughput")?);
    // A runtime of its own for either client, as if they were two programs.
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (near, far) = (runtime()?, runtime()?);

    let b = far.block_on(builder.clone().connect())?;
    let id = b.id();
    let receive = std::thread::spawn(move || {
        far.block_on(async {
            let channel = b.next_request().await.ok_or("left")?.accept().await.map_err(|e| e.to_string())?;
            let (mut packets, mut bytes) = (0, 0);
            while let Some(packet) = channel.receive_bytes().await.map_err(|e| e.to_string())? {
                packets += 1;
                bytes += packet.len();
            }
            Ok::<_, String>((packets, bytes))
        })
    });
    let a = near.block_on(builder.connect())?;
    let elapsed = near.block_on(async {
        let channel = a.ask(id).await?;
        channel.secured().await?;
        let start = Instant::now();
        let content = vec![7; size];
        for _ in 0..count {
            channel.send_bytes(Bytes::copy_from_slice(&content)).await?;
        }
        let fate = channel.close().await?;
        assert_eq!(fate.delivered, count as u64);
        Ok::<_, Box<dyn std::error::Error>>(start.elapsed())
    })?;
    let (packets, bytes) = receive.join().map_err(|_| "the receiver panicked")??;
    assert_eq!((packets, bytes), (count, count * size));
    let seconds = elapsed.as_secs_f64();
    println!(
        "{count} packets of {size} bytes in {seconds:.2} s: {:.0} packets/s, {:.0} MB/s",
        count as f64 / seconds,
        bytes as f64 / seconds / 1e6,
    );
    Ok(())
}
