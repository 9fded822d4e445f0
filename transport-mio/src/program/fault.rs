//! Why the program ends early: one sentence that names the key or the file, and the exit status that goes with it.

use std::fmt;

use phantom_mio::StartError;

/// The exit statuses other than 0. They are part of the program's interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Status {
    /// The system refused something.
    System = 1,
    /// Wrong arguments or settings.
    Settings = 2,
    /// An address cannot be listened on.
    Listen = 3,
    /// The secret file cannot be used.
    Secret = 4,
    /// The certificate or its key cannot be used.
    Tls = 5,
    /// The file of access tokens cannot be used.
    Access = 6,
    /// The log file cannot be written.
    Log = 7,
}

/// The table for the help.
pub(crate) const STATUSES: &str = "\
Exit status:
  0  stopped by SIGTERM or SIGINT
  1  the system refused something
  2  wrong arguments or settings
  3  an address cannot be listened on
  4  the secret file cannot be used
  5  the certificate or its key cannot be used
  6  the file of access tokens cannot be used
  7  the log file cannot be written
  130, 143  ended at once by a second SIGINT or SIGTERM";

/// Something that keeps the relay from running.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: Status,
    pub(crate) sentence: String,
}

impl Fault {
    pub(crate) fn new(status: Status, sentence: impl Into<String>) -> Self {
        Self { status, sentence: without_numbers(sentence.into()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        let status = match error {
            StartError::Address(_) | StartError::Listen { .. } | StartError::ListenUnix { .. } => {
                Status::Listen
            }
            StartError::Secret { .. } => Status::Secret,
            _ => Status::System,
        };
        Self::new(status, error.to_string())
    }
}

/// The system's numbers of errors say nothing to whoever reads their names.
fn without_numbers(mut sentence: String) -> String {
    while let Some(from) = sentence.find(" (os error ")
        && let Some(length) = sentence[from..].find(')')
    {
        sentence.replace_range(from..=from + length, "");
    }
    sentence
}
