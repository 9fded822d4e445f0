//! `phantom receive`: goes where an invitation leads and takes what is sent.
//!
//! At a terminal, the person sees what comes and decides. Elsewhere, whoever gives the invitation has decided; but nothing that is there
//! is replaced unless the command line says so.

use std::io::{self, IsTerminal, Write};

use crate::arguments::ReceiveArguments;
use crate::editor;
use crate::event::Event;
use crate::fault::Fault;
use crate::interrupt::Interrupt;
use crate::language;
use crate::meet::{self, Place};
use crate::progress::{Progress, Task};
use crate::prompt;
use crate::transfer::message::Sentence;
use crate::transfer::name::shown;
use crate::transfer::{self, Arrival, Decision, Offered, Target};
use crate::ui;

pub(crate) async fn run(arguments: &ReceiveArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    if arguments.stdout {
        ui::output_is_data();
    }
    let invitation = prompt::read_invitation(arguments.invitation.as_deref(), interrupt).await?;
    let target = match (&arguments.into, arguments.stdout) {
        (_, true) => Target::Output,
        (Some(folder), _) => Target::into(folder)?,
        (None, _) => Target::new(arguments.output.as_deref(), arguments.overwrite)?,
    };
    Place::of_guest(&invitation, &arguments.connect)?
        .visit(interrupt, async |client| {
            let channel = meet::go_to_host(client, invitation.id).await?;
            let decide = async |offered: &Offered| decide(arguments, offered).await;
            let arrival = transfer::receive(channel, &target, decide, Progress::new).await?;
            match &arrival.text {
                _ if ui::is_json() => {
                    tell(&arrival);
                    Ok(())
                }
                Some(text) => show_text(text),
                None => {
                    report(&arrival);
                    Ok(())
                }
            }
        })
        .await
}

/// Says what has been received, and where it is.
fn report(arrival: &Arrival) {
    let figures = &arrival.figures;
    match &names(arrival)[..] {
        [] => ui::say(Sentence::Received { figures }),
        [name] => ui::say(Sentence::ReceivedAs { name, figures }),
        [name, more @ ..] => {
            let all = String::from(Sentence::AndMore { name, more: more.len() });
            ui::say(Sentence::ReceivedAs { name: &all, figures });
        }
    }
    if arrival.is_single {
        ui::say(format_args!("BLAKE3 {}", ui::hex(&arrival.hash)));
    }
}

/// The same, for a script.
fn tell(arrival: &Arrival) {
    let hash = arrival.is_single.then(|| ui::hex(&arrival.hash));
    let text = arrival.text.as_deref().map(String::from_utf8_lossy);
    ui::event(&Event::Received {
        paths: &names(arrival),
        text: text.as_deref(),
        figures: &arrival.figures,
        blake3: hash.as_deref(),
    });
}

fn names(arrival: &Arrival) -> Vec<String> {
    arrival.paths.iter().map(|path| shown(&transfer::seen(path).to_string())).collect()
}

/// Shows what comes, and asks where somebody can answer.
async fn decide(arguments: &ReceiveArguments, offered: &Offered) -> Result<Decision, Fault> {
    let existing = offered.replaces.as_ref().map(|path| shown(&transfer::seen(path).to_string()));
    ui::event(&Event::Offer { name: &offered.name, task: offered.task, replaces: existing.as_deref() });
    if offered.is_text {
        return Ok(Decision::Take);
    }
    ui::note(Sentence::Receiving { what: &describe(offered) });
    let overwrite = arguments.overwrite || existing.is_none();
    if editor::is_there() && !ui::is_json() && !(arguments.yes && overwrite) {
        let (question, default) = match &existing {
            Some(path) if !overwrite => (Sentence::Replace { path }, false),
            _ => (Sentence::TakeIt, true),
        };
        if !ask(question, default).await {
            return Ok(Decision::Decline);
        }
        return Ok(if existing.is_some() { Decision::Overwrite } else { Decision::Take });
    }
    Ok(if arguments.overwrite { Decision::Overwrite } else { Decision::Take })
}

/// Asks until the answer is one, in either language. The end of input is a no.
async fn ask(question: Sentence<'_>, default: bool) -> bool {
    loop {
        let answer = editor::ask(question.into(), false).await;
        match answer.map(|answer| answer.trim().to_lowercase()).as_deref() {
            Some("") => return default,
            Some("y" | "yes" | "д" | "да") => return true,
            Some("n" | "no" | "н" | "нет") | None => return false,
            Some(_) => {}
        }
    }
}

/// `notes.pdf, 5.24 MB`, `photos, 12 files, 52.4 MB`.
fn describe(offered: &Offered) -> String {
    let Task { size, files } = offered.task;
    let size = size.map_or_else(|| Sentence::UnknownLength.into(), ui::size);
    if offered.is_single {
        format!("{}, {size}", offered.name)
    } else {
        format!("{}, {}, {size}", offered.name, language::files(files))
    }
}

/// A program gets the text as it is; a terminal, what cannot drive it.
fn show_text(text: &[u8]) -> Result<(), Fault> {
    let mut out = io::stdout();
    let written = if out.is_terminal() {
        let text = String::from_utf8_lossy(text);
        text.lines().try_for_each(|line| writeln!(out, "{}", shown(line)))
    } else {
        out.write_all(text)
    };
    written
        .and_then(|()| out.flush())
        .map_err(|error| Fault::file(Sentence::Failed { what: &Sentence::TextUnwritten, error: &error }))
}
