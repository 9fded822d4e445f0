//! Where log lines go: to stderr or a file, through a bounded queue and a thread of its own.
//!
//! The rule: a log line never holds up whoever writes it. A full disk, a stuck pipe or a flood of lines costs lines, and how many is said
//! in the log as soon as it can be said.
//!
//! * Lines of this project only: what libraries below it have to say may show what nobody is to see.
//! * The field `address` of a record, a client's address, is left out unless [`LogSettings::addresses`] is set. IDs and keys are in no
//!   record above the level `debug`.
//! * One place in the code writes at most [`SITE_LINES`] lines in [`SITE_TIME`].

mod limiter;
mod line;
mod sink;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use limiter::{Limiter, Site};
pub(crate) use line::LogFormat;
use line::{Layout, Line};
use sink::Sink;

/// Lines of one place in the code, in each [`SITE_TIME`].
const SITE_LINES: u64 = 20;
/// See [`SITE_LINES`].
const SITE_TIME: Duration = Duration::from_secs(10);
/// Lines that wait to be written; more are lost.
const QUEUE_LINES: usize = 1024;
/// How long the end of the program waits for the last lines.
const LAST_LINES_TIME: Duration = Duration::from_secs(1);

/// What is logged, how, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LogSettings {
    /// The least important level that is written.
    pub(crate) level: log::LevelFilter,
    /// Text or JSON.
    pub(crate) format: LogFormat,
    /// The file that lines are appended to; stderr if there is none.
    pub(crate) file: Option<PathBuf>,
    /// Whether lines may show the addresses of clients.
    pub(crate) addresses: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: log::LevelFilter::Info, format: LogFormat::Text, file: None, addresses: false }
    }
}

/// Why nothing can be logged.
#[derive(Debug)]
pub(crate) enum LogError {
    /// The file cannot be opened for appending.
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread.
    Thread(io::Error),
    /// Something in this process logs already.
    Taken,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(
                f,
                "log_file: {} cannot be written ({source}); check that its folder exists and that this user may write there",
                path.display()
            ),
            Self::Thread(source) => write!(f, "the system gives no thread for the log: {source}"),
            Self::Taken => f.write_str("something in this process logs already"),
        }
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Thread(source) => Some(source),
            Self::Taken => None,
        }
    }
}

/// Sends every record of this process to where the settings say, until the guard is dropped.
///
/// # Errors
/// If the file cannot be opened, there is no thread, or this is the second call.
pub(crate) fn start(settings: &LogSettings) -> Result<LogGuard, LogError> {
    let sink = Sink::open(settings.file.clone())?;
    let (logger, guard) = Logger::start(settings, sink)?;
    log::set_boxed_logger(Box::new(logger)).map_err(|_| LogError::Taken)?;
    log::set_max_level(settings.level);
    Ok(guard)
}

/// Writes the last lines when it is dropped, for a second at most.
pub(crate) struct LogGuard(Arc<Queue>);

impl LogGuard {
    /// Opens the file again, under the same name: for programs that rename logs. Does not wait for it. If the file cannot be opened, the
    /// old one is written on, and says so.
    #[cfg_attr(not(test), allow(dead_code, reason = "called when SIGHUP comes"))]
    pub(crate) fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.changed.notify_all();
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
        self.0.wait_until_written(LAST_LINES_TIME);
    }
}

/// What is handed to the writing thread.
#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    lines: Vec<String>,
    limiter: Limiter,
    /// Lines that found no room.
    lost: u64,
    reopen: bool,
    closed: bool,
    /// Lines are being written.
    writing: bool,
}

impl Default for Waiting {
    fn default() -> Self {
        let limiter = Limiter::new(SITE_LINES, SITE_TIME);
        Self { lines: Vec::new(), limiter, lost: 0, reopen: false, closed: false, writing: false }
    }
}

impl Waiting {
    fn push(&mut self, line: String) {
        if self.lines.len() < QUEUE_LINES {
            self.lines.push(line);
        } else {
            self.lost += 1;
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_written(&self, patience: Duration) {
        let busy = |state: &mut Waiting| state.writing || !state.lines.is_empty();
        drop(self.changed.wait_timeout_while(self.lock(), patience, busy));
    }

    /// Writes what comes, until the guard is dropped and everything is written.
    fn write_to(&self, sink: &mut Sink, layout: Layout) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            for (site, missed) in state.limiter.overdue(now) {
                state.push(layout.line(&Line::missed(&site, missed, SystemTime::now())));
            }
            if state.lines.is_empty() && !state.reopen {
                if state.closed {
                    return;
                }
                let patience = state.limiter.next(now);
                state = match patience {
                    None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                    Some(patience) => {
                        self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
                continue;
            }
            let mut lines = std::mem::take(&mut state.lines);
            let (lost, reopen) = (std::mem::take(&mut state.lost), std::mem::take(&mut state.reopen));
            state.writing = true;
            drop(state);
            if reopen && let Err(problem) = sink.reopen() {
                lines.push(layout.line(&Line::warning(&problem.to_string(), SystemTime::now())));
            }
            if lost > 0 {
                let what =
                    format!("{lost} lines were not written, because they came faster than they could be");
                lines.push(layout.line(&Line::warning(&what, SystemTime::now())));
            }
            for line in &lines {
                if let Some(missing) = sink.write(line) {
                    let what = format!("{missing} lines could not be written here");
                    sink.write(&layout.line(&Line::warning(&what, SystemTime::now())));
                }
            }
            state = self.lock();
            state.writing = false;
            self.changed.notify_all();
        }
    }
}

/// Takes records from all threads.
struct Logger {
    queue: Arc<Queue>,
    layout: Layout,
}

impl Logger {
    fn start(settings: &LogSettings, mut sink: Sink) -> Result<(Self, LogGuard), LogError> {
        let layout = Layout::new(settings.format, settings.addresses, sink.surroundings());
        let queue = Arc::new(Queue::default());
        let writers = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writers.write_to(&mut sink, layout))
            .map_err(LogError::Thread)?;
        Ok((Self { queue: Arc::clone(&queue), layout }, LogGuard(queue)))
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("phantom_")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (now, site) = (Instant::now(), Site::of(record));
        let Some(missed) = self.queue.lock().limiter.admit(&site, now) else { return };
        let time = SystemTime::now();
        let line = self.layout.line(&Line::of(record, time));
        let mut state = self.queue.lock();
        if missed > 0 {
            state.push(self.layout.line(&Line::missed(&site, missed, time)));
        }
        state.push(line);
        drop(state);
        self.queue.changed.notify_all();
    }

    fn flush(&self) {
        self.queue.wait_until_written(LAST_LINES_TIME);
    }
}

#[cfg(test)]
mod tests;
