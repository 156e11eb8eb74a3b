//! What the client remembers beside files: its watches' baselines and scans, what it did by day,
//! and whether the database stands for one that was lost.
//!
//! Functions over a connection, called by [`super::Database`] under its mutex.

use crate::client::baseline::Moment;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The last scan of a watch that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastScan {
    /// When it ended, Unix seconds.
    pub ended_at: i64,
    /// How long it took, in milliseconds.
    pub milliseconds: i64,
    /// How many files it saw that belong to the backup.
    pub files: i64,
}

/// What was done on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayTotals {
    /// The day in UTC, as `2026-11-28`.
    pub date: String,
    /// Uploads that were acknowledged; a file that was uploaded twice counts twice.
    pub files: i64,
    /// Bytes of these uploads.
    pub bytes: i64,
    /// Files that were parked, each once a reason.
    pub failures: i64,
    /// When the last of these uploads was recorded, Unix seconds.
    pub last_upload_at: Option<i64>,
}

pub(super) fn baseline(
    connection: &Connection,
    watch: &Path,
    first: Option<i64>,
) -> rusqlite::Result<Option<i64>> {
    let path = watch.as_os_str().as_bytes();
    connection.execute(
        "INSERT INTO watches (local_path, baseline_ns) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![path, first],
    )?;
    let kept = "SELECT baseline_ns FROM watches WHERE local_path = ?1";
    connection.query_row(kept, [path], |row| row.get(0))
}

pub(super) fn lower_baseline(
    connection: &Connection,
    watch: &Path,
    baseline_ns: i64,
) -> rusqlite::Result<()> {
    let lower = "UPDATE watches SET baseline_ns = ?2 WHERE local_path = ?1 AND baseline_ns > ?2";
    connection.execute(lower, params![watch.as_os_str().as_bytes(), baseline_ns]).map(drop)
}

pub(super) fn looked(connection: &Connection, watch: &Path) -> rusqlite::Result<Option<Moment>> {
    let kept = "SELECT looked_boot, looked_ns FROM watches WHERE local_path = ?1 \
                AND looked_boot IS NOT NULL AND looked_ns IS NOT NULL";
    connection
        .query_row(kept, [watch.as_os_str().as_bytes()], |row| {
            let since_boot = Duration::from_nanos(row.get::<_, i64>(1)?.max(0).unsigned_abs());
            Ok(Moment { boot: row.get(0)?, since_boot })
        })
        .optional()
}

pub(super) fn keep_look(
    connection: &Connection,
    watch: &Path,
    moment: &Moment,
) -> rusqlite::Result<()> {
    let since_boot = i64::try_from(moment.since_boot.as_nanos()).unwrap_or(i64::MAX);
    connection
        .execute(
            "UPDATE watches SET looked_boot = ?2, looked_ns = ?3 WHERE local_path = ?1",
            params![watch.as_os_str().as_bytes(), moment.boot, since_boot],
        )
        .map(drop)
}

pub(super) fn scan_ended(
    connection: &Connection,
    watch: &Path,
    scan: &LastScan,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE watches SET scan_ended_at = ?2, scan_ms = ?3, scan_files = ?4 \
             WHERE local_path = ?1",
            params![watch.as_os_str().as_bytes(), scan.ended_at, scan.milliseconds, scan.files],
        )
        .map(drop)
}

pub(super) fn last_scans(connection: &Connection) -> rusqlite::Result<Vec<(PathBuf, LastScan)>> {
    connection
        .prepare_cached(
            "SELECT local_path, scan_ended_at, scan_ms, scan_files FROM watches \
             WHERE scan_ended_at IS NOT NULL ORDER BY local_path",
        )?
        .query_map([], |row| {
            let path: Vec<u8> = row.get(0)?;
            let scan =
                LastScan { ended_at: row.get(1)?, milliseconds: row.get(2)?, files: row.get(3)? };
            Ok((PathBuf::from(OsStr::from_bytes(&path)), scan))
        })?
        .collect()
}

pub(super) fn count_upload(connection: &Connection, bytes: u64, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO daily_stats (date, files, bytes, last_upload_at) \
             VALUES (date(?1, 'unixepoch'), 1, ?2, ?1) ON CONFLICT (date) DO UPDATE SET \
             files = files + 1, bytes = bytes + ?2, last_upload_at = ?1",
        )?
        .execute(params![now, bytes.cast_signed()])
        .map(drop)
}

pub(super) fn count_failure(connection: &Connection, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO daily_stats (date, failures) VALUES (date(?1, 'unixepoch'), 1) \
             ON CONFLICT (date) DO UPDATE SET failures = failures + 1",
        )?
        .execute([now])
        .map(drop)
}

pub(super) fn days(connection: &Connection, most: usize) -> rusqlite::Result<Vec<DayTotals>> {
    connection
        .prepare_cached(
            "SELECT date, files, bytes, failures, last_upload_at FROM daily_stats \
             ORDER BY date DESC LIMIT ?1",
        )?
        .query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| {
            Ok(DayTotals {
                date: row.get(0)?,
                files: row.get(1)?,
                bytes: row.get(2)?,
                failures: row.get(3)?,
                last_upload_at: row.get(4)?,
            })
        })?
        .collect()
}

pub(super) fn last_upload_at(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT last_upload_at FROM daily_stats WHERE last_upload_at IS NOT NULL \
             ORDER BY date DESC LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()
}

/// When the database was begun in place of a damaged one, nanoseconds since 1970.
pub(super) fn rebuilt_at(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let rebuilt = "SELECT max(rebuilt_at_ns) FROM rebuilds";
    connection.query_row(rebuilt, [], |row| row.get(0))
}

/// Has an empty database stand for one that was lost: it takes all that is in `watches`, and says
/// that the server may have it. On the disk when this returns.
pub(super) fn begin_anew(
    connection: &mut Connection,
    watches: &[&Path],
    now_ns: i64,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("INSERT INTO rebuilds (rebuilt_at_ns) VALUES (?1)", [now_ns])?;
    for watch in watches {
        baseline(&transaction, watch, None)?;
    }
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}
