//! The folder tree below the store's root, reached one opened folder at a time.
//!
//! Runs on the worker threads. It owns the descriptors of the root and of the temporary folder.
//! It must not follow a symbolic link and must not name a file by more than one segment: then no
//! link and no rename inside the tree can lead a write out of it.

use crate::server::store::sweep::has_age;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Folder below the root that holds what is not finished yet. It lies there, and not in `/tmp`, so
/// that a rename out of it never has to copy.
pub(super) const TEMP: &str = ".s3up-tmp";

const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const FOLDER_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why a name could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A folder, FIFO or device stands where a file is needed.
    NotAFile,
    /// A symbolic link stands in the way.
    SymbolicLink,
    /// The system's word.
    System(Errno),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::System(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

/// The opened root and its temporary folder.
pub(super) struct Tree {
    root: OwnedFd,
    temp: OwnedFd,
    /// Held while a folder is made and its parent is flushed. See [`Tree::wait_for_makers`].
    making: Mutex<()>,
    /// Names in the temporary folder of what this process is writing.
    under_way: Mutex<HashSet<String>>,
}

impl Tree {
    /// Opens the tree at `path`, which exists, and removes what a dead process left in `TEMP`.
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        // The path to the root is the operator's and may lead over links; below it none is taken.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        match rustix::fs::mkdirat(&root, TEMP, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let temp = open_folder(&root, TEMP)?;
        let (making, under_way) = (Mutex::new(()), Mutex::default());
        let tree = Self { root, temp, making, under_way };
        tree.clear()?;
        Ok(tree)
    }

    /// Every living process holds a shared lock on the temporary folder. Who gets the exclusive
    /// one is alone, so what lies there belongs to nobody; otherwise it may be another's upload.
    fn clear(&self) -> Result<(), Trouble> {
        match rustix::fs::flock(&self.temp, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                log::warn!("another process uses this folder too; leftovers in {TEMP} stay");
                return Ok(rustix::fs::flock(&self.temp, FlockOperation::LockShared)?);
            }
            Err(errno) => {
                log::warn!("{TEMP} cannot be locked ({errno}); leftovers in it stay");
                return Ok(());
            }
        }
        for entry in rustix::fs::Dir::read_from(&self.temp)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                rustix::fs::unlinkat(&self.temp, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(rustix::fs::flock(&self.temp, FlockOperation::LockShared)?)
    }

    /// Removes temporary files that nobody has written to for `age`, and says how many. Here the
    /// lock tells nothing, since this process holds it itself. The age is that of the inode's last
    /// change: unlike the modification time nobody can set it back. A file of another process that
    /// is not written to for a day is not an upload any more: its gate would have ended it.
    pub(super) fn sweep(&self, age: Duration, go_on: impl Fn() -> bool) -> Result<u64, Trouble> {
        let mut now = None;
        let mut removed = 0;
        for entry in rustix::fs::Dir::read_from(&self.temp)? {
            if !go_on() {
                break;
            }
            let entry = entry?;
            let name = entry.file_name();
            let stat = match rustix::fs::statat(&self.temp, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Finished or removed meanwhile.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && name.to_str().is_ok_and(|name| !self.under_way().contains(name));
            if !ours {
                continue;
            }
            // Asked for only if there is something to judge: it takes a file.
            let now = match now {
                Some(now) => now,
                None => *now.insert(self.file_system_time()?),
            };
            if !has_age(stat.st_ctime as i64, now, age) {
                continue;
            }
            match rustix::fs::unlinkat(&self.temp, name, AtFlags::empty()) {
                Ok(()) => removed += 1,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(removed)
    }

    /// What the clock says that stamps the files here, in Unix seconds: another machine's, perhaps.
    fn file_system_time(&self) -> Result<i64, Trouble> {
        let (name, file) = self.create_temp()?;
        let stat = rustix::fs::fstat(&file);
        self.remove_temp(&name)?;
        Ok(stat?.st_ctime as i64)
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<String>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `path` still leads to the folder that was opened.
    pub(super) fn stands_at(&self, path: &Path) -> Result<bool, Trouble> {
        let (there, here) = (rustix::fs::stat(path)?, rustix::fs::fstat(&self.root)?);
        Ok((there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
    }

    /// A new file in the temporary folder, and its name there. The name is random because another
    /// process may use the same folder.
    pub(super) fn create_temp(&self) -> Result<(String, File), Trouble> {
        let name = format!("{:032x}", fastrand::u128(..));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // First: the sweep must not find a file before it is noted.
        self.under_way().insert(name.clone());
        match rustix::fs::openat(&self.temp, &name, flags, FILE_MODE) {
            Ok(file) => Ok((name, File::from(file))),
            Err(errno) => {
                self.under_way().remove(&name);
                Err(errno.into())
            }
        }
    }

    /// Removes a file from the temporary folder.
    pub(super) fn remove_temp(&self, name: &str) -> Result<(), Trouble> {
        let removed = rustix::fs::unlinkat(&self.temp, name, AtFlags::empty());
        // Also if it could not be removed: a sweep will try again.
        self.under_way().remove(name);
        Ok(removed?)
    }

    /// Removes the file at `key`; it is no error if there is none.
    pub(super) fn remove_file(&self, key: &str) -> Result<(), Trouble> {
        let Some((folder, name)) = self.folder_of(key)? else { return Ok(()) };
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether reading the folder of `key` shows its last segment.
    pub(super) fn shows(&self, key: &str) -> Result<bool, Trouble> {
        let Some((folder, name)) = self.folder_of(key)? else { return Ok(false) };
        for entry in rustix::fs::Dir::read_from(&folder)? {
            if entry?.file_name().to_bytes() == name.as_bytes() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Opens the file at `key` for reading; `None` if there is none.
    pub(super) fn open_file(&self, key: &str) -> Result<Option<File>, Trouble> {
        let (folder, name) = match self.folder_of(key) {
            Ok(Some(found)) => found,
            // A file where the key has a folder: the key names nothing.
            Ok(None) | Err(Trouble::System(Errno::NOTDIR | Errno::NAMETOOLONG)) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        // A FIFO would block the open for ever without NONBLOCK.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(None),
            Err(Errno::LOOP) => return Err(Trouble::SymbolicLink),
            // What a device without a driver and a socket answer.
            Err(Errno::NXIO | Errno::NODEV) => return Err(Trouble::NotAFile),
            Err(errno) => return Err(errno.into()),
        };
        match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(Some(File::from(file))),
            // `a` is no object only because `a/b` is one.
            FileType::Directory => Ok(None),
            _ => Err(Trouble::NotAFile),
        }
    }

    /// Whether a file could be put at `key` as things stand, so that a large one is not sent in
    /// vain.
    pub(super) fn check_place(&self, key: &str) -> Result<(), Trouble> {
        let Some((folder, name)) = self.folder_of(key)? else { return Ok(()) };
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Err(Trouble::NotAFile)
            }
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Moves a finished temporary file to `key`, making folders as needed. When it returns, the
    /// name is durable. `moved` is set as soon as the temporary name is gone.
    pub(super) fn publish(&self, temp: &str, key: &str, moved: &mut bool) -> Result<(), Trouble> {
        let (folders, name) = split(key);
        let mut folder = self.root.try_clone()?;
        for segment in folders {
            folder = match open_folder(&folder, segment) {
                Err(Trouble::System(Errno::NOENT)) => self.make_folder(&folder, segment)?,
                other => other?,
            };
        }
        rustix::fs::renameat(&self.temp, temp, &folder, name)?;
        *moved = true;
        self.under_way().remove(temp);
        rustix::fs::fsync(&folder)?;
        self.wait_for_makers();
        Ok(())
    }

    fn make_folder(&self, parent: &OwnedFd, name: &str) -> Result<OwnedFd, Trouble> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match rustix::fs::mkdirat(parent, name, FOLDER_MODE) {
            Ok(()) => rustix::fs::fsync(parent)?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        open_folder(parent, name)
    }

    /// A folder that was found, not made, may be another thread's whose name is not yet flushed: a
    /// file in it would be acknowledged and then lost with its folder. Folders are made and flushed
    /// under one lock, so whoever has held it since finds all of them flushed.
    fn wait_for_makers(&self) {
        drop(self.making.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The opened folder that `key` lies in, and its last segment; `None` if there is no such
    /// folder.
    fn folder_of<'k>(&self, key: &'k str) -> Result<Option<(OwnedFd, &'k str)>, Trouble> {
        let (folders, name) = split(key);
        let mut folder = self.root.try_clone()?;
        for segment in folders {
            folder = match open_folder(&folder, segment) {
                Err(Trouble::System(Errno::NOENT)) => return Ok(None),
                other => other?,
            };
        }
        Ok(Some((folder, name)))
    }
}

/// The folders of a key, and its last segment.
fn split(key: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, name) = key.rsplit_once('/').map_or((None, key), |(f, name)| (Some(f), name));
    (folders.into_iter().flat_map(|folders| folders.split('/')), name)
}

fn open_folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Trouble> {
    match rustix::fs::openat(parent, name, FOLDER_FLAGS, Mode::empty()) {
        Ok(folder) => Ok(folder),
        // The system says "not a folder" of a symbolic link as well.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => Err(Trouble::SymbolicLink),
                _ => Err(Errno::NOTDIR.into()),
            }
        }
        Err(errno) => Err(errno.into()),
    }
}
