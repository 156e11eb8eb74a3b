//! An object that is uploaded in parts.
//!
//! Runs on the worker thread that receives the object. It owns the upload's id: as long as it is
//! not completed, the store keeps (and bills) the parts, so dropping it aborts the upload.

use super::answer;
use super::request::{Call, Requests};
use super::{checksum, metadata_headers, put};
use crate::digest::Digest;
use crate::limits::PARTS_MAX;
use crate::server::store::{LargeObject, Metadata, StoreError, StoreErrorKind};
use crate::wire::Mtime;
use http::header::{ETAG, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use quick_xml::escape::escape;
use s3::serde_types::InitiateMultipartUploadResponse;
use std::fmt::Write;

const X_AMZ_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-checksum-algorithm");

/// An upload that was begun. Dropped before it is completed, it is aborted.
pub(super) struct Upload<'s> {
    requests: &'s Requests,
    key: String,
    id: String,
    /// What the metadata already says.
    announced: Option<Digest>,
    mtime: Option<Mtime>,
    /// The elements of the completing document so far.
    parts: String,
    count: u64,
    completed: bool,
}

impl<'s> Upload<'s> {
    pub(super) fn begin(
        requests: &'s Requests,
        key: &str,
        metadata: &Metadata,
    ) -> Result<Self, StoreError> {
        let mut headers = metadata_headers(key, metadata);
        headers.insert(X_AMZ_CHECKSUM_ALGORITHM, HeaderValue::from_static("SHA256"));
        let call = Call {
            operation: "begin",
            method: Method::POST,
            key: Some(key),
            query: &[("uploads", "")],
            headers,
            body: b"",
            digest: Digest::of(b""),
            // Arriving twice it would begin two uploads, one of which nobody ever aborts.
            idempotent: false,
        };
        let response = requests.send(&call)?;
        if response.status() != 200 {
            return Err(requests.error(&call, response));
        }
        let text = requests.text(&call, response)?;
        let answer: InitiateMultipartUploadResponse = quick_xml::de::from_str(&text)
            .map_err(|error| requests.garbled(&call, &format!("no upload id: {error}")))?;
        Ok(Self {
            requests,
            key: key.to_owned(),
            id: answer.upload_id,
            announced: metadata.sha256,
            mtime: metadata.mtime,
            parts: String::new(),
            count: 0,
            completed: false,
        })
    }

    fn finish(&self) -> Result<(), StoreError> {
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}\
             </CompleteMultipartUpload>",
            self.parts
        );
        let call = Call {
            operation: "complete",
            method: Method::POST,
            key: Some(&self.key),
            query: &[("uploadId", &self.id)],
            headers: HeaderMap::new(),
            body: body.as_bytes(),
            digest: Digest::of(body.as_bytes()),
            idempotent: false,
        };
        let response = self.requests.send(&call)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if status != 200 {
            return Err(self.requests.error(&call, response));
        }
        // The status came before the store knew: only the document says how it ended.
        let text = self.requests.text(&call, response)?;
        match answer::root(&text).as_deref() {
            Some("CompleteMultipartUploadResult") => Ok(()),
            Some("Error") => {
                let now = crate::clock::utc();
                Err(answer::error("complete", self.key.clone(), status, &headers, &text, now))
            }
            _ => Err(self.requests.garbled(&call, "the answer is neither a result nor an error")),
        }
    }

    fn abort(&self) -> Result<(), StoreError> {
        let call = Call {
            operation: "abort",
            method: Method::DELETE,
            key: Some(&self.key),
            query: &[("uploadId", &self.id)],
            headers: HeaderMap::new(),
            body: b"",
            digest: Digest::of(b""),
            idempotent: true,
        };
        let response = self.requests.send(&call)?;
        match response.status().as_u16() {
            // 404: it is gone already, perhaps because completing it worked after all.
            200 | 204 | 404 => Ok(()),
            _ => Err(self.requests.error(&call, response)),
        }
    }
}

impl LargeObject for Upload<'_> {
    fn append(&mut self, part: &[u8]) -> Result<(), StoreError> {
        if part.is_empty() {
            return Ok(());
        }
        let number = (self.count + 1).to_string();
        let digest = Digest::of(part);
        let call = Call {
            operation: "append to",
            method: Method::PUT,
            key: Some(&self.key),
            query: &[("partNumber", &number), ("uploadId", &self.id)],
            headers: checksum::header(&digest),
            body: part,
            digest,
            idempotent: true,
        };
        if self.count == PARTS_MAX {
            return Err(StoreError {
                kind: StoreErrorKind::Refused,
                operation: call.operation,
                subject: self.key.clone(),
                cause: format!("an object has at most {PARTS_MAX} parts"),
                hint: Some("the file is too large for this part size"),
            });
        }
        let response = self.requests.send(&call)?;
        if response.status() != 200 {
            return Err(self.requests.error(&call, response));
        }
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.ok_or_else(|| self.requests.garbled(&call, "the part has no etag"))?;
        let written = write!(
            self.parts,
            "<Part><ChecksumSHA256>{}</ChecksumSHA256><ETag>{}</ETag>\
             <PartNumber>{number}</PartNumber></Part>",
            checksum::text(&digest),
            escape(etag),
        );
        debug_assert!(written.is_ok(), "a String takes everything");
        self.count += 1;
        Ok(())
    }

    fn complete(mut self: Box<Self>, sha256: Digest) -> Result<(), StoreError> {
        if self.announced.is_some_and(|announced| announced != sha256) {
            return Err(StoreError {
                kind: StoreErrorKind::Unavailable,
                operation: "complete",
                subject: self.key.clone(),
                cause: "the content has another SHA-256 than its metadata".to_owned(),
                hint: None,
            });
        }
        if self.parts.is_empty() {
            // Not every store takes an upload without parts, or an empty part. The upload itself
            // is aborted when `self` goes.
            let metadata = Metadata { sha256: Some(sha256), mtime: self.mtime };
            return put(self.requests, &self.key, b"", &metadata);
        }
        self.finish()?;
        self.completed = true;
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if self.completed {
            return;
        }
        if let Err(error) = self.abort() {
            log::warn!(
                "{error}; upload {:?} stays until a lifecycle rule of the bucket removes it",
                answer::plain(&self.id)
            );
        }
    }
}
