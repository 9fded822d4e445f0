//! How far a transfer is: a bar on a terminal, nothing elsewhere.

use std::fmt::Display;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::ui;

/// Below this many columns there is no room for the bar and the sizes.
const WIDE: usize = 64;

/// The progress of one file.
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
    size: u64,
}

impl Progress {
    /// Begins now.
    pub(crate) fn new(size: u64) -> Self {
        let template = match ui::width() {
            Some(width) if width < WIDE => "{percent:>3}% {wide_bar} {rate} {left}",
            _ => "{percent:>3}% {wide_bar} {decimal_bytes} of {decimal_total_bytes}, {rate}, {left} left",
        };
        let style = ProgressStyle::with_template(template)
            .expect("the template is valid")
            .progress_chars("━╸─")
            .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _cannot_fail = write!(out, "{:.0} MB/s", state.per_sec() / 1e6);
            })
            .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _cannot_fail = match state.eta().as_secs() {
                    seconds if seconds < 3600 => write!(out, "{}:{:02}", seconds / 60, seconds % 60),
                    seconds => write!(out, "{} h", seconds / 3600),
                };
            });
        let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr()).with_style(style);
        Self { bar, began: Instant::now(), size }
    }

    /// Begins now, and shows nothing.
    pub(crate) fn hidden(size: u64) -> Self {
        Self { bar: ProgressBar::hidden(), began: Instant::now(), size }
    }

    /// So many bytes more are done.
    pub(crate) fn advance(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }

    /// Says how things stand, above the bar.
    pub(crate) fn note(&self, line: impl Display) {
        self.bar.suspend(|| ui::note(line));
    }

    /// Removes the bar, and says what was done: `5.24 MB in 0.81 s, 6.5 MB/s`.
    pub(crate) fn finish(&self) -> String {
        self.bar.finish_and_clear();
        ui::figures(self.size, self.began.elapsed())
    }
}

/// A transfer that failed leaves no half-drawn bar behind.
impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
