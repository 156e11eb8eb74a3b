//! What client and server say to each other: routes, form fields, JSON bodies, the closed table of
//! error codes.
//!
//! Pure. Both sides use these types and nothing else, so that neither can drift. The client acts on
//! [`ErrorCode::fault`], never on a message's text.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Paths of the HTTP interface.
pub mod route {
    /// `POST`: store one file.
    pub const UPLOAD: &str = "/upload";
    /// `GET ?path=`: is a file stored?
    pub const EXISTS: &str = "/exists";
    /// `GET` or `HEAD ?path=`: the file itself.
    pub const DOWNLOAD: &str = "/download";
    /// `GET`: the process answers. No key needed.
    pub const HEALTH: &str = "/health";
    /// `GET`: the store answers too. No key needed.
    pub const READY: &str = "/ready";
}

/// Names of the fields of the upload form.
pub mod field {
    /// The content, sent as a file.
    pub const FILE: &str = "file";
    /// The remote path; before the file unless the file is small.
    pub const PATH: &str = "path";
    /// SHA-256 of the content in hexadecimal; optional, before or after the file.
    pub const SHA256: &str = "sha256";
    /// The file's modification time as [`super::Mtime`]; optional, before the file.
    pub const MTIME: &str = "mtime";
}

/// Header that carries the stored SHA-256 with a download.
pub const SHA256_HEADER: &str = "X-S3up-Sha256";

/// Header that carries the stored modification time with a download.
pub const MTIME_HEADER: &str = "X-S3up-Mtime";

/// Whose fault an error is: this alone decides what the client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong and stays wrong: tell the operator, do not repeat it.
    Request,
    /// This one exchange went wrong: repeat it, a bounded number of times.
    Exchange,
    /// The key is not accepted: stop sending until that changes.
    Key,
    /// The server or its store cannot serve anyone now: wait, then go on; no file is to blame.
    Server,
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $status:literal, $fault:ident;)+) => {
        /// Every way a request can fail, as the `error` of an [`ErrorBody`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $name,)+ }

        impl ErrorCode {
            /// All codes, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code as it stands in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The HTTP status it comes with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// Who has to act.
            pub fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)+ }
            }
        }
    };
}

error_codes! {
    /// The request or its form is not well formed.
    BadRequest = "bad_request", 400, Request;
    /// A field that is needed is not there.
    MissingField = "missing_field", 400, Request;
    /// The path breaks a rule of `RemotePath`.
    InvalidPath = "invalid_path", 400, Request;
    /// A large file came before the path that names it.
    PathAfterFile = "path_after_file", 400, Request;
    /// The body ended before its declared length.
    IncompleteBody = "incomplete_body", 400, Exchange;
    /// No key, or one that no client has.
    Unauthorized = "unauthorized", 401, Key;
    /// A key that is known but may not do this.
    Forbidden = "forbidden", 403, Key;
    /// No such file, or no such route.
    NotFound = "not_found", 404, Request;
    /// The route exists, not with this method.
    MethodNotAllowed = "method_not_allowed", 405, Request;
    /// The body has no declared length.
    LengthRequired = "length_required", 411, Request;
    /// Larger than this client's `max_file_size_mb`.
    FileTooLarge = "file_too_large", 413, Request;
    /// The upload is no `multipart/form-data`.
    UnsupportedMediaType = "unsupported_media_type", 415, Request;
    /// The range lies outside the file.
    RangeNotSatisfiable = "range_not_satisfiable", 416, Request;
    /// The content does not have the SHA-256 that was sent with it; nothing was stored.
    DigestMismatch = "digest_mismatch", 422, Exchange;
    /// Too many requests from this peer.
    TooManyRequests = "too_many_requests", 429, Server;
    /// A defect in the server; its log says more.
    Internal = "internal", 500, Exchange;
    /// The store refused the server; its operator has to act.
    StoreRefused = "store_refused", 502, Server;
    /// The server or its store is overloaded, or away for the moment.
    Unavailable = "unavailable", 503, Server;
    /// The store is full.
    InsufficientStorage = "insufficient_storage", 507, Server;
}

impl ErrorCode {
    /// Whether the same request may succeed later without anybody changing it.
    pub fn retryable(self) -> bool {
        matches!(self.fault(), Fault::Exchange | Fault::Server)
    }
}

impl FromStr for ErrorCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The fault of an answer whose body is not ours, such as a proxy's error page.
pub fn fault_of_status(status: u16) -> Fault {
    match status {
        401 | 403 | 407 => Fault::Key,
        408 | 425 | 429 | 500.. => Fault::Server,
        _ => Fault::Request,
    }
}

/// A file's modification time. Text form: seconds since 1970 with nine decimals, UTC, as rclone
/// keeps it in `x-amz-meta-mtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtime {
    nanos: i64,
}

/// A text that is no [`Mtime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time: seconds since 1970 are expected, with up to nine decimals")]
pub struct MtimeError;

impl Mtime {
    /// The time `nanos` nanoseconds after 1970.
    pub fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// Nanoseconds since 1970.
    pub fn nanos(self) -> i64 {
        self.nanos
    }
}

impl From<SystemTime> for Mtime {
    fn from(time: SystemTime) -> Self {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        Self { nanos }
    }
}

impl fmt::Display for Mtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let nanos = self.nanos.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

impl FromStr for Mtime {
    type Err = MtimeError;

