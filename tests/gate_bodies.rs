//! Attacks by the body of a request: one that is slow, that stops, that ends early or not at all, and
//! one that nobody wants. What comes after it is read as what it is.

use crate::support::api::{Request, parts};
use crate::support::bucket::Kind;
use crate::support::connection::Connection;
use crate::support::content;
use crate::support::server::{Server, WEB_KEY};
use crate::support::siege::{Refusal, Siege};
use crate::support::waiting::{DEADLINE, eventually};

/// Below and above the size up to which a body is complete before it gets to a worker.
const SIZES: [usize; 2] = [10_000, 400_000];

fn upload(path: &str, size: usize) -> Request {
    Request::upload(&parts(path, &content(1, size))).key(WEB_KEY)
}

/// Neither stored nor left over.
#[track_caller]
fn assert_nothing_stored(server: &Server) {
    assert_eq!(server.bucket.keys(), ["backups/web/honest/file"]);
    eventually(DEADLINE, "nothing is left over", || {
        server.bucket.leftovers().is_empty().then_some(())
    });
}

#[test]
fn a_body_that_comes_too_slowly_or_stops_is_given_up() {
    let siege = Siege::with_limits("limits: {stall_seconds: 1, min_bytes_per_second: 10000}");
    for (number, (size, drips)) in
        SIZES.into_iter().flat_map(|size| [(size, false), (size, true)]).enumerate()
    {
        let request = upload("slow", size);
        let mut connection = siege.connect();
        connection.say(request.head());
        connection.say(&request.body[..size / 2]);
        let mut rest = request.body[size / 2..].iter();
        eventually(DEADLINE, "the server gives it up", || {
            if let Some(byte) = rest.next().filter(|_| drips) {
                // A byte every 10 ms or so; it may have been given up meanwhile.
                let _ = connection.try_say([*byte]);
            }
            connection.is_readable().then_some(())
        });
        let answer = connection.answer();
        answer.assert_error(400, "incomplete_body");
        assert!(answer.text().contains("came too slowly: "), "{}", answer.text());
        assert_eq!(answer.header("Connection"), Some("close"));
        connection.assert_ended();
        let line = siege.daemon().wait_for_times(number + 1, "incomplete_body: ");
        assert!(line.contains(" 127.0.0.1 web POST \"/upload\" 400 "), "{line}");
        if !drips {
            let missing = request.body.len() - size / 2;
            let counts = format!("{missing} of {} bytes were still missing", request.body.len());
            assert!(line.ends_with(&counts), "{line}");
        }
    }
    assert_nothing_stored(&siege);
    siege.assert_unharmed();
}

#[test]
fn a_body_that_ends_early_is_incomplete_wherever_it_ends() {
    let siege = Siege::new();
    let mut times = 0;
    for size in SIZES {
        let request = upload("short", size);
        for count in [0, 1, 100, size / 2, request.body.len() - 1] {
            let mut connection = siege.connect();
            connection.say(request.head());
            connection.say(&request.body[..count]);
            connection.half_close();
            let (missing, length) = (request.body.len() - count, request.body.len());
            let message = format!("the body ended early: {missing} of {length} bytes are missing");
            let refusal = Refusal { status: 400, code: "incomplete_body", message: &message };
            refusal.assert_is(&connection.answer());
            connection.assert_ended();
            siege.assert_logged(1, "web POST \"/upload\"", refusal);

            let mut connection = siege.connect();
            connection.say(request.head());
            connection.say(&request.body[..count]);
            connection.reset();
            times += 1;
            let line = siege.daemon().wait_for_times(times, "the body broke off: ");
            assert!(line.contains(" 127.0.0.1 web POST \"/upload\" - "), "{line}");
        }
    }
    assert_nothing_stored(&siege);
    siege.assert_unharmed();
}

#[test]
fn what_follows_a_body_is_the_next_request_or_refused_as_none() {
    let siege = Siege::new();
    for size in [0, 1, SIZES[0], SIZES[1]] {
        let first = upload(&format!("first/{size}"), size);
        let second = upload(&format!("second/{size}"), size / 2);
        let health = Request::new("GET", "/health");
        let mut connection = siege.connect();
        let all = [&first, &health, &second, &health].map(Request::bytes).concat();
        connection.say([&*all, b"\0garbage\r\n\r\n"].concat());
        for request in [&first, &health, &second, &health] {
            let answer = connection.answer();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let key = &answer.json()["s3_key"];
            match request.body.is_empty() {
                true => assert_eq!(answer.json()["status"], "ok"),
                false if std::ptr::eq(request, &first) => {
                    assert_eq!(key, &format!("backups/web/first/{size}"));
                }
                false => assert_eq!(key, &format!("backups/web/second/{size}")),
            }
        }
        let no_request = "the request line is not well formed";
        let refusal = Refusal { status: 400, code: "bad_request", message: no_request };
        refusal.assert_is(&connection.answer());
        connection.assert_ended();
    }
    siege.assert_unharmed();
}

