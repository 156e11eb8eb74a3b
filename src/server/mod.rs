//! The server: it takes files from clients and brings them into one store.
//!
//! This file is wiring only: configuration, store, workers, and the order in which they end, which
//! is written in [`run`].

pub mod activity;
pub mod admitted;
pub mod alerts;
pub mod arguments;
pub mod auth;
pub mod buffers;
pub mod check;
pub mod clients;
pub mod config;
pub mod gate;
pub mod handlers;
pub mod healthcheck;
pub mod intake;
pub mod key;
pub mod lanes;
pub mod listen;
pub mod metrics;
pub mod multipart;
pub mod outgoing;
pub mod page;
pub mod part_buffer;
pub mod poll;
pub mod range;
pub mod readiness;
pub mod reload;
pub mod reply;
pub mod reporting;
pub mod rota;
pub mod route;
pub mod shares;
pub mod store;
pub mod sweeper;
pub mod tables;
pub mod trouble;
pub mod workers;

use crate::clock;
use crate::limits::UPLOAD_GRACE;
use crate::limits::activity::RECORDING_GRACE;
use crate::service::{self, Watchdog};
use crate::threads::{Died, Ended, Stop, StopSource, Supervisor, hangups, shutdown_deadline};
use crate::version;
use activity::Activity;
use alerts::Alerts;
use clients::{Clients, warn_of_weak_admin_keys, warn_of_weak_keys};
use config::{Config, Limits, StoreConfig};
use gate::certificate::{CertificateError, Certificates};
use gate::descriptors::{self, Room};
use gate::door::Door;
use gate::{Gate, Parts};
use handlers::Handlers;
use listen::ListenError;
use metrics::Metrics;
use reload::Reload;
use reporting::Reporting;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use store::directory::DirectoryStore;
use store::inspect::Inspect;
use store::s3::{Environment, S3Settings, S3Store};
use store::{ObjectStore, StoreError};
use sweeper::Sweeper;
use workers::{Workers, WorkersError};

/// Why the server could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The workers cannot be started.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// Too few descriptors to serve anybody.
    #[error(
        "the limit of {0} open files is too low to serve anybody; hint: LimitNOFILE= in the \
         service's unit, or `ulimit -n`"
    )]
    Descriptors(u64),
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
    let mut stop = StopSource::default();
    let mut recording = StopSource::default();
    let stops = Stops { stop: stop.stop(), recording: recording.stop() };
    let (door, workers) = open(file, config, &mut supervisor, &stops)?;

    let ended = supervisor.wait_alive(&Watchdog::new(|| door.prove_alive()));
    service::stopping();
    if let Ended::Signal(signal) = ended {
        log::info!("{signal}: ending; requests in hand are finished");
    }
    let (grace, deadline) = (clock::monotonic() + UPLOAD_GRACE, shutdown_deadline());
    // The flag first: whoever wakes, or finishes a request, then ends. No new connections; those
    // without a request end, then those with one; then the workers behind them.
    stop.raise();
    door.close();
    let mut all_ended = door.wait_empty(grace, deadline);
    workers.wake_all();
    // Who writes down what they did ends after them.
    all_ended &= supervisor.join_all_but(RECORDERS, deadline);
    recording.raise();
    all_ended &= supervisor.join(deadline + RECORDING_GRACE);
    if !all_ended {
        log::warn!("a request did not end in time and is abandoned; its client repeats it");
    }
    Ok(ended.into_result()?)
}

/// Who is told to end, and when.
struct Stops {
    /// All, at once.
    stop: Stop,
    /// The `activity` thread, when the others have ended.
    recording: Stop,
}

