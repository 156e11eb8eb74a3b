//! What the database keeps, and gives back.

use super::*;
use crate::client::plan::Need;

/// 2026-11-28 and the day after, at noon, Unix seconds.
pub(super) const DAY_1: i64 = 1_795_867_200;
const DAY_2: i64 = DAY_1 + 86_400;

pub(super) fn database() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("client.db")).unwrap();
    (folder, database)
}

pub(super) fn record(size: u64) -> Record {
    Record {
        remote_path: "uploads/ä b".into(),
        fingerprint: Fingerprint { size, mtime_ns: -1, ctime_ns: i64::MAX, inode: u64::MAX },
        sha256: Digest::of(&size.to_be_bytes()),
    }
}

#[test]
fn a_record_comes_back_as_it_went_in_and_the_last_one_counts() {
    let (_folder, database) = database();
    let path = Path::new("/data/up/ä b");
    assert_eq!(database.record(path).unwrap(), None);
    for size in [0, u64::MAX, 7] {
        database.uploaded(path, &record(size), 1).unwrap();
        assert_eq!(database.record(path).unwrap(), Some(record(size)));
    }
    let touched = Fingerprint { ctime_ns: 5, inode: 6, ..record(7).fingerprint };
    database.unchanged(path, &touched).unwrap();
    assert_eq!(database.record(path).unwrap().unwrap().fingerprint, touched);
}

#[test]
fn once_other_bytes_are_on_their_way_a_file_that_comes_back_is_not_taken_for_stored() {
    let (_folder, database) = database();
    let path = Path::new("/a");
    let (before, remote_path) = (record(7), record(7).remote_path);
    let need = |now| {
        let row = database.record(path).unwrap();
        plan::need(Some(&row.expect("it is still wanted")), &remote_path, now)
    };
    database.uploaded(path, &before, 1).unwrap();
    let moved_back = Fingerprint { ctime_ns: 5, ..before.fingerprint };
    assert_eq!(need(&before.fingerprint), Need::Nothing);
    assert_eq!(need(&moved_back), Need::Compare(before.sha256));

    database.sending(path).unwrap();
    assert_eq!([&before.fingerprint, &moved_back].map(need), [Need::Upload; 2]);
    database.unchanged(path, &moved_back).unwrap();
    assert_eq!(need(&moved_back), Need::Upload);
    database.uploaded(path, &before, 2).unwrap();
    assert_eq!(need(&before.fingerprint), Need::Nothing);
}

#[test]
fn the_columns_of_the_design_document_are_there_with_their_meaning() {
    let (_folder, database) = database();
    let mut record = record(10);
    record.fingerprint.mtime_ns = 1_700_000_000_999_999_999;
    database.uploaded(Path::new("/a"), &record, 1_800_000_000).unwrap();
    let row = database.writer().query_row(
        "SELECT id, local_path, remote_path, file_size, mtime, uploaded_at FROM files",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
    );
    let expected: (i64, String, String, i64, i64, i64) =
        (1, "/a".into(), "uploads/ä b".into(), 10, 1_700_000_000, 1_800_000_000);
    assert_eq!(row.unwrap(), expected);
}

#[test]
fn a_parked_file_is_news_once_and_again_when_the_reason_changes() {
    let (_folder, database) = database();
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"/data/\xff"));
    assert!(database.park(odd, "not UTF-8", 1).unwrap());
    assert!(!database.park(odd, "not UTF-8", 2).unwrap());
    assert!(database.park(odd, "too large", 3).unwrap());
    database.park(Path::new("/b"), "too large", 3).unwrap();
    database.uploaded(Path::new("/b"), &record(1), 4).unwrap();
    assert_eq!(database.parked().unwrap(), [(odd.to_owned(), "too large".to_owned())]);
    database.unpark(odd).unwrap();
    assert_eq!(database.parked().unwrap(), []);
}

#[test]
fn a_watch_keeps_the_baseline_of_its_first_run() {
    let (_folder, database) = database();
    let (a, b) = (Path::new("/a"), Path::new("/b"));
    assert_eq!(database.baseline(a, Some(5)).unwrap(), Some(5));
    assert_eq!(database.baseline(a, Some(9)).unwrap(), Some(5));
    assert_eq!(database.baseline(b, None).unwrap(), None);
    assert_eq!(database.baseline(b, Some(9)).unwrap(), None);
}

