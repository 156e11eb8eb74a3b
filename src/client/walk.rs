//! Walks a folder and shows its regular files, and what it leaves out, in the order of their paths'
//! bytes.
//!
//! Runs on whichever thread takes its items. It owns nothing but the listings of the folders between
//! the root and where it stands. It never opens a file and never follows a symbolic link, but the
//! root itself may be one.
//!
//! The order is that in which a database sorts paths, so that both can be read side by side. It is not
//! the order of names folder by folder: `a-b` stands before `a/b`, since `-` sorts before `/`. With a
//! `/` behind the names of folders it is.

use crate::client::fingerprint::Fingerprint;
use std::cmp::Ordering;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// A regular file that a walk came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its path: the root's, and names joined to it.
    pub path: PathBuf,
    /// What it looked like.
    pub fingerprint: Fingerprint,
}

/// Something that a walk goes past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// What it is. A folder's path ends in `/`, so that it has its place in the order.
    pub path: PathBuf,
    /// Why it goes past.
    pub why: Past,
}

/// Why a walk goes past something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// A folder that is not to be entered.
    Closed,
    /// A symbolic link.
    Link,
    /// A FIFO, a socket or a device.
    Special,
}

/// One thing that a walk came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A regular file.
    File(Seen),
    /// Something that it goes past.
    Passed(Passed),
}

/// Something that could not be looked at. The walk goes on behind it.
#[derive(Debug)]
pub struct WalkError {
    /// What it is. A folder's path ends in `/`, so that it has its place in the order before all
    /// that lies in the folder, and is never taken for a file.
    pub path: PathBuf,
    /// The folder, ending in `/`, of whose content something may not have been shown because of it.
    pub blind: PathBuf,
    /// Why.
    pub cause: io::Error,
}

/// The regular files below `root`, those directly in it if not `recursive`, and what is passed. Only
/// folders that `enters` takes are listed. What vanishes while it is looked for is passed over without
/// a word, except the root.
pub fn walk(
    root: &Path,
    recursive: bool,
    enters: impl Fn(&Path) -> bool,
) -> impl Iterator<Item = Result<Step, WalkError>> {
    let depth = if recursive { usize::MAX } else { 1 };
    let walk = WalkDir::new(root).follow_links(false).max_depth(depth).sort_by(by_path);
    let mut entries = walk.into_iter();
    let mut folder = as_folder(root);
    std::iter::from_fn(move || {
        loop {
            match entries.next()? {
                Ok(entry) if entry.depth() == 0 => {
                    // The root may be a link, and is looked at through it.
                    if !entry.path().is_dir() {
                        let cause = ErrorKind::NotADirectory.into();
                        let (path, blind) = (folder.clone(), folder.clone());
                        return Some(Err(WalkError { path, blind, cause }));
                    }
                    if !enters(entry.path()) {
                        return None;
                    }
                }
                Ok(entry) if entry.file_type().is_dir() => {
                    if !recursive {
                        // No question: what is in it belongs to no walk of this root.
                    } else if enters(entry.path()) {
                        folder = as_folder(entry.path());
                    } else {
                        entries.skip_current_dir();
                        return Some(Ok(passed(as_folder(entry.path()), Past::Closed)));
                    }
                }
                Ok(entry) if entry.file_type().is_file() => {
                    if let Some(item) = look(entry) {
                        return Some(item);
                    }
                }
                Ok(entry) => {
                    let link = entry.file_type().is_symlink();
                    let why = if link { Past::Link } else { Past::Special };
                    return Some(Ok(passed(entry.into_path(), why)));
                }
                Err(error) => {
                    if let Some(error) = explain(error, &folder) {
                        return Some(Err(error));
                    }
                }
            }
        }
    })
}

fn passed(path: PathBuf, why: Past) -> Step {
    Step::Passed(Passed { path, why })
}

/// A folder's path with a `/` at its end.
pub fn as_folder(path: &Path) -> PathBuf {
    path.join("")
}

