//! A line that a person types at a terminal, with everything one expects of it: going back and forth in it, what was typed before,
//! several lines pasted at once.
//!
//! The terminal is in a state of its own meanwhile. Whatever ends the program, it gets its old state back.

use std::io::{self, IsTerminal, Write};
use std::thread;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::{mpsc, oneshot};

use crate::ui;
use crate::words;

/// Whether somebody sits at a terminal and sees what is said.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The terminal's state, given back when this is dropped.
pub(crate) struct Restore {
    #[cfg(unix)]
    state: Option<rustix::termios::Termios>,
}

impl Restore {
    #[cfg(unix)]
    fn later() -> Self {
        Self { state: rustix::termios::tcgetattr(io::stdin()).ok() }
    }

    #[cfg(not(unix))]
    fn later() -> Self {
        Self {}
    }
}

/// Lets the terminal no more show `^C` where a line is being drawn: it could not be removed then, for the cursor is at its end.
#[cfg(unix)]
pub(crate) fn hush() -> Option<Restore> {
    let restore = Some(Restore::later()).filter(|_| is_there() && is_ours())?;
    let mut state = restore.state.clone()?;
    state.local_modes.remove(rustix::termios::LocalModes::ECHOCTL);
    rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, &state).ok()?;
    Some(restore)
}

#[cfg(not(unix))]
pub(crate) fn hush() -> Option<Restore> {
    None
}

/// Whether this program has the terminal; one in the background would be stopped if it changed its state.
#[cfg(unix)]
fn is_ours() -> bool {
    rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(unix)]
impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(state) = self.state.as_ref().filter(|_| is_ours()) {
            let now = rustix::termios::OptionalActions::Now;
            let _gone_anyway = rustix::termios::tcsetattr(io::stdin(), now, state);
        }
    }
}

/// Completes the words of a key.
struct Words;

impl Helper for Words {}
impl Highlighter for Words {}
impl Validator for Words {}

impl Hinter for Words {
    type Hint = String;

    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<String> {
        let (_, typed) = last_word(line, at)?;
        let mut all = words::beginning(&typed);
        let word = all.next().filter(|_| all.next().is_none())?;
        Some(word[typed.len()..].to_owned()).filter(|rest| !rest.is_empty())
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(last_word(line, at).map_or((at, Vec::new()), |(start, typed)| {
            (start, words::beginning(&typed).map(str::to_owned).collect())
        }))
    }
}

/// Where the word before the cursor begins, and what there is of it; nothing, if that is less than two letters.
fn last_word(line: &str, at: usize) -> Option<(usize, String)> {
    let start = line[..at].rfind([' ', '-']).map_or(0, |gap| gap + 1);
    let typed = line[start..at].to_ascii_lowercase();
    (typed.len() >= 2 && at == line.len()).then_some((start, typed))
}

/// Asks for a line; nothing at the end of input. Ctrl-C is a signal, here as everywhere.
pub(crate) async fn ask(question: String, in_words: bool) -> Option<String> {
    let _restore = Restore::later();
    let (sender, line) = oneshot::channel();
    thread::spawn(move || {
        // On the terminal itself, for standard output may be somebody's data.
        let config = Config::builder().behavior(Behavior::PreferTerm).build();
        let typed =
            Editor::<Words, MemHistory>::with_history(config, MemHistory::new()).and_then(|mut editor| {
                editor.set_helper(in_words.then_some(Words));
                editor.readline(&question)
            });
        match typed {
            Err(ReadlineError::Interrupted) => interrupt(),
            typed => drop(sender.send(typed.ok())),
        }
    });
    match line.await {
        Ok(line) => line,
        // The signal is on its way.
        Err(_) => std::future::pending().await,
    }
}

/// Lines that are typed below everything that is said meanwhile.
pub(crate) struct Typed {
    lines: mpsc::UnboundedReceiver<String>,
    _restore: Restore,
}

impl Typed {
    /// Begins to read; nothing, if the terminal cannot do it.
    pub(crate) fn start(prompt: &'static str) -> Option<Self> {
        let restore = Restore::later();
        let history = MemHistory::new();
        // On standard output, from which the editor can be cut off in the end.
        let config = Config::builder().behavior(Behavior::Stdio).auto_add_history(true).build();
        let mut editor = Editor::<(), MemHistory>::with_history(config, history).ok()?;
        let mut printer = editor.create_external_printer().ok()?;
        ui::print_through(Some(Box::new(move |line| printer.print(line).is_ok())));
        // Not bounded, for a person types them, and whoever takes them may be waiting for this thread to print.
        let (sender, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            let end = loop {
                match editor.readline(prompt) {
                    Ok(line) => {
                        if sender.send(line).is_err() {
                            break None;
                        }
                    }
                    Err(end) => break Some(end),
                }
            };
            // In this order: whoever waits for a line to be printed by the editor holds what is taken next.
            drop(editor);
            drop(ui::print_through(None));
            if let Some(ReadlineError::Interrupted) = end {
                interrupt();
                // The signal ends the program; the end of input would say that all is well.
                std::mem::forget(sender);
            }
        });
        Some(Self { lines, _restore: restore })
    }

    /// The next line; several at once, if they were pasted. Nothing at the end of input. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.lines.recv().await
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let Some(mut print) = ui::print_through(None) else { return };
        // The editor takes one line while it prints another: when it has taken two that show nothing, it has printed all before.
        for _ in 0..2 {
            print("\x1b[A\n".to_owned());
        }
        // It still waits for a line and would show its prompt again. Now it cannot, and what comes goes to standard error.
        let _shown_once_more = ui::end_output();
        // Away with the prompt; the screen is shown at once again, and pastes are as they were.
        let _gone_anyway = io::stderr().write_all(b"\r\x1b[J\x1b[?2026l\x1b[?2004l");
    }
}

/// What Ctrl-C does if nobody reads it as a key.
#[cfg(unix)]
fn interrupt() {
    let this = rustix::process::getpid();
    let _cannot_fail = rustix::process::kill_process(this, rustix::process::Signal::INT);
}

#[cfg(not(unix))]
fn interrupt() {
    std::process::exit(130);
}
