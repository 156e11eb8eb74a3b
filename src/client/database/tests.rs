//! What the database keeps, and gives back.

use super::*;

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
