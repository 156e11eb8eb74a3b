//! The pair: two clients on one database, and databases that are damaged.

use crate::support::bucket::{Kind, for_both_stores};
use crate::support::client::Client;
use crate::support::content;
use crate::support::pair::Pair;
use rusqlite::Connection;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

for_both_stores! {
    what_the_server_has_is_not_uploaded_again_when_the_database_is_garbage
    what_the_server_has_is_not_uploaded_again_when_the_database_is_cut_short
}

#[test]
fn a_second_client_on_one_database_says_who_has_it_and_ends() {
    let mut pair = Pair::started(Kind::Directory);
    let mut second = Client::new();
    second.url = pair.client.url.clone();
    second.database = pair.client.database.clone();
    second.launch();
    assert_eq!(second.ended().code(), Some(1));
    let line = format!(
        "error: cannot use database {}: another s3up (process {}) uses it; hint: stop that one, ",
        second.database.display(),
        pair.client.daemon().pid()
    );
    assert!(second.log().starts_with(&line), "{}", second.log());
    pair.write("a", b"the first one does its work");
    pair.assert_all_arrive();
    pair.client.kill();
    second.start();
}

fn what_the_server_has_is_not_uploaded_again_when_the_database_is_garbage(kind: Kind) {
    check(kind, |path| std::fs::write(path, "no database".repeat(999)).unwrap());
}

fn what_the_server_has_is_not_uploaded_again_when_the_database_is_cut_short(kind: Kind) {
    check(kind, |path| File::options().write(true).open(path).unwrap().set_len(9999).unwrap());
}

/// Damages the database of a pair whose files all arrived, changes some, and counts the uploads.
fn check(kind: Kind, damage: impl Fn(&Path)) {
    let mut pair = Pair::started(kind);
    for name in ["same", "ä b+%20#?&=.txt", "a/b/c", "empty", "touched", "changed", "same size"] {
        pair.write(name, name.as_bytes());
    }
    pair.write("empty", b"");
    pair.write("large", &content(1, 9 * 1024 * 1024));
    pair.assert_all_arrive();
    assert!(pair.client.stop().success());

    damage(&pair.client.database);
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(pair.client.path("touched"), mode).unwrap();
    pair.write("changed", b"changed while it was down");
    let same_size = pair.client.path("same size");
    let time = std::fs::metadata(&same_size).unwrap().modified().unwrap();
    pair.write("same size", b"SAME SIZE");
    File::options().write(true).open(&same_size).unwrap().set_modified(time).unwrap();
    pair.write("new", b"new");

    pair.client.start();
    pair.assert_all_arrive();
    assert!(pair.client.stop().success());
    let log = pair.client.log();
    let aside = format!("{} is damaged (", pair.client.database.display());
    assert!(log.contains(&aside) && log.contains("it is kept as "), "the log says so");

    pair.client.start();
    pair.client.daemon().wait_for("scan (start): 9 files, 0 to look at");
    // The server logs an upload after its answer.
    pair.stop();
    assert_eq!(pair.server.uploads(), 8 + 3, "the changed ones and the new one");
}

#[test]
fn a_damaged_database_leaves_no_file_out_that_was_new_when_it_was_lost() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.upload_existing = false;
    pair.client.start();
    pair.write("known", b"known");
    pair.assert_all_arrive();
    pair.client.stop();
    let new = pair.write("new", b"written before the loss was seen");
    std::fs::write(&pair.client.database, "").unwrap();
    pair.client.start();
    pair.client.wait_until_recorded(&new);
    pair.assert_all_arrive();
    // The server logs an upload after its answer.
    pair.stop();
    assert_eq!(pair.server.uploads(), 2, "each once");
}

#[test]
fn damage_that_is_met_while_it_runs_ends_the_client_and_the_next_start_mends_it() {
    let mut pair = Pair::started(Kind::Directory);
    let path = pair.write("a", b"a");
    pair.assert_all_arrive();
    let database = Connection::open(&pair.client.database).unwrap();
    database.execute("UPDATE files SET sha256 = x'00'", []).unwrap();
    drop(database);
    // Has the row looked at.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(pair.client.ended().code(), Some(1));
    assert!(pair.client.log().contains("error: the database thread ended: "));
    pair.client.start();
    pair.assert_all_arrive();
    pair.stop();
    assert_eq!(pair.server.uploads(), 1);
}
