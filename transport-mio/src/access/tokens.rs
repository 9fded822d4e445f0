//! The tokens with which clients may connect.
//!
//! A file of text, one token per line: the BLAKE3 hash of the token in hex, and behind it whatever the operator wants to remember of it.
//! Empty lines, and what follows a `#`, are skipped. Who reads the file cannot connect with what it finds.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use blake3::Hash;
use zeroize::Zeroizing;

use crate::entropy;

/// Random bytes in a token: more than can ever be guessed.
const TOKEN_BYTES: usize = 16;
/// The longest file, in bytes. Every request is compared with every token.
const FILE_MAX: u64 = 1024 * 1024;

/// A token with which a client may connect: 32 hexadecimal digits. A secret of the client's.
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn draw() -> Result<Self, getrandom::Error> {
        let bytes = Zeroizing::new(entropy::draw::<TOKEN_BYTES>()?);
        let mut text = Zeroizing::new(String::with_capacity(2 * TOKEN_BYTES));
        for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            text.push(char::from_digit(digit.into(), 16).expect("four bits are one digit"));
        }
        Ok(Self(text))
    }

    /// What the client has to send.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What goes into the file of the relay.
    #[must_use]
    pub fn hash(&self) -> String {
        blake3::hash(self.0.as_bytes()).to_hex().to_string()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

/// The tokens that a relay knows, by their hashes.
#[derive(Clone)]
pub struct TokenFile {
    hashes: Vec<Hash>,
}

impl TokenFile {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, is longer than 1 MiB, has a line that is no hash, or holds none at all.
    pub fn load(path: &Path) -> Result<Self, TokenFileError> {
        let fail = |problem| TokenFileError { path: path.to_owned(), problem };
        let mut text = String::new();
        let file = File::open(path).map_err(|error| fail(TokenFileProblem::Io(error)))?;
        let read = file.take(FILE_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| fail(TokenFileProblem::Io(error)))?;
        if text.len() as u64 > FILE_MAX {
            return Err(fail(TokenFileProblem::TooLong));
        }
        Self::parse(&text).map_err(fail)
    }

    pub(super) fn parse(text: &str) -> Result<Self, TokenFileProblem> {
        let mut hashes = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            if let Some(word) = line.split_whitespace().next() {
                hashes.push(Hash::from_hex(word).map_err(|_| TokenFileProblem::Line(number))?);
            }
        }
        if hashes.is_empty() { Err(TokenFileProblem::Empty) } else { Ok(Self { hashes }) }
    }

    /// Tokens in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether it has none, which a file that was read never has.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this token is in it. Takes as long for every token that is as long, right or wrong.
    pub(super) fn holds(&self, token: &[u8]) -> bool {
        let hash = blake3::hash(token);
        // Hashes are compared in constant time, and each is.
        self.hashes.iter().fold(false, |found, known| found | (*known == hash))
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("len", &self.len()).finish()
    }
}

/// Why a file of tokens cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct TokenFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: TokenFileProblem,
}

/// What is wrong with a file of tokens.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenFileProblem {
    /// It cannot be read.
    Io(io::Error),
    /// It is longer than 1 MiB.
    TooLong,
    /// The line with this number, counted from 1, does not begin with a hash.
    Line(usize),
    /// It holds no token, so that nobody could connect.
    Empty,
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            TokenFileProblem::Io(source) => write!(
                f,
                "the token file {path} cannot be read ({source}); check its name and that this user may read it"
            ),
            TokenFileProblem::TooLong => {
                write!(
                    f,
                    "the token file {path} is longer than 1 MiB; remove tokens that are not used any more"
                )
            }
            TokenFileProblem::Line(number) => write!(
                f,
                "line {number} of the token file {path} does not begin with the hash of a token, 64 hexadecimal digits"
            ),
            TokenFileProblem::Empty => {
                write!(
                    f,
                    "the token file {path} holds no token, so that nobody could connect; make one and add its hash"
                )
            }
        }
    }
}

impl Error for TokenFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            TokenFileProblem::Io(source) => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_another_and_its_hash_is_known() {
        let [a, b] = [(); 2].map(|()| AccessToken::draw().unwrap());
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!((a.reveal().len(), a.hash().len()), (32, 64));
        assert_eq!(format!("{a:?}"), "AccessToken");
        let file =
            TokenFile::parse(&format!("# ours\n\n  {} \n{}\tname # note\r\n", a.hash(), b.hash())).unwrap();
        assert_eq!(file.len(), 2);
        assert!(file.holds(a.reveal().as_bytes()) && file.holds(b.reveal().as_bytes()));
        assert!(!file.holds(a.hash().as_bytes()) && !file.holds(b""));
        assert_eq!(format!("{file:?}"), "TokenFile { len: 2 }");
    }

    #[test]
    fn every_other_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let hash = AccessToken::draw().unwrap().hash();
        for (content, words) in [
            (String::new(), "holds no token"),
            (format!("# {hash}\n"), "holds no token"),
            (format!("{hash}\n\n{}\n", &hash[1..]), "line 3"),
            (format!("name {hash}\n"), "line 1"),
            (format!("{hash}\n").repeat(20_000), "longer than 1 MiB"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = TokenFile::load(&path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(TokenFile::load(&path).unwrap_err().to_string().contains("cannot be read"));
        let missing = TokenFile::load(&folder.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("missing cannot be read"), "{missing}");
    }
}
