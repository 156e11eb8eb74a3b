//! Hears of changes from the kernel and queues the files they concern.
//!
//! Runs on its own thread; `notify` has another one whose callback only forwards. It owns the
//! inotify watches. Events are hints: whatever is lost here (an overflow, a watch that could not be
//! set) is found by a scan, so every loss becomes a request to the scanner and never a guess.

use crate::client::database::Database;
use crate::client::disk;
use crate::client::parking;
use crate::client::queue::{Pushed, SharedQueue, Task};
use crate::client::scanner::ScanRequest;
use crate::client::scope::{Place, Scope};
use crate::clock;
use crate::limits::WATCH_EVENTS_MAX;
use crate::threads::Stop;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use notify::event::{CreateKind, EventKindMask, ModifyKind, RemoveKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to wait before a watch that could not be set is tried again.
const REWATCH_INTERVAL: Duration = Duration::from_secs(60);

/// The watcher; see the module's head.
pub struct Watcher {
    scope: Scope,
    database: Arc<Database>,
    queue: Arc<SharedQueue>,
    debounce: Duration,
    scans: Sender<ScanRequest>,
    inotify: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    overflowed: Arc<AtomicBool>,
    unwatched: Vec<usize>,
}

impl Watcher {
    /// Sets the watches. A folder that cannot be watched is reported, left to the scans and tried
    /// again later; an error means that this machine has no inotify to offer at all.
    pub fn start(
        scope: Scope,
        database: Arc<Database>,
        queue: Arc<SharedQueue>,
        debounce: Duration,
        scans: Sender<ScanRequest>,
    ) -> Result<Self, notify::Error> {
        let (sender, events) = bounded(WATCH_EVENTS_MAX);
        let overflowed = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&overflowed);
        let forward = move |event| {
            if matches!(sender.try_send(event), Err(TrySendError::Full(_))) {
                lost.store(true, Ordering::SeqCst);
            }
        };
        // Without the opens and reads, of which our own would be the most.
        let kinds = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let config = notify::Config::default().with_follow_symlinks(false).with_event_kinds(kinds);
        let inotify = RecommendedWatcher::new(forward, config)?;
        let unwatched = (0..scope.watches().len()).collect();
        let mut watcher = Self {
            scope,
            database,
            queue,
            debounce,
            scans,
            inotify,
            events,
            overflowed,
            unwatched,
        };
        watcher.watch_the_unwatched();
        Ok(watcher)
    }

    /// Forwards events until `stop` is raised.
    pub fn run(mut self, stop: &Stop) {
        let mut due = None;
        loop {
            let retry = if self.unwatched.is_empty() {
                due = None;
                crossbeam_channel::never()
            } else {
                // Kept from turn to turn: events from elsewhere must not put it off.
                let due = due.get_or_insert_with(|| clock::monotonic() + REWATCH_INTERVAL);
                crossbeam_channel::at(*due)
            };
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(self.events) -> event => {
                    let Ok(event) = event else { return };
                    self.take_batch(event);
                }
                recv(retry) -> _ => {
                    due = None;
                    if self.watch_the_unwatched() {
                        self.request(ScanRequest::Everything { cause: "a folder is watched again" });
                    }
                }
            }
        }
    }

    /// Tries to watch what is not watched. Returns whether something may have happened unheard that
    /// a scan can find.
    fn watch_the_unwatched(&mut self) -> bool {
        let mut missed = false;
        for index in std::mem::take(&mut self.unwatched) {
            let watch = &self.scope.watches()[index];
            let mode = if watch.recursive {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            // What is watched in part would be left as it is, with its gaps.
            missed |= self.inotify.unwatch(&watch.local_path).is_ok();
            match self.inotify.watch(&watch.local_path, mode) {
                Ok(()) => {
                    missed = true;
                    log::info!("watching {:?}", watch.local_path);
                }
                Err(error) => {
                    log::warn!(
                        "cannot watch {:?}: {}; it is scanned at intervals and watched as soon as \
                         that works",
                        watch.local_path,
                        explain(&error)
                    );
                    self.unwatched.push(index);
                }
            }
        }
        missed
    }

    /// Handles one event and all that came with it, each path once.
    fn take_batch(&mut self, first: notify::Result<Event>) {
        let mut batch = Batch::default();
        batch.add(first);
        for event in self.events.try_iter().take(WATCH_EVENTS_MAX) {
            batch.add(event);
        }
        if self.overflowed.swap(false, Ordering::SeqCst) {
            batch.rescan = Some("events came faster than they could be taken");
        }
        if batch.rewatch {
            // Among what was lost may be a new folder, of which nothing more would ever be heard.
            self.unwatched = self.all_watches();
            self.watch_the_unwatched();
        } else if batch.incomplete {
            // As soon as there is room again, which takes an operator.
            self.unwatched = self.all_watches();
        }
        if !batch.folders.is_empty() {
            // The thread that sets the watches answers this after it has set those of the new
            // folders. Only then may they be scanned: a file made between a scan and its watch
            // would be seen by neither.
            if let Err(error) = self.inotify.watched_paths() {
                log::error!("the watches do not answer: {error}");
                batch.rescan = Some("the watches do not answer");
            }
        }
        for folder in batch.folders.into_iter().filter(|folder| self.scope.enters(folder)) {
            self.request(ScanRequest::Folder(folder));
        }
        for path in batch.paths {
            self.take_path(&path, &mut batch.rescan);
        }
        for path in batch.removed {
            self.take_removed(&path);
        }
        if let Some(cause) = batch.rescan {
            self.request(ScanRequest::Everything { cause });
        }
    }

    fn all_watches(&self) -> Vec<usize> {
        (0..self.scope.watches().len()).collect()
    }

    fn take_path(&self, path: &Path, rescan: &mut Option<&'static str>) {
        let place = self.scope.place(path);
        if matches!(place, Place::Outside | Place::Excluded) {
            return;
        }
        let sighting = match disk::look(path) {
            Ok(Some(sighting)) => sighting,
            Ok(None) => return,
            Err(error) => {
                log::warn!("not backed up: {path:?}: {error}; hint: let this user read it");
                return;
            }
        };
        if let Place::Unnameable(error) = place {
            if let Err(error) = parking::park_unnameable(&self.database, path, error) {
                log::error!("{error}");
            }
            return;
        }
        let due = sighting.at + self.debounce;
        if self.queue.push(Task::new(path, Some(sighting)), due) == Pushed::Full {
            *rescan = Some("the queue is full");
        }
    }

    /// A watched folder itself is gone: its watch is dead even if a folder of its name comes back.
    fn take_removed(&mut self, path: &Path) {
        let roots = self.scope.watches().iter();
        let Some(index) = roots.clone().position(|watch| watch.local_path == path) else { return };
        if !self.unwatched.contains(&index) {
            log::error!("not backed up: watched folder {path:?} is gone; it is looked for again");
            // May be unknown by now, which is what is wanted.
            let _ = self.inotify.unwatch(path);
            self.unwatched.push(index);
        }
    }

    fn request(&self, request: ScanRequest) {
        // Only if tens of thousands of requests wait already; the next scan of everything covers it.
        if let Err(TrySendError::Full(request)) = self.scans.try_send(request) {
            log::error!("the scanner does not keep up: {request:?} is left to the next scan");
        }
    }
}