/// Starts everything, from the store to the door.
fn open(
    file: PathBuf,
    config: Config,
    supervisor: &mut Supervisor,
    Stops { stop, recording }: &Stops,
) -> Result<(Door, Workers), ServerError> {
    let hangups = hangups()?;
    // From here on nobody can look into it or remove from it.
    let store: Arc<dyn ObjectStore> = open_store(&config.store, stop)?;
    log::info!("s3up-server {} stores in {}", version::FULL, store.describe());
    match store.ready() {
        Ok(()) => {}
        // Not fatal: a store that is away comes back, and clients wait for it.
        Err(error) => log::error!("the store is not ready, uploads fail until it is: {error}"),
    }
    warn_of_weak_keys(&config.clients);
    warn_of_weak_admin_keys(&config.administrators);
    let certificates =
        config.server.tls.as_ref().map(Certificates::load).transpose()?.map(Arc::new);
    certificates.iter().for_each(|certificates| certificates.announce());
    let clients = Arc::new(Clients::new(config.clients.clone(), config.administrators.clone()));
    let room = find_room(&config)?;
    let listener = listen::listen(&config.server)?;

    let prefix = config.path_prefix.clone();
    let activity = start_recording(&config, supervisor, recording)?;
    start_alerts(&config, &activity, &clients, supervisor, stop)?;
    let reporting = Reporting {
        activity: activity.clone(),
        clients: Arc::clone(&clients),
        reports: config.reports,
    };
    let handlers = Handlers::new(prefix.clone(), Arc::clone(&store), reporting);
    let workers = Workers::start(handlers, room.lanes, supervisor, stop)?;
    let gate = Gate::new(Parts {
        clients: Arc::clone(&clients),
        certificates: certificates.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        limits: Limits { connections: room.connections, ..config.limits },
        metrics: Metrics {
            started: clock::unix_seconds(),
            activity: activity.clone(),
            clients: Arc::clone(&clients),
            certificates: certificates.clone(),
            store: Arc::clone(&store),
        },
        activity,
        lanes: workers.lanes(),
        stop: stop.clone(),
    });
    let door = Door::open(listener, gate);
    let accepting = door.clone();
    supervisor.spawn("door", move || accepting.run())?;
    let sweeper = Sweeper { prefix, clients: Arc::clone(&clients), store };
    let stopped = stop.clone();
    supervisor.spawn("sweeper", move || sweeper.run(stopped))?;
    // Last: whoever reads it, or is told by the service manager, finds everything there.
    let listening = listen::announce(&config.server, door.listener())?;
    let reload = Reload { file, listening, config, clients, certificates };
    service::status(&reload.standing());
    service::ready();
    let stopped = stop.clone();
    supervisor.spawn("reload", move || reload.run(stopped, hangups))?;
    Ok((door, workers))
}

/// Threads that end after all others.
const RECORDERS: usize = 1;

/// Begins to remember what happens, if there is a place for it.
fn start_recording(
    config: &Config,
    supervisor: &mut Supervisor,
    stop: &Stop,
) -> io::Result<Activity> {
    if let Some(path) = config.database.clone() {
        return Activity::start(path, config.reports.retention_days, supervisor, stop.clone());
    }
    log::warn!(
        "no database is configured: what the clients do is not remembered, and their reports are not \
         kept; hint: the key database.path"
    );
    Ok(Activity::default())
}

/// Begins to tell of clients that fall silent, if somebody wants to know.
fn start_alerts(
    config: &Config,
    activity: &Activity,
    clients: &Arc<Clients>,
    supervisor: &mut Supervisor,
    stop: &Stop,
) -> io::Result<()> {
    if config.on_silent.is_empty() {
        return Ok(());
    }
    let ways = alerts::ways(&config.on_silent, &Environment::process());
    let (activity, clients) = (activity.clone(), Arc::clone(clients));
    let alerts = Alerts::new(activity, clients, config.reports, ways, clock::unix_seconds());
    let stop = stop.clone();
    supervisor.spawn("alerts", move || alerts.run(&stop))
}

/// As many lanes and connections as are wanted, or as the limit of open files allows.
fn find_room(config: &Config) -> Result<Room, ServerError> {
    let wanted = Room { lanes: config.server.workers, connections: config.limits.connections };
    let limit = descriptors::raise();
    let room = descriptors::divide(wanted, limit)
        .ok_or(ServerError::Descriptors(limit.unwrap_or_default()))?;
    if room != wanted {
        log::warn!(
            "the limit of {} open files allows {} of {} workers and {} of {} connections; hint: \
             LimitNOFILE= in the service's unit, or `ulimit -n`",
            limit.unwrap_or_default(),
            room.lanes,
            wanted.lanes,
            room.connections,
            wanted.connections
        );
    }
    Ok(room)
}

fn open_store(config: &StoreConfig, stop: &Stop) -> Result<Arc<dyn Inspect>, StoreError> {
    Ok(match config {
        StoreConfig::Directory(path) => Arc::new(DirectoryStore::open(path.clone())?),
        StoreConfig::S3(s3) => {
            let settings = S3Settings {
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                bucket: s3.bucket.clone(),
                force_path_style: s3.force_path_style,
                ca_file: s3.ca_file.clone(),
                identity: s3.identity.clone(),
                environment: Environment::process(),
                deadlines: s3.deadlines,
            };
            Arc::new(S3Store::new(settings, stop.clone())?)
        }
    })
}
