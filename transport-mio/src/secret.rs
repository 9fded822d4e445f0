//! The file of a relay's secret, so that clients keep their IDs when the relay restarts.
//!
//! Text of one or two lines, readable by its owner only: `phantom-relay-secret NUMBER HEX`, the number from 0 to 255, the hex 64
//! digits. Tokens are made with the first; those made with the second are still honoured. To rotate, put a new line with another
//! number above the old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use phantom_core::relay::RelaySecret;
use zeroize::Zeroizing;

use crate::entropy;
use crate::error::{SecretProblem, StartError};

const WORD: &str = "phantom-relay-secret";
/// Longer than two lines.
const FILE_MAX: u64 = 512;

/// The secrets of a relay, as its file has them.
#[derive(Clone, Debug)]
pub struct SecretFile {
    /// What tokens are made with.
    pub secret: RelaySecret,
    /// What tokens were made with before.
    pub previous: Option<RelaySecret>,
}

impl SecretFile {
    /// Reads the file, or makes it with a new secret if there is none.
    ///
    /// # Errors
    /// If it cannot be read or made, if others than its owner may read it, or if it is something else.
    pub fn load_or_create(path: &Path) -> Result<Self, StartError> {
        let fail = |problem| StartError::Secret { path: path.to_owned(), problem };
        match File::open(path) {
            Ok(file) => load(file).map_err(fail),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = Zeroizing::new(entropy::draw::<32>().map_err(StartError::Entropy)?);
                create(path, &key).map_err(|error| fail(SecretProblem::Io(error)))?;
                Ok(Self { secret: RelaySecret::new(0, *key), previous: None })
            }
            Err(error) => Err(fail(SecretProblem::Io(error))),
        }
    }
}

fn load(file: File) -> Result<SecretFile, SecretProblem> {
    if is_exposed(&file).map_err(SecretProblem::Io)? {
        return Err(SecretProblem::Exposed);
    }
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX as usize));
    file.take(FILE_MAX).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => SecretProblem::Malformed,
        _ => SecretProblem::Io(error),
    })?;
    let mut secrets = text.lines().filter(|line| !line.trim().is_empty()).map(parse);
    let secret = secrets.next().flatten().ok_or(SecretProblem::Malformed)?;
    let previous = match secrets.next() {
        None => None,
        Some(line) => Some(line.ok_or(SecretProblem::Malformed)?),
    };
    if secrets.next().is_some() || previous.as_ref().is_some_and(|previous| previous.kid() == secret.kid()) {
        return Err(SecretProblem::Malformed);
    }
    Ok(SecretFile { secret, previous })
}

fn parse(line: &str) -> Option<RelaySecret> {
    let mut words = line.split_whitespace();
    let (word, number, hex) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    if word != WORD
        || words.next().is_some()
        || hex.len() != 64
        || !hex.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(RelaySecret::new(number, *key))
}

/// Makes the file whole or not at all: it is written under another name first.
fn create(path: &Path, key: &[u8; 32]) -> io::Result<()> {
    let mut line = Zeroizing::new(String::with_capacity(FILE_MAX as usize));
    line.push_str(WORD);
    line.push_str(" 0 ");
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            line.push(char::from_digit(digit.into(), 16).expect("four bits are one digit"));
        }
    }
    line.push('\n');
    let unfinished = unfinished(path);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = owner_only(OpenOptions::new().write(true).create_new(true)).open(&unfinished)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(unix)]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata()?.permissions());
    Ok(mode & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn problem(path: &Path) -> SecretProblem {
        match SecretFile::load_or_create(path) {
            Err(StartError::Secret { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn is_made_once_for_its_owner_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        SecretFile::load_or_create(&path).unwrap();
        let made = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let again = SecretFile::load_or_create(&path).unwrap();
        assert_eq!((again.secret.kid(), fs::read(&path).unwrap()), (0, made));
    }

    #[test]
    fn two_lines_are_the_secret_and_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let (new, old) = ("ab".repeat(32), "cd".repeat(32));
        write(&path, &format!("{WORD} 7 {new}\n{WORD} 6 {old}\n"), 0o600);
        let file = SecretFile::load_or_create(&path).unwrap();
        assert_eq!((file.secret.kid(), file.previous.unwrap().kid()), (7, 6));
    }

    #[test]
    fn anything_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let good = format!("{WORD} 7 {}\n", "ab".repeat(32));
        for bad in [
            "",
            "hello",
            &good[..40],
            &good.replace(" 7 ", " 256 "),
            &good.repeat(2),
            &good.replace("ab", "xy"),
        ] {
            write(&path, bad, 0o600);
            assert!(matches!(problem(&path), SecretProblem::Malformed), "{bad}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        write(&path, &good, 0o640);
        assert!(matches!(problem(&path), SecretProblem::Exposed));
        assert!(matches!(problem(&folder.path().join("no/such/folder")), SecretProblem::Io(_)));
    }
}
