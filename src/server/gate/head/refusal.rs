//! Why a head is refused.
//!
//! Pure.

use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use crate::server::reply::ApiError;
use crate::wire::ErrorCode;

/// Why a head is refused. The texts are for who sent it, and repeat nothing of what was sent: it
/// may be a key.
///
/// After any of them the connection has to be closed once the answer is sent. Who breaks a rule of
/// the head may disagree with us about where the next request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// [`HEAD_BYTES_MAX`] bytes came, and the head did not end in them.
    #[error("the head is longer than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    /// More than [`HEAD_FIELDS_MAX`] header lines.
    #[error("the head has more than {HEAD_FIELDS_MAX} header lines")]
    TooManyFields,
    /// A line ends in a bare LF, has a CR within, or goes on after the version.
    #[error("a line of the head does not end where it has to, in CR LF")]
    LineEnd,
    /// An empty line where the request line is due.
    #[error("there is an empty line before the request line")]
    EmptyLine,
    /// The first line is no method, target and version with one blank between each; HTTP/0.9 too.
    #[error("the request line is not well formed")]
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the request line does not end in HTTP/1.0 or HTTP/1.1; no other version is served")]
    Version,
    /// The method is longer than [`METHOD_BYTES_MAX`].
    #[error("the method is longer than {METHOD_BYTES_MAX} bytes")]
    MethodTooLong,
    /// The target is longer than [`TARGET_BYTES_MAX`].
    #[error("the target is longer than {TARGET_BYTES_MAX} bytes")]
    TargetTooLong,
    /// The target is not in origin-form.
    #[error(
        "the target is not a path with an optional query: it has to begin with a slash, and to be \
         visible ASCII without a fragment"
    )]
    Target,
    /// A field's name is empty, folded, followed by blanks, or no token.
    #[error("a header line does not begin with a name and a colon")]
    FieldName,
    /// A control character in a field's value.
    #[error("the value of a header has a control character")]
    FieldValue,
    /// A field that counts has bytes that are no ASCII.
    #[error("the value of {0} is not ASCII")]
    NotAscii(&'static str),
    /// A field that counts came twice, be it with the same value.
    #[error("there is more than one {0}")]
    Repeated(&'static str),
    /// HTTP/1.1 without `Host`.
    #[error("there is no Host, which HTTP/1.1 demands")]
    HostMissing,
    /// `Host` is no name or address with an optional port.
    #[error("the value of Host is not well formed")]
    Host,
    /// `Content-Length` is no number, or not written as one would.
    #[error("the value of Content-Length is not a plain decimal number below 2^64")]
    ContentLength,
    /// `Transfer-Encoding`, whatever it says.
    #[error("Transfer-Encoding is not taken; send the body as it is, with a Content-Length")]
    TransferEncoding,
    /// `Transfer-Encoding` and `Content-Length`: the classic of request smuggling.
    #[error("there are both a Transfer-Encoding and a Content-Length")]
    TwoFramings,
    /// `Connection` is no list of names, or names a field that everybody has to see.
    #[error("the value of Connection is not a list of options that can be meant")]
    Connection,
    /// `Expect` asks for something else than `100-continue`.
    #[error("the value of Expect is not 100-continue")]
    Expect,
}

impl Refusal {
    /// The code that the answer carries.
    ///
    /// The statuses that RFC 9110 and 6585 have for some of these (417, 431, 501, 505) are not in
    /// the table: to a client they all say what 400 says, that this request is wrong and stays
    /// wrong. A missing length is told apart, as its remedy is another.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::TransferEncoding => ErrorCode::LengthRequired,
            _ => ErrorCode::BadRequest,
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string())
    }
}

impl From<httparse::Error> for Refusal {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName => Self::FieldName,
            httparse::Error::HeaderValue => Self::FieldValue,
            httparse::Error::NewLine => Self::LineEnd,
            httparse::Error::TooManyHeaders => Self::TooManyFields,
            httparse::Error::Version => Self::Version,
            // `Status` belongs to answers.
            httparse::Error::Token | httparse::Error::Status => Self::RequestLine,
        }
    }
}