#[test]
fn whoever_asks_first_is_told_to_go_on_only_if_it_may() {
    let siege = Siege::new();
    let ask = |request: Request| request.header("Expect", "100-continue");
    for size in SIZES {
        let request = ask(upload("asked", size));
        let mut connection = siege.connect();
        for _ in 0..3 {
            connection.say(request.head());
            connection.wait_for_continue();
            connection.say(&request.body);
            assert_eq!(connection.answer().status, 200);
        }
        // Who does not wait after all is not told.
        connection.say(request.bytes());
        assert_eq!(connection.answer().status, 200);
    }
    let stranger = ask(Request::upload(&parts("a", &content(1, SIZES[1]))));
    let large = ask(Request::upload(&parts("a", b"")).without("Content-Length")).key(WEB_KEY);
    let large = large.header("Content-Length", "1000000000");
    let no_form = ask(upload("a", SIZES[1]).without("Content-Type"));
    let elsewhere = ask(Request::new("POST", "/exists?path=a").key(WEB_KEY));
    let elsewhere = elsewhere.header("Content-Length", "1000000");
    for (request, status, code) in [
        (stranger, 401, "unauthorized"),
        (large, 413, "file_too_large"),
        (no_form, 415, "unsupported_media_type"),
        (elsewhere, 405, "method_not_allowed"),
    ] {
        let mut connection = siege.connect();
        connection.say(request.head());
        let answer = connection.answer();
        answer.assert_error(status, code);
        assert_eq!(answer.header("Connection"), Some("close"));
        connection.assert_ended();
    }
    siege.assert_unharmed();
}

#[test]
fn nothing_is_continued_where_no_body_is_held_back() {
    let siege = Siege::new();
    let mut connection = siege.connect();
    let empty = Request::new("POST", "/upload")
        .key(WEB_KEY)
        .header("Content-Type", "multipart/form-data; boundary=b")
        .header("Content-Length", "0")
        .header("Expect", "100-continue");
    connection.ask(&empty).assert_error(400, "bad_request");
    let health = Request::new("GET", "/health").header("Expect", "100-continue");
    assert_eq!(connection.ask(&health).status, 200);
    // HTTP/1.0 knows no such thing.
    let old = upload("old", 1000).header("Expect", "100-continue");
    let old = [old.head().replace("HTTP/1.1", "HTTP/1.0").as_bytes(), &old.body].concat();
    connection.say(old);
    assert_eq!(connection.answer().status, 200);
    connection.assert_ended();
    siege.assert_unharmed();
}

#[test]
fn who_goes_on_sending_what_was_refused_sees_why_and_no_reset() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 20;
    let siege = Siege::of(server);
    let mib = 1024 * 1024;
    let counted = upload("a", 20 * mib + 200_000);
    let misnamed = Request::upload(&parts("../a", &content(1, 16 * mib))).key(WEB_KEY);
    let stranger = Request::upload(&parts("a", &content(1, 16 * mib)));
    let mut elsewhere = Request::new("GET", "/health").header("Content-Length", "16777216");
    elsewhere.body = vec![b'x'; 16 * mib];
    for (request, status, code) in [
        (counted, 413, "file_too_large"),
        (misnamed, 400, "invalid_path"),
        (stranger, 401, "unauthorized"),
        (elsewhere, 400, "bad_request"),
    ] {
        let mut connection = siege.connect();
        let answer = connection.ask(&request);
        answer.assert_error(status, code);
        if answer.header("Connection") == Some("keep-alive") {
            // Counted to the last bytes: by then all of them had come.
            assert_eq!(status, 413);
            assert_eq!(connection.ask(&Request::new("GET", "/health")).status, 200);
        } else {
            connection.say(b"and more, as the connection is still open");
            connection.assert_ended();
        }
    }
    assert_nothing_stored(&siege);
    siege.assert_unharmed();
}

#[test]
fn who_never_stops_sending_what_was_refused_is_left_in_the_end() {
    let siege = Siege::new();
    let head = "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n";
    let mut connection: Connection = siege.connect();
    connection.say(head);
    connection.answer().assert_error(401, "unauthorized");
    let piece = vec![b'x'; 64 * 1024];
    eventually(DEADLINE, "nobody listens any more", || connection.try_say(&piece).err());
    siege.assert_unharmed();
}
