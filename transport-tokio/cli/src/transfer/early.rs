//! A long file goes to the disk while the rest of it comes, so that at its end there is little to wait for.
//!
//! Whoever writes does not wait: a thread of its own does, one at a time. What the disk refuses is told to whoever writes, at the next
//! opportunity, and at the end for certain: the system tells it once.

use std::fs::File;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Bytes that are written before the disk is asked to take them.
const EVERY_BYTES: usize = 32 << 20;

/// How far the disk is with a file.
#[derive(Default)]
pub(super) struct Early {
    /// Bytes written since it was last asked.
    written: usize,
    asked: Option<JoinHandle<io::Result<()>>>,
}

impl Early {
    /// So many bytes more have been written to the file.
    ///
    /// # Errors
    /// The disk has not taken earlier ones.
    pub(super) fn wrote(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        self.written += bytes;
        if self.written < EVERY_BYTES || self.asked.as_ref().is_some_and(|asked| !asked.is_finished()) {
            return Ok(());
        }
        self.written = 0;
        self.wait()?;
        let file = file.try_clone()?;
        // Without a thread it is done at the end.
        self.asked = Builder::new().spawn(move || file.sync_data()).ok();
        Ok(())
    }

    /// No more will be written. The last bytes have still to be asked for.
    ///
    /// # Errors
    /// The disk has not taken earlier ones.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        let unknown = |_| Err(io::Error::other("nobody knows whether the disk has it"));
        self.asked.take().map_or(Ok(()), |asked| asked.join().unwrap_or_else(unknown))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// A device that cannot be written through stands in for a disk that fails.
    fn begun() -> (File, Early) {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut early = Early::default();
        early.wrote(&file, EVERY_BYTES - 1).unwrap();
        assert!(early.asked.is_none());
        early.wrote(&file, 1).unwrap();
        (file, early)
    }

    #[test]
    fn what_the_disk_refuses_is_told_at_the_end() {
        let (_file, early) = begun();
        assert!(early.finish().is_err());
    }

    #[test]
    fn what_the_disk_refuses_is_told_when_more_is_written() {
        let (file, mut early) = begun();
        while early.asked.as_ref().is_some_and(|asked| !asked.is_finished()) {
            std::thread::yield_now();
        }
        assert!(early.wrote(&file, EVERY_BYTES).is_err());
        assert!(early.finish().is_ok(), "it is told once");
    }
}
