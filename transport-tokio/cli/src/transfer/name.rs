//! A file name from the other side is a suggestion: it can only ever name a new, visible file in the folder the user chose.
//!
//! What stands before the last slash or backslash is left out. What remains loses what could mislead a person or a system: control
//! and text-direction characters and leading dots become `_`. What then is no name at all is refused.

/// Bytes of a file name; more than this no common file system takes.
const NAME_MAX: usize = 255;

/// The name under which an offered file may be kept, or `None` if nothing of the offer can be a name.
pub(crate) fn safe(offered: &str) -> Option<String> {
    let last = offered.rsplit(['/', '\\']).next()?;
    if last.trim_matches(['.', ' ']).is_empty() || last.len() > NAME_MAX {
        return None;
    }
    let mut name: String = last.chars().map(|c| if is_misleading(c) { '_' } else { c }).collect();
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    if name.len() > NAME_MAX {
        return None;
    }
    if cfg!(windows) {
        return safe_on_windows(&name);
    }
    Some(name)
}

/// Text of the other side, fit to be shown in a terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if is_misleading(c) && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Control characters, and those that change the direction of text or are not seen at all.
fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Windows has devices, streams and a few characters of its own.
fn safe_on_windows(name: &str) -> Option<String> {
    let name: String =
        name.chars().map(|c| if r#"<>:"|?*"#.contains(c) { '_' } else { c }).collect::<String>();
    let name = name.trim_end_matches(['.', ' ']);
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || matches!(stem.strip_prefix("COM").or(stem.strip_prefix("LPT")), Some(digit) if digit.chars().count() == 1);
    match name {
        "" => None,
        _ if device => Some(format!("_{name}")),
        _ => Some(name.to_owned()),
    }
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
            ("two words", Some("two words")),
            ("a..b", Some("a..b")),
            ("/etc/passwd", Some("passwd")),
            ("../../x", Some("x")),
            (r"C:\Users\me\x.txt", Some("x.txt")),
            (".bashrc", Some("_bashrc")),
            ("...x", Some("_..x")),
            ("a\u{1b}[2Jb\nc", Some("a_[2Jb_c")),
            ("evil\u{202e}fdp.exe", Some("evil_fdp.exe")),
            ("nul\0byte", Some("nul_byte")),
            ("", None),
            (".", None),
            ("..", None),
            ("a/..", None),
            ("folder/", None),
            ("   ", None),
        ] {
            assert_eq!(safe(offered).as_deref(), kept, "{offered:?}");
        }
        assert_eq!(safe(&"x".repeat(256)), None);
        assert_eq!(safe(&"x".repeat(255)).map(|name| name.len()), Some(255));
    }

    #[test]
    fn names_that_windows_takes_for_something_else() {
        for (offered, kept) in [
            ("a:b|c", Some("a_b_c")),
            ("nul", Some("_nul")),
            ("COM1.txt", Some("_COM1.txt")),
            ("computer", Some("computer")),
            ("x. .", Some("x")),
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
        fn a_name_is_one_visible_component(offered in "\\PC*|[./\\\\\\x00-\\x1f a-z]{0,12}") {
            if let Some(name) = safe(&offered) {
                let components: Vec<_> = Path::new(&name).components().collect();
                prop_assert!(matches!(components[..], [Component::Normal(only)] if only == name.as_str()));
                prop_assert!(!name.starts_with('.') && !name.chars().any(char::is_control));
                prop_assert!(!name.contains(['/', '\\', '\0']));
            }
        }
    }
}
