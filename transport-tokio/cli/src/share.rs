//! Ways to carry an invitation to the other side: a picture for a camera, and the clipboard.

use console::Term;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::message::Message;
use crate::ui;

/// Shows a text as a QR code, if it fits into the terminal.
pub(crate) fn show_qr(text: &str) {
    let Some(picture) = qr(text) else { return ui::note(Message::QrTooLong) };
    let columns = picture.lines().next().map_or(0, |line| line.chars().count());
    match ui::width() {
        Some(width) if width < columns => ui::note(Message::QrTooWide { columns, width }),
        _ => ui::picture(&picture),
    }
}

/// Light on dark, as terminals mostly are; cameras read it either way.
fn qr(text: &str) -> Option<Zeroizing<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut render = code.render::<Dense1x2>();
    Some(Zeroizing::new(render.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build()))
}

/// Puts a text into the clipboard of whoever sits at the terminal, wherever that is.
pub(crate) fn copy(text: &str) {
    let term = Term::stderr();
    // OSC 52: the terminal takes it, or does nothing. It does not say which.
    if term.is_term() && term.write_str(&format!("\x1b]52;c;{}\x07", *base64(text.as_bytes()))).is_ok() {
        ui::note(Message::Copied);
    } else {
        ui::note(Message::NoClipboard);
    }
}

fn base64(bytes: &[u8]) -> Zeroizing<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | u32::from(group.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            out.push(if n <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648() {
        for (text, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(*base64(text.as_bytes()), coded);
        }
    }

    #[test]
    fn an_invitation_fits_into_eighty_columns() {
        let picture = qr("phantoms://relay.example.org/AF83X1#4T2V-8Z5Q-1M7C-0000-0000-0000-0000").unwrap();
        assert!(picture.lines().all(|line| line.chars().count() <= 49), "{}", *picture);
        assert!(qr(&"x".repeat(5000)).is_none());
    }
}
