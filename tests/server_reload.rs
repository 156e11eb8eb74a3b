//! A running server and its file: clients come and go without a restart, and a file that is not sound
//! changes nothing.

use crate::support::api::Request;
use crate::support::bucket::Kind;
use crate::support::server::{EU_KEY, Server, WEB_KEY};
use rustix::process::Signal;

const NEW_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef-new";

/// What the log says when something of the file was put in force.
const TAKEN: &str = "was read again: clients ";

/// Checks which keys the server knows.
#[track_caller]
fn check(server: &Server, known: &[&str], unknown: &[&str]) {
    for (keys, status) in [(known, 200), (unknown, 401)] {
        for key in keys {
            let request = Request::new("GET", "/exists?path=a").key(key);
            assert_eq!(request.send(server.listening_port()).status, status, "{key}");
        }
    }
}

/// A server that is told by a signal that its file has changed.
fn hang_up(server: &Server) {
    server.daemon().signal(Signal::HUP);
}

#[test]
fn clients_that_were_added_removed_or_got_another_key_are_so_after_a_hangup() {
    let mut server = Server::started(Kind::Directory);
    check(&server, &[WEB_KEY, EU_KEY], &[NEW_KEY]);
    server.clients = vec![("web", NEW_KEY), ("web-us", EU_KEY)];
    server.configure();
    hang_up(&server);
    let line = server.daemon().wait_for(TAKEN);
    assert!(line.ends_with("clients added: web-us; removed: web-eu; changed: web"), "{line}");
    check(&server, &[NEW_KEY, EU_KEY], &[WEB_KEY]);

    server.clients = vec![("web", WEB_KEY)];
    server.configure();
    hang_up(&server);
    let line = server.daemon().wait_for_times(2, TAKEN);
    assert!(line.ends_with("clients removed: web-us; changed: web"), "{line}");
    check(&server, &[WEB_KEY], &[NEW_KEY, EU_KEY]);
    for key in [WEB_KEY, NEW_KEY, EU_KEY] {
        assert!(!server.log().contains(key), "a key is logged");
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_file_that_changed_is_read_without_being_told() {
    let mut server = Server::started(Kind::Directory);
    server.clients = vec![("web", NEW_KEY)];
    server.configure();
    server.daemon().wait_for(TAKEN);
    check(&server, &[NEW_KEY], &[WEB_KEY, EU_KEY]);
    assert_eq!(server.daemon().count(TAKEN), 1);
}

#[test]
fn a_broken_file_changes_nothing_and_its_problems_are_logged_with_their_lines() {
    let mut server = Server::started(Kind::Directory);
    server.clients = vec![("web", NEW_KEY), ("web-us", "short")];
    let file = server.configure();
    let lines = std::fs::read_to_string(&file).unwrap();
    let line = lines.lines().position(|line| line.contains("short")).unwrap() + 1;
    std::fs::write(&file, format!("{lines}colour: red\n")).unwrap();
    hang_up(&server);
    server.daemon().wait_for(&format!("{}:{line}: clients[1].api_key: is not an", file.display()));
    server.daemon().wait_for("colour: unknown key; known here: admin_keys, clients,");
    server.daemon().wait_for("is refused; the clients of the last good one stay");
    check(&server, &[WEB_KEY, EU_KEY], &[NEW_KEY]);

    std::fs::remove_file(&file).unwrap();
    hang_up(&server);
    server.daemon().wait_for("server.yaml: cannot read it: No such file");
    check(&server, &[WEB_KEY, EU_KEY], &[NEW_KEY]);

    server.clients = vec![("web", NEW_KEY)];
    server.configure();
    hang_up(&server);
    server.daemon().wait_for(TAKEN);
    check(&server, &[NEW_KEY], &[WEB_KEY, EU_KEY]);
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_taken() {
    let mut server = Server::started(Kind::Directory);
    let port = server.listening_port();
    hang_up(&server);
    server.daemon().wait_for("was read again: no client has changed");
    assert_eq!(server.daemon().count("needs a restart"), 0, "{}", server.log());

    server.port = 1;
    server.limits = "limits: {idle_seconds: 5, connections: 9}".into();
    server.clients = vec![("web", NEW_KEY)];
    server.configure();
    hang_up(&server);
    let line = server.daemon().wait_for("needs a restart");
    assert!(
        line.ends_with("needs a restart: server.port, limits.connections, limits.idle_seconds"),
        "{line}"
    );
    server.daemon().wait_for(TAKEN);
    assert_eq!(server.listening_port(), port);
    check(&server, &[NEW_KEY], &[WEB_KEY, EU_KEY]);
}
