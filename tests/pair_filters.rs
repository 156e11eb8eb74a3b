//! The pair: files that are left out by a pattern or for their size, and those that are not.

use crate::support::bucket::Kind;
use crate::support::pair::Pair;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

#[test]
fn temporary_files_are_left_out_until_they_get_their_real_names() {
    let mut pair = Pair::new(Kind::Directory);
    let temporary =
        ["a.tmp", "sub/film.mkv.part", "letter.odt~", ".~lock.letter.odt#", "site/.git/objects/1"];
    for name in temporary {
        pair.write(format!("before/{name}"), b"x");
    }
    pair.write("before/a", b"x");
    pair.client.start();
    for name in temporary {
        pair.write(format!("new/{name}"), b"x");
    }
    pair.write("new/a", b"x");
    let outside = pair.client.beside("outside");
    std::fs::create_dir_all(outside.join(".git")).unwrap();
    std::fs::write(outside.join(".git/HEAD"), "x").unwrap();
    std::fs::write(outside.join("a"), "x").unwrap();
    std::fs::rename(&outside, pair.client.path("moved-in")).unwrap();
    std::fs::create_dir(pair.client.path("4913")).unwrap();
    pair.write("4913/avatar.png", b"the picture of user 4913");
    for name in ["before/a", "new/a", "moved-in/a", "4913/avatar.png"] {
        pair.client.wait_until_recorded(&pair.client.path(name));
    }
    pair.let_things_settle();
    pair.assert_names(&["4913/avatar.png", "before/a", "moved-in/a", "new/a"]);
    assert_eq!(pair.client.parked(), BTreeMap::new());

    // As editors, browsers and rsync do it.
    for folder in ["before", "new"] {
        let film = pair.client.path(folder).join("sub/film.mkv");
        std::fs::rename(film.with_extension("mkv.part"), &film).unwrap();
        pair.client.wait_until_recorded(&film);
    }
    pair.wait_for_object("uploads/new/sub/film.mkv", b"x");
    pair.client.assert_nothing_to_complain();
}

#[test]
fn with_patterns_to_include_nothing_else_is_sent_and_what_is_excluded_stays_out() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.watches[0].more =
        "include_patterns: ['*.jpg', '/documents/', 'settled-*']\nexclude_patterns: ['draft*']"
            .into();
    let write_all = |folder: &str| {
        for name in ["a.jpg", "a.tmp", "draft.jpg", "drafts/a.jpg", "documents/a"] {
            pair.write(format!("{folder}{name}"), b"x");
        }
    };
    write_all("");
    write_all("before/");
    let odd = pair.write(OsStr::from_bytes(b"odd-\xff.tmp"), b"x");
    let mut pair = pair;
    pair.client.start();
    pair.write("new/a.png", b"x");
    let new = pair.write("new/a.jpg", b"x");
    let document = pair.write("documents/new/b.tmp", b"x");
    for path in [&new, &document, &pair.client.path("before/a.jpg"), &pair.client.path("a.jpg")] {
        pair.client.wait_until_recorded(path);
    }
    pair.let_things_settle();
    pair.assert_names(&[
        "a.jpg",
        "before/a.jpg",
        "documents/a",
        "documents/new/b.tmp",
        "new/a.jpg",
    ]);
    assert_eq!(pair.client.parked(), BTreeMap::new(), "{odd:?} is none of our business");
}

#[test]
fn a_file_that_is_too_large_for_its_watch_is_told_of_and_sent_when_it_shrinks() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.watches[0].more = "max_file_size_mb: 1".into();
    let mib = 1024 * 1024;
    let before = pair.write("before", &vec![1; mib + 1]);
    pair.write("fits", &vec![2; mib]);
    pair.client.start();
    let new = pair.write("new", &vec![3; 2 * mib]);
    for path in [&before, &new] {
        let reason = pair.client.wait_until_parked(path);
        assert!(reason.contains("larger than 1 MB (watches[].max_file_size_mb)"), "{reason}");
        pair.client.daemon().wait_for(&format!("not backed up: {path:?}"));
    }
    pair.client.wait_until_recorded(&pair.client.path("fits"));
    pair.assert_names(&["fits"]);

    std::fs::write(&new, "small").unwrap();
    pair.client.wait_until_recorded(&new);
    assert_eq!(pair.client.parked().into_keys().collect::<Vec<_>>(), [before]);
    pair.wait_for_object("uploads/new", b"small");
}

#[test]
fn what_a_later_configuration_excludes_is_forgotten_as_a_problem_and_kept_as_a_backup() {
    let mut pair = Pair::new(Kind::Directory);
    let odd = pair.write("folder/odd\\name.log", b"x");
    let still_odd = pair.write("folder/odd\\name", b"x");
    let log = pair.write("folder/a.log", b"x");
    pair.client.start();
    pair.client.wait_until_recorded(&log);
    pair.client.wait_until_parked(&odd);
    pair.client.wait_until_parked(&still_odd);
    pair.client.stop();

    pair.client.watches[0].more = "exclude_patterns: ['*.log']".into();
    std::fs::write(&log, "a change that is not sent").unwrap();
    pair.client.start();
    pair.let_things_settle();
    assert_eq!(pair.client.parked().into_keys().collect::<Vec<_>>(), [still_odd]);
    assert!(pair.client.records().contains_key(&log), "its row stays");
    pair.wait_for_object("uploads/folder/a.log", b"x");
}
