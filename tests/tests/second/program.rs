//! The Python programs of `tests/second`, led by lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use phantom_tests::program::{Programs, Running, free_address};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// How long anything here may take before it counts as hung.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Set to anything, it leaves out what needs Python.
const LEFT_OUT: &str = "PHANTOM_WITHOUT_PYTHON";

/// Whether the user wants to do without. A machine without Python is no reason to pass.
pub(crate) fn is_left_out() -> bool {
    let left_out = std::env::var_os(LEFT_OUT).is_some();
    if left_out {
        eprintln!("left out, because {LEFT_OUT} is set: nothing of the second implementation was tried");
    }
    left_out
}

/// The interpreter, made once in all, with the packages of `tests/requirements.txt`.
pub(crate) fn python(arguments: &[&str]) -> Command {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let interpreter = INTERPRETER.get_or_init(|| {
        let script = tests.join("environment.py");
        let made = Command::new("python3").arg(script).arg(env!("CARGO_TARGET_TMPDIR")).output();
        let hint = format!("set {LEFT_OUT}=1 to leave the second implementation out");
        let made = made.unwrap_or_else(|error| panic!("there is no python3 ({error}); {hint}"));
        assert!(made.status.success(), "{}; {hint}", String::from_utf8_lossy(&made.stderr).trim());
        PathBuf::from(String::from_utf8_lossy(&made.stdout).trim())
    });
    let mut command = Command::new(interpreter);
    command.current_dir(tests).env("PYTHONDONTWRITEBYTECODE", "1").args(arguments);
    command
}

/// A relay of its own, the real program, and its URL.
pub(crate) fn relay(arguments: &[String]) -> (Running, SocketAddr) {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| Programs::build_relay().expect("the relay builds"));
    let at = free_address().expect("a free port");
    (programs.relay(at, arguments, false).expect("a relay"), at)
}

/// A program, what it is told and what it tells.
pub(crate) struct Program {
    _process: Running,
    commands: ChildStdin,
    events: UnboundedReceiver<Value>,
}

impl Program {
    /// Starts a module with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = python(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running(command.spawn().expect("the interpreter is there"));
        let commands = process.0.stdin.take().expect("a pipe");
        let lines = BufReader::new(process.0.stdout.take().expect("a pipe")).lines();
        let (tell, events) = unbounded_channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("a line of JSON");
                if tell.send(event).is_err() {
                    break;
                }
            }
        });
        Self { _process: process, commands, events }
    }

    /// A command.
    pub(crate) fn tell(&mut self, what: &str, fields: &Value) {
        let mut command = json!({ "do": what });
        let fields = fields.as_object().expect("fields").clone();
        command.as_object_mut().expect("an object").extend(fields);
        writeln!(self.commands, "{command}").expect("the program still reads");
    }

    /// The next event, whatever it is.
    pub(crate) async fn event(&mut self) -> Value {
        let event = timeout(LONG, self.events.recv()).await.expect("it says something in time");
        event.expect("the program still runs")
    }

    /// The next event of this name; what comes before it is passed over.
    pub(crate) async fn hear(&mut self, name: &str) -> Value {
        loop {
            let event = self.event().await;
            if event["event"] == name {
                return event;
            }
            assert_ne!(event["event"], "Closed", "{event} while waiting for {name}");
        }
    }
}
