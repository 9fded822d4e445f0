//! Standard input, by lines or by the bytes, without anything else having to wait for it.

use std::io::{self, BufRead, Read};
use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::editor::{self, Typed};
use crate::ui;

/// What stands before a line that is being typed.
const PROMPT: &str = "> ";
/// Bytes of a line; what is longer counts as several.
const LINE_MAX: u64 = 16 * 1024;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Lines read ahead.
const AHEAD: usize = 16;

/// The lines of standard input. There should be one of these in a program.
pub(crate) enum Lines {
    /// Somebody types them.
    Typed(Typed),
    /// They come from a file or a program.
    Read(mpsc::Receiver<String>),
}

impl Lines {
    /// Begins to read, on a thread that ends with the program.
    pub(crate) fn start() -> Self {
        if editor::is_there()
            && !ui::is_json()
            && let Some(typed) = Typed::start(PROMPT)
        {
            return Self::Typed(typed);
        }
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
        Self::Read(lines)
    }

    /// The next line, without its end; nothing at the end of input. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<String> {
        match self {
            Self::Typed(lines) => lines.next().await,
            Self::Read(lines) => lines.recv().await,
        }
    }
}

/// The first line of standard input and no more of it; an empty one at its end. If the future is dropped, the line is lost.
pub(crate) async fn first_line() -> String {
    let (sender, line) = oneshot::channel();
    thread::spawn(move || {
        let line = read_line(&mut io::stdin().lock()).ok().flatten();
        let _ = sender.send(line.unwrap_or_default());
    });
    line.await.unwrap_or_default()
}

/// The bytes of standard input as they come. There should be one of these in a program.
pub(crate) struct Chunks(mpsc::Receiver<io::Result<Bytes>>);

/// Standard input cannot be read.
pub(crate) struct ReadError(pub(crate) io::Error);

impl Chunks {
    /// Begins to read, on a thread that ends with the program.
    pub(crate) fn start() -> Self {
        let (sender, chunks) = mpsc::channel(1);
        thread::spawn(move || {
            let mut input = io::stdin().lock();
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let chunk = match input.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(count) => {
                        chunk.truncate(count);
                        Ok(chunk.into())
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = chunk.is_err();
                if sender.blocking_send(chunk).is_err() || failed {
                    break;
                }
            }
        });
        Self(chunks)
    }

    /// The next bytes, at least one; nothing at the end of input. Cancel-safe.
    ///
    /// # Errors
    /// The system does not give them.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        self.0.recv().await.transpose().map_err(ReadError)
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