    fn from_str(text: &str) -> Result<Self, MtimeError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let only_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !only_digits(whole) || !only_digits(decimals) || decimals.len() > 9 {
            return Err(MtimeError);
        }
        // Wider than the result: the earliest time has no positive counterpart.
        let seconds: i128 = whole.parse().map_err(|_| MtimeError)?;
        let fraction: i128 = format!("{decimals:0<9}").parse().map_err(|_| MtimeError)?;
        let nanos = seconds
            .checked_mul(1_000_000_000)
            .and_then(|nanos| nanos.checked_add(fraction))
            .map(|nanos| if negative { -nanos } else { nanos })
            .ok_or(MtimeError)?;
        Ok(Self { nanos: i64::try_from(nanos).map_err(|_| MtimeError)? })
    }
}

impl Serialize for Mtime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mtime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Answer to a stored upload.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// Always `true`.
    pub success: bool,
    /// The object's key in the bucket.
    pub s3_key: String,
    /// The object's size in bytes.
    pub size: u64,
    /// SHA-256 of what was stored.
    pub sha256: Digest,
}

/// Answer to `/exists`. The last three are there only for a file that exists, the last two only if
/// they were stored with it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existence {
    /// Whether the file is stored.
    pub exists: bool,
    /// Its size in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// Its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Digest>,
    /// Its modification time on the host it came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mtime: Option<Mtime>,
}

/// Answer to `/health` and, when all is well, to `/ready`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `"ok"`.
    pub status: String,
    /// The server's version.
    pub version: String,
}

/// Answer to every request that failed.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    /// Always `false`.
    pub success: bool,
    /// What went wrong, for programs.
    pub error: ErrorCode,
    /// What went wrong, for people: one line.
    pub message: String,
}

/// An [`ErrorBody`] as a client reads it: a newer server may know codes that it does not.
#[derive(Debug, Deserialize)]
pub struct ReceivedError {
    /// The code's text.
    pub error: String,
    /// The line for people.
    #[serde(default)]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_error_codes_is_what_the_documents_say() {
        let table: Vec<String> = ErrorCode::ALL
            .iter()
            .map(|code| {
                let again = if code.retryable() { "again" } else { "final" };
                format!("{} {} {again}", code.status(), code.as_str())
            })
            .collect();
        assert_eq!(
            table.join("\n"),
            "400 bad_request final\n\
             400 missing_field final\n\
             400 invalid_path final\n\
             400 path_after_file final\n\
             400 incomplete_body again\n\
             401 unauthorized final\n\
             403 forbidden final\n\
             404 not_found final\n\
             405 method_not_allowed final\n\
             411 length_required final\n\
             413 file_too_large final\n\
             415 unsupported_media_type final\n\
             416 range_not_satisfiable final\n\
             422 digest_mismatch again\n\
             429 too_many_requests again\n\
             500 internal again\n\
             502 store_refused again\n\
             503 unavailable again\n\
             507 insufficient_storage again"
        );
    }

    #[test]
    fn every_code_is_read_back_from_its_text() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert_eq!("no_such_code".parse::<ErrorCode>(), Err(()));
    }

    #[test]
    fn foreign_answers_are_judged_by_their_status() {
        for (status, fault) in [
            (301, Fault::Request),
            (400, Fault::Request),
            (401, Fault::Key),
            (403, Fault::Key),
            (404, Fault::Request),
            (413, Fault::Request),
            (429, Fault::Server),
            (500, Fault::Server),
            (504, Fault::Server),
        ] {
            assert_eq!(fault_of_status(status), fault, "{status}");
        }
    }

    #[test]
    fn answers_have_the_shape_of_the_design_document() {
        let uploaded = Uploaded {
            success: true,
            s3_key: "backups/webapp-prod/a.png".into(),
            size: 102_400,
            sha256: Digest::of(b""),
        };
        let json = serde_json::to_string(&uploaded).unwrap();
        assert!(json.starts_with(
            r#"{"success":true,"s3_key":"backups/webapp-prod/a.png","size":102400,"sha256":"e3b0"#
        ));
        assert_eq!(serde_json::from_str::<Uploaded>(&json).unwrap(), uploaded);

        let absent = Existence { exists: false, size: None, sha256: None, mtime: None };
        assert_eq!(serde_json::to_string(&absent).unwrap(), r#"{"exists":false}"#);

        let failed = ErrorBody {
            success: false,
            error: ErrorCode::MissingField,
            message: "no field 'path'".into(),
        };
        assert_eq!(
            serde_json::to_string(&failed).unwrap(),
            r#"{"success":false,"error":"missing_field","message":"no field 'path'"}"#
        );
    }

    #[test]
    fn a_time_is_seconds_with_up_to_nine_decimals() {
        for (text, nanos) in [
            ("0", 0),
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            ("1700000000.123456789", 1_700_000_000_123_456_789),
            ("-1.25", -1_250_000_000),
            ("9223372036.854775807", i64::MAX),
            // What a time that is too early for nanoseconds is sent as.
            ("-9223372036.854775808", i64::MIN),
        ] {
            assert_eq!(text.parse(), Ok(Mtime::from_nanos(nanos)), "{text}");
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "+1",
            "1e9",
            "1.0000000001",
            " 1",
            "99999999999",
            "--1",
            "9223372036.854775808",
            "-9223372036.854775809",
            "340282366920938463463374607431768211456",
        ] {
            assert_eq!(bad.parse::<Mtime>(), Err(MtimeError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_time_survives_its_text(nanos: i64) {
            let time = Mtime::from_nanos(nanos);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
