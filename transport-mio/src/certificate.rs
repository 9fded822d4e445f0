//! The certificate and the key of a relay: from two files to what every TLS connection is begun with.
//!
//! The rule: what can be used is used, and what a careful operator would want to know is a [warning](TlsWarning); what cannot be used
//! is refused with one sentence that names the file. Nothing is remembered of files that were refused.

mod problem;
mod validity;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys};
use zeroize::Zeroizing;

pub use self::problem::{TlsError, TlsProblem, TlsWarning};
use self::validity::Validity;
use crate::clock;

/// Longer than any chain of certificates that a client would read.
const FILE_MAX: u64 = 1024 * 1024;
/// What is spoken inside.
const HTTP: &[u8] = b"http/1.1";
/// The first byte of any certificate or key in DER.
const DER_SEQUENCE: u8 = 0x30;
#[cfg(unix)]
const READABLE_BY_OTHERS: u32 = 0o004;

/// Where the certificate and the key of a relay are. Both are PEM, and may be the same file.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate of the relay, then those that lead from it to one that clients know.
    pub certificate: PathBuf,
    /// Its key: ECDSA (P-256 or P-384), RSA or Ed25519, as PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// What TLS connections of a relay are begun with: TLS 1.2 and 1.3, session tickets, no early data. Cheap to clone.
#[derive(Clone)]
pub struct TlsConfig {
    rustls: Arc<rustls::ServerConfig>,
    warnings: Vec<TlsWarning>,
    validity: Option<Validity>,
}

impl TlsConfig {
    /// Reads both files.
    ///
    /// # Errors
    /// If one of them cannot be used, or they do not belong together.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let (certificate, key) = (&files.certificate, &files.key);
        let (chain_file, key_file) = (read(certificate)?, read(key)?);
        let chain: Vec<_> = chain_file.certificates().collect();
        let swapped = key_file.has_certificate() && chain_file.keys().next().is_some();
        if chain.is_empty() {
            let problem =
                if swapped { TlsProblem::Swapped } else { chain_file.without(TlsProblem::NoCertificate) };
            return Err(problem.of(certificate));
        }
        let mut keys = key_file.keys();
        let Some(first) = keys.next() else {
            let problem =
                if key_file.encrypted { TlsProblem::Encrypted } else { key_file.without(TlsProblem::NoKey) };
            return Err(problem.of(key));
        };
        if keys.next().is_some() {
            return Err(TlsProblem::SeveralKeys.of(key));
        }
        let provider = Arc::new(default_provider());
        let certified = certify(&provider, &chain, first).map_err(|(problem, guilty)| match guilty {
            Guilty::Certificate => problem.of(certificate),
            Guilty::Key => problem.of(key),
        })?;
        let validity = chain.first().and_then(|leaf| Validity::of(leaf));
        let mut warnings: Vec<_> = validity
            .and_then(|validity| validity.warning(certificate, clock::unix_now()))
            .into_iter()
            .collect();
        if key_file.exposed {
            warnings.push(TlsWarning::KeyExposed { path: key.clone() });
        }
        Ok(Self {
            rustls: Arc::new(
                serve(provider, certified).map_err(|error| TlsProblem::Unusable(error).of(certificate))?,
            ),
            warnings,
            validity,
        })
    }

    /// What is usable but not as it should be.
    #[must_use]
    pub fn warnings(&self) -> &[TlsWarning] {
        &self.warnings
    }

    /// When the certificate expires, in seconds of Unix time, if it says so in a way that is understood.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.validity.map(|validity| validity.until)
    }

    /// What rustls begins a connection with.
    pub(crate) fn rustls(&self) -> Arc<rustls::ServerConfig> {
        self.rustls.clone()
    }
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

/// What a file holds.
struct Pem {
    sections: Vec<(SectionKind, Zeroizing<Vec<u8>>)>,
    /// It holds a key under a passphrase.
    encrypted: bool,
    /// It is no PEM but what PEM is made from.
    der: bool,
    /// Everybody on this machine may read it.
    exposed: bool,
}

impl Pem {
    fn certificates(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.sections
            .iter()
            .filter(|(kind, _)| *kind == SectionKind::Certificate)
            .map(|(_, der)| CertificateDer::from(der.to_vec()))
    }

    fn has_certificate(&self) -> bool {
        self.certificates().next().is_some()
    }

    fn keys(&self) -> impl Iterator<Item = PrivateKeyDer<'static>> {
        self.sections.iter().filter_map(|(kind, der)| PrivateKeyDer::from_pem(*kind, der.to_vec()))
    }

    /// Why something is missing.
    fn without(&self, missing: TlsProblem) -> TlsProblem {
        if self.der { TlsProblem::Der } else { missing }
    }
}

fn read(path: &Path) -> Result<Pem, TlsError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| TlsProblem::Io(error).of(path))?;
    let exposed = is_exposed(&file);
    file.take(FILE_MAX).read_to_end(&mut bytes).map_err(|error| TlsProblem::Io(error).of(path))?;
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(&bytes)
        .map(|section| section.map(|(kind, der)| (kind, Zeroizing::new(der))))
        .collect::<Result<Vec<_>, _>>();
    let encrypted =
        contains(&bytes, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(&bytes, b"Proc-Type: 4,ENCRYPTED");
    let sections = match sections {
        Ok(sections) => sections,
        // The old way to encrypt a key puts lines into it that are no Base64.
        Err(_) if encrypted => Vec::new(),
        Err(error) => return Err(TlsProblem::Damaged(error).of(path)),
    };
    Ok(Pem { sections, encrypted, der: bytes.first() == Some(&DER_SEQUENCE), exposed })
}

#[cfg(unix)]
fn is_exposed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.mode() & READABLE_BY_OTHERS != 0)
}

#[cfg(not(unix))]
fn is_exposed(_file: &File) -> bool {
    false
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Which of the two files a problem is in.
enum Guilty {
    Certificate,
    Key,
}

/// The chain and the key, if they belong together.
fn certify(
    provider: &CryptoProvider,
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, (TlsProblem, Guilty)> {
    let key =
        provider.key_provider.load_private_key(key).map_err(|_| (TlsProblem::UnsupportedKey, Guilty::Key))?;
    let matches =
        |chain: &[CertificateDer<'static>]| CertifiedKey::new(chain.to_vec(), key.clone()).keys_match();
    match matches(chain) {
        // A key that does not say what it belongs to can only be believed.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(CertifiedKey::new(chain.to_vec(), key))
        }
        Err(Error::InconsistentKeys(_))
            if chain[1..].iter().any(|other| matches(std::slice::from_ref(other)).is_ok()) =>
        {
            Err((TlsProblem::Order, Guilty::Certificate))
        }
        Err(Error::InconsistentKeys(_)) => Err((TlsProblem::Mismatch, Guilty::Key)),
        Err(error) => Err((TlsProblem::Unusable(error), Guilty::Certificate)),
    }
}

fn serve(provider: Arc<CryptoProvider>, certified: CertifiedKey) -> Result<rustls::ServerConfig, Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![HTTP.to_vec()];
    // What is needed to resume a session lies with the client, in its ticket.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Ticketer::new()?;
    Ok(config)
}

#[cfg(test)]
mod tests;
