//! Whom a `wss://` relay's certificate must lead back to: the system's root certificates, and those that were given.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::Error;

/// The roots, and the connector made of them when it is first needed.
#[derive(Default)]
pub(crate) struct Roots {
    extra: Vec<CertificateDer<'static>>,
    connector: OnceCell<TlsConnector>,
}

impl Roots {
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
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse(format!("TLS cannot be set up ({error})")))?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}
