//! The pair: files that change, before, while and after they are uploaded.

use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::pair::Pair;
use crate::support::relay::Relay;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

const MIB: usize = 1024 * 1024;

#[test]
fn a_file_written_anew_is_uploaded_anew() {
    let mut pair = Pair::started(Kind::Directory);
    for version in [&b"first"[..], b"second, longer", b"third", b""] {
        pair.write("a", version);
        pair.assert_all_arrive();
    }
    pair.stop();
    assert_eq!(pair.times_stored("uploads/a"), 4);
}

#[test]
fn other_bytes_of_the_same_size_with_the_old_time_set_back_are_uploaded() {
    let mut pair = Pair::started(Kind::Directory);
    let path = pair.write("a", b"before");
    pair.assert_all_arrive();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = File::options().write(true).open(&path).unwrap();
    file.write_all(b"behind").unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    pair.assert_all_arrive();
    pair.wait_for_object("uploads/a", b"behind");
    pair.stop();
    assert_eq!(pair.times_stored("uploads/a"), 2);
}

#[test]
fn another_file_moved_into_its_place_with_its_size_and_time_is_uploaded() {
    let pair = Pair::started(Kind::Directory);
    let path = pair.write("a", b"before");
    pair.assert_all_arrive();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let other = pair.client.beside("other");
    std::fs::write(&other, "behind").unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
    std::fs::rename(&other, &path).unwrap();
    pair.assert_all_arrive();
    pair.wait_for_object("uploads/a", b"behind");
}

#[test]
fn what_only_touches_the_inode_uploads_nothing() {
    let mut pair = Pair::started(Kind::Directory);
    let path = pair.write("a", b"the same bytes");
    pair.assert_all_arrive();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    // The client notes the new ctime, so it has looked at the bytes.
    pair.client.wait_until_recorded(&path);
    let copy = pair.client.beside("copy");
    std::fs::write(&copy, "the same bytes").unwrap();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    File::options().write(true).open(&copy).unwrap().set_modified(modified).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    pair.client.wait_until_recorded(&path);
    pair.stop();
    assert_eq!(pair.times_stored("uploads/a"), 1);
}

#[test]
fn a_growing_file_is_not_uploaded_until_it_rests() {
    let mut pair = Pair::new(Kind::Directory);
    // Far longer than a writer on a busy machine may be kept from writing.
    pair.client.debounce_seconds = 1.0;
    pair.client.start();
    let path = pair.write("growing", b"");
    while_it_grows(&path, || {
        // Each takes as long as the growing file would, if it rested.
        for _ in 0..2 {
            pair.let_things_settle();
            assert_eq!(pair.times_stored("uploads/growing"), 0, "uploaded while it grew");
        }
    });
    pair.assert_all_arrive();
    pair.stop();
    assert_eq!(pair.times_stored("uploads/growing"), 1);
}

#[test]
fn a_file_that_never_rests_is_parked_and_taken_as_soon_as_it_does() {
    for (max_attempts, max_wait_seconds, key) in
        [(3, 3600, "stability.max_attempts"), (1_000_000, 1, "stability.max_wait_seconds")]
    {
        let mut pair = Pair::new(Kind::Directory);
        pair.client.max_attempts = max_attempts;
        pair.client.max_wait_seconds = max_wait_seconds;
        pair.client.start();
        let path = pair.write("restless", b"");
        while_it_grows(&path, || {
            let reason = pair.client.wait_until_parked(&path);
            assert!(reason.contains("still changing") && reason.contains(key), "{reason}");
            pair.client.daemon().wait_for(&format!("not backed up: {path:?}"));
        });
        pair.assert_all_arrive();
        assert!(pair.client.parked().is_empty());
    }
}

/// Appends to a file all the time that `act` takes, however that ends.
fn while_it_grows(path: &Path, act: impl FnOnce()) {
    let mut file = File::options().append(true).open(path).unwrap();
    std::thread::scope(|scope| {
        let (_growing, grown) = channel::<()>();
        scope.spawn(move || {
            while grown.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
                file.write_all(&content(1, 100)).unwrap();
            }
        });
        act();
    });
}

/// Changes a file of `size` bytes while it is being uploaded, and sees that the bytes it has in the
/// end are those that are recorded and stored.
#[track_caller]
fn check_change_during_upload(size: usize, change: impl FnOnce(&Path)) {
    let mut pair = Pair::new(Kind::Directory);
    let relay = Relay::start(pair.server.listening_port(), MIB / 2);
    pair.client.url = relay.url();
    pair.client.start();
    let path = pair.write("a", &content(1, size));
    relay.wait_until_held();
    assert_eq!(pair.server.uploads(), 0);
    change(&path);
    relay.release();
    pair.assert_all_arrive();
    pair.client.stop();
    let log = pair.client.log();
    assert_eq!(log.matches(" uploaded ").count(), 1, "only the last state is taken for uploaded");
    assert_eq!(log.matches("not backed up").count(), 0, "a change is no failure");
}

#[test]
fn a_file_appended_to_while_it_is_uploaded_is_uploaded_again() {
    check_change_during_upload(MIB, |path| {
        File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
    });
}

#[test]
fn a_file_overwritten_in_place_while_it_is_uploaded_is_uploaded_again() {
    for size in [MIB, 32 * MIB] {
        check_change_during_upload(size, |path| {
            let mut file = File::options().write(true).open(path).unwrap();
            file.write_all(&content(2, size)).unwrap();
        });
    }
}

#[test]
fn a_file_overwritten_behind_its_old_time_while_it_is_uploaded_is_uploaded_again() {
    check_change_during_upload(MIB, |path| {
        let modified = std::fs::metadata(path).unwrap().modified().unwrap();
        let mut file = File::options().write(true).open(path).unwrap();
        file.write_all(&content(2, MIB)).unwrap();
        file.set_modified(modified).unwrap();
    });
}

#[test]
fn a_file_replaced_while_it_is_uploaded_is_uploaded_again() {
    check_change_during_upload(MIB, |path| {
        let other = path.parent().unwrap().parent().unwrap().join("other");
        std::fs::write(&other, content(2, MIB)).unwrap();
        std::fs::rename(&other, path).unwrap();
    });
}

#[test]
fn a_file_cut_short_while_it_is_uploaded_is_uploaded_again() {
    // Much more than the sockets on the way can hold: the client is still reading.
    check_change_during_upload(64 * MIB, |path| {
        File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    });
}
