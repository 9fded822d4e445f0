//! What shells and `man` know of this program: made from the definitions that read the command line, so that they cannot differ.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::arguments::{Arguments, CompletionsArguments, ManArguments};
use crate::fault::Fault;
use crate::message::Message;

/// Prints a script for a shell.
pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Fault> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "phantom", &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|error| Fault::file(Message::OutputUnwritten { error: &error }))
}

/// Writes `phantom.1`, `phantom-send.1` and so on.
pub(crate) fn pages(arguments: &ManArguments) -> Result<(), Fault> {
    let mut command = Arguments::command();
    command.build();
    page(&arguments.folder, &command, "phantom")?;
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        page(&arguments.folder, command, &format!("phantom-{}", command.get_name()))?;
    }
    Ok(())
}

fn page(folder: &Path, command: &Command, name: &str) -> Result<(), Fault> {
    let path = folder.join(format!("{name}.1"));
    // A page's name has no space in it, as the command has.
    let command = command.clone().name(name.to_owned());
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut text);
    let written = rendered.and_then(|()| fs::write(&path, text));
    written.map_err(|error| Fault::file(Message::PageUnwritten { path: &path.display(), error: &error }))
}
