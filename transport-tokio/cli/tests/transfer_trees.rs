//! Folders, many files, odd names, streams and texts: what arrives is what was sent.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Ended, Phantom, bytes, command, relay};

/// What is at each path below a folder.
#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Folder,
    File { content: Vec<u8>, executable: bool },
    Link(PathBuf),
}

fn tree(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut things = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for child in fs::read_dir(folder).unwrap() {
            let path = child.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let thing = if metadata.is_dir() {
                waiting.push(path.clone());
                Thing::Folder
            } else if metadata.is_symlink() {
                Thing::Link(path.read_link().unwrap())
            } else {
                Thing::File { content: fs::read(&path).unwrap(), executable: is_executable(&metadata) }
            };
            things.insert(path.strip_prefix(root).unwrap().to_owned(), thing);
        }
    }
    things
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

/// Sends from one folder and receives into another, with these arguments.
fn pass<A: AsRef<OsStr>>(from: &Path, what: &[A], to: &Path, arguments: &[&str]) -> (Ended, Ended) {
    let (_relay, url) = relay();
    let mut send = command([OsStr::new("send")]);
    send.arg("--relay").arg(&url).arg("--").args(what).current_dir(from);
    let mut sender = Phantom::spawn(send);
    let invitation = sender.invitation();
    let all = ["receive", &invitation].iter().chain(arguments).copied().collect::<Vec<_>>();
    let receiver = Phantom::start_in(to, all).end();
    (sender.end(), receiver)
}

#[track_caller]
fn passes<A: AsRef<OsStr>>(from: &Path, what: &[A]) -> (Ended, Ended) {
    let to = tempfile::tempdir().unwrap();
    let (sender, receiver) = pass(from, what, to.path(), &[]);
    sender.succeeded();
    receiver.succeeded();
    assert!(tree(from) == tree(to.path()), "{:?}\n{:?}", tree(from).keys(), tree(to.path()).keys());
    (sender, receiver)
}

#[test]
fn a_tree_with_all_that_may_be_in_it() {
    let from = tempfile::tempdir().unwrap();
    let root = from.path();
    for folder in ["top/empty", "top/a/b/c", "top/.hidden", "second"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let long = "n".repeat(255);
    for name in [
        "two words",
        "Приветик!!!",
        "👨‍👩‍👧 family.jpg",
        "-rf",
        "--",
        ".gitignore",
        "a..b",
        "'\"$x`",
        "e\u{301}",
        &long,
    ] {
        fs::write(root.join("top/a").join(name), name).unwrap();
    }
    fs::write(root.join("top/a/b/c/nothing"), "").unwrap();
    fs::write(root.join("top/.hidden/big"), bytes(300_000)).unwrap();
    fs::write(root.join("-file"), "dash").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        for (name, mode) in [("run", 0o755), ("secret", 0o600), ("readonly", 0o444)] {
            fs::write(root.join("second").join(name), name).unwrap();
            fs::set_permissions(root.join("second").join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        symlink("a/b", root.join("top/link")).unwrap();
        symlink("../../.hidden/big", root.join("top/a/b/up")).unwrap();
        symlink("no/where", root.join("top/dangling")).unwrap();
    }
    let (sender, receiver) = passes(root, &["top", "second", "-file"]);
    assert!(sender.stdout.contains("Delivered: 1"), "{}", sender.stdout);
    assert!(receiver.stdout.contains("Received top and 2 more: 1"), "{}", receiver.stdout);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;

    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("d")).unwrap();
    let odd = OsStr::from_bytes(b"caf\xe9 \xff");
    fs::write(from.path().join("d").join(odd), "x").unwrap();
    fs::write(from.path().join(odd), "y").unwrap();
    passes(from.path(), &[OsStr::new("d"), odd]);
}

#[test]
fn an_empty_folder() {
    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("empty")).unwrap();
    let (sender, _) = passes(from.path(), &["empty"]);
    assert!(sender.stdout.contains("Delivered: 0 files"), "{}", sender.stdout);
}

#[test]
fn ten_thousand_small_files() {
    let from = tempfile::tempdir().unwrap();
    let top = from.path().join("many");
    for folder in 0..100 {
        let folder = top.join(format!("{folder:02}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..100 {
            fs::write(folder.join(format!("{file:02}")), bytes(file)).unwrap();
        }
    }
    let (sender, _) = passes(from.path(), &["many"]);
    assert!(sender.stdout.contains("Delivered: 10000 files"), "{}", sender.stdout);
}

#[cfg(unix)]
#[test]
fn a_link_that_leaves_is_followed_to_a_file_and_else_left_out() {
    use std::os::unix::fs::symlink;

    let (from, to, outside) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("x"), "outside").unwrap();
    fs::create_dir(from.path().join("d")).unwrap();
    symlink(outside.path().join("x"), from.path().join("d/file")).unwrap();
    symlink(outside.path(), from.path().join("d/folder")).unwrap();
    let (sender, receiver) = pass(from.path(), &["d"], to.path(), &[]);
    receiver.succeeded();
    sender.succeeded();
    assert!(sender.stderr.contains("d/folder is left out"), "{}", sender.stderr);
    let file = Thing::File { content: b"outside".to_vec(), executable: false };
    assert_eq!(tree(&to.path().join("d")), BTreeMap::from([("file".into(), file)]));
}

