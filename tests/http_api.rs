//! The server's HTTP interface: what a client gets for a request that is right.

use crate::support::api::{Answer, Part, Request, parts};
use crate::support::bucket::{Kind, for_both_stores};
use crate::support::content;
use crate::support::server::{EU_KEY, Server, WEB_KEY};
use s3up::digest::Digest;
use serde_json::json;

for_both_stores! {
    a_file_is_uploaded_seen_to_exist_and_downloaded
    a_page_that_somebody_stored_is_never_answered_as_a_page
    a_file_of_any_size_comes_back_byte_for_byte
    an_upload_replaces_what_was_there
    two_clients_do_not_see_each_others_files
    a_range_is_answered_with_exactly_its_bytes
}

#[track_caller]
fn upload(server: &Server, key: &str, path: &str, content: &[u8]) -> Answer {
    let answer = Request::upload(&parts(path, content)).key(key).send(server.listening_port());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

#[track_caller]
fn get(server: &Server, key: &str, target: &str) -> Answer {
    Request::new("GET", target).key(key).send(server.listening_port())
}

fn a_file_is_uploaded_seen_to_exist_and_downloaded(kind: Kind) {
    let server = Server::started(kind);
    let target = "path=users/123/avatar.png";
    assert_eq!(get(&server, WEB_KEY, &format!("/exists?{target}")).text(), r#"{"exists":false}"#);
    get(&server, WEB_KEY, &format!("/download?{target}")).assert_error(404, "not_found");

    let fields = [
        Part::Field("path", "users/123/avatar.png"),
        Part::Field("mtime", "1700000000.5"),
        Part::File(b"an avatar"),
    ];
    let answer = Request::upload(&fields).key(WEB_KEY).send(server.listening_port());
    let sha256 = Digest::of(b"an avatar").to_string();
    assert_eq!(
        (answer.status, answer.text()),
        (
            200,
            format!(
                r#"{{"success":true,"s3_key":"backups/web/users/123/avatar.png","size":9,"sha256":"{sha256}"}}"#
            )
        )
    );
    assert_eq!(server.bucket.keys(), ["backups/web/users/123/avatar.png"]);

    assert_eq!(
        get(&server, WEB_KEY, &format!("/exists?{target}")).json(),
        json!({"exists": true, "size": 9, "sha256": sha256, "mtime": "1700000000.500000000"})
    );
    let download = get(&server, WEB_KEY, &format!("/download?{target}"));
    assert_eq!((download.status, download.text().as_str()), (200, "an avatar"));
    assert_headers_of_a_download(&download, &sha256);
    let head = Request::new("HEAD", &format!("/download?{target}")).key(WEB_KEY);
    let head = head.send(server.listening_port());
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_headers_of_a_download(&head, &sha256);
    assert_eq!(head.header("ETag"), download.header("ETag"));
}

#[track_caller]
fn assert_headers_of_a_download(answer: &Answer, sha256: &str) {
    for (name, value) in [
        ("Content-Length", "9"),
        ("Content-Type", "application/octet-stream"),
        ("Content-Disposition", "attachment; filename*=UTF-8''avatar.png"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-S3up-Sha256", sha256),
        ("X-S3up-Mtime", "1700000000.500000000"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let etag = answer.header("ETag").unwrap();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let stored = httpdate::parse_http_date(answer.header("Last-Modified").unwrap()).unwrap();
    let ago = s3up::clock::utc().duration_since(stored).unwrap();
    assert!(ago.as_secs() < 60, "stored {ago:?} ago");
}

fn a_page_that_somebody_stored_is_never_answered_as_a_page(kind: Kind) {
    let server = Server::started(kind);
    // Whatever type the store knows it by, a browser must not show it as ours.
    for path in ["a/page.html", "a/image.svg", "a/app.js", "a/doc.pdf"] {
        assert_eq!(upload(&server, WEB_KEY, path, b"<script>").status, 200);
        let answer = get(&server, WEB_KEY, &format!("/download?path={path}"));
        assert_eq!(answer.header("Content-Type"), Some("application/octet-stream"), "{path}");
        let disposition = answer.header("Content-Disposition").unwrap();
        assert!(disposition.starts_with("attachment; "), "{disposition}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
    }
}

fn a_file_of_any_size_comes_back_byte_for_byte(kind: Kind) {
    let server = Server::started(kind);
    let mib = 1024 * 1024;
    for length in [0, 1, 70_000, 8 * mib, 8 * mib + 1, 17 * mib] {
        let path = format!("of/{length}");
        let bytes = content(length as u64, length);
        let answer = upload(&server, WEB_KEY, &path, &bytes).json();
        assert_eq!(answer["size"], length);
        assert_eq!(answer["sha256"], Digest::of(&bytes).to_string());
        let download = get(&server, WEB_KEY, &format!("/download?path={path}"));
        assert!(download.body == bytes, "{length} bytes come back as others");
    }
    assert_eq!(server.bucket.leftovers(), [""; 0]);
}

fn an_upload_replaces_what_was_there(kind: Kind) {
    let server = Server::started(kind);
    for bytes in [&b"first and longer"[..], b"second"] {
        upload(&server, WEB_KEY, "a", bytes);
        assert_eq!(get(&server, WEB_KEY, "/download?path=a").body, bytes);
    }
    assert_eq!(server.bucket.keys(), ["backups/web/a"]);
}

fn two_clients_do_not_see_each_others_files(kind: Kind) {
    let server = Server::started(kind);
    upload(&server, WEB_KEY, "a", b"of web");
    upload(&server, EU_KEY, "b", b"of web-eu");
    for (key, own, other) in [(WEB_KEY, "a", "b"), (EU_KEY, "b", "a")] {
        assert_eq!(get(&server, key, &format!("/exists?path={own}")).json()["exists"], true);
        assert_eq!(get(&server, key, &format!("/exists?path={other}")).json()["exists"], false);
        get(&server, key, &format!("/download?path={other}")).assert_error(404, "not_found");
    }
    for path in ["../web-eu/b", "..%2Fweb-eu%2Fb", "x/../../web-eu/b", "/backups/web-eu/b"] {
        let answer = get(&server, WEB_KEY, &format!("/download?path={path}"));
        answer.assert_error(400, "invalid_path");
    }
    upload(&server, WEB_KEY, "-eu/b", b"of web");
    assert_eq!(get(&server, EU_KEY, "/download?path=b").body, b"of web-eu");
}

fn a_range_is_answered_with_exactly_its_bytes(kind: Kind) {
    let server = Server::started(kind);
    upload(&server, WEB_KEY, "ten", b"0123456789");
    let ask = |range| {
        let request = Request::new("GET", "/download?path=ten").key(WEB_KEY);
        request.header("Range", range).send(server.listening_port())
    };
    for (range, expected, shown) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
    ] {
        let answer = ask(range);
        assert_eq!((answer.status, answer.text().as_str()), (206, expected), "{range}");
        assert_eq!(answer.header("Content-Range"), Some(shown), "{range}");
        assert_eq!(answer.header("Accept-Ranges"), Some("bytes"), "{range}");
    }
    assert_eq!((ask("lines=1-2").status, ask("lines=1-2").text().as_str()), (200, "0123456789"));
    let outside = ask("bytes=10-");
    outside.assert_error(416, "range_not_satisfiable");
    assert_eq!(outside.header("Content-Range"), Some("bytes */10"));
}

#[test]
fn the_fields_of_a_small_upload_come_in_any_order() {
    let server = Server::started(Kind::Directory);
    let sha256 = Digest::of(b"x").to_string();
    for (path, parts) in [
        ("1", [Part::File(b"x"), Part::Field("path", "1"), Part::Field("sha256", &sha256)]),
        ("2", [Part::Field("sha256", &sha256), Part::File(b"x"), Part::Field("path", "2")]),
        ("3", [Part::Field("unknown", "?"), Part::Field("path", "3"), Part::File(b"x")]),
    ] {
        let answer = Request::upload(&parts).key(WEB_KEY).send(server.listening_port());
        assert_eq!(answer.json()["s3_key"], format!("backups/web/{path}"));
    }
}

#[test]
fn names_with_every_odd_character_come_back_under_their_name() {
    let server = Server::started(Kind::Directory);
    for (path, query, file_name) in [
        ("a b/ü ö.txt", "a%20b/%C3%BC+%C3%B6.txt", "%C3%BC%20%C3%B6.txt"),
        ("50%25 #1?&=+", "50%2525%20%231%3F%26%3D%2B", "50%2525%20#1%3F&%3D+"),
        ("it's \"q\"; x", "it's%20%22q%22;%20x", "it%27s%20%22q%22%3B%20x"),
    ] {
        upload(&server, WEB_KEY, path, path.as_bytes());
        let answer = get(&server, WEB_KEY, &format!("/download?path={query}"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, path.as_bytes()), "{path}");
        let disposition = format!("attachment; filename*=UTF-8''{file_name}");
        assert_eq!(answer.header("Content-Disposition"), Some(disposition.as_str()));
    }
}

#[test]
fn a_file_of_exactly_the_limit_is_stored_and_one_byte_more_is_not() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 1;
    let port = server.start();
    let mib = content(7, 1024 * 1024 + 1);
    upload(&server, WEB_KEY, "fits", &mib[1..]);
    let answer = Request::upload(&parts("over", &mib)).key(WEB_KEY).send(port);
    answer.assert_error(413, "file_too_large");
    assert!(answer.text().contains("1048576 bytes"), "{}", answer.text());
    assert_eq!(server.bucket.keys(), ["backups/web/fits"]);
}

#[test]
fn a_file_over_8_mib_needs_its_path_before_it() {
    let server = Server::started(Kind::Directory);
    let bytes = content(8, 8 * 1024 * 1024 + 1);
    upload(&server, WEB_KEY, "large", &bytes);
    let parts = [Part::File(&bytes), Part::Field("path", "too-late")];
    let answer = Request::upload(&parts).key(WEB_KEY).send(server.listening_port());
    answer.assert_error(400, "path_after_file");
    assert_eq!(server.bucket.keys(), ["backups/web/large"]);
    assert_eq!(server.bucket.leftovers(), [""; 0]);
}

#[test]
fn health_and_readiness_need_no_key() {
    let server = Server::started(Kind::Directory);
    for target in ["/health", "/ready"] {
        let answer = Request::new("GET", target).send(server.listening_port());
        let expected = json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")});
        assert_eq!((answer.status, answer.json()), (200, expected), "{target}");
    }
}

#[test]
fn each_request_is_one_log_line_and_no_key_is_in_any() {
    let server = Server::started(Kind::Directory);
    let port = server.listening_port();
    upload(&server, WEB_KEY, "a\u{202e}b", b"x");
    get(&server, "sk_live_of_nobody_at_all_00000000", "/exists?path=a")
        .assert_error(401, "unauthorized");
    let basic = Request::new("GET", "/exists?path=a").header("Authorization", "Basic c2VjcmV0");
    basic.send(port).assert_error(401, "unauthorized");
    Request::new("GET", "/nowhere?%1b").send(port).assert_error(404, "not_found");

    let daemon = server.daemon();
    let line = daemon.wait_for("POST \"/upload\" 200");
    assert!(line.contains(" web POST ") && line.contains(" 1 bytes"), "{line}");
    daemon.wait_for_times(2, " - GET \"/exists?path=a\" 401");
    daemon.wait_for("GET \"/nowhere?%1b\" 404");
    let log = server.log();
    for secret in [WEB_KEY, EU_KEY, "of_nobody", "c2VjcmV0"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let printable = |c: char| c == '\n' || (!c.is_control() && c != '\u{202e}');
    assert!(log.chars().all(printable), "{log:?}");
}
