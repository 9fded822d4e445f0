//! The receiver's side of the conversation.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use phantom_core::packet::{self, Packet};
use phantom_tokio::Channel;
use tokio::task::spawn_blocking;

use super::message::Sentence;
use super::name::shown;
use super::packets::{
    Anew, BATCH, Begin, Chunk, Done, Hash, Have, Kind, List, Offer, Ready, Reason, Received, Sums, VERSION,
};
use super::part::Had;
use super::plan::Plan;
use super::sink::{Goal, Outcome, Sink};
use super::source::TEXT_MAX_BYTES;
use super::staging::{Inventory, Staging};
use super::talk::{Failure, Refusal, hear, hear_any, hear_many, hear_stop, part, read, say, watched};
use super::target::{Target, existing, exists};
use crate::fault::{Fault, Status};
use crate::progress::{Figures, Progress, Task};

/// Bytes of a packet with a list: names of 255 and links of 4096 bytes.
const LIST_MAX_BYTES: usize = BATCH * 4500;

/// Packets that are given to the disk at once, at most.
const AT_ONCE: usize = 16;

/// What is offered, for a person to decide.
pub(crate) struct Offered {
    /// What it is called, fit to be shown.
    pub(crate) name: String,
    /// How much it is.
    pub(crate) task: Task,
    /// It is one file, or a text.
    pub(crate) is_single: bool,
    /// It is a text, to be read and not kept.
    pub(crate) is_text: bool,
    /// What is there already and would be replaced.
    pub(crate) replaces: Option<PathBuf>,
}

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Take it, and leave alone what is there.
    Take,
    /// Take it, and replace what is there.
    Overwrite,
    /// Do not take it.
    Decline,
}

/// What has been received.
pub(crate) struct Arrival {
    /// Where it is; nowhere, if it was not to be kept.
    pub(crate) paths: Vec<PathBuf>,
    /// The text, if it is one.
    pub(crate) text: Option<Vec<u8>>,
    /// What stands for all files; of one file, its BLAKE3 hash.
    pub(crate) hash: Hash,
    /// It is one file.
    pub(crate) is_single: bool,
    /// Sizes, time and rate.
    pub(crate) figures: Figures,
}

/// Receives what is offered and puts it in its place, after `decide` has said so. `begin` is called when it begins.
///
/// # Errors
/// Nothing has a name that is not whole; if the reason is here, the other side has been told.
pub(crate) async fn receive(
    channel: Channel,
    target: &Target,
    decide: impl AsyncFnOnce(&Offered) -> Result<Decision, Fault>,
    begin: impl FnOnce(Task) -> Progress,
) -> Result<Arrival, Fault> {
    let result = converse(&channel, target, decide, begin).await;
    part(channel, result).await
}

async fn converse(
    channel: &Channel,
    target: &Target,
    decide: impl AsyncFnOnce(&Offered) -> Result<Decision, Fault>,
    begin: impl FnOnce(Task) -> Progress,
) -> Result<Arrival, Failure> {
    let (offer, plan) = hear_plan(channel, target).await?;
    let offered = describe(&offer, &plan, target)?;
    let (task, is_single) = (offered.task, offered.is_single);
    let decision = tokio::select! {
        decision = decide(&offered) => decision.map_err(|fault| Failure::Own(Reason::Wanted, fault))?,
        failure = hear_stop(channel) => return Err(failure),
    };
    let overwrite = match (decision, offered.replaces) {
        (Decision::Decline, _) => {
            return Err(Failure::Own(Reason::Wanted, Fault::new(Status::Other, Sentence::Declined)));
        }
        (Decision::Take, Some(path)) => return Err(exists(&path).into()),
        (Decision::Take, None) => false,
        (Decision::Overwrite, _) => true,
    };
    let plan = Arc::new(plan);
    let (goal, inventory) = tokio::select! {
        prepared = prepare(Arc::clone(&plan), target, offer.is_text, overwrite) => prepared?,
        failure = hear_stop(channel) => return Err(failure),
    };
    let Inventory { parts, had } = inventory;
    let kept: u64 = parts.iter().map(|part| part.bytes).sum();
    for parts in parts.chunks(BATCH) {
        say(channel, &Have { parts: parts.to_vec() }).await?;
    }
    say(channel, &Ready).await?;

    let mut sink = None;
    let progress = begin(task);
    watched(channel, &progress, async {
        let had = agree(channel, had, kept, &plan, &progress).await?;
        let sink = sink.insert(Sink::start(Arc::clone(&plan), goal, had));
        let (hash, outcome) = take(channel, sink, &plan, &progress).await?;
        // From here on it is there, also if the other side does not learn of it.
        let _gone_already = say(channel, &Received { hash }).await;
        let (paths, text) = match outcome {
            Outcome::Files(paths) => (paths, None),
            Outcome::Output => (Vec::new(), None),
            Outcome::Text(text) => (Vec::new(), Some(text)),
        };
        Ok(Arrival { paths, text, hash, is_single, figures: progress.finish() })
    })
    .await
}

/// Hears what is offered, to its last entry.
async fn hear_plan(channel: &Channel, target: &Target) -> Result<(Offer, Plan), Failure> {
    let offer: Offer = hear(channel).await?;
    if offer.version != VERSION {
        let fault = if offer.version < VERSION { Sentence::OlderThere } else { Sentence::NewerThere };
        return Err(Failure::Own(Reason::Version, Fault::peer(fault)));
    }
    let mut plan = Plan::new(offer.entries).map_err(unfit)?;
    while plan.missing() > 0 {
        let packet = hear_any(channel).await?;
        if packet.len() > LIST_MAX_BYTES {
            return Err(unfit(Reason::TooMuch));
        }
        let List { entries } = read(&packet)?;
        if entries.is_empty() || entries.len() > BATCH {
            return Err(unfit(Reason::Protocol));
        }
        for entry in entries {
            plan.add(entry).map_err(unfit)?;
        }
    }
    plan.seal();
    if let Target::Folder { name: Some(name), .. } = target {
        plan.rename(name.as_ref())
            .map_err(|reason| Failure::Own(reason, Fault::file(Sentence::OneOutputName)))?;
    }
    Ok((offer, plan))
}

