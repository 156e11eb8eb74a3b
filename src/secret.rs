//! Texts that must not be seen: API keys and S3 credentials.
//!
//! Pure. A [`Secret`] shows as `***` in `Debug` and has no `Display`, so that it cannot slip into a
//! log line or an error; [`Secret::expose`] marks the few places where it leaves.

use crate::limits::{API_KEY_BYTES_MAX, API_KEY_BYTES_MIN};
use std::fmt;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A text that cannot be an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not an API key: {API_KEY_BYTES_MIN} to {API_KEY_BYTES_MAX} visible ASCII characters without \
     blanks are expected; `s3up-server keygen` makes one"
)]
pub struct ApiKeyError;

impl Secret {
    /// Takes any text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Takes a text that can stand in an `Authorization: Bearer` header.
    pub fn api_key(text: &str) -> Result<Self, ApiKeyError> {
        let fits = (API_KEY_BYTES_MIN..=API_KEY_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self::new(text))
        } else {
            Err(ApiKeyError)
        }
    }

    /// The text itself; only for where it has to be sent or compared.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::api_key("sk_live_0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    }

    #[test]
    fn an_api_key_fits_a_header_line() {
        assert!(Secret::api_key("sk_live_abc123...").is_ok(), "the design document's example");
        for bad in ["", "short", "sixteen or more b", "sk_live_0123456\n9", "sk_live_ümlaut__"] {
            assert_eq!(Secret::api_key(bad), Err(ApiKeyError), "{bad}");
        }
    }
}
