//! The specification of what is remembered: the ledger and its readers on a real database, with the
//! moment as an argument.

mod recording;
mod week;

use super::event::{Outcome, Upload};
use super::ledger::{Kept, Ledger};
use super::pending::Pending;
use super::reading::{Counts, LastError, Reading};
use crate::digest::Digest;
use crate::limits::activity::{FAILED_ROWS_PER_DAY, PRUNE_ROWS};
use crate::remote_path::RemotePath;
use crate::server::key::ClientName;
use crate::wire::report::{CrossCheck, Report, Verdict};
use crate::wire::{Day, ErrorCode, Few};
use rusqlite::Connection;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// 2026-11-28, noon.
const NOON: i64 = 1_795_867_200;

/// A server's database in a folder of its own.
struct Scene {
    folder: TempDir,
    ledger: Ledger,
}

impl Scene {
    fn new(now: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("activity.db"), now, false).unwrap();
        Self { folder, ledger }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("activity.db")
    }

    fn reading(&self) -> Reading {
        Reading::open(&self.path()).unwrap()
    }

    /// What is to be said of a table, as SQL sees it.
    fn ask<T: rusqlite::types::FromSql>(&self, question: &str) -> T {
        let connection = Connection::open(self.path()).unwrap();
        connection.query_row(question, [], |row| row.get(0)).unwrap()
    }

    fn write(&mut self, uploads: &[Upload]) {
        self.ledger.write(uploads, &Pending::default()).unwrap();
    }

    fn counts(&self, client: &str, day: Day) -> Counts {
        let facts = self.reading().facts(day).unwrap();
        facts.days.get(client).and_then(|days| days.get(&day)).copied().unwrap_or_default()
    }
}

fn name(name: &str) -> ClientName {
    ClientName::parse(name).unwrap()
}

fn stored(client: &str, path: &str, size: u64, ended_at: i64) -> Upload {
    Upload {
        client: name(client),
        peer: [192, 0, 2, 1].into(),
        path: Some(RemotePath::parse(path).unwrap()),
        size,
        sha256: Some(Digest::of(path.as_bytes())),
        ended_at,
        took: Duration::from_millis(12),
        outcome: Outcome::Stored,
    }
}

fn failed(client: &str, code: ErrorCode, ended_at: i64) -> Upload {
    let outcome = Outcome::Failed(code);
    Upload { size: 0, sha256: None, outcome, ..stored(client, "a", 0, ended_at) }
}

fn report(date: Day, files: u64, bytes: u64, sent_at: i64) -> Report {
    Report { files, bytes, ..Report::of(date, u64::try_from(sent_at).unwrap()) }
}

#[test]
fn an_upload_has_a_row_and_counts_for_its_client_and_day() {
    let mut scene = Scene::new(NOON);
    let midnight = Day::of(NOON).end();
    scene.write(&[
        stored("web", "a/b ä", 10, midnight - 1),
        stored("web", "a/b ä", 20, midnight),
        stored("db", "dump", 5, midnight - 1),
        Upload { path: None, ..failed("web", ErrorCode::FileTooLarge, midnight + 9) },
    ]);
    let row: String = scene.ask(
        "SELECT client || ' ' || path || ' ' || size || ' ' || hex(sha256) || ' ' || ended_at || ' ' \
         || duration_ms || ' ' || peer || ' ' || outcome FROM uploads ORDER BY id LIMIT 1",
    );
    let sha256 = Digest::of("a/b ä".as_bytes()).to_string().to_uppercase();
    let at = midnight - 1;
    assert_eq!(row, format!("web a/b ä 10 {sha256} {at} 12 192.0.2.1 stored"));
    let outcomes: String = scene.ask("SELECT group_concat(outcome) FROM uploads");
    assert_eq!(outcomes, "stored,stored,stored,file_too_large");
    let (saturday, sunday) = (Day::of(NOON), Day::of(midnight));
    let counts = |files, bytes, failures| Counts { files, bytes, failures };
    assert_eq!(scene.counts("web", saturday), counts(1, 10, 0));
    assert_eq!(scene.counts("web", sunday), counts(1, 20, 1));
    assert_eq!(scene.counts("db", saturday), counts(1, 5, 0));
    let facts = scene.reading().facts(saturday).unwrap();
    let web = &facts.clients["web"];
    assert_eq!((web.first_seen, web.last_seen), (midnight - 1, midnight + 9));
    assert_eq!((web.files, web.bytes, web.last_upload_at), (2, 30, Some(midnight)));
    let error =
        LastError { at: midnight + 9, asked: "upload".into(), error: "file_too_large".into() };
    assert_eq!(web.last_error, Some(error));
    assert_eq!(facts.clients["db"].last_error, None);
}

