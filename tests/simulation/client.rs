//! A running client: its own parts, on a disk, a clock and a server of the simulation.
//!
//! What is the client's own here: the hints, the queue, the uploader, the database, the scope, the
//! baselines, when to watch and scan again, and what a scan makes of a walk. What stands in for it: the
//! threads, whose turns are given by `world`; the walk; and inotify, whose watches are set when the
//! watcher hears of a folder and not before.

use super::disk::Hint;
use super::history::Settings;
use super::machine::{SimulatedClock, SimulatedDisk};
use super::scan::Scan;
use super::server::SimulatedRemote;
use super::world::World;
use s3up::client::baselines::Baselines;
use s3up::client::comparison::Comparison;
use s3up::client::config::{Stability, Upload, Watch};
use s3up::client::denied::Denied;
use s3up::client::filter::{Filter, Pattern, Patterns};
use s3up::client::hints::{Batch, Hints};
use s3up::client::losses::{Loss, Losses};
use s3up::client::queue::{Popped, SharedQueue};
use s3up::client::rewatch::{Lack, Rewatch};
use s3up::client::scanner::ScanRequest;
use s3up::client::scope::Scope;
use s3up::client::uploader::Uploader;
use s3up::remote_path::RemotePrefix;
use s3up::threads::StopSource;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is backed up: `a` with what is in it, if no pattern leaves it out, and the files of `b` alone.
pub(super) fn scope(settings: &Settings) -> Scope {
    let patterns = |texts: &[&str]| {
        let texts = texts.iter().map(|text| Pattern::parse(text).unwrap());
        Patterns::new(texts.collect()).unwrap()
    };
    let watch = |name: &str, prefix: &str, recursive| Watch {
        local_path: World::root().join(name),
        remote_prefix: RemotePrefix::parse(prefix).unwrap(),
        recursive,
        filter: Filter { exclude: patterns(&["*.tmp", "skip/"]), include: patterns(&[]) },
        max_file_size: Some(settings.own_limit).filter(|limit| *limit > 0),
    };
    Scope::new(vec![watch("a", "", true), watch("b", "second/", false)], Path::new("/client.db"))
}

/// The client; see the module's head.
pub(super) struct Client {
    uploader: Uploader<SimulatedDisk, SimulatedRemote, SimulatedClock>,
    hints: RefCell<Hints<SimulatedDisk, SimulatedClock>>,
    /// Which watched folders are not there, and when they are looked for again.
    rewatch: RefCell<Rewatch>,
    /// What it did not hear, and when that is made good.
    pub(super) losses: RefCell<Losses>,
    pub(super) queue: Arc<SharedQueue>,
    pub(super) comparison: Comparison<SimulatedClock>,
    pub(super) baselines: RefCell<Baselines>,
    stop: RefCell<StopSource>,
    stopped: Cell<Option<Duration>>,
    hearing: Cell<bool>,
    pub(super) scanning: Cell<bool>,
    working: Cell<u64>,
    pub(super) work_due: Cell<Option<Duration>>,
    pub(super) requests: RefCell<VecDeque<ScanRequest>>,
    pub(super) scan: RefCell<Option<Scan>>,
    pub(super) next_scan: Cell<Option<Duration>>,
}

