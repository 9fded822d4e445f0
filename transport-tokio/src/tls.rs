//! Whom a `wss://` relay's certificate must lead back to: the system's root certificates and those that were given; or, if there are
//! pins, nobody: then it must be one of those, whatever its name, its dates and its issuer.

use std::sync::Arc;
use std::{error, fmt};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::{Error, Fingerprint};

/// The roots or pins, and the connector made of them when it is first needed.
#[derive(Default)]
pub(crate) struct Trust {
    extra: Vec<CertificateDer<'static>>,
    pins: Vec<Fingerprint>,
    connector: OnceCell<TlsConnector>,
}

impl Trust {
    pub(crate) fn pin(&mut self, pin: Fingerprint) {
        self.pins.push(pin);
    }

    /// Adds the certificates in a PEM text, of which there must be at least one.
    pub(crate) fn add_pem(&mut self, pem: &[u8]) -> Result<(), Error> {
        let refuse = |problem: &str| Error::Roots { problem: problem.to_owned() };
        let before = self.extra.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| refuse("the root certificate is not valid PEM"))?;
            let checked = RootCertStore::empty().add(certificate.clone());
            checked.map_err(|_| refuse("the root certificate is no X.509 certificate"))?;
            self.extra.push(certificate);
        }
        if self.extra.len() == before {
            return Err(refuse("there is no certificate in the PEM text"));
        }
        Ok(())
    }

    pub(crate) async fn connector(&self) -> Result<TlsConnector, Error> {
        self.connector.get_or_try_init(|| self.make_connector()).await.cloned()
    }

    async fn make_connector(&self) -> Result<TlsConnector, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Roots { problem: format!("TLS cannot be set up ({error})") })?;
        let mut config = if self.pins.is_empty() {
            builder.with_root_certificates(self.roots().await?).with_no_client_auth()
        } else {
            let verifier = Arc::new(Pinned { pins: self.pins.clone(), provider });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn roots(&self) -> Result<RootCertStore, Error> {
        let refuse = |problem: String| Error::Roots { problem };
        // Reading the system's certificates takes file access and tens of milliseconds.
        let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
            .await
            .map_err(|error| refuse(format!("the system's root certificates were not read ({error})")))?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.extra.iter().cloned());
        store.add_parsable_certificates(native.certs);
        if store.is_empty() {
            return Err(refuse("there are no root certificates to check the relay's with".to_owned()));
        }
        Ok(store)
    }
}

/// Takes the certificates that are pinned, and no other. That the relay holds the key is proved by its signature, as ever.
#[derive(Debug)]
struct Pinned {
    pins: Vec<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

/// A certificate that is not pinned.
#[derive(Debug)]
pub(crate) struct NotPinned(pub(crate) Fingerprint);

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate {} is not pinned", self.0)
    }
}

impl error::Error for NotPinned {}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = Fingerprint::of(end_entity);
        let key = Fingerprint::of(&ParsedCertificate::try_from(end_entity)?.subject_public_key_info());
        if self.pins.contains(&certificate) || self.pins.contains(&key) {
            return Ok(ServerCertVerified::assertion());
        }
        let error = OtherError(Arc::new(NotPinned(certificate)));
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(error)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
