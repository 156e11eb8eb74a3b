//! The worker pool: `tiny_http` hands out requests, the handlers answer them.
//!
//! Each worker is a thread that serves one request at a time. This is the only module that knows
//! `tiny_http`. A panic in a request is that request's 500, or the early end of its answer; the worker
//! lives.
//!
//! `tiny_http` sees no network. The gate writes every head it gets, over lanes that are used for one
//! exchange at a time, and frames bodies in chunks. It takes a body that was cut within a chunk for a
//! complete one, so bytes are counted here against the true length. Of an answer that cannot be
//! completed it does not close the connection, so the lane is broken off. What is left of a body that
//! nobody wants it would take for the next request, and a thread of its never comes back from one
//! that says HTTP/2.0; so nothing is left: see `Body::discard`.

use crate::exact::ExactReader;
use crate::limits::UPLOAD_GRACE;
use crate::limits::gate::{SPARE_WORKERS, WAITING_WORKERS_LEAST, WAITING_WORKERS_MOST};
use crate::server::admitted::Admitted;
use crate::server::handlers::{Handled, Handlers};
use crate::server::lanes::head::{self, field};
use crate::server::lanes::{Folder, Lanes, Seal};
use crate::server::reply::Reply;
use crate::server::rota::Rota;
use crate::threads::{Interruptible, Stop, Supervisor, panic_message};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tiny_http::{Header, Request, Response, StatusCode};

/// The workers cannot be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start the workers: {0}; hint: the folder for temporary files (TMPDIR) must be writable"
)]
pub struct WorkersError(#[from] io::Error);

/// The workers and the lanes that lead to them.
pub struct Workers {
    pool: Arc<Pool>,
    lanes: Arc<Lanes>,
    count: usize,
    /// Where the pool listens.
    _folder: Folder,
}

impl Workers {
    /// Starts the worker threads and the `lanes` thread, and opens `lanes` lanes.
    pub fn start(
        handlers: Handlers,
        lanes: usize,
        supervisor: &mut Supervisor,
        stop: &Stop,
    ) -> Result<Self, WorkersError> {
        let (folder, listener) = Folder::create()?;
        let seal = Seal::new().map_err(io::Error::other)?;
        let count = lanes + SPARE_WORKERS;
        let (lanes, replacer) = Lanes::new(folder.socket(), seal, lanes);
        let pool = Arc::new(Pool {
            http: tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?,
            rota: Rota::new(WAITING_WORKERS_LEAST, WAITING_WORKERS_MOST),
            lanes: Arc::clone(&lanes),
            handlers,
            stop: stop.clone(),
        });
        for number in 0..count {
            let pool = Arc::clone(&pool);
            supervisor.spawn(format!("worker-{number}"), move || pool.run())?;
        }
        replacer.open_all()?;
        let stop = stop.clone();
        supervisor.spawn("lanes", move || replacer.run(&stop))?;
        Ok(Self { pool, lanes, count, _folder: folder })
    }

    /// The lanes.
    pub fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.lanes)
    }

    /// Wakes all workers that wait for a request: call it once the program is ending.
    pub fn wake_all(&self) {
        self.pool.rota.close();
        for _ in 0..self.count {
            self.pool.http.unblock();
        }
    }
}

/// What the workers share.
struct Pool {
    http: tiny_http::Server,
    rota: Rota,
    lanes: Arc<Lanes>,
    handlers: Handlers,
    stop: Stop,
}

