//! The client daemon: it watches folders and sends what comes to rest there.
//!
//! This file is wiring only. The order of a start is the design document's: configuration,
//! database, queue, watcher, first scan, draining, normal operation. The order of an end is written
//! in [`run`].

pub mod ahead;
pub mod attempt;
pub mod bandwidth;
pub mod baseline;
pub mod baselines;
pub mod check;
pub mod choice;
pub mod clock_watch;
pub mod comparison;
pub mod config;
pub mod daily;
pub mod database;
pub mod denied;
pub mod disk;
pub mod dry_run;
pub mod filter;
pub mod fingerprint;
pub mod folders;
pub mod form;
pub mod healthcheck;
pub mod herald;
pub mod hints;
pub mod losses;
pub mod metrics;
pub mod outage;
pub mod paced;
pub mod parking;
pub mod plan;
pub mod progress;
pub mod queue;
pub mod remote;
pub mod retry;
pub mod rewatch;
pub mod scanner;
pub mod scope;
pub mod stability;
pub mod status;
pub mod survey;
pub mod tls;
pub mod transport;
pub mod uploader;
pub mod walk;
pub mod watch_limit;
pub mod watcher;

use crate::clock::{self, SystemClock};
use crate::limits::daily::ERRANDS_MAX;
use crate::limits::{PART_BYTES, QUEUE_PATHS_MAX, WATCH_EVENTS_MAX};
use crate::sqlite::DatabaseError;
use crate::threads::{Died, Ended, Stop, StopSource, Supervisor, shutdown_deadline};
use bandwidth::Bucket;
use baselines::{Baselines, LocalFileClock};
use clock_watch::ClockWatch;
use comparison::Comparison;
use config::Config;
use crossbeam_channel::{Sender, bounded};
use daily::reporter::{self, Errand, Reporter};
use daily::schedule::{self, Schedule};
use database::Database;
use denied::Denied;
use disk::LocalDisk;
use herald::{Bar, Herald};
use hints::Hints;
use metrics::Textfile;
use progress::Progress;
use queue::SharedQueue;
use scanner::{ScanRequest, Scanner, Scans};
use scope::Scope;
use status::desk::Desk;
use status::live::Inside;
use status::socket::{self, Listener};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tls::TrustError;
use transport::Transport;
use uploader::Uploader;
use watcher::Watcher;

/// Why the client could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// None of the watched folders can be read, so there is nothing to do.
    #[error(
        "cannot read any watched folder; the first is {path:?}: {cause}; hint: it must exist and \
         this user must be able to read it (key watches[].local_path)"
    )]
    NoFolder {
        /// The first watched folder.
        path: PathBuf,
        /// What the system answered.
        cause: io::Error,
    },
    /// Nothing to know the server by.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The system has no inotify instance left.
    #[error(
        "cannot watch anything: {0}; hint: raise fs.inotify.max_user_instances: sysctl \
         fs.inotify.max_user_instances=1024"
    )]
    Watch(notify::Error),
    /// No thread or signal handler to be had.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A part of it ended, which none may.
    #[error(transparent)]
    Died(#[from] Died),
}

