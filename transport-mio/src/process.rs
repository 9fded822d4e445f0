//! What the system says about this process. Read by whoever asks, never by the loop.

use std::fs;

/// What `/proc` says about this process; each is absent where there is no such file.
#[derive(Clone, Copy, Default, Debug)]
pub struct ProcessStats {
    /// Memory that is really there, in bytes.
    pub resident_bytes: Option<u64>,
    /// Open descriptors: sockets, files, and what else counts as one.
    pub open_descriptors: Option<u64>,
    /// How many there may be.
    pub max_descriptors: Option<u64>,
}

impl ProcessStats {
    /// As of now.
    #[must_use]
    pub fn read() -> Self {
        Self {
            resident_bytes: field("/proc/self/status", "VmRSS:").map(|kib| kib * 1024),
            open_descriptors: open_descriptors(),
            max_descriptors: field("/proc/self/limits", "Max open files"),
        }
    }

    /// Descriptors that are left.
    #[must_use]
    pub fn free_descriptors(&self) -> Option<u64> {
        Some(self.max_descriptors?.saturating_sub(self.open_descriptors?))
    }
}

/// The number that follows this name at the beginning of a line.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Newer systems say the number as the length of the folder; on others one has to count.
fn open_descriptors() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        // The descriptor that reads the folder is among them.
        0 => Some((fs::read_dir(FOLDER).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let before = ProcessStats::read();
        assert!(before.resident_bytes.unwrap() > 100_000);
        let files: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = ProcessStats::read();
        // Other tests of this process open and close a few.
        assert!(
            after.open_descriptors.unwrap() > before.open_descriptors.unwrap() + 400,
            "{before:?} {after:?}"
        );
        assert!(after.free_descriptors().unwrap() < before.free_descriptors().unwrap() - 400);
        drop(files);
    }
}
