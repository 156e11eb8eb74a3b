//! What the client remembers: which files were uploaded, which could not be, when a watch began.
//!
//! Used by the scanner and the uploader's workers, one at a time (a mutex; each call is one short
//! transaction); the scanner's pages go over a second connection. A row in `files` means that the
//! server acknowledged those bytes and that the file was seen unchanged afterwards. Losing rows
//! costs repeated uploads, nothing else.

mod pages;
mod schema;

use crate::client::fingerprint::Fingerprint;
use crate::client::plan::{Known, Record};
use crate::digest::Digest;
use crate::sqlite::{self, DatabaseError};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The client's database.
pub struct Database {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Database {
    /// Opens the database, or makes it.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let writer = sqlite::open(path, schema::MIGRATIONS)?;
        let reader = sqlite::open_read_only(path)?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// What is known of the files below the folder `below` whose paths come after `after`: the next
    /// `room` of them, in the order of the bytes of their whole paths (SQLite compares text so), and
    /// fewer only if there are no more. An empty `after` begins; later it is the last path of the
    /// page before. Files that are recorded meanwhile may or may not be there.
    ///
    /// In that order `/d/a-b` comes before `/d/a/x`, since `-` comes before `/`: a walk that is to
    /// go side by side with it compares a folder's name with a `/` behind it.
    pub fn page(
        &self,
        below: &Path,
        after: &Path,
        room: usize,
    ) -> Result<Vec<(PathBuf, Known)>, DatabaseError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        pages::read(&reader, below, after, room)
            .map_err(|error| DatabaseError::new("read", &self.path, &error))
    }

    /// What is known of an uploaded file.
    pub fn record(&self, local_path: &Path) -> Result<Option<Record>, DatabaseError> {
        let Some(local_path) = local_path.to_str() else { return Ok(None) };
        self.run("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT remote_path, file_size, mtime_ns, ctime_ns, inode, sha256 FROM files \
                     WHERE local_path = ?1",
                )?
                .query_row([local_path], record_of)
                .optional()
        })
    }

    /// Notes that a file was uploaded; it is parked no longer. `now` is Unix seconds.
    pub fn uploaded(
        &self,
        local_path: &Path,
        record: &Record,
        now: i64,
    ) -> Result<(), DatabaseError> {
        let fingerprint = &record.fingerprint;
        self.run("write", |connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction
                .prepare_cached(
                    "INSERT INTO files (local_path, remote_path, file_size, mtime, uploaded_at, \
                     mtime_ns, ctime_ns, inode, sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                     ON CONFLICT (local_path) DO UPDATE SET remote_path = ?2, file_size = ?3, \
                     mtime = ?4, uploaded_at = ?5, mtime_ns = ?6, ctime_ns = ?7, inode = ?8, \
                     sha256 = ?9",
                )?
                .execute(params![
                    local_path.to_str(),
                    record.remote_path,
                    fingerprint.size.cast_signed(),
                    fingerprint.mtime_ns.div_euclid(1_000_000_000),
                    now,
                    fingerprint.mtime_ns,
                    fingerprint.ctime_ns,
                    fingerprint.inode.cast_signed(),
                    record.sha256.as_bytes(),
                ])?;
            delete_parked(&transaction, local_path)?;
            transaction.commit()
        })
    }

    /// Notes a new fingerprint of a file whose bytes are still those that were uploaded.
    pub fn unchanged(
        &self,
        local_path: &Path,
        fingerprint: &Fingerprint,
    ) -> Result<(), DatabaseError> {
        self.run("write", |connection| {
            connection
                .prepare_cached(
                    "UPDATE files SET ctime_ns = ?2, inode = ?3 WHERE local_path = ?1 \
                     AND file_size = ?4 AND mtime_ns = ?5",
                )?
                .execute(params![
                    local_path.to_str(),
                    fingerprint.ctime_ns,
                    fingerprint.inode.cast_signed(),
                    fingerprint.size.cast_signed(),
                    fingerprint.mtime_ns,
                ])?;
            delete_parked(connection, local_path)
        })
    }

    /// Notes that a file cannot be uploaded, and why. Returns whether that is news, so that the log
    /// says it once and not at every scan.
    pub fn park(&self, local_path: &Path, reason: &str, now: i64) -> Result<bool, DatabaseError> {
        let path = local_path.as_os_str().as_bytes();
        self.run("write", |connection| {
            let before: Option<String> = connection
                .prepare_cached("SELECT reason FROM parked WHERE local_path = ?1")?
                .query_row([path], |row| row.get(0))
                .optional()?;
            connection
                .prepare_cached(
                    "INSERT INTO parked (local_path, reason, since, last_seen) \
                     VALUES (?1, ?2, ?3, ?3) \
                     ON CONFLICT (local_path) DO UPDATE SET reason = ?2, last_seen = ?3",
                )?
                .execute(params![path, reason, now])?;
            Ok(before.as_deref() != Some(reason))
        })
    }

    /// Forgets that a file was parked: it is gone, or all is well with it.
    pub fn unpark(&self, local_path: &Path) -> Result<(), DatabaseError> {
        self.run("write", |connection| delete_parked(connection, local_path))
    }

    /// All parked files with their reasons, in the order of their paths.
    pub fn parked(&self) -> Result<Vec<(PathBuf, String)>, DatabaseError> {
        self.run("read", |connection| {
            connection
                .prepare_cached("SELECT local_path, reason FROM parked ORDER BY local_path")?
                .query_map([], |row| {
                    let path: Vec<u8> = row.get(0)?;
                    Ok((PathBuf::from(std::ffi::OsStr::from_bytes(&path)), row.get(1)?))
                })?
                .collect()
        })
    }

    /// The baseline of a watch, kept since its first run: files untouched since then are not taken
    /// by scans. On the first run it becomes `first`; `None` takes everything, for ever.
    pub fn baseline(
        &self,
        local_path: &Path,
        first: Option<i64>,
    ) -> Result<Option<i64>, DatabaseError> {
        let path = local_path.as_os_str().as_bytes();
        self.run("write", |connection| {
            connection.execute(
                "INSERT INTO watches (local_path, baseline_ns) VALUES (?1, ?2) \
                 ON CONFLICT DO NOTHING",
                params![path, first],
            )?;
            connection.query_row(
                "SELECT baseline_ns FROM watches WHERE local_path = ?1",
                [path],
                |row| row.get(0),
            )
        })
    }

    fn run<T>(
        &self,
        operation: &'static str,
        statement: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        statement(&self.writer()).map_err(|error| DatabaseError::new(operation, &self.path, &error))
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic rolls its transaction back; the connection itself stays sound.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_of(row: &Row<'_>) -> rusqlite::Result<Record> {
    let sha256: Vec<u8> = row.get(5)?;
    let sha256 = Digest::from_bytes(&sha256).ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(Record { remote_path: row.get(0)?, fingerprint: pages::fingerprint_of(row, 1)?, sha256 })
}

fn delete_parked(connection: &Connection, local_path: &Path) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM parked WHERE local_path = ?1")?
        .execute([local_path.as_os_str().as_bytes()])
        .map(drop)
}

#[cfg(test)]
mod tests;
