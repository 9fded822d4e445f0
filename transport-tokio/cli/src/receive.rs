//! `phantom receive`: goes where an invitation leads and takes what is sent.
//!
//! At a terminal, the person sees what comes and decides. Elsewhere, whoever gives the invitation has decided; but nothing that is there
//! is replaced unless the command line says so.

use std::io::{self, IsTerminal, Write};

use crate::arguments::ReceiveArguments;
use crate::fault::{Fault, Status};
use crate::input::Lines;
use crate::interrupt::Interrupt;
use crate::meet::{self, Place};
use crate::progress::{Progress, Task, files};
use crate::prompt;
use crate::transfer::name::shown;
use crate::transfer::{self, Decision, Offered, Target};
use crate::ui;

pub(crate) async fn run(arguments: &ReceiveArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let invitation = prompt::read_invitation(arguments.invitation.as_deref(), interrupt).await?;
    let mut input = None;
    let target = match (&arguments.into, arguments.stdout) {
        (_, true) => Target::Output,
        (Some(folder), _) => Target::into(folder)?,
        (None, _) => Target::new(arguments.output.as_deref(), arguments.overwrite)?,
    };
    Place::of_guest(&invitation)
        .visit(interrupt, async |client| {
            let channel = meet::go_to_host(client, invitation.id).await?;
            let decide = async |offered: &Offered| decide(arguments, offered, &mut input).await;
            let arrival = transfer::receive(channel, &target, decide, Progress::new).await?;
            if let Some(text) = &arrival.text {
                return show_text(text);
            }
            let say = |line: String| if arguments.stdout { ui::note(line) } else { ui::say(line) };
            let names: Vec<_> =
                arrival.paths.iter().map(|path| shown(&transfer::seen(path).to_string())).collect();
            match &names[..] {
                [] => say(format!("Received: {}", arrival.figures)),
                [name] => say(format!("Received {name}: {}", arrival.figures)),
                [name, more @ ..] => {
                    say(format!("Received {name} and {} more: {}", more.len(), arrival.figures));
                }
            }
            if arrival.is_single {
                say(format!("BLAKE3 {}", ui::hex(&arrival.hash)));
            }
            Ok(())
        })
        .await
}

/// Shows what comes, and asks where somebody can answer.
async fn decide(
    arguments: &ReceiveArguments,
    offered: &Offered,
    input: &mut Option<Lines>,
) -> Result<Decision, Fault> {
    if offered.is_text {
        return Ok(Decision::Take);
    }
    ui::note(format_args!("Receiving {}.", describe(offered)));
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    let overwrite = arguments.overwrite || offered.replaces.is_none();
    if can_ask && !(arguments.yes && overwrite) {
        let (question, default) = match &offered.replaces {
            Some(path) if !overwrite => {
                let path = shown(&transfer::seen(path).to_string());
                (format!("{path} exists already. Replace it? [y/N] "), false)
            }
            _ => ("Take it? [Y/n] ".to_owned(), true),
        };
        if !ask(&question, default, input).await {
            return Ok(Decision::Decline);
        }
        return Ok(if offered.replaces.is_some() { Decision::Overwrite } else { Decision::Take });
    }
    Ok(if arguments.overwrite { Decision::Overwrite } else { Decision::Take })
}

async fn ask(question: &str, default: bool, input: &mut Option<Lines>) -> bool {
    let input = input.get_or_insert_with(Lines::start);
    loop {
        let _unheard = write!(io::stderr(), "{question}").and_then(|()| io::stderr().flush());
        match input.next().await.map(|answer| answer.trim().to_lowercase()).as_deref() {
            Some("") => return default,
            Some("y" | "yes") => return true,
            Some("n" | "no") | None => return false,
            Some(_) => {}
        }
    }
}

/// `notes.pdf, 5.24 MB`, `photos, 12 files, 52.4 MB`.
fn describe(offered: &Offered) -> String {
    let Task { size, files: count } = offered.task;
    let size = size.map_or_else(|| "of unknown length".to_owned(), ui::size);
    if offered.is_single {
        format!("{}, {size}", offered.name)
    } else {
        format!("{}, {}, {size}", offered.name, files(count))
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
        .map_err(|error| Fault::new(Status::File, format!("the text cannot be written: {error}")))
}
