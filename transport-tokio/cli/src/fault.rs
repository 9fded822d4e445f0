//! Why the program fails: one sentence for the person, one status for the script.
//!
//! Every error of every library becomes a [`Fault`] in the module that knows what was being done, so that the sentence can say
//! what to do about it. Nothing secret goes into a sentence.

use std::fmt;
use std::process::ExitCode;

use crate::message::Message;

/// Whose matter a failure is: the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// None of the others.
    Other = 1,
    /// Wrong arguments, or an invitation that is none.
    Usage = 2,
    /// The relay was not reached, or did not take us.
    Relay = 3,
    /// The other side was not reached, declined, left or cannot go on.
    Peer = 4,
    /// The two sides use different keys.
    Keys = 5,
    /// A file of this side.
    File = 6,
}

/// What `--help` says about the exit status.
pub(crate) const TABLE: &str = "\
Exit status:
  0    everything was done
  1    something else failed
  2    wrong arguments or invitation
  3    the relay was not reached
  4    the other side was not reached,
       declined, left or could not go on
  5    the keys differ
  6    a file could not be read or written
  130  stopped by Ctrl-C (128 + signal)";

/// A failure, as the person at the terminal sees it.
#[derive(Debug)]
pub(crate) struct Fault {
    status: u8,
    sentence: String,
}

impl Fault {
    pub(crate) fn new(status: Status, sentence: impl Into<String>) -> Self {
        Self { status: status as u8, sentence: sentence.into() }
    }

    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Status::Usage, sentence)
    }

    pub(crate) fn relay(sentence: impl Into<String>) -> Self {
        Self::new(Status::Relay, sentence)
    }

    pub(crate) fn peer(sentence: impl Into<String>) -> Self {
        Self::new(Status::Peer, sentence)
    }

    pub(crate) fn keys(sentence: impl Into<String>) -> Self {
        Self::new(Status::Keys, sentence)
    }

    pub(crate) fn file(sentence: impl Into<String>) -> Self {
        Self::new(Status::File, sentence)
    }

    /// A signal ended the program.
    pub(crate) fn signal(number: u8) -> Self {
        Self { status: 128 + number, sentence: Message::Stopped.into() }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