impl Pool {
    /// Serves requests until the program is ending and [`Workers::wake_all`] was called.
    fn run(&self) {
        while !self.stop.is_raised() {
            self.rota.begin_waiting();
            let received = self.http.recv();
            self.rota.end_waiting();
            match received {
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

    fn serve(&self, mut request: Request) {
        let value = |name: &'static str| header(&request, name);
        let method = request.method().to_string();
        let read = head::read(&method, request.url(), &value, self.lanes.seal());
        let (admitted, exchange) = match read {
            Ok(read) => read,
            Err(error) => {
                log::debug!("{error}");
                // No exchange is named, so that the gate takes it for no answer of its own.
                let _ = request.respond(Response::empty(StatusCode(400)));
                return;
            }
        };
        // Given back when nothing of the body is left here.
        let _memory = self.lanes.claim_memory(exchange);
        let mut body = Body { request: &mut request, left: admitted.length.unwrap_or(0) };
        let handled = self.handle(&admitted, &mut body);
        let drained = body.is_drained();
        if !drained {
            body.discard(&self.lanes, exchange);
        }
        let reply = Outgoing { handled, exchange, drained, lanes: Arc::clone(&self.lanes) };
        match catch_unwind(AssertUnwindSafe(|| reply.send(request))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::debug!("exchange {exchange}: the answer was not taken: {error}"),
            Err(panic) => {
                log::error!("{:?} panicked: {}", admitted.route, panic_message(panic.as_ref()));
                // Some of the answer is on the lane, and no more will come.
                self.lanes.break_off(exchange);
            }
        }
    }

    fn handle(&self, admitted: &Admitted, body: &mut Body<'_>) -> Handled {
        let length = admitted.length.unwrap_or(0);
        let body = ExactReader::new(body, length, shortage);
        let mut body = Interruptible::new(body, self.stop.clone(), UPLOAD_GRACE);
        let handled = catch_unwind(AssertUnwindSafe(|| self.handlers.handle(admitted, &mut body)));
        handled.unwrap_or_else(|panic| {
            log::error!("{:?} panicked: {}", admitted.route, panic_message(panic.as_ref()));
            self.handlers.broken(admitted)
        })
    }
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    let mut headers = request.headers().iter();
    headers.find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
}

fn shortage(left: u64) -> String {
    format!("{left} of its declared bytes are missing")
}

/// A request's body, counted.
struct Body<'r> {
    request: &'r mut Request,
    left: u64,
}

impl Body<'_> {
    /// Whether all of it was read, with the mark of its end: only then the next bytes on the lane
    /// are the next request.
    fn is_drained(&mut self) -> bool {
        self.left == 0 && matches!(self.request.as_reader().read(&mut [0]), Ok(0))
    }

    /// Throws away what the gate has sent and nobody has read. It can send no more from then on, so
    /// that this is what the lane's buffers hold at most. A peer can write anything there: of a
    /// request with a length that no memory holds, `tiny_http` would end the process.
    fn discard(&mut self, lanes: &Lanes, exchange: u64) {
        lanes.stop_sending(exchange);
        // An end within a chunk is an error, and an end just the same.
        let _ = io::copy(self.request.as_reader(), &mut io::sink());
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.request.as_reader().read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// An answer on its way to the gate.
struct Outgoing {
    handled: Handled,
    exchange: u64,
    drained: bool,
    lanes: Arc<Lanes>,
}

impl Outgoing {
    fn send(self, request: Request) -> io::Result<()> {
        let Self { handled: Handled { reply, note }, exchange, drained, lanes } = self;
        let Reply { status, headers, length, body } = reply;
        let mut lines: Vec<(&str, String)> = headers;
        lines.push((field::EXCHANGE, exchange.to_string()));
        lines.push((field::NOTE, utf8_percent_encode(&note, NON_ALPHANUMERIC).to_string()));
        lines.extend(drained.then(|| (field::DRAINED, "yes".to_owned())));
        // Names are literals and values ASCII by construction.
        let lines =
            lines.into_iter().filter_map(|(name, value)| Header::from_bytes(name, value).ok());
        let body = Content { body: ExactReader::new(body, length, shortage), exchange, lanes };
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let response = Response::new(StatusCode(status), lines.collect(), body, Some(length), None);
        request.respond(response.with_chunked_threshold(usize::MAX))
    }
}

/// An answer's content. If it ends early, the lane is broken off.
struct Content<R> {
    body: ExactReader<R>,
    exchange: u64,
    lanes: Arc<Lanes>,
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer);
        if let Err(error) = &read {
            log::error!("exchange {}: the store broke off a download: {error}", self.exchange);
            self.lanes.break_off(self.exchange);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::limits::SHUTDOWN_MAX;
    use crate::remote_path::{RemotePath, RemotePrefix};
    use crate::server::admitted::{Caller, Identity};
    use crate::server::key::{ClientFolder, ClientName, ObjectKey};
    use crate::server::lanes::{Lane, Loan, Need};
    use crate::server::reporting::Reporting;
    use crate::server::route::Route;
    use crate::server::store::{
        ByteRange, CannotSweep, LargeObject, Metadata, ObjectInfo, ObjectStore, OpenObject,
        StoreError, Swept,
    };
    use crate::threads::StopSource;
    use std::time::{Duration, Instant, SystemTime};

    const LANES: usize = 2;

    /// A store with one object, of which the reader panics after its first half; whether an object is
    /// there panics at once.
    struct Panicking;

    const HALF: u64 = 64 * 1024;

    fn panicking<T>() -> T {
        panic!("on purpose")
    }

    impl Read for Panicking {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panicking()
        }
    }

    impl ObjectStore for Panicking {
        fn describe(&self) -> String {
            panicking()
        }
        fn put(&self, _: &ObjectKey, _: &[u8], _: &Metadata) -> Result<(), StoreError> {
            panicking()
        }
        fn begin<'s>(
            &'s self,
            _: &ObjectKey,
            _: &Metadata,
        ) -> Result<Box<dyn LargeObject + 's>, StoreError> {
            panicking()
        }
        fn head(&self, _: &ObjectKey) -> Result<Option<ObjectInfo>, StoreError> {
            panicking()
        }
        fn ready(&self) -> Result<(), StoreError> {
            panicking()
        }
        fn sweep(&self, _: &[ClientFolder], _: Duration, _: &Stop) -> Result<Swept, CannotSweep> {
            panicking()
        }
        fn open(
            &self,
            _: &ObjectKey,
            _: Option<ByteRange>,
        ) -> Result<Option<OpenObject>, StoreError> {
            let info = ObjectInfo {
                size: 2 * HALF,
                etag: String::new(),
                last_modified: SystemTime::UNIX_EPOCH,
                metadata: Metadata::default(),
            };
            let body = Box::new(io::repeat(7).take(HALF).chain(Panicking));
            Ok(Some(OpenObject { info, length: 2 * HALF, body }))
        }
    }