#[test]
fn a_folder_that_exists_is_joined_only_if_asked_for() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, content) in [("a/same", "new"), ("a/b/c", "c"), ("a/z/y", "y")] {
        fs::create_dir_all(from.path().join(name).parent().unwrap()).unwrap();
        fs::write(from.path().join(name), content).unwrap();
    }
    fs::create_dir_all(to.path().join("a/b")).unwrap();
    fs::write(to.path().join("a/same"), "old").unwrap();
    fs::write(to.path().join("a/b/mine"), "mine").unwrap();
    let before = tree(to.path());
    let (sender, receiver) = pass(from.path(), &["a"], to.path(), &[]);
    receiver.failed(6, "a exists already; use --overwrite");
    sender.failed(4, "already has a file of this name");
    assert_eq!(tree(to.path()), before);
    let (_, receiver) = pass(from.path(), &["a"], to.path(), &["--overwrite"]);
    receiver.succeeded();
    let read = |name: &str| fs::read_to_string(to.path().join(name)).unwrap();
    assert_eq!([read("a/same"), read("a/b/c"), read("a/b/mine"), read("a/z/y")], ["new", "c", "mine", "y"]);
    // A folder where a file comes is never replaced.
    fs::remove_file(to.path().join("a/same")).unwrap();
    fs::create_dir(to.path().join("a/same")).unwrap();
    let (_, receiver) = pass(from.path(), &["a"], to.path(), &["--overwrite"]);
    receiver.failed(6, "a/same is there already and is no file");
}

#[test]
fn another_name_on_either_side() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(from.path().join("d")).unwrap();
    fs::write(from.path().join("d/x"), "x").unwrap();
    let (_, receiver) = pass(from.path(), &["d"], to.path(), &["-o", "e"]);
    receiver.succeeded();
    assert_eq!(fs::read(to.path().join("e/x")).unwrap(), b"x");
    let (_, receiver) = pass(from.path(), &["d/x", "d"], to.path(), &["-o", "f"]);
    receiver.failed(6, "several things come");
    fs::create_dir(to.path().join("sub")).unwrap();
    let (_, receiver) = pass(from.path(), &["d/x"], to.path(), &["--into", "sub"]);
    receiver.succeeded();
    assert_eq!(fs::read(to.path().join("sub/x")).unwrap(), b"x");
}

/// Starts a sender with these arguments and this standard input, and a receiver with those.
fn stream(send: &[&str], input: Option<&[u8]>, folder: &Path, receive: &[&str]) -> (Ended, Ended, Vec<u8>) {
    use std::process::Stdio;

    let (_relay, url) = relay();
    let mut sending = command(["send", "--relay", &url]);
    sending.args(send);
    let mut sender = Phantom::spawn(sending);
    if let Some(input) = input {
        sender.type_bytes(input);
    }
    sender.end_input();
    let invitation = sender.invitation();
    let mut receiving = command(["receive", &invitation]);
    receiving.args(receive).current_dir(folder).stdin(Stdio::null());
    let output = receiving.output().unwrap();
    let ended = Ended {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    (sender.end(), ended, output.stdout)
}

#[test]
fn standard_input_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    // As much as a pipe takes before anybody reads.
    let content = bytes(60_000);
    let (sender, receiver, out) = stream(&["-"], Some(&content), folder.path(), &["--stdout"]);
    sender.succeeded();
    receiver.succeeded();
    assert!(out == content, "{} bytes came", out.len());
    assert_eq!(tree(folder.path()), BTreeMap::new());
    let (_, receiver, _) = stream(&["-", "--name", "dump.sql"], Some(b"create table"), folder.path(), &[]);
    receiver.succeeded();
    assert_eq!(fs::read(folder.path().join("dump.sql")).unwrap(), b"create table");
    let (_, receiver, out) = stream(&["-"], None, folder.path(), &["--stdout"]);
    receiver.succeeded();
    assert_eq!(out, b"");
}

#[test]
fn a_text() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, receiver, out) = stream(&["--text", "до встречи\n в 8"], None, folder.path(), &[]);
    sender.succeeded();
    receiver.succeeded();
    assert_eq!(String::from_utf8(out).unwrap(), "до встречи\n в 8");
    assert_eq!(tree(folder.path()), BTreeMap::new());
}

#[test]
fn what_cannot_be_sent_so() {
    let run = |arguments: &[&str]| common::run(arguments.iter().copied());
    run(&["send", "-", "Cargo.toml"]).failed(2, "standard input is sent alone");
    run(&["send", "src", "tests", "--name", "x"]).failed(2, "--name is for one");
    run(&["send", "src", "--name", "../x"]).failed(2, "--name is a file name");
    run(&["send", "src/main.rs", "./src/main.rs"]).failed(2, "two of these have the name main.rs");
    run(&["send", "--text", ""]).failed(2, "a text has");
    #[cfg(unix)]
    run(&["send", "/dev/null"]).failed(6, "is neither a file nor a folder");
}

#[test]
fn several_files_are_not_for_standard_output() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("a"), "a").unwrap();
    fs::write(from.path().join("b"), "b").unwrap();
    let (_, receiver) = pass(from.path(), &["a", "b"], to.path(), &["--stdout"]);
    receiver.failed(6, "standard output takes one");
    assert_eq!(receiver.stdout, "");
}
