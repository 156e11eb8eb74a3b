//! What the store's answers mean.
//!
//! Pure. Whatever the store wrote ends in [`StoreError::cause`], escaped and cut; only the kind,
//! which is chosen here, goes further.

use crate::digest::Digest;
use crate::server::store::{Metadata, ObjectInfo, StoreError, StoreErrorKind};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, ETAG, HeaderName, LAST_MODIFIED};
use quick_xml::events::Event;
use serde::Deserialize;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

pub(super) const META_SHA256: HeaderName = HeaderName::from_static("x-amz-meta-sha256");
pub(super) const META_MTIME: HeaderName = HeaderName::from_static("x-amz-meta-mtime");

/// Longest foreign text in a [`StoreError::cause`], in characters.
const CAUSE_CHARS_MAX: usize = 400;

/// S3 refuses a signature whose time is further away than this.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

const HINT_BUCKET: &str = "there is no such bucket at this endpoint: check s3.bucket";
const HINT_CLOCK: &str = "the clocks of this machine and of the store differ: check NTP";
const HINT_KEY: &str = "the store does not know this key: check s3.access_key_id";
const HINT_PLACE: &str = "the bucket is elsewhere: check s3.region and s3.endpoint";
pub(super) const HINT_RIGHTS: &str = "the key is wrong or may not do this: check s3.access_key_id and \
                           s3.secret_access_key, allow s3:PutObject, s3:GetObject and \
                           s3:AbortMultipartUpload on the objects and s3:ListBucket on the bucket \
                           (`s3up-server check` prints the whole policy)";
const HINT_SECRET: &str = "the signature is wrong: check s3.secret_access_key (and s3.region)";
const HINT_TOKEN: &str = "the session token is not valid or no longer: renew it";

/// The body of an answer that is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ErrorDocument {
    code: String,
    message: String,
}

