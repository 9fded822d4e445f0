//! What a person at a terminal sees. The screens are stored beside this file; what differs from run to run is replaced.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::Stream::Err;
use common::terminal::Terminal;
use common::{Phantom, relay, relay_at};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const KEY: &str = "blue-elephants";

/// The screen, with the same ID, port and times in every run.
fn steady(screen: &str) -> String {
    let mut out = String::new();
    for line in screen.lines() {
        // The terminal shows the key that was pressed, before what the program says or after it.
        let mut line = line.replace("^C", "");
        if let Some((before, rest)) = line.split_once("127.0.0.1:") {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            line = format!("{before}127.0.0.1:PORT{rest}");
        }
        out += &line;
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

/// Replaces an ID wherever it stands.
fn without(screen: &str, ids: &[&str]) -> String {
    let names = ["AAAAAA", "BBBBBB"];
    let all = ids.iter().zip(names);
    all.fold(steady(screen), |screen, (id, name)| screen.replace(id, name))
}

fn id_of(invitation: &str) -> String {
    let (before, _) = invitation.split_once('#').unwrap();
    before.rsplit_once('/').unwrap().1.to_owned()
}

/// Two that talk at terminals, and their IDs.
fn talking(url: &str, columns: u16) -> (Terminal, Terminal, [String; 2]) {
    let host = Terminal::start(columns, &["chat", "--relay", url, "--key", KEY]);
    host.shows("Waiting for the other side.");
    let invitation = host.word("phantom://");
    let guest = Terminal::start(columns, &["chat", &invitation]);
    host.shows("\n> ");
    guest.shows("\n> ");
    let raw = host.raw();
    let (before, _) = raw.split_once(" asks").unwrap();
    let ids = [id_of(&invitation), before[before.len() - 6..].to_owned()];
    (host, guest, ids)
}

#[test]
fn a_chat() {
    let (_relay, url) = relay();
    let (mut host, mut guest, ids) = talking(&url, 80);
    let ids = ids.each_ref().map(String::as_str);
    // With a mistake that is put right, as at any prompt.
    host.press("hello therx\x7fe\r");
    guest.shows("hello there");
    host.shows("✓ delivered");
    guest.press("hi\r");
    host.shows(": hi");
    guest.shows("✓ delivered");
    host.press(CTRL_D);
    let (status, screen) = guest.end();
    assert_eq!(status, 0);
    insta::assert_snapshot!("chat_guest", without(&screen, &ids));
    let (status, screen) = host.end();
    assert_eq!(status, 0);
    insta::assert_snapshot!("chat_host", without(&screen, &ids));
}

#[test]
fn a_chat_in_forty_columns() {
    let (_relay, url) = relay();
    let (mut host, guest, ids) = talking(&url, 40);
    let ids = ids.each_ref().map(String::as_str);
    host.press("a line that is longer than forty columns are wide\r");
    guest.shows("are wide");
    host.shows("✓ delivered");
    host.press(CTRL_C);
    let (status, screen) = host.end();
    assert_eq!(status, 130);
    insta::assert_snapshot!("chat_in_forty_columns", without(&screen, &ids));
}

#[test]
fn several_lines_pasted_are_one_message() {
    let (_relay, url) = relay();
    let (mut host, guest, _) = talking(&url, 80);
    host.press("\x1b[200~one\ntwo\x1b[201~");
    host.shows("two");
    host.press("\r");
    let screen = guest.shows(": two");
    assert!(screen.contains(": one\n"), "{screen}");
    host.shows("✓ delivered");
}

#[test]
fn what_is_being_typed_stays_below_what_comes() {
    let (_relay, url) = relay();
    let (mut host, mut guest, _) = talking(&url, 80);
    host.press("half a li");
    host.shows("> half a li");
    guest.press("in between\r");
    host.shows(": in between\n> half a li");
    host.press("ne\r");
    guest.shows("half a line");
}

#[test]
fn the_host_leaves_and_the_terminal_is_as_it_was() {
    let (_relay, url) = relay();
    let (mut host, mut guest, _) = talking(&url, 80);
    host.press(CTRL_C);
    assert_eq!(host.end().0, 130);
    let (status, screen) = guest.end();
    assert_eq!(status, 4);
    assert!(screen.contains("phantom: the other side left"), "{screen}");
    assert!(guest.raw().contains("\x1b[?2004l"), "pastes are as they were");
}

#[test]
fn the_guest_leaves_and_comes_back() {
    let (_relay, url) = relay();
    let (mut host, mut guest, ids) = talking(&url, 80);
    let invitation = host.word("phantom://");
    guest.press(CTRL_C);
    assert_eq!(guest.end().0, 130);
    host.shows("has left. The invitation still holds");
    host.press("are you there?\r");
    host.shows("this is sent when somebody is");
    let mut guest = Terminal::start(80, &["chat", &invitation]);
    guest.shows(": are you there?");
    host.shows("✓ delivered");
    guest.press("yes\r");
    let screen = host.shows(": yes");
    let raw = host.raw();
    let (before, _) = raw.rsplit_once(" asks").unwrap();
    let screen = screen.replace(&before[before.len() - 6..], "CCCCCC");
    insta::assert_snapshot!("chat_guest_back", without(&screen, &ids.each_ref().map(String::as_str)));
    guest.press(CTRL_D);
    assert_eq!(guest.end().0, 0);
    assert_eq!(host.end().0, 0);
}

#[test]
fn lines_that_nobody_heard_are_told() {
    let (_relay, url) = relay();
    let (mut host, mut guest, _) = talking(&url, 80);
    guest.press(CTRL_C);
    host.shows("has left");
    host.press("anybody?\r");
    host.shows("this is sent when");
    host.press(CTRL_D);
    let (status, screen) = host.end();
    assert_eq!(status, 4);
    assert!(screen.contains("lines that nobody heard: 1"), "{screen}");
}

#[test]
fn the_last_of_many_lines_is_shown_before_the_end() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["chat", "--relay", &url]);
    let mut guest = Terminal::start(80, &["chat", &host.invitation()]);
    host.line(Err, "Secured");
    for n in 0..300 {
        host.type_line(&format!("line {n:03}"));
    }
    host.end_input();
    assert_eq!(guest.end().0, 0);
    let raw = guest.raw();
    assert!((0..300).all(|n| raw.contains(&format!("line {n:03}"))), "{raw}");
}

