use std::fs;

use super::*;

/// A sink for a file `x` of this size, in a folder of its own.
fn sink(size: u64, force: bool) -> (tempfile::TempDir, Sink) {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::new(Some(folder.path()), force).unwrap();
    let sink = target.open("../somewhere/x", size).map_err(|(_, fault)| fault).unwrap();
    assert_eq!(sink.path(), folder.path().join("x"));
    (folder, sink)
}

fn chunk(data: &'static [u8]) -> Bytes {
    phantom_core::packet::encode(&Chunk { data: Bytes::from_static(data) }).unwrap()
}

fn hash(data: &[u8]) -> Hash {
    *blake3::hash(data).as_bytes()
}

fn is_empty(folder: &tempfile::TempDir) -> bool {
    fs::read_dir(folder.path()).unwrap().next().is_none()
}

async fn refused(sink: Sink, sent: Hash) -> Reason {
    sink.finish(sent).await.expect_err("it must be refused").0
}

#[tokio::test]
async fn the_name_comes_last() {
    let (folder, sink) = sink(4, false);
    assert!(sink.write(chunk(b"ab")).await && sink.write(chunk(b"cd")).await);
    assert!(!folder.path().join("x").exists());
    let path = sink.finish(hash(b"abcd")).await.map_err(|(_, fault)| fault).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"abcd");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_not_what_was_sent_is_removed() {
    let (folder, sink) = sink(2, false);
    assert!(sink.write(chunk(b"ab")).await);
    assert_eq!(refused(sink, hash(b"ac")).await, Reason::Damaged);
    assert!(is_empty(&folder));
}

#[tokio::test]
async fn more_or_less_than_was_offered_is_refused() {
    for chunks in [&[b"abc" as &[u8]][..], &[b"a"], &[b"ab", b""], &[b"ab", b"c"], &[]] {
        let (folder, sink) = sink(2, false);
        for data in chunks {
            let _taken_or_not = sink.write(chunk(data)).await;
        }
        assert_eq!(refused(sink, hash(&chunks.concat())).await, Reason::Protocol, "{chunks:?}");
        assert!(is_empty(&folder));
    }
}

#[tokio::test]
async fn a_file_that_appears_meanwhile_is_left_alone() {
    let (folder, sink) = sink(2, false);
    assert!(sink.write(chunk(b"ab")).await);
    fs::write(folder.path().join("x"), "mine").unwrap();
    assert_eq!(refused(sink, hash(b"ab")).await, Reason::Exists);
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn one_that_is_given_up_is_removed() {
    let (folder, sink) = sink(2, true);
    assert!(sink.write(chunk(b"a")).await);
    drop(sink);
    assert!(is_empty(&folder));
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("x")).unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("y")).unwrap();
    let target = |force| Target::new(Some(folder.path()), force).unwrap();
    assert!(matches!(target(true).open("x", 0), Err((Reason::Exists, _))));
    assert!(matches!(target(false).open("y", 0), Err((Reason::Exists, _))));
}
