//! What stands between the disk and the watcher: which folders are watched, which hints are on their
//! way, and which get lost.

use super::disk::Hint;
use super::world::World;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the kernel has to tell the watcher.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// The folders whose changes are heard of.
    pub(super) watched: BTreeSet<PathBuf>,
    /// What is to be told.
    pub(super) pending: VecDeque<Hint>,
    /// When it is told; set whenever there is something.
    pub(super) due: Option<Duration>,
    /// What was told last.
    pub(super) told: Vec<Hint>,
    /// The watcher gets no turn before this.
    pub(super) stalled: Duration,
    /// How many of the next hints get lost.
    pub(super) lose: u64,
}

impl World {
    /// Hands hints to the watcher, if it watches the folder they are about.
    pub(super) fn tell(&self, hints: impl IntoIterator<Item = Hint>) {
        let mut kernel = self.kernel.borrow_mut();
        let latency = Duration::from_millis(self.settings.latency_ms);
        for hint in hints {
            let heard = match &hint {
                Hint::Overflow => true,
                Hint::Changed(path)
                | Hint::Made(path)
                | Hint::Removed(path)
                | Hint::From(path)
                | Hint::To(path) => {
                    path.parent().is_some_and(|folder| kernel.watched.contains(folder))
                        || self.is_of_root(&hint) && kernel.watched.contains(path)
                }
            };
            if let Hint::From(path) | Hint::Removed(path) = &hint {
                // What was watched there is watched there no longer.
                kernel.watched.retain(|folder| !folder.starts_with(path));
            }
            // A queue that has overflowed takes nothing until it is read.
            if !heard || kernel.pending.back() == Some(&Hint::Overflow) {
                continue;
            }
            if kernel.lose > 0 && hint != Hint::Overflow && !self.is_of_root(&hint) {
                kernel.lose -= 1;
                self.unheard.set(true);
                continue;
            }
            kernel.pending.push_back(hint);
            kernel.due = kernel.due.or(Some(self.now() + latency));
        }
    }

    /// Watches all folders of a watch that lie at or below `folder`.
    pub(super) fn watch(&self, folder: &Path, recursive: bool) {
        let found = self.disk.borrow().folders(folder);
        let found = found.into_iter().filter(|found| recursive || found == folder);
        self.kernel.borrow_mut().watched.extend(found);
    }

    /// Hears no more of what is at or below `folder`.
    pub(super) fn unwatch(&self, folder: &Path) {
        self.kernel.borrow_mut().watched.retain(|watched| !watched.starts_with(folder));
    }

    /// Whether a hint says that a watched folder itself is gone, which its own watch tells.
    fn is_of_root(&self, hint: &Hint) -> bool {
        let (Hint::Removed(path) | Hint::From(path)) = hint else { return false };
        self.scope.watches().iter().any(|watch| watch.local_path == *path)
    }

    /// Whether what is in the folders below `path` is backed up, and so watched.
    pub(super) fn lies_in_recursive_watch(&self, path: &Path) -> bool {
        let mut watches = self.scope.watches().iter();
        watches.any(|watch| watch.recursive && path.starts_with(&watch.local_path))
    }
}
