//! The server: it takes files from clients and brings them into one store.
//!
//! This file is wiring only: configuration, store, workers, and the order in which they end, which
//! is written in [`run`].

pub mod auth;
pub mod clients;
pub mod config;
pub mod gate;
pub mod handlers;
pub mod intake;
pub mod key;
pub mod multipart;
pub mod range;
pub mod reload;
pub mod reply;
pub mod route;
pub mod store;
pub mod workers;

use crate::threads::{Died, Ended, StopSource, Supervisor, hangups, shutdown_deadline};
use clients::{Clients, warn_of_weak_keys};
use config::{Config, StoreConfig};
use handlers::Handlers;
use reload::Reload;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use store::directory::DirectoryStore;
use store::s3::{Deadlines, S3Settings, S3Store};
use store::{ObjectStore, StoreError};
use workers::Pool;

/// Why the server could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; hint: see server.host and server.port")]
    Listen {
        /// The address.
        address: String,
        /// What the system answered.
        cause: io::Error,
    },
    /// No thread or signal handler to be had.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A part of it ended, which none may.
    #[error(transparent)]
    Died(#[from] Died),
}

/// Runs the server until a signal ends it. `file` is what `config` was read from; it is read again
/// on SIGHUP and when it changes.
pub fn run(file: PathBuf, config: Config) -> Result<(), ServerError> {
    let mut supervisor = Supervisor::new()?;
    let hangups = hangups()?;
    let mut stop = StopSource::default();
    let store = open_store(&config.store)?;
    log::info!("s3up-server {} stores in {}", env!("CARGO_PKG_VERSION"), store.describe());
    match store.ready() {
        Ok(()) => {}
        // Not fatal: a store that is away comes back, and clients wait for it.
        Err(error) => log::error!("the store is not ready, uploads fail until it is: {error}"),
    }
    warn_of_weak_keys(&config.clients);
    let listener = listen(&config.server)?;
    let clients = Arc::new(Clients::new(config.clients.clone()));
    let handlers = Handlers::new(Arc::clone(&clients), config.path_prefix.clone(), store);
    let pool = Pool::new(listener, handlers, stop.stop())?;
    let workers = config.server.workers;
    for number in 0..workers {
        let pool = Arc::clone(&pool);
        supervisor.spawn(format!("worker-{number}"), move || pool.run())?;
    }
    let reload = Reload { file, config, clients, certificates: None };
    let stopped = stop.stop();
    supervisor.spawn("reload", move || reload.run(stopped, hangups))?;

    let ended = supervisor.wait();
    if let Ended::Signal(signal) = ended {
        log::info!("{signal}: ending; requests in hand are finished");
    }
    // The flag first: a worker that wakes, or finishes its request, then ends.
    stop.raise();
    for _ in 0..workers {
        pool.wake();
    }
    if !supervisor.join(shutdown_deadline()) {
        log::warn!("a request did not end in time and is abandoned; its client repeats it");
    }
    Ok(ended.into_result()?)
}

fn open_store(config: &StoreConfig) -> Result<Box<dyn ObjectStore>, StoreError> {
    Ok(match config {
        StoreConfig::Directory(path) => Box::new(DirectoryStore::open(path.clone())?),
        StoreConfig::S3(s3) => Box::new(S3Store::new(S3Settings {
            endpoint: s3.endpoint.clone(),
            region: s3.region.clone(),
            bucket: s3.bucket.clone(),
            access_key_id: s3.access_key_id.clone(),
            secret_access_key: s3.secret_access_key.clone(),
            session_token: None,
            deadlines: Deadlines::default(),
        })?),
    })
}

/// Listens, on loopback whatever `host` says: the gate that may face a network is not built yet.
fn listen(server: &config::Server) -> Result<TcpListener, ServerError> {
    let failed = |address: String| move |cause| ServerError::Listen { address, cause };
    let named = format!("{}:{}", server.host, server.port);
    let wanted = (server.host.as_str(), server.port)
        .to_socket_addrs()
        .and_then(|mut addresses| {
            addresses.next().ok_or_else(|| io::Error::other("the name has no address"))
        })
        .map_err(failed(named))?;
    let loopback = match wanted.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let address = SocketAddr::new(loopback, wanted.port());
    if wanted != address {
        log::warn!(
            "this version listens on loopback only: {address} instead of {wanted}; hint: a reverse \
             proxy on this machine can forward to it"
        );
    }
    if server.tls.is_some() {
        log::warn!(
            "this version does not speak TLS yet: plain HTTP on loopback; hint: a reverse proxy on \
             this machine can hold the certificate, or set server.tls.enabled: false"
        );
    }
    let listener = TcpListener::bind(address).map_err(failed(address.to_string()))?;
    let bound = listener.local_addr().map_err(failed(address.to_string()))?;
    log::info!("listening on http://{bound}");
    Ok(listener)
}