/// Runs the client until a signal ends it.
///
/// With a `bar`, the first catch-up is shown by it.
pub fn run(config: Config, bar: Option<Bar>) -> Result<(), ClientError> {
    let started = clock::unix_seconds();
    let mut supervisor = Supervisor::new()?;
    let mut stop = StopSource::default();
    let transport = Arc::new(Transport::new(&config.server)?);
    let watched: Vec<&Path> = config.watches.iter().map(|watch| &*watch.local_path).collect();
    let database = Arc::new(Database::claim(&config.database, &watched, clock::unix_nanos())?);
    check_folders(&config)?;
    let queue = Arc::new(SharedQueue::new(config.watches.len(), QUEUE_PATHS_MAX));
    let debounce = config.stability.debounce;
    let scope = Scope::new(config.watches.clone(), &config.database);
    parking::unpark_outsiders(&database, &scope)?;
    // The clock first, then the baselines, then the watches: what is made from here on is new.
    let clock_watch = ClockWatch::start();
    let baselines = Baselines::begin(
        &config.watches,
        config.scan.upload_existing,
        Arc::clone(&database),
        Box::new(LocalFileClock::new(&config.database)),
    )?;
    log::info!(
        "s3up {} sends to {}; watched folders: {}",
        env!("CARGO_PKG_VERSION"),
        config.server.url,
        config.watches.len()
    );

    let progress = Arc::new(Progress::default());
    let (scans, requests) = bounded(WATCH_EVENTS_MAX);
    let hints = Hints {
        scope: scope.clone(),
        database: Arc::clone(&database),
        queue: Arc::clone(&queue),
        debounce,
        denied: Denied::default(),
        disk: LocalDisk,
        clock: SystemClock,
    };
    let (ended, scanned) = bounded(1);
    let asked = Scans { requests: scans.clone(), ended: scanned };
    let watcher = Watcher::start(hints, asked, config.scan.interval, Arc::clone(&progress))
        .map_err(ClientError::Watch)?;
    let comparison = Comparison {
        scope: scope.clone(),
        database: Arc::clone(&database),
        queue: Arc::clone(&queue),
        debounce,
        clock: SystemClock,
    };
    let interval = config.scan.interval;
    let scanner = Scanner {
        comparison,
        baselines,
        interval,
        lost: BTreeSet::new(),
        progress: Arc::clone(&progress),
        ended,
    };
    let guarded = Arc::clone(&database);
    let herald = Herald {
        progress: Arc::clone(&progress),
        queue: Arc::clone(&queue),
        database: Arc::clone(&database),
        bar,
    };
    let inside = Inside { progress: Arc::clone(&progress), queue: Arc::clone(&queue), started };
    let (errands, errands_to_do) = bounded(ERRANDS_MAX);
    let reporter = reporter(&config, &database, &inside, Arc::clone(&transport));
    let textfile = textfile(&config, &database, &inside);
    let clock_set = clock_set(scans.clone(), errands.clone());
    let desk = Desk { inside, scans, errands };
    let uploader = Arc::new(Uploader {
        scope,
        database,
        queue: Arc::clone(&queue),
        disk: LocalDisk,
        remote: transport,
        clock: SystemClock,
        stability: config.stability,
        hashed_first_above: PART_BYTES as u64,
        bucket: config
            .upload
            .bandwidth
            .map(|rate| Mutex::new(Bucket::new(rate, clock::monotonic()))),
        upload: config.upload,
        stop: stop.stop(),
        outage: Mutex::default(),
        progress,
    });

    // First, so that whoever sees it work can ask.
    let listener = open_desk(&config.database, desk, stop.stop(), &mut supervisor)?;
    let token = stop.stop();
    supervisor.spawn("database", move || guarded.wait_until_broken(&token))?;
    let token = stop.stop();
    supervisor.spawn("watcher", move || watcher.run(&token))?;
    if let Some(clock) = clock_watch.clone() {
        let token = stop.stop();
        supervisor.spawn("clock", move || clock.run(clock_set, &token))?;
    }
    let token = stop.stop();
    supervisor.spawn("scanner", move || scanner.run(&requests, &token))?;
    for number in 0..config.upload.concurrency {
        let uploader = Arc::clone(&uploader);
        supervisor.spawn(format!("uploader-{number}"), move || uploader.run())?;
    }
    let token = stop.stop();
    supervisor.spawn("herald", move || herald.run(&token))?;
    let token = stop.stop();
    supervisor.spawn("reporter", move || reporter.run(&errands_to_do, &token))?;
    if let Some(textfile) = textfile {
        let token = stop.stop();
        supervisor.spawn("metrics", move || textfile.run(&token))?;
    }

    let ended = supervisor.wait();
    if let Ended::Signal(signal) = ended {
        log::info!("{signal}: ending; {} files wait and are found again", queue.len());
    }
    // Watcher and scanner see the flag, then nothing is pushed any more; the closed queue ends the
    // workers, each after the upload in its hands or limits::UPLOAD_GRACE, whichever is earlier.
    stop.raise();
    if let Some(clock) = clock_watch {
        clock.wake();
    }
    queue.close();
    if let Some(listener) = &listener {
        listener.close();
    }
    if !supervisor.join(shutdown_deadline()) {
        log::warn!(
            "an upload did not end in time and is abandoned; it is repeated at the next start"
        );
    }
    Ok(ended.into_result()?)
}

fn reporter(
    config: &Config,
    database: &Arc<Database>,
    inside: &Inside,
    server: Arc<Transport>,
) -> Reporter {
    // Each client has its own of both, and has them after a restart.
    let key = config.server.api_key.expose().as_bytes();
    let identity = [key, config.database.as_os_str().as_bytes()].concat();
    let schedule = Schedule::new(schedule::offset(&identity), &reporter::now());
    Reporter {
        database: Arc::clone(database),
        path: config.database.clone(),
        watches: config.watches.iter().map(|watch| watch.local_path.clone()).collect(),
        inside: inside.clone(),
        server,
        schedule,
    }
}

/// Where figures are written, if anywhere.
fn textfile(config: &Config, database: &Arc<Database>, inside: &Inside) -> Option<Textfile> {
    let path = config.textfile.clone()?;
    let (database, inside) = (Arc::clone(database), inside.clone());
    Some(Textfile { path, inside, database, watches: config.watches.len() as u64 })
}

/// Tells those whom it concerns that the clock was set.
fn clock_set(scans: Sender<ScanRequest>, errands: Sender<Errand>) -> impl Fn() {
    move || {
        // If there is no room, scans of everything wait, and each looks at the clock; so does the
        // reporter after each errand.
        let _ = scans.try_send(ScanRequest::ClockSet);
        let _ = errands.try_send(Errand::ClockSet);
    }
}

/// Opens the socket where `s3up status` asks. A client that nobody can ask does its work nevertheless.
fn open_desk(
    database: &Path,
    desk: Desk,
    stop: Stop,
    supervisor: &mut Supervisor,
) -> io::Result<Option<Arc<Listener>>> {
    match Listener::bind(database) {
        Ok(listener) => {
            let listener = Arc::new(listener);
            let asked = Arc::clone(&listener);
            supervisor.spawn("status", move || {
                asked.run(&stop, |question, peer| desk.answer(question, peer))
            })?;
            Ok(Some(listener))
        }
        Err(error) => {
            let path = socket::path(database);
            log::warn!("s3up status will not see this client: cannot listen at {path:?}: {error}");
            Ok(None)
        }
    }
}

/// A folder that cannot be read is reported by the scan and retried. If there is no other, that is
/// a mistake in the configuration more likely than an accident.
fn check_folders(config: &Config) -> Result<(), ClientError> {
    let mut first = None;
    for watch in &config.watches {
        match std::fs::read_dir(&watch.local_path) {
            Ok(_) => return Ok(()),
            Err(cause) => {
                first
                    .get_or_insert(ClientError::NoFolder { path: watch.local_path.clone(), cause });
            }
        }
    }
    first.map_or(Ok(()), Err)
}
