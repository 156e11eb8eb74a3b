//! The scanner of the simulated client: it goes on by one finding at a time.
//!
//! So much happens between two of them as the machine likes, and a queue without room makes nobody wait.
//! What a finding means is decided by the client's own comparison.

use super::client::Client;
use super::disk::Node;
use super::world::World;
use s3up::client::ahead::pages;
use s3up::client::comparison::Pass;
use s3up::client::plan::Known;
use s3up::client::queue::{Pushed, Task};
use s3up::client::scanner::ScanRequest;
use s3up::client::survey::{Finding, survey};
use s3up::client::walk::{Seen, Step, WalkError, as_folder};
use s3up::sqlite::DatabaseError;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Paths that a scan reads from the database at once: few, so that much happens in between.
const PAGE: usize = 2;

/// What a scan comes by, when it is asked for the next.
type Findings = Box<dyn Iterator<Item = Result<Finding, DatabaseError>>>;

/// A scan under way.
pub(super) struct Scan {
    request: ScanRequest,
    /// The folders that are still to be walked, each with its baseline; the next one last.
    roots: Vec<(PathBuf, Option<i64>)>,
    /// The one that is being walked.
    root: PathBuf,
    pass: Option<(Pass, Findings)>,
    /// What the queue had no room for.
    blocked: Option<(Task, Instant)>,
}

/// The path behind which the next page begins.
fn place_of<T>(last: Option<&(PathBuf, T)>) -> &Path {
    last.map_or(Path::new(""), |(path, _)| path)
}

/// The walk of a folder as `walk` does it: each folder is listed when it is come by, and each file
/// looked at when its turn comes.
fn walk(world: &Rc<World>, root: &Path) -> impl Iterator<Item = Result<Step, WalkError>> + use<> {
    let (world, mut rest) = (Rc::clone(world), vec![(root.to_owned(), true)]);
    let root = root.to_owned();
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
                    return Some(Ok(Step::File(Seen { path, fingerprint })));
                }
                Some(Node::Folder) => {}
                _ if path == root => {
                    let (path, cause) = (as_folder(&path), std::io::ErrorKind::NotFound.into());
                    return Some(Err(WalkError { blind: path.clone(), path, cause }));
                }
                _ => {}
            }
        }
        None
    })
}

impl Client {
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
                    let lost = self.comparison.end(pass).unwrap().root;
                    if lost.is_some() && matches!(scan.request, ScanRequest::Everything { .. }) {
                        self.note_lost(world, &scan.root);
                    }
                }
            }
        } else if let Some((root, baseline)) = scan.roots.pop() {
            scan.pass = Some(self.begin_pass(world, &root, baseline));
            scan.root = root;
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
        Some(Scan { request, roots, root: PathBuf::new(), pass: None, blocked: None })
    }

    /// A watched folder is not there.
    fn note_lost(&self, world: &World, root: &Path) {
        let now = world.unix_ns().div_euclid(1_000_000_000);
        world.database().park(&as_folder(root), "watched folder is gone", now).unwrap();
    }

    fn begin_pass(
        &self,
        world: &Rc<World>,
        root: &Path,
        baseline: Option<i64>,
    ) -> (Pass, Findings) {
        let (database, below) = (world.database(), root.to_owned());
        let rows = pages(move |last: Option<&(PathBuf, Known)>| {
            database.page(&below, place_of(last), PAGE)
        });
        let (database, below) = (world.database(), root.to_owned());
        let parked = pages(move |last: Option<&(PathBuf, String)>| {
            database.parked_page(&below, place_of(last), PAGE)
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
            self.losses.borrow_mut().scanned(world.monotonic());
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
