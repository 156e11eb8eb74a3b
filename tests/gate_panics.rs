//! The gate and its workers over a store that panics or hangs, in this process: from outside, no
//! program of ours can be made to.

use crate::support::api::{Request, parts};
use crate::support::connection::Connection;
use crate::support::content;
use crate::support::server::WEB_KEY;
use crate::support::siege::Refusal;
use crate::support::waiting::DEADLINE;
use s3up::clock;
use s3up::digest::Digest;
use s3up::limits::gate::SPARE_WORKERS;
use s3up::remote_path::RemotePrefix;
use s3up::server::activity::Activity;
use s3up::server::clients::Clients;
use s3up::server::config::{Client, Limits};
use s3up::server::gate::door::Door;
use s3up::server::gate::{Gate, Parts};
use s3up::server::handlers::Handlers;
use s3up::server::key::{ClientFolder, ClientName, ObjectKey};
use s3up::server::metrics::Metrics;
use s3up::server::reporting::Reporting;
use s3up::server::store::{
    ByteRange, CannotSweep, LargeObject, Metadata, ObjectInfo, ObjectStore, OpenObject, StoreError,
    Swept,
};
use s3up::server::workers::Workers;
use s3up::threads::{Stop, StopSource, Supervisor};
use std::io::{self, Read};
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

const LANES: usize = 8;

/// Length of the only object there is, whose reader panics in its middle.
const LENGTH: u64 = 16 * 1024 * 1024;

const DEFECT: Refusal<'_> =
    Refusal { status: 500, code: "internal", message: "a defect in the server; its log says more" };

/// A store that panics wherever it is touched, and hangs when it is asked whether it is ready.
#[derive(Default)]
struct Defective {
    /// Whether it hangs no more.
    ready: Arc<(Mutex<bool>, Condvar)>,
}

/// Panics without a word on standard error, where nobody could tell it from a defect.
fn panicking<T>() -> T {
    std::panic::resume_unwind(Box::new("on purpose"))
}

struct Panicking;

impl Read for Panicking {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panicking()
    }
}

