//! Certificates made for one test, and clients that trust them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use phantom_core::id::PeerId;
use phantom_mio::{TlsConfig, TlsFiles};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use super::{Client, tcp};

pub type TlsStream<S = TcpStream> = StreamOwned<ClientConnection, S>;

/// The files of a relay, and what a client has to know of them.
pub struct Identity {
    pub files: TlsFiles,
    pub certificate: CertificateDer<'static>,
    _folder: TempDir,
}

impl Identity {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("certificate.pem"),
            key: folder.path().join("key.pem"),
        };
        let certificate = renew(&files);
        Self { files, certificate, _folder: folder }
    }

    pub fn stored(certificate: &str, key: &str) -> Self {
        let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates");
        let files = TlsFiles { certificate: stored.join(certificate), key: stored.join(key) };
        let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
        Self { files, certificate, _folder: tempfile::tempdir().unwrap() }
    }

    pub fn load(&self) -> TlsConfig {
        TlsConfig::load(&self.files).unwrap()
    }

    pub fn client(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> Arc<ClientConfig> {
        trusting(&self.certificate, versions, alpn)
    }

    /// Connected, and no more.
    pub fn dial(&self, address: SocketAddr) -> TlsStream {
        self.over(tcp(address))
    }

    /// TLS over whatever carries bytes.
    pub fn over<S: Read + Write>(&self, carrier: S) -> TlsStream<S> {
        let config = self.client(&[&TLS13, &TLS12], &[]);
        StreamOwned::new(ClientConnection::new(config, "relay.example".try_into().unwrap()).unwrap(), carrier)
    }

    pub fn join(&self, address: SocketAddr) -> (Client<TlsStream>, PeerId) {
        let mut client = Client::over(self.dial(address));
        let welcome = client.register(2);
        (client, welcome.id)
    }
}

/// Puts a new certificate and its key into these files.
pub fn renew(files: &TlsFiles) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["relay.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(&files.certificate, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    certificate.der().clone()
}

pub fn trusting(
    certificate: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

pub fn stream(address: SocketAddr, config: Arc<ClientConfig>) -> TlsStream {
    let session = ClientConnection::new(config, "relay.example".try_into().unwrap()).unwrap();
    StreamOwned::new(session, tcp(address))
}
