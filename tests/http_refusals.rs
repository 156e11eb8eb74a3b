//! The server's HTTP interface: what a client gets for a request that is wrong. Nothing is stored,
//! and the answer always has the one shape of failures.

use crate::support::api::{Part, Request, parts};
use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::server::{Server, WEB_KEY};
use crate::support::waiting::{DEADLINE, eventually};
use std::net::TcpStream;

/// Sends a request that must be refused and leave nothing behind.
#[track_caller]
fn check(request: &Request, status: u16, code: &str) {
    let server = Server::started(Kind::Directory);
    check_at(&server, request, status, code);
}

#[track_caller]
fn check_at(server: &Server, request: &Request, status: u16, code: &str) {
    request.send(server.listening_port()).assert_error(status, code);
    assert_nothing_stored(server);
}

#[track_caller]
fn assert_nothing_stored(server: &Server) {
    assert_eq!(server.bucket.keys(), [""; 0]);
    // A worker may still be undoing what it began when the gate has answered.
    eventually(DEADLINE, "nothing is left over", || {
        server.bucket.leftovers().is_empty().then_some(())
    });
}

fn upload(parts: &[Part<'_>]) -> Request {
    Request::upload(parts).key(WEB_KEY)
}

#[test]
fn without_a_key_or_with_a_wrong_one_nothing_is_served() {
    let server = Server::started(Kind::Directory);
    let wrong = "sk_test_0123456789abcdef0123456789abcdef-wex";
    for request in [
        Request::upload(&parts("a", b"x")),
        Request::new("GET", "/exists?path=a"),
        Request::new("GET", "/download?path=a"),
        // Nobody learns without a key whether a request would be right.
        Request::new("PUT", "/upload"),
        Request::new("GET", "/download?path=../a"),
    ] {
        for authorization in [
            None,
            Some(format!("Bearer {wrong}")),
            Some(format!("Bearer {WEB_KEY}x")),
            Some(format!("Basic {WEB_KEY}")),
            Some("Bearer".to_owned()),
            Some(WEB_KEY.to_owned()),
        ] {
            let mut request = request.clone();
            if let Some(authorization) = &authorization {
                request = request.header("Authorization", authorization);
            }
            let answer = request.send(server.listening_port());
            answer.assert_error(401, "unauthorized");
            assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"), "{authorization:?}");
        }
    }
    assert_nothing_stored(&server);
}

#[test]
fn a_form_without_path_or_file_is_told_which_is_missing() {
    let server = Server::started(Kind::Directory);
    for (parts, field) in [(&[Part::File(b"x")], "'path'"), (&[Part::Field("path", "a")], "'file'")]
    {
        let answer = upload(parts).send(server.listening_port());
        answer.assert_error(400, "missing_field");
        assert!(answer.text().contains(field), "{}", answer.text());
    }
    for target in ["/exists", "/exists?", "/download?x=1"] {
        let request = Request::new("GET", target).key(WEB_KEY);
        check_at(&server, &request, 400, "missing_field");
    }
}

#[test]
fn a_path_that_breaks_a_rule_is_refused_and_never_cleaned() {
    let server = Server::started(Kind::Directory);
    let long = "x".repeat(256);
    let deep = "x/".repeat(600) + "x";
    for path in [
        "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/./b", "a\\b",
        "a\nb", "a\u{7f}b", &long, &deep,
    ] {
        check_at(&server, &upload(&parts(path, b"x")), 400, "invalid_path");
    }
    for query in ["", "..%2Fa", "%2e%2e/a", "a%00b", "%FF", "a%5Cb", "/etc/passwd"] {
        for route in ["exists", "download"] {
            let request = Request::new("GET", &format!("/{route}?path={query}")).key(WEB_KEY);
            check_at(&server, &request, 400, "invalid_path");
        }
    }
}

#[test]
fn a_field_that_is_there_twice_or_cannot_be_read_is_refused() {
    let server = Server::started(Kind::Directory);
    let twice = [Part::Field("path", "a"), Part::Field("path", "b"), Part::File(b"x")];
    check_at(&server, &upload(&twice), 400, "bad_request");
    let two_files = [Part::Field("path", "a"), Part::File(b"x"), Part::File(b"y")];
    check_at(&server, &upload(&two_files), 400, "bad_request");
    for (name, value) in [("sha256", "abc"), ("mtime", "yesterday")] {
        let odd = [Part::Field("path", "a"), Part::Field(name, value), Part::File(b"x")];
        check_at(&server, &upload(&odd), 400, "bad_request");
    }
}

#[test]
fn content_that_is_not_what_its_digest_says_is_not_stored() {
    let server = Server::started(Kind::Directory);
    let other = "0".repeat(64);
    let large = content(3, 9 * 1024 * 1024);
    for file in [&b"x"[..], &large] {
        let before = [Part::Field("path", "a"), Part::Field("sha256", &other), Part::File(file)];
        let after = [Part::Field("path", "a"), Part::File(file), Part::Field("sha256", &other)];
        for parts in [before, after] {
            check_at(&server, &upload(&parts), 422, "digest_mismatch");
        }
    }
}

#[test]
fn a_file_over_the_limit_is_refused_by_its_declared_length() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 1;
    let port = server.start();
    let request = upload(&parts("a", &content(1, 2 * 1024 * 1024)));
    // All the server gets is the head: it has to answer without the body.
    let answer = request.send_part(port, 0);
    answer.assert_error(413, "file_too_large");
    assert_nothing_stored(&server);
}