/// Siblings, compared as their whole paths and those of all that lies in them.
fn by_path(left: &DirEntry, right: &DirEntry) -> Ordering {
    let bytes = |entry: &DirEntry, common: usize| -> Option<u8> {
        let slash = entry.file_type().is_dir().then_some(b'/');
        entry.path().as_os_str().as_bytes().get(common).copied().or(slash)
    };
    let (l, r) = (left.path().as_os_str().as_bytes(), right.path().as_os_str().as_bytes());
    let common = l.len().min(r.len());
    let by_common = l[..common].cmp(&r[..common]);
    by_common.then_with(|| bytes(left, common).cmp(&bytes(right, common)))
}

fn look(entry: DirEntry) -> Option<Result<Step, WalkError>> {
    match entry.metadata() {
        // Something else may have taken its name since the folder was read.
        Ok(metadata) => metadata.is_file().then(|| {
            let fingerprint = Fingerprint::of(&metadata);
            Ok(Step::File(Seen { path: entry.into_path(), fingerprint }))
        }),
        Err(error) => {
            let cause = cause(error);
            let path = entry.into_path();
            let blind = as_folder(path.parent().unwrap_or(&path));
            (!is_gone(&cause)).then_some(Err(WalkError { path, blind, cause }))
        }
    }
}

/// `folder` is the one that was entered last. An error without a path is one of reading it; one with
/// its path is one of opening it; any other is of an entry in it, of which not even the kind is known.
fn explain(error: walkdir::Error, folder: &Path) -> Option<WalkError> {
    let path = match error.path() {
        Some(path) if as_folder(path) != folder => path.to_owned(),
        _ => folder.to_owned(),
    };
    let root = error.depth() == 0;
    let cause = cause(error);
    let told = root || !is_gone(&cause);
    told.then(|| WalkError { path, blind: folder.to_owned(), cause })
}

/// What the system answered, without the path that is told beside it.
fn cause(error: walkdir::Error) -> io::Error {
    let other = error.to_string();
    error.into_io_error().unwrap_or_else(|| io::Error::other(other))
}

