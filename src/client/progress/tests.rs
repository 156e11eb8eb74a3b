//! What is told of the work, and to whom it is news.

use super::*;
use crate::wire::Fault;

#[test]
fn a_file_is_in_hand_while_it_is_sent_and_its_bytes_are_counted_as_they_go() {
    let progress = Arc::new(Progress::default());
    let path: Arc<Path> = Arc::from(Path::new("/data/a"));
    let sending = progress.take_in_hand(&path, 5);
    assert!(progress.stirred().try_recv().is_ok(), "whoever tells of it is woken");
    let mut reader = sending.counted(&b"abcde"[..]);
    reader.read_exact(&mut [0; 3]).unwrap();
    let in_hand = progress.snapshot().uploads.in_hand;
    assert_eq!(in_hand, [InHand { path: "/data/a".into(), size: 5, sent: 3 }]);
    drop(sending);
    assert_eq!(progress.snapshot().uploads.in_hand, []);
    assert_eq!(progress.bytes_sent(), 3);
}

#[test]
fn what_was_uploaded_and_what_failed_adds_up() {
    let progress = Progress::default();
    progress.uploaded(10, 100);
    progress.failed(Attempt::Broken);
    progress.failed(Attempt::Key);
    progress.uploaded(5, 200);
    let expected =
        Uploads { files: 2, bytes: 15, failures: 1, last_success: Some(200), ..Uploads::default() };
    assert_eq!(progress.snapshot().uploads, expected);
}

#[test]
fn attempts_are_told_apart_by_what_they_failed_by() {
    let progress = Progress::default();
    for attempt in Attempt::ALL {
        progress.failed(attempt);
    }
    progress.failed(Attempt::of(Fault::Server));
    let failures: Vec<(&str, u64)> =
        progress.failures().iter().map(|(attempt, count)| (attempt.name(), *count)).collect();
    assert_eq!(
        failures,
        [("unreadable", 1), ("refused", 1), ("broken", 1), ("key", 1), ("server", 2)]
    );
    assert_eq!(progress.snapshot().uploads.failures, 3, "those that count against a file");
}

#[test]
fn whatever_changes_is_news_once_and_to_look_is_none() {
    let progress = Arc::new(Progress::default());
    let path: Arc<Path> = Arc::from(Path::new("/data/a"));
    let mut sending = None;
    let changes: [&mut dyn FnMut(); 11] = [
        &mut || sending = Some(progress.take_in_hand(&path, 5)),
        &mut || progress.uploaded(1, 1),
        &mut || progress.failed(Attempt::Server),
        &mut || progress.turned(),
        &mut || progress.server_answers(1),
        &mut || progress.server_fails("x".into(), 1),
        &mut || progress.troubled("x".into(), 1),
        &mut || progress.scan_begins("start", 1),
        &mut || progress.scan_ends(1.0, 1, 1, true),
        &mut || progress.watched(&path),
        &mut || progress.unwatched(&path, "gone".into()),
    ];
    for change in changes {
        change();
        progress.snapshot();
        assert!(progress.news().try_recv().is_ok());
        assert!(progress.news().try_recv().is_err());
    }
    drop(sending);
    assert!(progress.news().try_recv().is_ok());
}

#[test]
fn an_outage_begins_with_its_first_failure_and_ends_with_an_answer() {
    let progress = Progress::default();
    assert_eq!(progress.snapshot().server, ServerState::Unknown);
    progress.server_fails("refused".into(), 10);
    progress.server_fails("no answer".into(), 20);
    let fails = |since, cause: &str| ServerState::Fails { since, cause: cause.into() };
    assert_eq!(progress.snapshot().server, fails(10, "no answer"));
    progress.server_answers(30);
    assert_eq!(progress.snapshot().server, ServerState::Answers { last: 30 });
    progress.server_fails("refused".into(), 40);
    assert_eq!(progress.snapshot().server, fails(40, "refused"));
}

#[test]
fn trouble_of_its_own_is_over_with_the_next_upload() {
    let progress = Progress::default();
    progress.troubled("disk full".into(), 10);
    progress.troubled("read-only".into(), 20);
    let trouble = Trouble { since: 10, cause: "read-only".into() };
    assert_eq!(progress.snapshot().trouble, Some(trouble));
    progress.uploaded(1, 30);
    assert_eq!(progress.snapshot().trouble, None);
}

#[test]
fn the_last_scan_stays_while_the_next_one_is_under_way() {
    let progress = Progress::default();
    progress.scan_ends(1.0, 1, 1, true);
    assert_eq!(progress.snapshot().last_scan, None, "none was begun");
    progress.scan_begins("start", 100);
    assert!(progress.is_scanning() && !progress.has_scanned());
    progress.scan_ends(2.5, 7, 3, true);
    progress.scan_begins("interval", 200);
    let snapshot = progress.snapshot();
    let cause = "start".to_owned();
    let done = ScanDone { cause, started: 100, seconds: 2.5, files: 7, queued: 3, complete: true };
    assert_eq!(snapshot.last_scan, Some(done.clone()));
    let begun = ScanBegun { cause: "interval".into(), started: 200 };
    assert_eq!(snapshot.scanning, Some(begun));
    progress.scan_ends(0.1, 0, 0, false);
    assert_eq!(progress.snapshot().last_scan.map(|scan| scan.complete), Some(false));
    assert_eq!(progress.last_complete_scan(), Some(done));
}

#[test]
fn a_folder_is_watched_or_it_is_said_why_not() {
    let progress = Progress::default();
    progress.unwatched(Path::new("/b"), "gone".into());
    progress.watched(Path::new("/a"));
    let state = |local_path: &str, unwatched: Option<&str>| WatchState {
        local_path: local_path.into(),
        unwatched: unwatched.map(str::to_owned),
    };
    assert_eq!(progress.snapshot().watches, [state("/a", None), state("/b", Some("gone"))]);
    progress.watched(Path::new("/b"));
    assert_eq!(progress.snapshot().watches, [state("/a", None), state("/b", None)]);
}

#[test]
fn a_snapshot_of_another_version_is_read_as_far_as_it_is_known() {
    let read: Snapshot =
        serde_json::from_str(r#"{"uploads": {"files": 3}, "novelty": [1]}"#).unwrap();
    assert_eq!(read.uploads, Uploads { files: 3, ..Uploads::default() });
    let whole = Snapshot { server: ServerState::Answers { last: 9 }, ..Snapshot::default() };
    let text = serde_json::to_string(&whole).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), whole);
}
