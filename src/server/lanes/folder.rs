//! The private folder in which the worker pool listens.
//!
//! Only this user may enter it. It is removed when the server ends; what a server that was killed
//! left behind is removed by the next one.

use crate::clock;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const PREFIX: &str = "s3up-server-";
const SOCKET: &str = "workers.sock";

/// A folder younger than this may be that of a server which is just starting.
const STARTING: Duration = Duration::from_secs(60);

/// The folder and the socket in it.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
}

impl Folder {
    /// Makes a folder below the system's one for temporary files, and listens in it. Where there is none,
    /// as in a root that holds the program alone, it is made in the working directory. An error is about
    /// the folder for temporary files.
    pub fn create() -> io::Result<(Self, UnixListener)> {
        Self::create_in_first(&[std::env::temp_dir(), std::env::current_dir()?], clock::utc())
    }

    fn create_in_first(parents: &[PathBuf], now: SystemTime) -> io::Result<(Self, UnixListener)> {
        let mut failed = None;
        for parent in parents {
            remove_abandoned(parent, now);
            match Self::create_in(parent) {
                Ok(made) => return Ok(made),
                Err(error) => failed.get_or_insert(error),
            };
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn create_in(parent: &Path) -> io::Result<(Self, UnixListener)> {
        let private = std::fs::Permissions::from_mode(0o700);
        let folder =
            tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(parent)?;
        let folder = Self { folder };
        let listener = UnixListener::bind(folder.socket())?;
        Ok((folder, listener))
    }

    /// Where the pool listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }
}

/// Removes folders whose server does not listen any more. One that is young may not listen *yet*;
/// what cannot be removed belongs to somebody else.
fn remove_abandoned(parent: &Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    let ours = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    for entry in entries.flatten().filter(|entry| ours(&entry.file_name())) {
        let made = entry.metadata().and_then(|folder| folder.modified());
        let age = made.ok().and_then(|made| now.duration_since(made).ok());
        if age.is_none_or(|age| age < STARTING) {
            continue;
        }
        let socket = entry.path().join(SOCKET);
        let connected = UnixStream::connect(&socket);
        if connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            // One file and the folder around it: whatever else lies there keeps it.
            let removed =
                std::fs::remove_file(&socket).and_then(|()| std::fs::remove_dir(entry.path()));
            log::debug!("{} was left behind; removed: {removed:?}", entry.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> =
            std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    #[test]
    fn nobody_else_may_enter_and_nothing_is_left() {
        let parent = TempDir::new().unwrap();
        let (folder, listener) = Folder::create_in(parent.path()).unwrap();
        let mode = std::fs::metadata(folder.folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        UnixStream::connect(folder.socket()).unwrap();
        drop((folder, listener));
        assert_eq!(names(parent.path()).len(), 0);
    }

    #[test]
    fn without_a_folder_for_temporary_files_it_is_made_in_the_next_place_and_an_error_names_the_first()
     {
        let there = TempDir::new().unwrap();
        let (missing, gone) = (there.path().join("tmp"), there.path().join("gone"));
        let parents = [missing.clone(), there.path().to_owned()];
        let (folder, _listener) = Folder::create_in_first(&parents, clock::utc()).unwrap();
        assert_eq!(folder.folder.path().parent(), Some(there.path()));
        let error = Folder::create_in_first(&[missing.clone(), gone], clock::utc()).unwrap_err();
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    }

    #[test]
    fn what_a_killed_server_left_is_removed_and_a_living_ones_folder_stays() {
        let parent = TempDir::new().unwrap();
        let (killed, listener) = Folder::create_in(parent.path()).unwrap();
        let left = killed.folder.keep();
        drop(listener);
        let stranger = parent.path().join(format!("{PREFIX}without-a-socket"));
        std::fs::create_dir(&stranger).unwrap();
        let (living, _listener) = Folder::create_in(parent.path()).unwrap();
        let mut expected = vec![living.folder.path().to_owned(), stranger, left.clone()];
        expected.sort();
        let now = clock::utc();
        remove_abandoned(parent.path(), now);
        assert_eq!(names(parent.path()), expected, "all are young");
        expected.retain(|path| *path != left);
        remove_abandoned(parent.path(), now + STARTING);
        assert_eq!(names(parent.path()), expected);
    }
}