impl ObjectStore for Defective {
    fn describe(&self) -> String {
        "a defective store".to_owned()
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

    fn open(&self, _: &ObjectKey, _: Option<ByteRange>) -> Result<Option<OpenObject>, StoreError> {
        let info = ObjectInfo {
            size: LENGTH,
            etag: "\"1\"".to_owned(),
            last_modified: SystemTime::UNIX_EPOCH,
            metadata: Metadata::default(),
        };
        let body = Box::new(io::repeat(7).take(LENGTH / 2).chain(Panicking));
        Ok(Some(OpenObject { info, length: LENGTH, body }))
    }

    fn ready(&self) -> Result<(), StoreError> {
        let (ready, changed) = &*self.ready;
        drop(changed.wait_while(ready.lock().unwrap(), |ready| !*ready).unwrap());
        Ok(())
    }

    fn sweep(&self, _: &[ClientFolder], _: Duration, _: &Stop) -> Result<Swept, CannotSweep> {
        panicking()
    }
}

/// A server in this process.
struct Scene {
    port: u16,
    door: Door,
    workers: Workers,
    supervisor: Supervisor,
    stop: StopSource,
}

impl Scene {
    fn over(store: Defective) -> Self {
        let (mut supervisor, stop) = (Supervisor::new().unwrap(), StopSource::default());
        let store = Arc::new(store);
        let prefix = RemotePrefix::parse("").unwrap();
        let handlers = Handlers::new(prefix, Arc::clone(&store) as _, Reporting::default());
        let workers = Workers::start(handlers, LANES, &mut supervisor, &stop.stop()).unwrap();
        let client = Client {
            name: ClientName::parse("web").unwrap(),
            keys: vec![Digest::of(WEB_KEY.as_bytes())],
            weak_key: false,
            max_file_size: LENGTH,
            allow_download: true,
        };
        let clients = Arc::new(Clients::new(vec![client], vec![]));
        let gate = Gate::new(Parts {
            clients: Arc::clone(&clients),
            certificates: None,
            trusted_proxies: vec![],
            limits: Limits::default(),
            activity: Activity::default(),
            metrics: Metrics {
                started: 0,
                activity: Activity::default(),
                clients,
                certificates: None,
                store,
            },
            lanes: workers.lanes(),
            stop: stop.stop(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let door = Door::open(listener, gate);
        let accepting = door.clone();
        supervisor.spawn("door", move || accepting.run()).unwrap();
        Self { port, door, workers, supervisor, stop }
    }

    /// Ends it: every worker must still be there, and end.
    #[track_caller]
    fn end(mut self) {
        let deadline = clock::monotonic() + DEADLINE;
        self.stop.raise();
        self.door.close();
        assert!(self.door.wait_empty(deadline, deadline), "connections do not end");
        self.workers.wake_all();
        assert!(self.supervisor.join(deadline), "workers do not end");
    }
}

fn get(target: &str) -> Request {
    Request::new("GET", target).key(WEB_KEY)
}

#[test]
fn a_panic_is_its_requests_500_and_nobody_elses_business() {
    let scene = Scene::over(Defective::default());
    let mut connection = Connection::to(scene.port);
    let small = Request::upload(&parts("a", b"x")).key(WEB_KEY);
    // In its middle, with some of it not yet sent.
    let large = Request::upload(&parts("a", &content(1, 12 * 1024 * 1024))).key(WEB_KEY);
    for _ in 0..2 * (LANES + SPARE_WORKERS) {
        DEFECT.assert_is(&connection.ask(&small));
        DEFECT.assert_is(&connection.ask(&get("/exists?path=a")));
        assert_eq!(connection.ask(&get("/health")).status, 200);
        // This one is not read to its end, so it ends the connection.
        DEFECT.assert_is(&Connection::to(scene.port).ask(&large));
    }
    drop(connection);
    scene.end();
}

#[test]
fn a_panic_in_the_middle_of_a_download_is_never_a_short_file() {
    let scene = Scene::over(Defective::default());
    for _ in 0..2 * (LANES + SPARE_WORKERS) {
        let mut connection = Connection::to(scene.port);
        connection.say(get("/download?path=a").bytes());
        let head = connection.head_of_answer();
        assert!(head.contains(&format!("Content-Length: {LENGTH}\r\n")), "{head}");
        let received = connection.bytes_until_broken();
        assert!(received <= LENGTH / 2, "{received} bytes");
    }
    assert_eq!(Connection::to(scene.port).ask(&get("/health")).status, 200);
    scene.end();
}

#[test]
fn strangers_who_ask_for_a_hanging_stores_readiness_leave_lanes_to_clients() {
    let store = Defective::default();
    let ready = Arc::clone(&store.ready);
    let scene = Scene::over(store);
    let mut strangers: Vec<_> = (0..3 * LANES).map(|_| Connection::to(scene.port)).collect();
    for stranger in &mut strangers {
        stranger.say(Request::new("GET", "/ready").bytes());
    }
    // Those for whom there is no lane are told so; by then the others have theirs.
    let told = |stranger: &&mut Connection| stranger.is_readable();
    crate::support::waiting::eventually(DEADLINE, "most are turned away", || {
        (strangers.iter_mut().filter(told).count() >= 2 * LANES).then_some(())
    });
    // Needs a worker, and no store.
    let misnamed = Request::upload(&parts("../a", b"x")).key(WEB_KEY);
    let answer = Connection::to(scene.port).ask(&misnamed);
    answer.assert_error(400, "invalid_path");
    *ready.0.lock().unwrap() = true;
    ready.1.notify_all();
    let answers: Vec<_> = strangers.iter_mut().map(Connection::answer).collect();
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    let for_long = LANES - LANES / 4;
    assert_eq!(served, for_long - for_long / 4, "all but the lanes that are kept for clients");
    drop(strangers);
    scene.end();
}
