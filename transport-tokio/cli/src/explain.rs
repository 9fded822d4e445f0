//! The library's errors in the person's language. English is the library's own.

use phantom_tokio::Error;
use rustls::CertificateError;

use crate::language::{self, Language};
use crate::message::Message;

/// Why a relay was not reached.
pub(crate) fn relay(error: &Error) -> String {
    if let Error::Certificate { relay, source: rustls::Error::InvalidCertificate(problem) } = error {
        let problem = certificate(problem);
        return Message::BadCertificate { relay, problem: &problem }.into();
    }
    match (language::current(), error) {
        (Language::English, error) => error.to_string(),
        (Language::Russian, error) => in_russian(error),
    }
}

/// What is wrong with a certificate.
fn certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Message::CertificateExpired.into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Message::CertificateEarly.into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Message::CertificateName.into()
        }
        CertificateError::UnknownIssuer => Message::CertificateIssuer.into(),
        CertificateError::Revoked => Message::CertificateRevoked.into(),
        other => other.to_string(),
    }
}

fn in_russian(error: &Error) -> String {
    match error {
        Error::Lookup { host, source } => {
            format!("у имени {host} нет адреса ({source}); проверьте, как оно пишется, и сеть")
        }
        Error::Tcp { relay, source } if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!(
                "по адресу {relay} никто не слушает; проверьте, работает ли ретранслятор, и адрес с портом"
            )
        }
        Error::Tcp { relay, source } => {
            format!("{relay} недоступен ({source}); проверьте сеть и межсетевой экран")
        }
        Error::Tls { relay, source } => {
            format!(
                "не удалось договориться о TLS с {relay} ({source}); если ретранслятор без TLS, пишите ws://"
            )
        }
        Error::Http { relay, status } => {
            format!("{relay} ответил статусом HTTP {status}; проверьте путь: возможно, это не ретранслятор")
        }
        Error::NotWebSocket { relay, source } => {
            format!(
                "{relay} не говорит по WebSocket ({source}); проверьте адрес с портом и не нужен ли wss://"
            )
        }
        Error::NotPhantom { relay } => {
            format!(
                "{relay} говорит по WebSocket, но это не ретранслятор Phantom этой версии; проверьте адрес"
            )
        }
        Error::Timeout { relay, .. } => format!("{relay} слишком долго не отвечает; проверьте адрес и сеть"),
        Error::Lost { relay } => format!("связь с {relay} пропала раньше, чем он дал ID; попробуйте ещё раз"),
        other => other.to_string(),
    }
}
