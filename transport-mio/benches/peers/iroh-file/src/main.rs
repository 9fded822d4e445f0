//! `iroh-file send|receive RELAY KEY FILE`: one file over one QUIC stream between two iroh endpoints without any way but the given relay.
//! KEY is the receiver's secret key, in hexadecimal; both sides are told it, for this is a benchmark.

use std::error::Error;

use iroh::endpoint::{Connection, RelayMode, presets};
use iroh::{Endpoint, EndpointAddr, RelayUrl, SecretKey};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ALPN: &[u8] = b"phantom-peers/1";
/// Said by the receiver when it has everything.
const DONE: &[u8] = b"done";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let [_, act, relay, key, file] = &words[..] else { return Err("send|receive RELAY KEY FILE".into()) };
    let relay: RelayUrl = relay.parse()?;
    let receiver: SecretKey = key.parse()?;
    let receives = act == "receive";
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::custom([relay.clone()]))
        .clear_ip_transports()
        .secret_key(if receives { receiver.clone() } else { SecretKey::generate() })
        .alpns(vec![ALPN.to_vec()])
        .bind()
        .await?;
    endpoint.online().await;
    if receives {
        receive(endpoint.accept().await.ok_or("closed")?.await?, File::create(file).await?).await?;
    } else {
        let address = EndpointAddr::new(receiver.public()).with_relay_url(relay);
        send(endpoint.connect(address, ALPN).await?, File::open(file).await?).await?;
    }
    endpoint.close().await;
    Ok(())
}

async fn receive(connection: Connection, mut file: File) -> Result<()> {
    let (mut answer, mut stream) = connection.accept_bi().await?;
    let mut bytes = vec![0; 256 * 1024];
    while let Some(read) = stream.read(&mut bytes).await? {
        file.write_all(&bytes[..read]).await?;
    }
    file.flush().await?;
    answer.write_all(DONE).await?;
    answer.finish()?;
    connection.closed().await;
    Ok(())
}

async fn send(connection: Connection, mut file: File) -> Result<()> {
    let (mut stream, mut answer) = connection.open_bi().await?;
    let mut bytes = vec![0; 256 * 1024];
    loop {
        match file.read(&mut bytes).await? {
            0 => break,
            read => stream.write_all(&bytes[..read]).await?,
        }
    }
    stream.finish()?;
    if answer.read_to_end(DONE.len()).await? != DONE {
        return Err("not acknowledged".into());
    }
    connection.close(0_u32.into(), b"done");
    Ok(())
}
