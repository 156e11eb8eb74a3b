//! The pair: what becomes of files that were there before the client.

use crate::support::bucket::{Kind, for_both_stores};
use crate::support::content;
use crate::support::pair::Pair;
use crate::support::waiting::{DEADLINE, eventually};
use s3up::client::fingerprint::Fingerprint;
use s3up::clock;
use s3up::limits::FILE_CLOCK_STEP;
use std::path::Path;

for_both_stores! {
    files_that_were_there_are_uploaded_if_asked_for
}

fn files_that_were_there_are_uploaded_if_asked_for(kind: Kind) {
    let mut pair = Pair::new(kind);
    pair.write("empty", b"");
    pair.write("a/b/c/deep", b"deep");
    for number in 0..20 {
        pair.write(format!("many/{number}"), &content(number, 5000));
    }
    pair.write("large", &content(1, 20 * 1024 * 1024));
    pair.client.start();
    pair.assert_all_arrive();
    assert!(pair.stop().iter().all(|status| status.success()));
    assert_eq!(pair.server.uploads(), 23, "each file once");
}

/// Waits until a file that stands there now is older than a client that is started now.
fn let_it_age(path: &Path) {
    let file = Fingerprint::of(&std::fs::metadata(path).unwrap());
    let step = FILE_CLOCK_STEP.as_nanos() as i64;
    eventually(DEADLINE, "the clock moves on", || {
        (clock::unix_nanos() > file.ctime_ns + 2 * step).then_some(())
    });
}

/// A pair whose first run found the file `old` and was not asked for it.
fn pair_with_an_old_file() -> Pair {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.upload_existing = false;
    let old = pair.write("old", b"old");
    pair.write("folder/old", b"old");
    let_it_age(&old);
    pair.client.start();
    pair
}

#[test]
fn files_that_were_there_are_left_alone_if_not_asked_for() {
    let pair = pair_with_an_old_file();
    let new = pair.write("folder/new", b"new");
    pair.client.wait_until_recorded(&new);
    pair.let_things_settle();
    pair.assert_names(&["folder/new"]);
    assert!(!pair.client.records().contains_key(&pair.client.path("old")), "nor recorded");
}

#[test]
fn what_was_written_while_the_client_was_down_is_uploaded_whether_old_files_are_or_not() {
    let mut pair = pair_with_an_old_file();
    let first = pair.write("first", b"first");
    pair.client.wait_until_recorded(&first);
    pair.client.stop();

    pair.write("first", b"changed while it was down");
    let new = pair.write("folder/new", b"written while it was down");
    // With the times of long ago, as `mv` and `cp -p` bring them.
    let restored = pair.write("restored", b"brought in while it was down");
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(&restored).unwrap().set_modified(long_ago).unwrap();
    pair.client.start();
    for path in [&first, &new, &restored] {
        pair.client.wait_until_recorded(path);
    }
    pair.let_things_settle();
    pair.assert_names(&["first", "folder/new", "restored"]);
    pair.wait_for_object("uploads/first", b"changed while it was down");
}

#[test]
fn an_old_file_that_is_changed_is_no_longer_old() {
    let pair = pair_with_an_old_file();
    let old = pair.write("old", b"older, and changed");
    pair.client.wait_until_recorded(&old);
    pair.let_things_settle();
    pair.assert_names(&["old"]);
}

#[test]
fn old_files_are_uploaded_as_soon_as_they_are_asked_for() {
    let mut pair = pair_with_an_old_file();
    pair.client.stop();
    pair.client.upload_existing = true;
    pair.client.start();
    pair.assert_all_arrive();
    pair.assert_names(&["folder/old", "old"]);
}

#[test]
fn a_restart_uploads_nothing_again() {
    let mut pair = Pair::started(Kind::Directory);
    for number in 0..10 {
        pair.write(format!("{number}"), b"x");
    }
    pair.assert_all_arrive();
    assert!(pair.client.stop().success());
    pair.client.start();
    pair.client.daemon().wait_for("scan (start): 10 files, 0 to look at");
    assert!(pair.stop().iter().all(|status| status.success()));
    assert_eq!(pair.server.uploads(), 10);
}

#[test]
fn a_lost_database_costs_uploads_and_no_file() {
    let mut pair = Pair::started(Kind::Directory);
    pair.write("a", b"a");
    pair.assert_all_arrive();
    pair.client.stop();
    std::fs::remove_file(&pair.client.database).unwrap();
    pair.client.start();
    pair.assert_all_arrive();
    pair.stop();
    assert_eq!(pair.server.uploads(), 2);
}
