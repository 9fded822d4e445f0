//! Pictures of the program at work, made from what it really shows. With `PHANTOM_SCREENS` naming a folder, they are put there; see
//! `docs/screens.sh`. Without it, this only tests that they can be made.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::path::Path;

use common::relay;
use common::svg::{Pane, picture};
use common::terminal::Terminal;

const COLUMNS: u16 = 84;
const CTRL_C: &str = "\x03";

/// Draws what these terminals show, which were started so.
fn draw(name: &str, terminals: &[(&str, &Terminal)]) {
    let panes: Vec<_> =
        terminals.iter().map(|(command, terminal)| Pane { command, screen: terminal.screen() }).collect();
    let svg = picture(&panes);
    assert!(svg.len() > 1000 && svg.len() < 32 * 1024, "{name} has {} bytes", svg.len());
    if let Some(folder) = std::env::var_os("PHANTOM_SCREENS") {
        fs::write(Path::new(&folder).join(name), svg).unwrap();
    }
}

#[test]
fn a_file_on_its_way() {
    let (_relay, url) = relay();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // For a picture, it is made with an optimised program, which is soon through.
    let size = if std::env::var_os("PHANTOM_SCREENS").is_some() { 1 << 30 } else { 96 << 20 };
    fs::File::create(from.path().join("holiday.mp4")).unwrap().set_len(size).unwrap();
    let mut sender =
        Terminal::start_in(from.path(), COLUMNS, &["send", "holiday.mp4", "--words", "--relay", &url]);
    sender.shows("Waiting for the");
    let invitation = sender.word("phantom://");
    let mut receiver = Terminal::start_in(to.path(), COLUMNS, &["receive", &invitation]);
    receiver.shows("Take it?");
    receiver.press("\r");
    for side in [&sender, &receiver] {
        side.until("a third of it", |screen| percent(screen).is_some_and(|percent| percent >= 33));
    }
    let command = format!("phantom receive \"{invitation}\"");
    let send = format!("phantom send holiday.mp4 --words --relay {url}");
    draw("send.svg", &[(&send, &sender), (&command, &receiver)]);
    sender.press(CTRL_C);
    assert_eq!(sender.end().0, 130);
    assert_eq!(receiver.end().0, 4);
}

/// How far the bar is.
fn percent(screen: &str) -> Option<u32> {
    screen.lines().find_map(|line| line.split_once('%')?.0.trim().parse().ok())
}

#[test]
fn a_chat() {
    let (_relay, url) = relay();
    let mut host = Terminal::start(COLUMNS, &["chat", "--relay", &url]);
    host.shows("Waiting for the");
    let invitation = host.word("phantom://");
    let mut guest = Terminal::start(COLUMNS, &["chat", &invitation]);
    host.shows("\n> ");
    guest.shows("\n> ");
    host.press("Приветик!!!\r");
    guest.shows(": Приветик!!!");
    host.shows("✓ delivered");
    guest.press("hello - can the relay read this?\r");
    host.shows("read this?");
    host.press("no. it only sees how much and when\r");
    guest.shows("and when");
    guest.shows("✓ delivered");
    let (here, there) = (format!("phantom chat --relay {url}"), format!("phantom chat \"{invitation}\""));
    draw("chat.svg", &[(&here, &host), (&there, &guest)]);
    guest.press(CTRL_C);
    guest.end();
    host.press(CTRL_C);
    host.end();
}

#[test]
fn a_doctor() {
    let (relay, url) = relay();
    let mut well = Terminal::start(COLUMNS, &["doctor", &url]);
    assert_eq!(well.end().0, 0);
    drop(relay);
    let mut ill = Terminal::start(COLUMNS, &["doctor", &url]);
    assert_eq!(ill.end().0, 3);
    let command = format!("phantom doctor {url}");
    draw("doctor.svg", &[(&command, &well), (&command, &ill)]);
}
