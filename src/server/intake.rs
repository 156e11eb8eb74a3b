//! Takes an upload form apart and brings its file into the store.
//!
//! Runs on a worker thread, once per upload. It owns the one buffer that a part of the file is
//! collected in; a large file's store has another one, and they change places. A file that fits the
//! buffer is stored in one piece after everything about it is known; a larger one goes to the store
//! in parts and becomes visible only after its length and digest were compared. Whatever ends early
//! leaves nothing behind.

use crate::digest::{Digest, Hasher};
use crate::limits::{FORM_OVERHEAD_BYTES_MAX, PART_BYTES};
use crate::remote_path::{RemotePath, RemotePrefix};
use crate::server::admitted::Identity;
use crate::server::buffers::part_bytes;
use crate::server::key::ObjectKey;
use crate::server::multipart::{Boundary, Form, FormError, Part};
use crate::server::part_buffer::PartBuffer;
use crate::server::reply::ApiError;
use crate::server::store::{LargeObject, Metadata, ObjectStore, StoreError};
use crate::threads::Ending;
use crate::wire::{ErrorCode, Uploaded, field};
use std::io::{self, BufRead as _, Read};

/// Where an upload of one client goes.
pub struct Intake<'s> {
    /// The store.
    pub store: &'s dyn ObjectStore,
    /// What every key begins with.
    pub prefix: &'s RemotePrefix,
    /// Whose upload it is.
    pub client: &'s Identity,
}

/// Why nothing was stored.
#[derive(Debug)]
pub enum IntakeError {
    /// The request is to blame.
    Request(ApiError),
    /// The store is.
    Store(StoreError),
}

impl IntakeError {
    /// What its sender is told in one word.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Request(error) => error.code,
            Self::Store(error) => error.kind.code(),
        }
    }
}

impl From<ApiError> for IntakeError {
    fn from(error: ApiError) -> Self {
        Self::Request(error)
    }
}

impl From<StoreError> for IntakeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FormError> for IntakeError {
    fn from(error: FormError) -> Self {
        let code = match &error {
            FormError::Body(error) if Ending::is_cause_of(error) => ErrorCode::Unavailable,
            FormError::Body(_) => ErrorCode::IncompleteBody,
            _ => ErrorCode::BadRequest,
        };
        Self::Request(ApiError::new(code, error.to_string()))
    }
}

/// What the form has said so far.
#[derive(Default)]
struct Received<'s> {
    key: Option<ObjectKey>,
    metadata: Metadata,
    content: Option<Content<'s>>,
}

/// The file, as far as it was read: all of it.
struct Content<'s> {
    size: u64,
    sha256: Digest,
    place: Place<'s>,
}

enum Place<'s> {
    Buffer(PartBuffer),
    Store(ObjectKey, Box<dyn LargeObject + 's>),
}

impl<'s> Intake<'s> {
    /// Reads the form and stores its file. `declared` is the body's length; `body` yields exactly as
    /// much, or fails. As soon as the form has said it, the file's name is put into `path`.
    pub fn receive(
        &self,
        body: impl Read,
        boundary: &Boundary,
        declared: u64,
        path: &mut Option<RemotePath>,
    ) -> Result<Uploaded, IntakeError> {
        let mut form = Form::of_length(body, boundary, declared);
        let mut received = Received::default();
        while let Some(part) = form.next_part()? {
            self.take(part, declared, &mut received, path)?;
        }
        drain(form.into_inner())?;
        self.store(received)
    }

    fn take<R: Read>(
        &self,
        part: Part<'_, R>,
        declared: u64,
        received: &mut Received<'s>,
        named: &mut Option<RemotePath>,
    ) -> Result<(), IntakeError> {
        let once = |unset: bool| {
            let message = "a field of the form is there more than once";
            if unset { Ok(()) } else { Err(ApiError::new(ErrorCode::BadRequest, message)) }
        };
        match part.name() {
            field::PATH => {
                once(received.key.is_none() && !received.content_has_key())?;
                let path = RemotePath::parse(&part.text()?).map_err(ApiError::from)?;
                let key = ObjectKey::new(self.prefix, &self.client.name, &path);
                *named = Some(path);
                received.key = Some(key.map_err(ApiError::from)?);
            }
            field::SHA256 => {
                once(received.metadata.sha256.is_none())?;
                received.metadata.sha256 = Some(parsed(field::SHA256, &part.text()?)?);
            }
            field::MTIME => {
                once(received.metadata.mtime.is_none())?;
                received.metadata.mtime = Some(parsed(field::MTIME, &part.text()?)?);
            }
            field::FILE => {
                once(received.content.is_none())?;
                received.content = Some(self.take_file(part, declared, received)?);
            }
            // A form may say more than we understand; the part is skipped.
            _ => {}
        }
        Ok(())
    }

