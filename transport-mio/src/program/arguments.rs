//! The command line: one flag for each setting, and what else the program can be asked to do.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PathBufValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::fault::{Fault, STATUSES, Status};
use super::settings::Inputs;
use super::table::{Setting, Settings, TABLE};
use super::value::Given;

const ABOUT: &str = "\
A Phantom relay: programs that cannot reach each other meet here.
It forwards what it cannot read.";

const USAGE: &str = "\
Every setting has one name: --max-connections on the command line,
PHANTOM_RELAY_MAX_CONNECTIONS in the environment, max_connections in the
file. The command line counts most, then the environment, then the file.
In the environment, commas stand between the items of a list.
`phantom-relay --print-config` explains every setting.

Signals:
  SIGTERM, SIGINT  tell the clients to come back, and stop; again: stop now
  SIGHUP           read certificate, key and access files again

Examples:
  phantom-relay
      For this machine only: clients reach it at ws://127.0.0.1:7777.
  phantom-relay --listen 0.0.0.0:7777 --secret-file /var/lib/phantom/secret
      For everybody; clients keep their IDs when the relay restarts.
  phantom-relay --config /etc/phantom-relay/relay.toml --check-config
      Says what is wrong with a file, and starts nothing.
";

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    /// Be a relay.
    Serve(Inputs),
    /// Say whether the settings are good.
    Check(Inputs),
    /// Show the settings that hold.
    Print(Inputs),
    /// Make an access token for this client.
    NewToken(Option<String>),
    /// Ask a running relay whether it is well.
    Probe(Inputs),
    /// Help, or the version: this text.
    Show(String),
}

/// Reads the command line.
///
/// # Errors
/// If it is not understood.
pub(crate) fn parse(
    arguments: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Request, Fault> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Request::Show(error.render().to_string()));
        }
        Err(error) => return Err(Fault::new(Status::Settings, sentence(&error))),
    };
    let inputs = Inputs {
        config: matches.get_one::<PathBuf>("config").cloned(),
        flags: flags(&matches)?,
        environment: environment.collect(),
    };
    if let Some(("new-token", token)) = matches.subcommand() {
        Ok(Request::NewToken(token.get_one::<String>("name").cloned()))
    } else if matches.subcommand_name() == Some("probe") {
        Ok(Request::Probe(inputs))
    } else if matches.get_flag("check-config") {
        Ok(Request::Check(inputs))
    } else if matches.get_flag("print-config") {
        Ok(Request::Print(inputs))
    } else {
        Ok(Request::Serve(inputs))
    }
}

fn flags(matches: &ArgMatches) -> Result<Vec<(&'static str, Given)>, Fault> {
    let mut flags = Vec::new();
    for setting in TABLE {
        let Some(values) = matches.get_many::<OsString>(setting.key) else { continue };
        let words: Option<Vec<Given>> =
            values.map(|value| Some(Given::Word(value.to_str()?.to_owned()))).collect();
        let mut words = words
            .ok_or_else(|| Fault::new(Status::Settings, format!("--{} is not UTF-8", setting.flag())))?;
        flags.push((setting.key, if setting.many { Given::List(words) } else { words.remove(0) }));
    }
    Ok(flags)
}

fn command() -> Command {
    let defaults = Settings::default();
    Command::new("phantom-relay")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(format!("{USAGE}\n{STATUSES}\n"))
        .next_line_help(true)
        .max_term_width(80)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(PathBufValueParser::new())
                .help("Read settings from this TOML file (or PHANTOM_RELAY_CONFIG)"),
        )
        .arg(
            Arg::new("check-config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .conflicts_with("print-config")
                .help("Say whether the settings and the files they name are good"),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Show the settings that hold, as a file for --config"),
        )
        .subcommand(
            Command::new("new-token")
                .about("Make a token for a client, and its line for access_tokens")
                .arg(Arg::new("name").value_name("NAME").help("Whatever tells it from the others")),
        )
        .subcommand(
            Command::new("probe")
                .about("Ask the relay at metrics_listen whether it is well; status 0 if it is"),
        )
        .disable_help_subcommand(true)
        .args(TABLE.iter().map(|setting| arg(setting, &defaults)))
}

fn arg(setting: &Setting, defaults: &Settings) -> Arg {
    let about = setting.about[0].trim_start();
    let help = match (setting.toml)(defaults).as_deref() {
        None | Some("[]") => about.to_owned(),
        Some(default) => format!("{about} [{}]", default.trim_matches(['[', ']', '"'])),
    };
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.value_name)
        .value_parser(OsStringValueParser::new())
        .allow_negative_numbers(true)
        .action(if setting.many { ArgAction::Append } else { ArgAction::Set })
        .help_heading(setting.section)
        .help(help);
    if setting.alone { arg.num_args(0..=1).require_equals(true).default_missing_value("true") } else { arg }
}

/// What the parser says, in one line.
fn sentence(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    match (error.kind(), context(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(argument)) if argument.starts_with('-') => {
            match context(ContextKind::SuggestedArg) {
                Some(meant) => format!("unknown option {argument}; did you mean {meant}?"),
                None => format!("unknown option {argument}; --help lists all"),
            }
        }
        (ErrorKind::UnknownArgument, Some(argument)) => unexpected(&argument),
        (ErrorKind::InvalidSubcommand, _) => {
            unexpected(&context(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        _ => {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    }
}

fn unexpected(argument: &str) -> String {
    format!("`{argument}` is not expected; --help says what is")
}
