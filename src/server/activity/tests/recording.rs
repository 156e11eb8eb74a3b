//! The handle and its thread: what is told arrives, what cannot be written waits or is counted, and
//! nobody is held up.

use super::*;
use crate::clock;
use crate::limits::activity::UPLOADS_WAITING_MAX;
use crate::server::activity::{Activity, Shared, Unavailable, writer::Writer};
use crate::threads::{StopSource, Supervisor, shutdown_deadline};
use std::fs;
use std::sync::Arc;

/// A thread that writes, until [`Recording::end`].
struct Recording {
    folder: TempDir,
    activity: Activity,
    supervisor: Supervisor,
    stop: StopSource,
}

impl Recording {
    fn start(folder: TempDir) -> Self {
        let (mut supervisor, stop) = (Supervisor::new().unwrap(), StopSource::default());
        let path = folder.path().join("activity.db");
        let activity = Activity::start(path, 90, &mut supervisor, stop.stop()).unwrap();
        Self { folder, activity, supervisor, stop }
    }

    fn end(mut self) -> TempDir {
        self.stop.raise();
        assert!(self.supervisor.join(shutdown_deadline()));
        self.folder
    }

    fn report(&self, files: u64, bytes: u64) -> Result<CrossCheck, Unavailable> {
        let now = clock::unix_seconds();
        self.activity.report(&name("web"), report(Day::of(now), files, bytes, now), now)
    }
}

fn one(path: &str) -> Upload {
    stored("web", path, 10, clock::unix_seconds())
}

fn rows(folder: &TempDir) -> i64 {
    let connection = Connection::open(folder.path().join("activity.db")).unwrap();
    connection.query_row("SELECT count(*) FROM uploads", [], |row| row.get(0)).unwrap()
}

#[test]
fn what_was_told_before_a_report_is_in_the_ledger_when_it_is_compared() {
    let recording = Recording::start(tempfile::tempdir().unwrap());
    for number in 1..=50 {
        recording.activity.upload(one(&number.to_string()));
        // A day may have ended between two of these.
        let check = recording.report(number, 10 * number).unwrap();
        assert!(check.files == number || check.verdict == Verdict::Unknown, "{number}: {check:?}");
    }
    let activity = recording.activity.clone();
    let folder = recording.end();
    assert_eq!(rows(&folder), 50);
    let in_use: i64 = Connection::open(folder.path().join("activity.db"))
        .unwrap()
        .query_row("SELECT in_use FROM ledger", [], |row| row.get(0))
        .unwrap();
    assert_eq!(in_use, 0, "it says that nothing is missing");
    assert!(matches!(
        activity.report(&name("web"), report(Day::of(NOON), 1, 1, NOON), NOON),
        Err(Unavailable::Writer)
    ));
}

#[test]
fn what_was_told_last_is_written_before_the_end() {
    for count in [1, 2000] {
        let recording = Recording::start(tempfile::tempdir().unwrap());
        for number in 0..count {
            recording.activity.upload(one(&number.to_string()));
        }
        recording.activity.seen(&name("db"), Some("1.0"), NOON);
        recording.activity.refused(None, "upload", ErrorCode::Unauthorized, NOON);
        let folder = recording.end();
        assert_eq!(rows(&folder), count);
        let facts = Reading::open(&folder.path().join("activity.db")).unwrap();
        assert_eq!(facts.facts(Day::of(0)).unwrap().clients["db"].version.as_deref(), Some("1.0"));
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_tried_again_and_what_waited_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("activity.db");
    // In the place of its lock.
    fs::create_dir(folder.path().join("activity.db.lock")).unwrap();
    let recording = Recording::start(folder);
    recording.activity.upload(one("a"));
    assert!(matches!(recording.report(1, 10), Err(Unavailable::Writer)));
    assert!(recording.activity.is_away());
    fs::remove_dir(path.with_file_name("activity.db.lock")).unwrap();
    let until = shutdown_deadline() + Duration::from_secs(30);
    while recording.report(1, 10).is_err() {
        assert!(clock::monotonic() < until, "it is not tried again");
        std::thread::yield_now();
    }
    assert!(!recording.activity.is_away());
    assert_eq!(rows(&recording.end()), 1);
}

#[test]
fn a_database_that_a_reader_finds_damaged_is_set_aside_and_a_new_one_is_written() {
    let recording = Recording::start(tempfile::tempdir().unwrap());
    recording.activity.upload(one("a"));
    recording.report(1, 10).unwrap();
    let path = recording.folder.path().join("activity.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'uploads';",
        )
        .unwrap();
    drop(connection);
    // The one that meets it is told to come again.
    let until = shutdown_deadline() + Duration::from_secs(30);
    while recording.report(1, 10).is_err() {
        assert!(clock::monotonic() < until, "it is not set aside");
        std::thread::yield_now();
    }
    recording.activity.upload(one("b"));
    let folder = recording.end();
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let aside = names.filter(|name| name.to_string_lossy().contains(".corrupt-")).count();
    assert_eq!(aside, 1);
    assert_eq!(rows(&folder), 1, "the one that was told since");
}

#[test]
fn what_finds_no_room_is_counted_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let counts = Arc::default();
    let (shared, inbox) = Shared::new(folder.path().join("activity.db"), Arc::clone(&counts));
    let activity = Activity { counts, shared: Some(Arc::clone(&shared)) };
    for _ in 0..UPLOADS_WAITING_MAX + 3 {
        activity.upload(stored("web", "a", 1, NOON));
    }
    let mut stop = StopSource::default();
    stop.raise();
    // Nobody has written until now.
    let mut writer = Some(Writer::new(shared, inbox, 90));
    std::thread::scope(|scope| {
        let (writer, stop) = (writer.take().unwrap(), stop.stop());
        scope.spawn(move || writer.run(&stop));
    });
    assert_eq!(rows(&folder), UPLOADS_WAITING_MAX as i64);
    let connection = Connection::open(folder.path().join("activity.db")).unwrap();
    let gap: (String, i64) = connection
        .query_row("SELECT day, dropped FROM gaps", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(gap, ("2026-11-28".to_owned(), 3));
}

#[test]
fn without_a_database_nothing_is_remembered_and_a_report_is_told_so() {
    let activity = Activity::default();
    activity.upload(one("a"));
    activity.seen(&name("web"), None, NOON);
    assert!(!activity.is_away());
    let report = report(Day::of(NOON), 1, 1, NOON);
    let error = activity.report(&name("web"), report, NOON).unwrap_err();
    assert_eq!(error.to_string(), "this server keeps no reports (key database.path)");
    let read = activity.read(|reading| reading.reports(Day::of(NOON)));
    assert!(matches!(read, Err(Unavailable::NoDatabase)));
}
