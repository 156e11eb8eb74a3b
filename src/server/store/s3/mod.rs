//! An S3 bucket as an object store.
//!
//! Runs on the worker threads. It owns the credentials and one agent with kept-alive connections.
//! It must not open a connection for every request, follow a redirect, believe a status without its
//! document where S3 says so late, or show a secret in an error or a `Debug`.
//!
//! The `s3` crate knows regions, signs requests and names the documents; the requests themselves go
//! over `ureq`, because the crate's own opens a new connection each and needs seven times the CPU.
//! `place` says where the bucket is, `request` signs and sends, `answer` judges, `multipart` holds
//! an upload in parts; `uploads` lists those that were begun, `sweep` aborts those that nobody will
//! finish, and `under_way` knows which of them somebody here will. `inspect` is for `check` alone.

mod answer;
mod checksum;
mod inspect;
mod listing;
mod multipart;
mod place;
mod request;
mod sweep;
mod under_way;
mod uploads;

use self::multipart::Upload;
use self::place::Place;
use self::request::{Call, Requests};
use self::sweep::Sweep;
use self::under_way::{Noted, UnderWay};
use super::{
    ByteRange, CannotSweep, LargeObject, Metadata, ObjectInfo, ObjectStore, OpenObject, StoreError,
    StoreErrorKind, Swept,
};
use crate::digest::Digest;
use crate::exact::ExactReader;
use crate::limits::http::{ANSWER, CONNECT, STALL};
use crate::secret::Secret;
use crate::server::key::{ClientFolder, ObjectKey};
use crate::threads::Stop;
use http::header::{CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use std::time::Duration;

/// Where the bucket is and who we are there.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// URL of the S3 server; `None` for AWS.
    pub endpoint: Option<String>,
    /// Name of the region; servers other than AWS have one too, often `us-east-1`.
    pub region: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Name of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// The token that belongs to a temporary key.
    pub session_token: Option<Secret>,
    /// How long to wait.
    pub deadlines: Deadlines,
}

/// How long to wait for the store. The defaults stand in [`crate::limits::http`].
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For the name, and for the connection.
    pub connect: Duration,
    /// Without one byte sent, or received by a reader, for so long, the store counts as gone.
    pub stall: Duration,
    /// For a body to be sent, and again for its acknowledgement.
    pub answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { connect: CONNECT, stall: STALL, answer: ANSWER }
    }
}

/// A bucket that objects are kept in.
pub struct S3Store {
    requests: Requests,
    under_way: UnderWay,
    description: String,
}

impl S3Store {
    /// Prepares the way to the bucket. Nothing is sent; [`ObjectStore::ready`] asks.
    pub fn new(settings: S3Settings) -> Result<Self, StoreError> {
        let endpoint = settings.endpoint.as_deref();
        let place = Place::new(endpoint, &settings.region, &settings.bucket);
        let place = place.map_err(|error| StoreError {
            kind: StoreErrorKind::Refused,
            operation: "use",
            subject: settings.bucket.clone(),
            cause: error.to_string(),
            hint: Some("check s3.bucket, s3.region and s3.endpoint"),
        })?;
        let description = format!("S3 bucket {} at {}", settings.bucket, place.host);
        let under_way = UnderWay::default();
        Ok(Self { requests: Requests::new(settings, place), under_way, description })
    }

    /// A call that reads: without a body.
    fn ask<'a>(operation: &'static str, method: Method, key: Option<&'a str>) -> Call<'a> {
        Call {
            operation,
            method,
            key,
            query: &[],
            headers: HeaderMap::new(),
            body: b"",
            digest: Digest::of(b""),
            idempotent: true,
        }
    }

    /// The answer to a HEAD has no body, so it can say neither "no such bucket" nor what is wrong
    /// with the keys. Listing one key can, and needs no right that the store does not need anyway.
    fn explain(&self, bare: StoreError) -> StoreError {
        let query = [("list-type", "2"), ("max-keys", "1")];
        let call = Call { query: &query, ..Self::ask(bare.operation, Method::GET, None) };
        match self.requests.send(&call) {
            Ok(response) if response.status().is_success() => bare,
            Ok(response) => {
                StoreError { subject: bare.subject, ..self.requests.error(&call, response) }
            }
            Err(_) => bare,
        }
    }

    /// After a 404 for an object: it is absent if the bucket is not.
    fn absent(&self) -> Result<(), StoreError> {
        let call = Self::ask("find", Method::HEAD, None);
        let response = self.requests.send(&call)?;
        if response.status() == 200 {
            return Ok(());
        }
        Err(self.explain(self.requests.error(&call, response)))
    }
}