/// Name of the outermost element of an XML document.
pub(super) fn root(xml: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => {
                return String::from_utf8(element.local_name().as_ref().to_vec()).ok();
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// Whether the same request, sent once more, may succeed.
    pub(super) passing: bool,
}

/// The failure behind an answer that is none of the expected ones. `now` is the local clock: it
/// tells a wrong clock from wrong keys where the answer has no body to say so.
pub(super) fn failure(
    operation: &'static str,
    subject: String,
    status: u16,
    headers: &HeaderMap,
    body: &str,
    now: SystemTime,
) -> Failure {
    let document: ErrorDocument = quick_xml::de::from_str(body.trim()).unwrap_or_default();
    let (kind, mut hint) = classify(status, &document.code);
    let passing = kind == StoreErrorKind::Unavailable && !is_final(status, &document.code);
    if status == 403 && skewed(headers, now) {
        hint = Some(HINT_CLOCK);
    }
    let cause = match (document.code.as_str(), document.message.as_str()) {
        ("", _) => format!("status {status}"),
        (code, "") => format!("status {status}, {code}"),
        (code, message) => format!("status {status}, {code}: {message}"),
    };
    let error = StoreError { kind, operation, subject, cause: plain(&cause), hint };
    Failure { error, passing }
}

/// Whether the same request can never succeed, though a whole new attempt at the object can.
fn is_final(status: u16, code: &str) -> bool {
    // What was begun is gone, or what was asked for was replaced.
    matches!(code, "InvalidPart" | "InvalidPartOrder" | "NoSuchUpload")
        || matches!(status, 412 | 416)
}

fn classify(status: u16, code: &str) -> (StoreErrorKind, Option<&'static str>) {
    use StoreErrorKind::{Full, NameConflict, Refused, Unavailable};
    match code {
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => (Refused, Some(HINT_RIGHTS)),
        "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "PermanentRedirect"
        | "TemporaryRedirect" => (Refused, Some(HINT_PLACE)),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => (Refused, Some(HINT_TOKEN)),
        "InvalidAccessKeyId" | "NotSignedUp" => (Refused, Some(HINT_KEY)),
        "InvalidBucketName" | "NoSuchBucket" => (Refused, Some(HINT_BUCKET)),
        "RequestExpired" | "RequestTimeTooSkewed" => (Refused, Some(HINT_CLOCK)),
        "SignatureDoesNotMatch" => (Refused, Some(HINT_SECRET)),
        "InsufficientStorage"
        | "QuotaExceeded"
        | "StorageFull"
        | "XMinioAdminBucketQuotaExceeded"
        | "XMinioDiskFull"
        | "XMinioStorageFull" => (Full, Some("free space or raise the quota of the store")),
        "KeyTooLongError"
        | "XMinioInvalidObjectName"
        | "XMinioObjectExistsAsDirectory"
        | "XMinioParentIsObject" => (NameConflict, None),
        // Damaged on the way: the next attempt has every chance.
        "BadDigest"
        | "IncompleteBody"
        | "InvalidDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch" => (Unavailable, None),
        // The upload in parts is gone; a new one has every chance.
        "InvalidPart" | "InvalidPartOrder" | "NoSuchUpload" => (Unavailable, None),
        "InternalError"
        | "OperationAborted"
        | "RequestTimeout"
        | "ServiceUnavailable"
        | "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests" => (Unavailable, None),
        _ => match status {
            300..=399 => (Refused, Some(HINT_PLACE)),
            401 | 403 => (Refused, Some(HINT_RIGHTS)),
            408 | 409 | 412 | 416 | 425 | 429 => (Unavailable, None),
            400..=499 | 501 | 505 => (Refused, None),
            507 => (Full, None),
            _ => (Unavailable, None),
        },
    }
}

fn skewed(headers: &HeaderMap, now: SystemTime) -> bool {
    let Some(theirs) = headers.get(http::header::DATE).and_then(|date| date.to_str().ok()) else {
        return false;
    };
    let Ok(theirs) = httpdate::parse_http_date(theirs) else { return false };
    now.duration_since(theirs).unwrap_or_else(|error| error.duration()) > SKEW_MAX
}

/// Foreign text made harmless: control characters escaped, cut to a bound.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars().take(CAUSE_CHARS_MAX) {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// What the headers say of an object of `size` bytes; `None` if they do not say enough.
pub(super) fn info(headers: &HeaderMap, size: u64) -> Option<ObjectInfo> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let etag = text(ETAG)?;
    let quoted = etag.starts_with('"') || etag.starts_with("W/\"");
    Some(ObjectInfo {
        size,
        metadata: Metadata {
            // Set by somebody else and not ours: as good as not set.
            sha256: text(META_SHA256).and_then(|text| Digest::from_str(text).ok()),
            mtime: text(META_MTIME).and_then(|text| text.parse().ok()),
        },
        etag: if quoted { etag.to_owned() } else { format!("\"{etag}\"") },
        last_modified: httpdate::parse_http_date(text(LAST_MODIFIED)?).ok()?,
    })
}

