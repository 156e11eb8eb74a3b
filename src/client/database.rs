//! What the client remembers: which files were uploaded, which could not be, when a watch began.
//!
//! Used by the scanner and the uploader's workers, one at a time (a mutex; each call is one short
//! statement). A row in `files` means that the server acknowledged those bytes and that the file
//! was seen unchanged afterwards. Losing rows costs repeated uploads, nothing else.

use crate::client::fingerprint::Fingerprint;
use crate::client::plan::Record;
use crate::digest::Digest;
use crate::sqlite::{self, DatabaseError};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Schema version 1. The columns of `files` down to `uploaded_at` are those of the design document;
/// the others are what it takes never to miss a change. A name that is not UTF-8 cannot be
/// uploaded, so it never gets a row in `files`; `parked` can hold it.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        local_path TEXT UNIQUE NOT NULL,
        remote_path TEXT NOT NULL,
        file_size INTEGER NOT NULL,
        mtime INTEGER NOT NULL,
        uploaded_at INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        sha256 BLOB NOT NULL
    );
    CREATE INDEX idx_files_local_path ON files(local_path);
    CREATE TABLE watches (
        local_path BLOB PRIMARY KEY,
        baseline_ns INTEGER
    );
    CREATE TABLE parked (
        local_path BLOB PRIMARY KEY,
        reason TEXT NOT NULL,
        since INTEGER NOT NULL,
        last_seen INTEGER NOT NULL
    );
"];

/// The client's database.
pub struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the database, or makes it.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let connection = sqlite::open(path, MIGRATIONS)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
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
        statement(&self.lock()).map_err(|error| DatabaseError::new(operation, &self.path, &error))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic rolls its transaction back; the connection itself stays sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_of(row: &Row<'_>) -> rusqlite::Result<Record> {
    let sha256: Vec<u8> = row.get(5)?;
    let sha256 = Digest::from_bytes(&sha256).ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(Record {
        remote_path: row.get(0)?,
        fingerprint: Fingerprint {
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            mtime_ns: row.get(2)?,
            ctime_ns: row.get(3)?,
            inode: row.get::<_, i64>(4)?.cast_unsigned(),
        },
        sha256,
    })
}

fn delete_parked(connection: &Connection, local_path: &Path) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM parked WHERE local_path = ?1")?
        .execute([local_path.as_os_str().as_bytes()])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("client.db")).unwrap();
        (folder, database)
    }

    fn record(size: u64) -> Record {
        Record {
            remote_path: "uploads/ä b".into(),
            fingerprint: Fingerprint { size, mtime_ns: -1, ctime_ns: i64::MAX, inode: u64::MAX },
            sha256: Digest::of(&size.to_be_bytes()),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_went_in_and_the_last_one_counts() {
        let (_folder, database) = database();
        let path = Path::new("/data/up/ä b");
        assert_eq!(database.record(path).unwrap(), None);
        for size in [0, u64::MAX, 7] {
            database.uploaded(path, &record(size), 1).unwrap();
            assert_eq!(database.record(path).unwrap(), Some(record(size)));
        }
        let touched = Fingerprint { ctime_ns: 5, inode: 6, ..record(7).fingerprint };
        database.unchanged(path, &touched).unwrap();
        assert_eq!(database.record(path).unwrap().unwrap().fingerprint, touched);
    }

    #[test]
    fn the_columns_of_the_design_document_are_there_with_their_meaning() {
        let (_folder, database) = database();
        let mut record = record(10);
        record.fingerprint.mtime_ns = 1_700_000_000_999_999_999;
        database.uploaded(Path::new("/a"), &record, 1_800_000_000).unwrap();
        let row = database.lock().query_row(
            "SELECT id, local_path, remote_path, file_size, mtime, uploaded_at FROM files",
            [],
            |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            },
        );
        let expected: (i64, String, String, i64, i64, i64) =
            (1, "/a".into(), "uploads/ä b".into(), 10, 1_700_000_000, 1_800_000_000);
        assert_eq!(row.unwrap(), expected);
    }

    #[test]
    fn a_parked_file_is_news_once_and_again_when_the_reason_changes() {
        let (_folder, database) = database();
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"/data/\xff"));
        assert!(database.park(odd, "not UTF-8", 1).unwrap());
        assert!(!database.park(odd, "not UTF-8", 2).unwrap());
        assert!(database.park(odd, "too large", 3).unwrap());
        database.park(Path::new("/b"), "too large", 3).unwrap();
        database.uploaded(Path::new("/b"), &record(1), 4).unwrap();
        assert_eq!(database.parked().unwrap(), [(odd.to_owned(), "too large".to_owned())]);
        database.unpark(odd).unwrap();
        assert_eq!(database.parked().unwrap(), []);
    }

    #[test]
    fn a_watch_keeps_the_baseline_of_its_first_run() {
        let (_folder, database) = database();
        let (a, b) = (Path::new("/a"), Path::new("/b"));
        assert_eq!(database.baseline(a, Some(5)).unwrap(), Some(5));
        assert_eq!(database.baseline(a, Some(9)).unwrap(), Some(5));
        assert_eq!(database.baseline(b, None).unwrap(), None);
        assert_eq!(database.baseline(b, Some(9)).unwrap(), None);
    }
}