#[test]
fn who_was_there_and_what_was_refused_is_counted_and_never_a_row_each() {
    let mut scene = Scene::new(NOON);
    for round in 0..3 {
        let mut pending = Pending::default();
        let at = NOON + round;
        for _ in 0..1000 {
            pending.see(&name("web"), Some("0.1.0"), at);
            for (client, asked, code) in [
                (Some("web"), "download", ErrorCode::Forbidden),
                (Some("web"), "upload", ErrorCode::FileTooLarge),
                (None, "upload", ErrorCode::Unauthorized),
            ] {
                let day = Day::of(at);
                let refusal = super::Refusal { day, client: client.map(name), asked, code };
                pending.refuse(refusal, super::Times { count: 1, last_at: at });
            }
        }
        scene.ledger.write(&[], &pending).unwrap();
    }
    let all: String = scene.ask(
        "SELECT group_concat(client || ' ' || asked || ' ' || error || ' ' || count, '; ') FROM \
         (SELECT * FROM refusals ORDER BY client, asked)",
    );
    let expected = " upload unauthorized 3000; web download forbidden 3000; \
                    web upload file_too_large 3000";
    assert_eq!(all, expected);
    assert_eq!(scene.ask::<i64>("SELECT count(*) FROM uploads"), 0);
    assert_eq!(scene.counts("web", Day::of(NOON)).failures, 3000, "of uploads");
    let facts = scene.reading().facts(Day::of(NOON)).unwrap();
    assert_eq!(facts.clients.keys().collect::<Vec<_>>(), ["web"], "nobody is no client");
    let web = &facts.clients["web"];
    assert_eq!((web.first_seen, web.last_seen), (NOON, NOON + 2));
    assert_eq!(web.version.as_deref(), Some("0.1.0"));
}

#[test]
fn of_failed_uploads_the_first_ones_of_a_day_have_rows_and_all_are_counted() {
    let mut scene = Scene::new(NOON);
    let half = usize::try_from(FAILED_ROWS_PER_DAY / 2 + 1).unwrap();
    let batch = vec![failed("web", ErrorCode::DigestMismatch, NOON); half];
    for _ in 0..3 {
        scene.write(&batch);
    }
    scene.write(&[failed("db", ErrorCode::DigestMismatch, NOON), stored("web", "b", 1, NOON)]);
    scene.write(&[failed("web", ErrorCode::DigestMismatch, NOON + 86_400)]);
    let rows = |client: &str| {
        scene.ask::<i64>(&format!(
            "SELECT count(*) FROM uploads WHERE client = '{client}' AND outcome <> 'stored'"
        ))
    };
    assert_eq!((rows("web"), rows("db")), (FAILED_ROWS_PER_DAY as i64 + 1, 1));
    assert_eq!(scene.counts("web", Day::of(NOON)).failures, 3 * half as u64);
}

#[test]
fn what_is_written_later_counts_also_when_the_clock_was_set_back() {
    let mut scene = Scene::new(NOON);
    scene.write(&[stored("web", "a", 1, NOON + 9_000_000)]);
    scene.write(&[stored("web", "a", 1, NOON)]);
    let facts = scene.reading().facts(Day::of(NOON)).unwrap();
    assert_eq!(facts.clients["web"].last_upload_at, Some(NOON));
    assert_eq!(facts.clients["web"].last_seen, NOON);
}

