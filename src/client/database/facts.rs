//! What the database says to the commands: facts that outlive the client.
//!
//! Runs on a command's main thread, with a connection of its own that only reads; a client may
//! be running and writing beside it. One transaction, so that the numbers fit together.

use super::{LastScan, SCHEMA, state};
use crate::sqlite::{self, DatabaseError};
use rusqlite::Connection;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What is known of the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Files that are in the bucket.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many files and folders are parked.
    pub parked_count: u64,
    /// How many of them are folders.
    pub parked_folders: u64,
    /// Those that were asked for, in the order of their paths.
    pub parked: Vec<Parked>,
    /// The last uploads, the latest first.
    pub last_uploads: Vec<LastUpload>,
    /// For each watch that ever began, from when on its files count, in nanoseconds since 1970;
    /// none: all of them.
    pub baselines: BTreeMap<PathBuf, Option<i64>>,
    /// For each watch that was ever scanned to its end, the last time.
    pub scans: BTreeMap<PathBuf, LastScan>,
}

/// A file that is not backed up as it stands, or a folder in which something cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The file, or the folder with a `/` at the end.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// When it was tried last.
    pub last_seen: i64,
}

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastUpload {
    /// The file.
    pub path: String,
    /// What it is called in this client's part of the bucket.
    pub remote_path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was acknowledged, in seconds since 1970.
    pub uploaded_at: i64,
}

/// Reads the facts, with `parked` files at most, and `uploads` of the last uploads. None if there is
/// no database yet.
pub fn read(path: &Path, parked: usize, uploads: usize) -> Result<Option<Facts>, DatabaseError> {
    let Some(connection) = sqlite::open_if_there(path, SCHEMA)? else { return Ok(None) };
    let facts = select(&connection, parked, uploads);
    facts.map(Some).map_err(|error| DatabaseError::new("read", path, &error))
}

fn select(connection: &Connection, parked: usize, uploads: usize) -> rusqlite::Result<Facts> {
    let transaction = connection.unchecked_transaction()?;
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    let limit = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    // Without those that are being sent anew just now (`Database::sending`).
    let (files, bytes) = transaction.query_row(
        "SELECT count(*), CAST(total(file_size) AS INTEGER) FROM files WHERE file_size >= 0",
        [],
        |row| Ok((number(row.get(0)?), number(row.get(1)?))),
    )?;
    let (parked_count, parked_folders) = transaction.query_row(
        "SELECT count(*), count(*) FILTER (WHERE substr(local_path, -1) = CAST('/' AS BLOB)) \
         FROM parked",
        [],
        |row| Ok((number(row.get(0)?), number(row.get(1)?))),
    )?;
    let parked = transaction
        .prepare(
            "SELECT local_path, reason, since, last_seen FROM parked ORDER BY local_path LIMIT ?1",
        )?
        .query_map([limit(parked)], |row| {
            Ok(Parked {
                path: path_of(row.get(0)?),
                reason: row.get(1)?,
                since: row.get(2)?,
                last_seen: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let last_uploads = transaction
        .prepare(
            "SELECT local_path, remote_path, file_size, uploaded_at FROM files \
             WHERE file_size >= 0 ORDER BY uploaded_at DESC, local_path LIMIT ?1",
        )?
        .query_map([limit(uploads)], |row| {
            Ok(LastUpload {
                path: row.get(0)?,
                remote_path: row.get(1)?,
                size: row.get::<_, i64>(2)?.cast_unsigned(),
                uploaded_at: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let baselines = transaction
        .prepare("SELECT local_path, baseline_ns FROM watches")?
        .query_map([], |row| Ok((path_of(row.get(0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let scans = state::last_scans(&transaction)?.into_iter().collect();
    Ok(Facts { files, bytes, parked_count, parked_folders, parked, last_uploads, baselines, scans })
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::database::Database;
    use crate::client::fingerprint::Fingerprint;
    use crate::client::plan::Record;
    use crate::digest::Digest;

    #[test]
    fn what_a_client_wrote_is_read_while_it_runs_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        assert_eq!(read(&path, 9, 9).unwrap(), None);
        assert!(!path.exists());
        let database = Database::open(&path).unwrap();
        assert_eq!(read(&path, 9, 9).unwrap(), Some(Facts::default()));
        let record = |size| Record {
            remote_path: "up/a".into(),
            fingerprint: Fingerprint { size, mtime_ns: 0, ctime_ns: 0, inode: 1 },
            sha256: Digest::of(b"x"),
        };
        for (name, size, now) in [("/a", 5, 30), ("/b", 7, 10), ("/c", 11, 20)] {
            database.uploaded(Path::new(name), &record(size), now).unwrap();
        }
        let odd = Path::new(OsStr::from_bytes(b"/odd\xff"));
        database.park(odd, "not UTF-8", 40).unwrap();
        database.park(odd, "not UTF-8", 50).unwrap();
        database.park(Path::new("/large"), "too large", 60).unwrap();
        database.park(Path::new("/shut/"), "denied", 70).unwrap();
        database.baseline(Path::new("/w"), Some(7)).unwrap();
        let scan = LastScan { ended_at: 90, milliseconds: 1500, files: 3 };
        database.scan_ended(Path::new("/w"), &scan).unwrap();
        let facts = read(&path, 9, 2).unwrap().unwrap();
        assert_eq!((facts.files, facts.bytes), (3, 23));
        assert_eq!((facts.parked_count, facts.parked_folders), (3, 1));
        let names: Vec<&str> = facts.last_uploads.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["/a", "/c"], "the latest first");
        let parked = |path: &Path, reason: &str, since, last_seen| Parked {
            path: path.to_owned(),
            reason: reason.into(),
            since,
            last_seen,
        };
        assert_eq!(
            facts.parked,
            [
                parked(Path::new("/large"), "too large", 60, 60),
                parked(odd, "not UTF-8", 40, 50),
                parked(Path::new("/shut/"), "denied", 70, 70),
            ]
        );
        assert_eq!(facts.baselines, BTreeMap::from([("/w".into(), Some(7))]));
        assert_eq!(facts.scans, BTreeMap::from([("/w".into(), scan)]));
        let few = read(&path, 1, 0).unwrap().unwrap();
        assert_eq!((few.parked_count, few.parked.len(), few.last_uploads.len()), (3, 1, 0));
    }
}