#[test]
fn a_file_over_the_limit_is_refused_while_it_is_counted() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 9;
    server.start();
    // Within what the form around it may weigh, and more than is collected in one piece.
    let request = upload(&parts("a", &content(1, 9 * 1024 * 1024 + 1000)));
    check_at(&server, &request, 413, "file_too_large");
}

#[test]
fn an_upload_must_be_a_form() {
    let server = Server::started(Kind::Directory);
    for content_type in [None, Some("application/json"), Some("application/x-www-form-urlencoded")]
    {
        let mut request = upload(&parts("a", b"x")).without("Content-Type");
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        check_at(&server, &request, 415, "unsupported_media_type");
    }
    let bare = upload(&parts("a", b"x")).without("Content-Type");
    let bare = bare.header("Content-Type", "multipart/form-data");
    check_at(&server, &bare, 400, "bad_request");
}

#[test]
fn an_upload_without_a_declared_length_is_refused() {
    let mut request = upload(&parts("a", b"x")).without("Content-Length");
    request = request.header("Transfer-Encoding", "chunked");
    let body = std::mem::take(&mut request.body);
    request.body = format!("{:x}\r\n", body.len()).into_bytes();
    request.body.extend(body);
    request.body.extend(b"\r\n0\r\n\r\n");
    check(&request, 411, "length_required");
}

#[test]
fn a_body_that_breaks_off_is_not_stored_wherever_it_breaks() {
    let server = Server::started(Kind::Directory);
    let tiny = upload(&parts("a", b"a tiny file"));
    let small = upload(&parts("a", &content(1, 5000)));
    let large = upload(&parts("a", &content(2, 9 * 1024 * 1024)));
    for (request, missing) in [
        (&tiny, 1),
        (&tiny, 2),
        (&tiny, 60),
        (&tiny, 180),
        (&small, 1),
        (&small, 4000),
        (&large, 1),
        (&large, 100_000),
    ] {
        let count = request.body.len() - missing;
        match request.send_cut(server.listening_port(), count) {
            Some(answer) => answer.assert_error(400, "incomplete_body"),
            None => panic!("no answer without {missing} bytes"),
        }
        assert_nothing_stored(&server);
    }
}

#[test]
fn a_refused_body_is_never_taken_for_a_request() {
    let server = Server::started(Kind::Directory);
    // Whose content looks like a request.
    let smuggled = b"GET /download?path=smuggled HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let form = Request::upload(&parts("../a", &smuggled));
    // Refused before the body is read: the connection ends with the answer.
    let mut put = Request::new("PUT", "/health");
    put.body = form.body.clone();
    let put = put.header("Content-Length", &form.body.len().to_string());
    for (request, status, code) in [(&form, 401, "unauthorized"), (&put, 405, "method_not_allowed")]
    {
        let answer = request.send(server.listening_port());
        answer.assert_error(status, code);
        assert_eq!(answer.header("Connection"), Some("close"));
    }
    // Refused after it was read: the connection goes on.
    let stream = TcpStream::connect(("127.0.0.1", server.listening_port())).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    for _ in 0..3 {
        form.clone().key(WEB_KEY).send_on(&stream).assert_error(400, "invalid_path");
        assert_eq!(Request::new("HEAD", "/health").send_on(&stream).status, 200);
        assert_eq!(Request::new("GET", "/health").send_on(&stream).status, 200);
    }
    assert!(!server.log().contains("GET \"/download"), "content was taken for a request");
}

#[test]
fn an_unknown_route_and_a_wrong_method_are_told_apart() {
    let server = Server::started(Kind::Directory);
    for target in ["//", "/uploads", "/upload/", "/Upload", "/exists/x"] {
        check_at(&server, &Request::new("GET", target), 404, "not_found");
    }
    for (method, target, allowed) in [
        ("GET", "/upload", "POST"),
        ("PUT", "/upload?path=a", "POST"),
        ("POST", "/exists?path=a", "GET, HEAD"),
        ("DELETE", "/download?path=a", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ] {
        let request = Request::new(method, target).key(WEB_KEY).header("Content-Length", "0");
        let answer = request.send(server.listening_port());
        answer.assert_error(405, "method_not_allowed");
        assert_eq!(answer.header("Allow"), Some(allowed), "{method} {target}");
    }
}
