//! A folder as an object store: every key is a file below the root.
//!
//! Runs on the worker threads. It owns the root and the temporary folder `.s3up-tmp` in it. It must
//! not follow a symbolic link (`tree`), and must not show a file before its content, its metadata
//! and its name are on the disk.
//!
//! Content and metadata are written to a temporary file, the metadata as an extended attribute, so
//! that one rename shows both. Where the file system has no extended attributes, and for files that
//! came or changed without this program, the SHA-256 is computed when it is asked for and the
//! file's own modification time is the metadata's.

mod attribute;
mod tree;

use self::attribute::{Attribute, Look};
use self::tree::{Tree, Trouble};
use super::inspect::{Finding, Inspect};
use super::turns::{Turn, Turns};
use super::{
    ByteRange, CannotSweep, LargeObject, Metadata, ObjectInfo, ObjectStore, OpenObject, StoreError,
    StoreErrorKind, Swept,
};
use crate::digest::Digest;
use crate::exact::ExactReader;
use crate::limits::TURN_WAIT;
use crate::remote_path::RemotePrefix;
use crate::server::key::{ClientFolder, ObjectKey, ProbeKey};
use crate::server::part_buffer::PartBuffer;
use crate::threads::Stop;
use crate::wire::Mtime;
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A folder that objects are kept in.
pub struct DirectoryStore {
    path: PathBuf,
    tree: Tree,
    turns: Turns,
}

impl DirectoryStore {
    /// Opens the store at `path`: makes the folder if it is not there, removes what an earlier
    /// process left unfinished, and makes sure that files can be written.
    pub fn open(path: PathBuf) -> Result<Self, StoreError> {
        let subject = path.display().to_string();
        let fail = |trouble: Trouble| {
            let hint = "directory.path must name a folder that this user may make and write to";
            let error = failure("open", &subject, trouble);
            StoreError { hint: error.hint.or(Some(hint)), ..error }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| fail(error.into()))?;
        let tree = Tree::open(&path).map_err(fail)?;
        let store = Self { path, tree, turns: Turns::new(TURN_WAIT) };
        store.probe().map_err(fail)?;
        Ok(store)
    }

    /// Writes an empty file and removes it.
    fn probe(&self) -> Result<(), Trouble> {
        let (name, _) = self.tree.create_temp()?;
        self.tree.remove_temp(&name)
    }

    fn draft(&self, key: &ObjectKey, mtime: Option<Mtime>) -> Result<Draft<'_>, Trouble> {
        let turn = self.turns.begin(key.as_str());
        let (name, file) = self.tree.create_temp()?;
        Ok(Draft { tree: &self.tree, key: key.clone(), name, file, mtime, moved: false, turn })
    }
}

impl ObjectStore for DirectoryStore {
    fn describe(&self) -> String {
        format!("directory {}", self.path.display())
    }

    fn put(&self, key: &ObjectKey, content: &[u8], metadata: &Metadata) -> Result<(), StoreError> {
        refuse_temp("put", key)?;
        let sha256 = metadata.sha256.unwrap_or_else(|| Digest::of(content));
        let fail = |trouble| failure("put", key.as_str(), trouble);
        let mut draft = self.draft(key, metadata.mtime).map_err(fail)?;
        draft.turn.take().map_err(|why| why.error("put", key.as_str()))?;
        draft.file.write_all(content).map_err(|error| fail(error.into()))?;
        draft.publish(sha256).map_err(fail)
    }

