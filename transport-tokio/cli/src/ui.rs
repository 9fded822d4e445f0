//! What is said, and where: results go to standard output, everything else to standard error.
//!
//! Standard output carries what a script may want (the invitation, received lines, size, time and hash). On a terminal, both are
//! broken between words at its width. Nobody listening is no error.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::{Term, measure_text_width};
use indicatif::DecimalBytes;

use crate::arguments::OutputArguments;
use crate::event::Event;
use crate::fault::Fault;
use crate::language::{self, Language};

/// How this run speaks.
struct Manner {
    json: AtomicBool,
    quiet: AtomicBool,
    /// Standard output belongs to somebody's data.
    output_is_data: AtomicBool,
}

static MANNER: Manner = Manner {
    json: AtomicBool::new(false),
    quiet: AtomicBool::new(false),
    output_is_data: AtomicBool::new(false),
};

/// Speaks as the arguments say, from now on.
pub(crate) fn speak(arguments: &OutputArguments) {
    MANNER.json.store(arguments.json, Relaxed);
    MANNER.quiet.store(arguments.quiet, Relaxed);
}

/// Standard output belongs to somebody's data: results go to standard error, too.
pub(crate) fn output_is_data() {
    MANNER.output_is_data.store(true, Relaxed);
}

/// Whether objects are printed instead of sentences.
pub(crate) fn is_json() -> bool {
    MANNER.json.load(Relaxed)
}

/// Says a result.
pub(crate) fn say(line: impl Display) {
    if is_json() {
        event(&Event::Text { text: &line.to_string() });
    } else if MANNER.output_is_data.load(Relaxed) {
        tell(&line.to_string(), &Term::stderr(), io::stderr());
    } else {
        tell(&line.to_string(), &Term::stdout(), io::stdout());
    }
}

/// Says how things stand.
pub(crate) fn note(line: impl Display) {
    if !is_json() && !MANNER.quiet.load(Relaxed) {
        tell(&line.to_string(), &Term::stderr(), io::stderr());
    }
}

/// Tells a script what has happened, if one listens.
pub(crate) fn event(event: &Event<'_>) {
    if is_json() {
        let object = event.to_json().to_string();
        if MANNER.output_is_data.load(Relaxed) {
            print(&object, io::stderr());
        } else {
            print(&object, io::stdout());
        }
    }
}

/// Says why the program ends.
pub(crate) fn fail(fault: &Fault) {
    if is_json() {
        event(&Event::Error { status: fault.status(), text: &fault.to_string() });
    } else {
        tell(&format!("phantom: {fault}"), &Term::stderr(), io::stderr());
    }
}

fn tell(line: &str, term: &Term, stream: impl Write) {
    let lines = fit(line, term);
    if !print_above(&lines, term) {
        print(&lines, stream);
    }
}

/// Prints a line above what is being typed; false, if nothing is.
pub(crate) type Above = Box<dyn FnMut(String) -> bool + Send>;

static ABOVE: Mutex<Option<Above>> = Mutex::new(None);

/// What is said to a terminal goes through this from now on, or no more. Returns what it went through before.
pub(crate) fn print_through(above: Option<Above>) -> Option<Above> {
    std::mem::replace(&mut *ABOVE.lock().unwrap_or_else(PoisonError::into_inner), above)
}

/// Prints to a terminal on which somebody may be typing.
fn print_above(line: &str, term: &Term) -> bool {
    let mut above = ABOVE.lock().unwrap_or_else(PoisonError::into_inner);
    term.is_term() && above.as_mut().is_some_and(|print| print(format!("{line}\n")))
}

/// One line at once, so that two threads do not mix theirs.
fn print(line: &str, mut stream: impl Write) {
    let _unheard = stream.write_all(format!("{line}\n").as_bytes()).and_then(|()| stream.flush());
}

/// Shows a command, which must stay one line to be copied.
pub(crate) fn command(line: impl Display) {
    if !is_json() && !MANNER.quiet.load(Relaxed) {
        print(&line.to_string(), io::stderr());
    }
}

/// Shows lines as they are.
pub(crate) fn picture(lines: &str) {
    if !is_json() {
        print(lines, io::stderr());
    }
}

/// Ends standard output: whoever reads it sees its end, and nothing more gets there.
#[cfg(unix)]
pub(crate) fn end_output() -> io::Result<()> {
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(nowhere)?)
}

