//! The folder where things are made until all of it is there and right: beside their final place, readable for nobody else.
//!
//! Its name follows from the names of what comes, so that a later attempt finds it, and what is in it is the whole state of an
//! interrupted transfer: the length of a file says how far it is, and nothing in it is believed before both sides have the same hash of
//! it. It belongs to one program at a time. Links are made last, so that no file is ever written through one.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::message::Sentence;
use super::packets::{Hash, Kind, Part};
use super::part::Had;
use super::plan::{Item, Plan};
use super::talk::Refusal;
use super::target::{place, seen, write_refusal};
use crate::ui;

/// What is less than this is not worth keeping.
const KEEP_MIN_BYTES: u64 = 1 << 20;
/// To compare as much as this takes a time that one notices.
const NOTICE_MIN_BYTES: u64 = 256 << 20;
/// Of more files than this, not each is written through to the disk by itself, where the system can do it for all of them.
const SYNC_EACH_MAX: usize = 64;

/// A folder for unfinished things. Dropped, it is removed, unless enough is in it to go on with.
pub(super) struct Staging {
    root: PathBuf,
    folder: PathBuf,
    plan: Arc<Plan>,
    /// What is in it is of no use any more.
    worthless: bool,
    sync_each: bool,
    /// What is to be said of it after its end.
    epitaph: Arc<OnceLock<String>>,
    _lock: File,
}

/// What is there from an earlier time.
#[derive(Default)]
pub(super) struct Inventory {
    pub(super) parts: Vec<Part>,
    pub(super) had: HashMap<usize, Had>,
}

impl Staging {
    /// Makes the folder in `folder`, or finds it again.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn open(folder: &Path, plan: Arc<Plan>) -> Result<Self, Refusal> {
        let refuse =
            |error: io::Error| write_refusal(Sentence::NotMadeIn { folder: &folder.display() }, &error);
        let mut names = blake3::Hasher::new();
        for top in plan.tops() {
            names.update(top.path.as_os_str().as_encoded_bytes()).update(b"/");
        }
        let name = &names.finalize().to_hex()[..16];
        let root = folder.join(format!(".phantom-{name}.part"));
        let (root, lock) = match claim(&root) {
            Ok(claimed) => claimed,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(refuse(error)),
            // Another program is at work in it, or it is something else.
            Err(_) => {
                let root = tempfile::Builder::new().prefix(".phantom-").suffix(".part").tempdir_in(folder);
                claim(&root.map_err(refuse)?.keep()).map_err(refuse)?
            }
        };
        let sync_each = !cfg!(target_os = "linux") || plan.files() <= SYNC_EACH_MAX;
        let staging = Self {
            root,
            folder: folder.to_owned(),
            plan,
            worthless: false,
            sync_each,
            epitaph: Arc::default(),
            _lock: lock,
        };
        staging.tidy().and_then(|()| staging.make_folders()).map_err(refuse)?;
        Ok(staging)
    }

    /// Removes what does not belong to the plan.
    fn tidy(&self) -> io::Result<()> {
        let tree = self.tree();
        let (folders, files): (HashSet<_>, HashSet<_>) = {
            let (folders, rest): (Vec<_>, Vec<_>) =
                self.plan.items.iter().partition(|item| item.kind == Kind::Folder);
            let is_file = |item: &&Item| matches!(item.kind, Kind::File { .. });
            let path = |item: &Item| tree.join(&item.path);
            (folders.into_iter().map(path).collect(), rest.into_iter().filter(is_file).map(path).collect())
        };
        let mut waiting = vec![tree];
        while let Some(folder) = waiting.pop() {
            for child in fs::read_dir(&folder)? {
                let child = child?;
                let (path, kind) = (child.path(), child.file_type()?);
                match (kind.is_dir(), kind.is_file()) {
                    (true, _) if folders.contains(&path) => waiting.push(path),
                    (true, _) => fs::remove_dir_all(&path)?,
                    (_, true) if files.contains(&path) => {}
                    _ => fs::remove_file(&path)?,
                }
            }
        }
        Ok(())
    }

    fn make_folders(&self) -> io::Result<()> {
        for item in self.plan.items.iter().filter(|item| item.kind == Kind::Folder) {
            match fs::create_dir(self.path(item)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
        }
        Ok(())
    }

    fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    fn path(&self, item: &Item) -> PathBuf {
        self.tree().join(&item.path)
    }

    /// Looks at what is there from an earlier time. Reads all of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn inventory(&self) -> Result<Inventory, Refusal> {
        let refuse = |error| write_refusal(Sentence::PartsUnread, &error);
        let mut inventory = Inventory::default();
        if self.bytes() >= NOTICE_MIN_BYTES {
            ui::note(Sentence::Comparing);
        }
        for (entry, item) in self.plan.items.iter().enumerate() {
            let Kind::File { size: Some(size), .. } = item.kind else { continue };
            let path = self.path(item);
            let Ok(bytes) = path.symlink_metadata().map(|metadata| metadata.len().min(size)) else {
                continue;
            };
            if bytes == 0 {
                continue;
            }
            let mut hasher = blake3::Hasher::new();
            let file = options().read(true).open(&path).map_err(refuse)?;
            hasher.update_reader(file.take(bytes)).map_err(refuse)?;
            let hash: Hash = *hasher.finalize().as_bytes();
            inventory.parts.push(Part { entry: entry as u32, bytes, hash });
            inventory.had.insert(entry, Had::new(hasher, bytes, Some(size)));
        }
        Ok(inventory)
    }

    /// Opens a file to go on with after so many bytes.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn file(&self, item: &Item, from: u64) -> io::Result<File> {
        let path = self.path(item);
        let executable = matches!(item.kind, Kind::File { executable: true, .. });
        if from == 0 {
            // Made new, its permissions are those of this transfer.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => return create(&path, executable),
            }
        }
        let file = options().append(true).open(&path)?;
        file.set_len(from)?;
        Ok(file)
    }

    /// A file is written to its end.
    ///
    /// # Errors
    /// It does not reach the disk.
    pub(super) fn close(&self, file: &File) -> io::Result<()> {
        if self.sync_each { file.sync_all() } else { Ok(()) }
    }

    /// Everything is there and right: makes the links and gives everything its name. Returns the names.
    ///
    /// # Errors
    /// Something of that failed.
    pub(super) fn finish(&mut self, overwrite: bool) -> Result<Vec<PathBuf>, Refusal> {
        let refuse = |error| write_refusal(Sentence::FilesUnwritten, &error);
        for item in &self.plan.items {
            // What is whole from an earlier time may have had other permissions then.
            if let Kind::File { executable, .. } = item.kind {
                set_executable(&self.path(item), executable).map_err(refuse)?;
            }
        }
        for item in &self.plan.items {
            if let Kind::Link { target } = &item.kind {
                make_link(target, &self.path(item)).map_err(refuse)?;
            }
        }
        if !self.sync_each {
            sync_all(&self.root).map_err(refuse)?;
        }
        place(&self.tree(), &self.folder, &self.plan, overwrite)?;
        self.worthless = true;
        Ok(self.plan.tops().map(|top| self.folder.join(&top.path)).collect())
    }

    /// What is in it must not be used again.
    pub(super) fn condemn(&mut self) {
        self.worthless = true;
    }

    /// What is to be said when it is gone; nothing, most often.
    pub(super) fn epitaph(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.epitaph)
    }

    fn bytes(&self) -> u64 {
        let length = |item: &Item| match item.kind {
            Kind::File { size: Some(_), .. } => {
                self.path(item).symlink_metadata().map_or(0, |found| found.len())
            }
            _ => 0,
        };
        self.plan.items.iter().map(length).sum()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let root = seen(&self.root);
        if !self.worthless && self.bytes() >= KEEP_MIN_BYTES {
            let _set_once = self.epitaph.set(Sentence::KeptIn { folder: &root }.into());
        } else if let Err(error) = fs::remove_dir_all(&self.root) {
            let _set_once = self.epitaph.set(Sentence::NotRemoved { folder: &root, error: &error }.into());
        }
    }
}