#[test]
fn a_relay_that_is_away_and_comes_back() {
    let (first, url) = relay();
    let (mut host, guest, _) = talking(&url, 80);
    drop(first);
    host.shows("Interrupted");
    host.press("said meanwhile\r");
    let _second = relay_at(url.strip_prefix("ws://").unwrap());
    host.shows("there again");
    guest.shows("said meanwhile");
}

#[test]
fn parts_of_an_invitation_typed_at_prompts() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["chat", "--relay", &url, "--words"]);
    let invitation = host.invitation();
    let (address, key) = invitation.split_once('#').unwrap();
    let (_, id) = address.rsplit_once('/').unwrap();
    let words: Vec<_> = key.split('-').collect();
    let mut guest = Terminal::start(80, &["receive"]);
    guest.shows("Invitation or ID:");
    guest.press("nonsense!\r");
    guest.shows("this is no invitation");
    guest.press(&format!("{id}\r"));
    guest.shows("Relay:");
    guest.press(&format!("{url}\r"));
    guest.shows("Key (Tab completes words):");
    // A word that is none, and then four letters of each, the last one completed.
    guest.press(&format!("{}xq {}\r", words[0], words[1..].join(" ")));
    guest.shows(&format!("is it {}?", words[0]));
    let short: Vec<_> = words.iter().map(|word| &word[..word.len().min(4)]).collect();
    guest.press(&short.join(" "));
    guest.press("\t\r");
    host.line(Err, "Secured");
}

#[test]
fn ctrl_c_at_a_prompt() {
    let mut guest = Terminal::start(80, &["receive"]);
    guest.shows("Invitation or ID:");
    guest.press(CTRL_C);
    let (status, screen) = guest.end();
    assert_eq!(status, 130);
    insta::assert_snapshot!("prompt_interrupted", screen);
}

#[test]
fn a_wrong_key_at_a_terminal() {
    let (_relay, url) = relay();
    let mut host = Terminal::start(80, &["chat", "--relay", &url, "--key", KEY]);
    host.shows("Ctrl-C ends it.");
    let invitation = host.word("phantom://");
    let mut guest = Terminal::start(80, &["chat", &invitation.replace(KEY, "grey-elephants")]);
    let (status, screen) = guest.end();
    assert_eq!(status, 5);
    insta::assert_snapshot!("wrong_key_guest", without(&screen, &[&id_of(&invitation)]));
    host.shows("Still waiting.");
    host.press(CTRL_C);
    assert_eq!(host.end().0, 130);
}

#[test]
fn nobody_there_and_no_relay_there() {
    let (relay, url) = relay();
    let invitation = format!("{}/AF83X1#ABCDE12345", url.replace("ws://", "phantom://"));
    let mut guest = Terminal::start(40, &["chat", &invitation]);
    let (status, screen) = guest.end();
    assert_eq!(status, 4);
    insta::assert_snapshot!("nobody_there", steady(&screen));
    drop(relay);
    let mut guest = Terminal::start(40, &["chat", &invitation]);
    let (status, screen) = guest.end();
    assert_eq!(status, 3);
    insta::assert_snapshot!("no_relay_there", steady(&screen));
}

#[test]
fn colours_on_a_terminal_and_never_with_no_color() {
    let (_relay, url) = relay();
    let mut coloured = Terminal::start(80, &["doctor", &url]);
    assert_eq!(coloured.end().0, 0);
    assert!(coloured.raw().contains("\x1b[32m✓"), "{:?}", coloured.raw());
    let mut plain = Terminal::start_with(80, &["doctor", &url], &[("NO_COLOR", "1")]);
    assert_eq!(plain.end().0, 0);
    assert!(!plain.raw().contains('\x1b'), "{:?}", plain.raw());
}

#[test]
fn the_clipboard_gets_the_invitation() {
    let (_relay, url) = relay();
    let host = Terminal::start(80, &["chat", "--relay", &url, "--copy", "--qr"]);
    host.shows("clipboard");
    assert!(host.raw().contains("\x1b]52;c;cGhhbnRvbTov"), "{:?}", host.raw());
    assert!(host.raw().contains('█'));
    let narrow = Terminal::start(30, &["chat", "--relay", &url, "--qr"]);
    narrow.shows("the terminal has 30");
}

#[test]
fn a_chat_in_russian() {
    let (_relay, url) = relay();
    let russian = [("LC_ALL", "ru_RU.UTF-8")];
    let mut host = Terminal::start_with(80, &["chat", "--relay", &url, "--key", KEY], &russian);
    host.shows("Ctrl-C — закончить.");
    let invitation = host.word("phantom://");
    host.press(CTRL_C);
    let (status, screen) = host.end();
    assert_eq!(status, 130);
    insta::assert_snapshot!("waiting_in_russian", without(&screen, &[&id_of(&invitation)]));
}
