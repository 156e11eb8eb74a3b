//! Hears of changes from the kernel and queues the files they concern.
//!
//! Runs on its own thread; `notify` has another one whose callback only forwards. It owns the
//! inotify watches. Events are hints: whatever is lost here (an overflow, a watch that could not be
//! set) is found by a scan, so every loss becomes a request to the scanner and never a guess.

use crate::client::disk::LocalDisk;
use crate::client::hints::{Batch, Hints};
use crate::client::progress::Progress;
use crate::client::rewatch::{Lack, Rewatch};
use crate::client::scanner::ScanRequest;
use crate::client::watch_limit;
use crate::clock::{self, SystemClock};
use crate::limits::WATCH_EVENTS_MAX;
use crate::threads::Stop;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use notify::event::{CreateKind, EventKindMask, ModifyKind, RemoveKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The watcher; see the module's head.
pub struct Watcher {
    hints: Hints<LocalDisk, SystemClock>,
    scans: Sender<ScanRequest>,
    inotify: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    overflowed: Arc<AtomicBool>,
    rewatch: Rewatch,
    /// Which folder stood at each watch's path when it was watched.
    roots: Vec<Option<FolderId>>,
    /// How often that is looked at.
    interval: Duration,
    progress: Arc<Progress>,
}

/// Device and inode of a folder.
type FolderId = (u64, u64);

impl Watcher {
    /// Sets the watches. Every `interval`, the time between two scans of everything, it is seen whether
    /// they are still on the folders that are meant. A folder that cannot be watched is reported, left to the scans and tried
    /// again later; an error means that this machine has no inotify to offer at all.
    pub fn start(
        hints: Hints<LocalDisk, SystemClock>,
        scans: Sender<ScanRequest>,
        interval: Duration,
        progress: Arc<Progress>,
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
        let rewatch = Rewatch::default();
        let roots = vec![None; hints.scope.watches().len()];
        let mut watcher =
            Self { hints, scans, inotify, events, overflowed, rewatch, roots, interval, progress };
        for index in watcher.all_watches() {
            watcher.watch(index);
        }
        Ok(watcher)
    }

    /// Forwards events until `stop` is raised.
    pub fn run(mut self, stop: &Stop) {
        let looks = crossbeam_channel::tick(self.interval);
        loop {
            let retry =
                self.rewatch.next().map_or_else(crossbeam_channel::never, crossbeam_channel::at);
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(self.events) -> event => {
                    let Ok(event) = event else { return };
                    self.take_batch(event);
                }
                recv(retry) -> _ => self.close_gaps(),
                recv(looks) -> _ => self.look_at_roots(),
            }
        }
    }

    /// Sees whether each watched folder is still the one that is watched. No event tells of it when
    /// a link to it is switched, as deployments do, or a folder above it is renamed. As often as all is
    /// scanned, and no more often: at rest the client does nothing.
    fn look_at_roots(&mut self) {
        let mut missed = false;
        for index in self.all_watches() {
            let path = self.hints.scope.watches()[index].local_path.clone();
            let now = folder_at(&path);
            if self.roots[index].is_none() || now == self.roots[index] {
                continue;
            }
            if now.is_none() {
                self.take_removed(&path);
            } else {
                missed |= self.watch(index);
            }
        }
        if missed {
            self.request(ScanRequest::Everything { cause: "a watched folder is another one" });
        }
    }

    /// Tries again to watch what is not watched. All is scanned then: nobody knows what happened
    /// there unheard.
    fn close_gaps(&mut self) {
        let mut missed = false;
        for index in self.rewatch.due(clock::monotonic()) {
            missed |= self.watch(index);
        }
        if missed {
            self.request(ScanRequest::Everything { cause: "a folder is watched again" });
        }
    }

    /// Watches one of the folders anew. Returns whether something may have happened unheard that a
    /// scan can find.
    fn watch(&mut self, index: usize) -> bool {
        let watch = &self.hints.scope.watches()[index];
        let path = &watch.local_path;
        let mode =
            if watch.recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        // Before it is watched: should it be replaced in between, the next look sees that.
        self.roots[index] = folder_at(path);
        // What is watched in part would be left as it is, with its gaps.
        let missed = self.inotify.unwatch(path).is_ok();
        match self.inotify.watch(path, mode) {
            Ok(()) => {
                self.rewatch.mended(index);
                self.progress.watched(path);
                log::info!("watching {path:?}");
                true
            }
            Err(error) => {
                let lack = lack_of(&error);
                if self.rewatch.failed(index, lack, clock::monotonic()) {
                    let why = self.explain(&error);
                    log::warn!(
                        "cannot watch all of {path:?}: {why}; it is scanned at intervals and watched \
                         as soon as that works"
                    );
                    self.progress.unwatched(path, why);
                }
                missed
            }
        }
    }

    /// Handles one event and all that came with it, each path once.
    fn take_batch(&mut self, first: notify::Result<Event>) {
        let mut heard = Heard::default();
        let more = self.events.try_iter().take(WATCH_EVENTS_MAX);
        let events = std::iter::once(first).chain(more);
        let failures: Vec<_> = events.filter_map(|event| heard.add(event).err()).collect();
        let Heard { mut batch, rewatch } = heard;
        for failure in failures {
            if self.take_failure(&failure) {
                batch.rescan = Some("a watch failed");
            }
        }
        if self.overflowed.swap(false, Ordering::SeqCst) {
            batch.rescan = Some("events came faster than they could be taken");
        }
        if rewatch {
            // Among what was lost may be a new folder, of which nothing more would ever be heard.
            for index in self.all_watches() {
                self.watch(index);
            }
        }
        if !(batch.folders.is_empty() && batch.moved_in.is_empty()) {
            // The thread that sets the watches answers this after it has set those of the new
            // folders. Only then may they be scanned: a file made between a scan and its watch
            // would be seen by neither.
            if let Err(error) = self.inotify.watched_paths() {
                log::error!("the watches do not answer: {error}");
                batch.rescan = Some("the watches do not answer");
            }
        }
        for index in self.hints.opened(&batch.paths) {
            self.watch(index);
            batch.rescan = Some("a folder has become readable");
        }
        for path in std::mem::take(&mut batch.removed) {
            self.take_removed(&path);
        }
        for request in self.hints.take(batch) {
            self.request(request);
        }
    }

    fn all_watches(&self) -> std::ops::Range<usize> {
        0..self.hints.scope.watches().len()
    }

    /// Some part of some watch could not be set. Returns whether that is news that asks for a scan.
    fn take_failure(&mut self, error: &notify::Error) -> bool {
        if let ErrorKind::Io(cause) = &error.kind
            && cause.kind() == std::io::ErrorKind::PermissionDenied
        {
            error.paths.iter().for_each(|path| self.hints.denied.note(path));
        }
        let mut news = true;
        if lack_of(error) == Lack::Watches {
            // For which of them, the error may not say. They are all tried again, and scanned then.
            // Until that works, each new folder fails so, and is scanned by itself.
            let now = clock::monotonic();
            news = false;
            for index in self.all_watches() {
                if self.rewatch.found(index, Lack::Watches, now) {
                    news = true;
                    let path = &self.hints.scope.watches()[index].local_path;
                    self.progress.unwatched(path, "no inotify watches are left".to_owned());
                }
            }
        }
        if news {
            log::warn!("a watch failed, everything is scanned: {}", self.explain(error));
        }
        news
    }

    /// A watched folder itself is gone: its watch is dead even if a folder of its name comes back.
    fn take_removed(&mut self, path: &Path) {
        let mut watches = self.hints.scope.watches().iter();
        let Some(index) = watches.position(|watch| watch.local_path == path) else { return };
        // May be unknown by now, which is what is wanted.
        let _ = self.inotify.unwatch(path);
        self.roots[index] = None;
        if self.rewatch.failed(index, Lack::Folder, clock::monotonic()) {
            log::error!("not backed up: watched folder {path:?} is gone; it is looked for again");
            self.progress.unwatched(path, "it is gone; it is looked for again".to_owned());
        }
    }

    fn request(&self, request: ScanRequest) {
        // Only if tens of thousands of requests wait already; the next scan of everything covers it.
        if let Err(TrySendError::Full(request)) = self.scans.try_send(request) {
            log::error!("the scanner does not keep up: {request:?} is left to the next scan");
        }
    }

    fn explain(&self, error: &notify::Error) -> String {
        match &error.kind {
            ErrorKind::MaxFilesWatch => format!(
                "no inotify watches are left{}: {}",
                paths_of(error),
                watch_limit::advice(watch_limit::needed(&self.hints.scope), watch_limit::allowed())
            ),
            ErrorKind::Io(cause) => format!("{cause}{}", paths_of(error)),
            ErrorKind::PathNotFound => format!("it is not there{}", paths_of(error)),
            kind => format!("{kind:?}{}", paths_of(error)),
        }
    }
}

