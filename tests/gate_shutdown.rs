//! The end of a server, whatever its connections are doing: it comes in time, what is in hand is
//! finished as far as it can be, and nothing is left half done.

use crate::support::api::{Request, parts};
use crate::support::bucket::Kind;
use crate::support::connection::{Connection, narrow_to};
use crate::support::content;
use crate::support::server::{Server, WEB_KEY};
use crate::support::waiting::{DEADLINE, eventually};
use rustix::process::Signal;

const ENDING: &str = "SIGTERM: ending; requests in hand are finished";

/// What the log says if the end came before all requests had ended.
const ABANDONED: &str = "a request did not end in time";

fn upload(path: &str, content: &[u8]) -> Request {
    Request::upload(&parts(path, content)).key(WEB_KEY)
}

fn health() -> Request {
    Request::new("GET", "/health")
}

/// An upload of which half is sent, and which the server is known to be reading.
#[track_caller]
fn half_sent(port: u16, request: &Request) -> Connection {
    let mut connection = Connection::to(port);
    connection.say(request.clone().header("Expect", "100-continue").head());
    connection.wait_for_continue();
    connection.say(&request.body[..request.body.len() / 2]);
    connection
}

#[track_caller]
fn assert_ended_well(server: &mut Server) {
    assert_eq!(server.ended().code(), Some(0));
    assert!(!server.log().contains(ABANDONED), "{}", server.log());
    assert_eq!(server.bucket.leftovers(), [""; 0]);
}

#[test]
fn whoever_waits_without_a_request_does_not_hold_the_end_up() {
    let mut server = Server::new(Kind::Directory);
    // So that no time out of the server's own ends them.
    server.limits = "limits: { head_seconds: 300, idle_seconds: 3600 }".into();
    let port = server.start();
    let mut idle: Vec<_> = (0..50).map(|_| Connection::to(port)).collect();
    let mut half_heads: Vec<_> = (0..50).map(|_| Connection::to(port)).collect();
    for connection in &mut half_heads {
        connection.say("GET /health HTTP/1.1\r\nHost: ");
    }
    let mut kept_alive: Vec<_> = (0..50).map(|_| Connection::to(port)).collect();
    for connection in &mut kept_alive {
        assert_eq!(connection.ask(&health()).status, 200);
    }
    let begun = upload("begun", b"x");
    let mut busy = half_sent(port, &begun);
    server.daemon().signal(Signal::TERM);
    for connection in idle.iter_mut().chain(&mut half_heads).chain(&mut kept_alive) {
        connection.assert_ended();
    }
    // They did not have to wait for who is busy.
    busy.say(&begun.body[begun.body.len() / 2..]);
    assert_eq!(busy.answer().status, 200);
    assert_ended_well(&mut server);
}

#[test]
fn what_was_begun_is_finished_and_what_was_sent_is_answered() {
    let mut server = Server::new(Kind::Directory);
    server.limits = "limits: { stall_seconds: 3600 }".into();
    let port = server.start();
    let small = content(1, 50_000);
    let large = content(2, 1024 * 1024);
    let requests = [upload("small", &small), upload("large", &large)];
    let mut begun = requests.each_ref().map(|request| half_sent(port, request));
    server.daemon().signal(Signal::TERM);
    server.daemon().wait_for(ENDING);
    for (connection, request) in begun.iter_mut().zip(&requests) {
        connection.say(&request.body[request.body.len() / 2..]);
        let answer = connection.answer();
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")));
        connection.assert_ended();
    }
    assert_ended_well(&mut server);
    assert!(server.bucket.get("backups/web/small") == Some(small));
    assert!(server.bucket.get("backups/web/large") == Some(large));
}

#[test]
fn an_upload_that_stalls_is_broken_off_and_its_sender_told_to_come_again() {
    let mut server = Server::new(Kind::Directory);
    server.limits = "limits: { stall_seconds: 3600 }".into();
    let port = server.start();
    let contents = [content(1, 50_000), content(2, 300_000), content(3, 20 * 1024 * 1024)];
    let requests = contents.each_ref().map(|content| upload("stalled", content));
    let mut stalled = requests.each_ref().map(|request| half_sent(port, request));
    eventually(DEADLINE, "the large one is being written", || {
        (!server.bucket.leftovers().is_empty()).then_some(())
    });
    server.daemon().signal(Signal::TERM);
    for connection in &mut stalled {
        let answer = connection.answer();
        answer.assert_error(503, "unavailable");
        assert_eq!(answer.header("Connection"), Some("close"));
        assert!(answer.header("Retry-After").is_some());
    }
    assert_ended_well(&mut server);
    assert_eq!(server.bucket.keys(), [""; 0]);
}

#[test]
fn a_download_is_finished_if_its_taker_takes_it_and_given_up_if_not() {
    let mut server = Server::new(Kind::Directory);
    server.limits = "limits: { stall_seconds: 3600 }".into();
    let port = server.start();
    let file = content(1, 24 * 1024 * 1024);
    assert_eq!(upload("file", &file).send(port).status, 200);
    let download = || {
        let mut connection = Connection::over(narrow_to(port));
        connection.say(Request::new("GET", "/download?path=file").key(WEB_KEY).bytes());
        let head = connection.head_of_answer();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        connection
    };
    let mut taken = download();
    server.daemon().signal(Signal::TERM);
    server.daemon().wait_for(ENDING);
    let mut bytes = vec![0; file.len()];
    taken.read_exactly(&mut bytes);
    assert!(bytes == file);
    assert_ended_well(&mut server);

    server.start();
    let port = server.listening_port();
    let mut left = Connection::over(narrow_to(port));
    left.say(Request::new("GET", "/download?path=file").key(WEB_KEY).bytes());
    left.head_of_answer();
    server.daemon().signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    assert!(server.log().contains(ABANDONED), "{}", server.log());
    let rest = left.rest().map_or(0, |rest| rest.len());
    assert!(rest < file.len(), "never more than was sent, and never for whole");
}
