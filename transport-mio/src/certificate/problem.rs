//! What is wrong with a certificate or its key, in sentences that say what to do.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem;

/// Why a certificate and its key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct TlsError {
    /// The file with the problem.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: TlsProblem,
}

/// What is wrong with the file of a certificate or a key.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsProblem {
    /// It cannot be read.
    Io(io::Error),
    /// It is PEM with a mistake in it.
    Damaged(pem::Error),
    /// It is DER instead of PEM.
    Der,
    /// It holds no certificate.
    NoCertificate,
    /// It holds no key.
    NoKey,
    /// It holds more than one key.
    SeveralKeys,
    /// The file of the certificate holds the key, and that of the key the certificate.
    Swapped,
    /// The key in it is encrypted.
    Encrypted,
    /// The key in it is of a kind that is not supported, or is damaged.
    UnsupportedKey,
    /// The key in it does not belong to the certificate.
    Mismatch,
    /// The certificate that belongs to the key is not the first in it.
    Order,
    /// The certificate in it cannot be used.
    Unusable(rustls::Error),
}

impl TlsProblem {
    pub(super) fn of(self, path: &Path) -> TlsError {
        TlsError { path: path.to_owned(), problem: self }
    }
}

/// What is wrong with a certificate or a key that is used all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TlsWarning {
    /// The certificate is not valid any more.
    Expired {
        /// Its file.
        path: PathBuf,
        /// Since when, in whole days.
        days: u64,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// Its file.
        path: PathBuf,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// Everybody on this machine may read the key.
    KeyExposed {
        /// Its file.
        path: PathBuf,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            TlsProblem::Io(source) => {
                write!(
                    f,
                    "the TLS file {path} cannot be read ({source}); check its name and that this user may read it"
                )
            }
            TlsProblem::Damaged(source) => {
                write!(f, "the TLS file {path} is damaged ({source:?}); copy it again from where it was made")
            }
            TlsProblem::Der => write!(
                f,
                "{path} is DER, and PEM is needed; for a certificate run: openssl x509 -inform der -in {path} -out NEW.pem, \
                 for a key: openssl pkey -inform der -in {path} -out NEW.pem"
            ),
            TlsProblem::NoCertificate => {
                write!(
                    f,
                    "{path} holds no certificate; name the PEM file with the certificate of the relay and its chain"
                )
            }
            TlsProblem::NoKey => {
                write!(f, "{path} holds no private key; name the PEM file with the key of the certificate")
            }
            TlsProblem::SeveralKeys => {
                write!(
                    f,
                    "{path} holds several private keys; leave only the one that belongs to the certificate"
                )
            }
            TlsProblem::Swapped => {
                write!(
                    f,
                    "{path} holds a key where the certificate is expected, and the other file the certificate; swap them"
                )
            }
            TlsProblem::Encrypted => write!(
                f,
                "the key in {path} is encrypted; decrypt it with: openssl pkey -in {path} -out NEW.pem && chmod 600 NEW.pem"
            ),
            TlsProblem::UnsupportedKey => write!(
                f,
                "the key in {path} is damaged or of a kind that is not supported; use ECDSA (P-256, P-384), RSA (2048 to 8192 bits) or Ed25519"
            ),
            TlsProblem::Mismatch => {
                write!(
                    f,
                    "the key in {path} does not belong to the certificate; name the key that it was issued for"
                )
            }
            TlsProblem::Order => write!(
                f,
                "the first certificate in {path} is not the one of the relay; put that first, and those that issued it behind"
            ),
            TlsProblem::Unusable(source) => {
                write!(f, "the certificate in {path} cannot be used ({source}); have it issued again")
            }
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            TlsProblem::Io(source) => Some(source),
            TlsProblem::Unusable(source) => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for TlsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { path, days } => write!(
                f,
                "the certificate in {} expired {days} days ago; most clients will refuse it",
                path.display()
            ),
            Self::NotYetValid { path, seconds } => write!(
                f,
                "the certificate in {} is valid only in {seconds} seconds; check the clock of this machine",
                path.display()
            ),
            Self::KeyExposed { path } => {
                let path = path.display();
                write!(f, "everybody on this machine may read the key {path}; run: chmod 600 {path}")
            }
        }
    }
}
