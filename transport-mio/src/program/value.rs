//! What a setting's value may be, whichever way it is given.
//!
//! A value comes as a word (flags and variables) or as TOML. Both are understood here, by the type of the setting; what is not
//! understood is said in a phrase that follows the setting's name: "... is "many", which is not a number".

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use phantom_mio::{Network, Origin};

use super::pace::Pace;
use super::size::Size;
use super::span::Span;

/// A value as it was given.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// By a flag or a variable: what it is depends on who reads it.
    Word(String),
    /// A flag given several times, or a TOML array.
    List(Vec<Given>),
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Number(i64),
    /// A TOML boolean.
    Truth(bool),
    /// Any other TOML, as it is called.
    Other(&'static str),
}

impl Given {
    /// As it would be called in a message.
    fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Text(text) => quoted(text),
            Self::List(_) => "a list".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::Other(what) => (*what).to_owned(),
        }
    }

    fn refused(&self, wanted: &str) -> String {
        format!("is {}, but must be {wanted}", self.shown())
    }
}

/// A type that settings may have.
pub(crate) trait Value: Sized {
    /// What stands for it in the help.
    const NAME: &'static str;
    /// Whether its flag may be given several times.
    const MANY: bool = false;
    /// Whether its flag may stand alone.
    const ALONE: bool = false;
    /// TOML that might be given where nothing is set.
    const EXAMPLE: &'static str = "";

    /// Reads it, or says what is wrong.
    fn understand(given: &Given) -> Result<Self, String>;

    /// As TOML, which is understood as the same value. `None`: it is not set.
    fn toml(&self) -> Option<String>;
}

/// A value that is written as text, and as a string in TOML.
pub(crate) trait Textual: FromStr + fmt::Display {
    const NAME: &'static str;
    /// "a size such as ...".
    const WANTED: &'static str;
    /// See [`Value::EXAMPLE`].
    const EXAMPLE: &'static str = "";
}

macro_rules! textual {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const NAME: &'static str = <Self as Textual>::NAME;
            const EXAMPLE: &'static str = <Self as Textual>::EXAMPLE;

            fn understand(given: &Given) -> Result<Self, String> {
                match given {
                    Given::Word(text) | Given::Text(text) => {
                        text.parse().map_err(|_| given.refused(<Self as Textual>::WANTED))
                    }
                    _ => Err(given.refused(<Self as Textual>::WANTED)),
                }
            }

            fn toml(&self) -> Option<String> {
                Some(quoted(&self.to_string()))
            }
        }
    )*};
}