    fn begin<'s>(
        &'s self,
        key: &ObjectKey,
        metadata: &Metadata,
    ) -> Result<Box<dyn LargeObject + 's>, StoreError> {
        refuse_temp("begin", key)?;
        let fail = |trouble| failure("begin", key.as_str(), trouble);
        self.tree.check_place(key.as_str()).map_err(fail)?;
        Ok(Box::new(self.draft(key, metadata.mtime).map_err(fail)?))
    }

    fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, StoreError> {
        refuse_temp("head", key)?;
        let head = || -> Result<_, Trouble> {
            let Some(file) = self.tree.open_file(key.as_str())? else { return Ok(None) };
            let mut info = info(&file)?;
            if info.metadata.sha256.is_none() {
                info.metadata.sha256 = Some(Digest::of_reader(&file)?);
            }
            Ok(Some(info))
        };
        head().map_err(|trouble| failure("head", key.as_str(), trouble))
    }

    fn open(
        &self,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<OpenObject>, StoreError> {
        refuse_temp("open", key)?;
        let fail = |trouble| failure("open", key.as_str(), trouble);
        let Some(mut file) = self.tree.open_file(key.as_str()).map_err(fail)? else {
            return Ok(None);
        };
        let info = info(&file).map_err(fail)?;
        let length = match range {
            None => info.size,
            Some(range) if range.last >= info.size => {
                return Err(super::range_outside(key, range, info.size));
            }
            Some(range) => {
                file.seek(SeekFrom::Start(range.first)).map_err(|error| fail(error.into()))?;
                range.len()
            }
        };
        Ok(Some(OpenObject {
            info,
            length,
            body: Box::new(ExactReader::new(file, length, super::broken_off)),
        }))
    }

    fn ready(&self) -> Result<(), StoreError> {
        let subject = self.path.display().to_string();
        let fail = |trouble| failure("use", &subject, trouble);
        if !self.tree.stands_at(&self.path).map_err(fail)? {
            return Err(StoreError {
                kind: StoreErrorKind::Unavailable,
                operation: "use",
                subject,
                cause: "another folder stands there than the one that was opened".to_owned(),
                hint: Some("was it unmounted, moved or made anew? restart the server"),
            });
        }
        self.probe().map_err(fail)
    }

    fn sweep(&self, _: &[ClientFolder], age: Duration, stop: &Stop) -> Result<Swept, CannotSweep> {
        // All that is unfinished lies in one folder, which is the store's own.
        Ok(match self.tree.sweep(age, || !stop.is_raised()) {
            Ok(removed) => Swept { removed, failures: vec![] },
            Err(trouble) => {
                let subject = self.path.join(tree::TEMP).display().to_string();
                Swept { removed: 0, failures: vec![failure("sweep", &subject, trouble)] }
            }
        })
    }
}

impl Inspect for DirectoryStore {
    fn lists(&self, probe: &ProbeKey) -> Result<bool, StoreError> {
        let key = probe.as_object().as_str();
        self.tree.shows(key).map_err(|trouble| failure("list", key, trouble))
    }

    fn remove(&self, probe: &ProbeKey) -> Result<(), StoreError> {
        let key = probe.as_object().as_str();
        self.tree.remove_file(key).map_err(|trouble| failure("remove", key, trouble))
    }

    fn begin_and_abort(&self, probe: &ProbeKey) -> Result<(), StoreError> {
        let key = probe.as_object();
        let fail = |trouble| failure("begin", key.as_str(), trouble);
        let mut draft = self.draft(key, None).map_err(fail)?;
        let removed = self.tree.remove_temp(&draft.name);
        // It need not try again.
        draft.moved = true;
        removed.map_err(|trouble| failure("abort", key.as_str(), trouble))
    }

    fn findings(&self, _: &RemotePrefix) -> Vec<Finding> {
        vec![]
    }
}

/// A file that is being written. Dropped before it is published, it is removed.
struct Draft<'s> {
    tree: &'s Tree,
    key: ObjectKey,
    name: String,
    file: File,
    mtime: Option<Mtime>,
    moved: bool,
    turn: Turn<'s>,
}

impl Draft<'_> {
    fn publish(mut self, sha256: Digest) -> Result<(), Trouble> {
        if let Some(mtime) = self.mtime {
            // For whoever looks into the folder by other means. The attribute holds the truth, so
            // a file system that cannot keep this time is no reason to refuse the file.
            let _ = rustix::fs::futimens(&self.file, &timestamps(mtime));
        }
        let look = look(&self.file.metadata()?);
        let attribute = Attribute { sha256, mtime: self.mtime, look }.to_bytes();
        match rustix::fs::fsetxattr(&self.file, attribute::NAME, &attribute, XattrFlags::empty()) {
            // Without extended attributes the file's own time and bytes have to speak.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.file.sync_all()?;
        self.tree.publish(&self.name, self.key.as_str(), &mut self.moved)?;
        self.turn.mark_stored();
        Ok(())
    }
}