#[test]
fn a_database_of_version_1_is_brought_up_to_date_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let old = sqlite::open(&path, &[schema::VERSION_1]).unwrap();
    old.execute_batch(
        "INSERT INTO files VALUES (5, '/d/a', 'up/a', 10, 1, 2, 1000000001, 3, 4, zeroblob(32)); \
         INSERT INTO watches VALUES (CAST('/d' AS BLOB), 77); \
         INSERT INTO parked VALUES (CAST('/d/b' AS BLOB), 'too large', 8, 9)",
    )
    .unwrap();
    drop(old);
    let early = Database::open_read_only(&path).map(drop).unwrap_err().to_string();
    assert!(early.contains("its schema 1 is older than 3; hint: start "), "{early}");

    let database = Database::open(&path).unwrap();
    let fingerprint = Fingerprint { size: 10, mtime_ns: 1_000_000_001, ctime_ns: 3, inode: 4 };
    let sha256 = Digest::from_bytes(&[0; 32]).unwrap();
    let expected = Record { remote_path: "up/a".into(), fingerprint, sha256 };
    assert_eq!(database.record(Path::new("/d/a")).unwrap(), Some(expected));
    assert_eq!(database.page(Path::new("/d"), Path::new(""), 9).unwrap().len(), 1);
    assert_eq!(database.baseline(Path::new("/d"), None).unwrap(), Some(77));
    assert_eq!(database.parked().unwrap().len(), 1);
    assert_eq!(database.last_scans().unwrap(), []);
    assert_eq!(database.days(9).unwrap(), []);
    assert_eq!(database.last_upload_at().unwrap(), None);
    assert!(!database.may_have_lost(&fingerprint));
}

#[test]
fn a_baseline_is_only_ever_lowered() {
    let (_folder, database) = database();
    let (a, all) = (Path::new("/a"), Path::new("/all"));
    database.baseline(a, Some(50)).unwrap();
    database.baseline(all, None).unwrap();
    for (to, expected) in [(60, 50), (40, 40), (45, 40)] {
        database.lower_baseline(a, to).unwrap();
        database.lower_baseline(all, to).unwrap();
        assert_eq!(database.baseline(a, None).unwrap(), Some(expected), "to {to}");
        assert_eq!(database.baseline(all, Some(1)).unwrap(), None, "everything stays everything");
    }
    database.lower_baseline(Path::new("/unknown"), 1).unwrap();
    assert_eq!(database.baseline(Path::new("/unknown"), Some(9)).unwrap(), Some(9));
}

#[test]
fn the_last_scan_of_each_watch_is_kept() {
    let (_folder, database) = database();
    let (a, b) = (Path::new("/a"), Path::new("/b"));
    let scan = |files| LastScan { ended_at: 1000 + files, milliseconds: 12, files };
    database.baseline(a, None).unwrap();
    database.baseline(b, Some(7)).unwrap();
    database.scan_ended(b, &scan(1)).unwrap();
    database.scan_ended(b, &scan(2)).unwrap();
    assert_eq!(database.last_scans().unwrap(), [(b.to_owned(), scan(2))]);
    database.scan_ended(a, &scan(3)).unwrap();
    assert_eq!(database.last_scans().unwrap(), [(a.to_owned(), scan(3)), (b.to_owned(), scan(2))]);
    assert_eq!(database.baseline(b, None).unwrap(), Some(7), "a scan moves no baseline");
}

#[test]
fn uploads_and_failures_are_counted_by_day_and_recalled_files_are_not() {
    let (_folder, database) = database();
    let path = Path::new("/d/a");
    database.uploaded(path, &record(10), DAY_1).unwrap();
    database.uploaded(path, &record(5), DAY_1 + 1).unwrap();
    for reason in ["too large", "too large", "not UTF-8"] {
        database.park(Path::new("/d/b"), reason, DAY_1 + 2).unwrap();
    }
    database.recalled(Path::new("/d/c"), &record(99), DAY_2).unwrap();
    let day = |date: &str, files, bytes, failures, last_upload_at| DayTotals {
        date: date.into(),
        files,
        bytes,
        failures,
        last_upload_at,
    };
    let first = day("2026-11-28", 2, 15, 2, Some(DAY_1 + 1));
    assert_eq!(database.days(9).unwrap(), std::slice::from_ref(&first));
    database.park(Path::new("/d/b"), "too large", DAY_2).unwrap();
    assert_eq!(database.last_upload_at().unwrap(), Some(DAY_1 + 1));
    database.uploaded(path, &record(1), DAY_2).unwrap();
    assert_eq!(database.last_upload_at().unwrap(), Some(DAY_2));
    let second = day("2026-11-29", 1, 1, 1, Some(DAY_2));
    assert_eq!(database.days(9).unwrap(), [second.clone(), first]);
    assert_eq!(database.days(1).unwrap(), [second]);
    assert_eq!(database.file_count().unwrap(), 2);
}

