//! Looks at files and opens them, without ever being led out of a watched folder.
//!
//! Used by the watcher and the uploader's workers. It owns nothing. Only regular files count, judged
//! by their descriptor; symbolic links are never followed below a watched folder, not even one that
//! took a folder's place a moment ago. What the client wants of a disk is [`Disk`], so that a
//! simulation can stand in for [`LocalDisk`].

use crate::client::fingerprint::Fingerprint;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// Where the files are.
pub trait Disk {
    /// An open file.
    type File: OpenFile;

    /// Looks at a path: `None` if no regular file is there.
    fn look(&self, path: &Path) -> io::Result<Option<Fingerprint>>;

    /// Whether a folder stands at a path, and no link to one.
    fn is_folder(&self, path: &Path) -> bool;

    /// Opens the file at `path`, which lies below `root`; `None` if no regular file is there. What
    /// it looks like comes from the open file, not from its name.
    fn open(&self, root: &Path, path: &Path) -> io::Result<Option<(Self::File, Fingerprint)>>;
}

/// A file that stays the same one, whatever becomes of its name.
pub trait OpenFile: Read + Seek {
    /// What it looks like now.
    fn fingerprint(&self) -> io::Result<Fingerprint>;
}

impl OpenFile for File {
    fn fingerprint(&self) -> io::Result<Fingerprint> {
        self.metadata().map(|metadata| Fingerprint::of(&metadata))
    }
}

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    type File = File;

    fn look(&self, path: &Path) -> io::Result<Option<Fingerprint>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(metadata.is_file().then(|| Fingerprint::of(&metadata))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
    }

    fn open(&self, root: &Path, path: &Path) -> io::Result<Option<(File, Fingerprint)>> {
        // O_NONBLOCK: opening a FIFO must not wait for a writer. Regular files do not mind.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match open_below(root, path, flags) {
            Ok(file) => file,
            // A symbolic link, or a socket: there is no regular file.
            Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => {
                let error = io::Error::from(error);
                return if is_gone(&error) { Ok(None) } else { Err(error) };
            }
        };
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then(|| (file, Fingerprint::of(&metadata))))
    }
}

fn open_below(root: &Path, path: &Path, flags: OFlags) -> Result<File, Errno> {
    let relative = path.strip_prefix(root).map_err(|_| Errno::INVAL)?;
    let folder =
        openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(&folder, relative, flags, Mode::empty(), inside) {
        // Linux before 5.6: only the last segment is guarded.
        Err(Errno::NOSYS) => openat(&folder, relative, flags, Mode::empty()),
        opened => opened,
    }
    .map(File::from)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn check(make: impl Fn(&Path), name: &str, expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("watched");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        make(&root);
        let opened = LocalDisk.open(&root, &root.join(name)).unwrap();
        assert_eq!(opened.is_some(), expected, "{name}");
        if let Some((_, fingerprint)) = opened {
            assert_eq!(LocalDisk.look(&root.join(name)).unwrap(), Some(fingerprint));
        }
    }

    #[test]
    fn a_regular_file_is_opened_at_any_depth() {
        check(|root| std::fs::write(root.join("a"), "x").unwrap(), "a", true);
        let deep = |root: &Path| {
            std::fs::create_dir_all(root.join("b/c")).unwrap();
            std::fs::write(root.join("b/c/a"), "x").unwrap();
        };
        check(deep, "b/c/a", true);
    }

    #[test]
    fn what_is_gone_or_no_regular_file_is_not_there() {
        check(|_| {}, "a", false);
        check(|root| std::fs::create_dir(root.join("a")).unwrap(), "a", false);
        check(|root| std::fs::write(root.join("a"), "x").unwrap(), "a/b", false);
        let fifo = |root: &Path| {
            rustix::fs::mkfifoat(CWD, root.join("a"), Mode::RWXU).unwrap();
        };
        check(fifo, "a", false);
        let socket = |root: &Path| {
            std::os::unix::net::UnixListener::bind(root.join("a")).unwrap();
        };
        check(socket, "a", false);
    }

    #[test]
    fn no_symbolic_link_leads_out_of_the_watch() {
        check(|root| symlink("../secret", root.join("a")).unwrap(), "a", false);
        check(|root| symlink("..", root.join("a")).unwrap(), "a/secret", false);
    }

    #[test]
    fn the_watched_folder_itself_may_be_reached_by_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("releases/7");
        std::fs::create_dir_all(&real).unwrap();
        std::fs::write(real.join("a"), "x").unwrap();
        let root = folder.path().join("current");
        symlink(&real, &root).unwrap();
        assert!(LocalDisk.open(&root, &root.join("a")).unwrap().is_some());
    }
}
