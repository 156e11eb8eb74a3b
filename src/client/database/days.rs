//! What was done by day, and which days the server knows of.
//!
//! Called by [`super::Database`] under its mutex, and by the facts over their own connection. A day is
//! counted in the transaction of the row that it is about. One that is counted on after it was
//! reported, as happens when a clock is set back, is no longer reported.

use super::Database;
use crate::limits::daily::{KEPT_DAYS, LATE_DAYS_MAX};
use crate::sqlite::DatabaseError;
use crate::wire::Day;
use rusqlite::{Connection, OptionalExtension as _, params};

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

/// What a report says was done on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// Uploads that were acknowledged.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were parked, each once a reason.
    pub failures: u64,
}

impl Database {
    /// What was done on each of the last `most` days that are noted, the last one first.
    pub fn days(&self, most: usize) -> Result<Vec<DayTotals>, DatabaseError> {
        self.run("read", |connection| select_days(connection, most))
    }

    /// When the last upload was recorded, Unix seconds.
    pub fn last_upload_at(&self) -> Result<Option<i64>, DatabaseError> {
        self.run("read", last_upload_at)
    }

    /// Notes that the client was running on this day, so that a day on which nothing was done is
    /// reported, too, and one on which it was down is not. Forgets the oldest of very many days.
    pub fn live_on(&self, today: Day) -> Result<(), DatabaseError> {
        self.run("write", |connection| {
            let transaction = connection.unchecked_transaction()?;
            let noted = "INSERT INTO daily_stats (date) VALUES (?1) ON CONFLICT DO NOTHING";
            transaction.execute(noted, [today.to_string()])?;
            // By their number and not by today: a clock that is wrong for a moment takes none away.
            transaction.execute(
                "DELETE FROM daily_stats WHERE date <= \
                 (SELECT date FROM daily_stats ORDER BY date DESC LIMIT 1 OFFSET ?1)",
                [KEPT_DAYS],
            )?;
            transaction.commit()
        })
    }

    /// The days before `today` that the server has not acknowledged as they are counted now, the
    /// oldest first: those on which the client was running, as far back as `limits::daily` says, and
    /// yesterday, unless the database began today.
    pub fn unreported(&self, today: Day) -> Result<Vec<Day>, DatabaseError> {
        self.run("read", |connection| unreported(connection, today))
    }

    /// Notes, at `now` in Unix seconds, that the server has acknowledged that this was done on a day.
    /// Returns whether that is noted: it is not if the day was counted on meanwhile.
    pub fn reported(&self, day: Day, counts: &DayCounts, now: i64) -> Result<bool, DatabaseError> {
        self.run("write", |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO daily_stats (date, reported_at) VALUES (?1, ?2) \
                     ON CONFLICT (date) DO UPDATE SET reported_at = ?2 \
                     WHERE files = ?3 AND bytes = ?4 AND failures = ?5",
                )?
                .execute(params![
                    day.to_string(),
                    now,
                    counts.files.cast_signed(),
                    counts.bytes.cast_signed(),
                    counts.failures.cast_signed(),
                ])
                .map(|rows| rows > 0)
        })
    }
}

pub(super) fn count_upload(connection: &Connection, bytes: u64, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO daily_stats (date, files, bytes, last_upload_at) VALUES (?1, 1, ?2, ?3) \
             ON CONFLICT (date) DO UPDATE SET files = files + 1, bytes = bytes + ?2, \
             last_upload_at = ?3, reported_at = NULL",
        )?
        .execute(params![Day::of(now).to_string(), bytes.cast_signed(), now])
        .map(drop)
}

pub(super) fn count_failure(connection: &Connection, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO daily_stats (date, failures) VALUES (?1, 1) \
             ON CONFLICT (date) DO UPDATE SET failures = failures + 1, reported_at = NULL",
        )?
        .execute([Day::of(now).to_string()])
        .map(drop)
}

/// What was done on one day; nothing if it is not noted.
pub(super) fn counts(connection: &Connection, day: Day) -> rusqlite::Result<DayCounts> {
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    let counts = connection
        .prepare_cached("SELECT files, bytes, failures FROM daily_stats WHERE date = ?1")?
        .query_row([day.to_string()], |row| {
            Ok(DayCounts {
                files: number(row.get(0)?),
                bytes: number(row.get(1)?),
                failures: number(row.get(2)?),
            })
        })
        .optional()?;
    Ok(counts.unwrap_or_default())
}

