//! `phantom send` and `phantom receive` through `phantom relay`: three processes, as three people would start them.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::path::Path;

use common::{Ended, Phantom, Stream, bytes, command, relay};

/// Sends `content` as `name` and receives it in `folder` with further arguments. Returns how both ended.
fn pass(content: &[u8], name: &str, folder: &Path, arguments: &[&str]) -> (Ended, Ended) {
    let (_relay, url) = relay();
    let from = tempfile::tempdir().unwrap();
    let path = from.path().join(name);
    fs::write(&path, content).unwrap();
    let mut sender = Phantom::start(["send".as_ref(), path.as_os_str(), "--relay".as_ref(), url.as_ref()]);
    let invitation = sender.invitation();
    let all = ["receive", &invitation].iter().chain(arguments).copied().collect::<Vec<_>>();
    let receiver = Phantom::start_in(folder, all).end();
    (sender.end(), receiver)
}

/// Everything in a folder, by name.
fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Nothing is there but perhaps what is unfinished.
#[track_caller]
fn nothing_has_a_name(folder: &Path) {
    let names = listing(folder);
    assert!(names.iter().all(|name| name.starts_with(".phantom-") && name.ends_with(".part")), "{names:?}");
}

fn passes_whole(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(count);
    let (sender, receiver) = pass(&content, "some file.bin", folder.path(), &[]);
    sender.succeeded();
    receiver.succeeded();
    assert!(fs::read(folder.path().join("some file.bin")).unwrap() == content, "the content is the same");
    assert_eq!(listing(folder.path()), ["some file.bin"]);
    let sum = format!("BLAKE3 {}", blake3::hash(&content).to_hex());
    assert!(sender.stdout.contains(&sum) && receiver.stdout.contains(&sum));
    assert!(sender.stderr.contains("asks to connect"), "{}", sender.stderr);
    // Not a terminal: no bar, and no word that would need one.
    assert!(!sender.stderr.contains('\r') && !receiver.stderr.contains('\u{1b}'));
}

#[test]
fn an_empty_file() {
    passes_whole(0);
}

#[test]
fn one_byte() {
    passes_whole(1);
}

#[test]
fn five_mebibytes() {
    passes_whole(5 << 20);
}

#[test]
fn an_existing_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "mine").unwrap();
    let (sender, receiver) = pass(b"theirs", "x", folder.path(), &[]);
    receiver.failed(6, "exists already; use --overwrite");
    sender.failed(4, "already has a file of this name");
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"mine");
    assert_eq!(listing(folder.path()), ["x"]);
}

#[test]
fn an_existing_file_is_overwritten_if_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "mine").unwrap();
    let (sender, receiver) = pass(b"theirs", "x", folder.path(), &["--overwrite"]);
    receiver.succeeded();
    sender.succeeded();
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"theirs");
    assert_eq!(listing(folder.path()), ["x"]);
}

#[test]
fn a_name_and_a_folder_of_the_receivers_choice() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let (_, receiver) = pass(b"1", "x", folder.path(), &["--output", "sub"]);
    receiver.succeeded();
    let (_, receiver) = pass(b"2", "x", folder.path(), &["-o", "sub/named"]);
    receiver.succeeded();
    assert_eq!(fs::read(folder.path().join("sub/x")).unwrap(), b"1");
    assert_eq!(fs::read(folder.path().join("sub/named")).unwrap(), b"2");
}

#[test]
fn a_named_file_that_exists_is_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "mine").unwrap();
    let unreachable = "phantom://127.0.0.1:1/AF83X1#ABCDE12345";
    let receive =
        |output: &str| Phantom::start_in(folder.path(), ["receive", unreachable, "-o", output]).end();
    receive("x").failed(6, "x exists already");
    receive("no/such").failed(6, "there is no folder no");
    receive("no/").failed(6, "there is no folder no/");
}

#[cfg(unix)]
#[test]
fn a_hidden_name_is_kept_visible() {
    let folder = tempfile::tempdir().unwrap();
    let (_, receiver) = pass(b"x", ".profile", folder.path(), &[]);
    receiver.succeeded();
    assert_eq!(listing(folder.path()), ["_profile"]);
}

#[test]
fn the_invitation_from_standard_input() {
    let (_relay, url) = relay();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, "x").unwrap();
    let mut sender = Phantom::start(["send".as_ref(), path.as_os_str(), "--relay".as_ref(), url.as_ref()]);
    let invitation = sender.invitation();
    let mut receiver = Phantom::start_in(folder.path(), ["receive", "-", "-o", "y"]);
    receiver.type_line(&invitation);
    receiver.end().succeeded();
    sender.end().succeeded();
    assert_eq!(fs::read(folder.path().join("y")).unwrap(), b"x");
}

