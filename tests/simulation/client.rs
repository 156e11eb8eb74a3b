//! A running client: its own parts, on a disk, a clock and a server of the simulation.
//!
//! What is the client's own here: the hints, the queue, the uploader, the database, the scope, the
//! baselines, and what a scan makes of a walk. What stands in for it: the threads, whose turns are given by `world`;
//! the walk; and inotify, whose watches are set when the watcher hears of a folder and not before.

use super::disk::{self, Hint, Node};
use super::history::Settings;
use super::server::SimulatedRemote;
use super::world::World;
use s3up::client::ahead::pages;
use s3up::client::baselines::Baselines;
use s3up::client::comparison::{Comparison, Pass};
use s3up::client::config::{Stability, Upload, Watch};
use s3up::client::denied::Denied;
use s3up::client::disk::{Disk, OpenFile};
use s3up::client::filter::{Filter, Pattern, Patterns};
use s3up::client::fingerprint::Fingerprint;
use s3up::client::hints::{Batch, Hints};
use s3up::client::plan::Known;
use s3up::client::queue::{Popped, Pushed, SharedQueue, Task};
use s3up::client::scanner::ScanRequest;
use s3up::client::scope::Scope;
use s3up::client::survey::{Finding, survey};
use s3up::client::uploader::Uploader;
use s3up::client::walk::{Seen, WalkError, as_folder};
use s3up::clock::Clock;
use s3up::remote_path::RemotePrefix;
use s3up::sqlite::DatabaseError;
use s3up::threads::StopSource;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
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

/// Paths that a scan reads from the database at once: few, so that much happens in between.
const PAGE: usize = 2;

/// What a scan comes by, when it is asked for the next.
type Findings = Box<dyn Iterator<Item = Result<Finding, DatabaseError>>>;

/// A scan under way.
struct Scan {
    request: ScanRequest,
    /// The folders that are still to be walked, each with its baseline; the next one last.
    roots: Vec<(PathBuf, Option<i64>)>,
    /// The one that is being walked.
    pass: Option<(Pass, Findings)>,
    /// What the queue had no room for.
    blocked: Option<(Task, Instant)>,
}

/// The walk of a folder as `walk` does it: each folder is listed when it is come by, and each file
/// looked at when its turn comes.
fn walk(world: &Rc<World>, root: &Path) -> impl Iterator<Item = Result<Seen, WalkError>> + use<> {
    let (world, mut rest) = (Rc::clone(world), vec![(root.to_owned(), true)]);
    std::iter::from_fn(move || {
        while let Some((path, is_folder)) = rest.pop() {
            world.quick_call();
            let node = world.disk.borrow().node(&path).cloned();
            match node {
                Some(Node::Folder) if is_folder && world.scope.enters(&path) => {
                    let mut inside: Vec<_> = world.disk.borrow().list(&path);
                    inside.sort_by_key(|(path, node)| {
                        let folder = matches!(node, Node::Folder);
                        let path = if folder { as_folder(path) } else { path.clone() };
                        std::cmp::Reverse(path.into_os_string())
                    });
                    let inside = inside.into_iter();
                    rest.extend(inside.map(|(path, node)| (path, matches!(node, Node::Folder))));
                }
                Some(Node::File(file)) if !is_folder => {
                    let fingerprint = file.borrow().fingerprint();
                    world.quick_call();
                    return Some(Ok(Seen { path, fingerprint }));
                }
                _ => {}
            }
        }
        None
    })
}

/// The client; see the module's head.
pub(super) struct Client {
    uploader: Uploader<SimulatedDisk, SimulatedRemote, SimulatedClock>,
    hints: RefCell<Hints<SimulatedDisk, SimulatedClock>>,
    queue: Arc<SharedQueue>,
    comparison: Comparison<SimulatedClock>,
    baselines: RefCell<Baselines>,
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
        let file_clock = Box::new(world.file_clock.clone());
        let watches = world.scope.watches();
        let baselines =
            Baselines::begin(watches, everything, Arc::clone(&world.database), file_clock).unwrap();
        for watch in world.scope.watches() {
            world.watch(&watch.local_path, watch.recursive);
        }
        world.unheard.set(false);
        let stop = StopSource::default();
        Rc::new(Self {
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
            comparison: Comparison {
                scope: world.scope.clone(),
                database: Arc::clone(&world.database),
                queue: Arc::clone(&queue),
                debounce,
                clock: SimulatedClock(Rc::clone(world)),
            },
            queue,
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
        self.next_scan.get().filter(|_| !self.is_stopping() && self.scan.borrow().is_none())
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
        } else if let Some((pass, findings)) = &mut scan.pass {
            match findings.next() {
                Some(finding) => {
                    if let Some((task, due)) = self.comparison.take(pass, finding.unwrap()).unwrap()
                    {
                        self.offer(&mut scan, task, due);
                    }
                }
                None => {
                    let (pass, _) = scan.pass.take().unwrap();
                    self.comparison.end(pass).unwrap();
                }
            }
        } else if let Some((root, baseline)) = scan.roots.pop() {
            scan.pass = Some(self.begin_pass(world, &root, baseline));
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
        let mut baselines = self.baselines.borrow_mut();
        let mut roots = Vec::new();
        match &request {
            ScanRequest::Everything { .. } => {
                self.next_scan.set(None);
                baselines.look();
                let watches = world.scope.watches().iter().enumerate();
                roots.extend(watches.map(|(i, watch)| (watch.local_path.clone(), baselines.of(i))));
            }
            ScanRequest::Folder(path) if world.scope.enters(path) => {
                roots.push((path.clone(), None));
            }
            ScanRequest::Folder(_) => {}
            ScanRequest::ClockSet => {
                baselines.look();
            }
        }
        roots.reverse();
        Some(Scan { request, roots, pass: None, blocked: None })
    }

    fn begin_pass(
        &self,
        world: &Rc<World>,
        root: &Path,
        baseline: Option<i64>,
    ) -> (Pass, Findings) {
        let (database, below) = (Arc::clone(&world.database), root.to_owned());
        let rows = pages(move |last: Option<&(PathBuf, Known)>| {
            let after = last.map_or(Path::new(""), |(path, _)| path);
            database.page(&below, after, PAGE)
        });
        let (database, below) = (Arc::clone(&world.database), root.to_owned());
        let parked = pages(move |last: Option<&PathBuf>| {
            database.parked_page(&below, last.map_or(Path::new(""), PathBuf::as_path), PAGE)
        });
        let pass = self.comparison.begin(root, baseline);
        (pass, Box::new(survey(walk(world, root), rows, parked)))
    }

    fn end_scan(&self, world: &World, scan: &Scan) {
        if matches!(scan.request, ScanRequest::Everything { cause: "start" }) {
            self.queue.release();
        }
        self.work_due.set(Some(Duration::ZERO));
        if matches!(scan.request, ScanRequest::Everything { .. }) {
            let interval = Duration::from_secs(world.settings.interval_seconds);
            self.next_scan.set(Some(world.now() + interval));
        }
    }

    /// The clock of the machine was set.
    pub(super) fn clock_set(&self) {
        self.requests.borrow_mut().push_back(ScanRequest::ClockSet);
    }

    fn offer(&self, scan: &mut Scan, task: Task, due: Instant) {
        if self.queue.push_scanned(task.clone(), due) == Pushed::Full {
            self.queue.release();
            scan.blocked = Some((task, due));
        }
        self.work_due.set(Some(Duration::ZERO));
    }
}
