//! What is sent: looked at before anybody is asked to take it, so that its names, sizes and defects are known.
//!
//! A link is kept if it stays in the folder that is sent; one that leaves it is followed if it leads to a file. What is neither file, folder
//! nor such a link is left out, and said to be.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use super::link;
use super::message::Sentence;
use super::packets::{Entry, Kind};
use crate::fault::Fault;

/// Where the bytes of an entry are.
#[derive(Debug)]
pub(super) enum Origin {
    /// A file here, and when it had last been written.
    File { path: PathBuf, modified: Option<SystemTime> },
    /// Standard input.
    Input,
    /// A text.
    Text(Bytes),
    /// Nowhere: it is no file.
    None,
}

/// Everything that is sent in one go.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(super) entries: Vec<Entry>,
    /// One for each entry.
    pub(super) origins: Vec<Origin>,
    pub(super) is_text: bool,
    /// What is not sent, and why.
    left_out: Vec<String>,
}

impl Source {
    /// Files and folders, the one of them by another name if `name` is given. `-` is standard input.
    ///
    /// # Errors
    /// One of them is not there, cannot be read or cannot be sent.
    pub(crate) fn open(paths: &[PathBuf], name: Option<&str>) -> Result<Self, Fault> {
        if let Some(name) = name {
            if paths.len() != 1 {
                return Err(Fault::usage(Sentence::OneName));
            }
            check_name(name)?;
        }
        let mut source = Self::default();
        let mut tops = HashSet::new();
        for path in paths {
            if path == Path::new("-") {
                if paths.len() > 1 {
                    return Err(Fault::usage(Sentence::InputAlone));
                }
                let kind = Kind::File { size: None, executable: false };
                source.push(0, name.unwrap_or("stdin").as_ref(), kind, Origin::Input)?;
                break;
            }
            let top = match name {
                Some(name) => OsString::from(name),
                None => name_of(path)?,
            };
            if !tops.insert(top.clone()) {
                return Err(Fault::usage(Sentence::SameName { name: &top.to_string_lossy() }));
            }
            source.add_top(path, &top)?;
        }
        Ok(source)
    }

    /// A text, to be read and not kept.
    ///
    /// # Errors
    /// It is empty or too long.
    pub(crate) fn of_text(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.len() > TEXT_MAX_BYTES {
            return Err(Fault::usage(Sentence::TextLength));
        }
        let mut source = Self { is_text: true, ..Self::default() };
        let kind = Kind::File { size: Some(text.len() as u64), executable: false };
        let origin = Origin::Text(Bytes::copy_from_slice(text.as_bytes()));
        source.push(0, "text".as_ref(), kind, origin)?;
        Ok(source)
    }

    /// What it is called, to be shown.
    pub(crate) fn name(&self) -> String {
        let mut tops = self.entries.iter().filter(|entry| entry.parent == 0);
        let first = tops.next().map(|entry| String::from_utf8_lossy(&entry.name).into_owned());
        match (first.unwrap_or_default(), tops.count()) {
            (name, 0) => name,
            (name, more) => Sentence::AndMore { name: &name, more }.into(),
        }
    }

