//! How far a transfer is: a bar on a terminal, objects for a script that wants them, nothing elsewhere.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use console::{measure_text_width, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::editor::{self, Restore};
use crate::event::Event;
use crate::language;
use crate::transfer::message::Sentence;
use crate::transfer::name::shown;
use crate::ui;

/// Below this many columns there is no room for the bar and the sizes.
const WIDE: usize = 64;
/// How often a script is told.
const TELL_PAUSE: Duration = Duration::from_millis(500);

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
    kept: Cell<u64>,
    /// When a script was told last; nothing, if none is to be.
    told: Cell<Option<Instant>>,
    /// As long as there is a bar.
    _hushed: Option<Restore>,
}

impl Progress {
    /// Begins now.
    pub(crate) fn new(task: Task) -> Self {
        let target =
            if ui::is_talkative() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(task.size, target);
        let mut progress = Self::with(bar.with_style(style(task)), task);
        progress._hushed = if progress.bar.is_hidden() { None } else { editor::hush() };
        progress.told.set(ui::is_json().then_some(progress.began));
        progress
    }

    /// Begins now, and shows nothing.
    pub(crate) fn hidden(task: Task) -> Self {
        Self::with(ProgressBar::hidden(), task)
    }

    fn with(bar: ProgressBar, task: Task) -> Self {
        Self { bar, began: Instant::now(), task, kept: 0.into(), told: None.into(), _hushed: None }
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
        if self.told.get().is_some_and(|told| told.elapsed() >= TELL_PAUSE) {
            self.told.set(Some(Instant::now()));
            ui::event(&Event::Progress { bytes: self.bar.position(), size: self.task.size });
        }
    }

    /// So many bytes have come in all, without those that were there.
    pub(crate) fn count(&self, moved: u64) {
        self.bar.set_position(self.kept.get() + moved);
    }

    /// All bytes are through; now it is a disk that takes time.
    pub(crate) fn settle(&self, whose: Sentence<'_>) {
        self.below(&whose.to_string());
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
    pub(crate) files: usize,
    /// Bytes.
    pub(crate) moved: u64,
    /// Bytes that were there already.
    pub(crate) kept: u64,
    pub(crate) taken: Duration,
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files != 1 {
            write!(f, "{}, ", language::files(self.files))?;
        }
        f.write_str(&ui::figures(self.moved, self.taken))?;
        if self.kept > 0 {
            write!(f, "; {}", Sentence::Kept { size: &ui::size(self.kept) })?;
        }
        Ok(())
    }
}

/// The bar, and a line below it for what is being done.
fn style(task: Task) -> ProgressStyle {
    let template =
        if task.size.is_some() { "{bar_and_figures}\n{msg}" } else { "{spinner} {figures}\n{msg}" };
    ProgressStyle::with_template(template)
        .expect("the template is valid")
        .with_key("bar_and_figures", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _cannot_fail = out.write_str(&line(state, ui::width().unwrap_or(WIDE)));
        })
        .with_key("figures", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _cannot_fail = write!(out, "{}, {}", ui::size(state.pos()), rate(state));
        })
}

/// A bar in so many columns, of which the last one stays free.
fn line(state: &ProgressState, columns: usize) -> String {
    let (done, total) = (ui::size(state.pos()), ui::size(state.len().unwrap_or(0)));
    let (rate, left) = (rate(state), left(state));
    let text = if columns < WIDE {
        format!("{rate} {left}")
    } else {
        Sentence::Moving { done: &done, total: &total, rate: &rate, left: &left }.into()
    };
    let fraction = state.fraction().clamp(0.0, 1.0);
    let percent = format!("{:>3.0}%", (f64::from(fraction) * 100.0).floor());
    let taken = measure_text_width(&percent) + measure_text_width(&text) + 3;
    let room = columns.saturating_sub(taken);
    let full = (room as f32 * fraction) as usize;
    let (full, rest) = ("━".repeat(full), "─".repeat((room - full).saturating_sub(1)));
    let tip = if room > 0 && fraction < 1.0 { "╸" } else { "" };
    format!("{percent} {full}{tip}{rest} {text}")
}

fn rate(state: &ProgressState) -> String {
    ui::rate(state.per_sec(), 0)
}

fn left(state: &ProgressState) -> String {
    match state.eta().as_secs() {
        seconds if seconds < 3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        seconds => Sentence::Hours { hours: seconds / 3600 }.into(),
    }
}