impl LargeObject for Draft<'_> {
    fn append(&mut self, mut part: PartBuffer) -> Result<PartBuffer, StoreError> {
        let written = self.file.write_all(part.bytes());
        written.map_err(|error| failure("append to", self.key.as_str(), error.into()))?;
        part.clear();
        Ok(part)
    }

    fn complete(self: Box<Self>, sha256: Digest) -> Result<(), StoreError> {
        let key = self.key.clone();
        // To be told that it is overtaken helps it nothing: what is left to do is done once.
        self.turn.take().map_err(|why| why.error("complete", key.as_str()))?;
        self.publish(sha256).map_err(|trouble| failure("complete", key.as_str(), trouble))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.moved {
            return;
        }
        if let Err(trouble) = self.tree.remove_temp(&self.name) {
            let error = failure("remove", &self.name, trouble);
            log::warn!("{error}; the next start removes it");
        }
    }
}

/// What is known of an open file without reading it.
fn info(file: &File) -> Result<ObjectInfo, Trouble> {
    let stat = file.metadata()?;
    let look = look(&stat);
    let (metadata, etag) = match read_attribute(file)?.filter(|known| known.look == look) {
        Some(known) => (
            Metadata { sha256: Some(known.sha256), mtime: known.mtime },
            format!("\"{}\"", known.sha256),
        ),
        None => (
            Metadata { sha256: None, mtime: Some(Mtime::from_nanos(look.mtime_nanos)) },
            format!("\"{}-{}\"", look.size, look.mtime_nanos),
        ),
    };
    let stored = Duration::from_secs(u64::try_from(stat.ctime()).unwrap_or(0));
    let last_modified = UNIX_EPOCH.checked_add(stored).unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(ObjectInfo { size: look.size, metadata, etag, last_modified })
}

fn look(stat: &std::fs::Metadata) -> Look {
    let nanos = stat.mtime().saturating_mul(1_000_000_000).saturating_add(stat.mtime_nsec());
    Look { size: stat.len(), mtime_nanos: nanos }
}

fn read_attribute(file: &File) -> Result<Option<Attribute>, Trouble> {
    // One byte more than ours, so that a longer one is seen to be longer.
    let mut bytes = [0; attribute::LEN + 1];
    match rustix::fs::fgetxattr(file, attribute::NAME, &mut bytes[..]) {
        Ok(length) => Ok(bytes.get(..length).and_then(Attribute::from_bytes)),
        Err(Errno::NODATA | Errno::RANGE | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn timestamps(mtime: Mtime) -> Timestamps {
    let nanos = mtime.nanos();
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: nanos.div_euclid(1_000_000_000),
            tv_nsec: nanos.rem_euclid(1_000_000_000),
        },
    }
}

/// The temporary folder is no place for objects: the next start would sweep them away.
fn refuse_temp(operation: &'static str, key: &ObjectKey) -> Result<(), StoreError> {
    if !key.as_str().starts_with(tree::TEMP) {
        return Ok(());
    }
    Err(StoreError {
        kind: StoreErrorKind::NameConflict,
        operation,
        subject: key.as_str().to_owned(),
        cause: format!("names that begin with {} are the store's own", tree::TEMP),
        hint: Some("choose another path_prefix"),
    })
}

fn failure(operation: &'static str, subject: &str, trouble: Trouble) -> StoreError {
    use StoreErrorKind::{Full, NameConflict, Refused, Unavailable};
    let (kind, hint) = match trouble {
        Trouble::NotAFile => (NameConflict, None),
        Trouble::SymbolicLink => {
            (Refused, Some("the store never follows links; put a folder or a mount there"))
        }
        Trouble::System(errno) => match errno {
            Errno::NOSPC | Errno::DQUOT => (Full, Some("free space, inodes or quota")),
            Errno::NOTDIR
            | Errno::ISDIR
            | Errno::EXIST
            | Errno::NOTEMPTY
            | Errno::NAMETOOLONG
            | Errno::INVAL => (NameConflict, None),
            Errno::ACCESS | Errno::PERM => {
                (Refused, Some("the folder and all in it must belong to the server's user"))
            }
            Errno::ROFS => (Refused, Some("the file system is mounted read-only")),
            Errno::XDEV => {
                (Refused, Some("another file system is mounted below the store's folder"))
            }
            Errno::FBIG => (Refused, Some("the file system cannot hold a file so large")),
            _ => (Unavailable, None),
        },
    };
    let cause = match trouble {
        Trouble::NotAFile => "something other than a file stands there".to_owned(),
        Trouble::SymbolicLink => "a symbolic link stands in the way".to_owned(),
        Trouble::System(errno) => io::Error::from(errno).to_string(),
    };
    StoreError { kind, operation, subject: subject.to_owned(), cause, hint }
}
