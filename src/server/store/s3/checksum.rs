//! The checksum that the store compares with what it received.
//!
//! Pure.

use crate::digest::Digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

const X_AMZ_CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// The form S3 wants it in.
pub(super) fn text(digest: &Digest) -> String {
    STANDARD.encode(digest.as_bytes())
}

/// The header that makes the store compare, and keep the checksum.
pub(super) fn header(digest: &Digest) -> HeaderMap {
    HeaderValue::from_str(&text(digest))
        .map(|value| HeaderMap::from_iter([(X_AMZ_CHECKSUM_SHA256, value)]))
        .unwrap_or_default()
}