/// What a person is to know.
fn describe(offer: &Offer, plan: &Plan, target: &Target) -> Result<Offered, Failure> {
    let size = plan.size().ok_or_else(|| unfit(Reason::Protocol))?;
    let is_single = plan.items.len() == 1 && plan.files() == 1;
    let is_stream =
        matches!(plan.items[..], [ref only] if matches!(only.kind, Kind::File { size: None, .. }));
    if offer.is_text && (!is_single || is_stream || size > TEXT_MAX_BYTES as u64) {
        return Err(unfit(Reason::Protocol));
    }
    let mut tops = plan.tops().map(|top| shown(&top.path.to_string_lossy()));
    let first = tops.next().unwrap_or_default();
    let name = match tops.count() {
        0 => first,
        more => Sentence::AndMore { name: &first, more }.into(),
    };
    let replaces = match target {
        Target::Folder { folder, .. } if !offer.is_text => existing(folder, plan)?,
        Target::Output if !is_single => {
            return Err(Failure::Own(Reason::Name, Fault::file(Sentence::OneForOutput)));
        }
        _ => None,
    };
    let task = Task { size: (!is_stream).then_some(size), files: plan.files() };
    Ok(Offered { name, task, is_single, is_text: offer.is_text, replaces })
}

/// Makes ready what is to be written to, and looks at what is there.
async fn prepare(
    plan: Arc<Plan>,
    target: &Target,
    is_text: bool,
    overwrite: bool,
) -> Result<(Goal, Inventory), Failure> {
    let folder = match target {
        _ if is_text => return Ok((Goal::Text(Vec::new()), Inventory::default())),
        Target::Output => return Ok((Goal::Output, Inventory::default())),
        Target::Folder { folder, .. } => folder.clone(),
    };
    let prepared = spawn_blocking(move || {
        let staging = Staging::open(&folder, plan)?;
        let inventory = staging.inventory()?;
        Ok::<_, Refusal>((Goal::Files { staging, overwrite }, inventory))
    });
    let broken = |_| Failure::Own(Reason::Write, Fault::file(Sentence::FilesUnwritten));
    Ok(prepared.await.map_err(broken)??)
}

/// Hears which of the parts are not the same any more.
async fn agree(
    channel: &Channel,
    mut had: std::collections::HashMap<usize, Had>,
    mut kept: u64,
    plan: &Plan,
    progress: &Progress,
) -> Result<std::collections::HashMap<usize, Had>, Failure> {
    loop {
        let packet = hear_any(channel).await?;
        if packet::id(&packet) != Ok(Anew::ID) {
            let Begin = read(&packet)?;
            progress.keep(kept);
            return Ok(had);
        }
        let Anew { entries } = read(&packet)?;
        for entry in entries {
            let size = match had.remove(&(entry as usize)).ok_or_else(Failure::misunderstood)? {
                Had::Part(_, bytes) => bytes,
                Had::Whole(_) => match plan.items[entry as usize].kind {
                    Kind::File { size: Some(size), .. } => size,
                    _ => 0,
                },
            };
            kept = kept.saturating_sub(size);
            let name = shown(&plan.items[entry as usize].path.to_string_lossy());
            progress.note(Sentence::ReceivedAnew { name: &name });
        }
    }
}

/// Takes every packet, and the end.
async fn take(
    channel: &Channel,
    sink: &mut Sink,
    plan: &Plan,
    progress: &Progress,
) -> Result<(Hash, Outcome), Failure> {
    let mut packets = Vec::new();
    loop {
        tokio::select! {
            heard = hear_many(channel, &mut packets, AT_ONCE) => heard?,
            () = sink.gone() => return refused(sink).await,
        };
        for packet in &packets {
            if packet::id(packet) == Ok(Chunk::ID) {
                let name = || plan.items[sink.current()].path.to_string_lossy();
                progress.advance(packet.len().saturating_sub(Chunk::HEADER), name);
            }
        }
        let is_for_disk = |packet: &Bytes| matches!(packet::id(packet), Ok(Chunk::ID | Sums::ID));
        let rest = packets.iter().position(|packet| !is_for_disk(packet)).unwrap_or(packets.len());
        let rest = packets.split_off(rest);
        if !packets.is_empty() && !sink.write(std::mem::take(&mut packets)).await {
            return refused(sink).await;
        }
        let Some(packet) = rest.first() else { continue };
        let Done { hash } = read(packet)?;
        progress.settle(Sentence::DiskHere);
        let outcome = sink.finish(Some(hash)).await?;
        // The length of a packet says only roughly what was in it.
        progress.count(sink.come());
        return Ok((hash, outcome));
    }
}

/// Why the sink takes no more.
async fn refused(sink: &mut Sink) -> Result<(Hash, Outcome), Failure> {
    match sink.finish(None).await {
        Err(refusal) => Err(refusal.into()),
        Ok(_) => Err(Failure::misunderstood()),
    }
}

/// What comes has no place here.
fn unfit(reason: Reason) -> Failure {
    let sentence = match reason {
        Reason::Name => Sentence::NamesUnusable,
        Reason::TooMuch => Sentence::TooMuchOffered,
        _ => return Failure::misunderstood(),
    };
    Failure::Own(reason, Fault::peer(sentence))
}
