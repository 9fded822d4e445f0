//! From a record to one line of text or JSON.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;
use log::kv::{Error, Key, Value, VisitSource, VisitValue};

use super::limiter::Site;

/// The field that holds a client's address.
const ADDRESS: &str = "address";
/// The longest message or field, in bytes; more is cut.
const TEXT_MAX: usize = 4096;

/// How a line is written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    #[cfg_attr(not(test), allow(dead_code, reason = "made by the settings"))]
    /// One JSON object for each line: `time`, `level`, `target`, `message`, and `fields` if there are any.
    Json,
}

/// Who reads the lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Surroundings {
    /// A file or a pipe.
    Plain,
    /// A terminal, which shows colours.
    Terminal,
    /// systemd's journal, which knows the time and reads the level from a prefix.
    Journal,
}

/// What is said.
pub(super) struct Line<'a> {
    time: SystemTime,
    level: Level,
    target: &'a str,
    message: String,
    fields: Vec<(String, Field)>,
}

enum Field {
    Text(String),
    /// As it stands in JSON without quotes.
    Bare(String),
}

impl<'a> Line<'a> {
    pub(super) fn of(record: &log::Record<'a>, time: SystemTime) -> Self {
        let mut fields = Fields(Vec::new());
        // A field that cannot be read is left out; the rest of the line is still worth having.
        let _unread = record.key_values().visit(&mut fields);
        Self {
            time,
            level: record.level(),
            target: record.target(),
            message: cut(record.args().to_string()),
            fields: fields.0,
        }
    }

    /// So many lines of a place were not written.
    pub(super) fn missed(site: &Site, count: u64, time: SystemTime) -> Self {
        let message = format!("{count} more like this were not written");
        let place = vec![("place".to_owned(), Field::Text(format!("{}:{}", site.file, site.line)))];
        Self { time, level: site.level, target: module_path!(), message, fields: place }
    }

    /// The log has something to say about itself.
    pub(super) fn warning(message: &str, time: SystemTime) -> Self {
        let message = message.to_owned();
        Self { time, level: Level::Warn, target: module_path!(), message, fields: Vec::new() }
    }
}

struct Fields(Vec<(String, Field)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let mut field = Field::Text(String::new());
        value.visit(&mut field)?;
        self.0.push((key.to_string(), field));
        Ok(())
    }
}

impl VisitValue<'_> for &mut Field {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        **self = Field::Text(cut(value.to_string()));
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        **self = Field::Bare(value.to_string());
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        **self = Field::Bare(value.to_string());
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        **self = Field::Bare(value.to_string());
        Ok(())
    }
}

/// How all lines of a log look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    format: LogFormat,
    addresses: bool,
    surroundings: Surroundings,
}

impl Layout {
    pub(super) const fn new(format: LogFormat, addresses: bool, surroundings: Surroundings) -> Self {
        Self { format, addresses, surroundings }
    }

    /// The line, with its end.
    pub(super) fn line(self, line: &Line<'_>) -> String {
        let fields = line.fields.iter().filter(|(key, _)| self.addresses || key != ADDRESS);
        let mut out = String::with_capacity(128);
        match self.format {
            LogFormat::Json => json(&mut out, line, fields),
            LogFormat::Text => {
                match self.surroundings {
                    Surroundings::Journal => {
                        let _fits = write!(out, "<{}>", syslog(line.level));
                    }
                    Surroundings::Terminal => {
                        time(&mut out, line.time);
                        let _fits = write!(out, " \x1b[{}m{:5}\x1b[0m ", colour(line.level), line.level);
                    }
                    Surroundings::Plain => {
                        time(&mut out, line.time);
                        let _fits = write!(out, " {:5} ", line.level);
                    }
                }
                plain(&mut out, &line.message);
                for (key, field) in fields {
                    out.push(' ');
                    plain(&mut out, key);
                    out.push('=');
                    match field {
                        Field::Bare(value) => out.push_str(value),
                        Field::Text(value) => quoted(&mut out, value),
                    }
                }
            }
        }
        out.push('\n');
        out
    }
}

fn json<'a>(out: &mut String, line: &Line<'_>, fields: impl Iterator<Item = &'a (String, Field)>) {
    out.push_str("{\"time\":\"");
    time(out, line.time);
    let level = line.level.as_str().to_ascii_lowercase();
    let _fits = write!(out, "\",\"level\":\"{level}\",\"target\":");
    quoted(out, line.target);
    out.push_str(",\"message\":");
    quoted(out, &line.message);
    let mut before = ",\"fields\":{";
    for (key, field) in fields {
        out.push_str(std::mem::replace(&mut before, ","));
        quoted(out, key);
        out.push(':');
        match field {
            Field::Bare(value) => out.push_str(value),
            Field::Text(value) => quoted(out, value),
        }
    }
    out.push_str(if before == "," { "}}" } else { "}" });
}

