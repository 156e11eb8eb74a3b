//! The server's HTTP interface while its store is away or refuses it: clients learn who has to act
//! and nothing of the store.

use crate::support::api::{Answer, Request, parts};
use crate::support::bucket::{Bucket, Kind};
use crate::support::s3_server::{ACCESS_KEY_ID, BUCKET};
use crate::support::server::{Server, WEB_KEY, free_port};

#[track_caller]
fn every_question(port: u16) -> [Answer; 3] {
    [
        Request::upload(&parts("a", b"x")),
        Request::new("GET", "/exists?path=a"),
        Request::new("GET", "/download?path=a"),
    ]
    .map(|request| request.key(WEB_KEY).send(port))
}

/// Nothing in an answer names the store, its bucket, its credentials or its words.
#[track_caller]
fn assert_says_nothing_of_the_store(answer: &Answer) {
    let text = answer.text();
    for inside in [BUCKET, ACCESS_KEY_ID, "127.0.0.1", "Signature", "s3.", "backups", "refused:"] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
}

#[test]
fn with_the_store_away_the_server_is_healthy_and_not_ready() {
    let mut server = Server::new(Kind::Directory);
    server.bucket = Bucket::Nobody(format!("http://127.0.0.1:{}", free_port()));
    let port = server.start();
    let health = Request::new("GET", "/health").send(port);
    assert_eq!((health.status, &health.json()["status"]), (200, &"ok".into()));
    let ready = Request::new("GET", "/ready").send(port);
    ready.assert_error(503, "unavailable");
    assert_says_nothing_of_the_store(&ready);
    for answer in every_question(port) {
        answer.assert_error(503, "unavailable");
        assert!(answer.header("Retry-After").unwrap().parse::<u32>().unwrap() > 0);
        assert_says_nothing_of_the_store(&answer);
    }
    server.daemon().wait_for("the store is not ready");
    server.daemon().wait_for("web POST \"/upload\": ");
}

#[test]
fn a_store_that_refuses_the_credentials_is_the_operators_business() {
    let mut server = Server::new(Kind::S3);
    let wrong = "a-secret-of-somebody-else";
    server.environment.retain(|(name, _)| *name != "S3_SECRET_ACCESS_KEY");
    server.environment.push(("S3_SECRET_ACCESS_KEY", wrong));
    let port = server.start();
    server.daemon().wait_for("the store is not ready");
    for answer in every_question(port) {
        answer.assert_error(502, "store_refused");
        assert_says_nothing_of_the_store(&answer);
    }
    Request::new("GET", "/ready").send(port).assert_error(503, "unavailable");
    let line = server.daemon().wait_for("web POST \"/upload\": ");
    assert!(line.contains("ERROR") && line.contains("hint: "), "{line}");
    assert!(line.contains("SignatureDoesNotMatch"), "the store's own words: {line}");
    assert!(!server.log().contains(wrong), "the secret is in the log");
    assert_eq!(server.bucket.keys(), [""; 0]);
}
