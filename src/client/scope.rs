//! What belongs to the backup, and what it is called there: the one answer for everybody.
//!
//! Pure: it looks at names only, never at the disk. It is asked for every file of a scan, so it
//! compares bytes and builds nothing but the remote path. Paths are as the walk and the watches make
//! them: a watch's folder, and names joined to it.

use crate::client::config::Watch;
use crate::remote_path::{PathError, RemotePath};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What stands behind the name of the database in the names of the client's other files beside it.
const OWN_SUFFIXES: [&[u8]; 7] =
    [b"", b"-wal", b"-shm", b"-journal", b".lock", b".sock", b".damaged"];

/// What stands there in the names of damaged databases that were set aside, and before a time.
const SET_ASIDE: &[u8] = b".corrupt-";

/// Which local paths belong to the backup, and under which remote names.
#[derive(Clone, Debug)]
pub struct Scope {
    watches: Vec<Watch>,
    database: PathBuf,
}

/// Where a file stands to the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'s> {
    /// In no watched folder, or one of the client's own files.
    Outside,
    /// In a watched folder, and left out by its patterns.
    Excluded,
    /// It belongs to the backup, but its name cannot be stored.
    Unnameable(PathError),
    /// It belongs to the backup.
    File {
        /// The position of its watch in [`Scope::watches`].
        index: usize,
        /// Its watch.
        watch: &'s Watch,
        /// What it is called in this client's part of the bucket.
        remote_path: RemotePath,
    },
}

impl Scope {
    /// The scope of `watches`, without the client's own files at and beside `database`, which change
    /// with every upload.
    pub fn new(watches: Vec<Watch>, database: &Path) -> Self {
        Self { watches, database: database.to_owned() }
    }

    /// All watches.
    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// Where the file at `path` stands to the backup.
    pub fn place(&self, path: &Path) -> Place<'_> {
        let lies_in = |watch: &Watch, relative: &[u8]| {
            !relative.is_empty() && (watch.recursive || !relative.contains(&b'/'))
        };
        let Some((index, watch, relative)) = self.find(path, lies_in) else {
            return Place::Outside;
        };
        if self.is_own(path) {
            return Place::Outside;
        }
        if !watch.filter.takes(as_path(relative)) {
            return Place::Excluded;
        }
        let named = std::str::from_utf8(relative).map_err(|_| PathError::NotUtf8);
        match named.and_then(|relative| watch.remote_prefix.join(relative)) {
            Ok(remote_path) => Place::File { index, watch, remote_path },
            Err(error) => Place::Unnameable(error),
        }
    }

    /// The watch that the files in the folder at `path` belong to, with its position in
    /// [`Scope::watches`]; `None` if none of them can belong to the backup.
    pub fn folder(&self, path: &Path) -> Option<(usize, &Watch)> {
        let lies_in = |watch: &Watch, relative: &[u8]| relative.is_empty() || watch.recursive;
        let (index, watch, relative) = self.find(path, lies_in)?;
        (relative.is_empty() || watch.filter.enters(as_path(relative))).then_some((index, watch))
    }

    /// Whether files in the folder at `path` can belong to the backup, so that a walk has to enter it.
    pub fn enters(&self, path: &Path) -> bool {
        self.folder(path).is_some()
    }

    /// The watch in which `path` lies as `lies_in` means it, and the path below the watch's folder.
    /// There is one at most: watches do not overlap.
    fn find<'p>(
        &self,
        path: &'p Path,
        lies_in: impl Fn(&Watch, &[u8]) -> bool,
    ) -> Option<(usize, &Watch, &'p [u8])> {
        self.watches.iter().enumerate().find_map(|(index, watch)| {
            let relative = below(path, &watch.local_path)?;
            lies_in(watch, relative).then_some((index, watch, relative))
        })
    }

    fn is_own(&self, path: &Path) -> bool {
        let own = self.database.as_os_str().as_bytes();
        let suffix = path.as_os_str().as_bytes().strip_prefix(own);
        suffix.is_some_and(|suffix| OWN_SUFFIXES.contains(&suffix) || suffix.starts_with(SET_ASIDE))
    }
}

