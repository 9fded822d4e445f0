//! Interrupted transfers: nothing half-written has a name, and the second time goes on where the first one was.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{DEADLINE, Ended, Phantom, bytes, command, relay};

/// Bytes of the file that is interrupted: the pipe that stands for the network takes its time over it.
const SIZE: usize = 24 << 20;

/// Where the unfinished things are.
fn staging(folder: &Path) -> Option<PathBuf> {
    let mut parts = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    parts.find(|path| path.to_string_lossy().ends_with(".part"))
}

/// Waits until more than so many bytes of the file have arrived.
fn wait_for(folder: &Path, name: &str, more_than: u64) {
    let until = Instant::now() + DEADLINE;
    loop {
        let part = staging(folder).and_then(|part| part.join("tree").join(name).metadata().ok());
        if part.is_some_and(|part| part.len() > more_than) {
            return;
        }
        assert!(Instant::now() < until, "it never arrives");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

struct Stage {
    from: tempfile::TempDir,
    to: tempfile::TempDir,
    _relay: Phantom,
    url: String,
}

impl Stage {
    fn new(content: &[u8]) -> Self {
        let (relay, url) = relay();
        let stage =
            Self { from: tempfile::tempdir().unwrap(), to: tempfile::tempdir().unwrap(), _relay: relay, url };
        fs::create_dir(stage.from.path().join("d")).unwrap();
        fs::write(stage.from.path().join("d/first"), bytes(2 << 20)).unwrap();
        fs::write(stage.from.path().join("d/then"), content).unwrap();
        stage
    }

    fn start(&self) -> (Phantom, Phantom) {
        let mut send = command(["send", "d", "--relay", &self.url]);
        send.current_dir(self.from.path());
        let mut sender = Phantom::spawn(send);
        let invitation = sender.invitation();
        (sender, Phantom::start_in(self.to.path(), ["receive", &invitation]))
    }

    /// Interrupts a transfer of an endless file by `how`, then makes the file a finite one and goes on.
    fn interrupted(how: impl FnOnce(Phantom, Phantom)) -> Self {
        let stage = Self::new(b"");
        // So long that it is not through before it is interrupted; on disk it takes no room.
        let path = stage.from.path().join("d/then");
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let (sender, receiver) = stage.start();
        wait_for(stage.to.path(), "d/then", 4 << 20);
        how(sender, receiver);
        assert!(!stage.to.path().join("d").exists(), "nothing unfinished has a name");
        let part = staging(stage.to.path()).unwrap().join("tree/d/then");
        let arrived = part.metadata().unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(arrived + SIZE as u64).unwrap();
        stage
    }

    fn go_on(&self) -> (Ended, Ended) {
        let (sender, receiver) = self.start();
        let (sender, receiver) = (sender.end(), receiver.end());
        sender.succeeded();
        receiver.succeeded();
        for name in ["d/first", "d/then"] {
            let [sent, got] =
                [&self.from, &self.to].map(|folder| fs::read(folder.path().join(name)).unwrap());
            assert!(sent == got, "{name} is the same");
        }
        assert_eq!(staging(self.to.path()), None);
        (sender, receiver)
    }

    /// The second time sends only what had not arrived.
    fn goes_on(&self) {
        let (sender, receiver) = self.go_on();
        let sent = format!("2 files, {:.2} MB in", SIZE as f64 / 1e6);
        for said in [&sender.stdout, &receiver.stdout] {
            assert!(said.contains(&sent) && said.contains("were there already"), "{sent} is not in {said}");
        }
    }
}

#[test]
fn the_receiver_is_killed() {
    let stage = Stage::interrupted(|sender, receiver| {
        receiver.kill();
        sender.kill();
    });
    stage.goes_on();
}

#[test]
fn the_sender_is_killed() {
    let stage = Stage::interrupted(|sender, receiver| {
        sender.kill();
        receiver.interrupt();
        let receiver = receiver.end();
        receiver.failed(130, "stopped");
        assert!(receiver.stderr.contains("What has arrived is kept in .phantom-"), "{}", receiver.stderr);
    });
    stage.goes_on();
}

#[test]
fn both_stop_by_ctrl_c() {
    let stage = Stage::interrupted(|sender, receiver| {
        sender.interrupt();
        sender.end().failed(130, "stopped");
        receiver.end().failed(4, "the other side stopped");
    });
    stage.goes_on();
}

#[test]
fn what_is_not_the_same_any_more_is_sent_anew() {
    let stage = Stage::interrupted(|sender, receiver| {
        receiver.kill();
        sender.kill();
    });
    fs::write(stage.from.path().join("d/then"), bytes(6 << 20)).unwrap();
    // And what is not of it any more does not come along.
    let tree = staging(stage.to.path()).unwrap().join("tree/d");
    fs::write(tree.join("left over"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", tree.join("sub")).unwrap();
    let (sender, receiver) = stage.go_on();
    assert!(sender.stderr.contains("then is not the same any more; it is sent anew"), "{}", sender.stderr);
    assert!(receiver.stderr.contains("d/then is not the same any more"), "{}", receiver.stderr);
    assert!(sender.stdout.contains("2 files, 6.29 MB in"), "{}", sender.stdout);
    assert_eq!(fs::read_dir(stage.to.path().join("d")).unwrap().count(), 2);
}

/// Bytes that were changed on the disk meanwhile are found out by their hash.
#[test]
fn a_part_that_is_damaged_is_sent_anew() {
    let stage = Stage::interrupted(|sender, receiver| {
        receiver.kill();
        sender.kill();
    });
    let first = staging(stage.to.path()).unwrap().join("tree/d/first");
    let mut content = fs::read(&first).unwrap();
    content[1_000_000] ^= 1;
    fs::write(&first, content).unwrap();
    let (sender, _) = stage.go_on();
    assert!(sender.stderr.contains("first is not the same any more"), "{}", sender.stderr);
}

#[test]
fn a_file_that_is_written_meanwhile() {
    let stage = Stage::new(b"");
    let path = stage.from.path().join("d/then");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(256 << 20).unwrap();
    let (sender, receiver) = stage.start();
    wait_for(stage.to.path(), "d/then", 1 << 20);
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    sender.end().failed(6, "changed while it was sent");
    receiver.end().failed(4, "could not read its file");
    assert!(!stage.to.path().join("d").exists());
}

#[test]
fn two_receive_the_same_name_at_once() {
    let stage = Stage::interrupted(|sender, receiver| {
        receiver.kill();
        sender.kill();
    });
    // Somebody holds the folder of the first attempt: the second one makes its own.
    let lock = fs::File::open(staging(stage.to.path()).unwrap().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (sender, receiver) = stage.start();
    receiver.end().succeeded();
    let sender = sender.end();
    sender.succeeded();
    assert!(!sender.stdout.contains("there already"), "{}", sender.stdout);
    assert!(staging(stage.to.path()).is_some());
}

#[test]
fn a_folder_that_may_not_be_written() {
    use std::os::unix::fs::PermissionsExt;

    let stage = Stage::new(b"x");
    fs::set_permissions(stage.to.path(), PermissionsExt::from_mode(0o555)).unwrap();
    if fs::write(stage.to.path().join("probe"), "").is_ok() {
        // Whoever may do everything is refused nothing.
        return;
    }
    let (sender, receiver) = stage.start();
    receiver.end().failed(6, "you may not write there");
    sender.end().failed(4, "the other side could not write");
}
