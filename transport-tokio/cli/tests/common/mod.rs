//! The real program, driven as a person would: start it, wait for what it says, look at how it ends.

#![allow(dead_code, reason = "each test file uses a part")]

#[cfg(unix)]
pub(crate) mod svg;
#[cfg(unix)]
pub(crate) mod terminal;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What must not come from the environment of the tests.
pub(crate) const UNSET: [&str; 13] = [
    "PHANTOM_RELAY",
    "PHANTOM_RELAY_LISTEN",
    "PHANTOM_KEY",
    "PHANTOM_TOKEN",
    "LC_MESSAGES",
    "LANG",
    "NO_COLOR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// A running `phantom`, whose lines are read. Dropped, it is killed.
pub(crate) struct Phantom {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<(Stream, String)>,
    seen: Vec<(Stream, String)>,
    /// Where the search goes on, for either stream.
    next: [usize; 2],
    name: String,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command, in an environment that says nothing of relays and keys.
pub(crate) fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phantom"));
    command.args(arguments);
    for name in UNSET {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

impl Phantom {
    pub(crate) fn start<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Self {
        Self::spawn(command(arguments))
    }

    pub(crate) fn start_in<I: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = I>) -> Self {
        let mut command = command(arguments);
        command.current_dir(folder);
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let name = format!("{:?}", command.get_args().next().unwrap_or_default());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, lines) = channel();
        let out = child.stdout.take().expect("it is piped");
        let err = child.stderr.take().expect("it is piped");
        let err_sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send((Stream::Out, line));
            }
        });
        thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = err_sender.send((Stream::Err, line));
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, seen: Vec::new(), next: [0; 2], name }
    }

    /// Waits for the next line on this stream that contains `part`. The two streams are two sequences: none waits for the other.
    pub(crate) fn line(&mut self, stream: Stream, part: &str) -> String {
        let until = Instant::now() + DEADLINE;
        let next = match stream {
            Stream::Out => 0,
            Stream::Err => 1,
        };
        loop {
            while let Some((from, line)) = self.seen.get(self.next[next]) {
                self.next[next] += 1;
                if *from == stream && line.contains(part) {
                    return line.clone();
                }
            }
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} never said {part:?}: {:#?}", self.name, self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{} ended and never said {part:?}: {:#?}", self.name, self.seen)
                }
            }
        }
    }

    /// Waits for the invitation.
    pub(crate) fn invitation(&mut self) -> String {
        self.line(Stream::Out, "phantom://")
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("it reads its input");
    }

    /// Types a line, even if nobody reads it any more.
    pub(crate) fn try_type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        let _ = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
    }

    /// Gives it this as input.
    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("it reads its input");
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Ends its input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Ctrl-C.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} does not end: {:#?}", self.name, self.seen),
            }
        }
        let status = self.child.wait().expect("it can be waited for").code();
        let text = |stream| {
            self.seen
                .iter()
                .filter(|(from, _)| *from == stream)
                .map(|(_, line)| format!("{line}\n"))
                .collect()
        };
        Ended { status, stdout: text(Stream::Out), stderr: text(Stream::Err) }
    }
}

impl Drop for Phantom {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// It failed as documented, with a sentence and without a panic.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32, sentence: &str) {
        assert_eq!(self.status, Some(status), "{}", self.stderr);
        assert!(self.stderr.contains(sentence), "{sentence:?} is not in: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert_eq!(self.status, Some(0), "{}\n{}", self.stdout, self.stderr);
    }
}

/// Runs it to its end.
pub(crate) fn run<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Ended {
    Phantom::start(arguments).end()
}

/// A relay on a free port, and its URL.
pub(crate) fn relay() -> (Phantom, String) {
    relay_at("127.0.0.1:0")
}

/// A relay at this address, and its URL.
pub(crate) fn relay_at(address: &str) -> (Phantom, String) {
    let mut relay = Phantom::start(["relay", "--listen", address]);
    let line = relay.line(Stream::Out, "ws://");
    let url = line.split_whitespace().find(|word| word.starts_with("ws://")).expect("it is a word");
    let url = url.to_owned();
    (relay, url)
}

/// Bytes that do not repeat early.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..count).map(|_| next()).collect()
}