/// Which folder stands at a path, links followed.
fn folder_at(path: &Path) -> Option<FolderId> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
    Some((metadata.dev(), metadata.ino()))
}

fn lack_of(error: &notify::Error) -> Lack {
    match error.kind {
        ErrorKind::MaxFilesWatch => Lack::Watches,
        _ => Lack::Folder,
    }
}

fn paths_of(error: &notify::Error) -> String {
    let paths: Vec<String> = error.paths.iter().map(|path| format!("{path:?}")).collect();
    if paths.is_empty() { String::new() } else { format!(" ({})", paths.join(", ")) }
}

/// Events on their way to a [`Batch`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    batch: Batch,
    /// Folders may have appeared that are not watched.
    rewatch: bool,
}

impl Heard {
    /// Takes an event in, or gives back why there was none.
    fn add(&mut self, event: notify::Result<Event>) -> notify::Result<()> {
        let batch = &mut self.batch;
        let event = event?;
        if event.need_rescan() {
            batch.rescan = Some("the kernel lost events");
            self.rewatch = true;
        }
        match event.kind {
            EventKind::Create(CreateKind::Folder) => batch.folders.extend(event.paths),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                batch.moved_in.extend(event.paths);
            }
            EventKind::Remove(RemoveKind::Other) => {
                // A file system was taken away, and what stood below it has come to light.
                batch.removed.extend(event.paths);
                batch.rescan = Some("a file system was unmounted");
            }
            EventKind::Remove(RemoveKind::Folder)
            | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                batch.removed.extend(event.paths);
            }
            // `Both` repeats a `From` and a `To` that came before it.
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {}
            _ => batch.paths.extend(event.paths),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{Flag, MetadataKind};
    use std::collections::BTreeSet;

