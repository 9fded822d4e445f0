//! A hostile sender, made from the packets themselves, against the real receiver, over a real relay.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use phantom_core::packet::Packet;
use phantom_mio::RelayServer;
use phantom_tokio::{Channel, Client, EncryptionKey};
use tempfile::TempDir;

use super::packets::{
    Anew, Begin, Chunk, Done, Entry, Hash, Have, Kind, List, Offer, Ready, Reason, Stop, Sums, VERSION, total,
};
use super::*;
use crate::fault::Fault;
use crate::progress::Progress;

/// What a sender says, packet by packet.
struct Script(Vec<Entry>);

/// What came of it.
struct End {
    folder: TempDir,
    result: Result<Vec<std::path::PathBuf>, Fault>,
    /// What the sender was told.
    told: Option<Reason>,
}

fn hash(data: &[u8]) -> Hash {
    *blake3::hash(data).as_bytes()
}

fn entry(parent: u32, name: &str, kind: Kind) -> Entry {
    Entry { parent, name: Bytes::copy_from_slice(name.as_bytes()), kind }
}

fn file(size: u64) -> Kind {
    Kind::File { size: Some(size), executable: false }
}

fn link(target: &str) -> Kind {
    Kind::Link { target: Bytes::copy_from_slice(target.as_bytes()) }
}

/// The relay and the two who meet there.
struct Meeting {
    clients: [Client; 2],
    _relay: phantom_mio::RunningRelay,
}

impl Meeting {
    /// A relay that ends waits for those who are there.
    async fn leave(self) {
        for client in self.clients {
            client.leave().await;
        }
    }
}

/// Two secured ends of a channel, and what keeps them alive.
async fn channels() -> (Channel, Channel, Meeting) {
    let relay = RelayServer::bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let join = async || {
        let key = EncryptionKey::parse("ABCDE12345").unwrap();
        Client::builder().relay(relay.url()).key(key).connect().await.unwrap()
    };
    let (host, guest) = (join().await, join().await);
    let accept = async { host.next_request().await.unwrap().accept().await.unwrap() };
    let (sender, receiver) = tokio::join!(accept, async { guest.ask(host.id()).await.unwrap() });
    sender.secured().await.unwrap();
    receiver.secured().await.unwrap();
    (sender, receiver, Meeting { clients: [host, guest], _relay: relay })
}

async fn say<P: Packet>(channel: &Channel, packet: P) {
    let _heard_or_not = channel.send(&packet).await;
}

impl Script {
    /// Offers these entries, and then says what `rest` says.
    async fn play(self, folder: TempDir, decision: Decision, rest: impl AsyncFnOnce(&Channel)) -> End {
        let (sender, receiver, meeting) = channels().await;
        let target = Target::into(folder.path()).unwrap();
        let sending = async {
            let told = self.say_all(&sender, rest).await;
            let _over_or_not = sender.close().await;
            told
        };
        let receiving = receive(receiver, &target, async |_: &Offered| Ok(decision), Progress::hidden);
        let (told, result) = tokio::join!(sending, receiving);
        meeting.leave().await;
        End {
            folder,
            result: result.map(|arrival| arrival.paths),
            told: told.map(|Stop { reason }: Stop| reason),
        }
    }

    /// Returns what it was told at the end.
    async fn say_all(self, channel: &Channel, rest: impl AsyncFnOnce(&Channel)) -> Option<Stop> {
        let entries = self.0.len() as u32;
        say(channel, Offer { version: VERSION, name: "x".into(), size: 0, entries, is_text: false }).await;
        say(channel, List { entries: self.0 }).await;
        loop {
            match channel.receive_bytes().await {
                Ok(Some(packet)) if phantom_core::packet::decode::<Ready>(&packet).is_ok() => break,
                Ok(Some(packet)) if phantom_core::packet::decode::<Have>(&packet).is_ok() => {}
                Ok(Some(packet)) => return phantom_core::packet::decode(&packet).ok(),
                _ => return None,
            }
        }
        rest(channel).await;
        channel.receive().await.ok().flatten()
    }
}

