//! What the server's database knows, for whoever asks.
//!
//! Runs on the worker threads and in commands. Each question has a read-only connection of its own and
//! one transaction, so that the numbers fit together and the writer waits for nobody.

use super::cross_check::{Amount, Recorded, Windows};
use super::event::Outcome;
use super::ledger::{Kept, Told};
use super::schema::MIGRATIONS;
use crate::sqlite::{self, DatabaseError};
use crate::wire::Day;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of the schema that this program knows.
pub const SCHEMA: usize = MIGRATIONS.len();

/// The server's database, to look at.
pub struct Reading {
    path: PathBuf,
    connection: Connection,
}

/// What was counted of a client's day, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Uploads that were stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Uploads that were refused or failed.
    pub failures: u64,
}

/// What is known of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFacts {
    /// The first request with its key, in seconds since 1970, as all moments here.
    pub first_seen: i64,
    /// The last one.
    pub last_seen: i64,
    /// What it says its version is.
    pub version: Option<String>,
    /// The last upload that was stored.
    pub last_upload_at: Option<i64>,
    /// The last report.
    pub last_report_at: Option<i64>,
    /// The last request of its that failed.
    pub last_error: Option<LastError>,
    /// All uploads that were ever stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastError {
    /// When.
    pub at: i64,
    /// What was asked for, in one word.
    pub asked: String,
    /// The error code.
    pub error: String,
}

/// What is known of all clients, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Each client that was ever there.
    pub clients: BTreeMap<String, ClientFacts>,
    /// Their days, from the one that was asked for on.
    pub days: BTreeMap<String, BTreeMap<Day, Counts>>,
    /// The report of each client whose day is the latest.
    pub last_reports: BTreeMap<String, Kept>,
}

impl Reading {
    /// Opens the database at `path`, which somebody may be writing to.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let connection = sqlite::open_read_only(path, SCHEMA)?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// What is known of all clients, with their days from `since` on.
    pub fn facts(&self, since: Day) -> Result<Facts, DatabaseError> {
        self.read(|connection| {
            Ok(Facts {
                clients: clients(connection)?,
                days: days(connection, since)?,
                last_reports: last_reports(connection)?,
            })
        })
    }

    /// When the database was begun, in seconds since 1970, and what was told of clients.
    pub fn told(&self) -> Result<(i64, Vec<Told>), DatabaseError> {
        self.read(|connection| {
            let kept_since =
                connection.query_row("SELECT kept_since FROM ledger", [], |row| row.get(0))?;
            let told = connection
                .prepare_cached("SELECT way, client, since, told, told_at FROM alerts")?
                .query_map([], |row| {
                    Ok(Told {
                        way: row.get(0)?,
                        client: row.get(1)?,
                        since: row.get(2)?,
                        told: row.get(3)?,
                        told_at: row.get(4)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok((kept_since, told))
        })
    }

    /// All reports of a day, in the order of the clients' names.
    pub fn reports(&self, day: Day) -> Result<Vec<Kept>, DatabaseError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT client, received_at, report, cross_check FROM reports WHERE day = ?1 \
                     ORDER BY client",
                )?
                .query_map([day.to_string()], kept)?
                .filter_map(Result::transpose)
                .collect()
        })
    }

