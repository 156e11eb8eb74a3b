//! What the client remembers: which files were uploaded, which could not be, when a watch began.
//!
//! Used by the scanner and the uploader's workers, one at a time (a mutex; each call is one short
//! transaction); the scanner's pages go over a second connection. A row in `files` means that the
//! server acknowledged those bytes and that the file was seen unchanged afterwards. Losing rows
//! costs repeated uploads, nothing else.

mod damage;
pub mod day_facts;
mod days;
pub mod facts;
mod pages;
mod schema;
mod state;

use crate::client::baseline::Moment;
use crate::client::fingerprint::Fingerprint;
use crate::client::plan::{self, Record, UNFINISHED_SIZE};
use crate::digest::Digest;
use crate::sqlite::lock::{self, Lock};
use crate::sqlite::{self, DatabaseError};
use crate::threads::Stop;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use damage::Mark;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use days::{DayCounts, DayTotals};
pub use state::LastScan;

/// The version of the schema that this program knows.
pub const SCHEMA: usize = schema::MIGRATIONS.len();

/// The client's database.
pub struct Database {
    path: PathBuf,
    // In this order: the connection that is closed last takes SQLite's log away, if it may write.
    /// Not there for a database in memory, which has one connection.
    reader: Option<Mutex<Connection>>,
    writer: Mutex<Connection>,
    rebuilt_ns: Option<i64>,
    claim: Option<Claim>,
}

/// What only the client has that the database belongs to.
struct Claim {
    mark: Mark,
    broken: Receiver<()>,
    /// Dropped when the database is found damaged.
    sound: Mutex<Option<Sender<()>>>,
    _lock: Lock,
}

impl Database {
    /// Opens the database for the one client it belongs to, or makes it. A damaged one is set aside
    /// and a new one begun that takes everything in `watches` and asks the server first; `now_ns` is
    /// nanoseconds since 1970. Fails if another client has it.
    pub fn claim(path: &Path, watches: &[&Path], now_ns: i64) -> Result<Self, DatabaseError> {
        let lock = lock::take(path)?;
        let writer = damage::open_or_begin_anew(path, &lock, watches, now_ns)?;
        // If that cannot be noted, a file that is emptied later will look like a first run.
        let noted = lock.has_database();
        noted.map_err(|error| DatabaseError::told("lock", path, error, ""))?;
        let (sound, broken) = bounded(0);
        let (mark, sound) = (Mark::of(path), Mutex::new(Some(sound)));
        let claim = Claim { mark, broken, sound, _lock: lock };
        let database = Self::over(path, writer).inspect_err(|error| {
            if error.is_corrupt() {
                claim.give_up(error);
            }
        })?;
        Ok(Self { claim: Some(claim), ..database })
    }

