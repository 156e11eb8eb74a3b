//! A database that is damaged: told from a sound one, and set aside under another name.
//!
//! Called by the one program that a database belongs to, when it opens it. Nothing is ever deleted.

use super::lock::Lock;
use super::{DatabaseError, beside, check, open};
use crate::limits::DATABASE_CHECKED_BYTES_MAX;
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// What every SQLite database begins with.
const HEAD: &[u8] = b"SQLite format 3\0";

/// Opens the database at `path`, or makes it, and looks at all of it if that takes no long time. A
/// file that is no database is damage only if there was a database before; otherwise `not_ours` says
/// what to do about it.
pub(crate) fn open_sound(
    path: &Path,
    lock: &Lock,
    migrations: &[&str],
    not_ours: &str,
) -> Result<Connection, DatabaseError> {
    let length = match File::open(path) {
        Ok(file) => look_at_head(path, file, lock, not_ours)?,
        // Absent: a first run. Unreadable: SQLite says it, with a hint.
        Err(_) => 0,
    };
    let connection = open(path, migrations)?;
    // Opening it has read its head, compared its length and parsed its schema.
    if length <= DATABASE_CHECKED_BYTES_MAX {
        check(&connection, path)?;
    }
    Ok(connection)
}

/// Looks at a file before SQLite does, which would remove the log beside one that is no database.
/// Returns its length.
fn look_at_head(
    path: &Path,
    file: File,
    lock: &Lock,
    not_ours: &str,
) -> Result<u64, DatabaseError> {
    let failed = |error: io::Error| DatabaseError::told("read", path, error, "");
    let length = file.metadata().map_err(failed)?.len();
    let mut head = Vec::new();
    file.take(HEAD.len() as u64).read_to_end(&mut head).map_err(failed)?;
    let cause = format!("it has {length} bytes and is no database");
    match (head == HEAD, lock.had_database()) {
        (true, _) => Ok(length),
        // An empty one, too: it is what a file system may leave of a database after a power cut.
        (false, true) => Err(DatabaseError::corrupt(path, cause)),
        // To SQLite it is a new database.
        (false, false) if length == 0 => Ok(length),
        // Perhaps a wrong name was configured: nothing of ours was ever there.
        (false, false) => Err(DatabaseError::told("use", path, cause, not_ours)),
    }
}

/// Renames the database and SQLite's files beside it; returns the database's new name.
pub(crate) fn set_aside(path: &Path, now_ns: i64) -> io::Result<PathBuf> {
    let aside = (0..)
        .map(|number| beside(path, &suffix(now_ns, number)))
        .find(|aside| !aside.exists())
        .unwrap_or_default();
    for part in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, part), beside(&aside, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(path)?;
    Ok(aside)
}

/// `.corrupt-20261128T134501Z`, and `-1` and so on behind it if there is such a file.
fn suffix(now_ns: i64, number: u32) -> String {
    let seconds = now_ns.div_euclid(1_000_000_000);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let again = if number == 0 { String::new() } else { format!("-{number}") };
    format!(".corrupt-{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z{again}")
}

/// Has what was renamed or removed in the folder of `path` last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
