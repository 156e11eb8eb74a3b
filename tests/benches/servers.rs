//! The servers under test, as they are inside: run in a process of their own.

use crate::load::{CLIENT, KEY, PATH_PREFIX};
use crate::nowhere::Nowhere;
use crate::server::ServerKind;
use s3up::digest::Digest;
use s3up::remote_path::RemotePrefix;
use s3up::server::activity::Activity;
use s3up::server::admitted::{Admitted, Caller, Identity};
use s3up::server::auth::{KeyHolder, Keyring};
use s3up::server::clients::Clients;
use s3up::server::config::{Client, Limits, Tls};
use s3up::server::gate::certificate::Certificates;
use s3up::server::gate::door::Door;
use s3up::server::gate::{Gate, Parts};
use s3up::server::handlers::Handlers;
use s3up::server::key::ClientName;
use s3up::server::metrics::Metrics;
use s3up::server::multipart::Boundary;
use s3up::server::reply::Reply;
use s3up::server::reporting::Reporting;
use s3up::server::route::route;
use s3up::server::store::ObjectStore;
use s3up::server::store::directory::DirectoryStore;
use s3up::server::workers::Workers;
use s3up::threads::{StopSource, Supervisor};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use tiny_http::{Header, Request, Response, StatusCode};

/// Lanes of the gate, its default.
const LANES: usize = 128;

/// Threads that take requests from `tiny_http` when it stands alone.
const BARE_WORKERS: usize = 16;

/// The certificate and its key in the folder that parent and server share.
pub(crate) const CERTIFICATE: &str = "cert.pem";
const PRIVATE_KEY: &str = "key.pem";

/// Makes a certificate for `localhost`, and its key.
pub(crate) fn make_certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join(CERTIFICATE), made.cert.pem()).unwrap();
    std::fs::write(folder.join(PRIVATE_KEY), made.signing_key.serialize_pem()).unwrap();
}

/// Serves until standard input ends. Says its port when it is ready.
pub(crate) fn serve(kind: ServerKind, folder: &Path) {
    s3up::server::gate::descriptors::raise();
    let mut supervisor = Supervisor::new().unwrap();
    let stop = StopSource::default();
    let prefix = RemotePrefix::parse(PATH_PREFIX).unwrap();
    // What it keeps goes with the folder, when all servers have ended.
    let kept = folder.join(std::process::id().to_string());
    let store: Arc<dyn ObjectStore> = match kind {
        ServerKind::Folder | ServerKind::FolderLedger => {
            std::fs::create_dir(&kept).unwrap();
            Arc::new(DirectoryStore::open(kept).unwrap())
        }
        _ => Arc::new(Nowhere),
    };
    let activity = match kind {
        ServerKind::GateLedger | ServerKind::FolderLedger => {
            let path = folder.join(format!("{}.db", std::process::id()));
            Activity::start(path, 90, &mut supervisor, stop.stop()).unwrap()
        }
        _ => Activity::default(),
    };
    let reporting = Reporting { activity: activity.clone(), ..Reporting::default() };
    let handlers = Handlers::new(prefix, Arc::clone(&store), reporting);
    let tls = (kind == ServerKind::GateTls)
        .then(|| Tls { cert_file: folder.join(CERTIFICATE), key_file: folder.join(PRIVATE_KEY) });
    // Kept to the end.
    let mut gate = None;
    let port = if kind == ServerKind::Bare {
        serve_bare(handlers, &mut supervisor)
    } else {
        let back = (activity, store);
        let (port, workers) = serve_gate(handlers, back, tls, &mut supervisor, &stop);
        gate = Some(workers);
        port
    };
    println!("{port}");
    std::io::stdout().flush().unwrap();
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    drop(gate);
}

fn clients() -> Vec<Client> {
    vec![Client {
        name: ClientName::parse(CLIENT).unwrap(),
        keys: vec![Digest::of(KEY.as_bytes())],
        weak_key: false,
        max_file_size: 1 << 40,
        allow_download: true,
    }]
}

fn serve_gate(
    handlers: Handlers,
    (activity, store): (Activity, Arc<dyn ObjectStore>),
    tls: Option<Tls>,
    supervisor: &mut Supervisor,
    stop: &StopSource,
) -> (u16, Workers) {
    let workers = Workers::start(handlers, LANES, supervisor, &stop.stop()).unwrap();
    let default = Limits::default();
    let clients = Arc::new(Clients::new(clients(), vec![]));
    let certificates = tls.map(|tls| Arc::new(Certificates::load(&tls).unwrap()));
    let gate = Gate::new(Parts {
        clients: Arc::clone(&clients),
        certificates: certificates.clone(),
        trusted_proxies: vec![],
        // All connections come from one address here.
        limits: Limits { connections_per_peer: default.connections, ..default },
        metrics: Metrics { started: 0, activity: activity.clone(), clients, certificates, store },
        activity,
        lanes: workers.lanes(),
        stop: stop.stop(),
    });
    let door = Door::open(TcpListener::bind("127.0.0.1:0").unwrap(), gate);
    let port = door.listener().local_addr().unwrap().port();
    supervisor.spawn("door", move || door.run()).unwrap();
    (port, workers)
}

fn serve_bare(handlers: Handlers, supervisor: &mut Supervisor) -> u16 {
    let http = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
    let port = http.server_addr().to_ip().unwrap().port();
    let shared = Arc::new((handlers, Keyring::new(clients(), vec![])));
    for number in 0..BARE_WORKERS {
        let (http, shared) = (Arc::clone(&http), Arc::clone(&shared));
        let work = move || {
            let (handlers, keyring) = &*shared;
            while let Ok(request) = http.recv() {
                answer(request, handlers, keyring);
            }
        };
        supervisor.spawn(format!("worker-{number}"), work).unwrap();
    }
    port
}

/// What a server without a gate would do: look at the key, and leave the rest to the handlers.
fn answer(mut request: Request, handlers: &Handlers, keyring: &Keyring) {
    let header = |name: &'static str| {
        let mut headers = request.headers().iter();
        headers.find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
    };
    let Ok(KeyHolder::Client(client)) = keyring.authenticate(header("Authorization")) else {
        unreachable!("the key is a client's");
    };
    let admitted = Admitted {
        route: route(request.method().as_str(), request.url()).unwrap(),
        head_only: false,
        caller: Caller::Client(Identity::from(&*client)),
        peer: request.remote_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip()),
        length: request.body_length().map(|length| length as u64),
        boundary: header("Content-Type").map(|value| Boundary::from_content_type(value).unwrap()),
        range: None,
    };
    let Reply { status, headers, length, body } =
        handlers.handle(&admitted, request.as_reader()).reply;
    let headers = headers.into_iter().map(|(name, value)| Header::from_bytes(name, value).unwrap());
    let length = usize::try_from(length).unwrap();
    let response = Response::new(StatusCode(status), headers.collect(), body, Some(length), None);
    // A client that has gone has what it wanted.
    let _ = request.respond(response.with_chunked_threshold(usize::MAX));
}
