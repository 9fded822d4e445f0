//! The settings file: TOML, keys at the top level only. Whatever is wrong in it is said with its line, and all of it at once.

use toml::de::{DeTable, DeValue};

use super::value::Given;

/// What a file says.
#[derive(Debug)]
pub(crate) struct File {
    /// In the order of the file.
    pub(crate) keys: Vec<Key>,
    /// What is no TOML: the line, and what is wrong.
    pub(crate) errors: Vec<(usize, String)>,
}

/// One key of a file.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// The first line is 1.
    pub(crate) line: usize,
    pub(crate) given: Given,
}

/// Reads the text of a file.
pub(crate) fn read(text: &str) -> File {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<(usize, String)> = errors
        .iter()
        .map(|error| (line(error.span().map_or(0, |span| span.start)), error.message().replace('\n', " ")))
        .collect();
    // One mistake is enough for a line; what else is wrong there follows from it.
    errors.sort_by_key(|(line, _)| *line);
    errors.dedup_by_key(|(line, _)| *line);
    let mut keys: Vec<Key> = table
        .into_inner()
        .into_iter()
        .map(|(name, value)| Key {
            line: line(name.span().start),
            name: name.into_inner().into_owned(),
            given: given(value.into_inner()),
        })
        .filter(|key| errors.iter().all(|(line, _)| *line != key.line))
        .collect();
    keys.sort_by_key(|key| key.line);
    File { keys, errors }
}

fn given(value: DeValue<'_>) -> Given {
    match value {
        DeValue::String(text) => Given::Text(text.into_owned()),
        DeValue::Boolean(truth) => Given::Truth(truth),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Given::Number(number),
            Err(_) => Given::Other("a number that is too large"),
        },
        DeValue::Array(items) => {
            Given::List(items.into_iter().map(|item| given(item.into_inner())).collect())
        }
        DeValue::Float(_) => Given::Other("a number with a fraction"),
        DeValue::Datetime(_) => Given::Other("a date"),
        DeValue::Table(_) => Given::Other("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_lines() {
        let file = read("# first\na = 1\n\nb = [\n  \"x\",\n]\nc = true # so\n");
        let lines: Vec<_> = file.keys.iter().map(|key| (key.name.as_str(), key.line)).collect();
        assert_eq!(lines, [("a", 2), ("b", 4), ("c", 7)]);
        assert_eq!(file.errors, []);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let file = read("a = 1\na = 2\nb = = 3\nc = \"open\n");
        let lines: Vec<_> = file.errors.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4], "{:?}", file.errors);
        assert!(file.errors.iter().all(|(_, what)| !what.contains('\n') && !what.is_empty()));
    }
}
