//! The server's database makes trouble: uploads go on, it is said, and it mends itself where it can.

use crate::server_activity::{client, upload};
use crate::support::api::{Answer, Request};
use crate::support::bucket::Kind;
use crate::support::server::{ADMIN_KEY, EU_KEY, Server, WEB_KEY};
use crate::support::waiting::{DEADLINE, eventually};
use rusqlite::{Connection, OpenFlags};
use s3up::server::activity::Reading;
use s3up::wire::Day;
use serde_json::Value;
use std::fs;
use std::path::Path;

const GO_ON: &str = "uploads go on, and are not written down until this is mended";

fn ready(server: &Server) -> Value {
    let answer: Answer = Request::new("GET", "/ready").send(server.listening_port());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["activity"].clone()
}

/// Uploads, and waits until so many uploads of the client are known.
#[track_caller]
fn wait_for_files(server: &Server, files: u64) {
    eventually(DEADLINE, "uploads are written down", || {
        let reading = Reading::open(&server.database()).ok()?;
        let facts = reading.facts(Day::of(0)).ok()?;
        (facts.clients.get("web")?.files == files).then_some(())
    });
}

fn corrupt_files(database: &Path) -> Vec<String> {
    let entries = fs::read_dir(database.parent().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".corrupt-") && name.ends_with('Z')).collect()
}

#[test]
fn a_folder_that_is_not_there_at_the_start_keeps_no_upload_out() {
    let mut server = Server::new(Kind::Directory);
    fs::remove_dir(server.database().parent().unwrap()).unwrap();
    server.start();
    server.daemon().wait_for(GO_ON);
    for path in ["a", "b"] {
        assert_eq!(upload(&server, WEB_KEY, path, b"x").status, 200);
    }
    assert_eq!(ready(&server), "not recorded");
    let asked = Request::new("GET", "/clients").key(ADMIN_KEY).send(server.listening_port());
    asked.assert_error(503, "unavailable");
    fs::create_dir(server.database().parent().unwrap()).unwrap();
    server.daemon().wait_for("is written again");
    wait_for_files(&server, 2);
    assert_eq!(ready(&server), Value::Null);
}

#[test]
fn a_file_that_is_no_database_is_set_aside_if_there_was_one_and_else_left_alone() {
    let mut server = Server::new(Kind::Directory);
    fs::write(server.database(), "Dear diary").unwrap();
    server.start();
    server.daemon().wait_for("is no database; hint: move it aside");
    assert_eq!(upload(&server, WEB_KEY, "a", b"x").status, 200);
    assert_eq!(fs::read(server.database()).unwrap(), b"Dear diary");
    fs::remove_file(server.database()).unwrap();
    wait_for_files(&server, 1);
    server.stop();

    fs::write(server.database(), "garbage".repeat(999)).unwrap();
    server.start();
    server.daemon().wait_for("is damaged (");
    assert_eq!(upload(&server, WEB_KEY, "b", b"x").status, 200);
    wait_for_files(&server, 1);
    assert_eq!(corrupt_files(&server.database()).len(), 1);
    assert_eq!(client(&server, "web")["state"], "healthy");
}

#[test]
fn a_database_that_cannot_be_written_for_a_while_is_made_up_for() {
    let mut server = Server::new(Kind::Directory);
    server.start();
    assert_eq!(upload(&server, WEB_KEY, "before", b"x").status, 200);
    wait_for_files(&server, 1);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let other = Connection::open_with_flags(server.database(), flags).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first thing that cannot be written.
    let asked = Request::new("GET", "/exists?path=a").key(EU_KEY).send(server.listening_port());
    assert_eq!(asked.status, 200);
    for number in 0..20 {
        assert_eq!(upload(&server, WEB_KEY, &format!("during-{number}"), b"x").status, 200);
    }
    server.daemon().wait_for(GO_ON);
    assert_eq!(ready(&server), "not recorded");
    assert_eq!(upload(&server, WEB_KEY, "late", b"x").status, 200);
    // It is told what was known before.
    assert_eq!(client(&server, "web")["total"]["files"], 1);
    other.execute_batch("ROLLBACK").unwrap();
    server.daemon().wait_for("is written again");
    wait_for_files(&server, 22);
    assert_eq!(client(&server, "web-eu")["state"], "healthy");
    assert_eq!(ready(&server), Value::Null);
}

#[test]
fn a_database_that_is_damaged_while_it_is_in_use_is_set_aside() {
    let mut server = Server::new(Kind::Directory);
    server.start();
    assert_eq!(upload(&server, WEB_KEY, "before", b"x").status, 200);
    wait_for_files(&server, 1);
    // Its log, too: as long as that is sound, nothing is lost.
    for name in ["activity.db-wal", "activity.db"] {
        let file = server.database().with_file_name(name);
        let length = fs::metadata(&file).unwrap().len() as usize;
        fs::write(file, "garbage".repeat(length / 7 + 1)).unwrap();
    }
    // Somebody has to look, to see it.
    eventually(DEADLINE, "it is set aside", || {
        assert_eq!(upload(&server, WEB_KEY, "during", b"x").status, 200);
        Request::new("GET", "/clients").key(ADMIN_KEY).send(server.listening_port());
        server.log().contains("and a new one is begun").then_some(())
    });
    let port = server.listening_port();
    eventually(DEADLINE, "it is read again", || {
        (Request::new("GET", "/clients").key(ADMIN_KEY).send(port).status == 200).then_some(())
    });
    assert_eq!(upload(&server, WEB_KEY, "after", b"x").status, 200);
    eventually(DEADLINE, "it is written again", || {
        (client(&server, "web")["state"] == "healthy").then_some(())
    });
    assert!(!corrupt_files(&server.database()).is_empty());
    assert_eq!(ready(&server), Value::Null);
    assert_eq!(server.stop().code(), Some(0));
}
