//! An object that is uploaded in parts: the next one is received while the last one is sent.
//!
//! Runs on the worker thread that receives the object; a thread of its own sends each part. It owns
//! the upload's id and at most two parts: as long as the upload is not completed, the store keeps
//! (and bills) what was sent, so dropping it aborts the upload, once no part is on its way any more.

use super::answer;
use super::call::{Call, Retry, Signing, Wait};
use super::checksum::Checksum;
use super::request::Requests;
use super::{find, metadata_headers, put};
use crate::crew::Crew;
use crate::digest::Digest;
use crate::limits::PARTS_MAX;
use crate::server::part_buffer::PartBuffer;
use crate::server::store::turns::Turn;
use crate::server::store::{LargeObject, Metadata, StoreError, StoreErrorKind};
use crate::threads::{Stop, StopSource};
use crossbeam_channel::{Receiver, bounded};
use http::Method;
use http::header::ETAG;
use quick_xml::escape::escape;
use s3::serde_types::InitiateMultipartUploadResponse;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

/// An upload that was begun. Dropped before it is completed, it is aborted.
pub(super) struct Upload<'s> {
    target: Arc<Target>,
    /// Raises the target's flag of that name.
    given_up: StopSource,
    crew: Crew,
    metadata: Metadata,
    /// The elements of the completing document so far.
    parts: String,
    /// How many parts were handed over to be sent.
    count: u64,
    /// How many bytes those have.
    size: u64,
    on_its_way: Option<Receiver<Sent>>,
    completed: bool,
    /// Ends after the upload was aborted: a completion of which nobody knows whether it arrived can
    /// do nothing any more then, so that the next one's turn comes after it.
    turn: Turn<'s>,
}

/// What the parts are sent to.
struct Target {
    requests: Arc<Requests>,
    key: String,
    id: String,
    /// Nobody wants it any more: what fails now is not tried again.
    given_up: Stop,
}

/// A part's buffer, to be used again, and its element of the completing document.
type Sent = (PartBuffer, Result<String, StoreError>);

impl<'s> Upload<'s> {
    pub(super) fn begin(
        requests: &Arc<Requests>,
        crew: &Crew,
        turn: Turn<'s>,
        key: &str,
        metadata: &Metadata,
    ) -> Result<Self, StoreError> {
        let mut headers = metadata_headers(key, metadata);
        headers.extend(Checksum::announcement(requests.parts_signing_needed()));
        let empty = Digest::of(b"");
        // Arriving twice it begins two uploads. The one that nobody knows of is swept away later.
        let call = Call {
            query: &[("uploads", "")],
            headers,
            ..Call::write("begin", Method::POST, key, b"", empty)
        };
        let answer = requests.persist(&call, || {
            let text = requests.text(&call, requests.try_once(&call)?)?;
            quick_xml::de::from_str::<InitiateMultipartUploadResponse>(&text)
                .map_err(|error| requests.garbled(&call, &format!("no upload id: {error}")))
        })?;
        let given_up = StopSource::default();
        let target = Target {
            requests: Arc::clone(requests),
            key: key.to_owned(),
            id: answer.upload_id,
            given_up: given_up.stop(),
        };
        Ok(Self {
            target: Arc::new(target),
            given_up,
            crew: crew.clone(),
            metadata: *metadata,
            parts: String::new(),
            count: 0,
            size: 0,
            on_its_way: None,
            completed: false,
            turn,
        })
    }

    /// Waits until no part is on its way, and gives back the buffer of the last one.
    fn settle(&mut self) -> Result<Option<PartBuffer>, StoreError> {
        let Some(answer) = self.on_its_way.take() else { return Ok(None) };
        let (mut buffer, element) = answer
            .recv()
            .map_err(|_| self.target.failed("append to", "the thread that sent a part ended"))?;
        self.parts += &element?;
        buffer.clear();
        Ok(Some(buffer))
    }

    /// Whether the object is there after all. The answer to a completion may get lost, and a second
    /// one is told that there is no such upload.
    fn is_there(&self, sha256: Digest) -> bool {
        if self.metadata.sha256.is_none() {
            return false;
        }
        let found = find(&self.target.requests, &self.target.key);
        // Other bytes have another digest; the same bytes are what was to be stored.
        matches!(found, Ok(Some(info)) if
            info.size == self.size && info.metadata.sha256 == Some(sha256))
    }
}

impl Target {
    /// Sends a part; its element of the completing document.
    fn send(&self, number: u64, part: &PartBuffer) -> Result<String, StoreError> {
        let number = number.to_string();
        let checksum = Checksum::of_part(part, self.requests.parts_signing_needed());
        let call = Call {
            key: Some(&self.key),
            query: &[("partNumber", &number), ("uploadId", &self.id)],
            headers: checksum.header(),
            body: part.bytes(),
            signing: match checksum {
                Checksum::Sha256(digest) => Signing::Body(digest),
                Checksum::Crc32(_) => Signing::Head,
            },
            wait: Wait::Write,
            retry: Retry::WindowUnless(&self.given_up),
            ..Call::ask("append to", Method::PUT, None)
        };
        let etag = self.requests.persist(&call, || {
            let response = self.requests.try_once(&call)?;
            let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
            etag.map(str::to_owned)
                .ok_or_else(|| self.requests.garbled(&call, "the part has no etag"))
        })?;
        let mut element = String::new();
        let written = write!(
            element,
            "<Part>{}<ETag>{}</ETag><PartNumber>{number}</PartNumber></Part>",
            checksum.element(),
            escape(etag),
        );
        debug_assert!(written.is_ok(), "a String takes everything");
        Ok(element)
    }

