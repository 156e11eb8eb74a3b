//! Files that cannot be backed up as things stand: noted with the reason, and the operator told once.
//!
//! Called by the watcher, the scanner and the uploader's workers. It owns nothing; the notes are the
//! database's. A parked file is looked at again whenever it changes and at every scan.

use crate::client::database::Database;
use crate::client::scope::{Place, Scope};
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

/// Parks a file that is larger than its watch allows. The reason does not say how large it is: a
/// file that grows would be news at every look.
pub fn park_too_large(
    database: &Database,
    path: &Path,
    limit: u64,
    now: i64,
) -> Result<(), DatabaseError> {
    let reason = format!(
        "it is larger than {} MB (watches[].max_file_size_mb); hint: raise that, or leave it out by \
         watches[].exclude_patterns",
        limit / (1024 * 1024)
    );
    park(database, path, &reason, now)
}

/// Forgets the notes of files that do not belong to the backup any more: a pattern leaves them out
/// since, or their folder is watched no longer.
pub fn unpark_outsiders(database: &Database, scope: &Scope) -> Result<(), DatabaseError> {
    for (path, _) in database.parked()? {
        if matches!(scope.place(&path), Place::Outside | Place::Excluded) {
            database.unpark(&path)?;
        }
    }
    Ok(())
}
