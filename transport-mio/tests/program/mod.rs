//! The program `phantom-relay` as its user meets it: arguments, lines, signals, exit status.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_phantom-relay");

pub fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    // Few enough for any limit of open files.
    command
        .env_clear()
        .env("PHANTOM_RELAY_MAX_CONNECTIONS", "300")
        .env("PHANTOM_RELAY_MAX_HANDSHAKES", "300")
        .env("PHANTOM_RELAY_LOG_LEVEL", "warn");
    command
}

/// A running program, ended with the test whatever happens.
pub struct Running {
    pub child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<BufReader<ChildStderr>>,
    pub address: SocketAddr,
    pub line: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command.stderr(Stdio::piped()))
    }

    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("phantom-relay listens on ")
            .and_then(|rest| rest.split(';').next())
            .unwrap_or_else(|| panic!("{line:?}"))
            .parse()
            .unwrap();
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, stdout, stderr, address, line }
    }

    /// Its next line on stdout.
    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line on stderr with these words.
    pub fn hears(&mut self, words: &str) -> String {
        let stderr = self.stderr.as_mut().unwrap();
        stderr
            .lines()
            .map(Result::unwrap)
            .find(|line| line.contains(words))
            .unwrap_or_else(|| panic!("{words}"))
    }

    pub fn signal(&self, name: &str) {
        assert!(
            Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap().success()
        );
    }

    /// Its exit status and what it said on stderr.
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        if let Some(mut stderr) = self.stderr.take() {
            stderr.read_to_string(&mut said).unwrap();
        }
        (status.code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

pub fn on_free_port() -> Command {
    let mut command = program();
    command.args(["--listen", "127.0.0.1:0"]);
    command
}

/// One sentence on stderr, nothing on stdout, and this status.
pub fn refuses(output: &Output, status: i32, words: &[&str]) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(output.stdout, b"");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said:?}");
    }
    assert!(!said.contains("panicked") && !said.contains("Error {") && !said.contains("os error"), "{said}");
}
