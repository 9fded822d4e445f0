//! What is to be received, checked as it comes: every path lies in the folder that the user chose, no two are the same, and the whole of
//! it fits into a bounded memory.
//!
//! An entry names its folder by number, and that number must be one of a folder before it; so there is no path that was not built here.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::link;
use super::name;
use super::packets::{Entry, Kind, Reason};

/// Entries in one transfer.
const ENTRIES_MAX: u32 = 1_000_000;
/// Bytes of all paths together.
const PATHS_MAX_BYTES: usize = 256 << 20;

/// One thing to be received.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it goes, seen from the folder that the user chose. Normal components only.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) kind: Kind,
}

/// All things to be received; a folder comes before what is in it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    announced: u32,
    paths_bytes: usize,
    names: HashSet<OsString>,
}

impl Plan {
    /// A plan for so many entries.
    ///
    /// # Errors
    /// There are none, or too many.
    pub(super) fn new(announced: u32) -> Result<Self, Reason> {
        match announced {
            0 => Err(Reason::Protocol),
            1..=ENTRIES_MAX => {
                Ok(Self { items: Vec::new(), announced, paths_bytes: 0, names: HashSet::new() })
            }
            _ => Err(Reason::TooMuch),
        }
    }

    /// Entries that are still to come.
    pub(super) fn missing(&self) -> usize {
        self.announced as usize - self.items.len()
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// It has no place here.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), Reason> {
        if self.missing() == 0 {
            return Err(Reason::Protocol);
        }
        let path = match entry.parent.checked_sub(1) {
            None => PathBuf::from(name::safe_and_seen(&entry.name).ok_or(Reason::Name)?),
            Some(parent) => {
                let parent = self.items.get(parent as usize).ok_or(Reason::Protocol)?;
                if parent.kind != Kind::Folder {
                    return Err(Reason::Protocol);
                }
                parent.path.join(name::safe(&entry.name).ok_or(Reason::Name)?)
            }
        };
        match &entry.kind {
            Kind::File { size: None, .. } if self.announced != 1 => return Err(Reason::Protocol),
            Kind::Link { target } => {
                // A link in the chosen folder itself would lead to what is not of this transfer.
                let depth = path.components().count().checked_sub(2).ok_or(Reason::Protocol)?;
                if !link::stays(target, depth) {
                    return Err(Reason::Protocol);
                }
            }
            Kind::Folder | Kind::File { .. } => {}
        }
        self.paths_bytes += path.as_os_str().len();
        if self.paths_bytes > PATHS_MAX_BYTES {
            return Err(Reason::TooMuch);
        }
        if !self.names.insert(key(&path)) {
            return Err(Reason::Name);
        }
        self.items.push(Item { path, kind: entry.kind });
        Ok(())
    }

    /// All entries are there.
    pub(super) fn seal(&mut self) {
        self.names = HashSet::new();
    }

    /// What goes into the chosen folder itself.
    pub(super) fn tops(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.path.components().count() == 1)
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.items.iter().filter(|item| matches!(item.kind, Kind::File { .. })).count()
    }

    /// Bytes of all files, as far as they are known; nothing if they are more than there can be.
    pub(super) fn size(&self) -> Option<u64> {
        self.items.iter().try_fold(0_u64, |sum, item| match item.kind {
            Kind::File { size: Some(size), .. } => sum.checked_add(size),
            _ => Some(sum),
        })
    }

    /// Puts the one thing there is under another name.
    pub(super) fn rename(&mut self, to: &Path) -> Result<(), Reason> {
        let tops: Vec<_> = self.tops().take(2).map(|top| top.path.clone()).collect();
        let [top] = &tops[..] else { return Err(Reason::Name) };
        for item in &mut self.items {
            let below = item.path.strip_prefix(top).expect("the one top is above everything");
            item.path = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
        }
        Ok(())
    }
}

/// What must not be there twice: where case makes no difference, without it.
fn key(path: &Path) -> OsString {
    if cfg!(any(windows, target_vendor = "apple")) {
        path.to_string_lossy().to_lowercase().into()
    } else {
        path.as_os_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const FILE: Kind = Kind::File { size: Some(1), executable: false };

    fn entry(parent: u32, name: &'static str, kind: Kind) -> Entry {
        Entry { parent, name: Bytes::from_static(name.as_bytes()), kind }
    }

    fn link(target: &'static str) -> Kind {
        Kind::Link { target: Bytes::from_static(target.as_bytes()) }
    }

    fn last(entries: Vec<Entry>) -> Result<PathBuf, Reason> {
        let mut plan = Plan::new(entries.len() as u32).unwrap();
        for entry in entries {
            plan.add(entry)?;
        }
        Ok(plan.items.pop().unwrap().path)
    }

    #[test]
    fn paths_are_built_from_folders_that_are_there() {
        let tree = vec![entry(0, "a", Kind::Folder), entry(1, ".b", Kind::Folder), entry(2, "c", FILE)];
        assert_eq!(last(tree), Ok("a/.b/c".into()));
        assert_eq!(last(vec![entry(0, ".ssh", FILE)]), Ok("_ssh".into()));
    }

    #[test]
    fn nothing_leaves_the_folder() {
        let folder = || entry(0, "a", Kind::Folder);
        for (bad, reason) in [
            (entry(0, "..", Kind::Folder), Reason::Name),
            (entry(0, "/etc/passwd", FILE), Reason::Name),
            (entry(1, "..", FILE), Reason::Name),
            (entry(1, "../../x", FILE), Reason::Name),
            (entry(1, "", FILE), Reason::Name),
            (entry(2, "x", FILE), Reason::Protocol),
            (entry(7, "x", FILE), Reason::Protocol),
            (entry(0, "x", link("y")), Reason::Protocol),
            (entry(1, "x", link("../y")), Reason::Protocol),
            (entry(1, "x", link("/etc")), Reason::Protocol),
            (entry(0, "a", FILE), Reason::Name),
            (entry(1, "x", Kind::File { size: None, executable: false }), Reason::Protocol),
        ] {
            assert_eq!(last(vec![folder(), bad.clone()]), Err(reason), "{bad:?}");
        }
        assert_eq!(
            last(vec![folder(), entry(1, "l", link("y")), entry(2, "x", FILE)]),
            Err(Reason::Protocol)
        );
    }

    #[test]
    fn there_is_an_end_to_what_is_taken() {
        assert_eq!(Plan::new(0).err(), Some(Reason::Protocol));
        assert_eq!(Plan::new(ENTRIES_MAX + 1).err(), Some(Reason::TooMuch));
        let mut plan = Plan::new(ENTRIES_MAX).unwrap();
        plan.add(entry(0, "a", Kind::Folder)).unwrap();
        let name: &'static str = "n".repeat(255).leak();
        let end = (1..ENTRIES_MAX).find_map(|parent| plan.add(entry(parent, name, Kind::Folder)).err());
        assert_eq!(end, Some(Reason::TooMuch));
        let mut plan = Plan::new(1).unwrap();
        plan.add(entry(0, "a", FILE)).unwrap();
        assert_eq!(plan.add(entry(0, "b", FILE)), Err(Reason::Protocol));
    }
}
