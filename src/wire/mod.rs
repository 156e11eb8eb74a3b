//! What client and server say to each other: routes, form fields, JSON bodies, the closed table of
//! error codes.
//!
//! Pure. Both sides use these types and nothing else, so that neither can drift. The client acts on
//! [`ErrorCode::fault`], never on a message's text.

/// In JSON a text: the one that `Display` writes and `FromStr` reads.
macro_rules! as_text {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

mod day;
mod error_code;
mod mtime;
pub mod report;
mod text;

pub use day::{Day, DayError};
pub use error_code::{ErrorCode, Fault, fault_of_status};
pub use mtime::{Mtime, MtimeError};
pub use text::{Few, Text};

use crate::digest::Digest;
use serde::{Deserialize, Serialize};

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
    /// `POST`: what a client says of one of its days.
    pub const REPORT: &str = "/report";
    /// `GET`: how every client is. An administrator's key is needed.
    pub const CLIENTS: &str = "/clients";
    /// `GET ?date=`: what the clients said of a day. An administrator's key is needed.
    pub const REPORTS: &str = "/reports";
    /// `GET`: figures in Prometheus' text form. An administrator's key is needed.
    pub const METRICS: &str = "/metrics";
    /// `GET`: how every client is, for an administrator's browser.
    pub const PAGE: &str = "/";
    /// `POST`: begin a session with an administrator's key, from the page's form.
    pub const LOGIN: &str = "/login";
    /// `POST`: end a session.
    pub const LOGOUT: &str = "/logout";
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
    /// Of the query of `/reports`: the day, as [`super::Day`] is written.
    pub const DATE: &str = "date";
}

/// Header that carries the stored SHA-256 with a download.
pub const SHA256_HEADER: &str = "X-S3up-Sha256";

/// Header that carries the stored modification time with a download.
pub const MTIME_HEADER: &str = "X-S3up-Mtime";

as_text!(Digest);

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
    /// Only of `/ready`, and only if uploads are taken and not written down in the server's database.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub activity: Option<String>,
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
}
