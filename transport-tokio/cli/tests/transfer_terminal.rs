//! Sending and receiving as a person at a terminal sees it. The screens are stored beside this file; what differs from run to run is
//! replaced.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::terminal::Terminal;
use common::{Phantom, relay, relay_at};

const CTRL_C: &str = "\x03";
const KEY: &str = "blue-elephants";

/// A relay, and two folders; in the first one is what is sent.
struct Stage {
    relay: Option<Phantom>,
    url: String,
    from: tempfile::TempDir,
    to: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let (relay, url) = relay();
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("notes.txt"), "what is sent").unwrap();
        // So long that it is under way until it is stopped; on disk it takes no room.
        fs::File::create(from.path().join("endless")).unwrap().set_len(1 << 40).unwrap();
        Self { relay: Some(relay), url, from, to }
    }

    fn send(&self, columns: u16, what: &str) -> (Terminal, String) {
        let sender = Terminal::start_in(
            self.from.path(),
            columns,
            &["send", what, "--relay", &self.url, "--key", KEY],
        );
        sender.shows("Waiting for the");
        let invitation = sender.word("phantom://");
        (sender, invitation)
    }

    fn receive(&self, columns: u16, invitation: &str) -> Terminal {
        Terminal::start_in(self.to.path(), columns, &["receive", invitation])
    }
}

/// The screen with the same ID, port, times and rates in every run.
fn steady(screen: &str) -> String {
    let mut out = String::new();
    for line in screen.lines() {
        // The terminal shows the key that was pressed, before what the program says or after it.
        let line = line.replace("^C", "");
        let words: Vec<_> = line.split(' ').collect();
        let plain = |word: &str| word.trim_end_matches([',', ':']).to_owned();
        let steadied = words.iter().enumerate().map(|(at, word)| {
            let bare = plain(word);
            let is_number = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || c == '.');
            let unit = words.get(at + 1).map(|unit| plain(unit)).unwrap_or_default();
            let is_id = words.get(at + 1) == Some(&"asks") || at > 0 && words[at - 1] == "Asking";
            match word.split_once("127.0.0.1:") {
                Some((before, rest)) => match rest.split_once('#') {
                    Some((_, key)) => format!("{before}127.0.0.1:PORT/AAAAAA#{key}"),
                    None => format!("{before}127.0.0.1:PORT"),
                },
                None if is_number && ["s", "MB/s"].contains(&&*unit) => "N".to_owned(),
                None if is_id => "AAAAAA".to_owned(),
                None => (*word).to_owned(),
            }
        });
        out += &steadied.collect::<Vec<_>>().join(" ");
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

#[test]
fn a_file_is_offered_taken_and_there() {
    let stage = Stage::new();
    let (mut sender, invitation) = stage.send(80, "notes.txt");
    let mut receiver = stage.receive(80, &invitation);
    receiver.shows("Take it? [Y/n]");
    receiver.press("perhaps\r");
    receiver.shows("perhaps\nTake it?");
    receiver.press("y\r");
    let (status, screen) = receiver.end();
    assert_eq!(status, 0, "{screen}");
    insta::assert_snapshot!("receive", steady(&screen));
    let (status, screen) = sender.end();
    assert_eq!(status, 0, "{screen}");
    insta::assert_snapshot!("send", steady(&screen));
    assert_eq!(fs::read(stage.to.path().join("notes.txt")).unwrap(), b"what is sent");
}

#[test]
fn a_file_in_forty_columns() {
    let stage = Stage::new();
    let (mut sender, invitation) = stage.send(40, "notes.txt");
    let mut receiver = stage.receive(40, &invitation);
    receiver.shows("Take it? [Y/n]");
    receiver.press("\r");
    let (status, screen) = receiver.end();
    assert_eq!(status, 0, "{screen}");
    insta::assert_snapshot!("receive_in_forty_columns", steady(&screen));
    let (status, screen) = sender.end();
    assert_eq!(status, 0, "{screen}");
    insta::assert_snapshot!("send_in_forty_columns", steady(&screen));
}

#[test]
fn a_file_that_is_there_is_replaced_only_after_a_yes() {
    let stage = Stage::new();
    let path = stage.to.path().join("notes.txt");
    fs::write(&path, "mine").unwrap();
    let (mut sender, invitation) = stage.send(80, "notes.txt");
    let mut receiver = stage.receive(80, &invitation);
    receiver.shows("notes.txt exists already. Replace it? [y/N]");
    receiver.press("\r");
    let (status, screen) = receiver.end();
    assert_eq!(status, 1);
    assert!(screen.contains("declined; nothing was received"), "{screen}");
    let (status, screen) = sender.end();
    assert_eq!(status, 4);
    assert!(screen.contains("the other side declined"), "{screen}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    let (mut sender, invitation) = stage.send(80, "notes.txt");
    let mut receiver = stage.receive(80, &invitation);
    receiver.shows("Replace it?");
    receiver.press("y\r");
    assert_eq!((receiver.end().0, sender.end().0), (0, 0));
    assert_eq!(fs::read(&path).unwrap(), b"what is sent");
}

/// Both are in the middle of a transfer, at terminals of these widths.
fn under_way(stage: &Stage, columns: u16) -> (Terminal, Terminal) {
    let (sender, invitation) = stage.send(columns, "endless");
    let mut receiver = stage.receive(columns, &invitation);
    receiver.shows("Take it?");
    receiver.press("\r");
    sender.shows("MB/s");
    receiver.shows("MB/s");
    (sender, receiver)
}

#[track_caller]
fn nothing_has_a_name(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with(".phantom-"), "{name}");
    }
}

