//! What the kernel says has happened, and what to look at because of it.
//!
//! Used by the watcher thread. Nothing here knows inotify or `notify`'s watches; a simulation hands in
//! batches of its own. Hints may be wrong, doubled or missing: each becomes a look at the disk or a
//! scan, never a conclusion.

use crate::client::database::Database;
use crate::client::denied::Denied;
use crate::client::disk::Disk;
use crate::client::parking;
use crate::client::queue::{Pushed, SharedQueue, Task};
use crate::client::scanner::ScanRequest;
use crate::client::scope::{Place, Scope};
use crate::client::stability::Sighting;
use crate::clock::Clock;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a number of hints say, each path once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Something happened to what stands here.
    pub paths: BTreeSet<PathBuf>,
    /// A folder appeared here, with what is in it.
    pub folders: BTreeSet<PathBuf>,
    /// Something was moved here: a file, or a folder with what is in it.
    pub moved_in: BTreeSet<PathBuf>,
    /// A folder is gone from here.
    pub removed: BTreeSet<PathBuf>,
    /// Hints were lost, and why.
    pub rescan: Option<&'static str>,
}

/// Turns hints into tasks and scans.
pub struct Hints<D, C> {
    /// What belongs to the backup.
    pub scope: Scope,
    /// Where files that cannot be backed up are noted.
    pub database: Arc<Database>,
    /// Where files to look at go.
    pub queue: Arc<SharedQueue>,
    /// Time between the two looks at a file.
    pub debounce: Duration,
    /// What could not be looked at.
    pub denied: Denied,
    /// Where the files are.
    pub disk: D,
    /// What time it is.
    pub clock: C,
}

impl<D: Disk, C: Clock> Hints<D, C> {
    /// Queues the files of a batch. Returns what has to be scanned.
    pub fn take(&mut self, batch: Batch) -> Vec<ScanRequest> {
        let mut folders = batch.folders;
        let mut rescan = batch.rescan;
        for path in batch.moved_in {
            if self.disk.is_folder(&path) {
                // It brings files without a hint of their own.
                folders.insert(path);
            } else {
                self.take_file(&path, &mut rescan);
            }
        }
        for path in batch.paths {
            self.take_file(&path, &mut rescan);
        }
        folders.retain(|folder| self.scope.enters(folder));
        let folders = folders.into_iter().map(ScanRequest::Folder);
        folders.chain(rescan.map(|cause| ScanRequest::Everything { cause })).collect()
    }

    /// The watches of those folders among `paths` of which something has changed and below which
    /// something had been denied. What is in them is heard and seen only from the next scan on.
    pub fn opened(&mut self, paths: &BTreeSet<PathBuf>) -> BTreeSet<usize> {
        let denied = &mut self.denied;
        let opened = paths.iter().filter(|path| denied.changed(path) && self.disk.is_folder(path));
        opened.filter_map(|path| self.scope.folder(path)).map(|(index, _)| index).collect()
    }

    fn take_file(&mut self, path: &Path, rescan: &mut Option<&'static str>) {
        let place = self.scope.place(path);
        if matches!(place, Place::Outside | Place::Excluded) {
            return;
        }
        let at = self.clock.monotonic();
        let fingerprint = match self.disk.look(path) {
            Ok(Some(fingerprint)) => fingerprint,
            Ok(None) => return,
            Err(error) => {
                log::warn!("not backed up: {path:?}: {error}; hint: let this user read it");
                self.denied.note(path);
                return;
            }
        };
        let watch = match place {
            Place::File { index, .. } => index,
            Place::Unnameable(error) => {
                let now = self.clock.unix_seconds();
                if let Err(error) = parking::park_unnameable(&self.database, path, error, now) {
                    log::error!("{error}");
                }
                return;
            }
            Place::Outside | Place::Excluded => return,
        };
        let task = Task::new(path, watch, Some(Sighting { fingerprint, at }), at);
        if self.queue.push(task, at + self.debounce) == Pushed::Full {
            *rescan = Some("the queue is full");
        }
    }
}
