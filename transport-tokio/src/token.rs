//! The token that a relay may want of its clients: never shown, and wiped with its owner.

use std::fmt;

use tokio_tungstenite::tungstenite::http::HeaderValue;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::Error;

/// The longest token, in bytes.
const TOKEN_MAX: usize = 4096;

/// An access token. It prints as `AccessToken` and nothing more.
#[derive(Clone)]
pub(crate) struct AccessToken(Zeroizing<String>);

impl ZeroizeOnDrop for AccessToken {}

impl AccessToken {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The value of the header `Authorization`. What the HTTP library makes of it is dropped soon, but not wiped.
    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        let refuse = |problem| Error::Token { problem };
        let token = self.0.trim_ascii();
        if token.is_empty() {
            return Err(refuse("it is empty"));
        }
        if token.len() > TOKEN_MAX {
            return Err(refuse("it is longer than 4096 characters"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("it has a character that cannot stand in a header"));
        }
        let text = Zeroizing::new(format!("Bearer {token}"));
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| refuse("it has a character that cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_shown() {
        let token = AccessToken::new(" s3cret\n".to_owned());
        assert_eq!(format!("{token:?}"), "AccessToken");
        let header = token.header().unwrap();
        assert_eq!(header.as_bytes(), b"Bearer s3cret");
        assert!(!format!("{header:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_a_token_is_refused_without_showing_it() {
        for text in ["", "  ", "two words", "sécret", "a\r\nb", &"x".repeat(4097)] {
            let error = AccessToken::new(text.to_owned()).header().unwrap_err();
            assert!(matches!(error, Error::Token { .. }), "{text:?}");
            assert!(text.len() < 3 || !error.to_string().contains(text), "{error}");
        }
    }
}
