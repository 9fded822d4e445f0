//! The files that settings name: what they give the relay, and what is said if they cannot be used.

use std::fs::OpenOptions;
use std::path::Path;

use phantom_mio::{Access, SecretFile, StartError, TlsConfig, TlsFiles, TokenFile};

use super::fault::{Fault, Status};
use super::limits;
use super::logs::{self, LogError, LogGuard};
use super::settings::Effective;

/// The certificate and its key, if there are any. What is not as it should be is said in the log.
pub(crate) fn tls(effective: &Effective) -> Result<Option<TlsConfig>, Fault> {
    let Some(certificate) = effective.settings.tls_certificate.clone() else { return Ok(None) };
    let key = effective.settings.tls_key.clone().unwrap_or_else(|| certificate.clone());
    let config = TlsConfig::load(&TlsFiles { certificate: certificate.clone(), key }).map_err(|error| {
        let key = if error.path == certificate { "tls_certificate" } else { "tls_key" };
        Fault::new(Status::Tls, format!("{}: {error}", effective.name(key)))
    })?;
    for warning in config.warnings() {
        log::warn!("{warning}");
    }
    Ok(Some(config))
}

/// Who may come in, with the tokens of the file if there is one.
pub(crate) fn access(effective: &Effective) -> Result<Access, Fault> {
    let settings = &effective.settings;
    let tokens = settings.access_tokens.as_deref().map(TokenFile::load).transpose().map_err(|error| {
        Fault::new(Status::Access, format!("{}: {error}", effective.name("access_tokens")))
    })?;
    Ok(limits::access(settings, tokens))
}

/// The secret, made at the first start.
pub(crate) fn secret(effective: &Effective) -> Result<Option<SecretFile>, Fault> {
    let Some(path) = &effective.settings.secret_file else { return Ok(None) };
    SecretFile::load_or_create(path).map(Some).map_err(|error| unusable(effective, error))
}

fn unusable(effective: &Effective, error: StartError) -> Fault {
    let Fault { status, sentence } = error.into();
    Fault::new(status, format!("{}: {sentence}", effective.name("secret_file")))
}

/// Begins the log.
pub(crate) fn log(effective: &Effective) -> Result<LogGuard, Fault> {
    logs::start(&limits::log(&effective.settings)).map_err(|error| unwritable(effective, &error))
}

fn unwritable(effective: &Effective, error: &LogError) -> Fault {
    let sentence = error.to_string();
    match sentence.strip_prefix("log_file") {
        Some(rest) => Fault::new(Status::Log, format!("{}{rest}", effective.name("log_file"))),
        None => Fault::new(Status::System, sentence),
    }
}

/// Opens every file, and makes none.
pub(crate) fn check(effective: &Effective) -> Result<(), Vec<Fault>> {
    let settings = &effective.settings;
    let mut faults = Vec::new();
    if settings.secret_file.as_ref().is_some_and(|path| path.exists() || !in_a_folder(path)) {
        faults.extend(secret(effective).err());
    }
    faults.extend(tls(effective).err());
    faults.extend(access(effective).err());
    if let Some(path) = &settings.log_file
        && (path.exists() || !in_a_folder(path))
        && let Err(source) = OpenOptions::new().append(true).open(path)
    {
        faults.push(unwritable(effective, &LogError::File { path: path.clone(), source }));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Whether a file could be made there, as far as that can be seen.
fn in_a_folder(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir())
}
