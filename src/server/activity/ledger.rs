//! The server's database, as its one writer sees it.
//!
//! Owned by the `activity` thread. Every call is one transaction: all of it is written, or nothing. A
//! database that is damaged is set aside under another name, and a new one begun; nothing is deleted
//! but what is older than it has to be kept.

use super::event::Upload;
use super::pending::{Pending, Refusal};
use super::schema::MIGRATIONS;
use super::sums::{Counts, Sum, Sums};
use crate::limits::activity::{FAILED_ROWS_PER_DAY, PRUNE_ROWS};
use crate::server::key::ClientName;
use crate::sqlite::aside::{open_sound, set_aside};
use crate::sqlite::lock::{self, Lock};
use crate::sqlite::{self, DatabaseError};
use crate::wire::Day;
use crate::wire::report::{CrossCheck, Report};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};

/// What to do about a file that is no database and was there before any server.
const NOT_OURS: &str =
    "move it aside, and a new one is made, or name another file (key database.path)";

/// The one connection that writes.
pub(super) struct Ledger {
    path: PathBuf,
    connection: Connection,
    lock: Lock,
}

/// A report with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is.
    pub client: String,
    /// When it came, in seconds since 1970.
    pub received_at: i64,
    /// What it says.
    pub report: Report,
    /// How it compared with the ledger when it came.
    pub check: CrossCheck,
}

/// What was told of a client by one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The way's name.
    pub way: String,
    /// The client.
    pub client: String,
    /// Since when it is looked at, in seconds since 1970.
    pub since: i64,
    /// The state that was told last, in one word.
    pub told: String,
    /// When that was.
    pub told_at: Option<i64>,
}

/// When a client was last heard of, in seconds since 1970.
pub(super) struct LastSigns {
    pub(super) client: ClientName,
    /// A file of its was stored.
    pub(super) upload_at: Option<i64>,
    /// A report of its came.
    pub(super) report_at: Option<i64>,
}

impl Ledger {
    /// Opens the database at `path`, or makes it; `now` is seconds since 1970. A damaged one is set
    /// aside, which the log says. Fails if another process has it. `again` says that this process had
    /// it before.
    pub(super) fn open(path: &Path, now: i64, again: bool) -> Result<Self, DatabaseError> {
        let lock = lock::take(path)?;
        let connection = match open_sound(path, &lock, MIGRATIONS, NOT_OURS) {
            Ok(connection) => connection,
            Err(error) if error.is_corrupt() => begin_anew(path, &error.cause, now)?,
            Err(error) => return Err(error),
        };
        let noted = lock.has_database();
        noted.map_err(|error| DatabaseError::told("lock", path, error, ""))?;
        let mut ledger = Self { path: path.to_owned(), connection, lock };
        ledger.begin_use(now, again)?;
        Ok(ledger)
    }

    /// Sets aside a database that was found damaged while it was in use, and begins a new one.
    pub(super) fn replace(self, cause: &str, now: i64) -> Result<Self, DatabaseError> {
        let Self { path, connection, lock } = self;
        // SQLite would write to the files that belong to it as long as it has them.
        drop(connection);
        let connection = begin_anew(&path, cause, now)?;
        let mut ledger = Self { path, connection, lock };
        ledger.begin_use(now, true)?;
        Ok(ledger)
    }

    /// Notes that the ledger is in use. If the last one who had it did not end, its last lines may be
    /// missing.
    fn begin_use(&mut self, now: i64, again: bool) -> Result<(), DatabaseError> {
        self.write_all(|transaction| {
            transaction.execute(
                "INSERT INTO ledger (id, kept_since, in_use) VALUES (1, ?1, 0) \
                 ON CONFLICT DO NOTHING",
                [now],
            )?;
            let crashed: bool =
                transaction.query_row("SELECT in_use FROM ledger", [], |row| row.get(0))?;
            if crashed && !again {
                let last: Option<i64> = transaction
                    .query_row("SELECT ended_at FROM uploads ORDER BY id DESC LIMIT 1", [], |row| {
                        row.get(0)
                    })
                    .optional()?;
                let mut days = vec![Day::of(now)];
                days.extend(last.map(Day::of).filter(|day| *day != Day::of(now)));
                for day in days {
                    transaction.execute(
                        "INSERT INTO gaps (day, crashes) VALUES (?1, 1) \
                         ON CONFLICT (day) DO UPDATE SET crashes = crashes + 1",
                        [day.to_string()],
                    )?;
                }
            }
            transaction.execute("UPDATE ledger SET in_use = 1", []).map(drop)
        })
    }

    /// Notes that all was written that there was to write.
    pub(super) fn end_use(&mut self) -> Result<(), DatabaseError> {
        self.write_all(|transaction| {
            transaction.execute("UPDATE ledger SET in_use = 0", []).map(drop)
        })
    }

