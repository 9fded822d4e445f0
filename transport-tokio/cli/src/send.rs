//! `phantom send`: invites somebody and gives them files, folders, standard input or a text.

use crate::arguments::SendArguments;
use crate::event::Event;
use crate::fault::Fault;
use crate::interrupt::Interrupt;
use crate::language;
use crate::meet::Place;
use crate::progress::{Progress, Task};
use crate::transfer::message::Sentence;
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
                ui::event(&Event::LeftOut { text: line });
                ui::note(line);
            }
            let is_single = source.is_single();
            let task = Task { size: (!source.is_stream()).then(|| source.size()), files: source.files() };
            ui::event(&Event::Offer { name: &source.name(), task, replaces: None });
            ui::note(Sentence::Sending { what: &describe(&source) });
            let channel = place.wait_for_guest(client, "receive").await?;
            let sent = transfer::send(channel, source, || Progress::new(task)).await?;
            let hash = is_single.then(|| ui::hex(&sent.hash));
            if ui::is_json() {
                ui::event(&Event::Sent { figures: &sent.figures, blake3: hash.as_deref() });
                return Ok(());
            }
            ui::say(Sentence::Delivered { figures: &sent.figures });
            if let Some(hash) = hash {
                ui::say(format_args!("BLAKE3 {hash}"));
            }
            Ok(())
        })
        .await
}

/// `notes.pdf, 5.24 MB`, `photos, 12 files, 52.4 MB`.
fn describe(source: &Source) -> String {
    let name = transfer::name::shown(&source.name());
    let size = ui::size(source.size());
    if source.is_text() {
        Sentence::AText { size: &size }.into()
    } else if source.is_stream() {
        Sentence::AStream { name: &name }.into()
    } else if source.is_single() {
        format!("{name}, {size}")
    } else {
        format!("{name}, {}, {size}", language::files(source.files()))
    }
}
