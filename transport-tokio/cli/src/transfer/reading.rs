//! The files that are sent: read and hashed on a thread of their own, a little ahead of the network and no more.
//!
//! A file must be, from the first byte to the last, what it was when it was looked at. What the receiver has already is believed only
//! when its hash is that of the same bytes here.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender as Return};
use std::time::SystemTime;

use bytes::Bytes;
use phantom_core::packet::{self, Packet};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::message::Sentence;
use super::packets::{Anew, BATCH, Begin, Hash, Part, Reason, Sums, total};
use super::part::Had;
use super::source::{Origin, Source, size_of, unreadable};
use super::talk::Refusal;
use crate::fault::Fault;

/// Bytes that are read and hashed at once.
const READ_BYTES: usize = 256 * 1024;
/// Pieces that may wait for the network.
const AHEAD: usize = 4;

/// What the reading thread has to say.
pub(super) enum Piece {
    /// The next packet to send.
    Packet(Bytes),
    /// The next bytes of files, how many of the buffer they are, and of which entry the last of them are. The buffer is to be given back.
    Bytes { buffer: Vec<u8>, filled: usize, entry: usize },
    /// So many bytes are there already; of these entries, what is there is not the same any more.
    Compared { kept: u64, anew: Vec<u32> },
}

/// Files that are being read.
pub(super) struct Reading {
    pieces: mpsc::Receiver<Piece>,
    /// Buffers, to be filled again.
    sent: Return<Vec<u8>>,
    thread: JoinHandle<Result<Hash, Refusal>>,
}

impl Reading {
    /// Compares the parts that the other side has, and begins to read what it has not.
    pub(super) fn start(source: Source, parts: Vec<Part>) -> Self {
        let (out, pieces) = mpsc::channel(AHEAD);
        let (sent, empty) = std::sync::mpsc::channel();
        let reader = Reader {
            out,
            empty,
            buffer: vec![0; READ_BYTES],
            filled: 0,
            entry: 0,
            sums: Vec::new(),
            all: Vec::new(),
        };
        Self { pieces, sent, thread: spawn_blocking(move || reader.read(&source, parts)) }
    }

    /// The bytes of a piece are sent.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let _read_to_the_end = self.sent.send(buffer);
    }

    /// What comes next; `None` after the end, or if reading failed.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }

    /// What stands for all files, after the last piece.
    ///
    /// # Errors
    /// Reading failed.
    pub(super) async fn hash(self) -> Result<Hash, Refusal> {
        drop(self.pieces);
        let broken = || (Reason::Read, Fault::file(Sentence::NotRead));
        self.thread.await.unwrap_or_else(|_| Err(broken()))
    }
}

/// Nobody listens any more, or reading failed.
enum Halt {
    Unheard,
    Failed(Refusal),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Failed((Reason::Read, fault))
    }
}

struct Reader {
    out: mpsc::Sender<Piece>,
    /// Buffers that are sent.
    empty: Receiver<Vec<u8>>,
    /// The next bytes, so far filled.
    buffer: Vec<u8>,
    filled: usize,
    /// Whose bytes came last.
    entry: usize,
    /// The hashes of files whose bytes are sent, or in the buffer.
    sums: Vec<Hash>,
    all: Vec<Hash>,
}

impl Reader {
    fn read(mut self, source: &Source, parts: Vec<Part>) -> Result<Hash, Refusal> {
        match self.compare(source, parts).and_then(|had| self.send_all(source, had)) {
            Ok(()) => Ok(total(&self.all)),
            // Whoever listens no more does not ask for the hash.
            Err(Halt::Unheard) => Ok(total(&self.all)),
            Err(Halt::Failed(refusal)) => Err(refusal),
        }
    }

    /// What of the parts is the same here, each with the state of its hash.
    fn compare(&self, source: &Source, parts: Vec<Part>) -> Result<HashMap<usize, Had>, Halt> {
        let mut had = HashMap::new();
        let (mut anew, mut kept, mut least) = (Vec::new(), 0, 0);
        for part in parts {
            let entry = part.entry as usize;
            let size = source.entries.get(entry).and_then(size_of);
            if entry < least || part.bytes == 0 || size.is_none_or(|size| part.bytes > size) {
                return Err(Halt::Failed((Reason::Protocol, Fault::peer(Reason::Protocol.told()))));
            }
            least = entry + 1;
            let hasher = hash_beginning(&source.origins[entry], part.bytes)?;
            if hasher.finalize() == part.hash {
                kept += part.bytes;
                had.insert(entry, Had::new(hasher, part.bytes, size));
            } else {
                anew.push(part.entry);
            }
        }
        for entries in anew.chunks(BATCH) {
            self.say(&Anew { entries: entries.to_vec() })?;
        }
        self.say(&Begin)?;
        self.put(Piece::Compared { kept, anew })?;
        Ok(had)
    }

