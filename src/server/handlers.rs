//! One function a route: from an admitted request and its body to its reply.
//!
//! Runs on the worker threads, all of which share one [`Handlers`]. It knows
//! nothing of sockets or of the HTTP library, nor of keys: what comes here was admitted. No store's
//! error text goes into a reply.

use crate::clock;
use crate::limits::DOWNLOAD_FIRST_BYTES;
use crate::remote_path::{RemotePath, RemotePrefix};
use crate::server::activity::{Activity, Outcome, Upload};
use crate::server::admitted::{Admitted, Caller, Identity};
use crate::server::intake::{Intake, IntakeError};
use crate::server::key::ObjectKey;
use crate::server::range::{Wanted, wanted};
use crate::server::readiness::Readiness;
use crate::server::reply::{ApiError, Reply};
use crate::server::reporting::Reporting;
use crate::server::route::Route;
use crate::server::store::{
    ByteRange, ObjectInfo, ObjectStore, OpenObject, StoreError, StoreErrorKind,
};
use crate::wire::{ErrorCode, Existence, MTIME_HEADER, SHA256_HEADER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::{self, Read};
use std::sync::Arc;

/// What may stand unescaped in `filename*` (RFC 8187, `attr-char`).
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What the routes share.
pub struct Handlers {
    prefix: RemotePrefix,
    store: Arc<dyn ObjectStore>,
    readiness: Readiness,
    reporting: Reporting,
}

/// A reply, and what the access log says beside it.
pub struct Handled {
    /// The reply.
    pub reply: Reply,
    /// What was done or why not, for the log alone.
    pub note: String,
}

/// Why a route did not succeed.
enum Refusal {
    Request(ApiError),
    Store(StoreError),
}

impl<E: Into<IntakeError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        match error.into() {
            IntakeError::Request(error) => Self::Request(error),
            IntakeError::Store(error) => Self::Store(error),
        }
    }
}

impl Handlers {
    /// Routes over a store, and over what is remembered.
    pub fn new(prefix: RemotePrefix, store: Arc<dyn ObjectStore>, reporting: Reporting) -> Self {
        Self { prefix, store, readiness: Readiness::default(), reporting }
    }

    /// Serves one request; `body` yields exactly its declared length, or fails.
    pub fn handle(&self, request: &Admitted, body: &mut dyn Read) -> Handled {
        match self.answer(request, body) {
            Ok((reply, note)) => Handled { reply, note },
            Err(refusal) => self.refused(request, refusal),
        }
    }

    /// What is said of a request in which a defect showed itself.
    pub fn broken(&self, request: &Admitted) -> Handled {
        let message = "a defect in the server; its log says more";
        let error = ApiError::new(ErrorCode::Internal, message);
        self.remember(request, error.code);
        Handled { reply: Reply::error(&error), note: error.note() }
    }

    fn answer(&self, request: &Admitted, body: &mut dyn Read) -> Result<(Reply, String), Refusal> {
        let now = clock::unix_seconds;
        let reporting = &self.reporting;
        match (&request.route, &request.caller) {
            (Route::Upload, Caller::Client(client)) => self.upload(client, request, body),
            (Route::Exists(path), Caller::Client(client)) => self.exists(client, path),
            (Route::Download(path), Caller::Client(client)) => self.download(client, path, request),
            (Route::Report, Caller::Client(client)) => Ok(reporting.report(client, body, now())?),
            (Route::Clients, Caller::Administrator) => Ok(reporting.clients(now())?),
            (Route::Page, Caller::Administrator) => Ok(reporting.page(now())),
            (Route::Reports(date), Caller::Administrator) => Ok(reporting.reports(*date, now())?),
            (Route::Ready, _) => self.ready(),
            (Route::Health, _) => Ok((Reply::alive(), String::new())),
            // The gate has let somebody in who may not do this: nothing is given away.
            (_, _) => Err(ApiError::new(ErrorCode::Unauthorized, "no API key").into()),
        }
    }

