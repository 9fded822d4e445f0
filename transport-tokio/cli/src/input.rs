//! Standard input, line by line, without anything else having to wait for it.

use std::io::{self, BufRead, Read};
use std::thread;

use tokio::sync::mpsc;

/// Bytes of a line; what is longer counts as several.
const LINE_MAX: u64 = 16 * 1024;
/// Lines read ahead.
const AHEAD: usize = 16;

/// The lines of standard input. There should be one of these in a program.
pub(crate) struct Lines(mpsc::Receiver<String>);

impl Lines {
    /// Begins to read, on a thread that ends with the program.
    pub(crate) fn start() -> Self {
        let (sender, lines) = mpsc::channel(AHEAD);
        // Not a task: a read that waits for a person would keep the runtime from ending.
        thread::spawn(move || {
            let mut input = io::stdin().lock();
            while let Ok(Some(line)) = read_line(&mut input) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }

    /// The next line, without its end; nothing at the end of input. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if input.take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut text: &[u8]) -> Vec<String> {
        std::iter::from_fn(|| read_line(&mut text).unwrap()).collect()
    }

    #[test]
    fn lines_end_in_either_way() {
        assert_eq!(lines(b"one\ntwo\r\n\nlast"), ["one", "two", "", "last"]);
        assert_eq!(lines(b""), [""; 0]);
    }

    #[test]
    fn a_long_line_is_several_and_bad_text_no_error() {
        let long = vec![b'x'; LINE_MAX as usize + 1];
        assert_eq!(lines(&long).iter().map(String::len).collect::<Vec<_>>(), [LINE_MAX as usize, 1]);
        assert_eq!(lines(b"a\xffb"), ["a\u{fffd}b"]);
    }
}
