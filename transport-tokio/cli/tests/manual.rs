//! Help, completions and manual pages.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::process::Command;

use common::run;

const COMMANDS: [&str; 11] =
    ["demo", "chat", "pipe", "forward", "send", "receive", "relay", "doctor", "bench", "completions", "man"];

#[test]
fn every_help_has_examples_and_statuses_and_fits_into_eighty_columns() {
    for name in [""].iter().chain(&COMMANDS) {
        let arguments: Vec<_> = [*name, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let ended = run(&arguments);
        ended.succeeded();
        for part in ["Examples:", "Exit status:", "130  stopped by Ctrl-C", "--json", "--quiet"] {
            assert!(ended.stdout.contains(part), "{name}: {part:?} is not in: {}", ended.stdout);
        }
        for line in ended.stdout.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line:?}");
        }
    }
}

#[test]
fn every_shell_has_its_completions() {
    for (shell, part) in [
        ("bash", "complete -F _phantom"),
        ("zsh", "#compdef phantom"),
        ("fish", "complete -c phantom"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ended = run(["completions", shell]);
        ended.succeeded();
        assert!(ended.stdout.contains(part), "{shell}");
        for name in COMMANDS {
            assert!(ended.stdout.contains(name), "{shell}: {name}");
        }
    }
    run(["completions", "tcsh"]).failed(2, "bash");
}

/// The shell itself says what it would complete.
#[cfg(unix)]
#[test]
fn bash_completes_a_command() {
    let script = run(["completions", "bash"]).stdout;
    let script = format!(
        "{script}\nCOMP_WORDS=(phantom forw) COMP_CWORD=1\n_phantom phantom forw phantom\necho \"${{COMPREPLY[@]}}\""
    );
    let Ok(output) = Command::new("bash").args(["-c", &script]).output() else {
        eprintln!("there is no bash here");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "forward\n", "{output:?}");
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    run(["man", folder.path().to_str().unwrap()]).succeeded();
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("phantom.1").contains("Exit status"));
    for name in COMMANDS {
        let text = page(&format!("phantom-{name}.1"));
        assert!(text.contains(&format!("phantom\\-{name}")) && text.contains("Examples"), "{name}: {text}");
    }
    run(["man", "/nowhere/at/all"]).failed(6, "cannot be written");
}