    /// What is recorded of a client's day, with its `windows`. Looks at every upload of the day unless
    /// the client counts the same, `counted`: then nobody will want to know.
    pub fn recorded(
        &self,
        client: &str,
        day: Day,
        windows: Option<&Windows>,
        counted: Amount,
    ) -> Result<Recorded, DatabaseError> {
        self.read(|connection| {
            let kept_since =
                connection.query_row("SELECT kept_since FROM ledger", [], |row| row.get(0))?;
            let recorded = Recorded {
                day: amount_of(connection, client, day)?,
                kept_since,
                ..Recorded::default()
            };
            let Some(windows) = windows.filter(|_| recorded.day != counted) else {
                return Ok(recorded);
            };
            let (first, last) = (Day::of(windows.possible.start), Day::of(windows.possible.end));
            let (dropped, crashes): (i64, i64) = connection.query_row(
                "SELECT coalesce(sum(dropped), 0), coalesce(sum(crashes), 0) FROM gaps \
                 WHERE day BETWEEN ?1 AND ?2",
                [first.to_string(), last.to_string()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let certain_paths = connection.query_row(
                "SELECT count(DISTINCT path) FROM uploads \
                 WHERE client = ?1 AND ended_at >= ?2 AND ended_at < ?3 AND outcome = ?4",
                params![client, windows.certain.start, windows.certain.end, Outcome::STORED],
                |row| number(row, 0),
            )?;
            let possible = connection.query_row(
                "SELECT count(*), coalesce(sum(size), 0) FROM uploads \
                 WHERE client = ?1 AND ended_at >= ?2 AND ended_at < ?3 AND outcome = ?4",
                params![client, windows.possible.start, windows.possible.end, Outcome::STORED],
                |row| Ok(Amount { files: number(row, 0)?, bytes: number(row, 1)? }),
            )?;
            let dropped = u64::try_from(dropped).unwrap_or(0);
            Ok(Recorded { certain_paths, possible, dropped, crashed: crashes > 0, ..recorded })
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let read = self.connection.unchecked_transaction().and_then(|transaction| {
            let read = read(&transaction)?;
            transaction.finish()?;
            Ok(read)
        });
        read.map_err(|error| DatabaseError::new("read", &self.path, &error))
    }
}

fn clients(connection: &Connection) -> rusqlite::Result<BTreeMap<String, ClientFacts>> {
    connection
        .prepare_cached(
            "SELECT name, first_seen, last_seen, version, last_upload_at, last_report_at, \
             last_error_at, last_error_asked, last_error, files, bytes FROM clients",
        )?
        .query_map([], |row| {
            let last_error = match (row.get(6)?, row.get(7)?, row.get(8)?) {
                (Some(at), Some(asked), Some(error)) => Some(LastError { at, asked, error }),
                _ => None,
            };
            let facts = ClientFacts {
                first_seen: row.get(1)?,
                last_seen: row.get(2)?,
                version: row.get(3)?,
                last_upload_at: row.get(4)?,
                last_report_at: row.get(5)?,
                last_error,
                files: number(row, 9)?,
                bytes: number(row, 10)?,
            };
            Ok((row.get(0)?, facts))
        })?
        .collect()
}

fn days(
    connection: &Connection,
    since: Day,
) -> rusqlite::Result<BTreeMap<String, BTreeMap<Day, Counts>>> {
    let mut all: BTreeMap<String, BTreeMap<Day, Counts>> = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT client, day, files, bytes, failures FROM days WHERE day >= ?1 ORDER BY day",
    )?;
    let mut rows = statement.query([since.to_string()])?;
    while let Some(row) = rows.next()? {
        let counts =
            Counts { files: number(row, 2)?, bytes: number(row, 3)?, failures: number(row, 4)? };
        all.entry(row.get(0)?).or_default().insert(day(row, 1)?, counts);
    }
    Ok(all)
}

fn amount_of(connection: &Connection, client: &str, day: Day) -> rusqlite::Result<Amount> {
    let amount = connection
        .prepare_cached("SELECT files, bytes FROM days WHERE day = ?1 AND client = ?2")?
        .query_row(params![day.to_string(), client], |row| {
            Ok(Amount { files: number(row, 0)?, bytes: number(row, 1)? })
        })
        .optional()?;
    Ok(amount.unwrap_or_default())
}

fn last_reports(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Kept>> {
    let mut statement = connection.prepare_cached(
        "SELECT client, received_at, report, cross_check FROM reports \
         WHERE id IN (SELECT (SELECT id FROM reports WHERE client = name \
                              ORDER BY day DESC LIMIT 1) FROM clients)",
    )?;
    let all = statement.query_map([], kept)?;
    let all = all.filter_map(Result::transpose);
    all.map(|one| one.map(|kept| (kept.client.clone(), kept))).collect()
}

/// A report; none if a newer version has written something that this one does not understand.
fn kept(row: &Row<'_>) -> rusqlite::Result<Option<Kept>> {
    let (client, received_at) = (row.get(0)?, row.get(1)?);
    let (report, check): (String, String) = (row.get(2)?, row.get(3)?);
    let (Ok(report), Ok(check)) = (serde_json::from_str(&report), serde_json::from_str(&check))
    else {
        return Ok(None);
    };
    Ok(Some(Kept { client, received_at, report, check }))
}

fn day(row: &Row<'_>, index: usize) -> rusqlite::Result<Day> {
    let text: String = row.get(index)?;
    text.parse().map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(index, kind, Box::new(error))
    })
}

fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}
