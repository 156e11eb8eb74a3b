//! The pair: new files, whatever they are called and however they come.

use crate::support::bucket::{Kind, for_both_stores};
use crate::support::client::Client;
use crate::support::content;
use crate::support::pair::Pair;
use crate::support::server::EU_KEY;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

for_both_stores! {
    new_files_of_any_size_arrive_byte_for_byte_each_once
    files_with_every_odd_name_arrive_under_it
    files_written_right_after_their_folders_arrive_each_once
}

fn new_files_of_any_size_arrive_byte_for_byte_each_once(kind: Kind) {
    let mut pair = Pair::started(kind);
    let mib = 1024 * 1024;
    for length in [0, 1, 4096, mib, 8 * mib, 8 * mib + 1, 20 * mib] {
        pair.write(format!("of-{length}"), &content(length as u64, length));
    }
    pair.assert_all_arrive();
    pair.stop();
    assert_eq!(pair.server.uploads(), 7);
}

fn files_with_every_odd_name_arrive_under_it(kind: Kind) {
    let pair = Pair::started(kind);
    for name in [
        "with blanks  in  it",
        " blank first and last ",
        "größe ñ 漢字 🦀",
        "e\u{301} decomposed",
        "100%25+1#2?3&4=5",
        "%2e%2e",
        "it's \"quoted\" `so`",
        "a;b:c|d<e>f*g$h",
        "...",
        ".hidden/.file",
        "-rf",
        "~new.tmp-",
    ] {
        pair.write(name, name.as_bytes());
    }
    pair.assert_all_arrive();
}

fn files_written_right_after_their_folders_arrive_each_once(kind: Kind) {
    let mut pair = Pair::started(kind);
    for tree in 0..40 {
        for level in ["", "/a", "/a/b", "/a/b/c", "/a/b/c/d"] {
            pair.write(format!("{tree}{level}/file"), format!("{tree}{level}").as_bytes());
        }
    }
    pair.assert_all_arrive();
    pair.stop();
    assert_eq!(pair.server.uploads(), 200);
}

#[test]
fn a_folder_moved_in_brings_its_files() {
    let pair = Pair::started(Kind::Directory);
    let outside = pair.client.beside("outside");
    std::fs::create_dir_all(outside.join("deep/deeper")).unwrap();
    for name in ["1", "deep/2", "deep/deeper/3"] {
        std::fs::write(outside.join(name), name).unwrap();
    }
    std::fs::rename(&outside, pair.client.path("inside")).unwrap();
    pair.assert_all_arrive();
    pair.assert_names(&["inside/1", "inside/deep/2", "inside/deep/deeper/3"]);

    // And it is watched from then on, at every level.
    pair.write("inside/deep/deeper/4", b"4");
    pair.assert_all_arrive();
}

#[test]
fn a_renamed_file_and_the_files_of_a_renamed_folder_are_new_files() {
    let pair = Pair::started(Kind::Directory);
    let file = pair.write("file", b"file");
    pair.write("folder/in/it", b"in it");
    pair.assert_all_arrive();
    std::fs::rename(&file, pair.client.path("file-2")).unwrap();
    std::fs::rename(pair.client.path("folder"), pair.client.path("folder-2")).unwrap();
    pair.client.wait_until_all_recorded();
    pair.assert_names(&["file", "file-2", "folder-2/in/it", "folder/in/it"]);

    // The renamed folder is watched under its new name.
    let late = pair.write("folder-2/in/late", b"late");
    pair.client.wait_until_recorded(&late);
    pair.wait_for_object("uploads/folder-2/in/late", b"late");
}

#[test]
fn what_is_deleted_here_stays_there() {
    let pair = Pair::started(Kind::Directory);
    let file = pair.write("folder/file", b"the only copy");
    pair.assert_all_arrive();
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_dir(file.parent().unwrap()).unwrap();
    pair.let_things_settle();
    let kept = BTreeMap::from([("uploads/folder/file".to_owned(), b"the only copy".to_vec())]);
    pair.assert_holds(&kept);
}

