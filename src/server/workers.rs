//! The worker pool: `tiny_http` hands out requests, the handlers answer them.
//!
//! Each worker is a thread that serves one request at a time. This is the only module that knows
//! `tiny_http`. A panic in a request is that request's 500; the worker lives.
//!
//! `tiny_http` must not face a network: a declared length of terabytes can end the process, it has
//! no deadlines, and it takes a body that breaks off for a complete one. So it listens on loopback
//! only, and bodies are counted here against their declared length.

use crate::clock;
use crate::exact::ExactReader;
use crate::limits::UPLOAD_GRACE;
use crate::server::handlers::{Handled, Handlers, Head};
use crate::server::reply::{ApiError, Reply};
use crate::threads::{Interruptible, Stop, panic_message};
use crate::wire::ErrorCode;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tiny_http::{Header, Request, Response, StatusCode};

/// What the workers share.
pub struct Pool {
    http: tiny_http::Server,
    handlers: Handlers,
    stop: Stop,
}

impl Pool {
    /// A pool that takes its requests from `listener`.
    pub fn new(listener: TcpListener, handlers: Handlers, stop: Stop) -> io::Result<Arc<Self>> {
        let http = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
        Ok(Arc::new(Self { http, handlers, stop }))
    }

    /// Serves requests until the program is ending and [`Pool::wake`] was called for this worker.
    pub fn run(&self) {
        while !self.stop.is_raised() {
            match self.http.recv() {
                Ok(request) => self.serve(request),
                Err(_) if self.stop.is_raised() => return,
                Err(error) => {
                    // The listener is gone for good; the supervisor ends the process.
                    log::error!("no more requests can be taken: {error}");
                    return;
                }
            }
        }
    }

    /// Wakes one worker that waits for a request.
    pub fn wake(&self) {
        self.http.unblock();
    }

    fn serve(&self, mut request: Request) {
        let started = clock::monotonic();
        let peer = request.remote_addr().map_or_else(|| "-".to_owned(), SocketAddr::to_string);
        let method = request.method().to_string();
        let target = request.url().to_owned();
        let length = request.body_length().map(|length| length as u64);
        let header = |name: &'static str| header(&request, name);
        let (authorization, content_type, range) =
            (header("Authorization"), header("Content-Type"), header("Range"));
        let head = Head {
            method: &method,
            target: &target,
            authorization: authorization.as_deref(),
            content_type: content_type.as_deref(),
            length,
            range: range.as_deref(),
        };
        let body = ExactReader::new(Body(&mut request), length.unwrap_or(0), shortage);
        let mut body = Interruptible::new(body, self.stop.clone(), UPLOAD_GRACE);
        let handled = catch_unwind(AssertUnwindSafe(|| self.handlers.handle(&head, &mut body)));
        let handled = handled.unwrap_or_else(|panic| {
            log::error!("{method} {target:?} panicked: {}", panic_message(panic.as_ref()));
            internal_error()
        });
        let Handled { reply, client, note } = handled;
        let status = reply.status;
        let sent = respond(request, reply);
        let outcome = match sent {
            Ok(()) => note,
            Err(error) => format!("{note}; the answer was not taken: {error}"),
        };
        log::info!(
            "{peer} {} {method} {target:?} {status} {:.3} s {outcome}",
            client.as_deref().unwrap_or("-"),
            (clock::monotonic() - started).as_secs_f64()
        );
    }
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    let mut headers = request.headers().iter();
    headers.find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
}

fn internal_error() -> Handled {
    let error = ApiError::new(ErrorCode::Internal, "a defect in the server; its log says more");
    Handled { reply: Reply::error(&error), client: None, note: error.code.as_str().into() }
}

/// A request's body. The reader is asked for at the first read, because that is what sends
/// `100 Continue`.
struct Body<'r>(&'r mut Request);

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_reader().read(buffer)
    }
}

fn shortage(left: u64) -> String {
    format!("{left} of its declared bytes are missing")
}

fn respond(request: Request, reply: Reply) -> io::Result<()> {
    let Reply { status, headers, length, body } = reply;
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let headers = headers.into_iter().filter_map(|(name, value)| {
        // Names are literals and values ASCII by construction.
        Header::from_bytes(name, value).ok()
    });
    let response = Response::new(StatusCode(status), headers.collect(), body, Some(length), None)
        .with_chunked_threshold(usize::MAX);
    request.respond(response)
}
