//! One file from one program to another through a relay: ours, and those that do the same.
//!
//! The time counts from the start of the second of the two until both have ended. Nothing is tied to a processor.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::load::Figures;
use crate::peer::{IROH, PHANTOM, Peer, Places, Running, start};
use crate::system::{self, Cores};

/// How long the first of the two has to be ready, if it does not say so.
const GAP: Duration = Duration::from_secs(1);
const MAILBOX: u16 = 7310;
const TRANSIT: u16 = 7311;

/// Passes a file of so many MiB.
pub(crate) fn file(tool: &'static str, places: &Places, mib: usize) -> io::Result<Figures> {
    let given = source(&places.scratch, mib)?;
    let folder = places.scratch.join("taken");
    fs::create_dir_all(&folder)?;
    let taken = folder.join("file");
    let _not_there = fs::remove_file(&taken);
    system::run_on(Cores::All)?;
    let [seconds, cpu] = match tool {
        PHANTOM => phantom(places, &given, &taken),
        IROH => iroh(places, &given, &taken),
        _ => wormhole(places, &given, &folder, &taken),
    }?;
    if !same(&given, &taken)? {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{tool}: another file came out")));
    }
    let gib = mib as f64 / 1024.0;
    Ok(vec![("seconds", seconds), ("mb_s", gib * 1073.74 / seconds), ("cpu_s_gib", cpu / gib)])
}

/// Processor time of a relay and of the two programs.
struct Cost {
    relay: u32,
    before: Duration,
}

impl Cost {
    fn new(relay: &Running) -> Self {
        Self { relay: relay.id(), before: system::busy(relay.id()) + system::busy_of_ended_children() }
    }

    /// Waits for both; the seconds since then, and those of all processors.
    fn wait(&self, since: Instant, children: [&mut Child; 2]) -> io::Result<[f64; 2]> {
        for child in children {
            let status = child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!("a program ended with {status}")));
            }
        }
        let cpu = system::busy(self.relay) + system::busy_of_ended_children() - self.before;
        Ok([since.elapsed().as_secs_f64(), cpu.as_secs_f64()])
    }
}

fn phantom(places: &Places, given: &Path, taken: &Path) -> io::Result<[f64; 2]> {
    let mut peer = Peer::new(PHANTOM, places)?;
    let relay = peer.start(Cores::All, places)?;
    let cost = Cost::new(&relay);
    let program = places.ours.join("phantom");
    let url = format!("ws://127.0.0.1:{}", peer.port);
    let mut sender = quiet(Command::new(&program).arg("send").arg(given).args(["--relay", &url]), places)?
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)?;
    let mut invitation = String::new();
    let mut said = BufReader::new(sender.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
    said.read_line(&mut invitation)?;
    let begun = Instant::now();
    let receive = &mut Command::new(&program);
    receive.args(["receive", invitation.trim(), "--force", "--output"]).arg(taken);
    let mut receiver = quiet(receive, places)?.spawn().map(Running)?;
    io::copy(&mut said, &mut io::sink())?;
    cost.wait(begun, [&mut sender.0, &mut receiver.0])
}

fn iroh(places: &Places, given: &Path, taken: &Path) -> io::Result<[f64; 2]> {
    let mut peer = Peer::new(IROH, places)?;
    let relay = peer.start(Cores::All, places)?;
    let cost = Cost::new(&relay);
    let url = format!("http://127.0.0.1:{}", peer.port);
    let key = "07".repeat(32);
    let program = places.own.join("iroh-file");
    let run = |act: &str, file: &Path| {
        quiet(Command::new(&program).args([act, &url, &key]).arg(file), places)?.spawn().map(Running)
    };
    let mut receiver = run("receive", taken)?;
    thread::sleep(GAP);
    let begun = Instant::now();
    let mut sender = run("send", given)?;
    cost.wait(begun, [&mut sender.0, &mut receiver.0])
}

fn wormhole(places: &Places, given: &Path, folder: &Path, taken: &Path) -> io::Result<[f64; 2]> {
    let twist = places.tools.join("python/bin/twist");
    let store = places.scratch.join("mailbox.sqlite");
    let _not_there = fs::remove_file(&store);
    let mut serve = Command::new(&twist);
    serve.args(["--log-level=error", "transitrelay", &format!("--port=tcp:{TRANSIT}:interface=127.0.0.1")]);
    let transit = start(&mut serve, TRANSIT, Cores::All, places)?;
    let mut serve = Command::new(&twist);
    serve.args(["--log-level=error", "wormhole-mailbox"]);
    serve.arg(format!("--port=tcp:{MAILBOX}:interface=127.0.0.1"));
    serve.arg(format!("--channel-db={}", store.display()));
    let _mailbox = start(&mut serve, MAILBOX, Cores::All, places)?;
    let cost = Cost::new(&transit);
    let program = places.tools.join("bin/wormhole-rs");
    let code = "7-alpha-bravo-charlie";
    let way = [
        "--rendezvous-server",
        &format!("ws://127.0.0.1:{MAILBOX}/v1"),
        "--relay-server",
        &format!("tcp://127.0.0.1:{TRANSIT}"),
        "--force-relay",
        "--no-color",
    ]
    .map(str::to_owned);
    let mut send = Command::new(&program);
    send.args(["send", "--no-qr"]).args(&way).args(["--code", code]).arg(given);
    let mut sender = quiet(&mut send, places)?.spawn().map(Running)?;
    thread::sleep(GAP);
    let begun = Instant::now();
    let mut receive = Command::new(&program);
    receive.arg("receive").args(&way).args(["--noconfirm", code]).current_dir(folder);
    let mut receiver = quiet(&mut receive, places)?.spawn().map(Running)?;
    debug_assert_eq!(given.file_name(), taken.file_name(), "it names what it takes itself");
    cost.wait(begun, [&mut sender.0, &mut receiver.0])
}

/// What it says goes to the log.
fn quiet<'a>(command: &'a mut Command, places: &Places) -> io::Result<&'a mut Command> {
    let log = File::options().create(true).append(true).open(places.scratch.join("relays.log"))?;
    Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
}

/// A file of so many MiB that cannot be compressed.
fn source(scratch: &Path, mib: usize) -> io::Result<PathBuf> {
    let folder = scratch.join("given");
    fs::create_dir_all(&folder)?;
    let path = folder.join("file");
    if fs::metadata(&path).is_ok_and(|file| file.len() == (mib as u64) << 20) {
        return Ok(path);
    }
    let mut file = File::create(&path)?;
    let mut random = blake3::Hasher::new().finalize_xof();
    let mut chunk = vec![0; 1 << 20];
    for _ in 0..mib {
        random.fill(&mut chunk);
        file.write_all(&chunk)?;
    }
    Ok(path)
}

fn same(given: &Path, taken: &Path) -> io::Result<bool> {
    let [given, taken] = [given, taken].map(|path| {
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; 1 << 20];
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut chunk)? {
                0 => return io::Result::Ok(hasher.finalize()),
                read => hasher.update(&chunk[..read]),
            };
        }
    });
    Ok(given? == taken?)
}
