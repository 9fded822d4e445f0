//! Which language the program speaks: the one the locale asks for, if it has it, else English.

use std::env;
use std::ffi::OsString;
use std::sync::OnceLock;

/// A language the program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Russian,
}

/// The language of this run.
pub(crate) fn current() -> Language {
    static CURRENT: OnceLock<Language> = OnceLock::new();
    *CURRENT.get_or_init(|| of(|name| env::var_os(name)))
}

/// The text in the language of this run.
pub(crate) fn pick(english: &'static str, russian: &'static str) -> &'static str {
    match current() {
        Language::English => english,
        Language::Russian => russian,
    }
}

/// `1 file`, `3 files`.
pub(crate) fn files(count: usize) -> String {
    let word = match (current(), count % 100, count % 10) {
        (Language::English, ..) if count == 1 => "file",
        (Language::English, ..) => "files",
        (Language::Russian, 11..=14, _) | (Language::Russian, _, 0 | 5..) => "файлов",
        (Language::Russian, _, 1) => "файл",
        (Language::Russian, ..) => "файла",
    };
    format!("{count} {word}")
}

/// The first variable that says something decides, as POSIX has it.
fn of(variable: impl Fn(&str) -> Option<OsString>) -> Language {
    let mut said = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable);
    let locale = said.find(|locale| !locale.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy();
    // language[_TERRITORY][.codeset][@modifier]
    match locale.split(['_', '.', '@']).next() {
        Some("ru") => Language::Russian,
        _ => Language::English,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Language {
        of(|wanted| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_first_variable_that_says_something_decides() {
        assert_eq!(with(&[]), Language::English);
        assert_eq!(with(&[("LANG", "ru_RU.UTF-8")]), Language::Russian);
        assert_eq!(with(&[("LC_ALL", "C"), ("LANG", "ru_RU.UTF-8")]), Language::English);
        assert_eq!(with(&[("LC_ALL", ""), ("LC_MESSAGES", "ru"), ("LANG", "en_GB")]), Language::Russian);
        assert_eq!(with(&[("LANG", "run_BI")]), Language::English);
    }
}