fn select_days(connection: &Connection, most: usize) -> rusqlite::Result<Vec<DayTotals>> {
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

fn last_upload_at(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT last_upload_at FROM daily_stats WHERE last_upload_at IS NOT NULL \
             ORDER BY date DESC LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()
}

fn unreported(connection: &Connection, today: Day) -> rusqlite::Result<Vec<Day>> {
    let (first, yesterday) = (today.plus(-LATE_DAYS_MAX), today.plus(-1));
    let dates: Vec<String> = connection
        .prepare_cached(
            "SELECT date FROM daily_stats \
             WHERE date >= ?1 AND date < ?2 AND reported_at IS NULL \
             UNION SELECT ?3 WHERE ?3 NOT IN (SELECT date FROM daily_stats) \
             AND EXISTS (SELECT 1 FROM daily_stats WHERE date < ?3) \
             ORDER BY 1",
        )?
        .query_map([first, today, yesterday].map(|day| day.to_string()), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // What is no day cannot have been written here, and would stand in the way of the others.
    Ok(dates.iter().filter_map(|date| date.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY_1, database, record};
    use super::*;
    use std::path::Path;

    fn today() -> Day {
        Day::of(DAY_1)
    }

    fn dates(days: &[Day]) -> Vec<String> {
        days.iter().map(Day::to_string).collect()
    }

    #[test]
    fn a_day_is_due_until_the_server_has_acknowledged_it_as_it_is_counted_now() {
        let (_folder, database) = database();
        let path = Path::new("/d/a");
        let tomorrow = today().plus(1);
        assert_eq!(database.unreported(today()).unwrap(), [], "the database began today");
        database.uploaded(path, &record(10), DAY_1).unwrap();
        assert_eq!(database.unreported(today()).unwrap(), [], "today is not over");
        assert_eq!(database.unreported(tomorrow).unwrap(), [today()]);

        let counts = DayCounts { files: 1, bytes: 10, failures: 0 };
        database.uploaded(path, &record(5), DAY_1).unwrap();
        assert!(!database.reported(today(), &counts, 7).unwrap());
        assert_eq!(database.unreported(tomorrow).unwrap(), [today()], "counted on meanwhile");
        let counts = DayCounts { files: 2, bytes: 15, failures: 0 };
        assert!(database.reported(today(), &counts, 7).unwrap());
        assert_eq!(database.unreported(tomorrow).unwrap(), []);

        database.uploaded(path, &record(5), DAY_1).unwrap();
        assert_eq!(database.unreported(tomorrow).unwrap(), [today()], "the clock was set back");
        database.reported(today(), &DayCounts { files: 3, bytes: 20, failures: 0 }, 8).unwrap();
        database.park(path, "no", DAY_1).unwrap();
        assert_eq!(database.unreported(tomorrow).unwrap(), [today()], "a failure counts, too");
    }

    #[test]
    fn days_on_which_the_client_was_down_are_not_reported_but_yesterday_is() {
        let (_folder, database) = database();
        database.live_on(today()).unwrap();
        let later = today().plus(5);
        let due = database.unreported(later).unwrap();
        assert_eq!(dates(&due), ["2026-11-28", "2026-12-02"]);
        database.live_on(later).unwrap();
        database.reported(today(), &DayCounts::default(), 1).unwrap();
        database.reported(later.plus(-1), &DayCounts::default(), 1).unwrap();
        assert_eq!(database.unreported(later).unwrap(), []);
        assert_eq!(dates(&database.unreported(later.plus(1)).unwrap()), ["2026-12-03"]);
    }

    #[test]
    fn what_is_late_has_a_bound_and_so_has_what_is_kept() {
        let (_folder, database) = database();
        for days in 0..i64::from(KEPT_DAYS) + 50 {
            database.live_on(today().plus(days)).unwrap();
        }
        let last = today().plus(i64::from(KEPT_DAYS) + 49);
        assert_eq!(database.days(9999).unwrap().len(), KEPT_DAYS as usize);
        assert_eq!(database.days(1).unwrap()[0].date, last.to_string());
        let due = database.unreported(last).unwrap();
        assert_eq!(due.len() as i64, LATE_DAYS_MAX);
        assert_eq!((due[0], due[due.len() - 1]), (last.plus(-LATE_DAYS_MAX), last.plus(-1)));
    }

    #[test]
    fn a_clock_that_was_wrong_for_a_while_neither_takes_days_away_nor_stops_reports() {
        let (_folder, database) = database();
        for wrong in ["1970-01-01", "2044-01-01", "9999-12-31"] {
            database.live_on(wrong.parse().unwrap()).unwrap();
        }
        database.live_on(today()).unwrap();
        let due = database.unreported(today().plus(1)).unwrap();
        assert_eq!(due, [today()]);
        assert_eq!(database.days(9).unwrap().len(), 4);
    }

    #[test]
    fn what_was_reported_is_known_after_a_restart() {
        let (folder, database) = database();
        database.uploaded(Path::new("/d/a"), &record(10), DAY_1).unwrap();
        database.reported(today(), &DayCounts { files: 1, bytes: 10, failures: 0 }, 7).unwrap();
        database.live_on(today().plus(1)).unwrap();
        drop(database);
        let again = Database::open(&folder.path().join("client.db")).unwrap();
        assert_eq!(again.unreported(today().plus(1)).unwrap(), []);
        assert_eq!(again.unreported(today().plus(2)).unwrap(), [today().plus(1)]);
    }
}