/// Sends this as the bytes of all files, these as their hashes.
async fn bytes(channel: &Channel, data: &[u8], hashes: &[Hash]) {
    say(channel, Begin).await;
    if !data.is_empty() {
        say(channel, Chunk { data: Bytes::copy_from_slice(data) }).await;
    }
    say(channel, Sums { hashes: hashes.to_vec() }).await;
    say(channel, Done { hash: total(hashes) }).await;
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn play(entries: Vec<Entry>, rest: impl AsyncFnOnce(&Channel)) -> End {
    Script(entries).play(tempfile::tempdir().unwrap(), Decision::Take, rest).await
}

impl End {
    /// It was refused for this reason, and nothing is left of it.
    #[track_caller]
    fn refused(&self, reason: Reason) {
        assert!(self.result.is_err(), "it must be refused");
        assert_eq!(self.told, Some(reason));
        assert_eq!(names(self.folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn an_honest_one_is_believed() {
    let entries = vec![entry(0, "d", Kind::Folder), entry(1, "a", file(2)), entry(1, "b", file(1))];
    let end = play(entries, async |channel| bytes(channel, b"abc", &[hash(b"ab"), hash(b"c")]).await).await;
    assert_eq!(end.result.map_err(|fault| fault.to_string()), Ok(vec![end.folder.path().join("d")]));
    assert_eq!(fs::read(end.folder.path().join("d/a")).unwrap(), b"ab");
    assert_eq!(fs::read(end.folder.path().join("d/b")).unwrap(), b"c");
}

#[tokio::test]
async fn names_that_leave_the_folder() {
    for name in ["../x", "..", "/tmp/x", "a/../../x", "", "."] {
        let entries = vec![entry(0, "d", Kind::Folder), entry(1, name, file(1))];
        play(entries, async |_| panic!("it must not come so far")).await.refused(Reason::Name);
        let entries = vec![entry(0, name, file(1))];
        play(entries, async |_| panic!("it must not come so far")).await.refused(Reason::Name);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_that_leave_the_folder_and_files_below_links() {
    for target in ["/etc", "../../x", "..", "a/../../.."] {
        let entries = vec![entry(0, "d", Kind::Folder), entry(1, "l", link(target))];
        play(entries, async |_| panic!("it must not come so far")).await.refused(Reason::Protocol);
    }
    let entries = vec![
        entry(0, "d", Kind::Folder),
        entry(1, "l", link("sub")),
        entry(2, "x", file(1)),
        entry(0, "e", file(0)),
    ];
    play(entries, async |_| panic!("it must not come so far")).await.refused(Reason::Protocol);
}

/// A link that was there before leads out of the folder: nothing goes through it, also if everything may be replaced.
#[cfg(unix)]
#[tokio::test]
async fn a_link_that_is_there_is_not_followed() {
    use std::os::unix::fs::symlink;

    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(outside.path(), folder.path().join("d")).unwrap();
    let entries = vec![entry(0, "d", Kind::Folder), entry(1, "x", file(1))];
    let end = Script(entries)
        .play(folder, Decision::Overwrite, async |channel| bytes(channel, b"a", &[hash(b"a")]).await)
        .await;
    assert!(end.result.is_err());
    assert_eq!(end.told, Some(Reason::Exists));
    assert_eq!(names(outside.path()), [""; 0]);

    // As a file, the link itself is replaced.
    let folder = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    symlink(outside.path().join("secret"), folder.path().join("x")).unwrap();
    let end = Script(vec![entry(0, "x", file(1))])
        .play(folder, Decision::Overwrite, async |channel| bytes(channel, b"a", &[hash(b"a")]).await)
        .await;
    assert!(end.result.is_ok());
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"s");
    assert_eq!(fs::read(end.folder.path().join("x")).unwrap(), b"a");
}

#[tokio::test]
async fn more_or_less_than_was_announced() {
    for data in [&b"abc"[..], b"a", b""] {
        let end =
            play(vec![entry(0, "x", file(2))], async |channel| bytes(channel, data, &[hash(data)]).await);
        end.await.refused(Reason::Protocol);
    }
    let end = play(vec![entry(0, "x", file(2))], async |channel| {
        say(channel, Begin).await;
        say(channel, Chunk { data: Bytes::new() }).await;
    });
    end.await.refused(Reason::Protocol);
    let two = || vec![entry(0, "x", file(1)), entry(0, "y", file(1))];
    let end = play(two(), async |channel| bytes(channel, b"ab", &[hash(b"a")]).await).await;
    end.refused(Reason::Protocol);
    let end = play(two(), async |channel| {
        bytes(channel, b"ab", &[hash(b"a"), hash(b"b"), hash(b"c")]).await;
    });
    end.await.refused(Reason::Protocol);
}

#[tokio::test]
async fn what_is_not_what_was_sent() {
    let entries = || vec![entry(0, "x", file(2))];
    let end = play(entries(), async |channel| bytes(channel, b"ab", &[hash(b"ac")]).await).await;
    end.refused(Reason::Damaged);
    let end = play(entries(), async |channel| {
        say(channel, Begin).await;
        say(channel, Chunk { data: Bytes::from_static(b"ab") }).await;
        say(channel, Sums { hashes: vec![hash(b"ab")] }).await;
        say(channel, Done { hash: [0; 32] }).await;
    });
    end.await.refused(Reason::Damaged);
    let end = play(entries(), async |channel| {
        say(channel, Begin).await;
        say(channel, Chunk { data: Bytes::from_static(b"ab") }).await;
        say(channel, Sums { hashes: vec![hash(b"ac")] }).await;
        say(channel, Done { hash: hash(b"ab") }).await;
    });
    end.await.refused(Reason::Damaged);
}

#[tokio::test]
async fn parts_that_the_receiver_never_had() {
    let end = play(vec![entry(0, "x", file(2))], async |channel| {
        say(channel, Anew { entries: vec![0] }).await;
    });
    end.await.refused(Reason::Protocol);
}

#[tokio::test]
async fn what_appears_meanwhile_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let end = Script(vec![entry(0, "x", file(2))])
        .play(folder, Decision::Take, async |channel| {
            fs::write(&path, "mine").unwrap();
            bytes(channel, b"ab", &[hash(b"ab")]).await;
        })
        .await;
    assert!(end.result.unwrap_err().to_string().contains("appeared"));
    assert_eq!(end.told, Some(Reason::Exists));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert_eq!(names(end.folder.path()), ["x"]);
}

#[tokio::test]
async fn more_entries_than_there_may_be() {
    let (sender, receiver, meeting) = channels().await;
    let folder = tempfile::tempdir().unwrap();
    let target = Target::into(folder.path()).unwrap();
    let offer = Offer { version: VERSION, name: "x".into(), size: 0, entries: u32::MAX, is_text: false };
    say(&sender, offer).await;
    let receiving = receive(receiver, &target, async |_: &Offered| Ok(Decision::Take), Progress::hidden);
    let told = async move { sender.receive::<Stop>().await };
    let (told, result) = tokio::join!(told, receiving);
    meeting.leave().await;
    assert_eq!(told.unwrap(), Some(Stop { reason: Reason::TooMuch }));
    assert!(result.is_err());
}
