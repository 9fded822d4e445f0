//! The file that is sent: read, hashed and packed on a thread of its own, a few chunks ahead of the network and no more.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use phantom_core::packet;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::packets::{CHUNK_BYTES, Chunk, Hash};
use crate::fault::Fault;

/// Chunks that may wait for the network.
const AHEAD: usize = 4;

/// An open file, whose size and name were offered.
pub(crate) struct Source {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Source {
    /// Opens a regular file.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let fault = |error: &io::Error| match error.kind() {
            ErrorKind::NotFound => {
                Fault::file(format!("there is no file {}; check the name", path.display()))
            }
            ErrorKind::PermissionDenied => Fault::file(format!("you may not read {}", path.display())),
            _ => Fault::file(format!("{} cannot be read: {error}", path.display())),
        };
        // Looked at before it is opened: to open a pipe would wait for its writer.
        let metadata = path.metadata().map_err(|error| fault(&error))?;
        if metadata.is_dir() {
            return Err(Fault::file(format!(
                "{} is a folder; pack it into one file first, for example with tar or zip",
                path.display()
            )));
        }
        if !metadata.is_file() {
            return Err(Fault::file(format!("{} is not a regular file", path.display())));
        }
        let file = File::open(path).map_err(|error| fault(&error))?;
        let size = file.metadata().map_err(|error| fault(&error))?.len();
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// The file's own name, without its folder.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Bytes in the file when it was opened. As many are read, also if it grows.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Begins to read.
    pub(crate) fn start(self) -> Reading {
        let (chunks_in, chunks) = mpsc::channel(AHEAD);
        Reading { chunks, thread: spawn_blocking(move || self.read(&chunks_in)) }
    }

    /// Reads until the end, or until nobody listens any more.
    fn read(mut self, chunks: &mpsc::Sender<(Bytes, usize)>) -> Result<Hash, Fault> {
        let fault = |what: String| Err(Fault::file(format!("{} {what}", self.path.display())));
        let mut hasher = blake3::Hasher::new();
        let mut buffer = BytesMut::zeroed(CHUNK_BYTES);
        let mut left = self.size;
        while left > 0 {
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            buffer.truncate(room);
            if let Err(error) = self.file.read_exact(&mut buffer) {
                return fault(match error.kind() {
                    ErrorKind::UnexpectedEof => "became shorter while it was sent; send it again".to_owned(),
                    _ => format!("cannot be read any further: {error}"),
                });
            }
            hasher.update(&buffer);
            let chunk = Chunk { data: buffer.freeze() };
            let packet = packet::encode(&chunk).expect("every chunk has a form");
            buffer =
                chunk.data.try_into_mut().expect("the packet is a copy, so that this is the only handle");
            left -= room as u64;
            if chunks.blocking_send((packet, room)).is_err() {
                break;
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }
}

/// A file that is being read.
pub(crate) struct Reading {
    chunks: mpsc::Receiver<(Bytes, usize)>,
    thread: JoinHandle<Result<Hash, Fault>>,
}

impl Reading {
    /// The next chunk as an encoded packet, and how many bytes of the file are in it; `None` after the last one, or if reading
    /// failed.
    pub(crate) async fn next(&mut self) -> Option<(Bytes, usize)> {
        self.chunks.recv().await
    }

    /// The hash of everything, after the last chunk.
    ///
    /// # Errors
    /// Reading failed.
    pub(crate) async fn hash(self) -> Result<Hash, Fault> {
        drop(self.chunks);
        self.thread.await.unwrap_or_else(|_| Err(Fault::file("the file could not be read")))
    }
}
