//! A file, as a stream of bytes.
//!
//! ```text
//! cargo run --example file -- receive ws://127.0.0.1:7777 'our key' copy.bin              waits, and prints its ID
//! cargo run --example file -- send ws://127.0.0.1:7777 'our key' original.bin AF83X1      sends it there
//! ```

use std::error::Error;
use std::path::Path;

use phantom_tokio::{ByteStream, Client, EncryptionKey};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let connect = async |relay: &str, key: &str| {
        let builder = Client::builder().relay(relay).key(EncryptionKey::parse(key)?);
        Ok::<_, Box<dyn Error>>(builder.proxy_from_environment().connect().await?)
    };
    match arguments[..] {
        ["receive", relay, key, path] => {
            let client = connect(relay, key).await?;
            println!("My ID is {}", client.id());
            let channel = client.next_request().await.ok_or("the client has left")?.accept().await?;
            channel.secured().await?;
            let bytes = receive(channel.into_stream(), path.as_ref()).await?;
            println!("{bytes} bytes received");
            client.leave().await;
        }
        ["send", relay, key, path, id] => {
            let client = connect(relay, key).await?;
            let channel = client.ask(id.parse()?).await?;
            channel.secured().await?;
            let bytes = send(channel.into_stream(), path.as_ref()).await?;
            println!("{bytes} bytes sent, and all have arrived");
            client.leave().await;
        }
        _ => return Err("usage: file receive RELAY KEY PATH | file send RELAY KEY PATH ID".into()),
    }
    Ok(())
}

/// Sends the file and waits until all of it has arrived.
pub async fn send(mut stream: ByteStream, path: &Path) -> std::io::Result<u64> {
    let bytes = tokio::io::copy(&mut File::open(path).await?, &mut stream).await?;
    stream.shutdown().await?;
    Ok(bytes)
}

/// Writes what comes to a file, up to the end that the sender has said. A sender that fails is an error, and never a short file.
pub async fn receive(mut stream: ByteStream, path: &Path) -> std::io::Result<u64> {
    let mut file = File::create_new(path).await?;
    let bytes = tokio::io::copy_buf(&mut stream, &mut file).await?;
    file.sync_all().await?;
    stream.shutdown().await?;
    Ok(bytes)
}
