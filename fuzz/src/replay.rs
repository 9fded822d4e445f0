//! Inputs from files, without a fuzzer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use crate::Target;

/// Where the committed corpus of a target lies.
#[must_use]
pub fn corpus(target: &Target) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "corpus", target.name].iter().collect()
}

/// The files at `path`, which is one or a folder of some, in the order of their names.
///
/// # Errors
/// The path cannot be read.
pub fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

/// Runs a target on the files and folders given as arguments, or on its corpus if there are none, and says so on the way: the last
/// name printed is the one that panicked.
pub fn main(target: &Target) -> ExitCode {
    let mut paths: Vec<PathBuf> = env::args_os().skip(1).map(|path: OsString| path.into()).collect();
    if paths.is_empty() {
        paths.push(corpus(target));
    }
    for path in paths {
        let inputs = files(&path).and_then(|files| {
            files
                .into_iter()
                .map(|file| fs::read(&file).map(|data| (file, data)))
                .collect::<io::Result<Vec<_>>>()
        });
        match inputs {
            Ok(inputs) => {
                for (file, data) in inputs {
                    println!("{} ({} bytes)", file.display(), data.len());
                    target.run(&data);
                }
            }
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
