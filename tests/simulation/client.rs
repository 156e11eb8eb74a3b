//! A running client: its own parts, on a disk, a clock and a server of the simulation.
//!
//! What is the client's own here: the hints, the queue, the uploader, the database, the scope and the
//! rules by which a scan decides. What stands in for it: the threads, whose turns are given by `world`;
//! the walk; and inotify, whose watches are set when the watcher hears of a folder and not before.

use super::disk::{self, Hint, Node};
use super::history::Settings;
use super::server::SimulatedRemote;
use super::world::World;
use s3up::client::config::{Stability, Upload, Watch};
use s3up::client::denied::Denied;
use s3up::client::disk::{Disk, OpenFile};
use s3up::client::filter::{Filter, Pattern, Patterns};
use s3up::client::fingerprint::Fingerprint;
use s3up::client::hints::{Batch, Hints};
use s3up::client::parking;
use s3up::client::plan::{self, Need};
use s3up::client::queue::{Popped, Pushed, SharedQueue, Task};
use s3up::client::scanner::ScanRequest;
use s3up::client::scope::{Place, Scope};
use s3up::client::stability::Sighting;
use s3up::client::uploader::Uploader;
use s3up::clock::Clock;
use s3up::limits::FILE_CLOCK_STEP;
use s3up::remote_path::RemotePrefix;
use s3up::threads::StopSource;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The machine's disk, as the client sees it.
#[derive(Clone)]
pub(super) struct SimulatedDisk(Rc<World>);

/// An open file. It stays the same one, whatever becomes of its name.
pub(super) struct SimulatedFile {
    world: Rc<World>,
    file: disk::File,
    position: usize,
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn look(&self, path: &Path) -> io::Result<Option<Fingerprint>> {
        self.0.quick_call();
        let seen = self.0.disk.borrow().file(path).map(|file| file.borrow().fingerprint());
        self.0.quick_call();
        Ok(seen)
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.0.quick_call();
        self.0.is_folder(path)
    }

    fn open(&self, _: &Path, path: &Path) -> io::Result<Option<(SimulatedFile, Fingerprint)>> {
        self.0.quick_call();
        let Some(file) = self.0.disk.borrow().file(path).cloned() else { return Ok(None) };
        if !file.borrow().readable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.0.quick_call();
        let fingerprint = file.borrow().fingerprint();
        self.0.opened(path);
        Ok(Some((SimulatedFile { world: Rc::clone(&self.0), file, position: 0 }, fingerprint)))
    }
}

impl Read for SimulatedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.world.quick_call();
        let inode = self.file.borrow();
        let piece = usize::try_from(self.world.settings.piece).unwrap();
        let rest = inode.bytes.get(self.position..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(piece.max(1));
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

impl Seek for SimulatedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(position) = to else { return Err(ErrorKind::Unsupported.into()) };
        self.position = usize::try_from(position).unwrap();
        Ok(position)
    }
}

impl OpenFile for SimulatedFile {
    fn fingerprint(&self) -> io::Result<Fingerprint> {
        self.world.quick_call();
        Ok(self.file.borrow().fingerprint())
    }
}

/// The machine's clocks, as the client sees them.
#[derive(Clone)]
pub(super) struct SimulatedClock(Rc<World>);

impl Clock for SimulatedClock {
    fn monotonic(&self) -> Instant {
        let now = self.0.monotonic();
        self.0.quick_call();
        now
    }

    fn unix_seconds(&self) -> i64 {
        let now = self.0.unix_ns().div_euclid(1_000_000_000);
        self.0.quick_call();
        now
    }
}

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

/// A scan under way.
struct Scan {
    request: ScanRequest,
    /// What is still to be looked at, the next thing last.
    rest: Vec<PathBuf>,
    /// What the queue had no room for.
    blocked: Option<(Task, Instant)>,
    /// The parked paths below its root that were not come by yet.
    parked: BTreeSet<PathBuf>,
}

