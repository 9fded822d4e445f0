//! Stderr or a file. A write that fails is said once on stderr, and counted until one succeeds.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::LogError;
use super::line::Surroundings;

/// Where lines are written, by one thread.
pub(super) struct Sink {
    to: To,
    /// Lines that could not be written since one could.
    missing: u64,
}

enum To {
    Stderr,
    File { path: PathBuf, file: Box<dyn Write + Send> },
}

impl Sink {
    pub(super) fn open(path: Option<PathBuf>) -> Result<Self, LogError> {
        let to = match path {
            None => To::Stderr,
            Some(path) => To::File { file: append(&path)?, path },
        };
        Ok(Self { to, missing: 0 })
    }

    /// Writes to something that is no file.
    #[cfg(test)]
    pub(super) fn to(file: impl Write + Send + 'static) -> Self {
        Self { to: To::File { path: "test".into(), file: Box::new(file) }, missing: 0 }
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        match self.to {
            To::File { .. } => Surroundings::Plain,
            To::Stderr if is_journal() => Surroundings::Journal,
            To::Stderr if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() => {
                Surroundings::Terminal
            }
            To::Stderr => Surroundings::Plain,
        }
    }

    /// Goes on in a file of the same name, which may be another file by now.
    pub(super) fn reopen(&mut self) -> Result<(), LogError> {
        if let To::File { path, file } = &mut self.to {
            *file = append(path)?;
        }
        Ok(())
    }

    /// Writes a line. If that is the first one for some time, says how many are missing before it.
    pub(super) fn write(&mut self, line: &str) -> Option<u64> {
        let result = match &mut self.to {
            To::Stderr => io::stderr().write_all(line.as_bytes()),
            To::File { file, .. } => file.write_all(line.as_bytes()),
        };
        match result {
            Ok(()) => Some(std::mem::take(&mut self.missing)).filter(|&missing| missing > 0),
            Err(error) => {
                self.missing += 1;
                if let To::File { path, .. } = &self.to
                    && self.missing == 1
                {
                    let path = path.display();
                    // If stderr takes nothing either, nobody can be told.
                    let _unheard = writeln!(
                        io::stderr(),
                        "phantom-relay: log_file: {path} cannot be written ({error}); the relay goes on, and lines are lost until it can"
                    );
                }
                None
            }
        }
    }
}

fn append(path: &Path) -> Result<Box<dyn Write + Send>, LogError> {
    let file: io::Result<File> = OpenOptions::new().append(true).create(true).open(path);
    match file {
        Ok(file) => Ok(Box::new(file)),
        Err(source) => Err(LogError::File { path: path.to_owned(), source }),
    }
}

/// Whether stderr leads into systemd's journal. The variable alone says little: a program below one that has it may have another stderr.
#[cfg(unix)]
fn is_journal() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    match (std::env::var("JOURNAL_STREAM"), stderr) {
        (Ok(said), Ok(stderr)) => said == format!("{}:{}", stderr.dev(), stderr.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_journal() -> bool {
    false
}
