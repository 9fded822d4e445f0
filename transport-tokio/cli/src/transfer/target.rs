//! Where things are put: chosen before anything is known of them, and nothing there is replaced unasked.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::message::Sentence;
use super::packets::{Kind, Reason};
use super::plan::{Item, Plan};
use super::talk::Refusal;
use crate::fault::Fault;

/// Where to put what is received.
#[derive(Debug)]
pub(crate) enum Target {
    /// Into a folder, under the names it has; the one thing there is under another name, if one is given.
    Folder { folder: PathBuf, name: Option<OsString> },
    /// A single file, to standard output.
    Output,
}

impl Target {
    /// `output` is a folder that exists, or else the name of the file itself; without it, the current folder.
    ///
    /// # Errors
    /// Its folder does not exist, or the file does and `overwrite` is not set.
    pub(crate) fn new(output: Option<&Path>, overwrite: bool) -> Result<Self, Fault> {
        let here = || PathBuf::from(".");
        let Some(output) = output else {
            return Ok(Self::Folder { folder: here(), name: None });
        };
        if output.is_dir() {
            return Self::into(output);
        }
        let is_folder_name = output.as_os_str().to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]);
        let (folder, name) = match (output.parent(), output.file_name()) {
            (Some(parent), Some(name)) if !is_folder_name => (parent.to_owned(), name.to_owned()),
            _ => return Self::into(output),
        };
        let folder = if folder.as_os_str().is_empty() { here() } else { folder };
        if !overwrite && folder.is_dir() && output.symlink_metadata().is_ok() {
            return Err(exists(output).1);
        }
        match Self::into(&folder)? {
            Self::Folder { folder, .. } => Ok(Self::Folder { folder, name: Some(name) }),
            Self::Output => Ok(Self::Output),
        }
    }

    /// Into a folder that exists.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn into(folder: &Path) -> Result<Self, Fault> {
        if !folder.is_dir() {
            return Err(Fault::file(Sentence::NoFolder { folder: &folder.display() }));
        }
        Ok(Self::Folder { folder: folder.to_owned(), name: None })
    }
}

/// How a path is shown: without the `./` that says nothing.
pub(crate) fn seen(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(".").unwrap_or(path).display()
}

/// What is there already under one of the names; `None` if nothing is.
///
/// # Errors
/// What is there is something else, and cannot be replaced by what comes.
pub(super) fn existing(folder: &Path, plan: &Plan) -> Result<Option<PathBuf>, Refusal> {
    let mut first = None;
    let mut absent = HashSet::new();
    for item in &plan.items {
        // Below what is not there, nothing is.
        if item.path.ancestors().any(|above| absent.contains(above)) {
            continue;
        }
        let path = folder.join(&item.path);
        // Also a symbolic link that leads nowhere is something that is there.
        let Ok(metadata) = path.symlink_metadata() else {
            absent.insert(&*item.path);
            continue;
        };
        let fits = match item.kind {
            // Through a link, what is below would end up elsewhere.
            Kind::Folder => metadata.is_dir(),
            Kind::File { .. } | Kind::Link { .. } => metadata.is_file() || metadata.is_symlink(),
        };
        if !fits {
            let path = &seen(&path);
            let fault = match item.kind {
                Kind::Folder => Sentence::NotAFolder { path },
                _ => Sentence::NotAFile { path },
            };
            return Err((Reason::Exists, Fault::file(fault)));
        }
        first.get_or_insert(path);
    }
    Ok(first)
}

/// What is there was not to be overwritten.
pub(super) fn exists(path: &Path) -> Refusal {
    (Reason::Exists, Fault::file(Sentence::Exists { path: &seen(path) }))
}

/// Gives everything its name, from the folder where it was made. What is a folder in both places is joined.
///
/// # Errors
/// Something has appeared there, or there is no right to write there. What has its name keeps it.
pub(super) fn place(from: &Path, folder: &Path, plan: &Plan, overwrite: bool) -> Result<(), Refusal> {
    if let Some(path) = existing(folder, plan)?.filter(|_| !overwrite) {
        return Err((Reason::Exists, Fault::file(Sentence::Appeared { path: &seen(&path) })));
    }
    let mut moved = HashSet::new();
    for item in &plan.items {
        if item.path.ancestors().any(|above| moved.contains(above)) {
            continue;
        }
        let (old, new) = (from.join(&item.path), folder.join(&item.path));
        if item.kind == Kind::Folder {
            if new.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                continue;
            }
            moved.insert(&*item.path);
        }
        rename(&old, &new, item, overwrite).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists(&new),
            _ => write_refusal(Sentence::NotNamed { path: &seen(&new) }, &error),
        })?;
    }
    sync_folder(folder).map_err(|error| write_refusal(Sentence::FolderUnwritten, &error))
}

fn rename(old: &Path, new: &Path, item: &Item, overwrite: bool) -> io::Result<()> {
    if overwrite || !matches!(item.kind, Kind::File { .. }) {
        return fs::rename(old, new);
    }
    // Also what has appeared since the last look is not replaced.
    tempfile::TempPath::try_from_path(old)?.persist_noclobber(new).map_err(|error| {
        let _stays_for_the_next_time = error.path.keep();
        error.error
    })
}

/// A name is on the disk when its folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        // Not every file system can, and not every folder may be read.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::PermissionDenied) => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the form it has on other systems")]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Something cannot be written, and why.
pub(super) fn write_refusal(what: Sentence<'_>, error: &io::Error) -> Refusal {
    let what = &what;
    let sentence = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Sentence::DiskFull { what },
        ErrorKind::FileTooLarge => Sentence::TooLarge { what },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Sentence::MayNotWrite { what },
        ErrorKind::InvalidFilename => Sentence::NameTooLong { what },
        ErrorKind::BrokenPipe => Sentence::NobodyReads { what },
        _ => Sentence::Failed { what, error },
    };
    (Reason::Write, Fault::file(sentence))
}
