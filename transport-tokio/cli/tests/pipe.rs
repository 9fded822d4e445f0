//! `phantom pipe` between two processes.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::thread;

use common::{Phantom, bytes, command, relay, run};

/// A side whose output is read as bytes.
struct Side {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: BufReader<ChildStderr>,
}

impl Side {
    fn start(arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdin, stdout, stderr }
    }

    /// The next line on standard error with this in it.
    fn said(&mut self, part: &str) -> String {
        let mut lines = self.stderr.by_ref().lines();
        lines.find_map(|line| line.ok().filter(|line| line.contains(part))).unwrap()
    }

    fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).and_then(|()| stdin.flush()).unwrap();
    }

    fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.stdout.read_to_end(&mut all).unwrap();
        all
    }

    fn end_input(&mut self) {
        self.stdin = None;
    }

    fn status(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One who invited, and the guest.
fn piped(url: &str) -> (Side, Side) {
    let mut host = Side::start(&["pipe", "--relay", url]);
    let invitation = host.said("phantom://");
    let guest = Side::start(&["pipe", &invitation]);
    (host, guest)
}

#[test]
fn the_end_of_one_direction_leaves_the_other() {
    let (_relay, url) = relay();
    let (mut host, mut guest) = piped(&url);
    host.write(b"question\n");
    host.end_input();
    // Returns at the end of what comes, which is there although the guest goes on.
    assert_eq!(guest.read_to_end(), b"question\n");
    guest.write(b"answer\n");
    guest.end_input();
    assert_eq!(host.read_to_end(), b"answer\n", "standard output has the data and nothing else");
    assert_eq!((host.status(), guest.status()), (Some(0), Some(0)));
}

#[test]
fn many_bytes_arrive_as_they_were_sent_in_both_directions_at_once() {
    let (_relay, url) = relay();
    let (mut host, mut guest) = piped(&url);
    let (there, back) = (bytes(8 << 20), bytes(5 << 20));
    let write = |side: &mut Side, data: &[u8]| {
        let (mut stdin, data) = (side.stdin.take().unwrap(), data.to_vec());
        thread::spawn(move || stdin.write_all(&data).unwrap())
    };
    let writing = [write(&mut host, &there), write(&mut guest, &back)];
    let reading = thread::spawn(move || (host.read_to_end(), host.status()));
    assert!(guest.read_to_end() == there);
    let (came, status) = reading.join().unwrap();
    assert!(came == back);
    assert_eq!((status, guest.status()), (Some(0), Some(0)));
    for writer in writing {
        writer.join().unwrap();
    }
}

#[test]
fn the_invitation_may_stand_before_the_data() {
    let (_relay, url) = relay();
    let mut host = Side::start(&["pipe", "--relay", &url]);
    let invitation = host.said("phantom://");
    host.end_input();
    let mut guest = Side::start(&["pipe", "-"]);
    guest.write(format!("{invitation}\n").as_bytes());
    guest.write(b"\xff\x00data");
    guest.end_input();
    assert_eq!(host.read_to_end(), b"\xff\x00data");
}

#[test]
fn a_reader_that_is_gone_is_told() {
    let (_relay, url) = relay();
    let (mut host, mut guest) = piped(&url);
    // The one who reads the guest's output has had enough.
    let (gone, _) = std::io::pipe().unwrap();
    drop(std::mem::replace(&mut guest.stdout, ChildStdout::from(std::os::fd::OwnedFd::from(gone))));
    host.write(b"anybody?");
    assert_eq!(guest.status(), Some(6));
    assert_eq!(host.status(), Some(4));
}

#[test]
fn another_command_on_the_other_side_is_told() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["forward", "--to", "1", "--relay", &url]);
    let invitation = host.invitation();
    run(["pipe", &invitation]).failed(4, "phantom pipe");
}
