//! Attacks before, within and around TLS. What holds without it holds within it, and nothing cut off
//! ever looks complete.

use crate::support::api::{Request, parts};
use crate::support::connection::Connection;
use crate::support::content;
use crate::support::server::WEB_KEY;
use crate::support::siege::{Refusal, Siege};
use crate::support::tls_peer::TlsStream;
use crate::support::waiting::{DEADLINE, eventually};
use std::fs::File;
use std::io::ErrorKind;

/// Larger than all buffers between a store and a reader.
const LARGE: u64 = 64 * 1024 * 1024;

fn upload(path: &str, size: usize) -> Request {
    Request::upload(&parts(path, &content(1, size))).key(WEB_KEY)
}

fn get(target: &str) -> Request {
    Request::new("GET", target).key(WEB_KEY)
}

fn store_large(siege: &Siege) -> File {
    let file = File::create(siege.bucket.root().join("backups/web/large")).unwrap();
    file.set_len(LARGE).unwrap();
    file
}

/// Checks that the file does not come whole, and that its end is none that can be taken for it.
#[track_caller]
fn assert_broken(connection: &mut Connection<TlsStream>) {
    let mut received = 0;
    let error = loop {
        match connection.read(&mut [0; 64 * 1024]) {
            Ok(0) => panic!("a farewell after {received} bytes"),
            Ok(count) => received += count as u64,
            Err(error) => break error,
        }
    };
    let broken = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
    assert!(broken.contains(&error.kind()), "after {received} bytes: {error}");
    assert!(received < LARGE, "{received} bytes");
}

/// A connection by each version that is spoken.
fn both_versions(siege: &Siege) -> [Connection<TlsStream>; 2] {
    [siege.peer().connect(siege.port()), siege.peer().connect_by_tls12(siege.port())]
}

#[test]
fn who_does_not_know_that_this_port_speaks_tls_is_told_so_in_words() {
    let siege = Siege::within_tls("");
    let refusal =
        Refusal { status: 400, code: "bad_request", message: "this port speaks TLS: use https://" };
    for request in [get("/health"), upload("a", 1000), upload("a", 4_000_000)] {
        siege.assert_refused(&request.bytes(), "- - \"-\"", refusal);
    }
    for bytes in [&b"G"[..], b"\0", b"SSH-2.0-OpenSSH_10.0\r\n", b"\x80\x2e\x01\0\x02"] {
        siege.assert_refused(bytes, "- - \"-\"", refusal);
    }
    assert!(!siege.log().contains(WEB_KEY));
    siege.assert_unharmed();
}

#[test]
fn a_handshake_may_be_dropped_at_any_byte_and_be_of_any_bytes() {
    let siege = Siege::within_tls("");
    let mut random = fastrand::Rng::with_seed(5);
    for number in 0..120 {
        let mut hello = siege.peer().hello();
        let mut connection = siege.connect();
        match number % 4 {
            0 => {
                connection.say(&hello[..random.usize(..=hello.len())]);
                connection.reset();
            }
            1 => {
                connection.say(&hello[..random.usize(..=hello.len())]);
                connection.half_close();
                // An alarm of TLS may come, and then the end.
                assert!(connection.rest().is_ok_and(|rest| !rest.starts_with(b"HTTP")));
            }
            2 => {
                // From the second byte on: the first one says that it is TLS.
                let place = random.usize(1..hello.len());
                hello[place] = random.u8(..);
                connection.say(&hello);
                drop(connection);
            }
            _ => {
                hello.extend(std::iter::repeat_with(|| random.u8(..)).take(2000));
                connection.say(&hello);
                // Who sends noise may see a reset: it is still sending when nobody listens.
                let _ = connection.rest();
            }
        }
    }
    for mut connection in both_versions(&siege) {
        // Nothing but the handshake.
        connection.say("");
    }
    siege.assert_unharmed();
}

#[test]
fn a_handshake_without_end_is_given_up_in_time() {
    let siege = Siege::within_tls("limits: {head_seconds: 1}");
    let hello = siege.peer().hello();
    let silent = siege.connect();
    let mut half = siege.connect();
    half.say(&hello[..hello.len() / 2]);
    let mut drips = siege.connect();
    let mut bytes = hello.iter();
    eventually(DEADLINE, "the server gives it up", || {
        // A byte every 10 ms or so is too slow to be at the end within a second.
        let _ = drips.try_say([*bytes.next().expect("more bytes")]);
        drips.is_readable().then_some(())
    });
    for mut connection in [silent, half] {
        connection.assert_ended();
    }
    // The handshake is done, and then nothing.
    for version in 0..2 {
        let [one, other] = both_versions(&siege);
        let mut connection = if version == 0 { one } else { other };
        connection.say("");
        let _ = connection.rest();
    }
    siege.assert_unharmed();
}

