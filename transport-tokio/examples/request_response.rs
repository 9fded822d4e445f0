//! Questions and answers over packets: many questions under way at once, each answer finds its question.
//!
//! Both sides and the relay are in this process: `cargo run --example request_response`.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;

use phantom_mio::RelayServer;
use phantom_tokio::{Channel, ChannelError, Client, Packet};
use tokio::sync::oneshot;

#[derive(Packet)]
#[packet(id = 1)]
struct Question {
    number: u32,
    text: String,
}

#[derive(Packet)]
#[packet(id = 2)]
struct Answer {
    number: u32,
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for answer in run().await? {
        println!("{answer}");
    }
    Ok(())
}

/// Who asks: hands out numbers, and keeps who waits for which answer.
struct Asker {
    channel: Channel,
    waiting: Mutex<(u32, HashMap<u32, oneshot::Sender<String>>)>,
}

impl Asker {
    /// Asks, and waits for the answer; nothing if the channel ends before.
    async fn ask(&self, text: &str) -> Option<String> {
        let (reply, answer) = oneshot::channel();
        let number = {
            let mut waiting = self.waiting.lock().ok()?;
            waiting.0 += 1;
            let number = waiting.0;
            waiting.1.insert(number, reply);
            number
        };
        self.channel.send(&Question { number, text: text.to_owned() }).await.ok()?;
        answer.await.ok()
    }

    /// Brings the answers to those who wait for them.
    async fn listen(&self) -> Result<(), Box<dyn Error>> {
        while let Some(Answer { number, text }) = self.channel.receive().await? {
            let asked = self.waiting.lock().map_err(|_| "somebody has panicked")?.1.remove(&number);
            // Whoever asked may have stopped waiting.
            let _ = asked.map(|reply| reply.send(text));
        }
        Ok(())
    }
}

/// Who answers: in whatever order it likes.
async fn answer(channel: &Channel) -> Result<(), Box<dyn Error>> {
    while let Some(Question { number, text }) = channel.receive().await? {
        channel.send(&Answer { number, text: text.chars().rev().collect() }).await?;
    }
    Ok(())
}

/// Three questions at once.
pub async fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let relay = RelayServer::bind("127.0.0.1:0")?.spawn()?;
    let (a, b) = (Client::connect(relay.url()).await?, Client::connect(relay.url()).await?);
    b.set_encryption_key(a.encryption_key().await?);
    let accept = async { Ok(b.next_request().await.ok_or("b has left")?.accept().await?) };
    let (asker, answerer) = tokio::join!(a.ask(b.id()), accept);
    let answerer = answerer.map_err(|error: Box<dyn Error>| error)?;
    let asker = Asker { channel: asker?, waiting: Mutex::default() };
    let questions = async { tokio::join!(asker.ask("stressed"), asker.ask("drawer"), asker.ask("live")) };
    let (one, two, three) = tokio::select! {
        answers = questions => answers,
        ended = asker.listen() => return Err(ended.err().unwrap_or("it has ended".into())),
        ended = answer(&answerer) => return Err(ended.err().unwrap_or("it has ended".into())),
    };
    let (closed, end): (Result<_, ChannelError>, _) = tokio::join!(asker.channel.close(), answer(&answerer));
    closed?;
    end?;
    Ok([one, two, three].into_iter().flatten().collect())
}
