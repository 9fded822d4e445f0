//! `phantom send`: invites somebody and gives them files, folders, standard input or a text.

use crate::arguments::SendArguments;
use crate::fault::Fault;
use crate::interrupt::Interrupt;
use crate::meet::Place;
use crate::progress::{Progress, Task, files};
use crate::transfer::{self, Source};
use crate::ui;

pub(crate) async fn run(arguments: &SendArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let source = match &arguments.text {
        Some(text) => Source::of_text(text)?,
        None => Source::open(&arguments.files, arguments.name.as_deref())?,
    };
    let place = Place::of_host(&arguments.invite)?;
    place
        .visit(interrupt, async |client| {
            for line in source.left_out() {
                ui::note(line);
            }
            ui::note(format_args!("Sending {}.", describe(&source)));
            let channel = place.wait_for_guest(client, "receive").await?;
            let is_single = source.is_single();
            let task = Task { size: (!source.is_stream()).then(|| source.size()), files: source.files() };
            let sent = transfer::send(channel, source, || Progress::new(task)).await?;
            ui::say(format_args!("Delivered: {}", sent.figures));
            if is_single {
                ui::say(format_args!("BLAKE3 {}", ui::hex(&sent.hash)));
            }
            Ok(())
        })
        .await
}

/// `notes.pdf, 5.24 MB`, `photos, 12 files, 52.4 MB`.
fn describe(source: &Source) -> String {
    let name = transfer::name::shown(&source.name());
    if source.is_text() {
        format!("a text, {}", ui::size(source.size()))
    } else if source.is_stream() {
        format!("standard input as {name}")
    } else if source.is_single() {
        format!("{name}, {}", ui::size(source.size()))
    } else {
        format!("{name}, {}, {}", files(source.files()), ui::size(source.size()))
    }
}