/// The declared length of the body.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// First, last and whole of a `Content-Range: bytes 0-9/100`.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let text = headers.get(http::header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, whole.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn judge(status: u16, body: &str) -> Failure {
        failure("put", "a".to_owned(), status, &HeaderMap::new(), body, UNIX_EPOCH)
    }

    #[test]
    fn the_code_decides_and_the_status_where_there_is_none() {
        use StoreErrorKind::{Full, NameConflict, Refused, Unavailable};
        for (status, code, kind, hint) in [
            (503, "SlowDown", Unavailable, None),
            (503, "", Unavailable, None),
            (500, "InternalError", Unavailable, None),
            (400, "RequestTimeout", Unavailable, None),
            (429, "", Unavailable, None),
            (408, "", Unavailable, None),
            (400, "BadDigest", Unavailable, None),
            (400, "XAmzContentChecksumMismatch", Unavailable, None),
            (404, "NoSuchUpload", Unavailable, None),
            (507, "", Full, None),
            (507, "XMinioStorageFull", Full, Some("free space or raise the quota of the store")),
            (404, "NoSuchBucket", Refused, Some(HINT_BUCKET)),
            (403, "SignatureDoesNotMatch", Refused, Some(HINT_SECRET)),
            (403, "InvalidAccessKeyId", Refused, Some(HINT_KEY)),
            (403, "AccessDenied", Refused, Some(HINT_RIGHTS)),
            (403, "RequestTimeTooSkewed", Refused, Some(HINT_CLOCK)),
            (400, "ExpiredToken", Refused, Some(HINT_TOKEN)),
            (301, "PermanentRedirect", Refused, Some(HINT_PLACE)),
            (307, "", Refused, Some(HINT_PLACE)),
            (403, "", Refused, Some(HINT_RIGHTS)),
            (400, "EntityTooLarge", Refused, None),
            (501, "NotImplemented", Refused, None),
            (400, "XMinioParentIsObject", NameConflict, None),
        ] {
            let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code></Error>");
            let error = judge(status, if code.is_empty() { "" } else { &body }).error;
            assert_eq!((error.kind, error.hint), (kind, hint), "{status} {code}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_cannot_is_not() {
        for (status, code, passing) in [
            (503, "SlowDown", true),
            (503, "", true),
            (500, "InternalError", true),
            (502, "", true),
            (504, "", true),
            (429, "", true),
            (400, "RequestTimeout", true),
            (400, "BadDigest", true),
            (200, "InternalError", true),
            (404, "NoSuchUpload", false),
            (400, "InvalidPart", false),
            (416, "InvalidRange", false),
            (403, "AccessDenied", false),
            (403, "RequestTimeTooSkewed", false),
            (404, "NoSuchBucket", false),
            (507, "", false),
            (501, "NotImplemented", false),
            (301, "PermanentRedirect", false),
        ] {
            let body = format!("<Error><Code>{code}</Code></Error>");
            let failure = judge(status, if code.is_empty() { "" } else { &body });
            assert_eq!(failure.passing, passing, "{status} {code}");
        }
    }

    #[test]
    fn a_foreign_text_is_escaped_and_cut_and_stands_in_the_cause_alone() {
        let long = "x".repeat(10_000);
        let error = judge(
            400,
            &format!("<Error><Message>a&#10;b&#27;[31m {long}</Message><Code>Odd</Code></Error>"),
        );
        let error = error.error;
        assert!(error.cause.starts_with("status 400, Odd: a\\nb\\u{1b}[31m x"), "{}", error.cause);
        assert!(error.cause.len() < 600);
        assert_eq!((error.operation, error.subject.as_str(), error.hint), ("put", "a", None));
        assert_eq!(judge(502, "<html><h1>Bad gateway").error.cause, "status 502");
    }

    #[test]
    fn a_wrong_clock_is_told_from_wrong_keys_by_the_date_of_the_answer() {
        let mut headers = HeaderMap::new();
        let theirs = UNIX_EPOCH + Duration::from_secs(1_000_000);
        headers.insert("date", httpdate::fmt_http_date(theirs).parse().unwrap());
        for (apart, hint) in [(0, HINT_RIGHTS), (890, HINT_RIGHTS), (910, HINT_CLOCK)] {
            for now in [theirs + Duration::from_secs(apart), theirs - Duration::from_secs(apart)] {
                let failure = failure("head", String::new(), 403, &headers, "", now);
                assert_eq!(failure.error.hint, Some(hint));
            }
        }
    }

    #[test]
    fn the_root_of_a_document_is_found_behind_blanks_and_declarations() {
        for (xml, name) in [
            ("<?xml version=\"1.0\"?>\n   \n<Error><Code>x</Code></Error>", Some("Error")),
            ("  <Error/>", Some("Error")),
            ("<s3:Done xmlns:s3=\"x\"/>", Some("Done")),
            ("", None),
            ("plain", None),
        ] {
            assert_eq!(root(xml).as_deref(), name, "{xml}");
        }
    }

    #[test]
    fn foreign_metadata_is_as_good_as_none() {
        let mut headers = HeaderMap::new();
        headers.insert("etag", "abc".parse().unwrap());
        headers.insert("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        headers.insert(META_SHA256, "no digest".parse().unwrap());
        headers.insert(META_MTIME, "yesterday".parse().unwrap());
        let info = info(&headers, 3).unwrap();
        assert_eq!((info.metadata, info.etag.as_str()), (Metadata::default(), "\"abc\""));
    }
}
