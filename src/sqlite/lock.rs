//! One program on one database: the file that says who it is.
//!
//! Called at the start, on the main thread. The kernel keeps the lock for as long as the process
//! lives, however it ends; the file itself stays, since to remove it would let two processes hold
//! locks on two files of one name. It says in its first line which process has the lock, and in a
//! second one that there is a database, from the moment on that there is.

use super::{DatabaseError, beside};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Most that is read of a lock file, in bytes.
const NOTE_BYTES_MAX: u64 = 64;

/// A database that no other process can have, as long as this lives.
pub(crate) struct Lock {
    file: File,
    had_database: bool,
}

impl Lock {
    /// Whether there has been a database here before.
    pub(crate) fn had_database(&self) -> bool {
        self.had_database
    }

    /// Notes that there is a database now.
    pub(crate) fn has_database(&self) -> io::Result<()> {
        self.note("it has a database\n")
    }

    fn note(&self, more: &str) -> io::Result<()> {
        let note = format!("{}\n{more}", std::process::id());
        self.file.write_all_at(note.as_bytes(), 0)?;
        self.file.set_len(note.len() as u64)
    }
}

/// Takes the database at `path`, or says who has it.
pub(crate) fn take(path: &Path) -> Result<Lock, DatabaseError> {
    let name = beside(path, ".lock");
    let failed = |error: io::Error| {
        let cause = format!("its lock {}: {error}", name.display());
        let hint =
            "its folder must exist on a disk that this user may write to (key database.path)";
        DatabaseError::told("open", path, cause, hint)
    };
    let mut options = File::options();
    let file =
        options.read(true).write(true).create(true).truncate(false).open(&name).map_err(failed)?;
    let mut note = String::new();
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
    // Who it is helps; that it is somebody is what counts.
    let _ = (&file).take(NOTE_BYTES_MAX).read_to_string(&mut note);
    let mut lines = note.lines();
    let process = lines.next().and_then(|line| line.parse::<u32>().ok());
    match (locked, process) {
        (Ok(()), _) => {}
        (Err(Errno::WOULDBLOCK), process) => {
            let process = process.map(|process| format!(" (process {process})"));
            let who = format!("another s3up{} uses it", process.unwrap_or_default());
            let hint = "stop that one, or give this one a database of its own (key database.path)";
            return Err(DatabaseError::told("use", path, who, hint));
        }
        (Err(error), _) => return Err(failed(error.into())),
    }
    let lock = Lock { file, had_database: lines.next().is_some() };
    let noted = if lock.had_database { lock.has_database() } else { lock.note("") };
    noted.map_err(failed)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_taken_once_and_the_second_is_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let first = take(&path).unwrap();
        let second = take(&path).map(drop).unwrap_err().to_string();
        assert_eq!(
            second,
            format!(
                "cannot use database {}: another s3up (process {}) uses it; hint: stop that one, or \
                 give this one a database of its own (key database.path)",
                path.display(),
                std::process::id()
            )
        );
        drop(first);
        take(&path).unwrap();
    }

    #[test]
    fn a_lock_knows_whether_there_was_a_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        assert!(!take(&path).unwrap().had_database());
        assert!(!take(&path).unwrap().had_database(), "the first start did not come so far");
        take(&path).unwrap().has_database().unwrap();
        assert!(take(&path).unwrap().had_database());
        assert!(take(&path).unwrap().had_database());
    }

    #[test]
    fn a_lock_that_cannot_be_had_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let text = take(&folder.path().join("no/client.db")).map(drop).unwrap_err().to_string();
        assert!(text.starts_with("cannot open database ") && text.contains("folder must exist"));
    }
}
