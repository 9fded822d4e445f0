//! Every kind of file that is right, and every kind that is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};
use tempfile::TempDir;

use super::*;

/// A folder with what a test puts there.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn load(&self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<TlsConfig, TlsError> {
        let files =
            TlsFiles { certificate: self.put("certificate.pem", certificate), key: self.put("key.pem", key) };
        TlsConfig::load(&files)
    }
}

fn params() -> CertificateParams {
    CertificateParams::new(vec!["relay.example".to_owned()]).unwrap()
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params().self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn pem(kind: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {kind}-----\n");
    for three in der.chunks(3) {
        let value =
            three.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(value >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { digit.into() } else { '=' });
        }
    }
    text + &format!("\n-----END {kind}-----\n")
}

#[test]
fn every_kind_of_key_is_taken() {
    let folder = Folder::new();
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params().self_signed(&key).unwrap();
        let config = folder.load(certificate.pem(), key.serialize_pem()).unwrap();
        assert_eq!(config.warnings(), []);
    }
}

#[test]
fn what_openssl_writes_is_taken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates");
    for (certificate, key) in [
        ("rsa.pem", "rsa-pkcs8.key"),
        ("rsa.pem", "rsa-pkcs1.key"),
        ("ec.pem", "ec-sec1.key"),
        ("ec.pem", "ec-pkcs8.key"),
        ("ed25519.pem", "ed25519.key"),
    ] {
        let config =
            TlsConfig::load(&TlsFiles { certificate: folder.join(certificate), key: folder.join(key) });
        assert!(config.unwrap().expires() > Some(4_000_000_000), "{key}");
    }
    let encrypted = TlsFiles { certificate: folder.join("ed25519.pem"), key: folder.join("encrypted.key") };
    assert!(matches!(TlsConfig::load(&encrypted).unwrap_err().problem, TlsProblem::Encrypted));
}

#[test]
fn a_chain_is_taken_in_its_order_only() {
    let folder = Folder::new();
    let mut ca = params();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = params().signed_by(&key, &ca).unwrap();
    let config = folder.load(leaf.pem() + &ca.pem(), key.serialize_pem()).unwrap();
    assert_eq!(config.rustls().alpn_protocols, [HTTP]);
    let error = folder.load(ca.pem() + &leaf.pem(), key.serialize_pem()).unwrap_err();
    assert!(matches!(error.problem, TlsProblem::Order), "{error}");
}

#[test]
fn certificate_and_key_may_be_one_file() {
    let folder = Folder::new();
    let (certificate, key) = pair();
    let both = folder.put("both.pem", certificate + &key);
    TlsConfig::load(&TlsFiles { certificate: both.clone(), key: both }).unwrap();
}

#[test]
fn every_other_file_is_refused_by_name() {
    let folder = Folder::new();
    let (certificate, key) = pair();
    let (_, other_key) = pair();
    let der = KeyPair::generate().unwrap();
    let certificate_der = params().self_signed(&der).unwrap().der().to_vec();
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"whatever it is");
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let garbled = pem("CERTIFICATE", b"\x30\x03\x02\x01\x00");
    let cut = &certificate[..certificate.len() / 2];
    for (certificate, key, name, words) in [
        (&b"nothing"[..], key.as_bytes(), "certificate.pem", "holds no certificate"),
        (b"", key.as_bytes(), "certificate.pem", "holds no certificate"),
        (key.as_bytes(), key.as_bytes(), "certificate.pem", "holds no certificate"),
        (certificate.as_bytes(), b"nothing", "key.pem", "holds no private key"),
        (certificate.as_bytes(), certificate.as_bytes(), "key.pem", "holds no private key"),
        (certificate.as_bytes(), (key.clone() + &other_key).as_bytes(), "key.pem", "several private keys"),
        (certificate.as_bytes(), other_key.as_bytes(), "key.pem", "does not belong to the certificate"),
        (key.as_bytes(), certificate.as_bytes(), "certificate.pem", "swap them"),
        (certificate.as_bytes(), encrypted.as_bytes(), "key.pem", "openssl pkey -in"),
        (certificate.as_bytes(), old_encrypted.as_bytes(), "key.pem", "openssl pkey -in"),
        (&certificate_der, key.as_bytes(), "certificate.pem", "openssl x509 -inform der"),
        (certificate.as_bytes(), der.serialized_der(), "key.pem", "openssl pkey -inform der"),
        (certificate.as_bytes(), pem("PRIVATE KEY", b"\x30\x00").as_bytes(), "key.pem", "not supported"),
        (garbled.as_bytes(), key.as_bytes(), "certificate.pem", "cannot be used"),
        (cut.as_bytes(), key.as_bytes(), "certificate.pem", "damaged"),
    ] {
        let error = folder.load(certificate, key).expect_err(words);
        let text = error.to_string();
        assert!(text.contains(words), "{words}: {text}");
        assert!(error.path.ends_with(name) && text.contains(name), "{words}: {text}");
    }
    let missing =
        TlsFiles { certificate: folder.0.path().join("missing.pem"), key: folder.put("key.pem", key) };
    let text = TlsConfig::load(&missing).unwrap_err().to_string();
    assert!(text.contains("missing.pem cannot be read"), "{text}");
}

#[test]
fn what_an_operator_would_want_to_know_is_said() {
    let folder = Folder::new();
    let dated = |from: i32, until: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = params();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        folder.load(params.self_signed(&key).unwrap().pem(), key.serialize_pem()).unwrap()
    };
    let expired = dated(2001, 2002);
    assert!(matches!(expired.warnings(), [TlsWarning::Expired { days: 8000.., .. }]));
    assert_eq!(expired.expires(), Some(1_009_843_200));
    assert!(matches!(dated(2999, 3000).warnings(), [TlsWarning::NotYetValid { .. }]));
    assert_eq!(dated(2001, 3000).warnings(), []);

    let (certificate, key) = pair();
    let files = TlsFiles { certificate: folder.put("c.pem", certificate), key: folder.put("k.pem", key) };
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    let config = TlsConfig::load(&files).unwrap();
    assert_eq!(config.warnings(), [TlsWarning::KeyExposed { path: files.key.clone() }]);
    let shared_with_a_group = fs::Permissions::from_mode(0o640);
    fs::set_permissions(&files.key, shared_with_a_group).unwrap();
    assert_eq!(TlsConfig::load(&files).unwrap().warnings(), []);
}
