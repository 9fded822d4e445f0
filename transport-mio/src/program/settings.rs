//! Where the settings come from: a flag counts more than a variable, a variable more than the file, the file more than the default.
//!
//! Everything that is given is looked at, also what something else overrules, and everything that is wrong is said at once: one
//! sentence each, with the name under which it was given.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file;
use super::table::{PREFIX, Setting, Settings, TABLE};
use super::value::{Address, ClientAddress, Given};

/// The variable that names the file.
pub(crate) const CONFIG_VARIABLE: &str = "PHANTOM_RELAY_CONFIG";

/// Who has set a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Default,
    /// Systemd, which says where the state is.
    StateDirectory,
    File {
        path: PathBuf,
        line: usize,
    },
    Variable,
    Flag,
}

/// All settings, and who has set each.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    pub(crate) settings: Settings,
    sources: Vec<Source>,
    /// What is not wrong, but should be known: one sentence each.
    pub(crate) notes: Vec<String>,
}

/// What the command line and the environment say.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// The file that `--config` names.
    pub(crate) config: Option<PathBuf>,
    /// By key.
    pub(crate) flags: Vec<(&'static str, Given)>,
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Effective {
    /// Puts everything together.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn gather(inputs: &Inputs) -> Result<Self, Vec<String>> {
        let mut gathering = Gathering::default();
        let variables = gathering.variables(&inputs.environment);
        let path = inputs.config.clone().or(variables.config);
        if let Some(path) = &path {
            gathering.file(path);
        }
        for (setting, given) in &variables.settings {
            gathering.take(setting, given, Source::Variable);
        }
        for (key, given) in &inputs.flags {
            if let Some(setting) = TABLE.iter().find(|setting| setting.key == *key) {
                gathering.take(setting, given, Source::Flag);
            }
        }
        gathering.state_directory(&inputs.environment);
        gathering.finish()
    }

    pub(crate) fn source(&self, key: &str) -> &Source {
        let at = TABLE.iter().position(|setting| setting.key == key);
        at.and_then(|at| self.sources.get(at)).unwrap_or(&Source::Default)
    }

    /// A setting as whoever set it calls it: the subject of a sentence.
    pub(crate) fn name(&self, key: &str) -> String {
        match (self.source(key), TABLE.iter().find(|setting| setting.key == key)) {
            (source, Some(setting)) => name(setting, source),
            (_, None) => key.to_owned(),
        }
    }
}

fn name(setting: &Setting, source: &Source) -> String {
    match source {
        Source::Default | Source::StateDirectory => setting.key.to_owned(),
        Source::File { path, line } => format!("{} ({}, line {line})", setting.key, path.display()),
        Source::Variable => setting.variable(),
        Source::Flag => format!("--{}", setting.flag()),
    }
}

struct Gathering {
    settings: Settings,
    sources: Vec<Source>,
    notes: Vec<String>,
    problems: Vec<String>,
}

impl Default for Gathering {
    fn default() -> Self {
        let sources = vec![Source::Default; TABLE.len()];
        Self { settings: Settings::default(), sources, notes: Vec::new(), problems: Vec::new() }
    }
}

#[derive(Default)]
struct Variables {
    config: Option<PathBuf>,
    settings: Vec<(&'static Setting, Given)>,
}

impl Gathering {
    fn take(&mut self, setting: &Setting, given: &Given, source: Source) {
        match (setting.take)(&mut self.settings, given) {
            Ok(()) => {
                if let Some(at) = TABLE.iter().position(|other| other.key == setting.key) {
                    self.sources[at] = source;
                }
            }
            Err(phrase) => self.problems.push(format!("{} {phrase}", name(setting, &source))),
        }
    }

    fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(format!("the settings file {} cannot be read: {error}", path.display()));
                return;
            }
        };
        let file = file::read(&text);
        for (line, what) in file.errors {
            self.problems.push(format!("{}, line {line}, is not TOML: {what}", path.display()));
        }
        for key in file.keys {
            match TABLE.iter().find(|setting| setting.key == key.name) {
                Some(setting) => {
                    let source = Source::File { path: path.to_owned(), line: key.line };
                    self.take(setting, &key.given, source);
                }
                None => self.problems.push(format!(
                    "{}, line {}, has the unknown key `{}`{}",
                    path.display(),
                    key.line,
                    key.name.escape_debug(),
                    meant(nearest(&key.name).map(|setting| setting.key.to_owned()))
                )),
            }
        }
    }

    /// Unknown ones are no reason to stop: a cluster may set some of its own under the name of its service.
    fn variables(&mut self, environment: &[(OsString, OsString)]) -> Variables {
        let mut variables = Variables::default();
        for (variable, value) in environment {
            let Some(variable) = variable.to_str() else { continue };
            if variable == CONFIG_VARIABLE {
                variables.config = Some(value.into());
            } else if let Some(setting) = TABLE.iter().find(|setting| setting.variable() == variable) {
                match value.to_str() {
                    Some(value) => variables.settings.push((setting, Given::Word(value.to_owned()))),
                    None => self.problems.push(format!("{variable} is not UTF-8")),
                }
            } else if let Some(rest) = variable.strip_prefix(PREFIX) {
                self.notes.push(format!(
                    "the variable {} is unknown and not used{}",
                    variable.escape_debug(),
                    meant(nearest(&rest.to_ascii_lowercase()).map(Setting::variable))
                ));
            }
        }
        variables
    }

    /// The relay's secret outlives it wherever systemd gives it a place.
    fn state_directory(&mut self, environment: &[(OsString, OsString)]) {
        let of_unit = environment.iter().find(|(name, _)| name == "STATE_DIRECTORY");
        let first = of_unit.and_then(|(_, value)| value.to_str()?.split(':').next());
        if let Some(folder) = first.filter(|folder| !folder.is_empty())
            && self.settings.secret_file.is_none()
            && let Some(setting) = TABLE.iter().find(|setting| setting.key == "secret_file")
        {
            self.take(setting, &Given::Word(format!("{folder}/secret")), Source::StateDirectory);
        }
    }

    fn finish(self) -> Result<Effective, Vec<String>> {
        let Self { settings, sources, notes, mut problems } = self;
        let mut effective = Effective { settings, sources, notes };
        effective.notes.extend(effective.doubts());
        if problems.is_empty() {
            problems = effective.contradictions();
        }
        if problems.is_empty() { Ok(effective) } else { Err(problems) }
    }
}

impl Effective {
    /// Settings that are fine alone, but not together.
    fn contradictions(&self) -> Vec<String> {
        let s = &self.settings;
        let mut problems = Vec::new();
        let mut wrong_if = |wrong: bool, keys: [&str; 2], phrase: &str| {
            if wrong {
                problems.push(format!("{} {phrase} {}", self.name(keys[0]), self.name(keys[1])));
            }
        };
        wrong_if(
            s.receiver_buffer_low >= s.receiver_buffer,
            ["receiver_buffer_low", "receiver_buffer"],
            "must be less than",
        );
        wrong_if(
            s.token_renewal >= s.token_lifetime,
            ["token_renewal", "token_lifetime"],
            "must be less than",
        );
        let mut needs_if = |wrong: bool, keys: [&str; 2]| {
            if wrong {
                problems.push(format!("{} needs {}, which is not set", self.name(keys[0]), keys[1]));
            }
        };
        needs_if(s.tls_key.is_some() && s.tls_certificate.is_none(), ["tls_key", "tls_certificate"]);
        needs_if(!s.listen_tls.is_empty() && s.tls_certificate.is_none(), ["listen_tls", "tls_certificate"]);
        if !s.trusted_proxies.is_empty() && s.client_address == ClientAddress::Socket {
            let sentence =
                "is useless while client_address is socket; say proxy-protocol or x-forwarded-for there";
            problems.push(format!("{} {sentence}", self.name("trusted_proxies")));
        }
        problems
    }

    /// Settings that do together what hardly anybody means.
    fn doubts(&self) -> Vec<String> {
        let s = &self.settings;
        let unix = s.listen.iter().chain(&s.listen_tls).any(|address| matches!(address, Address::Unix(_)));
        let from_proxy = s.client_address != ClientAddress::Socket;
        let mut doubts = Vec::new();
        if s.max_pairs < s.max_connections.saturating_mul(s.max_requests_out) {
            doubts.push(format!(
                "{} is less than max_connections times max_requests_out, so some requests may reach nobody",
                self.name("max_pairs")
            ));
        }
        if unix && !from_proxy {
            doubts.push(
                "client_address is socket, so all clients that come by a Unix socket count as one".to_owned(),
            );
        }
        if !unix && from_proxy && s.trusted_proxies.is_empty() {
            doubts.push(format!(
                "{} believes nobody: trusted_proxies is empty, and no Unix socket is listened on",
                self.name("client_address")
            ));
        }
        doubts
    }
}

fn meant(name: Option<String>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The setting whose key is most like this, if any is like it.
fn nearest(key: &str) -> Option<&'static Setting> {
    let key = key.replace('-', "_").to_ascii_lowercase();
    let distance = |setting: &Setting| strsim::damerau_levenshtein(&key, setting.key);
    TABLE
        .iter()
        .map(|setting| (distance(setting), setting))
        .filter(|(distance, setting)| *distance <= 1 + setting.key.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, setting)| setting)
}
