//! What could not be looked at or watched for want of rights, until a folder above it changes.
//!
//! Pure. Used by the watcher thread. The kernel reports that a folder's rights were changed, and not
//! what that made readable; and for every copied tree it reports the same of each folder. So only
//! folders below which something was denied are scanned and watched anew.

use crate::limits::watch::DENIED_PATHS_MAX;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The paths that were denied. What does not fit is left to the scans.
#[derive(Debug, Default)]
pub struct Denied {
    paths: BTreeSet<PathBuf>,
}

impl Denied {
    /// Notes that a path could not be looked at or watched.
    pub fn note(&mut self, path: &Path) {
        if self.paths.len() < DENIED_PATHS_MAX {
            self.paths.insert(path.to_owned());
        }
    }

    /// Takes in that something about `folder` changed. Returns whether anything at or below it had
    /// been denied, and forgets that.
    pub fn changed(&mut self, folder: &Path) -> bool {
        let inside = |path: &&PathBuf| path.starts_with(folder);
        // Paths are ordered by their segments, so what lies below a folder follows it at once.
        let below: Vec<PathBuf> =
            self.paths.range(folder.to_owned()..).take_while(inside).cloned().collect();
        for path in &below {
            self.paths.remove(path);
        }
        !below.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_counts_if_something_at_or_below_it_was_denied_and_only_once() {
        let mut denied = Denied::default();
        for path in ["/a/b", "/a/b/c", "/a/b-c", "/d"] {
            denied.note(Path::new(path));
        }
        for (folder, counts) in
            [("/a/b/c/d", false), ("/a/b", true), ("/a/b", false), ("/a", true), ("/a/b-c", false)]
        {
            assert_eq!(denied.changed(Path::new(folder)), counts, "{folder}");
        }
        assert_eq!(denied.paths, BTreeSet::from([PathBuf::from("/d")]));
    }

    #[test]
    fn it_has_a_bound() {
        let mut denied = Denied::default();
        for number in 0..2 * DENIED_PATHS_MAX {
            denied.note(Path::new(&format!("/{number}")));
        }
        assert_eq!(denied.paths.len(), DENIED_PATHS_MAX);
    }
}