/// `path` without `folder` and the slash behind it. `/data/up` is not around `/data/up2/x`.
fn below<'p>(path: &'p Path, folder: &Path) -> Option<&'p [u8]> {
    let rest = path.as_os_str().as_bytes().strip_prefix(folder.as_os_str().as_bytes())?;
    match rest.split_first() {
        None => Some(rest),
        Some((b'/', relative)) => Some(relative),
        // The root is its own slash.
        Some(_) => folder.as_os_str().as_bytes().ends_with(b"/").then_some(rest),
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::filter::{Filter, Pattern, Patterns};
    use crate::remote_path::RemotePrefix;

    fn watch(local: &str, remote: &str, recursive: bool, exclude: &[&str]) -> Watch {
        let patterns = |texts: &[&str]| {
            let texts = texts.iter().map(|text| Pattern::parse(text).unwrap());
            Patterns::new(texts.collect()).unwrap()
        };
        Watch {
            local_path: local.into(),
            remote_prefix: RemotePrefix::parse(remote).unwrap(),
            recursive,
            filter: Filter { exclude: patterns(exclude), include: patterns(&[]) },
            max_file_size: None,
        }
    }

    fn scope() -> Scope {
        let watches = vec![
            watch("/data/up", "uploads/", true, &["*.tmp", "cache/"]),
            watch("/flat", "", false, &[]),
            watch("/flat/sub", "sub/", true, &[]),
        ];
        Scope::new(watches, Path::new("/data/up/client.db"))
    }

    /// What is said of a file: its watch and its remote path, or why it has none.
    fn said(scope: &Scope, path: &[u8]) -> String {
        match scope.place(as_path(path)) {
            Place::Outside => "outside".into(),
            Place::Excluded => "excluded".into(),
            Place::Unnameable(error) => error.to_string(),
            Place::File { index, watch, remote_path } => {
                assert_eq!(watch, &scope.watches()[index]);
                format!("{index}: {remote_path}")
            }
        }
    }

    fn check(path: &str, expected: &str) {
        assert_eq!(said(&scope(), path.as_bytes()), expected, "{path}");
    }

    #[test]
    fn a_file_is_named_by_its_watch_and_its_place_in_it() {
        check("/data/up/a.png", "0: uploads/a.png");
        check("/data/up/users/1/ä b.png", "0: uploads/users/1/ä b.png");
        check("/flat/x", "1: x");
        check("/flat/sub/x", "2: sub/x");
        check("/flat/sub/x/y", "2: sub/x/y");
    }

    #[test]
    fn what_lies_outside_is_not_backed_up() {
        for path in ["/data/up", "/data/up2/x", "/data", "/etc/passwd", "/flat/sub2/x", "x", ""] {
            check(path, "outside");
        }
    }

    #[test]
    fn what_the_patterns_leave_out_is_excluded_whatever_its_name() {
        check("/data/up/a.tmp", "excluded");
        check("/data/up/users/cache/a", "excluded");
        check("/data/up/users/cache", "0: uploads/users/cache");
        check("/data/up/back\\slash.tmp", "excluded");
        check("/flat/a.tmp", "1: a.tmp");
    }

    #[test]
    fn the_clients_own_files_are_not_backed_up() {
        let aside = ".corrupt-20261128T134501Z-wal";
        for suffix in ["", "-wal", "-shm", "-journal", ".lock", ".sock", ".damaged", aside] {
            check(&format!("/data/up/client.db{suffix}"), "outside");
        }
        check("/data/up/client.db.bak", "0: uploads/client.db.bak");
        check("/data/up/sub/client.db", "0: uploads/sub/client.db");
    }

    #[test]
    fn a_name_that_cannot_be_stored_is_an_error_and_not_skipped() {
        let scope = scope();
        for (path, error) in [
            (b"/data/up/\xff.png".as_slice(), PathError::NotUtf8),
            (b"/data/up/a\nb", PathError::ControlCharacter),
            (b"/data/up/a\\b", PathError::Backslash),
        ] {
            assert_eq!(said(&scope, path), error.to_string());
        }
    }

    #[test]
    fn a_folder_is_entered_if_a_file_in_it_could_belong() {
        let scope = scope();
        for (path, expected) in [
            ("/data/up", Some(0)),
            ("/data/up/users", Some(0)),
            ("/data/up/users/cache", None),
            ("/data/up/users/cache/deep", None),
            ("/data/up/folder.tmp", None),
            ("/data", None),
            ("/flat", Some(1)),
            ("/flat/else", None),
            ("/flat/sub", Some(2)),
            ("/flat/sub/deep", Some(2)),
        ] {
            let path = Path::new(path);
            assert_eq!(scope.folder(path).map(|(index, _)| index), expected, "{path:?}");
            assert_eq!(scope.enters(path), expected.is_some(), "{path:?}");
        }
    }

    #[test]
    fn the_root_of_all_can_be_watched() {
        let scope = Scope::new(vec![watch("/", "", true, &[])], Path::new("/d/client.db"));
        assert_eq!(said(&scope, b"/etc/passwd"), "0: etc/passwd");
        assert_eq!(said(&scope, b"/"), "outside");
        assert_eq!(said(&scope, b"/d/client.db-wal"), "outside");
        assert!(scope.enters(Path::new("/")) && scope.enters(Path::new("/etc")));
    }
}