    fn upload(
        &self,
        client: &Identity,
        request: &Admitted,
        body: &mut dyn Read,
    ) -> Result<(Reply, String), Refusal> {
        let (Some(declared), Some(boundary)) = (request.length, &request.boundary) else {
            return Err(ApiError::new(ErrorCode::BadRequest, "the request has no form").into());
        };
        let intake = Intake { store: &*self.store, prefix: &self.prefix, client };
        let started = clock::monotonic();
        let mut path = None;
        let received = intake.receive(body, boundary, declared, &mut path);
        let upload = |size, sha256, outcome| Upload {
            client: client.name.clone(),
            peer: request.peer,
            path: path.clone(),
            size,
            sha256,
            ended_at: clock::unix_seconds(),
            took: clock::monotonic() - started,
            outcome,
        };
        let activity = &self.reporting.activity;
        let uploaded = match received {
            Ok(uploaded) => uploaded,
            Err(error) => {
                let code = error.code();
                // The gate sees the end of what is left of a body, and remembers it.
                if code != ErrorCode::IncompleteBody {
                    activity.upload(upload(0, None, Outcome::Failed(code)));
                }
                return Err(error.into());
            }
        };
        activity.upload(upload(uploaded.size, Some(uploaded.sha256), Outcome::Stored));
        let note = format!(
            "stored {:?}, {} bytes, sha256 {}",
            uploaded.s3_key, uploaded.size, uploaded.sha256
        );
        Ok((Reply::json(200, &uploaded), note))
    }

    fn exists(&self, client: &Identity, path: &RemotePath) -> Result<(Reply, String), Refusal> {
        let info = self.store.head(&self.key(client, path)?)?;
        let existence = Existence {
            exists: info.is_some(),
            size: info.as_ref().map(|info| info.size),
            sha256: info.as_ref().and_then(|info| info.metadata.sha256),
            mtime: info.as_ref().and_then(|info| info.metadata.mtime),
        };
        let note = if existence.exists { "exists" } else { "absent" };
        Ok((Reply::json(200, &existence), note.into()))
    }

    fn download(
        &self,
        client: &Identity,
        path: &RemotePath,
        request: &Admitted,
    ) -> Result<(Reply, String), Refusal> {
        let key = self.key(client, path)?;
        let absent = || ApiError::new(ErrorCode::NotFound, format!("no file {path}"));
        if request.head_only || request.range.is_some() {
            let info = self.store.head(&key)?.ok_or_else(absent)?;
            return match wanted(request.range.as_deref(), info.size) {
                Wanted::Unsatisfiable => Ok(unsatisfiable(&info)),
                _ if request.head_only => {
                    let reply = file_reply(200, path, &info, info.size, Box::new(io::empty()));
                    Ok((reply, String::new()))
                }
                Wanted::Whole => self.send(&key, path, None)?.ok_or_else(|| absent().into()),
                Wanted::Part(range) => {
                    self.send(&key, path, Some((range, &info)))?.ok_or_else(|| absent().into())
                }
            };
        }
        self.send(&key, path, None)?.ok_or_else(|| absent().into())
    }

    fn send(
        &self,
        key: &ObjectKey,
        path: &RemotePath,
        part: Option<(ByteRange, &ObjectInfo)>,
    ) -> Result<Option<(Reply, String)>, Refusal> {
        let opened = self.store.open(key, part.map(|(range, _)| range))?;
        let Some(OpenObject { info, length, body }) = opened else { return Ok(None) };
        let body = begun(body, length, key)?;
        let body = Box::new(Watched { body, activity: self.reporting.activity.clone() });
        let mut reply = match part {
            None => file_reply(200, path, &info, length, body),
            Some((range, before)) => {
                if info.etag != before.etag {
                    let message = "the file was replaced just now; ask again";
                    return Err(ApiError::new(ErrorCode::Unavailable, message).into());
                }
                let mut reply = file_reply(206, path, &info, length, body);
                let content_range = format!("bytes {}-{}/{}", range.first, range.last, info.size);
                reply.headers.push(("Content-Range", content_range));
                reply
            }
        };
        reply.headers.push(("Accept-Ranges", "bytes".into()));
        Ok(Some((reply, format!("sends {length} bytes of {:?}", key.as_str()))))
    }

    fn ready(&self) -> Result<(Reply, String), Refusal> {
        let ready = self.readiness.get(|| match self.store.ready() {
            Ok(()) => true,
            Err(error) => {
                log::error!("not ready: {error}");
                self.store_failed(error.kind);
                false
            }
        });
        if ready {
            // Uploads work, and that is what is asked here: who watches the ledger reads on.
            let activity = self.reporting.activity.is_away().then_some("not recorded");
            return Ok((Reply::ready(activity), String::new()));
        }
        Err(ApiError::new(ErrorCode::Unavailable, "the store does not answer as it should").into())
    }