/// Makes a folder, or takes one that is there: ours, and of no other program at the moment.
fn claim(root: &Path) -> io::Result<(PathBuf, File)> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(root) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let metadata = root.symlink_metadata()?;
    if !metadata.is_dir() || !is_own(&metadata) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let lock = options().create(true).append(true).open(root.join("lock"))?;
    lock_file(&lock)?;
    match fs::create_dir(root.join("tree")) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok((root.to_owned(), lock)),
    }
}

/// How a file in it is opened: never through a link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options
}

fn create(path: &Path, executable: bool) -> io::Result<File> {
    let mut options = options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if executable { 0o777 } else { 0o666 });
    let _elsewhere_nothing_is = executable;
    options.open(path)
}

#[cfg(unix)]
fn set_executable(path: &Path, executable: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = path.symlink_metadata()?.permissions().mode();
    // Who may read it may run it.
    let wanted = if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
    if wanted == mode { Ok(()) } else { fs::set_permissions(path, PermissionsExt::from_mode(wanted)) }
}

#[cfg(not(unix))]
fn set_executable(_: &Path, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn make_link(target: &[u8], path: &Path) -> io::Result<()> {
    let target: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(target.to_vec());
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn make_link(_: &[u8], path: &Path) -> io::Result<()> {
    ui::note(Sentence::OmitLink { path: &seen(path) });
    Ok(())
}

#[cfg(unix)]
fn is_own(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_own(_: &fs::Metadata) -> bool {
    true
}

#[cfg(unix)]
fn lock_file(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(not(unix))]
fn lock_file(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync_all(root: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(root)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_all(_: &Path) -> io::Result<()> {
    Ok(())
}
