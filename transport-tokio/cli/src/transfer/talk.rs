//! What both sides of a transfer do alike: hear a packet, understand why the other side stops, and end in good manners.

use phantom_core::packet::{self, Packet};
use phantom_tokio::{Channel, ChannelError, End};
use tokio::time::timeout;

use super::packets::{Reason, Stop};
use crate::explain;
use crate::fault::Fault;
use crate::meet::{GOODBYE_MAX, ended, watch};
use crate::progress::Progress;

/// Whose failure it is.
pub(super) enum Failure {
    /// This side's: the other one is to be told.
    Own(Reason, Fault),
    /// The other side's, or the way's.
    Heard(Fault),
}

/// What the other side is told, and what the person here is.
pub(super) type Refusal = (Reason, Fault);

impl From<Refusal> for Failure {
    fn from((reason, fault): Refusal) -> Self {
        Self::Own(reason, fault)
    }
}

impl Failure {
    /// The other side says what cannot be.
    pub(super) fn misunderstood() -> Self {
        Self::Own(Reason::Protocol, Fault::peer(Reason::Protocol.told()))
    }
}

/// The next packet.
///
/// # Errors
/// The channel is over.
pub(super) async fn hear_any(channel: &Channel) -> Result<bytes::Bytes, Failure> {
    channel.receive_bytes().await.map_err(over)?.ok_or_else(finished)
}

/// The next packet and those that have come after it, so many at most, put behind those in `into`.
///
/// # Errors
/// The channel is over.
pub(super) async fn hear_many(
    channel: &Channel,
    into: &mut Vec<bytes::Bytes>,
    limit: usize,
) -> Result<(), Failure> {
    match channel.receive_many(into, limit).await.map_err(over)? {
        0 => Err(finished()),
        _ => Ok(()),
    }
}

fn finished() -> Failure {
    Failure::Heard(ended(End::Finished))
}

fn over(error: ChannelError) -> Failure {
    Failure::Heard(match error {
        ChannelError::Ended { end, .. } => ended(end),
        error => Fault::peer(explain::channel(error)),
    })
}

/// What a packet says, which must be a `P`.
///
/// # Errors
/// The other side stops, or says something else.
pub(super) fn read<P: Packet>(bytes: &[u8]) -> Result<P, Failure> {
    match packet::decode::<Stop>(bytes) {
        Ok(Stop { reason }) => Err(Failure::Heard(Fault::peer(reason.told()))),
        Err(_) => packet::decode(bytes).map_err(|_| Failure::misunderstood()),
    }
}

/// The next packet, which must be a `P`.
///
/// # Errors
/// The other side stops, says something else, or is gone.
pub(super) async fn hear<P: Packet>(channel: &Channel) -> Result<P, Failure> {
    read(&hear_any(channel).await?)
}

/// Waits for the other side to stop or go; it has nothing else to say now.
pub(super) async fn hear_stop(channel: &Channel) -> Failure {
    match hear::<Stop>(channel).await {
        Ok(Stop { .. }) => Failure::misunderstood(),
        Err(failure) => failure,
    }
}

/// Says a packet.
///
/// # Errors
/// The other side does not listen any more; what it said last tells why.
pub(super) async fn say<P: Packet>(channel: &Channel, packet: &P) -> Result<(), Failure> {
    match channel.send(packet).await {
        Ok(_) => Ok(()),
        Err(_) => Err(hear_stop(channel).await),
    }
}

/// Does `work`, and says meanwhile when the way to the other side is cut.
pub(super) async fn watched<T>(channel: &Channel, progress: &Progress, work: impl Future<Output = T>) -> T {
    tokio::select! {
        result = work => result,
        never = watch(async || channel.next_state().await, |line| progress.note(line)) => match never {},
    }
}

/// Ends the conversation: the other side hears everything that was said, and why this side stops, if it does.
///
/// # Errors
/// The failure that `result` is.
pub(super) async fn part<T>(channel: Channel, result: Result<T, Failure>) -> Result<T, Fault> {
    let result = match result {
        Ok(done) => Ok(done),
        Err(Failure::Own(reason, fault)) => {
            let _gone_already = channel.send(&Stop { reason }).await;
            Err(fault)
        }
        Err(Failure::Heard(fault)) => Err(fault),
    };
    // What is to be known is known; to wait longer for a side that is gone would help nobody.
    let _in_time_or_not = timeout(GOODBYE_MAX, channel.close()).await;
    result
}
