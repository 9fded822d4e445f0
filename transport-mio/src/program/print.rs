//! The settings as a TOML file that explains itself. What is shown is read as the same settings again.

use std::fmt::Write;

use super::settings::{Effective, Source};
use super::table::TABLE;

/// Every setting: what it is, its value, and who set it.
pub(crate) fn settings(effective: &Effective) -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in TABLE {
        if setting.section != section {
            section = setting.section;
            let _infallible = write!(text, "## {section}\n\n");
        }
        let mut about = setting.about.to_vec();
        while about.last().is_some_and(|line| line.is_empty()) {
            about.pop();
        }
        for line in about.iter().filter(|line| !line.is_empty()) {
            let _infallible = writeln!(text, "#{line}{}", if *line == about[0] { "." } else { "" });
        }
        if let Some(range) = (setting.range)() {
            let _infallible = writeln!(text, "# Possible: {range}.");
        }
        let key = setting.key;
        let _infallible = match (setting.toml)(&effective.settings) {
            Some(value) => {
                writeln!(text, "{key} = {value}{}", origin(effective.source(key), &setting.variable()))
            }
            None => writeln!(text, "#{key} = {}", setting.example),
        };
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

fn origin(source: &Source, variable: &str) -> String {
    match source {
        Source::Default => "  # default".to_owned(),
        Source::StateDirectory => "  # STATE_DIRECTORY".to_owned(),
        Source::File { path, line } => {
            format!("  # {}, line {line}", path.display().to_string().escape_debug())
        }
        Source::Variable => format!("  # {variable}"),
        Source::Flag => "  # command line".to_owned(),
    }
}
