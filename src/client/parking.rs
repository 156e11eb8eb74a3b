//! Files that cannot be backed up as things stand: noted with the reason, and the operator told once.
//!
//! Called by the watcher, the scanner and the uploader's workers. It owns nothing; the notes are the
//! database's. A parked file is looked at again whenever it changes and at every scan.

use crate::client::database::Database;
use crate::remote_path::PathError;
use crate::sqlite::DatabaseError;
use std::path::Path;

/// Parks a file at the moment `now`, in Unix seconds. The log says it when it is news, and not again
/// at every scan.
pub fn park(database: &Database, path: &Path, reason: &str, now: i64) -> Result<(), DatabaseError> {
    if database.park(path, reason, now)? {
        log::error!("not backed up: {path:?}: {reason}");
    }
    Ok(())
}

/// Parks a file whose name cannot be stored.
pub fn park_unnameable(
    database: &Database,
    path: &Path,
    error: PathError,
    now: i64,
) -> Result<(), DatabaseError> {
    park(database, path, &format!("its name cannot be stored: {error}; hint: rename it"), now)
}