    fn send_all(&mut self, source: &Source, mut had: HashMap<usize, Had>) -> Result<(), Halt> {
        for (entry, origin) in source.origins.iter().enumerate() {
            self.entry = entry;
            let size = size_of(&source.entries[entry]);
            let (hasher, from) = match had.remove(&entry) {
                None => (blake3::Hasher::new(), 0),
                Some(Had::Part(hasher, from)) => (*hasher, from),
                Some(Had::Whole(hash)) => {
                    self.all.push(hash);
                    continue;
                }
            };
            let hash = match origin {
                Origin::None => continue,
                Origin::Text(text) => self.send(&mut &text[..], hasher, size, &Sentence::TheText)?,
                Origin::Input => {
                    self.send(&mut io::stdin().lock(), hasher, None, &Sentence::StandardInput)?
                }
                Origin::File { path, modified } => {
                    let mut file = open(path, size, *modified)?;
                    file.seek(SeekFrom::Start(from)).map_err(|error| unreadable(path, &error))?;
                    let left = size.map(|size| size - from);
                    let hash = self.send(&mut file, hasher, left, &path.display())?;
                    check_unchanged(&file, path, size, *modified)?;
                    hash
                }
            };
            self.all.push(hash);
            self.sums.push(hash);
            if self.sums.len() == BATCH {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// Sends so many bytes; all there are, if it is not known how many.
    fn send(
        &mut self,
        input: &mut impl Read,
        mut hasher: blake3::Hasher,
        left: Option<u64>,
        name: &dyn Display,
    ) -> Result<Hash, Halt> {
        let is_stream = left.is_none();
        let mut left = left.unwrap_or(u64::MAX);
        while left > 0 {
            let room = (READ_BYTES - self.filled).min(usize::try_from(left).unwrap_or(usize::MAX));
            let space = &mut self.buffer[self.filled..self.filled + room];
            let read = match input.read(space) {
                Ok(0) if is_stream => break,
                Ok(0) => {
                    return Err(Fault::file(Sentence::Shorter { name }).into());
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Fault::file(Sentence::ReadStopped { name, error: &error }).into());
                }
            };
            hasher.update(&space[..read]);
            self.filled += read;
            left -= read as u64;
            // What a person or a program says is not kept waiting for more.
            if self.filled == READ_BYTES || is_stream {
                self.flush_bytes()?;
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    fn flush(&mut self) -> Result<(), Halt> {
        self.flush_bytes()?;
        if self.sums.is_empty() {
            return Ok(());
        }
        let hashes = std::mem::take(&mut self.sums);
        self.say(&Sums { hashes })
    }

    fn flush_bytes(&mut self) -> Result<(), Halt> {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return Ok(());
        }
        let empty = self.empty.try_recv().unwrap_or_else(|_| vec![0; READ_BYTES]);
        let buffer = std::mem::replace(&mut self.buffer, empty);
        self.put(Piece::Bytes { buffer, filled, entry: self.entry })
    }

    fn say<P: Packet>(&self, packet: &P) -> Result<(), Halt> {
        self.put(Piece::Packet(packet::encode(packet).expect("every packet has a form")))
    }

    fn put(&self, piece: Piece) -> Result<(), Halt> {
        self.out.blocking_send(piece).map_err(|_| Halt::Unheard)
    }
}

/// Hashes the first bytes of a file; fewer, if it has become shorter.
fn hash_beginning(origin: &Origin, bytes: u64) -> Result<blake3::Hasher, Fault> {
    let mut hasher = blake3::Hasher::new();
    match origin {
        Origin::File { path, .. } => {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            hasher.update_reader(file.take(bytes)).map_err(|error| unreadable(path, &error))?;
        }
        Origin::Text(text) => {
            hasher.update(&text[..text.len().min(usize::try_from(bytes).unwrap_or(usize::MAX))]);
        }
        Origin::Input | Origin::None => {}
    }
    Ok(hasher)
}

fn open(path: &Path, size: Option<u64>, modified: Option<SystemTime>) -> Result<File, Fault> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    check_unchanged(&file, path, size, modified)?;
    Ok(file)
}

/// A file that was written meanwhile has no content that could be told.
fn check_unchanged(
    file: &File,
    path: &Path,
    size: Option<u64>,
    modified: Option<SystemTime>,
) -> Result<(), Fault> {
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    let path = &path.display();
    match size {
        Some(size) if metadata.len() < size => Err(Fault::file(Sentence::Shorter { name: path })),
        Some(size) if metadata.len() != size || metadata.modified().ok() != modified => {
            Err(Fault::file(Sentence::Changed { path }))
        }
        _ => Ok(()),
    }
}
