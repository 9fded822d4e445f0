//! A chat: what one types, the other reads.
//!
//! ```text
//! cargo run --example chat -- ws://127.0.0.1:7777 'our key'            waits, and prints its ID
//! cargo run --example chat -- ws://127.0.0.1:7777 'our key' AF83X1     asks the one with that ID
//! ```

use std::error::Error;

use phantom_tokio::{Channel, Client, EncryptionKey, Packet};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};

#[derive(Packet)]
#[packet(id = 1)]
struct Line(String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(relay), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("usage: chat RELAY KEY [ID]".into());
    };
    let client = Client::builder().relay(relay).key(EncryptionKey::parse(&key)?).connect().await?;
    let channel = match arguments.next() {
        Some(id) => client.ask(id.parse()?).await?,
        None => {
            println!("My ID is {}", client.id());
            client.next_request().await.ok_or("the client has left")?.accept().await?
        }
    };
    channel.secured().await?;
    chat(channel, BufReader::new(tokio::io::stdin()), tokio::io::stdout()).await?;
    client.leave().await;
    Ok(())
}

/// Sends the lines of `input` and writes those of the other side to `output`, until either ends.
pub async fn chat(
    channel: Channel,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), Box<dyn Error>> {
    let mut lines = input.lines();
    loop {
        // Both may be given up at any time: no line is lost.
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => drop(channel.send(&Line(line)).await?),
                None => break,
            },
            line = channel.receive() => match line? {
                Some(Line(line)) => output.write_all(format!("{line}\n").as_bytes()).await?,
                None => return Ok(()),
            },
        }
    }
    channel.close().await?;
    Ok(())
}