    /// Opens the database, or makes it, and leaves it to the caller that nobody else has it.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        Self::over(path, sqlite::open(path, schema::MIGRATIONS)?)
    }

    /// Opens the database to look at it, also while a client has it. It is neither made nor changed;
    /// what would write fails.
    pub fn open_read_only(path: &Path) -> Result<Self, DatabaseError> {
        Self::over(path, sqlite::open_read_only(path, schema::MIGRATIONS.len())?)
    }

    /// A database that is gone when it is dropped.
    pub fn in_memory() -> Result<Self, DatabaseError> {
        let writer = Mutex::new(sqlite::open_in_memory(schema::MIGRATIONS)?);
        let path = PathBuf::from(":memory:");
        Ok(Self { path, writer, reader: None, rebuilt_ns: None, claim: None })
    }

    /// As [`Database::in_memory`], in place of a damaged one; see [`Database::claim`].
    pub fn in_memory_anew(watches: &[&Path], now_ns: i64) -> Result<Self, DatabaseError> {
        let database = Self::in_memory()?;
        let begun = state::begin_anew(&mut database.writer(), watches, now_ns);
        begun.map_err(|error| database.failed("write", &error))?;
        Ok(Self { rebuilt_ns: Some(now_ns), ..database })
    }

    fn over(path: &Path, writer: Connection) -> Result<Self, DatabaseError> {
        let rebuilt_ns =
            state::rebuilt_at(&writer).map_err(|error| DatabaseError::new("read", path, &error))?;
        let reader = sqlite::open_read_only(path, schema::MIGRATIONS.len())?;
        let (writer, reader) = (Mutex::new(writer), Some(Mutex::new(reader)));
        Ok(Self { path: path.to_owned(), writer, reader, rebuilt_ns, claim: None })
    }

    /// Returns when the database is found damaged, or when the program is ending.
    ///
    /// A thread waits here: its end ends the program, and the next start sets the file aside. To go
    /// on would be to upload and never to know it.
    pub fn wait_until_broken(&self, stop: &Stop) {
        match &self.claim {
            Some(claim) => select! {
                recv(claim.broken) -> _ => {}
                recv(stop.receiver()) -> _ => {}
            },
            None => {
                let _ = stop.receiver().recv();
            }
        }
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

    /// Notes that other bytes are about to be sent under a file's name. From now on until it is
    /// [`uploaded`](Self::uploaded), nobody knows what is stored there, so that even a file that comes
    /// back as it was has to be sent again. The row stays: it is known that the file is wanted.
    pub fn sending(&self, local_path: &Path) -> Result<(), DatabaseError> {
        self.run("write", |connection| {
            connection
                .prepare_cached("UPDATE files SET file_size = ?2 WHERE local_path = ?1")?
                .execute(params![local_path.to_str(), UNFINISHED_SIZE.cast_signed()])
                .map(drop)
        })
    }

    /// Notes that a file was uploaded; it is parked no longer. `now` is Unix seconds.
    pub fn uploaded(
        &self,
        local_path: &Path,
        record: &Record,
        now: i64,
    ) -> Result<(), DatabaseError> {
        let size = record.fingerprint.size;
        self.keep(local_path, record, now, |connection| days::count_upload(connection, size, now))
    }

    /// Notes that the server has a file of which the database had lost its row; it is parked no
    /// longer. Nothing was uploaded. `now` is Unix seconds.
    pub fn recalled(
        &self,
        local_path: &Path,
        record: &Record,
        now: i64,
    ) -> Result<(), DatabaseError> {
        self.keep(local_path, record, now, |_| Ok(()))
    }

    /// Writes a row and what belongs to it, all or nothing.
    fn keep(
        &self,
        local_path: &Path,
        record: &Record,
        now: i64,
        beside: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), DatabaseError> {
        self.run("write", |connection| {
            let transaction = connection.unchecked_transaction()?;
            write_record(&transaction, local_path, record, now)?;
            beside(&transaction)?;
            transaction.commit()
        })
    }

    /// Whether the server may have a file without a row, so that it has to be asked: the database
    /// stands for one that was lost, and the file has not been touched since.
    pub fn may_have_lost(&self, now: &Fingerprint) -> bool {
        plan::may_be_lost(self.rebuilt_ns, now)
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
            let transaction = connection.unchecked_transaction()?;
            let before: Option<String> = transaction
                .prepare_cached("SELECT reason FROM parked WHERE local_path = ?1")?
                .query_row([path], |row| row.get(0))
                .optional()?;
            transaction
                .prepare_cached(
                    "INSERT INTO parked (local_path, reason, since, last_seen) \
                     VALUES (?1, ?2, ?3, ?3) \
                     ON CONFLICT (local_path) DO UPDATE SET reason = ?2, last_seen = ?3",
                )?
                .execute(params![path, reason, now])?;
            let news = before.as_deref() != Some(reason);
            if news {
                days::count_failure(&transaction, now)?;
            }
            transaction.commit()?;
            Ok(news)
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

    /// Forgets that a path was parked, unless it was parked again between `since` and `now` (Unix
    /// seconds). A note from after `now` is one from before the clock was set back. If that was after
    /// `since`, nobody knows when a note is from, and none is forgotten.
    pub fn forget_parked(
        &self,
        local_path: &Path,
        since: i64,
        now: i64,
    ) -> Result<(), DatabaseError> {
        self.run("write", |connection| {
            connection
                .prepare_cached(
                    "DELETE FROM parked WHERE local_path = ?1 AND ?2 <= ?3 \
                     AND last_seen NOT BETWEEN ?2 AND ?3",
                )?
                .execute(params![local_path.as_os_str().as_bytes(), since, now])
                .map(drop)
        })
    }

    /// How many files are parked.
    pub fn parked_count(&self) -> Result<u64, DatabaseError> {
        self.run("read", |connection| {
            let count: i64 = connection
                .prepare_cached("SELECT count(*) FROM parked")?
                .query_row([], |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }

    /// The baseline of a watch, kept since its first run: files untouched since then are not taken
    /// by scans. On the first run it becomes `first`; `None` takes everything, for ever.
    pub fn baseline(
        &self,
        local_path: &Path,
        first: Option<i64>,
    ) -> Result<Option<i64>, DatabaseError> {
        self.run("write", |connection| state::baseline(connection, local_path, first))
    }

    /// Lowers the baseline of a watch: files that were touched since `baseline_ns` are taken, too.
    /// One that is lower already, or takes everything, stays.
    pub fn lower_baseline(&self, local_path: &Path, baseline_ns: i64) -> Result<(), DatabaseError> {
        self.run("write", |connection| state::lower_baseline(connection, local_path, baseline_ns))
    }

    /// When the baseline of a watch was last compared with its clock, if that was ever noted.
    pub fn looked(&self, local_path: &Path) -> Result<Option<Moment>, DatabaseError> {
        self.run("read", |connection| state::looked(connection, local_path))
    }

    /// Notes that the baseline of a watch was compared with its clock. What that lowered must have
    /// been noted before: nothing would find it again.
    pub fn keep_look(&self, local_path: &Path, moment: &Moment) -> Result<(), DatabaseError> {
        self.run("write", |connection| state::keep_look(connection, local_path, moment))
    }

    /// Notes that a scan of a whole watch came to its end. The watch must have a baseline, if only
    /// one that takes everything; otherwise nothing is noted.
    pub fn scan_ended(&self, local_path: &Path, scan: &LastScan) -> Result<(), DatabaseError> {
        self.run("write", |connection| state::scan_ended(connection, local_path, scan))
    }

    /// The last scans of all watches that were ever scanned, in the order of their paths. Some may no
    /// longer be configured.
    pub fn last_scans(&self) -> Result<Vec<(PathBuf, LastScan)>, DatabaseError> {
        self.run("read", state::last_scans)
    }

    /// How many files are known to be in the bucket: 70 ms for a million.
    pub fn file_count(&self) -> Result<u64, DatabaseError> {
        self.run("read", |connection| {
            connection.query_row("SELECT count(*) FROM files", [], |row| row.get::<_, i64>(0))
        })
        .map(i64::cast_unsigned)
    }

    fn run<T>(
        &self,
        operation: &'static str,
        statement: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        statement(&self.writer()).map_err(|error| self.failed(operation, &error))
    }

    fn failed(&self, operation: &'static str, error: &rusqlite::Error) -> DatabaseError {
        let error = DatabaseError::new(operation, &self.path, error);
        if let (true, Some(claim)) = (error.is_corrupt(), &self.claim) {
            claim.give_up(&error);
        }
        error
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic rolls its transaction back; the connection itself stays sound.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Ends the program, once, because of a damaged database.
    fn give_up(&self, error: &DatabaseError) {
        let sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner).take();
        if sound.is_none() {
            return;
        }
        if let Err(error) = self.mark.set(&error.cause) {
            log::error!("cannot note that the database is damaged: {error}");
        }
        log::error!(
            "the database is damaged and the program ends; its next start sets the file aside and \
             asks the server what it has: {error}"
        );
    }
}
fn write_record(
    connection: &Connection,
    local_path: &Path,
    record: &Record,
    now: i64,
) -> rusqlite::Result<()> {
    let fingerprint = &record.fingerprint;
    connection
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
    delete_parked(connection, local_path)
}

fn record_of(row: &Row<'_>) -> rusqlite::Result<Record> {
    let sha256: Vec<u8> = row.get(5)?;
    let sha256 = Digest::from_bytes(&sha256).ok_or_else(|| {
        rusqlite::Error::InvalidColumnType(5, "sha256".to_owned(), rusqlite::types::Type::Blob)
    })?;
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