    /// Bytes of all files, as far as they are known.
    pub(crate) fn size(&self) -> u64 {
        self.entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(size_of(entry).unwrap_or(0)))
    }

    /// How many files there are.
    pub(crate) fn files(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. })).count()
    }

    /// It is one file, and nothing else.
    pub(crate) fn is_single(&self) -> bool {
        self.entries.len() == 1 && self.files() == 1
    }

    /// Nobody knows how much will come.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.origins[..], [Origin::Input])
    }

    /// It is a text.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }

    /// What is not sent, and why: one line each.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    fn push(&mut self, parent: u32, name: &OsStr, kind: Kind, origin: Origin) -> Result<u32, Fault> {
        self.entries.push(Entry { parent, name: bytes_of(name), kind });
        self.origins.push(origin);
        u32::try_from(self.entries.len()).map_err(|_| Fault::usage(Sentence::TooManyFiles))
    }

    /// What the user named is followed, if it is a link.
    fn add_top(&mut self, path: &Path, name: &OsStr) -> Result<(), Fault> {
        let metadata = path.metadata().map_err(|error| unreadable(path, &error))?;
        if metadata.is_file() {
            self.add_file(0, path, name, &metadata)
        } else if metadata.is_dir() {
            let top = self.push(0, name, Kind::Folder, Origin::None)?;
            self.add_below(path, top)
        } else {
            Err(Fault::file(Sentence::NeitherFileNorFolder { path: &path.display() }))
        }
    }

    /// All that is in a folder, by name, and in the folders in it.
    fn add_below(&mut self, folder: &Path, number: u32) -> Result<(), Fault> {
        let mut waiting = vec![(folder.to_owned(), number, 0)];
        while let Some((folder, parent, depth)) = waiting.pop() {
            let fault = |error: io::Error| unreadable(&folder, &error);
            let mut children = Vec::new();
            for child in fs::read_dir(&folder).map_err(fault)? {
                children.push(child.map_err(fault)?.file_name());
            }
            children.sort();
            for name in children {
                let path = folder.join(&name);
                let metadata = path.symlink_metadata().map_err(|error| unreadable(&path, &error))?;
                if metadata.is_dir() {
                    let number = self.push(parent, &name, Kind::Folder, Origin::None)?;
                    waiting.push((path, number, depth + 1));
                } else if metadata.is_file() {
                    self.add_file(parent, &path, &name, &metadata)?;
                } else if metadata.is_symlink() {
                    self.add_link(parent, &path, &name, depth)?;
                } else {
                    self.left_out.push(Sentence::OmitSpecial { path: &path.display() }.into());
                }
            }
        }
        Ok(())
    }

    fn add_file(&mut self, parent: u32, path: &Path, name: &OsStr, metadata: &Metadata) -> Result<(), Fault> {
        let kind = Kind::File { size: Some(metadata.len()), executable: is_executable(metadata) };
        let origin = Origin::File { path: path.to_owned(), modified: metadata.modified().ok() };
        self.push(parent, name, kind, origin).map(drop)
    }

    fn add_link(&mut self, parent: u32, path: &Path, name: &OsStr, depth: usize) -> Result<(), Fault> {
        let target = path.read_link().map_err(|error| unreadable(path, &error))?;
        let target = bytes_of(target.as_os_str());
        if cfg!(unix) && link::stays(&target, depth) {
            return self.push(parent, name, Kind::Link { target }, Origin::None).map(drop);
        }
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => self.add_file(parent, path, name, &metadata),
            _ => {
                self.left_out.push(Sentence::OmitLink { path: &path.display() }.into());
                Ok(())
            }
        }
    }
}

/// Bytes of a text.
pub(super) const TEXT_MAX_BYTES: usize = 1 << 20;

/// The length of a file, if it is one and is known.
pub(super) fn size_of(entry: &Entry) -> Option<u64> {
    match entry.kind {
        Kind::File { size, .. } => size,
        Kind::Folder | Kind::Link { .. } => None,
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    if super::name::safe_and_seen(name.as_bytes()).as_deref() == Some(name.as_ref()) {
        return Ok(());
    }
    Err(Fault::usage(Sentence::BadName))
}

/// The last name of a path, also of `.` and `..`.
fn name_of(path: &Path) -> Result<OsString, Fault> {
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let whole = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    let name = whole.file_name().map(ToOwned::to_owned);
    name.ok_or_else(|| Fault::usage(Sentence::NoName { path: &path.display() }))
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let path = &path.display();
    Fault::file(match error.kind() {
        ErrorKind::NotFound => Sentence::NoFile { path },
        ErrorKind::PermissionDenied => Sentence::MayNotRead { path },
        _ => Sentence::Unreadable { path, error },
    })
}

#[cfg(unix)]
fn bytes_of(name: &OsStr) -> Bytes {
    Bytes::copy_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(name))
}

#[cfg(not(unix))]
fn bytes_of(name: &OsStr) -> Bytes {
    name.to_string_lossy().into_owned().into()
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}
