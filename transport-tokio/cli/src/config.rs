//! What a person has settled once and for all: `phantom/config.toml` in the folder for settings.
//!
//! ```toml
//! relay = "wss://relay.example.org"
//! ```
//!
//! The folder is `$XDG_CONFIG_HOME`, else `~/.config`; on Windows `%APPDATA%`. A file that is not there says nothing. One that cannot be
//! understood is no reason to guess: it is said what is wrong, and where.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use toml::de::{DeTable, DeValue};

use crate::address::Address;
use crate::fault::Fault;
use crate::message::Message;

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// The relay to meet at, if none is named.
    pub(crate) relay: Option<Address>,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// It is there and cannot be read or understood.
    pub(crate) fn load() -> Result<Self, Fault> {
        let Some(path) = path() else { return Ok(Self::default()) };
        match fs::read_to_string(&path) {
            Ok(text) => Self::read(&text).map_err(|(line, problem)| {
                Fault::usage(Message::ConfigLine { path: &path.display(), line, problem: &problem })
            }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => Err(Fault::file(Message::ConfigUnread { path: &path.display(), error: &error })),
        }
    }

    /// Understands its text, or tells the line and what is wrong there.
    fn read(text: &str) -> Result<Self, (usize, String)> {
        let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let table = DeTable::parse(text).map_err(|error| {
            (line(error.span().map_or(0, |span| span.start)), error.message().replace('\n', " "))
        })?;
        let mut config = Self::default();
        for (name, value) in table.into_inner() {
            let at = line(name.span().start);
            match (&**name.get_ref(), value.into_inner()) {
                ("relay", DeValue::String(url)) => {
                    let relay =
                        url.parse().map_err(|error: crate::address::AddressError| (at, error.to_string()))?;
                    config.relay = Some(relay);
                }
                ("relay", _) => return Err((at, Message::ConfigText { key: "relay" }.into())),
                (other, _) => return Err((at, Message::ConfigKey { key: other, known: "relay" }.into())),
            }
        }
        Ok(config)
    }
}

/// Where the file is, if it is there.
fn path() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let settings = if cfg!(windows) {
        folder("APPDATA")?
    } else {
        folder("XDG_CONFIG_HOME").or_else(|| Some(env::home_dir()?.join(".config")))?
    };
    Some(settings.join(Path::new("phantom/config.toml")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_and_what_is_wrong_with_it() {
        let relay = "wss://relay.example".parse().ok();
        assert_eq!(Config::read("# mine\nrelay = \"wss://relay.example\"\n"), Ok(Config { relay }));
        assert_eq!(Config::read(""), Ok(Config::default()));
        for (text, line, problem) in [
            ("relay = \"http://relay\"", 1, "ws:// or wss://"),
            ("\nrelay = 7777", 2, "in quotes"),
            ("\n\nrealy = \"x\"", 3, "no setting realy"),
            ("relay = \"x", 1, ""),
        ] {
            let (at, why) = Config::read(text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(why.contains(problem), "{text}: {why}");
        }
    }
}