/// What a number of events say, each path once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Batch {
    paths: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    removed: BTreeSet<PathBuf>,
    rescan: Option<&'static str>,
    /// Folders may have appeared that are not watched.
    rewatch: bool,
    /// Folders have appeared that cannot be watched for want of watches.
    incomplete: bool,
}

impl Batch {
    fn add(&mut self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                log::warn!("a watch failed, everything is scanned: {}", explain(&error));
                self.rescan = Some("a watch failed");
                self.incomplete |= matches!(error.kind, ErrorKind::MaxFilesWatch);
                return;
            }
        };
        if event.need_rescan() {
            self.rescan = Some("the kernel lost events");
            self.rewatch = true;
        }
        match event.kind {
            EventKind::Create(CreateKind::Folder) => self.folders.extend(event.paths),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                for path in event.paths {
                    // A folder that was moved in brings files without an event of their own.
                    let folder = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
                    if folder {
                        self.folders.insert(path)
                    } else {
                        self.paths.insert(path)
                    };
                }
            }
            EventKind::Remove(RemoveKind::Folder)
            | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                self.removed.extend(event.paths);
            }
            // `Both` repeats a `From` and a `To` that came before it.
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {}
            _ => self.paths.extend(event.paths),
        }
    }
}

fn explain(error: &notify::Error) -> String {
    let paths: Vec<String> = error.paths.iter().map(|path| format!("{path:?}")).collect();
    let paths = if paths.is_empty() { String::new() } else { format!(" ({})", paths.join(", ")) };
    match &error.kind {
        ErrorKind::MaxFilesWatch => format!(
            "no inotify watches are left{paths}; hint: one is needed for each folder; raise \
             fs.inotify.max_user_watches: sysctl fs.inotify.max_user_watches=1048576"
        ),
        ErrorKind::Io(error) => format!("{error}{paths}"),
        kind => format!("{kind:?}{paths}"),
    }
}

/// The moment a file must have been touched after to be new to a watch that begins now, in
/// nanoseconds since 1970. Files are stamped by a clock that lags up to one step behind.
pub fn baseline_now() -> i64 {
    let step = i64::try_from(crate::limits::FILE_CLOCK_STEP.as_nanos()).unwrap_or(i64::MAX);
    clock::unix_nanos() - step
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{Flag, MetadataKind};

    fn batch(events: Vec<notify::Result<Event>>) -> Batch {
        let mut batch = Batch::default();
        events.into_iter().for_each(|event| batch.add(event));
        batch
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[test]
    fn a_path_with_many_events_is_looked_at_once() {
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let created = EventKind::Create(CreateKind::File);
        let got = batch(vec![event(created, "/a"), event(touched, "/a"), event(touched, "/b")]);
        assert_eq!(got.paths, BTreeSet::from(["/a".into(), "/b".into()]));
        assert_eq!((got.folders.len(), got.removed.len(), got.rescan), (0, 0, None));
    }

    #[test]
    fn an_overflow_has_no_path_and_asks_for_new_watches_and_a_scan_of_everything() {
        let got = batch(vec![Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))]);
        let rescan = Some("the kernel lost events");
        assert_eq!(got, Batch { rescan, rewatch: true, ..Batch::default() });
    }

    #[test]
    fn a_watch_error_asks_for_a_scan_and_names_the_remedy() {
        let limit = || notify::Error::new(ErrorKind::MaxFilesWatch).add_path("/a".into());
        assert!(explain(&limit()).contains("fs.inotify.max_user_watches=1048576"));
        let got = batch(vec![Err(limit())]);
        assert_eq!(
            got,
            Batch { rescan: Some("a watch failed"), incomplete: true, ..Batch::default() }
        );
    }

    #[test]
    fn a_folder_moved_in_is_scanned_and_a_file_moved_in_is_queued() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let got = batch(vec![
            event(moved, folder.path().to_str().unwrap()),
            event(moved, file.to_str().unwrap()),
        ]);
        assert_eq!(got.folders, BTreeSet::from([folder.path().to_owned()]));
        assert_eq!(got.paths, BTreeSet::from([file]));
    }
}