#[test]
fn a_database_is_read_beside_its_client_and_after_it_and_never_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let absent = Database::open_read_only(&path).map(drop).unwrap_err().to_string();
    assert!(absent.starts_with("cannot open database ") && !path.exists(), "{absent}");
    let client = Database::claim(&path, &[], 1).unwrap();
    client.uploaded(Path::new("/d/a"), &record(1), 1).unwrap();
    let reader = Database::open_read_only(&path).unwrap();
    client.uploaded(Path::new("/d/b"), &record(1), 1).unwrap();
    assert_eq!(reader.file_count().unwrap(), 2, "what was committed a moment ago");
    let refused = reader.unpark(Path::new("/d/a")).unwrap_err().to_string();
    assert!(refused.contains("readonly"), "{refused}");
    drop(reader);
    drop(client);
    assert_eq!(Database::open_read_only(&path).unwrap().file_count().unwrap(), 2);
}

#[test]
fn a_full_disk_is_said_with_a_hint_and_what_was_recorded_stays() {
    let (_folder, database) = database();
    let path = |number: usize| PathBuf::from(format!("/d/{number:0500}"));
    database.uploaded(&path(0), &record(0), 1).unwrap();
    let pages: i64 = database.writer().query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
    database.writer().pragma_update(None, "max_page_count", pages + 1).unwrap();
    let (last, error) = (1..)
        .find_map(|number| Some((number, database.uploaded(&path(number), &record(7), 1).err()?)))
        .unwrap();
    let text = error.to_string();
    assert!(text.contains("full") && text.contains("hint: make room on its disk"), "{text}");
    assert!(!error.is_corrupt());
    assert_eq!(database.file_count().unwrap(), last as u64, "neither more nor less");
    database.writer().pragma_update(None, "max_page_count", pages + 1000).unwrap();
    database.uploaded(&path(last), &record(7), 1).unwrap();
    assert_eq!(database.record(&path(last)).unwrap(), Some(record(7)));
}

#[test]
fn a_database_in_memory_does_all_the_same() {
    let database = Database::in_memory().unwrap();
    database.uploaded(Path::new("/d/a"), &record(1), 1).unwrap();
    assert_eq!(database.page(Path::new("/d"), Path::new(""), 9).unwrap().len(), 1);
    assert!(!database.may_have_lost(&record(1).fingerprint));
}

#[test]
fn when_a_baseline_was_compared_is_kept_beside_it() {
    let (_folder, database) = database();
    let a = Path::new("/a");
    let moment = |boot: &str, seconds| Moment {
        boot: boot.into(),
        since_boot: std::time::Duration::from_secs(seconds),
    };
    database.keep_look(a, &moment("x", 1)).unwrap();
    assert_eq!(database.looked(a).unwrap(), None, "not of a watch that is not known");
    database.baseline(a, Some(5)).unwrap();
    assert_eq!(database.looked(a).unwrap(), None);
    for look in [moment("x", 1), moment("y", u64::from(u32::MAX))] {
        database.keep_look(a, &look).unwrap();
        assert_eq!(database.looked(a).unwrap(), Some(look));
    }
    assert_eq!(database.baseline(a, None).unwrap(), Some(5));
}

#[test]
fn a_parked_path_is_forgotten_unless_it_was_parked_again_meanwhile() {
    let (_folder, database) = database();
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"/w/\xff"));
    for (path, at) in [(Path::new("/w/a"), 5), (odd, 6), (Path::new("/x"), 6)] {
        database.park(path, "no", at).unwrap();
    }
    let below = |after: &str| {
        let page = database.parked_page(Path::new("/w"), Path::new(after), 9).unwrap();
        assert!(page.iter().all(|(_, reason)| reason == "no"));
        page.into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(below(""), [Path::new("/w/a"), odd]);
    assert_eq!(below("/w/a"), [odd]);
    database.forget_parked(Path::new("/w/a"), 6, 6).unwrap();
    database.forget_parked(odd, 6, 6).unwrap();
    assert_eq!(below(""), [odd]);
    database.forget_parked(odd, 9, 7).unwrap();
    assert_eq!(below(""), [odd], "the clock was set back meanwhile");
    database.forget_parked(odd, 1, 5).unwrap();
    assert!(below("").is_empty(), "the clock was set back since");
}
