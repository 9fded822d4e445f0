//! Arguments, settings, signals, systemd, exit status. What a relay does is the library's matter.
//!
//! On stdout stands what was asked for: where the relay listens, the settings, the help. Everything else is a line of the log.

mod arguments;
mod fault;
mod file;
mod files;
mod limits;
mod logs;
mod memory;
mod pace;
mod places;
mod print;
mod probe;
mod room;
mod serve;
mod settings;
mod signals;
mod size;
mod span;
mod systemd;
mod table;
mod token;
mod value;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Request;
use fault::{Fault, Status};
use settings::Effective;

/// Does what the command line asks for; says on stderr what went wrong, one line for each thing.
pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            for fault in &faults {
                say(&mut io::stderr(), &format!("phantom-relay: {fault}\n"));
            }
            ExitCode::from(faults.first().map_or(Status::System, |fault| fault.status) as u8)
        }
    }
}

fn run() -> Result<(), Vec<Fault>> {
    match arguments::parse(env::args_os(), env::vars_os()).map_err(|fault| vec![fault])? {
        Request::Show(text) => say(&mut io::stdout(), &text),
        Request::Print(inputs) => say(&mut io::stdout(), &print::settings(&gather(&inputs)?)),
        Request::Check(inputs) => {
            let effective = gather(&inputs)?;
            for note in &effective.notes {
                say(&mut io::stderr(), &format!("phantom-relay: {note}\n"));
            }
            files::check(&effective)?;
            say(&mut io::stdout(), "configuration is good\n");
        }
        Request::NewToken(name) => {
            let lines = token::make(name.as_deref()).map_err(|fault| vec![fault])?;
            say(&mut io::stdout(), &lines);
        }
        Request::Probe(inputs) => probe::run(&gather(&inputs)?).map_err(|fault| vec![fault])?,
        Request::Serve(inputs) => serve::serve(gather(&inputs)?).map_err(|fault| vec![fault])?,
    }
    Ok(())
}

fn gather(inputs: &settings::Inputs) -> Result<Effective, Vec<Fault>> {
    Effective::gather(inputs).map_err(|problems| {
        problems.into_iter().map(|problem| Fault::new(Status::Settings, problem)).collect()
    })
}

/// Nobody may be listening any more; that is no reason to stop.
fn say(to: &mut impl Write, text: &str) {
    let _unheard = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