/// Here, standard output ends with the program.
#[cfg(not(unix))]
pub(crate) fn end_output() -> io::Result<()> {
    Ok(())
}

/// A line of a table, as it is.
pub(crate) fn picture_result(line: &str) {
    print(line, io::stdout());
}

/// Whether anything but results and errors is said.
pub(crate) fn is_talkative() -> bool {
    !is_json() && !MANNER.quiet.load(Relaxed)
}

/// Columns of the terminal that shows standard error, if one does.
pub(crate) fn width() -> Option<usize> {
    width_of(&Term::stderr())
}

fn width_of(term: &Term) -> Option<usize> {
    term.is_term().then(|| usize::from(term.size().1)).filter(|&width| width > 0)
}

fn fit(text: &str, term: &Term) -> String {
    width_of(term).map_or_else(|| text.to_owned(), |width| wrap(text, width))
}

/// Breaks lines between words. A word longer than a line is left whole, so that it can be copied.
fn wrap(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push('\n');
        }
        let indent = &line[..line.len() - line.trim_start_matches(' ').len()];
        let mut column = 0;
        for word in line.trim_start_matches(' ').split(' ') {
            let columns = measure_text_width(word);
            if column == 0 {
                out.push_str(indent);
                column = indent.len();
            } else if column + 1 + columns > width {
                out.push('\n');
                out.push_str(indent);
                column = indent.len();
            } else {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += columns;
        }
    }
    out
}

/// A number of bytes: `5.24 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let text = DecimalBytes(bytes).to_string();
    match language::current() {
        Language::English if bytes == 1 => "1 byte".to_owned(),
        Language::English => text,
        Language::Russian => {
            let units = [('k', 'к'), ('M', 'М'), ('G', 'Г'), ('T', 'Т'), ('P', 'П'), ('E', 'Э'), ('B', 'Б')];
            units.into_iter().fold(text, |text, (latin, russian)| text.replace(latin, &russian.to_string()))
        }
    }
}

/// How fast: `6.5 MB/s`.
pub(crate) fn rate(bytes_per_second: f64, digits: usize) -> String {
    let (rate, unit) = (bytes_per_second / 1e6, language::pick("MB/s", "МБ/с"));
    format!("{rate:.digits$} {unit}")
}

/// A time: `0.81 s`, `3 min 5 s`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (s, min, h) = (language::pick("s", "с"), language::pick("min", "мин"), language::pick("h", "ч"));
    if seconds < 60 {
        format!("{:.2} {s}", time.as_secs_f64())
    } else if seconds < 3600 {
        format!("{} {min} {} {s}", seconds / 60, seconds % 60)
    } else {
        format!("{} {h} {} {min}", seconds / 3600, seconds / 60 % 60)
    }
}

/// A short time: `1.25 ms`.
pub(crate) fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 0.001 => format!("{:.0} {}", seconds * 1e6, language::pick("us", "мкс")),
        _ if seconds < 1.0 => format!("{:.1} {}", seconds * 1e3, language::pick("ms", "мс")),
        _ => format!("{seconds:.2} {}", language::pick("s", "с")),
    }
}

/// Size, time and rate: `5.24 MB in 0.81 s, 6.5 MB/s`.
pub(crate) fn figures(bytes: u64, taken: Duration) -> String {
    let rate = rate(bytes as f64 / taken.as_secs_f64().max(1e-6), 1);
    format!("{} {} {}, {rate}", size(bytes), language::pick("in", "за"), time(taken))
}

/// A hash in hexadecimal digits.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 8), "one two\nthree");
        assert_eq!(wrap("one two three", 80), "one two three");
        assert_eq!(wrap("  one two three", 8), "  one\n  two\n  three");
        assert_eq!(wrap("a verylongword b", 5), "a\nverylongword\nb");
        assert_eq!(wrap("один два три", 8), "один два\nтри");
        assert_eq!(wrap("x\n\ny", 5), "x\n\ny");
    }

    #[test]
    fn figures_a_person_can_read() {
        assert_eq!(figures(5_240_000, Duration::from_millis(810)), "5.24 MB in 0.81 s, 6.5 MB/s");
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1), "1 byte");
        assert_eq!(time(Duration::from_secs(185)), "3 min 5 s");
        assert_eq!(time(Duration::from_secs(7300)), "2 h 1 min");
    }
}