#[test]
fn one_connection_serves_many_requests_of_every_kind() {
    let siege = Siege::within_tls("");
    for mut connection in both_versions(&siege) {
        for size in [0, 1, 20_000, 400_000, 9_000_000] {
            let upload = upload("tls", size);
            assert_eq!(connection.ask(&upload).json()["size"], size);
            let asked = upload.header("Expect", "100-continue");
            connection.say(asked.head());
            connection.wait_for_continue();
            connection.say(&asked.body);
            assert_eq!(connection.answer().json()["size"], size);
            let head = connection.ask(&Request::new("HEAD", "/download?path=tls").key(WEB_KEY));
            assert_eq!((head.status, head.body.len()), (200, 0));
            assert!(connection.ask(&get("/download?path=tls")).body == content(1, size));
            connection.ask(&get("/nowhere")).assert_error(404, "not_found");
        }
        let many = get("/exists?path=tls").bytes().repeat(100);
        connection.say(many);
        for _ in 0..100 {
            assert_eq!(connection.answer().json()["exists"], true);
        }
        let last = get("/health").header("Connection", "close");
        assert_eq!(connection.ask(&last).status, 200);
        // With TLS's farewell: the reader is told of an end without one.
        connection.assert_ended();
    }
    siege.assert_unharmed();
}

#[test]
fn who_takes_leave_with_its_last_request_is_answered_and_let_go_at_once() {
    // An idle connection is kept for longer than this test waits for anything.
    let siege = Siege::within_tls("limits: { idle_seconds: 3600 }");
    for mut connection in both_versions(&siege) {
        assert_eq!(connection.ask(&get("/health")).status, 200);
        connection.say_last(&get("/exists?path=tls").bytes());
        assert_eq!(connection.answer().json()["exists"], false);
        // Whether in order or not.
        let end = connection.rest().map_err(|error| error.kind());
        assert!(matches!(end, Ok(_) | Err(ErrorKind::UnexpectedEof)), "{end:?}");
    }
    siege.assert_unharmed();
}

#[test]
fn a_body_that_ends_early_is_incomplete_whether_its_sender_takes_leave_or_not() {
    let siege = Siege::within_tls("");
    for size in [10_000, 400_000] {
        for takes_leave in [false, true] {
            for mut connection in both_versions(&siege) {
                let request = upload("short", size);
                connection.say(request.head());
                connection.say(&request.body[..size / 2]);
                if takes_leave {
                    connection.say_farewell();
                } else {
                    connection.half_close();
                }
                let (missing, length) = (request.body.len() - size / 2, request.body.len());
                let message =
                    format!("the body ended early: {missing} of {length} bytes are missing");
                let refusal = Refusal { status: 400, code: "incomplete_body", message: &message };
                refusal.assert_is(&connection.answer());
                connection.assert_ended();
                siege.assert_logged(1, "web POST \"/upload\"", refusal);
            }
        }
    }
    assert_eq!(siege.bucket.keys(), ["backups/web/honest/file"]);
    siege.assert_unharmed();
}

#[test]
fn who_goes_on_sending_what_was_refused_sees_why_and_no_reset() {
    let siege = Siege::within_tls("");
    let misnamed = Request::upload(&parts("../a", &content(1, 8_000_000))).key(WEB_KEY);
    let stranger = Request::upload(&parts("a", &content(1, 8_000_000)));
    for (request, status, code) in
        [(misnamed, 400, "invalid_path"), (stranger, 401, "unauthorized")]
    {
        for mut connection in both_versions(&siege) {
            connection.ask(&request).assert_error(status, code);
            connection.assert_ended();
        }
    }
    siege.assert_unharmed();
}

#[test]
fn a_download_that_breaks_off_ends_without_a_farewell() {
    let siege = Siege::within_tls("");
    for (times, mut connection) in both_versions(&siege).into_iter().enumerate() {
        let file = store_large(&siege);
        connection.say(get("/download?path=large").bytes());
        let head = connection.head_of_answer();
        assert!(head.contains(&format!("Content-Length: {LARGE}\r\n")), "{head}");
        file.set_len(0).unwrap();
        assert_broken(&mut connection);
        siege.daemon().wait_for_times(times + 1, "; the answer broke off: ");
    }
    siege.assert_unharmed_but_for(&["the store broke off a download"]);
}

#[test]
fn who_leaves_its_download_or_stops_reading_it_is_given_up() {
    let siege = Siege::within_tls("limits: {stall_seconds: 1}");
    store_large(&siege);
    let mut stalled = both_versions(&siege);
    for connection in stalled.iter_mut().chain(&mut both_versions(&siege)) {
        connection.say(get("/download?path=large").bytes());
        connection.head_of_answer();
    }
    siege.daemon().wait_for_times(4, "; the answer was not taken: ");
    // While those that stall are still there.
    siege.assert_unharmed();
    for mut connection in stalled {
        assert_broken(&mut connection);
    }
}
