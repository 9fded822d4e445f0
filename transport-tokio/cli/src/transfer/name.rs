//! A file name from the other side is a suggestion: it can only ever name something new in the folder it is put in.
//!
//! A name is one component of a path; what has a separator in it, or leads upwards, is refused. What remains loses what could mislead
//! a person or a system: control and text-direction characters become `_`, and so does the leading dot of what is put into the folder
//! that the user chose, so that it is seen there. Below, hidden files stay hidden: a folder arrives as it was.

use std::ffi::OsString;

/// Bytes of a file name; more than this no common file system takes.
const NAME_MAX: usize = 255;

/// The name under which something may be kept inside a folder that was sent, or `None` if it cannot be a name.
///
/// Where names are bytes, those that are no UTF-8 stay as they are; elsewhere such bytes become `_`.
pub(crate) fn safe(offered: &[u8]) -> Option<OsString> {
    if matches!(offered, b"" | b"." | b"..") || offered.len() > NAME_MAX || offered.iter().any(is_separator) {
        return None;
    }
    let mut name = Vec::with_capacity(offered.len());
    for part in offered.utf8_chunks() {
        for c in part.valid().chars().map(|c| if is_misleading(c) { '_' } else { c }) {
            name.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if cfg!(all(unix, not(target_vendor = "apple"))) {
            name.extend_from_slice(part.invalid());
        } else if !part.invalid().is_empty() {
            name.push(b'_');
        }
    }
    system_name(name)
}

/// The name under which something may be kept in the folder that the user chose, or `None` if it cannot be a name.
pub(crate) fn safe_and_seen(offered: &[u8]) -> Option<OsString> {
    if offered.iter().all(|byte| b". ".contains(byte)) {
        return None;
    }
    match offered.strip_prefix(b".") {
        Some(rest) => safe(&[b"_", rest].concat()),
        None => safe(offered),
    }
}

/// Text of the other side, fit to be shown in a terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if is_misleading(c) && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | 0) || (cfg!(windows) && *byte == b'\\')
}

/// Control characters, and those that change the direction of text or are not seen at all. Not the two that join letters and emoji.
fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "the form it has on other systems")]
fn system_name(name: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(name))
}

#[cfg(not(unix))]
fn system_name(name: Vec<u8>) -> Option<OsString> {
    safe_on_windows(&String::from_utf8_lossy(&name)).map(OsString::from)
}

/// Windows has devices, streams and a few characters of its own.
#[cfg(any(not(unix), test))]
fn safe_on_windows(name: &str) -> Option<String> {
    let name: String =
        name.chars().map(|c| if r#"<>:"|?*\"#.contains(c) { '_' } else { c }).collect::<String>();
    let name = name.trim_end_matches(['.', ' ']);
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || matches!(stem.strip_prefix("COM").or(stem.strip_prefix("LPT")), Some(digit) if digit.chars().count() == 1);
    let name = if device { format!("_{name}") } else { name.to_owned() };
    (!name.is_empty() && name.len() <= NAME_MAX).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_names() {
        for (offered, kept) in [
            ("notes.pdf", Some("notes.pdf")),
            ("Приветик!!!.txt", Some("Приветик!!!.txt")),
            ("👨‍👩‍👧 family.jpg", Some("👨‍👩‍👧 family.jpg")),
            ("two words", Some("two words")),
            ("-rf", Some("-rf")),
            ("a..b", Some("a..b")),
            ("/etc/passwd", None),
            ("../../x", None),
            ("a/..", None),
            ("folder/", None),
            (".bashrc", Some(".bashrc")),
            ("a\u{1b}[2Jb\nc", Some("a_[2Jb_c")),
            ("evil\u{202e}fdp.exe", Some("evil_fdp.exe")),
            ("nul\0byte", None),
            ("", None),
            (".", None),
            ("..", None),
        ] {
            assert_eq!(safe(offered.as_bytes()).as_deref(), kept.map(AsRef::as_ref), "{offered:?}");
        }
        assert_eq!(safe(&[b'x'; 256]), None);
        assert_eq!(safe(&[b'x'; 255]).map(|name| name.len()), Some(255));
    }

    #[test]
    fn what_is_put_into_the_chosen_folder_is_seen_there() {
        for (offered, kept) in [
            (".bashrc", Some("_bashrc")),
            ("...x", Some("_..x")),
            ("x", Some("x")),
            ("..", None),
            ("   ", None),
            ("../x", None),
        ] {
            assert_eq!(safe_and_seen(offered.as_bytes()).as_deref(), kept.map(AsRef::as_ref), "{offered:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_no_text_stays_what_it_is() {
        use std::os::unix::ffi::OsStrExt;

        assert_eq!(safe(b"a\xff\nb").unwrap().as_bytes(), b"a\xff_b");
    }

    #[test]
    fn names_that_windows_takes_for_something_else() {
        for (offered, kept) in [
            ("a:b|c", Some("a_b_c")),
            (r"..\x", Some(".._x")),
            ("nul", Some("_nul")),
            ("COM1.txt", Some("_COM1.txt")),
            ("computer", Some("computer")),
            ("x. .", Some("x")),
            (". .", None),
        ] {
            assert_eq!(safe_on_windows(offered).as_deref(), kept, "{offered:?}");
        }
    }

    #[test]
    fn shown_text_cannot_drive_the_terminal() {
        assert_eq!(shown("a\tb\u{1b}[31mc\r\u{202e}d"), "a\tb\u{fffd}[31mc\u{fffd}\u{fffd}d");
    }

    proptest! {
        #[test]
        fn a_name_is_one_component(offered in "\\PC*|[./\\\\\\x00-\\x1f a-z]{0,12}") {
            for name in [safe(offered.as_bytes()), safe_and_seen(offered.as_bytes())].into_iter().flatten() {
                let components: Vec<_> = Path::new(&name).components().collect();
                prop_assert!(matches!(components[..], [Component::Normal(only)] if only == name));
                prop_assert!(!name.to_str().unwrap().chars().any(char::is_control));
            }
            if let Some(name) = safe_and_seen(offered.as_bytes()) {
                prop_assert!(!name.to_str().unwrap().starts_with('.'));
            }
        }
    }
}
