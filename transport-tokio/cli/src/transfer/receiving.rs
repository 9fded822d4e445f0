//! The receiver's side of the conversation.

use std::path::{Path, PathBuf};

use phantom_core::packet::{self, Packet};
use phantom_tokio::Channel;

use super::packets::{Chunk, Done, Hash, Offer, Ready, Reason, Received, VERSION};
use super::sink::{Sink, Target};
use super::talk::{Failure, hear, hear_any, part, read, say, watched};
use crate::fault::Fault;
use crate::progress::Progress;

/// What has been received.
pub(crate) struct File {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The hash of what was sent, of what was received and of what was confirmed.
    pub(crate) hash: Hash,
    /// Size, time and rate.
    pub(crate) figures: String,
}

/// Receives a file and puts it in its place. `begin` is called with that place and the file's size when it begins.
///
/// # Errors
/// The file is not there, nor any part of it; if the reason is here, the other side has been told.
pub(crate) async fn receive(
    channel: Channel,
    target: &Target,
    begin: impl FnOnce(&Path, u64) -> Progress,
) -> Result<File, Fault> {
    let result = converse(&channel, target, begin).await;
    part(channel, result).await
}

async fn converse(
    channel: &Channel,
    target: &Target,
    begin: impl FnOnce(&Path, u64) -> Progress,
) -> Result<File, Failure> {
    let offer: Offer = hear(channel).await?;
    if offer.version != VERSION {
        let fault =
            "the other side's program is newer and sends files in a way unknown here; update this one";
        return Err(Failure::Own(Reason::Version, Fault::peer(fault)));
    }
    let sink = target.open(&offer.name, offer.size).map_err(own)?;
    let progress = begin(sink.path(), offer.size);
    watched(channel, &progress, async {
        say(channel, &Ready).await?;
        let (path, hash) = take(channel, sink, &progress).await?;
        // From here on the file is there, also if the other side does not learn of it.
        let _gone_already = say(channel, &Received { hash }).await;
        Ok(File { path, hash, figures: progress.finish() })
    })
    .await
}

/// Takes every chunk, and the end.
async fn take(channel: &Channel, sink: Sink, progress: &Progress) -> Result<(PathBuf, Hash), Failure> {
    loop {
        let packet = hear_any(channel).await?;
        if packet::id(&packet) == Ok(Chunk::ID) {
            progress.advance(packet.len().saturating_sub(Chunk::HEADER));
            if sink.write(packet).await {
                continue;
            }
            return Err(own(sink.failure().await));
        }
        let Done { hash } = read(&packet)?;
        return Ok((sink.finish(hash).await.map_err(own)?, hash));
    }
}

fn own((reason, fault): (Reason, Fault)) -> Failure {
    Failure::Own(reason, fault)
}
