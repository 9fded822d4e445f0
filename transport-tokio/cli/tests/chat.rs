//! `phantom chat` between two processes, through pipes.

mod common;

use common::Stream::{Err, Out};
use common::{Phantom, relay, relay_at};

/// Two that talk: the one who invited, and the guest.
fn talking(url: &str) -> (Phantom, Phantom) {
    let mut host = Phantom::start(["chat", "--relay", url]);
    let invitation = host.invitation();
    let mut guest = Phantom::start(["chat", &invitation]);
    host.line(Err, "Secured");
    guest.line(Err, "Secured");
    (host, guest)
}

#[test]
fn lines_arrive_are_confirmed_and_the_end_of_input_ends_it() {
    let (_relay, url) = relay();
    let (mut host, mut guest) = talking(&url);
    host.type_line("Приветик!!!");
    guest.line(Out, "Приветик!!!");
    host.line(Err, "✓");
    guest.type_line("one");
    guest.type_line("two");
    host.line(Out, "one");
    host.line(Out, "two");
    guest.line(Err, "✓");
    guest.type_line("last words");
    guest.end_input();
    host.line(Out, "last words");
    host.line(Err, "left");
    guest.end().succeeded();
    host.end().succeeded();
}

#[test]
fn a_relay_that_restarts_interrupts_and_loses_nothing() {
    let (first, url) = relay();
    let (mut host, mut guest) = talking(&url);
    drop(first);
    host.line(Err, "Interrupted");
    guest.line(Err, "Interrupted");
    host.type_line("said meanwhile");
    let _second = relay_at(url.strip_prefix("ws://").expect("that is how it begins"));
    host.line(Err, "there again");
    guest.line(Out, "said meanwhile");
    host.line(Err, "✓");
    host.end_input();
    host.end().succeeded();
    guest.end().succeeded();
}

#[test]
fn what_is_typed_cannot_drive_the_other_terminal() {
    let (_relay, url) = relay();
    let (mut host, mut guest) = talking(&url);
    host.type_line("red \u{1b}[31malert");
    let line = guest.line(Out, "alert");
    assert!(!line.contains('\u{1b}'), "{line:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_tells_the_other_side() {
    let (_relay, url) = relay();
    let (host, mut guest) = talking(&url);
    host.interrupt();
    host.end().failed(130, "stopped");
    guest.line(Err, "left");
    guest.end().failed(4, "left");
}

#[test]
fn a_wrong_key_hears_nothing() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["chat", "--relay", &url, "--key", "ABCDE12345"]);
    let wrong = host.invitation().replace("ABCDE12345", "ABCDE12346");
    let mut guest = Phantom::start(["chat", &wrong]);
    guest.try_type_line("may I come in?");
    guest.end().failed(5, "the keys differ");
    host.line(Err, "another key");
}