#[test]
fn a_file_that_is_deleted_before_it_rests_is_no_trouble() {
    let pair = Pair::started(Kind::Directory);
    for number in 0..20 {
        let path = pair.write(format!("{number}/short-lived"), b"x");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
    pair.let_things_settle();
    pair.assert_names(&[]);
    assert_eq!(pair.client.parked(), BTreeMap::new());
    pair.client.assert_nothing_to_complain();
}

#[test]
fn two_folders_go_to_places_of_their_own() {
    let mut pair = Pair::new(Kind::Directory);
    let documents = pair.client.watch("documents", "documents/2026/");
    let bare = pair.client.watch("bare", "");
    // Its subfolders would lead to the others' places.
    pair.client.watches[2].recursive = false;
    pair.client.start();
    pair.write("same-name", b"1");
    std::fs::write(documents.join("same-name"), "2").unwrap();
    std::fs::write(bare.join("same-name"), "3").unwrap();
    pair.assert_all_arrive();
    let keys: Vec<String> = pair.server.bucket.files_of("web").into_keys().collect();
    assert_eq!(keys, ["documents/2026/same-name", "same-name", "uploads/same-name"]);
}

#[test]
fn two_clients_with_the_same_names_keep_apart() {
    let mut pair = Pair::started(Kind::Directory);
    let mut other = Client::new();
    other.url = pair.client.url.clone();
    other.api_key = EU_KEY.to_owned();
    other.start();
    pair.write("same/name", b"of web");
    let path = other.path("name");
    std::fs::write(&path, "of web-eu").unwrap();
    other.wait_until_recorded(&path);
    pair.assert_all_arrive();
    let others = pair.server.bucket.files_of("web-eu");
    assert_eq!(others, BTreeMap::from([("uploads/name".to_owned(), b"of web-eu".to_vec())]));
    assert!(other.stop().success());
    pair.stop();
}

#[test]
fn a_watched_folder_may_be_a_link_to_one() {
    let mut pair = Pair::new(Kind::Directory);
    let link = pair.client.beside("current");
    symlink(pair.client.path(""), &link).unwrap();
    pair.client.watches[0].folder = link;
    pair.write("before", b"x");
    pair.client.start();
    pair.write("folder/new", b"y");
    pair.assert_all_arrive();
    pair.assert_names(&["before", "folder/new"]);
}

#[test]
fn a_folder_that_is_not_recursive_leaves_its_subfolders_out() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.watches[0].recursive = false;
    pair.write("before", b"x");
    pair.write("sub/before", b"x");
    pair.client.start();
    let new = pair.write("new", b"x");
    pair.write("sub/new", b"x");
    pair.write("sub-2/new", b"x");
    pair.client.wait_until_recorded(&new);
    pair.let_things_settle();
    pair.assert_names(&["before", "new"]);
}

#[test]
fn the_clients_own_database_is_not_uploaded() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.database = pair.client.path("client.db");
    pair.client.start();
    for number in 0..5 {
        let path = pair.write(format!("{number}"), b"x");
        pair.client.wait_until_recorded(&path);
    }
    pair.let_things_settle();
    pair.client.stop();
    pair.client.start();
    pair.let_things_settle();
    pair.assert_names(&["0", "1", "2", "3", "4"]);
}

#[test]
fn a_watched_folder_that_disappears_is_said_and_the_others_go_on() {
    let mut pair = Pair::new(Kind::Directory);
    let other = pair.client.watch("other", "other/");
    pair.client.start();
    std::fs::remove_dir(&other).unwrap();
    let line = pair.client.daemon().wait_for(&format!("watched folder {other:?} is gone"));
    assert!(line.contains("ERROR") && line.contains("not backed up"), "{line}");
    let path = pair.write("a", b"a");
    pair.client.wait_until_recorded(&path);
}