/// In quotes, as JSON has it.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            _ => plain_char(out, char),
        }
    }
    out.push('"');
}

/// Without line ends and whatever else would let a text look like more than it is.
fn plain(out: &mut String, text: &str) {
    text.chars().for_each(|char| plain_char(out, char));
}

fn plain_char(out: &mut String, char: char) {
    if char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    {
        let _fits = write!(out, "\\u{:04x}", u32::from(char));
    } else {
        out.push(char);
    }
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

const fn syslog(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

const fn colour(level: Level) -> u8 {
    match level {
        Level::Error => 31,
        Level::Warn => 33,
        Level::Info => 32,
        Level::Debug => 36,
        Level::Trace => 90,
    }
}

/// `2026-11-22T10:11:12.345Z`. A time before 1970 is that of its beginning.
fn time(out: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millis = since.subsec_millis();
    let _fits = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
}

/// Year, month and day of the month of a day counted from 1970-01-01. Years are counted here from March, so that a leap day is the last
/// day of its year, and in eras of 400 years, which all have the same number of days.
const fn date(days: u64) -> (u64, u64, u64) {
    const FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days + FROM_MARCH_OF_YEAR_0;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn layout(format: LogFormat, surroundings: Surroundings) -> Layout {
        Layout::new(format, false, surroundings)
    }

    fn with_record(message: &str, see: impl Fn(&Line<'_>)) {
        let fields = [
            ("address", Value::from("192.0.2.1:77")),
            ("sockets", Value::from(3)),
            ("why", Value::from("a \"b\"\nc")),
            ("last", Value::from(true)),
        ];
        let time = UNIX_EPOCH + Duration::from_millis(1_795_342_272_345);
        see(&Line::of(
            &log::Record::builder()
                .level(Level::Warn)
                .target("phantom_mio::server")
                .args(format_args!("{message}"))
                .key_values(&&fields[..])
                .build(),
            time,
        ));
    }

    #[test]
    fn text_in_its_surroundings() {
        with_record("no room", |line| {
            for (surroundings, before) in [
                (Surroundings::Plain, "2026-11-22T10:11:12.345Z WARN  "),
                (Surroundings::Terminal, "2026-11-22T10:11:12.345Z \x1b[33mWARN \x1b[0m "),
                (Surroundings::Journal, "<4>"),
            ] {
                let expected = format!("{before}no room sockets=3 why=\"a \\\"b\\\"\\nc\" last=true\n");
                assert_eq!(layout(LogFormat::Text, surroundings).line(line), expected);
            }
        });
    }

    #[test]
    fn json_is_read_back_as_it_was() {
        let message = "two\nlines \u{1b}[31m \\ \u{2028} \u{7} ü €";
        with_record(message, |line| {
            let text = layout(LogFormat::Json, Surroundings::Journal).line(line);
            assert_eq!(text.find('\n'), Some(text.len() - 1));
            let expected = serde_json::json!({
                "time": "2026-11-22T10:11:12.345Z",
                "level": "warn",
                "target": "phantom_mio::server",
                "message": message,
                "fields": { "sockets": 3, "why": "a \"b\"\nc", "last": true },
            });
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
        });
        let bare = layout(LogFormat::Json, Surroundings::Plain).line(&Line::warning("x", UNIX_EPOCH));
        assert!(serde_json::from_str::<serde_json::Value>(&bare).unwrap().get("fields").is_none());
    }

    #[test]
    fn an_address_is_shown_only_if_that_is_wanted() {
        with_record("x", |line| {
            for format in [LogFormat::Text, LogFormat::Json] {
                assert!(!Layout::new(format, false, Surroundings::Plain).line(line).contains("192.0.2.1"));
                assert!(Layout::new(format, true, Surroundings::Plain).line(line).contains("192.0.2.1:77"));
            }
        });
    }

    #[test]
    fn nobody_makes_a_line_of_his_own_or_an_endless_one() {
        with_record("a\nb\r\u{1b}[0mc\u{202e}", |line| {
            let text = layout(LogFormat::Text, Surroundings::Plain).line(line);
            assert!(text.contains("a\\u000ab\\u000d\\u001b[0mc\\u202e sockets"), "{text:?}");
        });
        with_record(&"ü".repeat(100_000), |line| {
            assert!(layout(LogFormat::Text, Surroundings::Plain).line(line).len() < 2 * TEXT_MAX);
        });
    }

    #[test]
    fn days_have_their_dates() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (11_322, (2000, 12, 31)),
            (11_323, (2001, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (135_080, (2339, 11, 3)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }
}
