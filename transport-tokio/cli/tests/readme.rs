//! The shell blocks of the README are commands that exist and do what it says.

mod common;

use std::fs;

use common::{Phantom, run};

/// The lines of every `sh` block.
fn shell_lines() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let mut lines = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

#[test]
fn every_shell_line_is_one_that_is_run_here_or_in_ci() {
    let known = [
        // `.ci/run` takes these two from the README and runs them.
        "cargo run --release --bin phantom -- demo",
        "cargo test --workspace",
        // These three are run below, with `phantom relay` for the same relay.
        "phantom-relay",
        "phantom send FILE",
        "phantom receive INVITATION",
        // A test of phantom-mio starts this one.
        "phantom-relay --listen-tls 0.0.0.0:443 --tls-certificate fullchain.pem --tls-key key.pem --secret-file relay.secret",
    ];
    assert_eq!(shell_lines(), known);
}

#[test]
fn three_terminals_pass_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("FILE");
    fs::write(&file, "what is sent").expect("written");
    let (_relay, url) = common::relay();
    let file = file.to_str().expect("a name in UTF-8");
    let mut sender = Phantom::start(["send", file, "--relay", &url]);
    let invitation = sender.invitation();
    let target = folder.path().join("received");
    let target = target.to_str().expect("a name in UTF-8");
    run(["receive", &invitation, "--output", target]).succeeded();
    sender.end().succeeded();
    assert_eq!(fs::read_to_string(target).expect("a file"), "what is sent");
}
