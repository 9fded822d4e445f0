//! The file that is received: nothing under its final name until all of it is there and right.
//!
//! It grows under a temporary name in its target folder, hashed and written on a thread of its own, and is renamed at the end. Until
//! then, whatever goes wrong, dropping the sink removes it. An existing file is replaced only if that was asked for, also when it
//! appeared in the meantime.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::{Builder, TempPath};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::name;
use super::packets::{Chunk, Hash, Reason};
use crate::fault::Fault;

/// Chunks that may wait for the disk.
const BEHIND: usize = 4;

/// What the other side is told, and what the person here is.
pub(crate) type Refusal = (Reason, Fault);

/// Where a file is to be put: chosen before anything is known of it.
pub(crate) struct Target {
    place: Place,
    force: bool,
}

enum Place {
    Folder(PathBuf),
    File(PathBuf),
}

impl Target {
    /// `output` is a folder that exists, or else the name of the file itself; without it, the current folder.
    ///
    /// # Errors
    /// Its folder does not exist, or the file does and `force` is not set.
    pub(crate) fn new(output: Option<&Path>, force: bool) -> Result<Self, Fault> {
        let Some(output) = output else {
            return Ok(Self { place: Place::Folder(PathBuf::new()), force });
        };
        if output.is_dir() {
            return Ok(Self { place: Place::Folder(output.to_owned()), force });
        }
        let is_folder_name = output.as_os_str().to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]);
        if is_folder_name || !folder_of(output).is_dir() {
            let folder = if is_folder_name { output } else { folder_of(output) };
            return Err(Fault::file(format!("there is no folder {}; make it first", folder.display())));
        }
        let target = Self { place: Place::File(output.to_owned()), force };
        target.check(output).map_err(|(_, fault)| fault)?;
        Ok(target)
    }

    /// Makes the temporary file for what is offered.
    ///
    /// # Errors
    /// The offered name cannot be used, the file exists, or none can be made there.
    pub(crate) fn open(&self, offered: &str, size: u64) -> Result<Sink, Refusal> {
        let path = match &self.place {
            Place::File(path) => path.clone(),
            Place::Folder(folder) => folder.join(name::safe(offered).ok_or_else(|| {
                let fault =
                    "the name that the other side offers cannot be used here; choose one with --output FILE";
                (Reason::Name, Fault::file(fault))
            })?),
        };
        self.check(&path)?;
        let folder = folder_of(&path);
        let mut builder = Builder::new();
        builder.prefix(".phantom-").suffix(".part");
        // As every new file; by itself, a temporary file would stay unreadable for others.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let (file, temporary) = builder
            .tempfile_in(folder)
            .map_err(|error| write_refusal(&format!("no file can be made in {}", folder.display()), &error))?
            .into_parts();
        let (chunks, chunks_out) = mpsc::channel(BEHIND);
        let thread = spawn_blocking(move || write(file, size, chunks_out));
        Ok(Sink { chunks, thread, temporary, path, force: self.force })
    }

    fn check(&self, path: &Path) -> Result<(), Refusal> {
        // Also a symbolic link that leads nowhere is something that is there.
        let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
        let shown = path.display();
        if path.is_dir() {
            let fault = format!("{shown} is a folder; choose another name with --output FILE");
            return Err((Reason::Exists, Fault::file(fault)));
        }
        if !self.force {
            let fault =
                format!("{shown} exists already; use --force to overwrite it, or --output for another name");
            return Err((Reason::Exists, Fault::file(fault)));
        }
        if !metadata.is_file() && !metadata.is_symlink() {
            let fault = format!("{shown} is not a regular file; choose another name with --output FILE");
            return Err((Reason::Exists, Fault::file(fault)));
        }
        Ok(())
    }
}

/// A file that is being received. Dropped, it is removed.
pub(crate) struct Sink {
    chunks: mpsc::Sender<Bytes>,
    thread: JoinHandle<Result<Hash, Refusal>>,
    temporary: TempPath,
    path: PathBuf,
    force: bool,
}

impl Sink {
    /// What it will be called.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next chunk, an encoded packet. Waits while the disk is behind.
    ///
    /// `false` means that it takes no more; [`failure`](Self::failure) says why.
    pub(crate) async fn write(&self, packet: Bytes) -> bool {
        self.chunks.send(packet).await.is_ok()
    }

    /// Why it takes no more.
    pub(crate) async fn failure(self) -> Refusal {
        drop(self.chunks);
        match self.thread.await {
            Ok(Err(refusal)) => refusal,
            Ok(Ok(_)) | Err(_) => broken(),
        }
    }

    /// Waits until everything is written, compares it with what was sent, and gives it its name.
    ///
    /// # Errors
    /// Something of that failed, now or earlier; the file is gone.
    pub(crate) async fn finish(self, sent: Hash) -> Result<PathBuf, Refusal> {
        let Self { chunks, thread, temporary, path, force } = self;
        drop(chunks);
        let hash = thread.await.unwrap_or_else(|_| Err(broken()))?;
        if hash != sent {
            let fault = "the file arrived damaged and was thrown away; ask for it again";
            return Err((Reason::Damaged, Fault::file(fault)));
        }
        let renamed = if force { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
        match renamed {
            Ok(()) => Ok(path),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                let fault =
                    format!("{} appeared while the file was received, and was left alone", path.display());
                Err((Reason::Exists, Fault::file(fault)))
            }
            Err(error) => {
                Err(write_refusal(&format!("{} cannot be given its name", path.display()), &error.error))
            }
        }
    }
}

/// Writes what comes until nothing more comes: exactly `size` bytes, or it is an error.
fn write(mut file: File, size: u64, mut chunks: mpsc::Receiver<Bytes>) -> Result<Hash, Refusal> {
    let protocol = || (Reason::Protocol, Fault::peer(Reason::Protocol.told()));
    let mut hasher = blake3::Hasher::new();
    let mut left = size;
    while let Some(packet) = chunks.blocking_recv() {
        let Chunk { data } = phantom_core::packet::decode(&packet).map_err(|_| protocol())?;
        left = left.checked_sub(data.len() as u64).filter(|_| !data.is_empty()).ok_or_else(protocol)?;
        hasher.update(&data);
        file.write_all(&data).map_err(|error| write_refusal("the file cannot be written", &error))?;
    }
    if left > 0 {
        return Err(protocol());
    }
    file.flush().map_err(|error| write_refusal("the file cannot be written", &error))?;
    Ok(*hasher.finalize().as_bytes())
}

fn write_refusal(what: &str, error: &io::Error) -> Refusal {
    let sentence = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("{what}: the disk is full; make room, or choose another folder with --output")
        }
        ErrorKind::FileTooLarge => format!("{what}: it is larger than this system allows"),
        ErrorKind::PermissionDenied => {
            format!("{what}: you may not write there; choose another folder with --output")
        }
        _ => format!("{what}: {error}"),
    };
    (Reason::Write, Fault::file(sentence))
}

/// The thread that writes ended and says nothing.
fn broken() -> Refusal {
    (Reason::Write, Fault::file("the file could not be written"))
}

/// The folder a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