    /// Reads all of it, and says whether it hangs together.
    pub(super) fn examine(&self) -> Result<(), DatabaseError> {
        sqlite::check(&self.connection, &self.path)
    }

    /// When each client was last heard of.
    pub(super) fn last_signs(&self) -> Result<Vec<LastSigns>, DatabaseError> {
        let read = || {
            self.connection
                .prepare_cached("SELECT name, last_upload_at, last_report_at FROM clients")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(String, Option<i64>, Option<i64>)>>>()
        };
        let rows = read().map_err(|error| DatabaseError::new("read", &self.path, &error))?;
        let known = |(name, upload_at, report_at): (String, _, _)| {
            let client = ClientName::parse(&name).ok()?;
            Some(LastSigns { client, upload_at, report_at })
        };
        Ok(rows.into_iter().filter_map(known).collect())
    }

    /// Writes down what happened.
    pub(super) fn write(
        &mut self,
        uploads: &[Upload],
        pending: &Pending,
    ) -> Result<(), DatabaseError> {
        self.write_all(|transaction| {
            let mut sums = Sums::default();
            for upload in uploads {
                if sums.add_upload(upload) || has_room(transaction, &sums, upload)? {
                    insert_upload(transaction, upload)?;
                }
            }
            sums.add_pending(pending);
            for ((day, client), counts) in &sums.days {
                add_day(transaction, *day, client, counts)?;
            }
            for (client, sum) in &sums.clients {
                add_client(transaction, client, sum)?;
            }
            for (refusal, times) in &sums.refusals {
                add_refusal(transaction, refusal, times.count)?;
            }
            for (day, count) in &pending.dropped {
                transaction
                    .prepare_cached(
                        "INSERT INTO gaps (day, dropped) VALUES (?1, ?2) \
                         ON CONFLICT (day) DO UPDATE SET dropped = dropped + ?2",
                    )?
                    .execute(params![day.to_string(), column(*count)])?;
            }
            Ok(())
        })
    }

    /// Keeps a report; it takes the place of an earlier one of that day.
    pub(super) fn keep(&mut self, kept: &Kept) -> Result<(), DatabaseError> {
        let Kept { client, received_at, report, check } = kept;
        self.write_all(|transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO reports (day, client, received_at, report, cross_check) \
                     VALUES (?1, ?2, ?3, ?4, ?5) \
                     ON CONFLICT (day, client) DO UPDATE \
                     SET received_at = ?3, report = ?4, cross_check = ?5",
                )?
                .execute(params![
                    report.date.to_string(),
                    client,
                    received_at,
                    // Texts and numbers: they always have a form in JSON.
                    serde_json::to_string(report).unwrap_or_default(),
                    serde_json::to_string(check).unwrap_or_default(),
                ])?;
            let version = Some(&*report.version).filter(|version| !version.is_empty());
            transaction
                .prepare_cached(
                    "INSERT INTO clients (name, first_seen, last_seen, last_report_at, version) \
                     VALUES (?1, ?2, ?2, ?2, ?3) \
                     ON CONFLICT (name) DO UPDATE SET last_seen = ?2, last_report_at = ?2, \
                     version = coalesce(?3, version)",
                )?
                .execute(params![client, received_at, version])
                .map(drop)
        })
    }

    /// Keeps what was told of clients, and nothing that was kept before.
    pub(super) fn keep_told(&mut self, all: &[Told]) -> Result<(), DatabaseError> {
        self.write_all(|transaction| {
            transaction.execute("DELETE FROM alerts", [])?;
            for Told { way, client, since, told, told_at } in all {
                transaction
                    .prepare_cached(
                        "INSERT INTO alerts (way, client, since, told, told_at) \
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![way, client, since, told, told_at])?;
            }
            Ok(())
        })
    }

    /// Removes some of what is older than `oldest`, the first day that is kept. `true` if there may
    /// be more.
    pub(super) fn prune(&mut self, oldest: Day, now: i64) -> Result<bool, DatabaseError> {
        self.write_all(|transaction| {
            // Also what is dated in days to come, by a clock that was wrong: else it would stay for
            // ever at the beginning, and everything behind it.
            let removed = transaction
                .prepare_cached(
                    "DELETE FROM uploads WHERE id IN (SELECT id FROM uploads ORDER BY id LIMIT ?1) \
                     AND (ended_at < ?2 OR ended_at >= ?3)",
                )?
                .execute(params![
                    i64::try_from(PRUNE_ROWS).unwrap_or(i64::MAX),
                    oldest.start(),
                    Day::of(now).plus(2).start()
                ])?;
            let oldest = oldest.to_string();
            for table in ["days", "refusals", "reports", "gaps"] {
                let statement = format!("DELETE FROM {table} WHERE day < ?1");
                transaction.prepare_cached(&statement)?.execute([&oldest])?;
            }
            Ok(removed > 0)
        })
    }

    fn write_all<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let written = (|| {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let written = write(&transaction)?;
            transaction.commit()?;
            Ok(written)
        })();
        written.map_err(|error| DatabaseError::new("write", &self.path, &error))
    }
}

