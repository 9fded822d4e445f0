//! Sending and receiving as scripts see it, and in Russian.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::path::Path;

use common::{Ended, Phantom, bytes, command, relay};
use serde_json::{Value, json};

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The object of this kind, of which there is one.
#[track_caller]
fn object<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["event"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind} in {objects:?}"));
    assert!(found.next().is_none(), "one {kind} is enough: {objects:?}");
    first
}

/// Passes with these arguments, and returns how both ended.
fn pass(folder: &Path, send: &[&str], receive: &[&str], language: &str) -> (Ended, Ended) {
    let (_relay, url) = relay();
    let start = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.current_dir(folder).env("LC_ALL", language);
        Phantom::spawn(command)
    };
    let mut sender = start(&[&["send", "--relay", &url], send].concat());
    let line = sender.line(common::Stream::Out, "phantom://");
    let at = line.find("phantom://").unwrap();
    let invitation = line[at..].split('"').next().unwrap();
    let receiver = start(&[&["receive", invitation], receive].concat());
    let receiver = receiver.end();
    (sender.end(), receiver)
}

#[test]
fn objects_on_both_sides_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("to")).unwrap();
    let content = bytes(300_000);
    fs::write(folder.path().join("x"), &content).unwrap();
    let (sender, receiver) = pass(folder.path(), &["x", "--json"], &["--json", "--into", "to"], "C");
    assert_eq!((sender.status, receiver.status), (Some(0), Some(0)), "{}", receiver.stdout);
    assert_eq!((&*sender.stderr, &*receiver.stderr), ("", ""));
    let (sent, got) = (objects(&sender.stdout), objects(&receiver.stdout));
    let offer = json!({ "event": "offer", "name": "x", "files": 1, "size": 300_000, "replaces": null });
    assert_eq!((object(&sent, "offer"), object(&got, "offer")), (&offer, &offer));
    let hash = blake3::hash(&content).to_hex();
    for (objects, kind) in [(&sent, "sent"), (&got, "received")] {
        let done = object(objects, kind);
        assert_eq!([&done["files"], &done["bytes"], &done["kept"]], [1, 300_000, 0]);
        assert_eq!(done["blake3"], hash.as_str());
        assert!(done["seconds"].as_f64().is_some());
        assert_eq!(objects.last().unwrap()["event"], "end");
    }
    assert_eq!(object(&got, "received")["paths"], json!(["to/x"]));
}

#[test]
fn what_is_there_already_and_the_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "x").unwrap();
    let (sender, receiver) = pass(folder.path(), &["x"], &["--json"], "C");
    let got = objects(&receiver.stdout);
    assert_eq!(object(&got, "offer")["replaces"], "x");
    assert_eq!(object(&got, "error")["status"], 6);
    sender.failed(4, "already has a file of this name");
}

#[test]
fn a_text_and_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, receiver) = pass(folder.path(), &["--text", "see you", "--json"], &["--json"], "C");
    assert_eq!(object(&objects(&sender.stdout), "sent")["bytes"], 7);
    assert_eq!(object(&objects(&receiver.stdout), "received")["text"], "see you");
    // What is received goes to standard output, and the objects do not.
    fs::write(folder.path().join("x"), "data").unwrap();
    let (_, receiver) = pass(folder.path(), &["x"], &["--json", "--stdout"], "C");
    assert_eq!(receiver.stdout, "data\n");
    assert_eq!(object(&objects(&receiver.stderr), "received")["bytes"], 4);
}

#[test]
fn what_is_left_out_and_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("d");
    fs::create_dir_all(&top).unwrap();
    fs::create_dir(folder.path().join("to")).unwrap();
    // A whole second's work for any machine.
    fs::File::create(top.join("big")).unwrap().set_len(256 << 20).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/", top.join("out")).unwrap();
    let (sender, receiver) = pass(folder.path(), &["d", "--json"], &["--json", "--into", "to"], "C");
    let sent = objects(&sender.stdout);
    if cfg!(unix) {
        assert!(object(&sent, "left-out")["text"].as_str().unwrap().contains("d/out is left out"));
    }
    for objects in [sent, objects(&receiver.stdout)] {
        let far: Vec<_> = objects.iter().filter(|object| object["event"] == "progress").collect();
        assert!(!far.is_empty());
        assert!(far.windows(2).all(|pair| pair[0]["bytes"].as_u64() <= pair[1]["bytes"].as_u64()), "{far:?}");
        assert!(far.iter().all(|far| far["size"] == 256 << 20), "{far:?}");
    }
}

#[test]
fn quiet_leaves_the_results() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("to")).unwrap();
    fs::write(folder.path().join("x"), "x").unwrap();
    let (sender, receiver) = pass(folder.path(), &["x", "-q"], &["-q", "--into", "to"], "C");
    assert_eq!((&*sender.stderr, &*receiver.stderr), ("", ""));
    assert!(sender.stdout.lines().nth(1).unwrap().starts_with("Delivered: "), "{}", sender.stdout);
    assert!(receiver.stdout.starts_with("Received to/x: 1 byte in "), "{}", receiver.stdout);
}

#[test]
fn in_russian() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("d/to")).unwrap();
    for name in ["d/1", "d/2"] {
        fs::write(folder.path().join(name), bytes(1_500_000)).unwrap();
    }
    let russian = "ru_RU.UTF-8";
    let (sender, receiver) = pass(folder.path(), &["d"], &["--into", "d/to"], russian);
    assert!(sender.stderr.contains("Отправляем: d, 2 файла, 3.00 МБ."), "{}", sender.stderr);
    assert!(sender.stdout.contains("Доставлено: 2 файла, 3.00 МБ за "), "{}", sender.stdout);
    assert!(receiver.stderr.contains("Принимаем: d, 2 файла, 3.00 МБ."), "{}", receiver.stderr);
    assert!(receiver.stdout.contains("Принято d/to/d: 2 файла, 3.00 МБ за "), "{}", receiver.stdout);
    let (sender, receiver) = pass(folder.path(), &["d/1"], &["--into", "d"], russian);
    receiver.failed(6, "d/1 уже есть; чтобы заменить");
    sender.failed(4, "у другой стороны уже есть файл");
    let mut send = command(["send", "no-such-file"]);
    send.env("LC_ALL", russian);
    Phantom::spawn(send).end().failed(6, "файла no-such-file нет; проверьте имя");
}