    /// Puts the object together; also says how many attempts that took.
    fn complete(&self, parts: &str, overtaken: &Stop) -> (Result<(), StoreError>, usize) {
        let mut attempts = 0;
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}\
             </CompleteMultipartUpload>"
        );
        let digest = Digest::of(body.as_bytes());
        let call = Call {
            query: &[("uploadId", &self.id)],
            wait: Wait::Assemble,
            retry: Retry::WindowUnless(overtaken),
            ..Call::write("complete", Method::POST, &self.key, body.as_bytes(), digest)
        };
        let result = self.requests.persist(&call, || {
            attempts += 1;
            let response = self.requests.try_once(&call)?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            // The status came before the store knew: only the document says how it ended.
            let text = self.requests.text(&call, response)?;
            match answer::root(&text).as_deref() {
                Some("CompleteMultipartUploadResult") => Ok(()),
                Some("Error") => {
                    let now = crate::clock::utc();
                    let key = self.key.clone();
                    Err(answer::failure("complete", key, status, &headers, &text, now))
                }
                _ => {
                    let cause = "the answer is neither a result nor an error";
                    Err(self.requests.garbled(&call, cause))
                }
            }
        });
        (result, attempts)
    }

    fn abort(&self) -> Result<(), StoreError> {
        let call = Call {
            query: &[("uploadId", &self.id)],
            // 404: it is gone already, perhaps because completing it worked after all.
            expects: &[200, 204, 404],
            ..Call::ask("abort", Method::DELETE, Some(&self.key))
        };
        self.requests.send(&call).map(drop)
    }

    fn failed(&self, operation: &'static str, cause: &str) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Unavailable,
            operation,
            subject: self.key.clone(),
            cause: cause.to_owned(),
            hint: None,
        }
    }
}

impl LargeObject for Upload<'_> {
    fn append(&mut self, part: PartBuffer) -> Result<PartBuffer, StoreError> {
        if part.bytes().is_empty() {
            return Ok(part);
        }
        if self.count == PARTS_MAX {
            let cause = format!("an object has at most {PARTS_MAX} parts");
            let hint = Some("the file is too large for this part size");
            let error = self.target.failed("append to", &cause);
            return Err(StoreError { kind: StoreErrorKind::Refused, hint, ..error });
        }
        let free = self.settle()?;
        self.count += 1;
        self.size += part.bytes().len() as u64;
        let failed = |error: io::Error| self.target.failed("append to", &error.to_string());
        let free = match free {
            Some(free) => free,
            None => PartBuffer::for_part(part.room()).map_err(failed)?,
        };
        let (number, target) = (self.count, Arc::clone(&self.target));
        let (answer, answered) = bounded(1);
        let begun = self.crew.spawn("part", move || {
            let element = target.send(number, &part);
            // Nobody listens if the worker has ended meanwhile.
            let _ = answer.send((part, element));
        });
        begun.map_err(failed)?;
        self.on_its_way = Some(answered);
        Ok(free)
    }

    fn complete(mut self: Box<Self>, sha256: Digest) -> Result<(), StoreError> {
        self.settle()?;
        if self.metadata.sha256.is_some_and(|announced| announced != sha256) {
            let cause = "the content has another SHA-256 than its metadata";
            return Err(self.target.failed("complete", cause));
        }
        let overtaken = self.turn.take().map_err(|why| why.error("complete", &self.target.key))?;
        if self.parts.is_empty() {
            // Not every store takes an upload without parts, or an empty part. The upload itself
            // is aborted when `self` goes.
            let metadata = Metadata { sha256: Some(sha256), ..self.metadata };
            let Target { requests, key, .. } = &*self.target;
            put(requests, key, b"", &metadata, &overtaken)?;
            self.turn.mark_stored();
            return Ok(());
        }
        let (result, attempts) = self.target.complete(&self.parts, &overtaken);
        if let Err(error) = result {
            // Whoever was refused at once has completed nothing.
            let may_be_done = attempts > 1 || error.kind == StoreErrorKind::Unavailable;
            if !may_be_done || !self.is_there(sha256) {
                return Err(error);
            }
            log::debug!("{error}; but the object is there");
        }
        self.completed = true;
        self.turn.mark_stored();
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if self.completed {
            return;
        }
        self.given_up.raise();
        // Aborted before it ended, the part would come after the abort, and stay. How it ends is no
        // matter any more.
        let _ = self.settle();
        if let Err(error) = self.target.abort() {
            log::warn!(
                "{error}; upload {:?} stays until it is swept away",
                answer::plain(&self.target.id)
            );
        }
    }
}
