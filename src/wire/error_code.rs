//! The closed table of error codes, and whose fault each is.
//!
//! Pure.

use serde::Serialize;
use std::str::FromStr;

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
        /// Every way a request can fail, as the `error` of an [`ErrorBody`](crate::wire::ErrorBody).
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
    /// Larger than this client's `max_file_size_mb`, or than a report may be.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
