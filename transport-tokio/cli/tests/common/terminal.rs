//! A program in a terminal: what a person types, and the screen that the person sees.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::{DEADLINE, UNSET};

/// Lines of a terminal.
const ROWS: u16 = 40;

/// A terminal with a running `phantom` in it. Dropped, it is killed.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    _master: Box<dyn MasterPty + Send>,
}

struct Screen {
    parser: vt100::Parser,
    /// Everything that was written, as it was.
    raw: Vec<u8>,
    over: bool,
}

impl Terminal {
    /// Starts it in a terminal of this many columns.
    pub(crate) fn start(columns: u16, arguments: &[&str]) -> Self {
        Self::start_with(columns, arguments, &[])
    }

    /// Starts it in this folder.
    pub(crate) fn start_in(folder: &Path, columns: u16, arguments: &[&str]) -> Self {
        Self::begin(Some(folder), columns, arguments, &[])
    }

    pub(crate) fn start_with(columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::begin(None, columns, arguments, environment)
    }

    fn begin(folder: Option<&Path>, columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: ROWS, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_phantom"));
        command.args(arguments);
        if let Some(folder) = folder {
            command.cwd(folder);
        }
        for name in UNSET {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C.UTF-8");
        command.env("XDG_CONFIG_HOME", "/nonexistent");
        command.env("TERM", "xterm-256color");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().expect("a reader");
        let keyboard = pair.master.take_writer().expect("a writer");
        let parser = vt100::Parser::new(ROWS, columns, 0);
        let screen = Arc::new((Mutex::new(Screen { parser, raw: Vec::new(), over: false }), Condvar::new()));
        let shared = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = output.read(&mut buffer).unwrap_or(0);
                let mut screen = shared.0.lock().expect("no reader panics");
                screen.parser.process(&buffer[..count]);
                screen.raw.extend_from_slice(&buffer[..count]);
                screen.over = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    break;
                }
            }
        });
        Self { child, keyboard, screen, _master: pair.master }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("it is there");
    }

    /// Waits until the screen shows this, and returns what it shows.
    pub(crate) fn shows(&self, part: &str) -> String {
        self.wait(part, |screen| screen.parser.screen().contents().contains(part));
        self.contents()
    }

    /// Waits until the screen is so.
    pub(crate) fn until(&self, what: &str, is: impl Fn(&str) -> bool) {
        self.wait(what, |screen| is(&screen.parser.screen().contents()));
    }

    /// The screen as it is now.
    pub(crate) fn screen(&self) -> vt100::Screen {
        self.screen.0.lock().expect("no reader panics").parser.screen().clone()
    }

    /// What the screen shows, without spaces at the ends of lines.
    pub(crate) fn contents(&self) -> String {
        let contents = self.screen.0.lock().expect("no reader panics").parser.screen().contents();
        contents.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// The first word on the screen that begins so.
    pub(crate) fn word(&self, beginning: &str) -> String {
        // A long word goes on in the next line.
        let contents = self.screen.0.lock().expect("no reader panics").parser.screen().contents();
        let found = contents.split_whitespace().find(|word| word.starts_with(beginning));
        found.unwrap_or_else(|| panic!("no {beginning} in {contents}")).to_owned()
    }

    /// Everything that was written to the terminal.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.screen.0.lock().expect("no reader panics").raw).into_owned()
    }

    /// Waits for its end, and returns its status and what the screen shows.
    pub(crate) fn end(&mut self) -> (u32, String) {
        self.wait("the end", |screen| screen.over);
        (self.child.wait().expect("it can be waited for").exit_code(), self.contents())
    }

    fn wait(&self, what: &str, until: impl Fn(&Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut screen = self.screen.0.lock().expect("no reader panics");
        while !until(&screen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !screen.over, "never {what:?}: {}", screen.parser.screen().contents());
            screen = self.screen.1.wait_timeout(screen, left).expect("no reader panics").0;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
