//! Attacks by the head of a request: what could be read in two ways, what is too long, and what never
//! ends. None of it gets to a worker.

use crate::support::server::WEB_KEY;
use crate::support::siege::{Refusal, Siege};
use crate::support::waiting::{DEADLINE, eventually};

/// More memory than the server may need for any of this, in KiB.
const MEMORY_KIB: u64 = 32 * 1024;

/// Checks that these bytes are no request, for this reason.
#[track_caller]
fn check(siege: &Siege, bytes: impl AsRef<[u8]>, message: &str) {
    let refusal = Refusal { status: 400, code: "bad_request", message };
    siege.assert_refused(bytes.as_ref(), "- - \"-\"", refusal);
}

/// Checks a table of bytes with the reason why they are no request.
#[track_caller]
fn check_all<B: AsRef<[u8]>>(cases: impl IntoIterator<Item = (B, &'static str)>) {
    let siege = Siege::new();
    for (bytes, message) in cases {
        check(&siege, bytes, message);
    }
    siege.before().assert_never_grew_by(MEMORY_KIB);
    siege.assert_unharmed();
}

/// An upload with a good key, with `lines` in its head and `body` behind it.
fn upload(lines: &str, body: &str) -> String {
    format!(
        "POST /upload HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {WEB_KEY}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n{lines}\r\n\r\n{body}"
    )
}

#[test]
fn a_body_has_one_framing_and_that_is_its_length() {
    let siege = Siege::new();
    let hidden = "0\r\n\r\nGET /download?path=hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "tRANSFER-eNCODING: x\r\nContent-Length: 44",
    ] {
        let message = "there are both a Transfer-Encoding and a Content-Length";
        check(&siege, upload(lines, hidden), message);
    }
    for coding in ["chunked", "identity", "gzip, chunked", ""] {
        let bytes = upload(&format!("Transfer-Encoding: {coding}"), hidden);
        let refusal = Refusal {
            status: 411,
            code: "length_required",
            message: "Transfer-Encoding is not taken; send the body as it is, with a Content-Length",
        };
        siege.assert_refused(bytes.as_bytes(), "- - \"-\"", refusal);
    }
    let refusal = Refusal {
        status: 411,
        code: "length_required",
        message: "the request needs a Content-Length",
    };
    siege.assert_refused(upload("X: y", "").as_bytes(), "web POST \"/upload\"", refusal);
    assert!(!siege.log().contains("hidden"), "a body was taken for a request");
    siege.assert_unharmed();
}

#[test]
fn a_request_line_is_a_method_a_path_and_a_version_and_nothing_else() {
    let line = "the request line is not well formed";
    let version =
        "the request line does not end in HTTP/1.0 or HTTP/1.1; no other version is served";
    let target = "the target is not a path with an optional query: it has to begin with a slash, and \
                  to be visible ASCII without a fragment";
    let end = "a line of the head does not end where it has to, in CR LF";
    check_all([
        ("GET http://h/health HTTP/1.1\r\nHost: h\r\n\r\n", target),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", target),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", target),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", target),
        ("GET health HTTP/1.1\r\nHost: h\r\n\r\n", target),
        ("GET /health#x HTTP/1.1\r\nHost: h\r\n\r\n", target),
        ("GET /h\u{e4}lth HTTP/1.1\r\nHost: h\r\n\r\n", target),
        ("GET /health\r\n\r\n", line),
        ("GET /health\r\n", line),
        ("GET /health HTTP/0.9\r\n\r\n", version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0", version),
        ("GET /health HTTP/3.0\r\nHost: h\r\n\r\n", version),
        ("GET /health HTTP/1.2\r\nHost: h\r\n\r\n", version),
        ("GET /health http/1.1\r\nHost: h\r\n\r\n", version),
        ("GET /health HTTP/1.1 x\r\nHost: h\r\n\r\n", end),
        ("GET  /health HTTP/1.1\r\nHost: h\r\n\r\n", line),
        (" GET /health HTTP/1.1\r\nHost: h\r\n\r\n", line),
        ("G\u{e4}T /health HTTP/1.1\r\nHost: h\r\n\r\n", line),
        ("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", line),
        ("GET /\x1b[31mred HTTP/1.1\r\nHost: h\r\n\r\n", line),
        ("GET /\x07 HTTP/1.1\r\nHost: h\r\n\r\n", line),
        ("\0\0\0\0", line),
        (
            "\r\nGET /health HTTP/1.1\r\nHost: h\r\n\r\n",
            "there is an empty line before the request line",
        ),
    ]);
}

