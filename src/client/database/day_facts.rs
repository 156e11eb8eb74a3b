//! What the database says of one day, and of what is not backed up, to whoever reports it.
//!
//! Runs on the `reporter` thread or on a command's main thread, with a connection of its own that only
//! reads: it holds up no upload, however much is parked. One transaction, and rows are counted as they
//! come: a million of them take no memory.

use super::{DayCounts, LastScan, SCHEMA, days, state};
use crate::client::daily::reasons::Reasons;
use crate::sqlite::{self, DatabaseError};
use crate::wire::Day;
use crate::wire::report::Parked;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is known for a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayFacts {
    /// What was done on the day.
    pub counts: DayCounts,
    /// Files that are in the bucket.
    pub files: u64,
    /// What is parked, by reasons.
    pub parked: Parked,
    /// For each watch that was ever scanned to its end, the last time.
    pub scans: BTreeMap<PathBuf, LastScan>,
}

/// Reads the facts. None if there is no database yet.
pub fn read(path: &Path, day: Day) -> Result<Option<DayFacts>, DatabaseError> {
    let Some(connection) = sqlite::open_if_there(path, SCHEMA)? else { return Ok(None) };
    let facts = select(&connection, day);
    facts.map(Some).map_err(|error| DatabaseError::new("read", path, &error))
}

fn select(connection: &Connection, day: Day) -> rusqlite::Result<DayFacts> {
    let transaction = connection.unchecked_transaction()?;
    let counts = days::counts(&transaction, day)?;
    // Without those that are being sent anew just now (`Database::sending`).
    let count = "SELECT count(*) FROM files WHERE file_size >= 0";
    let files: i64 = transaction.query_row(count, [], |row| row.get(0))?;
    let mut reasons = Reasons::default();
    let mut statement = transaction.prepare("SELECT reason FROM parked")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        reasons.add(row.get_ref(0)?.as_str()?);
    }
    let scans = state::last_scans(&transaction)?.into_iter().collect();
    let files = u64::try_from(files).unwrap_or_default();
    Ok(DayFacts { counts, files, parked: reasons.into_parked(), scans })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY_1, database, record};
    use super::*;

    #[test]
    fn a_day_and_what_is_parked_are_read_beside_the_client() {
        let (folder, database) = database();
        let path = folder.path().join("client.db");
        for (name, now) in [("/a", DAY_1 - 86_400), ("/b", DAY_1), ("/c", DAY_1)] {
            database.uploaded(Path::new(name), &record(7), now).unwrap();
        }
        database.sending(Path::new("/c")).unwrap();
        for (name, reason) in [("/x", "no \"x\""), ("/y", "no \"y\""), ("/z", "too large")] {
            database.park(Path::new(name), reason, DAY_1).unwrap();
        }
        database.baseline(Path::new("/w"), None).unwrap();
        let scan = LastScan { ended_at: 90, milliseconds: 1500, files: 3 };
        database.scan_ended(Path::new("/w"), &scan).unwrap();
        let facts = read(&path, Day::of(DAY_1)).unwrap().unwrap();
        assert_eq!(facts.counts, DayCounts { files: 2, bytes: 14, failures: 3 });
        assert_eq!((facts.files, facts.parked.count), (2, 3));
        assert_eq!(&*facts.parked.reasons[0].reason, "no …");
        assert_eq!(facts.scans, BTreeMap::from([("/w".into(), scan)]));
        let empty = read(&path, Day::of(0)).unwrap().unwrap();
        assert_eq!(empty.counts, DayCounts::default());
    }

    #[test]
    fn where_there_is_no_database_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        assert_eq!(read(&path, Day::of(DAY_1)).unwrap(), None);
        assert!(!path.exists());
    }
}
