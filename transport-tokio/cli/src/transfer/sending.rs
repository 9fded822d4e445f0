//! The sender's side of the conversation.

use phantom_core::packet::{self, Packet};
use phantom_tokio::Channel;

use super::message::Sentence;
use super::packets::{BATCH, CHUNK_BYTES, Chunk, Done, Hash, Have, List, Offer, Ready, Received, VERSION};
use super::reading::{Piece, Reading};
use super::source::Source;
use super::talk::{Failure, hear, hear_any, hear_stop, part, read, say, watched};
use crate::fault::Fault;
use crate::progress::{Figures, Progress};

/// What was sent.
pub(crate) struct Sent {
    /// What stands for all files; of one file, its BLAKE3 hash.
    pub(crate) hash: Hash,
    /// Sizes, time and rate.
    pub(crate) figures: Figures,
}

/// Sends everything and waits until the other side has it in its place. `begin` is called when the other side takes it.
///
/// # Errors
/// The other side does not have it; if the reason is here, it has been told.
pub(crate) async fn send(
    channel: Channel,
    source: Source,
    begin: impl FnOnce() -> Progress,
) -> Result<Sent, Fault> {
    let result = converse(&channel, source, begin).await;
    part(channel, result).await
}

async fn converse(
    channel: &Channel,
    source: Source,
    begin: impl FnOnce() -> Progress,
) -> Result<Sent, Failure> {
    let entries = u32::try_from(source.entries.len()).expect("the source counts in 32 bits");
    let (name, size) = (source.name(), source.size());
    let offer = Offer { version: VERSION, name, size, entries, is_text: source.is_text };
    say(channel, &offer).await?;
    for entries in source.entries.chunks(BATCH) {
        say(channel, &List { entries: entries.to_vec() }).await?;
    }
    let mut parts = Vec::new();
    loop {
        let packet = hear_any(channel).await?;
        if packet::id(&packet) != Ok(Have::ID) {
            let Ready = read(&packet)?;
            break;
        }
        let Have { parts: more } = read(&packet)?;
        if more.is_empty() || parts.len() + more.len() > source.entries.len() {
            return Err(Failure::misunderstood());
        }
        parts.extend(more);
    }
    let names = source.entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    let progress = begin();
    watched(channel, &progress, async {
        let hash = tokio::select! {
            hash = push(channel, Reading::start(source, parts), &names, &progress) => hash?,
            failure = hear_stop(channel) => return Err(failure),
        };
        say(channel, &Done { hash }).await?;
        progress.settle(Sentence::DiskThere);
        match hear(channel).await? {
            Received { hash: received } if received == hash => Ok(Sent { hash, figures: progress.finish() }),
            Received { .. } => Err(Failure::misunderstood()),
        }
    })
    .await
}

/// Sends every packet. If the other side listens no more, it does not return: whoever listens learns why.
async fn push(
    channel: &Channel,
    mut reading: Reading,
    names: &[bytes::Bytes],
    progress: &Progress,
) -> Result<Hash, Failure> {
    while let Some(piece) = reading.next().await {
        match piece {
            Piece::Compared { kept, anew } => {
                progress.keep(kept);
                for entry in anew {
                    let name = String::from_utf8_lossy(&names[entry as usize]);
                    progress.note(Sentence::SentAnew { name: &name });
                }
            }
            Piece::Packet(packet) => {
                if channel.send_bytes(packet).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Piece::Bytes { buffer, filled, entry } => {
                for data in buffer[..filled].chunks(CHUNK_BYTES) {
                    if channel.send_slices([&Chunk::header(data.len()), data]).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    progress.advance(data.len(), || String::from_utf8_lossy(&names[entry]));
                }
                reading.give_back(buffer);
            }
        }
    }
    reading.hash().await.map_err(Failure::from)
}