/// The client; see the module's head.
pub(super) struct Client {
    uploader: Uploader<SimulatedDisk, SimulatedRemote, SimulatedClock>,
    hints: RefCell<Hints<SimulatedDisk, SimulatedClock>>,
    debounce: Duration,
    queue: Arc<SharedQueue>,
    baselines: Vec<Option<i64>>,
    stop: RefCell<StopSource>,
    stopped: Cell<Option<Duration>>,
    hearing: Cell<bool>,
    scanning: Cell<bool>,
    working: Cell<u64>,
    work_due: Cell<Option<Duration>>,
    requests: RefCell<VecDeque<ScanRequest>>,
    scan: RefCell<Option<Scan>>,
    next_scan: Cell<Option<Duration>>,
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
        let step = i64::try_from(FILE_CLOCK_STEP.as_nanos()).unwrap();
        let first = (!everything).then(|| world.unix_ns() - step);
        let baselines = world
            .scope
            .watches()
            .iter()
            .map(|watch| {
                let kept = world.database.baseline(&watch.local_path, first).unwrap();
                kept.filter(|_| !everything)
            })
            .collect();
        for watch in world.scope.watches() {
            world.watch(&watch.local_path, watch.recursive);
        }
        world.unheard.set(false);
        let stop = StopSource::default();
        Rc::new(Self {
            debounce,
            hints: RefCell::new(Hints {
                scope: world.scope.clone(),
                denied: Denied::default(),
                database: Arc::clone(&world.database),
                queue: Arc::clone(&queue),
                debounce,
                disk: disk.clone(),
                clock: clock.clone(),
            }),
            uploader: Uploader {
                scope: world.scope.clone(),
                database: Arc::clone(&world.database),
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
                bucket: None,
                stop: stop.stop(),
                outage: Mutex::default(),
                progress: Arc::default(),
            },
            queue,
            baselines,
            stop: RefCell::new(stop),
            stopped: Cell::default(),
            hearing: Cell::default(),
            scanning: Cell::default(),
            working: Cell::default(),
            work_due: Cell::new(Some(Duration::ZERO)),
            requests: RefCell::new([ScanRequest::Everything { cause: "start" }].into()),
            scan: RefCell::default(),
            next_scan: Cell::default(),
        })
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
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
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
        if batch.rescan.is_some() {
            for watch in world.scope.watches() {
                world.watch(&watch.local_path, watch.recursive);
            }
        }
        world.kernel.borrow_mut().told = told;
        self.hearing.set(true);
        let requests = self.hints.borrow_mut().take(batch);
        self.hearing.set(false);
        self.requests.borrow_mut().extend(requests);
        self.work_due.set(Some(Duration::ZERO));
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

    /// When the next scan at its interval is due.
    pub(super) fn next_scan(&self) -> Option<Duration> {
        self.next_scan.get().filter(|_| !self.is_stopping())
    }

    /// Lets the next scan at its interval begin now.
    pub(super) fn scan_soon(&self, world: &World) {
        self.next_scan.set(Some(world.now()));
    }

    /// Lets no scan begin by time alone.
    pub(super) fn scan_never(&self) {
        self.next_scan.set(None);
    }

    pub(super) fn scan_is_due(&self, world: &World) -> bool {
        if self.scanning.get() || self.is_stopping() {
            return false;
        }
        match &*self.scan.borrow() {
            Some(Scan { blocked: Some(_), .. }) => self.has_room(world),
            Some(_) => true,
            None => {
                !self.requests.borrow().is_empty()
                    || self.next_scan.get().is_some_and(|due| due <= world.now())
            }
        }
    }

    fn has_room(&self, world: &World) -> bool {
        let room = usize::try_from(world.settings.room).unwrap();
        self.queue.len() < room - room / 8
    }

    /// The scanner goes on by one path.
    pub(super) fn scan_on(&self, world: &Rc<World>) {
        self.scanning.set(true);
        self.scan_step(world);
        self.scanning.set(false);
    }

