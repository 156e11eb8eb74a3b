//! Attacks by the declared length of a body: no memory is set aside for it, and nobody waits for it.

use crate::support::api::Request;
use crate::support::server::{Server, WEB_KEY};
use crate::support::siege::{Refusal, Siege};

/// Lengths that are numbers, and more than anybody may store: 64 TiB, 100 GB, 2^63, 2^64 - 1.
const TOO_LARGE: [&str; 4] =
    ["70368744177664", "100000000000", "9223372036854775808", "18446744073709551615"];

const FILE_TOO_LARGE: Refusal<'_> = Refusal {
    status: 413,
    code: "file_too_large",
    message: "this client may store files of at most 104857600 bytes (max_file_size_mb)",
};

/// More memory than the server may need for any of this, in KiB.
const MEMORY_KIB: u64 = 32 * 1024;

fn upload(length: &str) -> Request {
    Request::new("POST", "/upload")
        .header("Content-Type", "multipart/form-data; boundary=b")
        .header("Content-Length", length)
}

/// `head` with nothing behind it, and with more than any buffer holds.
fn with_and_without_body(request: &Request) -> [Vec<u8>; 2] {
    [request.bytes(), [request.bytes(), vec![b'-'; 4 * 1024 * 1024]].concat()]
}

#[test]
fn a_length_beyond_the_limit_is_refused_whether_the_body_is_sent_or_not() {
    let siege = Siege::new();
    for length in TOO_LARGE {
        for bytes in with_and_without_body(&upload(length).key(WEB_KEY)) {
            siege.assert_refused(&bytes, "web POST \"/upload\"", FILE_TOO_LARGE);
        }
    }
    siege.before().assert_never_grew_by(MEMORY_KIB);
    siege.assert_unharmed();
}

#[test]
fn without_a_good_key_a_length_beyond_the_limit_tells_nobody_what_the_limit_is() {
    let siege = Siege::new();
    for (key, message) in [
        (None, "no API key; send the header 'Authorization: Bearer <key>'"),
        (Some("sk_test_of_nobody_0123456789abcdef"), "this API key is not known"),
    ] {
        for length in ["70368744177664", "18446744073709551615"] {
            let request = upload(length);
            let request = key.map_or(request.clone(), |key| request.key(key));
            for bytes in with_and_without_body(&request) {
                let refusal = Refusal { status: 401, code: "unauthorized", message };
                siege.assert_refused(&bytes, "- POST \"/upload\"", refusal);
            }
        }
    }
    siege.before().assert_never_grew_by(MEMORY_KIB);
    siege.assert_unharmed();
}

#[test]
fn what_is_no_plain_number_is_no_length_whoever_sends_it() {
    let siege = Siege::new();
    let no_number = "the value of Content-Length is not a plain decimal number below 2^64";
    for (lines, message) in [
        ("Content-Length: 18446744073709551616", no_number),
        ("Content-Length: 99999999999999999999999999999999999999999", no_number),
        ("Content-Length: -1", no_number),
        ("Content-Length: -9223372036854775808", no_number),
        ("Content-Length: +5", no_number),
        ("Content-Length: 5, 5", no_number),
        ("Content-Length: 5 5", no_number),
        ("Content-Length: 5;", no_number),
        ("Content-Length:", no_number),
        ("Content-Length: 0x10", no_number),
        ("Content-Length: 1e3", no_number),
        ("Content-Length: 5.0", no_number),
        ("Content-Length: 05", no_number),
        ("Content-Length: \u{665}", "the value of Content-Length is not ASCII"),
        ("Content-Length: 5\r\nContent-Length: 5", "there is more than one Content-Length"),
        ("Content-Length: 5\r\ncontent-length: 6", "there is more than one Content-Length"),
    ] {
        for key in [WEB_KEY, "sk_test_of_nobody_0123456789abcdef"] {
            let head = Request::new("POST", "/upload").key(key).head();
            let head = head.replace("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n12345"));
            let refusal = Refusal { status: 400, code: "bad_request", message };
            siege.assert_refused(head.as_bytes(), "- - \"-\"", refusal);
        }
    }
    siege.before().assert_never_grew_by(MEMORY_KIB);
    siege.assert_unharmed();
}

#[test]
fn an_allowed_length_that_never_comes_takes_no_memory() {
    let mut server = Server::new(crate::support::bucket::Kind::Directory);
    // As much as there can be: 5 TiB.
    server.max_file_size_mb = 5 * 1024 * 1024;
    // Whose parts are half a GiB.
    server.limits = "limits: {buffer_memory_mb: 1400}".to_owned();
    let siege = Siege::of(server);
    for length in ["5497558138880", "100000000000"] {
        let mut connection = siege.connect();
        connection.say(upload(length).key(WEB_KEY).head());
        connection.say("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc");
        connection.half_close();
        let answer = connection.answer();
        answer.assert_error(400, "incomplete_body");
        connection.assert_ended();
        siege.daemon().wait_for(&format!("of {length} bytes are missing"));
    }
    siege.before().assert_never_grew_by(MEMORY_KIB);
    siege.assert_unharmed();
}
