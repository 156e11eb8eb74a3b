//! The boundary of a form: the text that a request's `Content-Type` announces.
//!
//! Pure.

use super::parameters;
use crate::limits::BOUNDARY_BYTES_MAX;

/// A boundary as RFC 2046 allows it: 1 to [`BOUNDARY_BYTES_MAX`] harmless ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

/// Why a `Content-Type` announces no form that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundaryError {
    /// It is some other type.
    #[error("the content type is not multipart/form-data")]
    NotFormData,
    /// It is a form without a boundary.
    #[error("the content type has no boundary")]
    Missing,
    /// Its boundary or its list of parameters is against the rules.
    #[error("the content type's boundary is not well formed")]
    Malformed,
}

impl Boundary {
    /// Reads a `Content-Type` such as `multipart/form-data; boundary=X`.
    pub fn from_content_type(header: &str) -> Result<Self, BoundaryError> {
        let (kind, parameters) = parameters::split(header);
        if !kind.eq_ignore_ascii_case("multipart/form-data") {
            return Err(BoundaryError::NotFormData);
        }
        let mut boundary = None;
        for parameter in parameters {
            let (name, value) = parameter.map_err(|_| BoundaryError::Malformed)?;
            // Of two boundaries another reader might take the other one.
            if name.eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
                return Err(BoundaryError::Malformed);
            }
        }
        Self::parse(boundary.ok_or(BoundaryError::Missing)?)
    }

    /// The boundary itself, without its dashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A `Content-Type` that announces this boundary.
    pub fn content_type(&self) -> String {
        // None of the characters that a boundary may have needs escaping between quotes.
        format!("multipart/form-data; boundary=\"{}\"", self.0)
    }

    fn parse(text: String) -> Result<Self, BoundaryError> {
        let length = 1..=BOUNDARY_BYTES_MAX;
        let good = length.contains(&text.len())
            && text.bytes().all(is_boundary_byte)
            && !text.ends_with(' ');
        good.then_some(Self(text)).ok_or(BoundaryError::Malformed)
    }
}

/// Whether the byte is one of RFC 2046's `bchars`. The scanner relies on it that CR is none.
fn is_boundary_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Result<&str, BoundaryError>) {
        let boundary = Boundary::from_content_type(header);
        let boundary = boundary.as_ref().map(Boundary::as_str).map_err(|error| *error);
        assert_eq!(boundary, expected, "{header:?}");
    }

    #[test]
    fn the_boundary_is_read_from_what_clients_send() {
        for (header, boundary) in [
            ("multipart/form-data; boundary=X", "X"),
            ("multipart/form-data;boundary=X", "X"),
            ("Multipart/Form-Data ; Boundary=\"X\"", "X"),
            ("multipart/form-data; charset=utf-8; boundary=X; q=1", "X"),
            ("multipart/form-data; boundary=\"a b:c?(d)\"", "a b:c?(d)"),
            ("multipart/form-data; boundary=--=/a=", "--=/a="),
            (
                "multipart/form-data; boundary=------------------------e92a46dbd611ae7a",
                "------------------------e92a46dbd611ae7a",
            ),
            (
                "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
                "----WebKitFormBoundary7MA4YWxkTrZu0gW",
            ),
        ] {
            check(header, Ok(boundary));
        }
        let longest = "x".repeat(BOUNDARY_BYTES_MAX);
        check(&format!("multipart/form-data; boundary={longest}"), Ok(&longest));
    }

    #[test]
    fn another_type_is_told_from_a_missing_and_from_a_bad_boundary() {
        for other in ["", "text/plain", "multipart/mixed; boundary=X", "multipart/form-dataX"] {
            check(other, Err(BoundaryError::NotFormData));
        }
        for none in ["multipart/form-data", "multipart/form-data;", "multipart/form-data; a=b"] {
            check(none, Err(BoundaryError::Missing));
        }
        let too_long = format!("boundary={}", "x".repeat(BOUNDARY_BYTES_MAX + 1));
        for bad in [
            "boundary",
            "boundary=",
            "boundary=\"\"",
            "boundary=\"a ",
            "boundary=\"a \"",
            "boundary=a; boundary=b",
            "boundary=a; b",
            "boundary=a@b",
            "boundary=ü",
            "boundary=\"a\rb\"",
            &too_long,
        ] {
            check(&format!("multipart/form-data; {bad}"), Err(BoundaryError::Malformed));
        }
    }
}
