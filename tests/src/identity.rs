//! A relay's certificate and key, made for one run, and the files in which it finds them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::program::Result;

/// A certificate for `localhost` that nobody believes who has not been told to.
#[derive(Clone)]
pub struct Identity {
    /// The certificate as PEM.
    pub certificate: String,
    key: String,
}

/// Where a relay looks for its certificate and its key.
#[derive(Clone)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn make() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        Ok(Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
    }
}

impl Files {
    /// Files in this folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
    }

    /// Puts an identity there, in the place of another.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn install(&self, identity: &Identity) -> Result<()> {
        fs::write(&self.certificate, &identity.certificate)?;
        // A relay may refuse a key that others may read.
        let mut key =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.key)?;
        Ok(key.write_all(identity.key.as_bytes())?)
    }

    /// A relay's arguments.
    #[must_use]
    pub fn arguments(&self) -> [String; 4] {
        let [certificate, key] = [&self.certificate, &self.key].map(|file| file.display().to_string());
        ["--tls-certificate".to_owned(), certificate, "--tls-key".to_owned(), key]
    }
}
