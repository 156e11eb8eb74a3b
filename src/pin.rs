//! The SHA-256 of one certificate, by which the server can be known.
//!
//! Pure. Its text form is the one that `openssl x509 -noout -fingerprint -sha256` prints, so that
//! an operator can compare and paste it.

use crate::digest::Digest;
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq as _;

/// The SHA-256 of a certificate in DER.
#[derive(Clone, Copy)]
pub struct Pin(Digest);

/// A text that is not the SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a certificate's SHA-256: 64 hexadecimal digits are expected, with or without a colon \
     after every two, as `openssl x509 -noout -fingerprint -sha256 -in cert.pem` prints them"
)]
pub struct PinError;

impl Pin {
    /// The pin of a certificate, which is given in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Digest::of(certificate))
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}

impl Eq for Pin {}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.as_bytes().iter().enumerate() {
            let colon = if index > 0 { ":" } else { "" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        if text.contains(':') && text.split(':').any(|pair| pair.len() != 2) {
            return Err(PinError);
        }
        text.replace(':', "").parse().map(Self).map_err(|_| PinError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `printf abc | sha256sum`, as `openssl` writes it.
    const ABC: &str = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:\
                       B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";

    #[test]
    fn a_pin_is_written_as_openssl_does() {
        assert_eq!(Pin::of(b"abc").to_string(), ABC);
    }

    #[test]
    fn a_pin_is_read_with_colons_and_without_in_either_case() {
        for text in [ABC.to_owned(), ABC.to_lowercase(), ABC.replace(':', "")] {
            assert!(text.parse::<Pin>().unwrap().matches(&Pin::of(b"abc")), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_pin() {
        let wrong = [
            String::new(),
            ":".to_owned(),
            ABC[3..].to_owned(),
            format!("{ABC}:00"),
            format!("{ABC}:"),
            format!("sha256 Fingerprint={ABC}"),
            ABC.replacen(':', "", 1),
            ABC.replacen("BA:78", "B:A78", 1),
            ABC.replace(':', " "),
            ABC.replacen('B', "G", 1),
            // SHA-1, which `openssl` prints if it is not told otherwise.
            ABC[..59].to_owned(),
        ];
        for text in &wrong {
            assert_eq!(text.parse::<Pin>().map(|_| ()), Err(PinError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: Vec<u8>, other: Vec<u8>) {
            let pin = Pin::of(&bytes);
            prop_assert!(pin.to_string().parse::<Pin>().unwrap().matches(&pin));
            prop_assert_eq!(pin.matches(&Pin::of(&other)), bytes == other);
        }

        #[test]
        fn no_text_is_too_odd_to_be_judged(text in "[0-9a-fA-F:é ]{0,100}") {
            let digits = text.chars().filter(char::is_ascii_hexdigit).count();
            prop_assert!(text.parse::<Pin>().is_err() || digits == 64);
        }
    }
}
