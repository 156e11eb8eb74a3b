//! An S3 bucket as an object store.
//!
//! Runs on the worker threads, and begins one for each part that is sent. It owns one agent with
//! kept-alive connections.
//! It must not open a connection for every request, follow a redirect, believe a status without its
//! document where S3 says so late, or show a secret in an error or a `Debug`.
//!
//! The `s3` crate knows regions, signs requests and names the documents; the requests themselves go
//! over `ureq`, because the crate's own opens a new connection each and needs seven times the CPU.
//! `place` says where the bucket is, `proxy` and `agent` how to get there, `credentials` who we are;
//! `call` says what is asked, `request` signs, sends and tries again, `answer` judges, `multipart`
//! holds an upload in parts; `uploads` lists those that were begun, and `sweep` aborts those that nobody
//! will finish. `inspect` is for `check` alone.

mod agent;
mod answer;
mod call;
mod checksum;
mod content_type;
mod credentials;
mod environment;
mod inspect;
mod listing;
mod multipart;
mod place;
pub(in crate::server) mod proxy;
mod request;
mod sweep;
mod uploads;

pub use self::credentials::{Identity, Keys};
pub use self::environment::Environment;

use self::call::{Call, Retry};
use self::checksum::Checksum;
use self::multipart::Upload;
use self::place::Place;
use self::request::Requests;
use self::sweep::Sweep;
use super::turns::Turns;
use super::{
    ByteRange, CannotSweep, LargeObject, Metadata, ObjectInfo, ObjectStore, OpenObject, StoreError,
    StoreErrorKind, Swept,
};
use crate::crew::Crew;
use crate::digest::Digest;
use crate::exact::ExactReader;
use crate::limits::TURN_WAIT;
use crate::limits::http::{CONNECT, STALL};
use crate::limits::s3::{ANSWER, RETRY_FOR};
use crate::server::key::{ClientFolder, ObjectKey};
use crate::threads::Stop;
use http::header::{CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::Body;

/// Where the bucket is, how it is reached and who we are there.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// URL of the S3 server; `None` for AWS.
    pub endpoint: Option<String>,
    /// Name of the region; servers other than AWS have one too, often `us-east-1`.
    pub region: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Whether the bucket is named in the path or in the host's name; `None`: as is usual there.
    pub force_path_style: Option<bool>,
    /// PEM file with the only CAs that are trusted; `None` for Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// Who we are.
    pub identity: Identity,
    /// Where proxies are named, and credentials looked for.
    pub environment: Environment,
    /// How long to wait.
    pub deadlines: Deadlines,
}

/// How long to wait for the store. The defaults stand in [`crate::limits::http`] and
/// [`crate::limits::s3`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the name, and for the connection.
    pub connect: Duration,
    /// Without one byte sent, or received by a reader, for so long, the store counts as gone.
    pub stall: Duration,
    /// From the last byte of a request to its acknowledgement. Completing an upload in parts may take
    /// four times as long.
    pub answer: Duration,
    /// What failed for a reason that may pass is tried again for so long.
    pub retry: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { connect: CONNECT, stall: STALL, answer: ANSWER, retry: RETRY_FOR }
    }
}

/// A bucket that objects are kept in.
pub struct S3Store {
    requests: Arc<Requests>,
    /// The threads that send parts.
    crew: Crew,
    turns: Turns,
    description: String,
}

impl S3Store {
    /// Prepares the way to the bucket. Nothing is sent; [`ObjectStore::ready`] asks. When `stop` is
    /// raised, what fails is not tried again.
    pub fn new(settings: S3Settings, stop: Stop) -> Result<Self, StoreError> {
        let endpoint = settings.endpoint.as_deref();
        let style = settings.force_path_style;
        let place = Place::new(endpoint, &settings.region, &settings.bucket, style);
        let place = place.map_err(|error| StoreError {
            kind: StoreErrorKind::Refused,
            operation: "use",
            subject: settings.bucket.clone(),
            cause: error.to_string(),
            hint: Some("check s3.bucket, s3.region, s3.endpoint and s3.force_path_style"),
        })?;
        let way = agent::prepare(&settings, &place.url(None, &[]))?;
        let mut description = format!("S3 bucket {} at {}", settings.bucket, place.host);
        if let Some(proxy) = way.proxy {
            description += &format!(", by the proxy {} ({})", proxy.shown, proxy.variable);
        }
        let requests = Arc::new(Requests::new(settings, place, way.agent, stop));
        Ok(Self { requests, crew: Crew::default(), turns: Turns::new(TURN_WAIT), description })
    }
}

/// The answer to a HEAD has no body, so it can say neither "no such bucket" nor what is wrong with
/// the keys. Listing one key can, and needs no right that the store does not need anyway.
fn explain(requests: &Requests, bare: StoreError) -> StoreError {
    if bare.kind != StoreErrorKind::Refused {
        return bare;
    }
    let query = [("list-type", "2"), ("max-keys", "1")];
    let retry = Retry::Never;
    let call = Call { query: &query, retry, ..Call::ask(bare.operation, Method::GET, None) };
    match requests.send(&call) {
        Err(told) if told.kind == StoreErrorKind::Refused => {
            StoreError { subject: bare.subject, ..told }
        }
        _ => bare,
    }
}

