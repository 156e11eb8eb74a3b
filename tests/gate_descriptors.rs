//! When the system has no more descriptors to give: nobody new is served, nobody who is served
//! notices, and it passes.

use crate::support::api::{Request, parts};
use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::crowd::crowd;
use crate::support::server::{Server, WEB_KEY};
use crate::support::siege::Siege;
use crate::support::waiting::{DEADLINE, eventually};

/// What the log says of an accept that failed.
const CANNOT_ACCEPT: &str = "cannot accept connections: ";

fn health() -> Request {
    Request::new("GET", "/health")
}

fn upload(path: &str, content: &[u8]) -> Request {
    Request::upload(&parts(path, content)).key(WEB_KEY)
}

#[test]
fn a_server_that_may_have_few_descriptors_says_what_it_can_do_with_them_and_does_it() {
    let mut server = Server::new(Kind::Directory);
    server.descriptors = Some(64);
    let siege = Siege::of(server);
    let warning = siege.daemon().wait_for("the limit of 64 open files allows");
    assert!(warning.contains("2 of 16 workers and 12 of 4096 connections"), "{warning}");
    assert!(warning.contains("hint: LimitNOFILE="), "{warning}");
    for _ in 0..3 {
        let mut crowd = crowd(100, 2, siege.port());
        for (number, connection) in crowd.iter_mut().enumerate() {
            // Most of them were shown out by those after them.
            let _ = match number % 3 {
                0 => connection.try_say(b"GET /health HTTP/1.1\r\nHost: "),
                1 => connection.try_say(health().bytes()),
                _ => connection.try_say(Request::new("GET", "/exists?path=a").key("none").bytes()),
            };
        }
        for _ in 0..20 {
            // Each costs a lane.
            siege.connect().say(upload("dropped", &[0; 300_000]).head());
        }
        // These showed a key, so that nobody is let in for them before they have gone. Whoever is told
        // to come again, and does, is served.
        let file = content(7, 9 * 1024 * 1024);
        let exists = Request::new("GET", "/exists?path=a").key(WEB_KEY);
        for request in [exists, health(), upload("small", b"content"), upload("large", &file)] {
            eventually(DEADLINE, "there is room again", || {
                let status = request.send(siege.port()).status;
                assert!(status == 200 || status == 503, "{status}");
                (status == 200).then_some(())
            });
        }
        assert_eq!(siege.bucket.get("backups/web/small").as_deref(), Some(&b"content"[..]));
        assert!(siege.bucket.get("backups/web/large") == Some(file));
    }
    assert_eq!(siege.daemon().count(CANNOT_ACCEPT), 0, "more was let in than there is room for");
    siege.assert_unharmed_but_for(&["the limit of 64 open files allows"]);
}

#[test]
fn a_server_that_may_have_hardly_any_descriptors_says_so_and_ends() {
    let mut server = Server::new(Kind::Directory);
    server.descriptors = Some(40);
    server.launch();
    let status = server.ended();
    assert_eq!(status.code(), Some(1), "{}", server.log());
    let line = "the limit of 40 open files is too low to serve anybody; hint: LimitNOFILE=";
    assert!(server.log().contains(line), "{}", server.log());
}

#[test]
fn an_accept_that_fails_is_told_and_waited_out_and_who_waited_meanwhile_is_served() {
    let siege = Siege::new();
    let mut inside = siege.connect();
    assert_eq!(inside.ask(&health()).status, 200);
    siege.daemon().limit_descriptors(siege.daemon().next_descriptor());
    let mut outside = siege.connect();
    outside.say(health().bytes());
    let line = siege.daemon().wait_for(CANNOT_ACCEPT);
    assert!(line.contains("Too many open files") && line.contains("hint: "), "{line}");
    // Its pauses grow, so that by now it has said little.
    siege.daemon().wait_for("trying again in 1000 ms");
    let said = siege.daemon().count(CANNOT_ACCEPT);
    assert!(said < 20, "{said} lines");
    // Who is inside has noticed nothing: neither a lane nor a file of the store is missing here.
    assert_eq!(inside.ask(&health()).status, 200);
    siege.daemon().limit_descriptors(10_000);
    assert_eq!(outside.answer().status, 200);
    drop((inside, outside));
    siege.assert_unharmed_but_for(&[CANNOT_ACCEPT]);
}
