//! One client on one database: the file that says who it is.
//!
//! Called once at the start, on the main thread. The kernel keeps the lock for as long as the
//! process lives, however it ends; the file itself stays, since to remove it would let two processes
//! hold locks on two files of one name.

use super::beside;
use crate::sqlite::DatabaseError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// Longest note in a lock file that is repeated to the operator, in bytes.
const NOTE_BYTES_MAX: u64 = 32;

/// A database that no other client can have, as long as this lives.
pub(super) struct Lock {
    _file: File,
    /// Whether a client has been here before.
    pub(super) met: bool,
}

/// Takes the database at `path`, or says who has it.
pub(super) fn take(path: &Path) -> Result<Lock, DatabaseError> {
    let lock = beside(path, ".lock");
    let failed = |error: io::Error| {
        DatabaseError::told(
            "lock",
            &lock,
            error,
            "its folder must exist on a disk that this user \
             may write to (key database.path)",
        )
    };
    let mut options = File::options();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(&lock).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut note = String::new();
            // Who it is helps; that it is somebody is what counts.
            let _ = (&file).take(NOTE_BYTES_MAX).read_to_string(&mut note);
            let who = match note.trim().parse::<u32>() {
                Ok(process) => format!("another s3up (process {process}) uses it"),
                Err(_) => "another s3up uses it".to_owned(),
            };
            let hint = "stop that one, or give this one a database of its own (key database.path)";
            return Err(DatabaseError::told("use", path, who, hint));
        }
        Err(error) => return Err(failed(error.into())),
    }
    let met = file.metadata().map_err(failed)?.len() > 0;
    let note = |file: &mut File| {
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    };
    note(&mut file).map_err(failed)?;
    Ok(Lock { _file: file, met })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_taken_once_and_the_second_is_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let first = take(&path).unwrap();
        assert!(!first.met);
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
        assert!(take(&path).unwrap().met, "the next one knows that somebody was here");
    }

    #[test]
    fn a_lock_that_cannot_be_had_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let text = take(&folder.path().join("no/client.db")).map(drop).unwrap_err().to_string();
        assert!(text.starts_with("cannot lock database ") && text.contains("folder must exist"));
    }
}