    struct Scene {
        workers: Workers,
        supervisor: Supervisor,
        stop: StopSource,
    }

    impl Scene {
        fn new() -> Self {
            let (mut supervisor, stop) = (Supervisor::new().unwrap(), StopSource::default());
            let handlers = Handlers::new(
                RemotePrefix::parse("").unwrap(),
                Arc::new(Panicking),
                Reporting::default(),
            );
            let workers = Workers::start(handlers, LANES, &mut supervisor, &stop.stop()).unwrap();
            Self { workers, supervisor, stop }
        }

        /// Asks over a lane, and returns the status of the answer and its body on its lane.
        fn ask(&self, route: Route) -> (u16, Lane, Loan<'_>) {
            let request = Admitted {
                route,
                head_only: false,
                caller: Caller::Client(Identity {
                    name: ClientName::parse("web").unwrap(),
                    max_file_size: 1,
                }),
                peer: [127, 0, 0, 1].into(),
                length: None,
                boundary: None,
                range: None,
            };
            let (mut lane, loan) =
                self.workers.lanes.borrow(Need::Short, None, deadline()).expect("a lane");
            let head = head::write(&request, loan.exchange(), self.workers.lanes.seal());
            lane.write(&head, deadline()).unwrap();
            (lane.read_answer(deadline()).unwrap().status, lane, loan)
        }
    }

    fn deadline() -> Instant {
        clock::monotonic() + SHUTDOWN_MAX
    }

    fn path() -> RemotePath {
        RemotePath::parse("a").unwrap()
    }

    #[test]
    fn a_panic_ends_its_request_and_nothing_else() {
        let mut scene = Scene::new();
        for _ in 0..3 * (LANES + SPARE_WORKERS) {
            let (status, lane, loan) = scene.ask(Route::Exists(path()));
            assert_eq!(status, 500);
            loan.give_back(lane);
            let (status, mut lane, _loan) = scene.ask(Route::Download(path()));
            assert_eq!(status, 200);
            let mut received = 0;
            loop {
                match lane.read(&mut [0; 1024], deadline()).unwrap() {
                    0 => break,
                    count => received += count as u64,
                }
            }
            assert!(received <= HALF, "{received}");
        }
        scene.stop.raise();
        scene.workers.wake_all();
        assert!(scene.supervisor.join(deadline()), "all workers live, and end when told to");
    }
}