#[test]
fn a_wrong_key_gets_nothing_and_the_right_one_still_does() {
    let (_relay, url) = relay();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, "secret").unwrap();
    let mut send = command(["send".as_ref(), path.as_os_str()]);
    send.env("PHANTOM_RELAY", &url).env("PHANTOM_KEY", "ABCDE12345");
    let mut sender = Phantom::spawn(send);
    let invitation = sender.invitation();
    let wrong = invitation.replace("ABCDE12345", "ABCDE12346");
    assert_ne!(wrong, invitation);
    Phantom::start_in(folder.path(), ["receive", &wrong, "-o", "y"]).end().failed(5, "the keys differ");
    assert_eq!(listing(folder.path()), ["x"]);
    sender.line(Stream::Err, "another key");
    Phantom::start_in(folder.path(), ["receive", &invitation, "-o", "y"]).end().succeeded();
    sender.end().succeeded();
    assert_eq!(fs::read(folder.path().join("y")).unwrap(), b"secret");
}

/// A file so long that no machine passes it within the test; on disk it takes no room.
#[cfg(unix)]
fn endless(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("endless");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    path
}

#[cfg(unix)]
fn under_way(from: &Path, folder: &Path) -> (Phantom, Phantom, Phantom) {
    let (relay, url) = relay();
    let path = endless(from);
    let mut sender = Phantom::start(["send".as_ref(), path.as_os_str(), "--relay".as_ref(), url.as_ref()]);
    let invitation = sender.invitation();
    let mut receiver = Phantom::start_in(folder, ["receive", &invitation]);
    receiver.line(Stream::Err, "Receiving endless");
    nothing_has_a_name(folder);
    (relay, sender, receiver)
}

#[cfg(unix)]
#[test]
fn the_sender_is_interrupted() {
    let (from, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_relay, sender, receiver) = under_way(from.path(), folder.path());
    sender.interrupt();
    sender.end().failed(130, "stopped");
    receiver.end().failed(4, "the other side stopped");
    nothing_has_a_name(folder.path());
}

#[cfg(unix)]
#[test]
fn the_receiver_is_interrupted() {
    let (from, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_relay, sender, receiver) = under_way(from.path(), folder.path());
    receiver.interrupt();
    receiver.end().failed(130, "stopped");
    sender.end().failed(4, "the other side stopped");
    nothing_has_a_name(folder.path());
}

#[cfg(unix)]
#[test]
fn the_file_becomes_shorter() {
    let (from, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_relay, sender, receiver) = under_way(from.path(), folder.path());
    fs::File::create(from.path().join("endless")).unwrap();
    sender.end().failed(6, "became shorter");
    receiver.end().failed(4, "could not read its file");
    nothing_has_a_name(folder.path());
}

/// A folder in which nobody may make anything, whoever that is.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_is_read_only() {
    let (sender, receiver) = pass(b"x", "x", Path::new("/"), &["--into", "/sys"]);
    receiver.failed(6, "nothing can be made in /sys: you may not write there");
    sender.failed(4, "the other side could not write");
}

/// A small file system of its own, where the system lets one be mounted.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_really_full() {
    let (_relay, url) = relay();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mount = r#"mount -t tmpfs -o size=4m none "$1" && exec "$0" receive "$2" --into "$1""#;
    let unshare = |arguments: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]).args(arguments);
        command
    };
    let probe = unshare(&["mount", "-t", "tmpfs", "none", to.path().to_str().unwrap()]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("nothing can be mounted here");
        return;
    }
    let path = from.path().join("x");
    fs::write(&path, bytes(16 << 20)).unwrap();
    let mut sender = Phantom::start(["send".as_ref(), path.as_os_str(), "--relay".as_ref(), url.as_ref()]);
    let invitation = sender.invitation();
    let to = to.path().to_str().unwrap();
    let receive = unshare(&["sh", "-c", mount, env!("CARGO_BIN_EXE_phantom"), to, &invitation]);
    Phantom::spawn(receive).end().failed(6, "the disk is full; make room");
    sender.end().failed(4, "the other side could not write");
}

/// A limit on the length of files stands for a full disk.
#[cfg(unix)]
#[test]
fn the_disk_is_full() {
    let (_relay, url) = relay();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = from.path().join("x");
    fs::write(&path, bytes(16 << 20)).unwrap();
    let mut sender = Phantom::start(["send".as_ref(), path.as_os_str(), "--relay".as_ref(), url.as_ref()]);
    let invitation = sender.invitation();
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        r#"trap "" XFSZ; ulimit -f 64; exec "$0" receive "$1""#,
        env!("CARGO_BIN_EXE_phantom"),
    ]);
    shell.arg(&invitation).current_dir(to.path());
    Phantom::spawn(shell).end().failed(6, "the file cannot be written");
    sender.end().failed(4, "the other side could not write");
    assert_eq!(listing(to.path()), [""; 0]);
}
