//! One life of the client: from a configuration to running threads, and their end.
//!
//! Wiring, on the main thread. The order of a start is the design document's: configuration, database,
//! queue, watcher, first scan, draining, normal operation. A process has one life, and one more for each
//! new configuration; nothing of one is left when the next is prepared, but for what the database knows.

use super::ClientError;
use super::bandwidth::Bucket;
use super::baselines::{Baselines, LocalFileClock};
use super::clock_watch::ClockWatch;
use super::comparison::Comparison;
use super::config::Config;
use super::daily::reporter::{self, Errand, Reporter};
use super::daily::schedule::{self, Schedule};
use super::database::Database;
use super::denied::Denied;
use super::disk::LocalDisk;
use super::herald::{Bar, Herald};
use super::hints::Hints;
use super::metrics::Textfile;
use super::parking;
use super::progress::Progress;
use super::queue::SharedQueue;
use super::scanner::{ScanRequest, Scanner, Scans};
use super::scope::Scope;
use super::status::desk::Desk;
use super::status::live::Inside;
use super::status::socket::{self, Listener};
use super::transport::Transport;
use super::uploader::Uploader;
use super::watcher::Watcher;
use crate::clock::{self, SystemClock};
use crate::limits::daily::ERRANDS_MAX;
use crate::limits::{PART_BYTES, QUEUE_PATHS_MAX, WATCH_EVENTS_MAX};
use crate::threads::{Stop, StopSource, Supervisor, shutdown_deadline};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A client that is ready to run: whatever can fail for a wrong configuration has not failed.
pub(super) struct Life {
    stop: StopSource,
    database: Arc<Database>,
    database_path: PathBuf,
    clock_watch: Option<ClockWatch>,
    watcher: Watcher,
    scanner: Scanner<SystemClock>,
    requests: Receiver<ScanRequest>,
    uploader: Uploader<LocalDisk, Arc<Transport>, SystemClock>,
    herald: Herald,
    reporter: Reporter,
    errands: Receiver<Errand>,
    textfile: Option<Textfile>,
    desk: Desk,
}

impl Life {
    /// Prepares a client: claims its database, looks at its folders, takes an inotify instance. No
    /// thread runs yet but notify's own.
    pub(super) fn prepare(config: &Config, bar: Option<Bar>) -> Result<Self, ClientError> {
        let started = clock::unix_seconds();
        let stop = StopSource::default();
        let transport = Arc::new(Transport::new(&config.server)?);
        let watched: Vec<&Path> = config.watches.iter().map(|watch| &*watch.local_path).collect();
        let database = Database::claim(&config.database, &watched, clock::unix_nanos())?;
        let database = Arc::new(database);
        check_folders(config)?;
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
            crate::version::FULL,
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
        let interval = config.scan.interval;
        let watcher = Watcher::new(hints, asked, interval, Arc::clone(&progress))
            .map_err(ClientError::Watch)?;
        let comparison = Comparison {
            scope: scope.clone(),
            database: Arc::clone(&database),
            queue: Arc::clone(&queue),
            debounce,
            clock: SystemClock,
        };
        let scanner = Scanner {
            comparison,
            baselines,
            interval,
            lost: BTreeSet::new(),
            progress: Arc::clone(&progress),
            ended,
        };
        let herald = Herald {
            progress: Arc::clone(&progress),
            queue: Arc::clone(&queue),
            database: Arc::clone(&database),
            bar,
        };
        let inside = Inside { progress: Arc::clone(&progress), queue: Arc::clone(&queue), started };
        let (errand_sender, errands) = bounded(ERRANDS_MAX);
        let reporter = reporter(config, &database, &inside, Arc::clone(&transport));
        let textfile = textfile(config, &database, &inside);
        let desk = Desk { inside, scans, errands: errand_sender };
        let rate = config.upload.bandwidth;
        let uploader = Uploader {
            scope,
            database: Arc::clone(&database),
            queue,
            disk: LocalDisk,
            remote: transport,
            clock: SystemClock,
            stability: config.stability,
            hashed_first_above: PART_BYTES as u64,
            bucket: rate.map(|rate| Mutex::new(Bucket::new(rate, clock::monotonic()))),
            upload: config.upload,
            stop: stop.stop(),
            outage: Mutex::default(),
            progress,
        };
        let database_path = config.database.clone();
        Ok(Self {
            stop,
            database,
            database_path,
            clock_watch,
            watcher,
            scanner,
            requests,
            uploader,
            herald,
            reporter,
            errands,
            textfile,
            desk,
        })
    }

    /// Begins its threads.
    pub(super) fn begin(self, supervisor: &mut Supervisor) -> io::Result<Running> {
        let Self { stop, database, database_path, clock_watch, watcher, scanner, .. } = self;
        let Self { requests, uploader, herald, reporter, errands, textfile, desk, .. } = self;
        let inside = desk.inside.clone();
        let set = clock_set(desk.scans.clone(), desk.errands.clone());
        // First, so that whoever sees it work can ask.
        let listener = open_desk(&database_path, desk, stop.stop(), supervisor)?;
        let token = stop.stop();
        supervisor.spawn("database", move || database.wait_until_broken(&token))?;
        let (setting, set_all) = bounded(0);
        let token = stop.stop();
        supervisor.spawn("watcher", move || watcher.run(setting, &token))?;
        if let Some(clock) = clock_watch.clone() {
            let token = stop.stop();
            supervisor.spawn("clock", move || clock.run(set, &token))?;
        }
        let token = stop.stop();
        supervisor.spawn("scanner", move || {
            // A file that is written between a scan and its watch would be seen by neither.
            let _ = set_all.recv();
            scanner.run(&requests, &token);
        })?;
        let uploader = Arc::new(uploader);
        for number in 0..uploader.upload.concurrency {
            let uploader = Arc::clone(&uploader);
            supervisor.spawn(format!("uploader-{number}"), move || uploader.run())?;
        }
        let token = stop.stop();
        supervisor.spawn("herald", move || herald.run(&token))?;
        let token = stop.stop();
        supervisor.spawn("reporter", move || reporter.run(&errands, &token))?;
        if let Some(textfile) = textfile {
            let token = stop.stop();
            supervisor.spawn("metrics", move || textfile.run(&token))?;
        }
        Ok(Running { stop, clock_watch, inside, listener })
    }
}

/// A client whose threads run.
pub(super) struct Running {
    stop: StopSource,
    clock_watch: Option<ClockWatch>,
    inside: Inside,
    listener: Option<Arc<Listener>>,
}

impl Running {
    /// How many files wait.
    pub(super) fn waiting(&self) -> usize {
        self.inside.queue.len()
    }

    /// Takes and gives back the locks that watcher, scanner and workers share. Each is held for
    /// moments only, whatever disk and server do: so this ends, unless they are stuck.
    pub(super) fn prove_alive(&self) {
        self.inside.queue.counts();
        self.inside.progress.snapshot();
    }

    /// Ends it, within `limits::SHUTDOWN_MAX`; `false` if threads are left.
    pub(super) fn end(mut self, supervisor: &mut Supervisor) -> bool {
        // Watcher and scanner see the flag, then nothing is pushed any more; the closed queue ends the
        // workers, each after the upload in its hands or limits::UPLOAD_GRACE, whichever is earlier.
        self.stop.raise();
        if let Some(clock) = self.clock_watch {
            clock.wake();
        }
        self.inside.queue.close();
        if let Some(listener) = &self.listener {
            listener.close();
        }
        supervisor.join(shutdown_deadline())
    }
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
