//! Answers, before they become HTTP.
//!
//! Pure: the workers turn a [`Reply`] into bytes, the handlers make it.

use crate::remote_path::PathError;
use crate::version;
use crate::wire::{ErrorBody, ErrorCode, Status};
use serde::Serialize;
use std::io::{Cursor, Read};

/// A request's failure, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people: one line that holds nothing a client must not know.
    pub message: String,
}

impl ApiError {
    /// A failure.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A file, or a body that can only hold such a file, is larger than `max` bytes.
    pub fn file_too_large(max: u64) -> Self {
        let message = format!("this client may store files of at most {max} bytes");
        Self::new(ErrorCode::FileTooLarge, format!("{message} (max_file_size_mb)"))
    }

    /// What the access log says of it.
    pub fn note(&self) -> String {
        format!("{}: {}", self.code.as_str(), self.message)
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        Self::new(ErrorCode::InvalidPath, format!("the path cannot be used: {error}"))
    }
}

/// An answer.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header fields beside those that every answer has; values are ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// How many bytes `body` yields, exactly.
    pub length: u64,
    /// The content.
    pub body: Box<dyn Read + Send>,
}

impl Reply {
    /// The answer to who asks whether the server lives.
    pub fn alive() -> Self {
        Self::ready(None)
    }

    /// The answer to who asks whether the server is ready, if it is. `activity` says what is wrong
    /// with what it remembers.
    pub fn ready(activity: Option<&str>) -> Self {
        let version = version::NUMBER.into();
        let activity = activity.map(str::to_owned);
        Self::json(200, &Status { status: "ok".into(), version, activity })
    }

    /// A JSON answer.
    pub fn json(status: u16, content: &impl Serialize) -> Self {
        // Texts, numbers and flags only, which cannot fail.
        let body = serde_json::to_vec(content).unwrap_or_default();
        Self {
            status,
            headers: vec![("Content-Type", "application/json".into())],
            length: body.len() as u64,
            body: Box::new(Cursor::new(body)),
        }
    }

    /// The answer to a request that failed.
    pub fn error(error: &ApiError) -> Self {
        let code = error.code;
        let body = ErrorBody { success: false, error: code, message: error.message.clone() };
        let mut reply = Self::json(code.status(), &body);
        match code {
            ErrorCode::Unauthorized => reply.headers.push(("WWW-Authenticate", "Bearer".into())),
            ErrorCode::Unavailable | ErrorCode::TooManyRequests => {
                reply.headers.push(("Retry-After", "5".into()));
            }
            _ => {}
        }
        reply
    }
}