#[test]
fn a_later_report_of_a_day_takes_the_place_of_an_earlier_one() {
    let mut scene = Scene::new(NOON);
    let (today, yesterday) = (Day::of(NOON), Day::of(NOON).plus(-1));
    let check = |verdict| CrossCheck { verdict, files: 1, bytes: 2, remarks: Few::default() };
    let mut keep = |client: &str, date, files, received_at, verdict| {
        let report = Report { version: "0.2.0".into(), ..report(date, files, 0, received_at) };
        let kept = Kept { client: client.into(), received_at, report, check: check(verdict) };
        scene.ledger.keep(&kept).unwrap();
        kept
    };
    keep("web", today, 1, NOON, Verdict::Differs);
    let db = keep("db", today, 5, NOON + 1, Verdict::Agrees);
    let web = keep("web", today, 2, NOON + 2, Verdict::Explained);
    let late = keep("web", yesterday, 3, NOON + 3, Verdict::Unknown);
    let reading = scene.reading();
    assert_eq!(reading.reports(today).unwrap(), [db.clone(), web.clone()]);
    assert_eq!(reading.reports(yesterday).unwrap(), [late]);
    assert_eq!(reading.reports(today.plus(1)).unwrap(), []);
    let facts = reading.facts(today).unwrap();
    assert_eq!(facts.last_reports.into_values().collect::<Vec<_>>(), [db, web]);
    let client = &facts.clients["web"];
    assert_eq!((client.last_report_at, client.last_seen), (Some(NOON + 3), NOON + 3));
    assert_eq!(client.version.as_deref(), Some("0.2.0"));
    assert_eq!(client.last_upload_at, None);
}

#[test]
fn what_is_old_is_removed_a_little_at_a_time_and_nothing_else() {
    let mut scene = Scene::new(NOON);
    let days = |days: i64| NOON - days * 86_400;
    let old = vec![stored("web", "old", 1, days(91)); PRUNE_ROWS + 7];
    let young = vec![stored("web", "young", 1, days(90)); 5];
    // Of a clock that was wrong: it must not hold up what is behind it.
    scene.write(&[stored("web", "ahead", 1, days(-400))]);
    scene.write(&old);
    scene.write(&young);
    for age in [90, 91] {
        let kept = Kept {
            client: "web".into(),
            received_at: NOON,
            report: report(Day::of(days(age)), 1, 1, NOON),
            check: CrossCheck {
                verdict: Verdict::Agrees,
                files: 0,
                bytes: 0,
                remarks: Few::default(),
            },
        };
        scene.ledger.keep(&kept).unwrap();
    }
    let oldest = Day::of(NOON).plus(-90);
    let mut left = vec![];
    while scene.ledger.prune(oldest, NOON).unwrap() {
        left.push(scene.ask::<i64>("SELECT count(*) FROM uploads"));
    }
    assert_eq!(left, [13, 5]);
    assert_eq!(scene.ask::<String>("SELECT group_concat(DISTINCT path) FROM uploads"), "young");
    let first: String = scene.ask("SELECT min(day) FROM days");
    assert_eq!(first, oldest.to_string());
    assert_eq!(scene.ask::<String>("SELECT min(day) FROM reports"), oldest.to_string());
    let facts = scene.reading().facts(oldest).unwrap();
    assert_eq!(facts.clients["web"].files, PRUNE_ROWS as u64 + 13, "totals stay");
}

