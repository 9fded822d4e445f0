//! Every sentence of the program, in every language it has. Those about files are in `transfer`.
//!
//! A message without a translation does not compile, nor does a translation that forgets one of the message's values. Messages name
//! no secret, and end with a full stop where they stand alone; those that follow `phantom:` do not.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use phantom_core::id::PeerId;

use crate::endpoint::Endpoint;

macro_rules! messages {
    (
        $(#[$doc:meta])* $messages:ident {
            $($name:ident $({ $($field:ident: $type:ty),+ })? => $english:literal, $russian:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) enum $messages<'a> {
            $($name $({ $($field: $type),+ })?,)*
        }

        impl std::fmt::Display for $messages<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                use $crate::language::{Language, current};

                match (self, current()) {
                    $(
                        (Self::$name $({ $($field),+ })?, Language::English) => write!(f, $english),
                        (Self::$name $({ $($field),+ })?, Language::Russian) => write!(f, $russian),
                    )*
                }
            }
        }

        impl From<$messages<'_>> for String {
            fn from(message: $messages<'_>) -> Self {
                message.to_string()
            }
        }
    };
}
pub(crate) use messages;

messages! {
    /// Something to be said to the person at the terminal.
    Message {
    // Meeting.
    InvitationIs =>
        "Your invitation:",
        "Ваше приглашение:";
    RunThere =>
        "On the other side, run:",
        "На другой стороне выполните:";
    Waiting =>
        "Waiting for the other side. Ctrl-C ends it.",
        "Ждём другую сторону. Ctrl-C — закончить.";
    RelayInterrupted =>
        "The connection to the relay is interrupted; trying again.",
        "Связь с ретранслятором прервана; пробуем снова.";
    RelayBack =>
        "The relay is there again.",
        "Ретранслятор снова на связи.";
    InvitationVoid =>
        "The old invitation is void; this is the new one.",
        "Прежнее приглашение недействительно, вот новое.";
    Asks { guest: PeerId } =>
        "{guest} asks to connect; accepted.",
        "{guest} просит соединения; принято.";
    Secured =>
        "Secured: the other side has the same key.",
        "Канал защищён: у другой стороны тот же ключ.";
    OtherKey { guest: PeerId } =>
        "{guest} has another key and was sent away. Still waiting.",
        "У {guest} другой ключ; ему отказано. Ждём дальше.";
    NotIn { guest: PeerId, error: &'a dyn fmt::Display } =>
        "{guest} did not get in: {error}. Still waiting.",
        "{guest} не вошёл: {error}. Ждём дальше.";
    NoKeyInTime { guest: PeerId } =>
        "{guest} showed no key in time and was sent away. Still waiting.",
        "{guest} вовремя не показал ключ; ему отказано. Ждём дальше.";
    Asking { host: PeerId } =>
        "Asking {host} to connect.",
        "Просим {host} о соединении.";
    Nobody { host: PeerId } =>
        "nobody with the ID {host} is at the relay; ask the other side whether it still waits, or for a new invitation",
        "на ретрансляторе нет никого с ID {host}; спросите другую сторону, ждёт ли она ещё, или попросите новое приглашение";
    Unreached { host: PeerId, error: &'a dyn fmt::Display } =>
        "{host} was not reached: {error}",
        "соединиться с {host} не удалось: {error}";
    KeysDiffer =>
        "the keys differ: the key in the invitation is not the one that the other side has; ask for the invitation again",
        "ключи не совпадают: в приглашении не тот ключ, что у другой стороны; попросите прислать приглашение ещё раз";
    RelayUnreached { relay: &'a str, error: &'a str } =>
        "the relay {relay} was not reached: {error}",
        "ретранслятор {relay} недоступен: {error}";
    RelayGone =>
        "the relay is gone; start again",
        "ретранслятор пропал; начните заново";
    KeyUnusable { error: &'a dyn fmt::Display } =>
        "the key cannot be used: {error}",
        "ключ не годится: {error}";
    RelayUnusable { error: &'a dyn fmt::Display } =>
        "the relay cannot be used: {error}",
        "адрес ретранслятора не годится: {error}";

    RelayFound { relay: &'a dyn fmt::Display } =>
        "No relay was named; using the one on this machine, {relay}.",
        "Ретранслятор не указан; берём тот, что работает на этой машине: {relay}.";
    RelayHere { relay: &'a dyn fmt::Display } =>
        "This program is the relay while it runs, at {relay}. The other side must be able to reach this machine there; through most home routers it cannot, and then --relay names a relay that both reach.",
        "Ретранслятором, пока работает, служит сама эта программа: {relay}. Другая сторона должна достучаться до этой машины по этому адресу; через домашний роутер обычно нельзя, и тогда параметром --relay укажите ретранслятор, доступный обоим.";
    OrThere =>
        "If that address is not reached, one of these may be:",
        "Если этот адрес недоступен, может подойти один из этих:";

    // Invitations and keys.
    WordsBits { words: u8, bits: u32 } =>
        "The key is {words} random words ({bits} bits) and one that checks them. Nobody can try more than a few guesses.",
        "Ключ — это слова наугад (их {words}, {bits} бит) и одно проверочное. Больше нескольких догадок проверить никто не сможет.";
    NoEntropy { error: &'a dyn fmt::Display } =>
        "the system gave no random bytes ({error}); without them no key is safe",
        "система не дала случайных байтов ({error}); без них надёжного ключа не будет";
    WordsCheck =>
        "the words do not belong together: one of them is wrong, or they are in another order",
        "слова не подходят друг к другу: одно из них неверно, или порядок другой";
    WordUnknown { word: &'a str, nearest: &'a str } =>
        "there is no word {word} in a key; is it {nearest}?",
        "слова {word} в ключах не бывает; может быть, {nearest}?";
    QrTooLong =>
        "The invitation is too long for a QR code.",
        "Приглашение слишком длинное для QR-кода.";
    QrTooWide { columns: usize, width: usize } =>
        "The QR code needs {columns} columns, and the terminal has {width}.",
        "QR-коду нужно столбцов: {columns}, а в терминале их {width}.";
    Copied =>
        "The invitation was given to the terminal's clipboard.",
        "Приглашение передано в буфер обмена терминала.";
    NoClipboard =>
        "There is no terminal whose clipboard could take the invitation.",
        "Нет терминала, в буфер обмена которого можно скопировать приглашение.";
    AskInvitation =>
        "Invitation or ID: ",
        "Приглашение или ID: ";
    AskRelay =>
        "Relay: ",
        "Ретранслятор: ";
    AskKey =>
        "Key (Tab completes words): ",
        "Ключ (Tab дополняет слова): ";
    Again { error: &'a dyn fmt::Display } =>
        "{error}.",
        "{error}.";
    NotAnInvitation =>
        "this is no invitation; copy the whole line that begins with phantom:// from the other side",
        "это не приглашение; скопируйте с другой стороны всю строку, которая начинается с phantom://";
    InvitationScheme =>
        "an invitation begins with phantom:// or phantoms://",
        "приглашение начинается с phantom:// или phantoms://";
    InvitationRelay { error: &'a dyn fmt::Display } =>
        "in the invitation, {error}",
        "в приглашении {error}";
    InvitationId =>
        "the ID in the invitation is not valid: before the # stand exactly six letters or digits, for example AF83X1",
        "ID в приглашении неверен: перед # стоят ровно шесть букв или цифр, например AF83X1";
    InvitationNoKey =>
        "the invitation has no key: after the ID comes # and the key; put the invitation in quotes",
        "в приглашении нет ключа: после ID идут # и ключ; возьмите приглашение в кавычки";
    InvitationDamaged =>
        "the key in the invitation was damaged when it was copied; copy it again",
        "ключ в приглашении повреждён при копировании; скопируйте ещё раз";
    InvitationTypo =>
        "the key in the invitation has a typo; compare it with the original, or copy it again",
        "в ключе приглашения опечатка; сверьте его с оригиналом или скопируйте ещё раз";
    InvitationKey { error: &'a dyn fmt::Display } =>
        "the key in the invitation cannot be used: {error}",
        "ключ в приглашении не годится: {error}";
    AddressScheme =>
        "the address of a relay begins with ws:// or wss://, for example ws://127.0.0.1:7777",
        "адрес ретранслятора начинается с ws:// или wss://, например ws://127.0.0.1:7777";
    AddressHost =>
        "the host of the relay is not valid; write a name or an address, for example relay.example.org",
        "узел ретранслятора неверен; нужно имя или адрес, например relay.example.org";
    AddressPort =>
        "the port of the relay is not a number from 1 to 65535",
        "порт ретранслятора — не число от 1 до 65535";
    AddressPath =>
        "the path of the relay has characters that a URL cannot have",
        "в пути ретранслятора есть знаки, которых в URL быть не может";
    NoInvitation =>
        "no invitation was given",
        "приглашение не введено";

    CertificateUnread { path: &'a dyn fmt::Display, error: &'a io::Error } =>
        "the certificate {path} cannot be read: {error}",
        "сертификат {path} не читается: {error}";

    // Settings.
    ConfigLine { path: &'a dyn fmt::Display, line: usize, problem: &'a str } =>
        "{path}, line {line}: {problem}",
        "{path}, строка {line}: {problem}";
    ConfigUnread { path: &'a dyn fmt::Display, error: &'a io::Error } =>
        "{path} cannot be read: {error}",
        "{path} не читается: {error}";
    ConfigText { key: &'a str } =>
        "{key} is a text in quotes",
        "{key} — это строка в кавычках";
    ConfigKey { key: &'a str, known: &'a str } =>
        "there is no setting {key}; known is {known}",
        "настройки {key} нет; есть {known}";

    // The way to the other side.
    Interrupted =>
        "Interrupted; waiting for the other side to come back. Nothing is lost.",
        "Связь прервана; ждём возвращения другой стороны. Ничего не потеряно.";
    Resumed =>
        "The other side is there again.",
        "Другая сторона снова на связи.";
    ClosedEarly =>
        "the other side closed the channel before everything was done",
        "другая сторона закрыла канал раньше, чем всё было сделано";
    PeerStopped =>
        "the other side stopped",
        "другая сторона остановилась";
    PeerLost =>
        "the connection was interrupted and the other side did not come back in time; start again",
        "связь прервалась, и другая сторона вовремя не вернулась; начните заново";
    PeerLeftUnsecured =>
        "the other side left before it was known whether the keys are the same",
        "другая сторона ушла раньше, чем стало ясно, совпадают ли ключи";
    PeerLeft =>
        "the other side left",
        "другая сторона ушла";
    OtherProgram { program: &'a str } =>
        "the other side does something else; is it {program} that runs there?",
        "другая сторона делает что-то другое; там точно запущено {program}?";
    Misunderstood =>
        "the two programs do not understand each other; update the older one",
        "программы не понимают друг друга; обновите ту, что старше";
    Stopped =>
        "stopped",
        "остановлено";

    // The chat.
    Talking { peer: PeerId } =>
        "You talk with {peer}. Ctrl-D ends it.",
        "Вы говорите с {peer}. Ctrl-D — закончить.";
    ChatOver =>
        "The chat is over: somebody left, and everything said has arrived.",
        "Разговор окончен: кто-то ушёл, и всё сказанное дошло.";
    PeerAway { peer: PeerId } =>
        "{peer} has left. The invitation still holds: whoever has it can come back. Ctrl-D ends the chat.",
        "{peer} ушёл. Приглашение ещё действует: по нему можно вернуться. Ctrl-D — закончить.";
    SaidLater =>
        "Nobody is there now; this is sent when somebody is.",
        "Сейчас никого нет; отправим, когда кто-нибудь придёт.";
    Undelivered { lines: u64 } =>
        "Not delivered: {lines} of your lines. Say them again.",
        "Не доставлено ваших строк: {lines}. Повторите их.";
    NeverHeard { lines: usize } =>
        "the chat has ended with lines that nobody heard: {lines}",
        "разговор окончен, а часть строк никто не услышал: {lines}";
    Delivered =>
        "✓ delivered",
        "✓ доставлено";
    LinesDelivered { lines: u64 } =>
        "✓ {lines} lines delivered",
        "✓ доставлено строк: {lines}";

    // Pipe and forward.
    InputUnread { error: &'a io::Error } =>
        "standard input cannot be read: {error}",
        "не удаётся прочитать стандартный ввод: {error}";
    OutputUnwritten { error: &'a io::Error } =>
        "standard output cannot be written: {error}",
        "не удаётся записать в стандартный вывод: {error}";
    NoEndpoint =>
        "write a port, or host:port, for example 2222 or localhost:22",
        "нужен порт или узел:порт, например 2222 или localhost:22";
    ListenOrTo =>
        "name a port with --listen, or a target with --to",
        "укажите порт (--listen) или цель (--to)";
    NotListening { address: &'a Endpoint, error: &'a io::Error } =>
        "nothing can be accepted at {address}: {error}; choose another port",
        "принимать соединения на {address} нельзя: {error}; выберите другой порт";
    Listening { address: SocketAddr } =>
        "Connections to {address} go to the other side's target. Ctrl-C ends it.",
        "Соединения с {address} ведут к цели на другой стороне. Ctrl-C — закончить.";
    LeadsTo { target: &'a str } =>
        "Connections of the other side go to {target}. Ctrl-C ends it.",
        "Соединения другой стороны ведут к {target}. Ctrl-C — закончить.";
    SameSide =>
        "both sides do the same: one has to --listen, the other to name the target with --to",
        "обе стороны делают одно и то же: одна должна слушать (--listen), другая — назвать цель (--to)";
    NotAccepted { error: &'a io::Error } =>
        "A connection was not accepted: {error}.",
        "Соединение не принято: {error}.";
    TargetUnreached { target: &'a str, error: &'a io::Error } =>
        "{target} was not reached: {error}.",
        "{target}: соединиться не удалось: {error}.";
    TargetUnreachedThere =>
        "The other side did not reach its target; see the message there.",
        "Другая сторона не достучалась до своей цели; причина сказана там.";

    // Doctor and bench.
    NameRelay =>
        "name a relay, for example wss://relay.example.org",
        "укажите ретранслятор, например wss://relay.example.org";
    DoctorWell { relay: &'a dyn fmt::Display } =>
        "The relay {relay} is well.",
        "Ретранслятор {relay} в порядке.";
    DoctorIll { step: &'a dyn fmt::Display } =>
        "this step fails: {step}",
        "не получается шаг: {step}";
    Try { advice: &'a dyn fmt::Display } =>
        "Try: {advice}",
        "Что попробовать: {advice}";
    StepLookup => "name lookup", "поиск адреса по имени";
    StepProxy => "proxy", "прокси";
    StepTcp => "TCP connection", "соединение TCP";
    StepTls => "TLS", "TLS";
    StepWebSocket => "WebSocket", "WebSocket";
    StepVersion => "protocol version", "версия протокола";
    StepRegistration => "registration", "регистрация";
    StepRoundTrip => "round trip to the relay", "время до ретранслятора и обратно";
    StepEcho => "echo through a channel", "эхо через канал";
    TooLong =>
        "it took too long",
        "слишком долго";
    NoAddress =>
        "the name has no address",
        "у имени нет адреса";
    EchoDiffers =>
        "what came back is not what was sent",
        "вернулось не то, что было отправлено";
    Echoed { count: usize, bytes: usize, time: &'a str } =>
        "{count} packets of {bytes} bytes came back, the fastest in {time}",
        "вернулись пакеты ({count} по {bytes} байт), самый быстрый за {time}";
    TryName =>
        "check how the name is spelled, and whether this machine has a network: does another name work?",
        "проверьте, как пишется имя и есть ли у этой машины сеть: находится ли другое имя?";
    TryListen =>
        "check that the relay runs there and listens on this port, and that no firewall is in between.",
        "проверьте, что ретранслятор там работает и слушает этот порт и что на пути нет межсетевого экрана.";
    TryProxy =>
        "check the proxy's address in --proxy or in the environment (https_proxy, http_proxy, all_proxy), or name this relay in no_proxy.",
        "проверьте адрес прокси в --proxy или в окружении (https_proxy, http_proxy, all_proxy) либо назовите этот ретранслятор в no_proxy.";
    TryToken =>
        "ask whoever runs the relay for an access token, and give it with PHANTOM_TOKEN or --token.",
        "попросите у владельца ретранслятора токен доступа и передайте его через PHANTOM_TOKEN или --token.";
    TryCertificate =>
        "check the name in the address, the relay's certificate with its whole chain, and this machine's clock; a certificate of your own is trusted with --root FILE or --pin.",
        "проверьте имя в адресе, сертификат ретранслятора со всей цепочкой и часы этой машины; своему сертификату можно доверять через --root ФАЙЛ или --pin.";
    TryPath =>
        "check the path in the address, and that the proxy in front of the relay passes WebSocket upgrades on.",
        "проверьте путь в адресе и что прокси перед ретранслятором пропускает переход на WebSocket.";
    TryTls =>
        "check host, port and path; a relay behind TLS is reached with wss://.",
        "проверьте узел, порт и путь; к ретранслятору за TLS ведёт wss://.";
    TryVersion =>
        "check the address; if it is the right one, update the older of relay and program.",
        "проверьте адрес; если он верен, обновите то, что старше: ретранслятор или программу.";
    TryLog =>
        "try again; if it stays so, look at what the relay's log says at this time.",
        "попробуйте ещё раз; если не поможет, посмотрите, что в это время пишет журнал ретранслятора.";
    BadCertificate { relay: &'a str, problem: &'a str } =>
        "the certificate of {relay} is not to be trusted: {problem}",
        "сертификату {relay} нельзя доверять: {problem}";
    CertificateExpired =>
        "it has expired",
        "срок его действия истёк";
    CertificateEarly =>
        "it is not valid yet",
        "срок его действия ещё не начался";
    CertificateName =>
        "it is for another name",
        "он выдан на другое имя";
    CertificateIssuer =>
        "nobody whom this machine trusts has signed it",
        "его не подписал никто, кому доверяет эта машина";
    CertificateRevoked =>
        "it has been revoked",
        "он отозван";
    BenchHead =>
        "   bytes pairs  packets/s     MB/s  rtt 50%  rtt 90%  rtt 99%  rtt max",
        "    байт   пар  пакетов/с     МБ/с  rtt 50%  rtt 90%  rtt 99% rtt макс";
    BadSize =>
        "a packet has 1 to 1048576 bytes",
        "в пакете от 1 до 1048576 байт";
    BadSeconds =>
        "write seconds, from 0.1 to 3600",
        "нужны секунды, от 0.1 до 3600";

    // The relay of this program.
    RelayListens { address: SocketAddr, url: &'a str } =>
        "The relay listens on {address}. Clients reach it at {url}",
        "Ретранслятор слушает на {address}. Клиентам — сюда: {url}";
    RelayAnywhere =>
        "ADDRESS-OF-THIS-MACHINE",
        "АДРЕС-ЭТОЙ-МАШИНЫ";
    InAnotherTerminal =>
        "In another terminal, run:",
        "В другом терминале выполните:";
    CtrlCEnds =>
        "Ctrl-C ends it.",
        "Ctrl-C — закончить.";
    RelayStops =>
        "The relay stops.",
        "Ретранслятор останавливается.";
    FewClients { error: &'a io::Error } =>
        "there may be room for few clients only: {error}",
        "места может хватить лишь немногим клиентам: {error}";
    RelayStopped { error: &'a io::Error } =>
        "the relay stopped: {error}",
        "ретранслятор остановился: {error}";
    RelayFailed =>
        "the relay failed; please report this",
        "в ретрансляторе ошибка; пожалуйста, сообщите о ней";

    // The manual.
    PageUnwritten { path: &'a dyn fmt::Display, error: &'a io::Error } =>
        "{path} cannot be written: {error}",
        "не удаётся записать {path}: {error}";

    // The system.
    NoThreads { error: &'a io::Error } =>
        "the system gives no threads: {error}",
        "система не даёт потоков: {error}";
    NoSignals { error: &'a io::Error } =>
        "the system does not tell of signals: {error}",
        "система не сообщает о сигналах: {error}";
    }
}
