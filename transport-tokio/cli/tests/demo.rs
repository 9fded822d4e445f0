//! `phantom demo`: the whole way, in one process.

mod common;

use common::run;

const GREETING: &str = "Приветик!!!";

#[test]
fn both_sides_get_the_greeting_and_a_file_passes() {
    let ended = run(["demo"]);
    ended.succeeded();
    let received = ended.stdout.lines().filter(|line| line.contains(GREETING)).count();
    assert_eq!(received, 2, "{}", ended.stdout);
    let secured = ended.stdout.lines().filter(|line| line.contains("secured")).count();
    assert_eq!(secured, 2, "{}", ended.stdout);
    assert!(ended.stdout.contains("asks") && ended.stdout.contains("accepts"), "{}", ended.stdout);
    assert!(ended.stdout.contains("MB/s"), "{}", ended.stdout);
    sums_are_equal(&ended.stdout);
}

#[test]
fn a_file_of_the_user_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.txt");
    std::fs::write(&path, "hello").unwrap();
    let ended = run([std::ffi::OsStr::new("demo"), path.as_os_str()]);
    ended.succeeded();
    assert!(ended.stdout.contains("hello.txt"), "{}", ended.stdout);
    assert_eq!(sums_are_equal(&ended.stdout), blake3::hash(b"hello").to_hex().as_str());
}

#[test]
fn with_another_key_nothing_is_handed_over() {
    let ended = run(["demo", "--wrong-key"]);
    ended.failed(5, "the keys differ");
    let differ = ended.stdout.lines().filter(|line| line.contains("the keys differ")).count();
    assert_eq!(differ, 2, "{}", ended.stdout);
    assert!(!ended.stdout.contains("secured") && !ended.stdout.contains(GREETING), "{}", ended.stdout);
}

#[test]
fn a_file_that_is_not_there() {
    run(["demo", "/nowhere/at/all"]).failed(6, "there is no file /nowhere/at/all");
}

/// The one sum that both sides print.
fn sums_are_equal(stdout: &str) -> &str {
    let mut sums = stdout.lines().filter_map(|line| line.split("BLAKE3 ").nth(1));
    let (sent, received) =
        (sums.next().expect("the sum of what was sent"), sums.next().expect("of what came"));
    assert_eq!(sent, received);
    assert_eq!(sent.len(), 64);
    sent
}

#[test]
fn in_russian() {
    let mut demo = common::command(["demo", "Cargo.toml"]);
    demo.env("LC_ALL", "ru_RU.UTF-8");
    let ended = common::Phantom::spawn(demo).end();
    ended.succeeded();
    assert!(ended.stdout.contains(&format!("Аня   получает: {GREETING}")), "{}", ended.stdout);
    assert!(ended.stdout.contains("Боб   принимает: "), "{}", ended.stdout);
}
