//! From a local path to the remote path it is backed up as.
//!
//! Pure: it looks at names only, never at the disk.

use crate::client::config::Watch;
use crate::remote_path::{PathError, RemotePath};
use std::path::{Path, PathBuf};

/// Which local paths belong to the backup, and under which remote names.
#[derive(Clone, Debug)]
pub struct Scope {
    watches: Vec<Watch>,
    own_files: Vec<PathBuf>,
}

impl Scope {
    /// The scope of `watches`, without the client's own database, which changes with every upload.
    pub fn new(watches: Vec<Watch>, database: &Path) -> Self {
        let with_suffix = |suffix: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let own_files = ["", "-wal", "-shm", "-journal"].map(with_suffix).to_vec();
        Self { watches, own_files }
    }

    /// All watches.
    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// The watch a path lies in, if any.
    pub fn watch_of(&self, path: &Path) -> Option<&Watch> {
        self.index_of(path).and_then(|index| self.watches.get(index))
    }

    /// The place of the watch that a path lies in, if any.
    pub fn index_of(&self, path: &Path) -> Option<usize> {
        self.watches.iter().position(|watch| {
            // By components: `/data/up` is not around `/data/up2/x`.
            path.strip_prefix(&watch.local_path).is_ok_and(|relative| {
                let depth = relative.components().count();
                depth > 0 && (watch.recursive || depth == 1)
            })
        })
    }

    /// What the file at `path` is called in the bucket; `None` if it is not backed up, an error if
    /// it should be and has a name that cannot.
    pub fn remote_path(&self, path: &Path) -> Option<Result<RemotePath, PathError>> {
        if self.own_files.iter().any(|own| own == path) {
            return None;
        }
        let watch = self.watch_of(path)?;
        let relative = path.strip_prefix(&watch.local_path).ok()?;
        Some(match relative.to_str() {
            Some(relative) => watch.remote_prefix.join(relative),
            None => Err(PathError::NotUtf8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_path::RemotePrefix;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn scope() -> Scope {
        let watch = |local: &str, remote: &str, recursive| Watch {
            local_path: local.into(),
            remote_prefix: RemotePrefix::parse(remote).unwrap(),
            recursive,
        };
        let watches = vec![watch("/data/up", "uploads/", true), watch("/flat", "", false)];
        Scope::new(watches, Path::new("/data/up/client.db"))
    }

    fn check(path: &str, expected: Option<&str>) {
        let remote = scope().remote_path(Path::new(path));
        assert_eq!(remote.map(|remote| remote.unwrap().to_string()).as_deref(), expected, "{path}");
    }

    #[test]
    fn a_file_is_named_by_its_watch_and_its_place_in_it() {
        check("/data/up/a.png", Some("uploads/a.png"));
        check("/data/up/users/1/ä b.png", Some("uploads/users/1/ä b.png"));
        check("/flat/x", Some("x"));
    }

    #[test]
    fn what_lies_outside_is_not_backed_up() {
        for path in ["/data/up", "/data/up2/x", "/data", "/etc/passwd", "/flat/sub/x"] {
            check(path, None);
        }
    }

    #[test]
    fn the_clients_own_database_is_not_backed_up() {
        check("/data/up/client.db", None);
        check("/data/up/client.db-wal", None);
        check("/data/up/client.db.bak", Some("uploads/client.db.bak"));
    }

    #[test]
    fn a_name_that_cannot_be_stored_is_an_error_and_not_skipped() {
        let scope = scope();
        let error = |bytes: &[u8]| scope.remote_path(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(error(b"/data/up/\xff.png"), Some(Err(PathError::NotUtf8)));
        assert_eq!(error(b"/data/up/a\nb"), Some(Err(PathError::ControlCharacter)));
        assert_eq!(error(b"/data/up/a\\b"), Some(Err(PathError::Backslash)));
    }
}