    /// What is heard of these events, and how many of them were errors.
    fn heard(events: Vec<notify::Result<Event>>) -> (Heard, usize) {
        let mut heard = Heard::default();
        let errors = events.into_iter().filter_map(|event| heard.add(event).err()).count();
        (heard, errors)
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[track_caller]
    fn check(kind: EventKind, expected: Batch) {
        let (heard, errors) = heard(vec![event(kind, "/a")]);
        assert_eq!((heard, errors), (Heard { batch: expected, rewatch: false }, 0), "{kind:?}");
    }

    #[test]
    fn each_kind_of_event_asks_for_what_it_may_mean() {
        let a = || BTreeSet::from(["/a".into()]);
        let none = Batch::default;
        check(EventKind::Create(CreateKind::Folder), Batch { folders: a(), ..none() });
        check(EventKind::Create(CreateKind::File), Batch { paths: a(), ..none() });
        let moved = |mode| EventKind::Modify(ModifyKind::Name(mode));
        check(moved(RenameMode::To), Batch { moved_in: a(), ..none() });
        check(moved(RenameMode::From), Batch { removed: a(), ..none() });
        check(moved(RenameMode::Both), none());
        check(EventKind::Remove(RemoveKind::File), none());
        check(EventKind::Remove(RemoveKind::Folder), Batch { removed: a(), ..none() });
        let rescan = Some("a file system was unmounted");
        check(EventKind::Remove(RemoveKind::Other), Batch { removed: a(), rescan, ..none() });
    }

    #[test]
    fn a_path_with_many_events_is_looked_at_once() {
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let created = EventKind::Create(CreateKind::File);
        let events = vec![event(created, "/a"), event(touched, "/a"), event(touched, "/b")];
        let (heard, _) = heard(events);
        assert_eq!(heard.batch.paths, BTreeSet::from(["/a".into(), "/b".into()]));
    }

    #[test]
    fn an_overflow_has_no_path_and_asks_for_new_watches_and_a_scan_of_everything() {
        let (got, _) = heard(vec![Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))]);
        let batch = Batch { rescan: Some("the kernel lost events"), ..Batch::default() };
        assert_eq!(got, Heard { batch, rewatch: true });
    }

    #[test]
    fn a_watch_error_is_handed_out_with_what_is_lacking() {
        let limit = notify::Error::new(ErrorKind::MaxFilesWatch).add_path("/a".into());
        assert_eq!(lack_of(&limit), Lack::Watches);
        let (got, errors) = heard(vec![Err(limit)]);
        assert_eq!((got, errors), (Heard::default(), 1));
    }
}
