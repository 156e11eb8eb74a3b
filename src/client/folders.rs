//! A watched folder with all that is below it: can it be read, and how many folders are there.
//!
//! Asked by `s3up check`, and by the watcher when there are not enough inotify watches. It owns nothing
//! and opens no file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Folders, the watched one included. Each needs one inotify watch.
    pub folders: u64,
    /// What is in the way of some.
    pub unreadable: Option<Unreadable>,
}

/// Folders that cannot be read, so that their files are not backed up.
#[derive(Debug)]
pub struct Unreadable {
    first: PathBuf,
    cause: String,
    more: u64,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, cause, more } = self;
        write!(f, "{first:?}: {cause}")?;
        if *more > 0 {
            write!(f, ", and {more} more below the same watched folder")?;
        }
        write!(f, "; hint: let this user read it")
    }
}

/// A watched folder that cannot be read itself.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path:?}: {cause}; hint: it must exist and this user must be able to read it (key watches[].local_path)"
)]
pub struct NoFolder {
    path: PathBuf,
    cause: io::Error,
}

/// Looks at a watched folder and, if it is `recursive`, at all below it.
pub fn count(path: &Path, recursive: bool) -> Result<Found, NoFolder> {
    std::fs::read_dir(path).map_err(|cause| NoFolder { path: path.to_owned(), cause })?;
    // Itself, which may be reached by a link.
    let mut found = Found { folders: 1, unreadable: None };
    if !recursive {
        return Ok(found);
    }
    for entry in WalkDir::new(path).follow_root_links(true).min_depth(1) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => found.folders += 1,
            Ok(_) => {}
            Err(error) => found.take(&error),
        }
    }
    Ok(found)
}

impl Found {
    fn take(&mut self, error: &walkdir::Error) {
        let gone = error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
        if gone {
            // Since its folder was read.
            return;
        }
        match &mut self.unreadable {
            Some(unreadable) => unreadable.more += 1,
            None => {
                let cause = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                let first = error.path().unwrap_or(Path::new("")).to_owned();
                self.unreadable = Some(Unreadable { first, cause, more: 0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_counts_and_files_and_links_do_not() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        std::os::unix::fs::symlink(&root, root.join("a/loop")).unwrap();
        assert_eq!(count(&root, true).unwrap().folders, 3);
        assert_eq!(count(&root, false).unwrap().folders, 1);
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        assert_eq!(count(&link, true).unwrap().folders, 3);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_with_what_would_be_right() {
        let error = count(Path::new("/no/such/folder"), true).unwrap_err().to_string();
        assert!(error.starts_with("\"/no/such/folder\": No such file"), "{error}");
        assert!(error.contains("hint: it must exist"), "{error}");
    }

    #[test]
    fn folders_that_cannot_be_read_are_counted_and_the_first_one_named() {
        let mut unreadable = Unreadable { first: "/a\n".into(), cause: "no".into(), more: 0 };
        assert_eq!(unreadable.to_string(), "\"/a\\n\": no; hint: let this user read it");
        unreadable.more = 2;
        assert!(
            unreadable.to_string().contains(", and 2 more below the same watched folder; hint")
        );
    }
}