impl ObjectStore for S3Store {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn put(&self, key: &ObjectKey, content: &[u8], metadata: &Metadata) -> Result<(), StoreError> {
        put(&self.requests, key.as_str(), content, metadata)
    }

    fn begin<'s>(
        &'s self,
        key: &ObjectKey,
        metadata: &Metadata,
    ) -> Result<Box<dyn LargeObject + 's>, StoreError> {
        // First: the sweep must not find what is begun before it is noted.
        let note = self.under_way.note(key.as_str());
        Ok(Box::new(Noted::new(Upload::begin(&self.requests, key.as_str(), metadata)?, note)))
    }

    fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, StoreError> {
        let call = Self::ask("head", Method::HEAD, Some(key.as_str()));
        let response = self.requests.send(&call)?;
        match response.status().as_u16() {
            200 => {
                let headers = response.headers();
                let info = answer::length(headers).and_then(|size| answer::info(headers, size));
                let garbled = || self.requests.garbled(&call, "length, etag or time is missing");
                info.ok_or_else(garbled).map(Some)
            }
            404 => self.absent().map(|()| None),
            _ => Err(self.explain(self.requests.error(&call, response))),
        }
    }

    fn open(
        &self,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<OpenObject>, StoreError> {
        let mut call = Self::ask("open", Method::GET, Some(key.as_str()));
        if let Some(range) = range {
            call.headers.insert(RANGE, range_header(range));
        }
        let response = self.requests.send(&call)?;
        let expected = if range.is_some() { 206 } else { 200 };
        match response.status().as_u16() {
            status if status == expected => {}
            404 => {
                // Read to its end, so that the connection can be used again.
                let _ = self.requests.error(&call, response);
                return self.absent().map(|()| None);
            }
            416 => return Err(self.requests.error(&call, response)),
            200..=299 => return Err(self.requests.garbled(&call, "the range was not honoured")),
            _ => return Err(self.requests.error(&call, response)),
        }
        let headers = response.headers();
        let garbled = |cause| self.requests.garbled(&call, cause);
        let length = answer::length(headers).ok_or_else(|| garbled("the length is missing"))?;
        let size = match range {
            None => length,
            Some(range) => match answer::content_range(headers) {
                Some((first, last, size))
                    if (first, last, length) == (range.first, range.last, range.len()) =>
                {
                    size
                }
                _ => return Err(garbled("another range was answered than the one asked for")),
            },
        };
        let info =
            answer::info(headers, size).ok_or_else(|| garbled("the etag or time is missing"))?;
        let body = Box::new(ExactReader::new(
            response.into_body().into_reader(),
            length,
            super::broken_off,
        ));
        Ok(Some(OpenObject { info, length, body }))
    }

    fn ready(&self) -> Result<(), StoreError> {
        let call = Self::ask("use", Method::HEAD, None);
        let response = self.requests.send(&call)?;
        if response.status() == 200 {
            return Ok(());
        }
        Err(self.explain(self.requests.error(&call, response)))
    }

    fn sweep(
        &self,
        folders: &[ClientFolder],
        age: Duration,
        stop: &Stop,
    ) -> Result<Swept, CannotSweep> {
        Sweep { requests: &self.requests, under_way: &self.under_way, age, stop }.run(folders)
    }
}

/// Stores a whole object with one request.
fn put(
    requests: &Requests,
    key: &str,
    content: &[u8],
    metadata: &Metadata,
) -> Result<(), StoreError> {
    // The caller has hashed the bytes already; the store compares them with this digest, so a wrong
    // one cannot pass.
    let digest = metadata.sha256.unwrap_or_else(|| Digest::of(content));
    let mut headers = metadata_headers(&Metadata { sha256: Some(digest), ..*metadata });
    headers.extend(checksum::header(&digest));
    let call = Call {
        operation: "put",
        method: Method::PUT,
        key: Some(key),
        query: &[],
        headers,
        body: content,
        digest,
        idempotent: true,
    };
    let response = requests.send(&call)?;
    if response.status() == 200 { Ok(()) } else { Err(requests.error(&call, response)) }
}

/// The headers that store an object's metadata and type beside it.
fn metadata_headers(metadata: &Metadata) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // Digits and dots are always fit for a header.
    let fit = |text: String| HeaderValue::from_str(&text).ok();
    if let Some(value) = metadata.sha256.and_then(|sha256| fit(sha256.to_string())) {
        headers.insert(answer::META_SHA256, value);
    }
    if let Some(value) = metadata.mtime.and_then(|mtime| fit(mtime.to_string())) {
        headers.insert(answer::META_MTIME, value);
    }
    headers
}

fn range_header(range: ByteRange) -> HeaderValue {
    let text = format!("bytes={}-{}", range.first, range.last);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("bytes=0-"))
}
