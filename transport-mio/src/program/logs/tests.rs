use std::fs;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};

use log::{Level, Log, Record};

use super::*;

fn settings(file: Option<PathBuf>) -> LogSettings {
    LogSettings { file, ..LogSettings::default() }
}

/// A record from a place with this number.
fn say(logger: &Logger, place: u32, message: &str) {
    logger.log(
        &Record::builder()
            .level(Level::Warn)
            .target("phantom_mio::here")
            .file_static(Some("here.rs"))
            .line(Some(place))
            .args(format_args!("{message}"))
            .build(),
    );
}

/// What it said, without times and levels.
fn messages(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once("WARN  ").unwrap().1).collect()
}

#[test]
fn a_file_is_appended_to_and_opened_again_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    fs::write(&path, "2026-11-22T10:11:12.345Z WARN  was here\n").unwrap();
    let (logger, guard) = Logger::start(&settings(None), Sink::open(Some(path.clone())).unwrap()).unwrap();
    say(&logger, 1, "first");
    logger.flush();
    fs::rename(&path, &old).unwrap();
    say(&logger, 1, "second");
    logger.flush();
    guard.reopen();
    say(&logger, 1, "third");
    drop(guard);
    assert_eq!(messages(&fs::read_to_string(&old).unwrap()), ["was here", "first", "second"]);
    assert_eq!(messages(&fs::read_to_string(&path).unwrap()), ["third"]);
}

#[test]
fn a_file_that_cannot_be_opened_again_is_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let (inner, moved) = (folder.path().join("logs"), folder.path().join("moved"));
    fs::create_dir(&inner).unwrap();
    let path = inner.join("log");
    let (logger, guard) = Logger::start(&settings(None), Sink::open(Some(path)).unwrap()).unwrap();
    fs::rename(&inner, &moved).unwrap();
    guard.reopen();
    say(&logger, 1, "goes on");
    drop(guard);
    let text = fs::read_to_string(moved.join("log")).unwrap();
    assert!(
        text.contains("goes on") && text.contains("log_file: ") && text.contains("cannot be written"),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder");
    let error = Sink::open(Some(path.clone())).err().unwrap().to_string();
    assert!(error.starts_with("log_file: ") && error.contains(path.to_str().unwrap()), "{error}");
}

/// Takes each write only when it is told to, and says so.
struct Gate {
    open: Receiver<io::Result<()>>,
    written: Sender<String>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.recv().unwrap_or(Ok(()))?;
        let _unheard = self.written.send(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gate() -> (Logger, LogGuard, Sender<io::Result<()>>, Receiver<String>) {
    let ((opener, open), (written, lines)) = (channel(), channel());
    let (logger, guard) = Logger::start(&settings(None), Sink::to(Gate { open, written })).unwrap();
    (logger, guard, opener, lines)
}

#[test]
fn whoever_logs_is_not_held_up_by_what_takes_nothing() {
    const MORE: usize = 500;
    let (logger, guard, opener, lines) = gate();
    say(&logger, 0, "first");
    // Until it is being written, so that the queue is empty again.
    while !logger.queue.lock().writing {
        thread::yield_now();
    }
    let begin = Instant::now();
    for place in 0..QUEUE_LINES + MORE {
        say(&logger, 1 + u32::try_from(place).unwrap(), "more");
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(opener);
    drop(guard);
    let lines: Vec<_> = lines.try_iter().collect();
    assert_eq!(lines.len(), 1 + QUEUE_LINES + 1);
    let last = lines.last().unwrap();
    assert!(last.contains("500 lines were not written"), "{last}");
}

#[test]
fn the_end_does_not_wait_for_what_takes_nothing() {
    let (logger, guard, _opener, _lines) = gate();
    say(&logger, 0, "first");
    let begin = Instant::now();
    drop(guard);
    let took = begin.elapsed();
    assert!(took >= LAST_LINES_TIME && took < LAST_LINES_TIME * 10, "{took:?}");
}

#[test]
fn lines_that_could_not_be_written_are_counted() {
    let (logger, guard, opener, lines) = gate();
    for _ in 0..3 {
        opener.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    }
    drop(opener);
    (0..4).for_each(|place| say(&logger, place, "hello"));
    drop(guard);
    let lines: String = lines.iter().collect();
    assert_eq!(messages(&lines), ["hello", "3 lines could not be written here"]);
}

#[test]
fn one_place_does_not_drown_the_others() {
    let (logger, guard, opener, lines) = gate();
    drop(opener);
    (0..1000).for_each(|_| say(&logger, 1, "again"));
    say(&logger, 2, "once");
    drop(guard);
    let lines: Vec<_> = lines.iter().collect();
    assert_eq!(lines.len() as u64, SITE_LINES + 1);
    assert!(lines.last().unwrap().contains("once"));
}

#[test]
fn only_this_project_is_heard() {
    let (logger, guard, opener, lines) = gate();
    drop(opener);
    for target in ["tungstenite::protocol", "rustls::server", "phantom_mio", "phantom_relay::program"] {
        logger
            .log(&Record::builder().level(Level::Warn).target(target).args(format_args!("{target}")).build());
    }
    drop(guard);
    let text: String = lines.iter().collect();
    assert_eq!(messages(&text), ["phantom_mio", "phantom_relay::program"]);
}
