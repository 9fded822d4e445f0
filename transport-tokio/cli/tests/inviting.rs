//! How an invitation comes about and how it is read: relays that nobody named, settings, words, objects for scripts, languages.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::path::Path;

use common::Stream::{Err, Out};
use common::{Phantom, command, relay, run};
use serde_json::Value;

/// With settings that say this.
fn with_settings(folder: &Path, text: &str, arguments: &[&str]) -> Phantom {
    fs::create_dir_all(folder.join("phantom")).unwrap();
    fs::write(folder.join("phantom/config.toml"), text).unwrap();
    let mut command = command(arguments);
    command.env("XDG_CONFIG_HOME", folder);
    Phantom::spawn(command)
}

#[test]
fn a_program_that_is_its_own_relay() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "what is sent").unwrap();
    let mut host = Phantom::start_in(folder.path(), ["send", "x", "--relay", "here"]);
    host.line(Err, "must be able to reach this machine");
    let invitation = host.invitation();
    let received = folder.path().join("received");
    run(["receive", &invitation, "--output", received.to_str().unwrap()]).succeeded();
    host.end().succeeded();
    assert_eq!(fs::read_to_string(received).unwrap(), "what is sent");
}

#[test]
fn its_last_words_arrive() {
    for _ in 0..5 {
        let mut host = Phantom::start(["chat", "--relay", "here"]);
        let invitation = host.invitation();
        let mut guest = Phantom::start(["chat", &invitation]);
        host.line(Err, "Secured");
        host.type_line("goodbye");
        host.end_input();
        guest.line(Out, "goodbye");
        guest.end().succeeded();
        host.end().succeeded();
    }
}

#[test]
fn the_relay_in_the_settings_is_taken_unless_another_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_relay, url) = relay();
    let host = url.strip_prefix("ws://").unwrap();
    let settings = format!("relay = \"{url}\"\n");
    let mut chat = with_settings(folder.path(), &settings, &["chat"]);
    assert!(chat.invitation().contains(host));
    let mut chat =
        with_settings(folder.path(), "relay = \"wss://elsewhere.invalid\"", &["chat", "--relay", &url]);
    assert!(chat.invitation().contains(host));
}

#[test]
fn settings_that_are_wrong_are_told_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let ended = with_settings(folder.path(), "\nrealy = \"x\"", &["chat"]).end();
    ended.failed(2, "phantom/config.toml, line 2: there is no setting realy");
}

#[test]
fn a_key_in_words_opens_and_a_wrong_word_is_told_at_once() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["chat", "--relay", &url, "--words"]);
    host.line(Err, "40 bits");
    let invitation = host.invitation();
    let (address, key) = invitation.split_once('#').unwrap();
    assert_eq!(key.split('-').count(), 5);
    let mut words: Vec<_> = key.split('-').collect();
    words.swap(0, 4);
    run(["chat", &format!("{address}#{}", words.join("-"))]).failed(2, "has a typo");
    let _guest = Phantom::start(["chat", &invitation]);
    host.line(Err, "Secured");
}

#[test]
fn more_words_and_too_few() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["chat", "--relay", &url, "--words=7"]);
    host.line(Err, "70 bits");
    assert_eq!(host.invitation().split_once('#').unwrap().1.split('-').count(), 8);
    run(["chat", "--words=3"]).failed(2, "3 is not in 4..=12");
}

#[test]
fn an_invitation_from_standard_input_stands_in_no_list_of_processes() {
    let (_relay, url) = relay();
    for arguments in [&["receive"][..], &["receive", "-"], &["chat", "-"]] {
        let mut host = Phantom::start(["chat", "--relay", &url]);
        let invitation = host.invitation();
        let mut guest = Phantom::start(arguments);
        guest.type_line(&invitation);
        host.line(Err, "Secured");
    }
    let mut nothing = Phantom::start(["receive"]);
    nothing.end_input();
    nothing.end().failed(2, "this is no invitation");
}

#[test]
fn the_picture_holds_the_invitation() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["chat", "--relay", &url, "--qr"]);
    host.line(Err, "█");
    host.line(Err, "On the other side");
}

/// The next object of this kind.
fn object(side: &mut Phantom, kind: &str) -> Value {
    let line = side.line(Out, &format!("\"event\":\"{kind}\""));
    serde_json::from_str(&line).unwrap()
}

#[test]
fn scripts_get_objects_and_nothing_else() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["--json", "chat", "--relay", &url]);
    let invited = object(&mut host, "invitation");
    assert_eq!(invited["relay"], url);
    assert_eq!(invited["command"], "chat");
    let mut guest = Phantom::start(["chat", "--json", invited["invitation"].as_str().unwrap()]);
    assert_eq!(object(&mut guest, "asking")["id"], invited["id"]);
    object(&mut host, "request");
    object(&mut guest, "secured");
    host.type_line("Приветик!!!");
    assert_eq!(object(&mut guest, "line")["text"], "Приветик!!!");
    assert_eq!(object(&mut host, "delivered")["lines"], 1);
    guest.end_input();
    assert_eq!(object(&mut host, "end")["status"], 0);
    for side in [host, guest] {
        let ended = side.end();
        ended.succeeded();
        assert_eq!(ended.stderr, "");
        assert!(
            ended.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn scripts_get_the_error_too() {
    let mut chat = Phantom::start(["chat", "--json", "hello"]);
    let error = object(&mut chat, "error");
    assert_eq!(error["status"], 2);
    assert!(error["text"].as_str().unwrap().contains("no invitation"), "{error}");
}

#[test]
fn quiet_leaves_results_and_errors() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["chat", "-q", "--relay", &url]);
    let invitation = host.invitation();
    let mut guest = Phantom::start(["chat", "-q", &invitation]);
    guest.type_line("hello");
    host.line(Out, "hello");
    guest.end_input();
    assert_eq!(guest.end().stderr, "");
    assert_eq!(host.end().stderr, "");
    run(["chat", "-q", "hello"]).failed(2, "no invitation");
}

#[test]
fn russian_when_the_locale_says_so() {
    let (_relay, url) = relay();
    let mut russian = command(["chat", "--relay", &url]);
    russian.env("LC_ALL", "ru_RU.UTF-8");
    let mut host = Phantom::spawn(russian);
    host.line(Err, "Ваше приглашение:");
    let invitation = host.invitation();
    host.line(Err, "Ждём другую сторону.");
    let _guest = Phantom::start(["chat", &invitation]);
    host.line(Err, "Канал защищён");
}

#[test]
fn russian_words_for_what_is_wrong() {
    let russian = |arguments: &[&str]| {
        let mut russian = command(arguments);
        russian.env("LC_ALL", "ru_RU.UTF-8");
        Phantom::spawn(russian).end()
    };
    russian(&["chat", "hello"]).failed(2, "это не приглашение");
    russian(&["chat", "--relay", "http://relay"]).failed(2, "адрес ретранслятора начинается с ws://");
    let (_relay, url) = relay();
    let nobody = format!("{}/AF83X1#ABCDE12345", url.replace("ws://", "phantom://"));
    russian(&["chat", &nobody]).failed(4, "нет никого с ID AF83X1");
}