#[test]
fn the_day_of_a_report_is_counted_within_its_windows() {
    use super::cross_check::{Amount, Windows};
    let mut scene = Scene::new(NOON - 10 * 86_400);
    let day = Day::of(NOON);
    let (start, end) = (day.start(), day.end());
    scene.write(&[
        stored("web", "too early", 100, start - 301),
        stored("web", "early", 1, start - 300),
        stored("web", "edge", 2, start + 299),
        stored("web", "a", 4, start + 300),
        stored("web", "a", 8, NOON),
        stored("web", "b", 16, end - 301),
        stored("web", "edge", 32, end - 300),
        stored("web", "late", 64, end + 299),
        stored("web", "too late", 100, end + 300),
        stored("db", "a", 100, NOON),
        failed("web", ErrorCode::DigestMismatch, NOON),
    ]);
    let mut pending = Pending::default();
    pending.drop_upload(day);
    pending.drop_upload(day.plus(1));
    pending.drop_upload(day.plus(2));
    scene.ledger.write(&[], &pending).unwrap();
    let received_at = end + 3 * 3600;
    let windows = Windows::of(&report(day, 0, 0, received_at), received_at);
    let counted = Amount { files: 9, bytes: 9 };
    let recorded = scene.reading().recorded("web", day, windows.as_ref(), counted).unwrap();
    assert_eq!(recorded.day, Amount { files: 5, bytes: 62 });
    assert_eq!(recorded.certain_paths, 2);
    assert_eq!(recorded.possible, Amount { files: 7, bytes: 127 });
    assert_eq!((recorded.dropped, recorded.crashed), (2, false));
    assert_eq!(recorded.kept_since, NOON - 10 * 86_400);
}

#[test]
fn a_ledger_that_was_not_ended_has_a_gap_where_it_was_left_and_where_it_goes_on() {
    let Scene { folder, mut ledger } = Scene::new(NOON);
    let path = folder.path().join("activity.db");
    ledger.write(&[stored("web", "a", 1, NOON)], &Pending::default()).unwrap();
    let later = NOON + 3 * 86_400;
    let gaps = || {
        let connection = Connection::open(&path).unwrap();
        let mut days = connection.prepare("SELECT day FROM gaps WHERE crashes > 0").unwrap();
        let days = days.query_map([], |row| row.get::<_, String>(0)).unwrap();
        days.map(Result::unwrap).collect::<Vec<_>>()
    };
    ledger.end_use().unwrap();
    drop(ledger);
    drop(Ledger::open(&path, later, false).unwrap());
    assert_eq!(gaps(), [""; 0]);
    drop(Ledger::open(&path, later, true).unwrap());
    assert_eq!(gaps(), [""; 0], "the same process, once more");
    drop(Ledger::open(&path, later, false).unwrap());
    assert_eq!(gaps(), ["2026-11-28", "2026-12-01"]);
}

#[test]
fn a_damaged_ledger_is_set_aside_and_a_new_one_begun() {
    let Scene { folder, mut ledger } = Scene::new(NOON);
    let path = folder.path().join("activity.db");
    ledger.write(&[stored("web", "a", 1, NOON)], &Pending::default()).unwrap();
    let mut ledger = ledger.replace("on purpose", NOON).unwrap();
    ledger.write(&[stored("web", "b", 1, NOON)], &Pending::default()).unwrap();
    drop(ledger);
    let paths = |path: &PathBuf| -> String {
        let connection = Connection::open(path).unwrap();
        connection
            .query_row("SELECT group_concat(path) FROM uploads", [], |row| row.get(0))
            .unwrap()
    };
    let aside = folder.path().join("activity.db.corrupt-20261128T120000Z");
    assert_eq!((paths(&path), paths(&aside)), ("b".to_owned(), "a".to_owned()));
    std::fs::write(&path, "no database").unwrap();
    drop(Ledger::open(&path, NOON + 1, false).unwrap());
    let aside = folder.path().join("activity.db.corrupt-20261128T120001Z");
    assert_eq!(std::fs::read(aside).unwrap(), b"no database");
}

#[test]
fn what_was_there_before_any_server_is_left_alone_and_nobody_shares_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("activity.db");
    std::fs::write(&path, "Dear diary").unwrap();
    let text = Ledger::open(&path, NOON, false).map(drop).unwrap_err().to_string();
    assert!(text.contains("is no database; hint: move it aside"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), b"Dear diary");
    std::fs::remove_file(&path).unwrap();
    let _first = Ledger::open(&path, NOON, false).unwrap();
    let text = Ledger::open(&path, NOON, false).map(drop).unwrap_err().to_string();
    assert!(text.contains("another s3up"), "{text}");
}
