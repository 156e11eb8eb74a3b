//! The pair: files that are none, names that cannot be stored, times out of any order.

use crate::support::bucket::{Kind, for_both_stores};
use crate::support::pair::Pair;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, UNIX_EPOCH};

for_both_stores! {
    a_file_of_any_time_arrives
}

fn a_file_of_any_time_arrives(kind: Kind) {
    let pair = Pair::started(kind);
    for (name, time) in [
        ("1970", UNIX_EPOCH),
        ("1969", UNIX_EPOCH - Duration::from_millis(500)),
        ("1902", UNIX_EPOCH - Duration::from_secs(0x7fff_ffff)),
        ("2040", UNIX_EPOCH + Duration::from_secs(0x8fff_ffff)),
        ("2400", UNIX_EPOCH + Duration::from_secs(13_569_465_600)),
    ] {
        let path = pair.write(name, name.as_bytes());
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    pair.assert_all_arrive();
}

#[test]
fn only_regular_files_are_followed() {
    let mut pair = Pair::new(Kind::Directory);
    let outside = pair.client.beside("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "nobody's business").unwrap();
    let data = pair.client.path("");
    let make_oddities = |name: &str| {
        let folder = data.join(name);
        std::fs::create_dir(&folder).unwrap();
        symlink(outside.join("secret"), folder.join("link-to-file")).unwrap();
        symlink(&outside, folder.join("link-to-folder")).unwrap();
        symlink("nowhere", folder.join("link-to-nothing")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, folder.join("fifo"), FileType::Fifo, mode, 0).unwrap();
        drop(UnixListener::bind(folder.join("socket")).unwrap());
        std::fs::write(folder.join("regular"), name).unwrap();
    };
    make_oddities("there-before");
    pair.client.start();
    make_oddities("new");
    std::fs::write(outside.join("late-secret"), "nobody's business either").unwrap();
    pair.client.wait_until_all_recorded();
    pair.let_things_settle();
    pair.assert_names(&["new/regular", "there-before/regular"]);
    pair.client.assert_nothing_to_complain();
}

#[test]
fn a_name_that_cannot_be_stored_is_parked_and_said() {
    let mut pair = Pair::new(Kind::Directory);
    let names: [(&[u8], &str); 3] = [
        (b"latin-\xe4.txt", "it is not UTF-8"),
        (b"two\nlines", "it has a control character"),
        (b"back\\slash", "it has a backslash"),
    ];
    let before = pair.write("before-\\", b"x");
    pair.client.start();
    assert!(pair.client.wait_until_parked(&before).contains("backslash"));
    for (name, reason) in names {
        let path = pair.write(OsStr::from_bytes(name), b"x");
        let parked = pair.client.wait_until_parked(&path);
        assert!(parked.contains(reason) && parked.contains("hint: rename it"), "{parked}");
        let line = pair.client.daemon().wait_for(&format!("not backed up: {path:?}"));
        assert!(line.contains(reason), "{line}");
    }
    pair.let_things_settle();
    pair.assert_names(&[]);

    // Renamed, it is backed up, and the old name is forgotten at the next look at it.
    std::fs::rename(&before, pair.client.path("before")).unwrap();
    pair.client.wait_until_recorded(&pair.client.path("before"));
    pair.assert_names(&["before"]);
}

#[test]
fn a_path_too_long_for_a_key_is_parked_and_said() {
    let mut pair = Pair::new(Kind::Directory);
    let deep = |length: usize| {
        let folders = format!("{}/", "f".repeat(199)).repeat(length / 200);
        folders + &"n".repeat(length % 200)
    };
    pair.client.start();
    // The longest that fits behind `backups/web/uploads/`; one that only the client's name makes
    // too long, so that the server has to say it; one that is too long by itself.
    let fits = pair.write(deep(1024 - 20), b"fits");
    let with_client = pair.write(deep(1024 - 19), b"x");
    let alone = pair.write(deep(1024), b"x");
    pair.client.wait_until_recorded(&fits);
    for path in [with_client, alone] {
        let reason = pair.client.wait_until_parked(&path);
        assert!(reason.contains("the whole key would be longer than 1024 bytes"), "{reason}");
    }
    pair.assert_names(&[&deep(1024 - 20)]);
}

#[test]
fn a_folder_where_a_file_once_stood_is_told_of_by_a_store_that_cannot_hold_both() {
    let pair = Pair::started(Kind::Directory);
    let file = pair.write("a", b"once a file");
    pair.assert_all_arrive();
    std::fs::remove_file(&file).unwrap();
    let below = pair.write("a/b", b"now below a folder");
    let reason = pair.client.wait_until_parked(&below);
    assert!(reason.contains("a file stands where this path needs a folder"), "{reason}");
    pair.wait_for_object("uploads/a", b"once a file");
}
