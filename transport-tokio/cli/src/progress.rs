//! How far a transfer is: a bar on a terminal, nothing elsewhere.

use std::fmt::{self, Display};
use std::time::Instant;

use console::truncate_str;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::transfer::name::shown;
use crate::ui;

/// Below this many columns there is no room for the bar and the sizes.
const WIDE: usize = 64;

/// What there is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Bytes of all files; nothing if nobody knows.
    pub(crate) size: Option<u64>,
    /// How many files.
    pub(crate) files: usize,
}

/// The progress of one transfer.
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
    task: Task,
    /// Bytes that need not be sent, for they are there already.
    kept: std::cell::Cell<u64>,
}

impl Progress {
    /// Begins now.
    pub(crate) fn new(task: Task) -> Self {
        let bar = ProgressBar::with_draw_target(task.size, ProgressDrawTarget::stderr());
        Self::with(bar.with_style(style(task)), task)
    }

    /// Begins now, and shows nothing.
    pub(crate) fn hidden(task: Task) -> Self {
        Self::with(ProgressBar::hidden(), task)
    }

    fn with(bar: ProgressBar, task: Task) -> Self {
        Self { bar, began: Instant::now(), task, kept: 0.into() }
    }

    /// So many bytes are there already.
    pub(crate) fn keep(&self, bytes: u64) {
        self.kept.set(bytes);
        self.bar.set_position(bytes);
        self.bar.reset_eta();
    }

    /// So many bytes more are done, the last of them of the file of this name.
    pub(crate) fn advance<T: AsRef<str>>(&self, bytes: usize, name: impl FnOnce() -> T) {
        if self.task.files > 1 && !self.bar.is_hidden() {
            self.below(&shown(name().as_ref()));
        }
        self.bar.inc(bytes as u64);
    }

    /// All bytes are through; now it is a disk that takes time.
    pub(crate) fn settle(&self, whose: &str) {
        self.below(whose);
        self.bar.tick();
    }

    /// Says something below the bar, in one line.
    fn below(&self, text: &str) {
        let room = ui::width().unwrap_or(WIDE).saturating_sub(1);
        self.bar.set_message(truncate_str(text, room, "…").into_owned());
    }

    /// Says how things stand, above the bar.
    pub(crate) fn note(&self, line: impl Display) {
        self.bar.suspend(|| ui::note(line));
    }

    /// Removes the bar, and says what was done.
    pub(crate) fn finish(&self) -> Figures {
        let (moved, kept) = (self.bar.position().saturating_sub(self.kept.get()), self.kept.get());
        self.bar.finish_and_clear();
        Figures { files: self.task.files, moved, kept, taken: self.began.elapsed() }
    }
}

/// A transfer that failed leaves no half-drawn bar behind.
impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What a transfer came to: `3 files, 5.24 MB in 0.81 s, 6.5 MB/s; 1.2 MB were there already`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    files: usize,
    moved: u64,
    kept: u64,
    taken: std::time::Duration,
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files != 1 {
            write!(f, "{}, ", files(self.files))?;
        }
        f.write_str(&ui::figures(self.moved, self.taken))?;
        if self.kept > 0 {
            write!(f, "; {} were there already", ui::size(self.kept))?;
        }
        Ok(())
    }
}

/// `1 file`, `3 files`.
pub(crate) fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// The bar, and a line below it for what is being done.
fn style(task: Task) -> ProgressStyle {
    let is_narrow = ui::width().is_some_and(|width| width < WIDE);
    let line = match (task.size, is_narrow) {
        (None, _) => "{spinner} {decimal_bytes}, {rate}",
        (Some(_), true) => "{percent:>3}% {wide_bar} {rate} {left}",
        (Some(_), false) => {
            "{percent:>3}% {wide_bar} {decimal_bytes} of {decimal_total_bytes}, {rate}, {left} left"
        }
    };
    ProgressStyle::with_template(&format!("{line}\n{{msg}}"))
        .expect("the template is valid")
        .progress_chars("━╸─")
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _cannot_fail = write!(out, "{:.0} MB/s", state.per_sec() / 1e6);
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _cannot_fail = match state.eta().as_secs() {
                seconds if seconds < 3600 => write!(out, "{}:{:02}", seconds / 60, seconds % 60),
                seconds => write!(out, "{} h", seconds / 3600),
            };
        })
}