    fn scan_step(&self, world: &Rc<World>) {
        let Some(mut scan) = self.scan.take().or_else(|| self.begin_scan(world)) else { return };
        if let Some((task, due)) = scan.blocked.take() {
            self.offer(&mut scan, task, due);
        } else if let Some(path) = scan.rest.pop() {
            self.pass_by(world, &mut scan, &path);
        } else if let Some(path) = scan.parked.pop_first() {
            // It has vanished. In this order: who makes it anew after the look parks it anew, too.
            world.database.unpark(&path).unwrap();
            self.pass_by(world, &mut scan, &path);
        } else {
            self.end_scan(world, &scan);
            return;
        }
        *self.scan.borrow_mut() = Some(scan);
    }

    fn begin_scan(&self, world: &World) -> Option<Scan> {
        let request = self.requests.borrow_mut().pop_front();
        let request = match request {
            Some(request) => request,
            None if self.next_scan.get().is_some_and(|due| due <= world.now()) => {
                ScanRequest::Everything { cause: "interval" }
            }
            None => return None,
        };
        world.note(|| format!("scan: {request:?}"));
        self.next_scan.set(None);
        let watches = world.scope.watches();
        let mut rest: Vec<PathBuf> = match &request {
            ScanRequest::ClockSet => vec![],
            ScanRequest::Everything { .. } => {
                watches.iter().map(|watch| watch.local_path.clone()).collect()
            }
            ScanRequest::Folder(path) => {
                world.scope.enters(path).then(|| path.clone()).into_iter().collect()
            }
        };
        rest.reverse();
        let parked = world.database.parked().unwrap().into_iter().map(|(path, _)| path);
        let parked = parked.filter(|path| rest.iter().any(|root| path.starts_with(root))).collect();
        Some(Scan { request, rest, blocked: None, parked })
    }

    fn end_scan(&self, world: &World, scan: &Scan) {
        if matches!(scan.request, ScanRequest::Everything { cause: "start" }) {
            self.queue.release();
        }
        self.work_due.set(Some(Duration::ZERO));
        let interval = Duration::from_secs(world.settings.interval_seconds);
        self.next_scan.set(Some(world.now() + interval));
    }

    fn pass_by(&self, world: &Rc<World>, scan: &mut Scan, path: &Path) {
        world.quick_call();
        let node = world.disk.borrow().node(path).cloned();
        match node {
            Some(Node::Folder) if world.scope.enters(path) => {
                let listed = world.disk.borrow().list(path);
                scan.rest.extend(listed.into_iter().rev().map(|(path, _)| path));
            }
            Some(Node::File(file)) => {
                let at = world.monotonic();
                let fingerprint = file.borrow().fingerprint();
                world.quick_call();
                self.consider(world, scan, path, fingerprint, at);
            }
            Some(Node::Folder | Node::Other) | None => {}
        }
    }

    fn consider(
        &self,
        world: &World,
        scan: &mut Scan,
        path: &Path,
        fingerprint: Fingerprint,
        at: Instant,
    ) {
        scan.parked.remove(path);
        let place = world.scope.place(path);
        if matches!(place, Place::Outside | Place::Excluded) {
            return;
        }
        let baseline = match (&scan.request, world.scope.watches()) {
            (ScanRequest::Folder(_), _) => None,
            (_, [first, ..]) if path.starts_with(&first.local_path) => self.baselines[0],
            _ => self.baselines[1],
        };
        let record = world.database.record(path).unwrap();
        if record.is_none() && !plan::is_new(baseline, &fingerprint) {
            return;
        }
        let (watch, remote_path) = match place {
            Place::File { index, remote_path, .. } => (index, remote_path),
            Place::Outside | Place::Excluded => return,
            Place::Unnameable(error) => {
                let now = world.unix_ns().div_euclid(1_000_000_000);
                parking::park_unnameable(&world.database, path, error, now).unwrap();
                return;
            }
        };
        if plan::need(record.as_ref(), remote_path.as_str(), &fingerprint) == Need::Nothing {
            return;
        }
        let task = Task::new(path, watch, Some(Sighting { fingerprint, at }), at);
        self.offer(scan, task, at + self.debounce);
    }

    fn offer(&self, scan: &mut Scan, task: Task, due: Instant) {
        if self.queue.push_scanned(task.clone(), due) == Pushed::Full {
            self.queue.release();
            scan.blocked = Some((task, due));
        }
        self.work_due.set(Some(Duration::ZERO));
    }
}