/// Whether something failed because it is no longer there.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::symlink;

    fn names(root: &Path, recursive: bool, enters: impl Fn(&Path) -> bool) -> Vec<String> {
        let show = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        walk(root, recursive, enters)
            .map(|item| match item {
                Ok(Step::File(seen)) => show(&seen.path),
                Ok(Step::Passed(passed)) => {
                    let mut path = passed.path.into_os_string().into_vec();
                    // Showing a path takes the slash of a folder away.
                    let slash = if path.last() == Some(&b'/') { "/" } else { "" };
                    path.truncate(path.len() - slash.len());
                    let path = show(Path::new(&OsString::from_vec(path)));
                    format!("{path}{slash} {:?}", passed.why)
                }
                Err(error) => format!("{} in {}", error.path.display(), error.blind.display()),
            })
            .collect()
    }

    fn check(make: impl Fn(&Path), recursive: bool, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        assert_eq!(names(folder.path(), recursive, |_| true), expected);
    }

    fn write(root: &Path, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }

    fn write_all(root: &Path, names: &[&str]) {
        names.iter().for_each(|name| write(root, name));
    }

    #[test]
    fn files_come_in_the_order_of_whole_paths() {
        let expected = ["a-b/x", "a.b", "a/-", "a/b/c", "a/b0", "a0", "b"];
        check(
            |root| write_all(root, &["b", "a0", "a/b0", "a/b/c", "a/-", "a.b", "a-b/x"]),
            true,
            &expected,
        );
    }

    #[test]
    fn without_recursion_only_the_root_is_looked_at() {
        check(|root| write_all(root, &["b", "a/x", "c"]), false, &["b", "c"]);
    }

    #[test]
    fn what_is_no_regular_file_is_passed_and_no_link_is_followed() {
        let make = |root: &Path| {
            write_all(root, &["a/x", "b"]);
            symlink("a", root.join("link")).unwrap();
            symlink("b", root.join("other")).unwrap();
            std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        };
        check(make, true, &["a/x", "b", "link Link", "other Link", "socket Special"]);
    }

    #[test]
    fn a_folder_that_is_not_entered_is_passed_in_its_place_with_what_lies_in_it() {
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path(), &["a/x", "skip-x", "skip/x", "skip/y/z", "skip2", "z/skip/x"]);
        let enters = |path: &Path| !path.ends_with("skip");
        assert_eq!(
            names(folder.path(), true, enters),
            ["a/x", "skip-x", "skip/ Closed", "skip2", "z/skip/ Closed"]
        );
        assert_eq!(names(folder.path(), false, enters), ["skip-x", "skip2"]);
        assert!(names(folder.path(), true, |_| false).is_empty());
    }

    #[test]
    fn a_fingerprint_is_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a");
        let path = folder.path().join("a");
        let fingerprint = Fingerprint::of(&std::fs::metadata(&path).unwrap());
        let seen: Vec<_> = walk(folder.path(), true, |_| true).map(Result::unwrap).collect();
        assert_eq!(seen, [Step::File(Seen { path, fingerprint })]);
    }

    #[test]
    fn the_root_may_be_a_link_to_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "releases/7/a");
        let root = folder.path().join("current");
        symlink("releases/7", &root).unwrap();
        assert_eq!(names(&root, true, |_| true), ["a"]);
    }

    #[test]
    fn a_root_that_is_gone_or_no_folder_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let expected = [format!("{0}/ in {0}/", root.display())];
        assert_eq!(names(&root, true, |_| true), expected);
        symlink("nowhere", &root).unwrap();
        assert_eq!(names(&root, true, |_| true), expected);
        std::fs::remove_file(&root).unwrap();
        std::fs::write(&root, "x").unwrap();
        assert_eq!(names(&root, true, |_| true), expected);
    }

    /// Nobody can look into a path that is longer than the system takes, not even root, whom no
    /// permission stops.
    #[test]
    fn a_folder_that_cannot_be_listed_is_an_error_between_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let deep = format!("d/{}", "x".repeat(200));
        write_all(folder.path(), &["a", "e"]);
        let mut at =
            rustix::fs::open(folder.path(), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())
                .unwrap();
        let mut path = folder.path().to_owned();
        let mut name = deep.split('/').next().unwrap();
        while path.as_os_str().len() < 4096 {
            rustix::fs::mkdirat(&at, name, rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::PATH;
            at = rustix::fs::openat(&at, name, flags, rustix::fs::Mode::empty()).unwrap();
            path.push(name);
            name = deep.split('/').next_back().unwrap();
        }
        let items: Vec<_> = walk(folder.path(), true, |_| true).collect();
        let [Ok(Step::File(first)), Err(error), Ok(Step::File(last))] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(
            (first.path.file_name(), last.path.file_name()),
            (Some("a".as_ref()), Some("e".as_ref()))
        );
        assert_eq!((&error.path, &error.blind), (&as_folder(&path), &as_folder(&path)));
        assert_eq!(error.cause.raw_os_error(), Some(rustix::io::Errno::NAMETOOLONG.raw_os_error()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn the_order_is_that_of_the_paths_bytes(
            paths in proptest::collection::vec("([ab][-.0]?){1,2}(/([ab][-.0]?){1,2}){0,3}", 0..40),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut expected = Vec::new();
            for path in paths {
                let path = folder.path().join(path);
                // Where a file stands already no folder can be made, and the other way round.
                let made = std::fs::create_dir_all(path.parent().unwrap())
                    .and_then(|()| std::fs::write(&path, ""));
                if made.is_ok() {
                    expected.push(path);
                }
            }
            expected.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
            expected.dedup();
            let seen: Vec<_> = walk(folder.path(), true, |_| true)
                .map(|step| match step.unwrap() {
                    Step::File(seen) => seen.path,
                    Step::Passed(passed) => passed.path,
                })
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