fn begin_anew(path: &Path, cause: &str, now: i64) -> Result<Connection, DatabaseError> {
    let aside = set_aside(path, now.saturating_mul(1_000_000_000)).map_err(|error| {
        let hint = "move it and what begins with its name away by hand";
        DatabaseError::told("set aside", path, error, hint)
    })?;
    log::error!(
        "database {} is damaged ({cause}); it is kept as {}, and a new one is begun: what the clients \
         did before is not known any more, their files are not concerned",
        path.display(),
        aside.display()
    );
    sqlite::open(path, MIGRATIONS)
}

/// Whether a failed upload gets a row of its own: the first ones of a day do.
fn has_room(transaction: &Transaction<'_>, sums: &Sums, upload: &Upload) -> rusqlite::Result<bool> {
    let day = Day::of(upload.ended_at);
    let now = sums.days.get(&(day, upload.client.clone())).map_or(0, |counts| counts.failures);
    let before: Option<i64> = transaction
        .prepare_cached("SELECT failures FROM days WHERE day = ?1 AND client = ?2")?
        .query_row(params![day.to_string(), upload.client.as_str()], |row| row.get(0))
        .optional()?;
    let before = u64::try_from(before.unwrap_or(0)).unwrap_or(u64::MAX);
    Ok(before.saturating_add(now) <= FAILED_ROWS_PER_DAY)
}

fn insert_upload(transaction: &Transaction<'_>, upload: &Upload) -> rusqlite::Result<()> {
    let Upload { client, peer, path, size, sha256, ended_at, took, outcome } = upload;
    transaction
        .prepare_cached(
            "INSERT INTO uploads (client, ended_at, path, size, sha256, duration_ms, peer, outcome) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            client.as_str(),
            ended_at,
            path.as_ref().map(|path| path.as_str()),
            column(*size),
            sha256.as_ref().map(|sha256| sha256.as_bytes()),
            i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            peer.to_string(),
            outcome.as_str(),
        ])
        .map(drop)
}

fn add_day(
    transaction: &Transaction<'_>,
    day: Day,
    client: &ClientName,
    counts: &Counts,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO days (day, client, files, bytes, failures) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (day, client) DO UPDATE SET files = files + ?3, bytes = bytes + ?4, \
             failures = failures + ?5",
        )?
        .execute(params![
            day.to_string(),
            client.as_str(),
            column(counts.files),
            column(counts.bytes),
            column(counts.failures)
        ])
        .map(drop)
}

/// Adds to a client's row. What was written later wins, also if a clock was set back: a moment that
/// lies ahead must not stand for ever.
fn add_client(
    transaction: &Transaction<'_>,
    client: &ClientName,
    sum: &Sum,
) -> rusqlite::Result<()> {
    let Sum { first_at, last_at, version, last_upload_at, last_error, files, bytes } = sum;
    transaction
        .prepare_cached(
            "INSERT INTO clients (name, first_seen, last_seen, version, last_upload_at, \
             last_error_at, last_error_asked, last_error, files, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT (name) DO UPDATE SET last_seen = ?3, version = coalesce(?4, version), \
             last_upload_at = coalesce(?5, last_upload_at), \
             last_error_at = coalesce(?6, last_error_at), \
             last_error_asked = coalesce(?7, last_error_asked), \
             last_error = coalesce(?8, last_error), files = files + ?9, bytes = bytes + ?10",
        )?
        .execute(params![
            client.as_str(),
            first_at,
            last_at,
            version,
            last_upload_at,
            last_error.map(|(at, ..)| at),
            last_error.map(|(_, asked, _)| asked),
            last_error.map(|(.., code)| code.as_str()),
            column(*files),
            column(*bytes),
        ])
        .map(drop)
}

fn add_refusal(
    transaction: &Transaction<'_>,
    refusal: &Refusal,
    count: u64,
) -> rusqlite::Result<()> {
    let Refusal { day, client, asked, code } = refusal;
    transaction
        .prepare_cached(
            "INSERT INTO refusals (day, client, asked, error, count) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (day, client, asked, error) DO UPDATE SET count = count + ?5",
        )?
        .execute(params![
            day.to_string(),
            client.as_ref().map_or("", ClientName::as_str),
            asked,
            code.as_str(),
            column(count)
        ])
        .map(drop)
}

/// A number as a column holds it.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