impl Client {
    /// Starts it: what is there is watched, and a scan of everything is asked for.
    pub(super) fn start(world: &Rc<World>) -> Rc<Self> {
        let settings = &world.settings;
        let (disk, clock) = (SimulatedDisk(Rc::clone(world)), SimulatedClock(Rc::clone(world)));
        let room = usize::try_from(settings.room).unwrap();
        let queue = Arc::new(SharedQueue::new(2, room));
        let debounce = Duration::from_millis(settings.debounce_ms);
        let everything = settings.upload_existing == 1;
        let file_clock = Box::new(world.file_clock.clone());
        let watches = world.scope.watches();
        let baselines =
            Baselines::begin(watches, everything, world.database(), file_clock).unwrap();
        world.unheard.set(false);
        let stop = StopSource::default();
        let client = Rc::new(Self {
            hints: RefCell::new(Hints {
                scope: world.scope.clone(),
                denied: Denied::default(),
                database: world.database(),
                queue: Arc::clone(&queue),
                debounce,
                disk: disk.clone(),
                clock: clock.clone(),
            }),
            uploader: Uploader {
                scope: world.scope.clone(),
                database: world.database(),
                queue: Arc::clone(&queue),
                disk,
                remote: SimulatedRemote(Rc::clone(world)),
                clock,
                stability: Stability {
                    debounce,
                    max_attempts: u32::try_from(settings.max_attempts).unwrap(),
                    max_wait: Duration::from_secs(settings.max_wait_seconds),
                },
                upload: Upload {
                    retry_attempts: u32::try_from(settings.retry_attempts).unwrap(),
                    retry_delay: Duration::from_secs(settings.retry_seconds),
                    concurrency: usize::try_from(settings.workers).unwrap(),
                    bandwidth: None,
                },
                hashed_first_above: settings.part,
                bucket: None,
                stop: stop.stop(),
                outage: Mutex::default(),
                progress: Arc::default(),
            },
            comparison: Comparison {
                scope: world.scope.clone(),
                database: world.database(),
                queue: Arc::clone(&queue),
                debounce,
                clock: SimulatedClock(Rc::clone(world)),
            },
            queue,
            rewatch: RefCell::default(),
            losses: RefCell::default(),
            baselines: RefCell::new(baselines),
            stop: RefCell::new(stop),
            stopped: Cell::default(),
            hearing: Cell::default(),
            scanning: Cell::default(),
            working: Cell::default(),
            work_due: Cell::new(Some(Duration::ZERO)),
            requests: RefCell::new([ScanRequest::Everything { cause: "start" }].into()),
            scan: RefCell::default(),
            next_scan: Cell::default(),
        });
        client.watch_everything(world);
        client
    }

    /// Watches all that is backed up, and nothing else.
    fn watch_everything(&self, world: &World) {
        world.unwatch(World::root());
        for index in 0..world.scope.watches().len() {
            self.watch(world, index);
        }
    }

    /// Watches one of the folders, if it is there.
    fn watch(&self, world: &World, index: usize) -> bool {
        let watch = &world.scope.watches()[index];
        let is_there = world.is_folder(&watch.local_path);
        if is_there {
            world.watch(&watch.local_path, watch.recursive);
            self.rewatch.borrow_mut().mended(index);
        } else {
            self.rewatch.borrow_mut().failed(index, Lack::Folder, world.monotonic());
        }
        is_there
    }

    /// When the watcher looks for watched folders that were not there.
    pub(super) fn gaps_due(&self, world: &World) -> Option<Duration> {
        let due = self.rewatch.borrow().next().filter(|_| !self.is_hearing())?;
        Some(world.now() + due.saturating_duration_since(world.monotonic()))
    }

    /// The watcher looks for them.
    pub(super) fn close_gaps(&self, world: &World) {
        let due = self.rewatch.borrow().due(world.monotonic());
        if due.into_iter().filter(|index| self.watch(world, *index)).count() > 0 {
            let request = ScanRequest::Everything { cause: "a folder is watched again" };
            self.requests.borrow_mut().push_back(request);
        }
    }

    /// Whether a watched folder is there that it has yet to find.
    fn has_gap(&self, world: &World) -> bool {
        let long_after = world.monotonic() + Duration::from_secs(24 * 60 * 60);
        let gaps = self.rewatch.borrow().due(long_after);
        gaps.iter().any(|index| world.is_folder(&world.scope.watches()[*index].local_path))
    }

    /// Tells it to end.
    pub(super) fn stop(&self, world: &World) {
        self.stopped.set(self.stopped.get().or(Some(world.now())));
        self.stop.borrow_mut().raise();
        self.queue.close();
    }

