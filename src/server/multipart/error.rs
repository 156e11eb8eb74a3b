//! Why a form cannot be read.
//!
//! Pure.

use crate::limits::{FIELD_BYTES_MAX, FORM_PARTS_MAX, PART_HEAD_BYTES_MAX};
use std::io;

/// Why a form cannot be read. All but [`FormError::Body`] speak to whoever sent it.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// The reader of the body failed; its error, unchanged. The form may be a good one.
    #[error("cannot read the body: {0}")]
    Body(io::Error),
    /// The body ended, without an error, before the form did.
    #[error("the body ends before the form's closing boundary")]
    Truncated,
    /// There is far too much before the first boundary.
    #[error("the body does not begin with the boundary that the content type announces")]
    NoBoundary,
    /// A part's head is longer than [`PART_HEAD_BYTES_MAX`].
    #[error("a part's head is longer than {PART_HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// A part's head, or its content disposition, is against the rules.
    #[error("a part's head is not well formed")]
    HeadMalformed,
    /// A part is no form field.
    #[error("a part has no 'Content-Disposition: form-data'")]
    NotAField,
    /// A part has no name.
    #[error("a part has no name")]
    NameMissing,
    /// A part's name or file name is not UTF-8.
    #[error("a part's name or file name is not UTF-8")]
    NameNotUtf8,
    /// A part's content is encoded; nobody asked for that since RFC 7578.
    #[error("a part has a Content-Transfer-Encoding; content is taken only as it is")]
    Encoded,
    /// More than [`FORM_PARTS_MAX`] parts.
    #[error("the form has more than {FORM_PARTS_MAX} parts")]
    TooManyParts,
    /// A text field is longer than [`FIELD_BYTES_MAX`].
    #[error("the field {name:?} is longer than {FIELD_BYTES_MAX} bytes")]
    FieldTooLong {
        /// The field's name.
        name: String,
    },
    /// A text field is not UTF-8.
    #[error("the field {name:?} is not UTF-8")]
    FieldNotUtf8 {
        /// The field's name.
        name: String,
    },
}

/// For `Read`: the body's own error comes out unchanged, a form cut short as `UnexpectedEof`.
/// `FormError::from` turns it back.
impl From<FormError> for io::Error {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Body(error) => error,
            FormError::Truncated => Self::new(io::ErrorKind::UnexpectedEof, error),
            _ => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Tells an error of the form from one of the body it was read from.
impl From<io::Error> for FormError {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Body)
    }
}
