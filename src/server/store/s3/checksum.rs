//! The checksum that the store compares with what it received.
//!
//! Pure.

use crate::digest::Digest;
use crate::server::part_buffer::PartBuffer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

const X_AMZ_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-checksum-algorithm");
const X_AMZ_CHECKSUM_CRC32: HeaderName = HeaderName::from_static("x-amz-checksum-crc32");
const X_AMZ_CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// A checksum of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// For what is hashed anyway.
    Sha256(Digest),
    /// Against accidents alone; a fifteenth of the CPU time.
    Crc32(u32),
}

impl Checksum {
    /// What says, when an upload is begun, which checksum its parts will have.
    pub(super) fn announcement(signed: bool) -> HeaderMap {
        let algorithm = if signed { "SHA256" } else { "CRC32" };
        HeaderMap::from_iter([(X_AMZ_CHECKSUM_ALGORITHM, HeaderValue::from_static(algorithm))])
    }

    /// The checksum of a part, `signed` with its SHA-256 or not.
    pub(super) fn of_part(part: &PartBuffer, signed: bool) -> Self {
        if signed { Self::Sha256(Digest::of(part.bytes())) } else { Self::Crc32(part.crc32()) }
    }

    /// The header that makes the store compare, and keep the checksum.
    pub(super) fn header(&self) -> HeaderMap {
        let name = match self {
            Self::Sha256(_) => X_AMZ_CHECKSUM_SHA256,
            Self::Crc32(_) => X_AMZ_CHECKSUM_CRC32,
        };
        // Base64 is always fit for a header.
        let value = HeaderValue::from_str(&self.text()).ok();
        value.map(|value| HeaderMap::from_iter([(name, value)])).unwrap_or_default()
    }

    /// The element of a part in the document that completes its upload.
    pub(super) fn element(&self) -> String {
        let text = self.text();
        match self {
            Self::Sha256(_) => format!("<ChecksumSHA256>{text}</ChecksumSHA256>"),
            Self::Crc32(_) => format!("<ChecksumCRC32>{text}</ChecksumCRC32>"),
        }
    }

    /// The form S3 wants it in.
    fn text(&self) -> String {
        match self {
            Self::Sha256(digest) => STANDARD.encode(digest.as_bytes()),
            Self::Crc32(checksum) => STANDARD.encode(checksum.to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(signed: bool, name: &str, value: &str) {
        let mut part = PartBuffer::for_part(9).unwrap();
        part.fill(b"123456789");
        let checksum = Checksum::of_part(&part, signed);
        assert_eq!(checksum.header()[name], value);
        assert!(checksum.element().contains(&format!(">{value}</Checksum")), "{checksum:?}");
    }

    #[test]
    fn a_part_has_the_checksum_that_s3_computes() {
        // The check values of both algorithms, in base64.
        check(true, "x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
        check(false, "x-amz-checksum-crc32", "y/Q5Jg==");
    }
}
