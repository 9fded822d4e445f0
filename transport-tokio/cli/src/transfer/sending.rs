//! The sender's side of the conversation.

use phantom_tokio::Channel;

use super::packets::{Done, Hash, Offer, Ready, Reason, Received, VERSION};
use super::source::{Reading, Source};
use super::talk::{Failure, hear, hear_stop, part, say, watched};
use crate::fault::Fault;
use crate::progress::Progress;

/// Sends a file and waits until the other side has it in its place. `begin` is called when the other side takes it.
///
/// Returns the file's hash, and size, time and rate.
///
/// # Errors
/// The other side does not have the file; if the reason is here, it has been told.
pub(crate) async fn send(
    channel: Channel,
    source: Source,
    begin: impl FnOnce(u64) -> Progress,
) -> Result<(Hash, String), Fault> {
    let result = converse(&channel, source, begin).await;
    part(channel, result).await
}

async fn converse(
    channel: &Channel,
    source: Source,
    begin: impl FnOnce(u64) -> Progress,
) -> Result<(Hash, String), Failure> {
    let offer = Offer { version: VERSION, name: source.name(), size: source.size() };
    say(channel, &offer).await?;
    let Ready = hear(channel).await?;
    let progress = begin(offer.size);
    watched(channel, &progress, async {
        let hash = tokio::select! {
            hash = push(channel, source.start(), &progress) => hash?,
            failure = hear_stop(channel) => return Err(failure),
        };
        say(channel, &Done { hash }).await?;
        match hear(channel).await? {
            Received { hash: received } if received == hash => Ok((hash, progress.finish())),
            Received { .. } => Err(Failure::misunderstood()),
        }
    })
    .await
}

/// Sends every chunk. If the other side listens no more, it does not return: whoever listens learns why.
async fn push(channel: &Channel, mut reading: Reading, progress: &Progress) -> Result<Hash, Failure> {
    while let Some((packet, bytes)) = reading.next().await {
        if channel.send_bytes(packet).await.is_err() {
            std::future::pending::<()>().await;
        }
        progress.advance(bytes);
    }
    reading.hash().await.map_err(|fault| Failure::Own(Reason::Read, fault))
}