#[test]
fn a_header_line_can_be_read_in_one_way_only() {
    let name = "a header line does not begin with a name and a colon";
    let value = "the value of a header has a control character";
    let end = "a line of the head does not end where it has to, in CR LF";
    let head = |lines: &str| format!("GET /health HTTP/1.1\r\n{lines}\r\n\r\n");
    check_all(
        [
            ("Host: h\r\nHost: h", "there is more than one Host"),
            ("Host: h\r\nhost: other", "there is more than one Host"),
            ("X: y", "there is no Host, which HTTP/1.1 demands"),
            ("Host: a b", "the value of Host is not well formed"),
            ("Host: a, b", "the value of Host is not well formed"),
            ("Host: h\u{e4}", "the value of Host is not ASCII"),
            ("Host: h\r\nX: folded\r\n over two lines", name),
            ("Host: h\r\nContent-Length: 5\r\n\t6", name),
            ("Host: h\r\nContent-Length : 5", name),
            ("Host: h\r\nno colon", name),
            ("Host: h\r\n: no name", name),
            ("Host: h\r\nX\0: y", name),
            ("Host: h\r\nX\u{e4}: y", name),
            ("Host: h\r\nX: a\0b", value),
            ("Host: h\r\nX: \x1b]0;title\x07", value),
            ("Host: h\r\nX: a\x7fb", value),
            ("Host: h\nX: y", end),
            ("Host: h\r\nX: y\rZ: z", value),
            ("Host: h\r\nExpect: a miracle", "the value of Expect is not 100-continue"),
            (
                "Host: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b",
                "there is more than one Authorization",
            ),
            (
                "Host: h\r\nConnection: content-length",
                "the value of Connection is not a list of options that can be meant",
            ),
        ]
        .map(|(lines, message)| (head(lines), message)),
    );
}

#[test]
fn a_head_has_a_largest_size_in_every_direction() {
    let too_long = "the head is longer than 16384 bytes";
    let mib = "x".repeat(1024 * 1024);
    let start = "GET /health HTTP/1.1\r\nHost: h\r\n";
    check_all([
        (format!("{start}X: {mib}\r\n\r\n"), too_long),
        (format!("{start}{mib}: x\r\n\r\n"), too_long),
        (
            format!("{start}{}\r\n", "X: y\r\n".repeat(10_000)),
            "the head has more than 64 header lines",
        ),
        (format!("{start}{}\r\n", "X: y\r\n".repeat(64)), "the head has more than 64 header lines"),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", &mib[..100_000]), too_long),
        (
            format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", &mib[..4096]),
            "the target is longer than 4096 bytes",
        ),
        (
            format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", &mib[..1024]),
            "the method is longer than 32 bytes",
        ),
        (mib.clone(), too_long),
        (mib.repeat(8), too_long),
    ]);
}

#[test]
fn a_head_that_does_not_end_is_given_up_in_time() {
    let siege = Siege::with_limits("limits: {head_seconds: 1}");
    let late = Refusal {
        status: 400,
        code: "bad_request",
        message: "the head was not complete within 1 s",
    };
    // One that begins and says no more, one that goes on byte by byte, and one after a request.
    for drips in [false, true] {
        let mut connection = siege.connect();
        connection.say("GET /health HTTP/1.1\r\nHost: h\r\nX: ");
        eventually(DEADLINE, "the server gives it up", || {
            if drips {
                // Who is given up may have it closed meanwhile.
                let _ = connection.try_say("y");
            }
            connection.is_readable().then_some(())
        });
        late.assert_is(&connection.answer());
        connection.assert_ended();
        siege.assert_logged(1 + usize::from(drips), "- - \"-\"", late);
    }
    let mut connection = siege.connect();
    connection.say("GET /health HTTP/1.1\r\nHost: h\r\n\r\nGET");
    assert_eq!(connection.answer().status, 200);
    late.assert_is(&connection.answer());
    connection.assert_ended();
    // Who says nothing at all is told nothing.
    siege.connect().assert_ended();
    siege.assert_logged(3, "- - \"-\"", late);
    siege.assert_unharmed();
}

#[test]
fn nothing_that_was_sent_gets_into_the_log_as_it_came() {
    let siege = Siege::new();
    let key = format!("Host: h\r\nAuthorization: Bearer {WEB_KEY}");
    for target in [
        "/%1b[31mred%07",
        "/exists?path=%1b[31mred",
        "/download?path=%C2%9B31m",
        "/download?path=a%E2%80%AEb%E2%81%A6",
        "/exists?path=a%0d%0a127.0.0.1%20web",
        "/upload?\"",
    ] {
        let mut connection = siege.connect();
        connection.say(format!("GET {target} HTTP/1.1\r\n{key}\r\n\r\n"));
        connection.answer();
        connection.say("G\"'|;`T /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    siege.assert_unharmed();
    let log = siege.log();
    let odd = |c: &char| c.is_control() && *c != '\n' || !c.is_ascii();
    assert_eq!(log.chars().filter(odd).collect::<String>(), "", "{log}");
    assert!(log.lines().all(|line| line.starts_with("[20")), "{log}");
}

#[test]
fn noise_of_every_kind_is_answered_or_given_up_and_never_a_panic() {
    let siege = Siege::with_limits("limits: {head_seconds: 1}");
    let whole =
        upload("Content-Length: 40\r\nExpect: 100-continue\r\nRange: bytes=0-1", &"-".repeat(40));
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..random.usize(0..4) {
            let (place, byte) = (random.usize(..bytes.len()), random.u8(..));
            match random.u8(..3) {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        bytes.truncate(random.usize(bytes.len() / 2..=bytes.len()));
        let mut connection = siege.connect();
        connection.say(bytes);
        connection.half_close();
        // A head that was cut short is answered with nothing.
        let text = connection.rest().expect("no reset");
        let text = String::from_utf8_lossy(&text);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 "), "{text}");
        assert!(!text.starts_with("HTTP/1.1 5"), "{text}");
    }
    siege.assert_unharmed();
}