    /// When it was told to end.
    pub(super) fn stopped(&self) -> Option<Duration> {
        self.stopped.get()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// Whether it has nothing to do before the next scan at its interval.
    pub(super) fn is_idle(&self, world: &World) -> bool {
        self.queue.is_empty()
            && !self.has_gap(world)
            && !self.losses.borrow().is_open()
            && self.requests.borrow().is_empty()
            && self.scan.borrow().is_none()
            && !self.scanning.get()
            && !self.hearing.get()
    }

    pub(super) fn is_hearing(&self) -> bool {
        self.hearing.get() || self.is_stopping()
    }

    /// The watcher takes all hints that have come.
    pub(super) fn hear(&self, world: &Rc<World>) {
        let told: Vec<Hint> = {
            let mut kernel = world.kernel.borrow_mut();
            kernel.due = None;
            kernel.pending.drain(..).collect()
        };
        world.note(|| format!("heard: {told:?}"));
        let mut batch = Batch::default();
        for hint in &told {
            match hint {
                Hint::Changed(path) => batch.paths.insert(path.clone()),
                Hint::Made(path) => batch.folders.insert(path.clone()),
                Hint::Removed(path) | Hint::From(path) => batch.removed.insert(path.clone()),
                Hint::To(path) => batch.moved_in.insert(path.clone()),
                Hint::Overflow => batch.rescan.replace("the kernel lost events").is_none(),
            };
        }
        // By then the watches are set.
        for path in batch.folders.iter().chain(&batch.moved_in) {
            if world.lies_in_recursive_watch(path) && world.is_folder(path) {
                world.watch(path, true);
            }
        }
        for (index, watch) in world.scope.watches().iter().enumerate() {
            if batch.removed.contains(&watch.local_path) {
                world.unwatch(&watch.local_path);
                self.rewatch.borrow_mut().failed(index, Lack::Folder, world.monotonic());
            }
        }
        let unwatched = batch.rescan.is_some();
        world.kernel.borrow_mut().told = told;
        self.hearing.set(true);
        let requests = self.hints.borrow_mut().take(batch);
        self.hearing.set(false);
        for request in requests {
            if let ScanRequest::Everything { cause } = request {
                self.losses.borrow_mut().lost(Loss { cause, unwatched }, world.monotonic());
            } else {
                self.requests.borrow_mut().push_back(request);
            }
        }
        self.work_due.set(Some(Duration::ZERO));
    }

    /// When the watcher makes good what it did not hear.
    pub(super) fn losses_due(&self, world: &World) -> Option<Duration> {
        let due = self.losses.borrow().next().filter(|_| !self.is_hearing())?;
        Some(world.now() + due.saturating_duration_since(world.monotonic()))
    }

    /// The watcher makes good what it did not hear: watches first, then a scan.
    pub(super) fn make_good(&self, world: &World) {
        let Some(loss) = self.losses.borrow_mut().take_due(world.monotonic()) else { return };
        world.note(|| format!("make good: {loss:?}"));
        if loss.unwatched {
            self.watch_everything(world);
        }
        self.requests.borrow_mut().push_back(ScanRequest::Everything { cause: loss.cause });
    }

    /// When a worker has something to do.
    pub(super) fn work_due(&self, world: &World) -> Option<Duration> {
        if self.working.get() >= world.settings.workers || self.is_stopping() {
            return None;
        }
        self.work_due.get()
    }

    /// A worker takes what is due.
    pub(super) fn work(&self, world: &Rc<World>) {
        match self.queue.pop_at(world.monotonic()) {
            Popped::Task(task) => {
                world.note(|| format!("work on {}", task.path.display()));
                let path = Arc::clone(&task.path);
                self.working.set(self.working.get() + 1);
                self.uploader.take(task);
                self.working.set(self.working.get() - 1);
                self.work_due.set(Some(Duration::ZERO));
                world.check_row(&path);
            }
            Popped::NotBefore(due) => {
                self.work_due.set(Some(world.now() + (due - world.monotonic())));
            }
            Popped::Nothing | Popped::Closed => self.work_due.set(None),
        }
    }
}
