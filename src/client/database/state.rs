//! What the client remembers beside files: its watches' baselines and scans, and whether the database
//! stands for one that was lost.
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