#[test]
fn bars_with_rate_and_time_left_on_both_sides_until_ctrl_c() {
    let stage = Stage::new();
    let (mut sender, mut receiver) = under_way(&stage, 80);
    for side in [&sender, &receiver] {
        let screen = side.shows(" left");
        let bar = screen.lines().find(|line| line.contains('%')).unwrap();
        assert!(bar.contains("of 1.10 TB,") && bar.contains("MB/s") && bar.chars().count() < 80, "{bar}");
    }
    sender.press(CTRL_C);
    let (status, screen) = sender.end();
    assert_eq!(status, 130);
    assert!(!screen.contains('%'), "the bar is gone: {screen}");
    insta::assert_snapshot!("send_interrupted", steady(&screen));
    let (status, screen) = receiver.end();
    assert_eq!(status, 4);
    assert!(screen.contains("the other side stopped") && !screen.contains('%'), "{screen}");
    nothing_has_a_name(stage.to.path());
}

#[test]
fn ctrl_c_at_the_receiver_in_forty_columns() {
    let stage = Stage::new();
    let (mut sender, mut receiver) = under_way(&stage, 40);
    let screen = sender.shows("MB/s");
    let bar = screen.lines().find(|line| line.contains('%')).unwrap();
    assert!(bar.chars().count() < 40, "{bar}");
    receiver.press(CTRL_C);
    assert_eq!(receiver.end().0, 130);
    assert_eq!(sender.end().0, 4);
    nothing_has_a_name(stage.to.path());
}

#[test]
fn ctrl_c_at_the_question() {
    let stage = Stage::new();
    let (mut sender, invitation) = stage.send(80, "notes.txt");
    let mut receiver = stage.receive(80, &invitation);
    receiver.shows("Take it? [Y/n]");
    receiver.press(CTRL_C);
    assert_eq!(receiver.end().0, 130);
    assert_eq!(sender.end().0, 4);
    nothing_has_a_name(stage.to.path());
}

#[test]
fn the_relay_goes_away_in_the_middle_and_comes_back() {
    let mut stage = Stage::new();
    // As much as takes its time, and is over one day.
    fs::File::options()
        .write(true)
        .open(stage.from.path().join("endless"))
        .unwrap()
        .set_len(96 << 20)
        .unwrap();
    let (mut sender, mut receiver) = under_way(&stage, 80);
    drop(stage.relay.take());
    sender.shows("Interrupted; waiting for the other side");
    receiver.shows("Interrupted; waiting for the other side");
    stage.relay = Some(relay_at(stage.url.strip_prefix("ws://").unwrap()).0);
    let (status, screen) = receiver.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("The other side is there again."), "{screen}");
    assert_eq!(sender.end().0, 0);
    assert_eq!(fs::metadata(stage.to.path().join("endless")).unwrap().len(), 96 << 20);
}

#[test]
fn a_wrong_key_and_a_sender_that_is_away() {
    let stage = Stage::new();
    let (mut sender, invitation) = stage.send(80, "notes.txt");
    let (status, screen) = stage.receive(80, &invitation.replace(KEY, "grey-elephants")).end();
    assert_eq!(status, 5);
    assert!(screen.contains("the keys differ"), "{screen}");
    sender.shows("has another key and was sent away");
    sender.press(CTRL_C);
    assert_eq!(sender.end().0, 130);
    let (status, screen) = stage.receive(80, &invitation).end();
    assert_eq!(status, 4);
    assert!(screen.contains("nobody with the ID"), "{screen}");
    nothing_has_a_name(stage.to.path());
}

/// As a service or a job at night would start it: no terminal, no input, and nothing that waits for a person.
#[test]
fn no_terminal_at_all() {
    let stage = Stage::new();
    let start = |arguments: &[&str], folder: &Path| {
        let mut all = std::process::Command::new("setsid");
        all.arg("--wait").arg(env!("CARGO_BIN_EXE_phantom")).args(arguments);
        all.current_dir(folder).env_clear().env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        all.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("XDG_CONFIG_HOME", "/nonexistent");
        all
    };
    let mut sender = Phantom::spawn(start(&["send", "notes.txt", "--relay", &stage.url], stage.from.path()));
    let invitation = sender.invitation();
    let mut receive = start(&["receive", &invitation], stage.to.path());
    let output = receive.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b));
    sender.end().succeeded();
    assert_eq!(fs::read(stage.to.path().join("notes.txt")).unwrap(), b"what is sent");
    // Without an invitation there is nobody to ask.
    let output = start(&["receive"], stage.to.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
