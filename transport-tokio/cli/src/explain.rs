//! The library's errors in the person's language. English is the library's own.

use phantom_core::crypto::KeyError;
use phantom_tokio::{Answer, AskError, ChannelError, End, Error, ProxyProblem};
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

/// Why there is no channel.
pub(crate) fn request(error: AskError) -> String {
    let text = match (language::current(), error) {
        (Language::Russian, AskError::Answer(answer)) => match answer {
            Answer::SourceAlreadyConnected => "тот, кто просит, уже соединён",
            Answer::TargetAlreadyConnected => "другая сторона уже с кем-то соединена",
            Answer::TargetNotFound => "на этом ретрансляторе нет никого с таким ID",
            Answer::NotConnected => "такого запроса или канала больше нет",
            Answer::Declined => "другая сторона отказала",
            Answer::RequestOpen => "запрос уже ждёт ответа",
            Answer::Withdrawn => "запрос отозван",
            Answer::Expired => "вовремя никто не ответил; попробуйте ещё раз",
            Answer::Throttled => "слишком много запросов; подождите и попробуйте ещё раз",
            Answer::Refused => "правила ретранслятора этого не разрешают",
            Answer::VersionUnsupported => "у программ разные версии; обновите ту, что старше",
            Answer::Unavailable => "ответа нет: другая сторона ушла, занята или не хочет отвечать",
            Answer::Left => "другая сторона ушла",
            Answer::OwnId => "это ваш собственный ID; нужен ID другой стороны",
            other => return other.to_string(),
        },
        (_, error) => return error.to_string(),
    };
    text.to_owned()
}

/// What is wrong with a channel.
pub(crate) fn channel(error: ChannelError) -> String {
    let text = match (language::current(), error) {
        (_, ChannelError::Ended { end: why, .. }) => return end(why),
        (Language::Russian, ChannelError::KeysDiffer { .. }) => "ключи не совпадают; сверьте их",
        (Language::Russian, ChannelError::HandshakeAltered) => {
            "ретранслятор исказил согласование ключа; если повторится, возьмите другой"
        }
        (Language::Russian, ChannelError::PeerSilent) => {
            "другая сторона не подтверждает ключ; возможно, она ушла"
        }
        (Language::Russian, ChannelError::Locked { failed }) => {
            return format!(
                "неудачных попыток с этим ключом: {failed}; возможно, его подбирают; задайте другой"
            );
        }
        (_, error) => return error.to_string(),
    };
    text.to_owned()
}

/// Why a channel is over.
pub(crate) fn end(end: End) -> String {
    let text = match (language::current(), end) {
        (Language::Russian, End::Finished) => "канал закрыт, как положено; всё дошло",
        (Language::Russian, End::Truncated) => "другая сторона вовремя не вернулась",
        (Language::Russian, End::Disconnected) => "канал закрыт этой стороной",
        (Language::Russian, End::Left(_)) => "канал оборвался раньше, чем был защищён",
        (Language::Russian, End::NeverSecured) => "стороны вовремя не договорились о ключе",
        (Language::Russian, End::HandshakeInvalid) => "другая сторона неверно согласует ключ",
        (Language::Russian, End::TooManyRuns) => "слишком много неудачных попыток договориться о ключе",
        (Language::Russian, End::Tampered { .. }) => "данные исказили по дороге; ничего из них не взято",
        (Language::Russian, End::Violation) => "другая сторона нарушила протокол",
        (Language::Russian, End::RelayLoss) => "ретранслятор раз за разом теряет данные; возьмите другой",
        (Language::Russian, End::Aborted { .. }) => "другая сторона сразу закрыла канал",
        (Language::Russian, End::Exhausted) => "канал перенёс всё, что мог; откройте новый",
        (_, end) => return end.to_string(),
    };
    text.to_owned()
}

/// Why a text is no key.
pub(crate) fn key(error: KeyError) -> String {
    let text = match (language::current(), error) {
        (Language::Russian, KeyError::Empty) => "ключ пуст",
        (Language::Russian, KeyError::TooLong) => "ключ слишком длинный",
        (Language::Russian, KeyError::Typo) => {
            "это похоже на созданный ключ с опечаткой; исправьте её или, если это ваша фраза, добавьте в неё знак"
        }
        (_, error) => return error.to_string(),
    };
    text.to_owned()
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
        Error::Proxy { proxy, relay, problem } => match problem {
            ProxyProblem::Lookup(source) => {
                format!("у имени прокси {proxy} нет адреса ({source}); проверьте, как оно пишется")
            }
            ProxyProblem::Tcp(source) => {
                format!("прокси {proxy} недоступен ({source}); проверьте его адрес или обойдитесь без прокси")
            }
            ProxyProblem::Credentials => {
                format!("прокси {proxy} хочет другие имя и пароль; они пишутся в его адресе перед @")
            }
            ProxyProblem::Refused { answer } => {
                format!(
                    "прокси {proxy} не пускает к {relay} ({answer}); проверьте адрес и разрешён ли там порт"
                )
            }
            problem => format!("{proxy} ведёт себя не как такой прокси ({problem:?}); проверьте его адрес"),
        },
        Error::NotPinned { relay, found } => {
            format!(
                "сертификат {relay} — не из закреплённых; его SHA-256: {found}. Если у ретранслятора новый сертификат, \
                 спросите владельца; если нет, кто-то может стоять посередине"
            )
        }
        Error::Unauthorized { relay, had_token: false } => {
            format!("{relay} требует токен доступа; попросите его у владельца")
        }
        Error::Unauthorized { relay, had_token: true } => {
            format!("{relay} не знает этого токена доступа; проверьте его или попросите новый")
        }
        Error::Refused { relay, code } => format!("ретранслятор {relay} закрыл соединение: {code}"),
        Error::Http { relay, status: 403 } => {
            format!("{relay} не пускает с этого адреса (статус HTTP 403); спросите владельца")
        }
        Error::Http { relay, status: 429 } => {
            format!("{relay}: отсюда слишком много соединений (статус HTTP 429); подождите")
        }
        Error::Http { relay, status: status @ 500..=599 } => {
            format!("{relay} не работает (статус HTTP {status}); попробуйте позже или другой ретранслятор")
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
