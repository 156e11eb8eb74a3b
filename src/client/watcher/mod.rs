//! Hears of changes from the kernel and queues the files they concern.
//!
//! Runs on its own thread; `notify` has another one whose callback only forwards. It owns the
//! inotify watches. Events are hints: whatever is lost here (an overflow, a watch that could not be
//! set) is found by a scan, so every loss becomes a request to the scanner and never a guess.

mod heard;
mod instance;

use crate::client::disk::LocalDisk;
use crate::client::hints::Hints;
use crate::client::losses::{Loss, Losses};
use crate::client::progress::Progress;
use crate::client::rewatch::{Lack, Rewatch};
use crate::client::scanner::{ScanRequest, Scans};
use crate::client::watch_limit;
use crate::clock::{self, SystemClock};
use crate::limits::WATCH_EVENTS_MAX;
use crate::threads::Stop;
use crossbeam_channel::{Receiver, Sender, TrySendError, select};
use heard::Heard;
use instance::{Ear, Instance};
use notify::{ErrorKind, Event, RecursiveMode, Watcher as _};
use std::convert::Infallible;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The watcher; see the module's head.
pub struct Watcher {
    hints: Hints<LocalDisk, SystemClock>,
    scans: Scans,
    inotify: Instance,
    ear: Ear,
    events: Receiver<notify::Result<Event>>,
    rewatch: Rewatch,
    losses: Losses,
    /// Which folder stood at each watch's path when it was watched.
    roots: Vec<Option<FolderId>>,
    /// How often that is looked at.
    interval: Duration,
    progress: Arc<Progress>,
}

/// Device and inode of a folder.
type FolderId = (u64, u64);

impl Watcher {
    /// One that watches nothing yet. Every `interval`, the time between two scans of everything, it is
    /// seen whether the watches are still on the folders that are meant. An error means that this
    /// machine has no inotify to offer at all.
    pub fn new(
        hints: Hints<LocalDisk, SystemClock>,
        scans: Scans,
        interval: Duration,
        progress: Arc<Progress>,
    ) -> Result<Self, notify::Error> {
        let (ear, events) = Ear::new();
        let inotify = Instance::new(&ear)?;
        let roots = vec![None; hints.scope.watches().len()];
        let (rewatch, losses) = (Rewatch::default(), Losses::default());
        Ok(Self { hints, scans, inotify, ear, events, rewatch, losses, roots, interval, progress })
    }

    /// Sets the watches, drops `setting`, and forwards events until `stop` is raised. A folder that
    /// cannot be watched is reported, left to the scans and tried again later.
    pub fn run(mut self, setting: Sender<Infallible>, stop: &Stop) {
        for index in self.all_watches() {
            // A million folders take their time, and the end does not wait for the rest of them.
            if stop.is_raised() {
                return;
            }
            self.watch(index);
        }
        drop(setting);
        let looks = crossbeam_channel::tick(self.interval);
        loop {
            let at =
                |due: Option<_>| due.map_or_else(crossbeam_channel::never, crossbeam_channel::at);
            let (retry, losses) = (at(self.rewatch.next()), at(self.losses.next()));
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(self.scans.ended) -> ended => {
                    let Ok(()) = ended else { return };
                    self.losses.scanned(clock::monotonic());
                }
                recv(losses) -> _ => self.make_good(),
                recv(self.events) -> event => {
                    let Ok(event) = event else { return };
                    self.take_batch(event);
                }
                // Without it nothing would be heard any more.
                recv(self.inotify.ended) -> _ => return,
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

    fn lost(&mut self, loss: Loss) {
        let now = clock::monotonic();
        if !self.losses.lost(loss, now) {
            return;
        }
        match self.losses.next() {
            Some(due) if due <= now => log::info!("{}: everything is scanned", loss.cause),
            Some(due) => {
                let pause = (due - now).as_secs_f64();
                log::info!("{} again: everything is scanned in {pause:.0} s", loss.cause);
            }
            None => log::info!("{} again: everything is scanned once more", loss.cause),
        }
    }

    /// Makes good what was lost, if it is time.
    fn make_good(&mut self) {
        let Some(loss) = self.losses.take_due(clock::monotonic()) else { return };
        if loss.unwatched {
            self.begin_anew();
            for index in self.all_watches() {
                self.watch(index);
            }
        }
        if !self.request(ScanRequest::Everything { cause: loss.cause }) {
            self.losses.lost(loss, clock::monotonic());
        }
    }

    /// Gives all watches back. The kernel tells of each that is taken off by itself; with more folders
    /// than its queue has room for, that would overflow it again, and so on for ever.
    fn begin_anew(&mut self) {
        match Instance::new(&self.ear) {
            // Its watches have to be free before others are set.
            Ok(instance) => std::mem::replace(&mut self.inotify, instance).end(),
            Err(error) => log::warn!("all is watched anew one by one: {error}"),
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
        let missed = self.inotify.watches.unwatch(path).is_ok();
        match self.inotify.watches.watch(path, mode) {
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
        if self.ear.take_overflow() {
            batch.rescan = Some("events came faster than they could be taken");
        }
        if !(batch.folders.is_empty() && batch.moved_in.is_empty()) {
            // The thread that sets the watches answers this after it has set those of the new
            // folders. Only then may they be scanned: a file made between a scan and its watch
            // would be seen by neither.
            if let Err(error) = self.inotify.watches.watched_paths() {
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
            if let ScanRequest::Everything { cause } = request {
                self.lost(Loss { cause, unwatched: rewatch });
            } else {
                self.request(request);
            }
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
        let _ = self.inotify.watches.unwatch(path);
        self.roots[index] = None;
        if self.rewatch.failed(index, Lack::Folder, clock::monotonic()) {
            log::error!("not backed up: watched folder {path:?} is gone; it is looked for again");
            self.progress.unwatched(path, "it is gone; it is looked for again".to_owned());
        }
    }

    /// Returns whether there was room for it.
    fn request(&self, request: ScanRequest) -> bool {
        let sent = self.scans.requests.try_send(request);
        // Only if tens of thousands of requests wait already; the next scan of everything covers it.
        let Err(TrySendError::Full(request)) = sent else { return true };
        log::error!("the scanner does not keep up: {request:?} is left to the next scan");
        false
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