/// Whether the bucket is there and open to us.
fn find_bucket(requests: &Requests, retry: Retry<'_>) -> Result<(), StoreError> {
    let call = Call { retry, ..Call::ask("use", Method::HEAD, None) };
    requests.send(&call).map(drop).map_err(|error| explain(requests, error))
}

/// What is known of an object; it is absent only if the bucket is not.
fn find(requests: &Requests, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
    let call = Call { expects: &[200, 404], ..Call::ask("head", Method::HEAD, Some(key)) };
    let found = requests.persist(&call, || {
        let response = requests.try_once(&call)?;
        if response.status() == 404 {
            return Ok(None);
        }
        let headers = response.headers();
        let info = answer::length(headers).and_then(|size| answer::info(headers, size));
        let garbled = || requests.garbled(&call, "length, etag or time is missing");
        info.ok_or_else(garbled).map(Some)
    });
    match found {
        Ok(None) => find_bucket(requests, Retry::Window).map(|()| None),
        Ok(found) => Ok(found),
        Err(error) => Err(explain(requests, error)),
    }
}

impl ObjectStore for S3Store {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn put(&self, key: &ObjectKey, content: &[u8], metadata: &Metadata) -> Result<(), StoreError> {
        let mut turn = self.turns.begin(key.as_str());
        let overtaken = turn.take().map_err(|why| why.error("put", key.as_str()))?;
        put(&self.requests, key.as_str(), content, metadata, &overtaken)?;
        turn.mark_stored();
        Ok(())
    }

    fn begin<'s>(
        &'s self,
        key: &ObjectKey,
        metadata: &Metadata,
    ) -> Result<Box<dyn LargeObject + 's>, StoreError> {
        // First: the sweep must not find what is begun before it is noted.
        let turn = self.turns.begin(key.as_str());
        let upload = Upload::begin(&self.requests, &self.crew, turn, key.as_str(), metadata)?;
        Ok(Box::new(upload))
    }

    fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, StoreError> {
        find(&self.requests, key.as_str())
    }

    fn open(
        &self,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<OpenObject>, StoreError> {
        let mut call = Call::ask("open", Method::GET, Some(key.as_str()));
        call.expects = if range.is_some() { &[206, 404] } else { &[200, 404] };
        if let Some(range) = range {
            call.headers.insert(RANGE, range_header(range));
        }
        let opened = self.requests.persist(&call, || {
            let response = self.requests.try_once(&call)?;
            if response.status() == 404 {
                let failure = self.requests.failure(&call, response);
                // A hint means that it is not the object that is missing.
                return if failure.error.hint.is_some() { Err(failure) } else { Ok(None) };
            }
            let whole = |cause| self.requests.garbled(&call, cause);
            opened(response, range).map_err(whole).map(Some)
        })?;
        match opened {
            None => find_bucket(&self.requests, Retry::Window).map(|()| None),
            Some(object) => Ok(Some(object)),
        }
    }

    fn retries(&self) -> u64 {
        self.requests.retries()
    }

    fn ready(&self) -> Result<(), StoreError> {
        find_bucket(&self.requests, Retry::Never)
    }

    fn sweep(
        &self,
        folders: &[ClientFolder],
        age: Duration,
        stop: &Stop,
    ) -> Result<Swept, CannotSweep> {
        Sweep { requests: &self.requests, turns: &self.turns, age, stop }.run(folders)
    }
}

/// The object that an answer brings, if it is the one that was asked for.
fn opened(response: Response<Body>, range: Option<ByteRange>) -> Result<OpenObject, &'static str> {
    let headers = response.headers();
    let length = answer::length(headers).ok_or("the length is missing")?;
    let size = match range {
        None => length,
        Some(range) => match answer::content_range(headers) {
            Some((first, last, size))
                if (first, last, length) == (range.first, range.last, range.len()) =>
            {
                size
            }
            _ => return Err("another range was answered than the one asked for"),
        },
    };
    let info = answer::info(headers, size).ok_or("the etag or time is missing")?;
    let body = response.into_body().into_reader();
    let body = Box::new(ExactReader::new(body, length, super::broken_off));
    Ok(OpenObject { info, length, body })
}

/// Stores a whole object with one request, which is not repeated once it is overtaken.
fn put(
    requests: &Requests,
    key: &str,
    content: &[u8],
    metadata: &Metadata,
    overtaken: &Stop,
) -> Result<(), StoreError> {
    // The caller has hashed the bytes already; the store compares them with this digest, so a wrong
    // one cannot pass.
    let digest = metadata.sha256.unwrap_or_else(|| Digest::of(content));
    let mut headers = metadata_headers(key, &Metadata { sha256: Some(digest), ..*metadata });
    headers.extend(Checksum::Sha256(digest).header());
    let retry = Retry::WindowUnless(overtaken);
    let call = Call { headers, retry, ..Call::write("put", Method::PUT, key, content, digest) };
    requests.send(&call).map(drop)
}

/// The headers that store an object's metadata and type beside it.
fn metadata_headers(key: &str, metadata: &Metadata) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type::of(key)));
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
