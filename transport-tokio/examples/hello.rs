//! Two programs say hello to each other through a relay:
//!
//! ```text
//! cargo run --example hello -- ws://127.0.0.1:7777            waits, and prints its ID
//! cargo run --example hello -- ws://127.0.0.1:7777 AF83X1     asks the one with that ID
//! ```

use phantom_tokio::{Client, EncryptionKey, Packet};

#[derive(Packet)]
#[packet(id = 1)]
struct Message(String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let client = Client::connect(arguments.next().unwrap_or("ws://127.0.0.1:7777".into())).await?;
    println!("Connected. My ID is {}", client.id());
    client.set_encryption_key(EncryptionKey::parse("ABCDE12345")?);
    let channel = match arguments.next() {
        Some(id) => client.ask(id.parse()?).await?,
        None => client.next_request().await.ok_or("the client has left")?.accept().await?,
    };
    channel.secured().await?;
    channel.send(&Message("Приветик!!!".into())).await?;
    if let Some(Message(text)) = channel.receive().await? {
        println!("{} says: {text}", channel.opponent());
    }
    channel.close().await?;
    client.leave().await;
    Ok(())
}