    fn take_file<R: Read>(
        &self,
        mut part: Part<'_, R>,
        declared: u64,
        received: &mut Received<'s>,
    ) -> Result<Content<'s>, IntakeError> {
        let part_bytes = part_bytes(declared);
        let mut hasher = Hasher::new();
        let mut size = 0;
        // Never grown: what is reserved for an upload is what its declared length needs.
        let room = usize::try_from(declared).unwrap_or(usize::MAX).min(part_bytes);
        let may_be_several = declared > part_bytes as u64;
        let buffer = if may_be_several { PartBuffer::for_part } else { PartBuffer::with_room_for };
        let mut buffer = buffer(room).map_err(no_memory)?;
        let mut large: Option<(ObjectKey, Box<dyn LargeObject + 's>)> = None;
        loop {
            let bytes = part.fill_buf().map_err(FormError::from)?;
            if bytes.is_empty() {
                break;
            }
            if buffer.is_full() {
                // There is more than one buffer holds: the file goes to the store in parts.
                if large.is_none() {
                    large = Some(self.begin(received)?);
                }
                if let Some((_, object)) = &mut large {
                    buffer = object.append(buffer)?;
                }
            }
            let count = buffer.fill(bytes);
            hasher.update(&bytes[..count]);
            part.consume(count);
            size += count as u64;
            if size > self.client.max_file_size {
                return Err(ApiError::file_too_large(self.client.max_file_size).into());
            }
        }
        let place = match large {
            None => Place::Buffer(buffer),
            Some((key, mut object)) => {
                object.append(buffer)?;
                Place::Store(key, object)
            }
        };
        Ok(Content { size, sha256: hasher.finish(), place })
    }

    fn begin(
        &self,
        received: &mut Received<'s>,
    ) -> Result<(ObjectKey, Box<dyn LargeObject + 's>), IntakeError> {
        let key = received.key.take().ok_or_else(|| {
            let message = format!(
                "the field '{}' must come before a file of more than {PART_BYTES} bytes",
                field::PATH
            );
            ApiError::new(ErrorCode::PathAfterFile, message)
        })?;
        let object = self.store.begin(&key, &received.metadata)?;
        Ok((key, object))
    }

    fn store(&self, received: Received<'s>) -> Result<Uploaded, IntakeError> {
        let missing = |name| {
            ApiError::new(ErrorCode::MissingField, format!("the form has no field '{name}'"))
        };
        let Received { key, metadata, content } = received;
        let content = content.ok_or_else(|| missing(field::FILE))?;
        if metadata.sha256.is_some_and(|sha256| sha256 != content.sha256) {
            let message =
                format!("the content's SHA-256 is {}; nothing was stored", content.sha256);
            return Err(ApiError::new(ErrorCode::DigestMismatch, message).into());
        }
        let (size, sha256) = (content.size, content.sha256);
        let key = match content.place {
            Place::Buffer(buffer) => {
                let key = key.ok_or_else(|| missing(field::PATH))?;
                let metadata = Metadata { sha256: Some(sha256), ..metadata };
                self.store.put(&key, buffer.bytes(), &metadata)?;
                key
            }
            Place::Store(key, object) => {
                object.complete(sha256)?;
                key
            }
        };
        Ok(Uploaded { success: true, s3_key: key.to_string(), size, sha256 })
    }
}

impl Received<'_> {
    /// A file that goes to the store in parts has taken the key with it.
    fn content_has_key(&self) -> bool {
        let place = self.content.as_ref().map(|content| &content.place);
        matches!(place, Some(Place::Store(..)))
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<T, ApiError> {
    text.parse().map_err(|error| {
        ApiError::new(ErrorCode::BadRequest, format!("the field '{name}' is {error}"))
    })
}

fn no_memory(error: io::Error) -> ApiError {
    log::error!("no memory for an upload: {error}; hint: lower limits.buffer_memory_mb");
    ApiError::new(ErrorCode::Unavailable, "the server has no memory for it now; try again later")
}

/// Reads what follows the form, so that a body that was cut short is noticed even there.
fn drain(mut body: impl Read) -> Result<(), IntakeError> {
    let copied = io::copy(&mut body.by_ref().take(FORM_OVERHEAD_BYTES_MAX), &mut io::sink());
    copied.map_err(FormError::Body)?;
    Ok(())
}