    /// Counts a failure of the store.
    fn store_failed(&self, kind: StoreErrorKind) {
        self.reporting.activity.counts().store_failed(kind);
    }

    fn refused(&self, request: &Admitted, refusal: Refusal) -> Handled {
        let error = match refusal {
            Refusal::Request(error) => error,
            Refusal::Store(error) => {
                let who = request.caller.name().unwrap_or("-");
                let (method, target) =
                    (request.route.method(request.head_only), request.route.target());
                // Nobody has to act when an upload was overtaken.
                let overtaken = error.kind == StoreErrorKind::Overtaken;
                let level = if overtaken { log::Level::Info } else { log::Level::Error };
                log::log!(level, "{who} {method} {target:?}: {error}");
                self.store_failed(error.kind);
                let code = error.kind.code();
                ApiError::new(code, store_message(code))
            }
        };
        // Uploads have said more of it than this.
        if request.route != Route::Upload {
            self.remember(request, error.code);
        }
        Handled { reply: Reply::error(&error), note: error.note() }
    }

    /// Remembers that a request of a client failed. That a file is not there, or has no such range, is
    /// an answer.
    fn remember(&self, request: &Admitted, code: ErrorCode) {
        let answers = [ErrorCode::NotFound, ErrorCode::RangeNotSatisfiable];
        if answers.contains(&code) {
            return;
        }
        self.reporting.activity.refused_to(&request.caller, request.route.word(), code);
    }

    fn key(&self, client: &Identity, path: &RemotePath) -> Result<ObjectKey, Refusal> {
        Ok(ObjectKey::new(&self.prefix, &client.name, path).map_err(ApiError::from)?)
    }
}

/// What a client is told of a store's failure: enough to know who has to act, nothing of the store.
fn store_message(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InsufficientStorage => "the server's store is full",
        ErrorCode::InvalidPath => {
            "a file stands where this path needs a folder, or the reverse, or a name is too long"
        }
        ErrorCode::StoreRefused => {
            "the store refused the server; its operator has to look at its log"
        }
        _ => "the store does not answer at the moment; try again later",
    }
}

/// Takes in the first piece of an object: as long as nothing of it is on its way, a store that breaks
/// off can be told from a defect of ours, and the client be asked to come again.
fn begun(
    mut body: Box<dyn Read + Send>,
    length: u64,
    key: &ObjectKey,
) -> Result<Box<dyn Read + Send>, StoreError> {
    let mut first = Vec::new();
    let count = length.min(DOWNLOAD_FIRST_BYTES);
    body.by_ref().take(count).read_to_end(&mut first).map_err(|error| StoreError {
        kind: StoreErrorKind::Unavailable,
        operation: "read",
        subject: key.as_str().to_owned(),
        cause: error.to_string(),
        hint: None,
    })?;
    Ok(Box::new(io::Cursor::new(first).chain(body)))
}

/// An object on its way to a client: a store that breaks off is counted.
struct Watched {
    body: Box<dyn Read + Send>,
    activity: Activity,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer);
        if read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.activity.counts().store_failed(StoreErrorKind::Unavailable);
        }
        read
    }
}

fn unsatisfiable(info: &ObjectInfo) -> (Reply, String) {
    let message = format!("the file has {} bytes", info.size);
    let error = ApiError::new(ErrorCode::RangeNotSatisfiable, message);
    let mut reply = Reply::error(&error);
    reply.headers.push(("Content-Range", format!("bytes */{}", info.size)));
    (reply, error.code.as_str().into())
}

/// A file as the answer. Whatever it is, a browser must neither run nor guess it.
fn file_reply(
    status: u16,
    path: &RemotePath,
    info: &ObjectInfo,
    length: u64,
    body: Box<dyn Read + Send>,
) -> Reply {
    let name = utf8_percent_encode(path.file_name(), FILE_NAME);
    let mut headers = vec![
        ("Content-Type", "application/octet-stream".to_owned()),
        ("Content-Disposition", format!("attachment; filename*=UTF-8''{name}")),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("Cache-Control", "private, no-store".to_owned()),
        ("ETag", info.etag.clone()),
        ("Last-Modified", httpdate::fmt_http_date(info.last_modified)),
    ];
    headers.extend(info.metadata.sha256.map(|sha256| (SHA256_HEADER, sha256.to_string())));
    headers.extend(info.metadata.mtime.map(|mtime| (MTIME_HEADER, mtime.to_string())));
    Reply { status, headers, length, body }
}