/// Values of the library that say themselves what is wrong with a text.
macro_rules! explained {
    ($($type:ty: $name:literal, $wanted:literal);*) => {$(
        impl Value for $type {
            const NAME: &'static str = $name;

            fn understand(given: &Given) -> Result<Self, String> {
                match given {
                    Given::Word(text) | Given::Text(text) => {
                        text.parse().map_err(|error| format!("is wrong: {error}"))
                    }
                    _ => Err(given.refused($wanted)),
                }
            }

            fn toml(&self) -> Option<String> {
                Some(quoted(&self.to_string()))
            }
        }
    )*};
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const NAME: &'static str = "N";

            fn understand(given: &Given) -> Result<Self, String> {
                let number = match given {
                    Given::Word(text) => text.parse().ok(),
                    Given::Number(number) => Self::try_from(*number).ok(),
                    _ => None,
                };
                number.ok_or_else(|| given.refused("a whole number"))
            }

            fn toml(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

textual!(Span, Pace, Address, SocketAddr, ClientAddress, LogLevel, LogFormat);
explained!(Network: "NET", "an address or a network"; Origin: "ORIGIN", "an origin");
numbers!(u8, u32, u64, usize);

impl Value for Size {
    const NAME: &'static str = "SIZE";

    fn understand(given: &Given) -> Result<Self, String> {
        let size = match given {
            Given::Word(text) | Given::Text(text) => text.parse().ok(),
            Given::Number(number) => u64::try_from(*number).ok().map(Self),
            _ => None,
        };
        size.ok_or_else(|| given.refused("a size such as 64 KiB, 512 MiB or 1000000"))
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Textual for Span {
    const NAME: &'static str = "TIME";
    const WANTED: &'static str = "a time such as 250ms, 30s, 10m or 1h30m";
}

impl Textual for Pace {
    const NAME: &'static str = "N+1/TIME";
    const WANTED: &'static str = "a pace such as 10+1/6s: ten times at once, and once more every six seconds";
}

impl Value for bool {
    const NAME: &'static str = "true|false";
    const ALONE: bool = true;

    fn understand(given: &Given) -> Result<Self, String> {
        match given {
            Given::Truth(truth) => Ok(*truth),
            Given::Word(text) => text.parse().map_err(|_| given.refused("true or false")),
            _ => Err(given.refused("true or false")),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for PathBuf {
    const NAME: &'static str = "FILE";
    const EXAMPLE: &'static str = "\"/path/of/the/file\"";

    fn understand(given: &Given) -> Result<Self, String> {
        match given {
            Given::Word(text) | Given::Text(text) if !text.is_empty() => Ok(text.into()),
            _ => Err(given.refused("the path of a file")),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl Value for String {
    const NAME: &'static str = "TEXT";

    fn understand(given: &Given) -> Result<Self, String> {
        match given {
            Given::Word(text) | Given::Text(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            _ => Err(given.refused("some text")),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl<T: Value> Value for Option<T> {
    const NAME: &'static str = T::NAME;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn understand(given: &Given) -> Result<Self, String> {
        T::understand(given).map(Some)
    }

    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(T::toml)
    }
}

/// A list: a TOML array, a flag given several times, or words with commas between them.
impl<T: Value> Value for Vec<T> {
    const NAME: &'static str = T::NAME;
    const MANY: bool = true;

    fn understand(given: &Given) -> Result<Self, String> {
        match given {
            Given::List(items) => {
                let items: Result<Vec<Self>, String> = items.iter().map(understand_items).collect();
                Ok(items?.into_iter().flatten().collect())
            }
            Given::Word(_) => understand_items(given),
            _ => Err(format!("is {}, but must be a list: [{}]", given.shown(), given.shown())),
        }
    }

    fn toml(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::toml).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

fn understand_items<T: Value>(given: &Given) -> Result<Vec<T>, String> {
    match given {
        Given::Word(text) => text
            .split(',')
            .filter(|item| !item.trim().is_empty())
            .map(|item| T::understand(&Given::Word(item.trim().to_owned())))
            .collect(),
        _ => T::understand(given).map(|item| vec![item]),
    }
}

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Address {
    /// `host:port`; the host may be a name.
    Internet(String),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl Textual for Address {
    const NAME: &'static str = "ADDR";
    const WANTED: &'static str =
        "an address as host:port, for example 127.0.0.1:7777 or [::]:7777, or unix:/path";
}

impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(()) };
        }
        if text.parse::<SocketAddr>().is_ok() {
            return Ok(Self::Internet(text.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        match port.parse::<u16>() {
            Ok(_) if is_name && !host.is_empty() => Ok(Self::Internet(text.to_owned())),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(text) => f.write_str(text),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Textual for SocketAddr {
    const NAME: &'static str = "ADDR";
    const EXAMPLE: &'static str = "\"127.0.0.1:9464\"";
    const WANTED: &'static str = "an address with a port, for example 127.0.0.1:9464 or [::1]:9464";
}

/// A value that is one of a few words.
macro_rules! choice {
    ($(#[$about:meta])* $type:ident: $names:literal { $($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum $type { $($(#[$doc])* $variant),* }

        impl Textual for $type {
            const NAME: &'static str = $names;
            const WANTED: &'static str = concat!("one of ", $names);
        }

        impl FromStr for $type {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

choice! {
    /// Where a client's address is taken from.
    ClientAddress: "socket|proxy-protocol|x-forwarded-for" {
        /// Whoever holds the other end.
        Socket = "socket",
        /// The header that a proxy sends first.
        ProxyProtocol = "proxy-protocol",
        /// The HTTP header of the handshake.
        XForwardedFor = "x-forwarded-for",
    }
}

choice! {
    /// What is worth a line in the log.
    LogLevel: "error|warn|info|debug" {
        /// What ends the relay, or keeps it from working.
        Error = "error",
        /// What an operator should look at.
        Warn = "warn",
        /// What an operator may want to know.
        Info = "info",
        /// What a developer may want to know.
        Debug = "debug",
    }
}

choice! {
    /// How a line of the log looks.
    LogFormat: "text|json" {
        /// For people.
        Text = "text",
        /// For machines.
        Json = "json",
    }
}

/// As a TOML string, with whatever a terminal might take for a command escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
