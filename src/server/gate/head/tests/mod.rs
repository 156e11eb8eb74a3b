//! Heads one by one, a sentence each; `delivery` has the heads that nobody thought of.

mod delivery;

use super::*;
use crate::server::reply::ApiError;
use crate::wire::ErrorCode;

/// A head that says the least that HTTP/1.1 demands.
const PLAIN: &str = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";

fn plain() -> Head {
    Head {
        method: "GET".into(),
        target: "/health".into(),
        version: Version::Http11,
        content_length: None,
        keep_alive: true,
        expects_continue: false,
        authorization: None,
        content_type: None,
        range: None,
        forwarded_for: None,
    }
}

fn check(bytes: impl AsRef<[u8]>, head: Head) {
    let bytes = bytes.as_ref();
    let parsed = Parsed::Head { head, length: bytes.len() };
    assert_eq!(parse(bytes), parsed, "{:?}", bytes.escape_ascii().to_string());
}

/// Checks what these header lines, beside a `Host`, make of a request.
fn check_lines(lines: &str, head: Head) {
    check(format!("GET /health HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"), head);
}

fn check_refused(bytes: impl AsRef<[u8]>, refusal: Refusal) {
    let bytes = bytes.as_ref();
    let shown = bytes[..bytes.len().min(200)].escape_ascii();
    assert_eq!(parse(bytes), Parsed::Refused(refusal), "{shown}");
}

/// Checks that these header lines, beside a `Host`, are refused.
fn check_lines_refused(lines: &str, refusal: Refusal) {
    check_refused(format!("POST /upload HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"), refusal);
}

fn check_target_refused(target: &str, refusal: Refusal) {
    check_refused(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"), refusal);
}

#[test]
fn a_head_is_read_as_clients_write_it() {
    check(PLAIN, plain());
    check(
        "POST /upload HTTP/1.1\r\nAccept-Encoding: gzip\r\nHost: backup.example.com:8443\r\n\
         authorization:Bearer sk_live_0123456789abcdef\r\nCONTENT-TYPE: \tmultipart/form-data; \
         boundary=\"a b\" \t\r\nContent-Length: 5368709120\r\nExpect: 100-Continue\r\n\r\n",
        Head {
            method: "POST".into(),
            target: "/upload".into(),
            content_length: Some(5_368_709_120),
            expects_continue: true,
            authorization: Some(Secret::new("Bearer sk_live_0123456789abcdef")),
            content_type: Some("multipart/form-data; boundary=\"a b\"".into()),
            ..plain()
        },
    );
    check(
        "HEAD /download?path=a%20b+c/%C3%A4&x=%00 HTTP/1.1\r\nHost: [::1]:80\r\nRange: bytes=0-9\r\n\r\n",
        Head {
            method: "HEAD".into(),
            target: "/download?path=a%20b+c/%C3%A4&x=%00".into(),
            range: Some("bytes=0-9".into()),
            ..plain()
        },
    );
    check("GET /health HTTP/1.1\r\nHost:\r\n\r\n", plain());
    check("get /health HTTP/1.1\r\nHost: h\r\n\r\n", Head { method: "get".into(), ..plain() });
}

#[test]
fn fields_that_do_not_count_are_passed_over_whatever_they_say() {
    check_lines("X: \u{fc}\r\nX: b\r\nCookie:\r\n\u{21}#$%&'*+-.^_`|~9: \t", plain());
    check_lines(
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nTE: trailers",
        plain(),
    );
    check_lines("Content_Length: 5\r\nXContent-Length: 5\r\nX-Host: other", plain());
    check_lines("Proxy-Connection: close\r\nTrailer: Host\r\nKeep-Alive: timeout=0", plain());
}

#[test]
fn a_list_of_senders_is_one_list_in_its_order_however_many_lines_it_has() {
    for (lines, list) in [
        ("X-Forwarded-For: 192.0.2.1", "192.0.2.1"),
        ("x-forwarded-for:\t192.0.2.1 ,::1 ", "192.0.2.1 ,::1"),
        ("X-Forwarded-For: a\r\nX: y\r\nX-FORWARDED-FOR: b, c\r\nx-forwarded-for: d", "a, b, c, d"),
        ("X-Forwarded-For:", ""),
        ("X-Forwarded-For: a\r\nX-Forwarded-For:", "a,"),
        ("X-Forwarded-For: a\r\nX-Forwarded-For:\r\nX-Forwarded-For: b", "a, , b"),
        ("X-Forwarded-For:\r\nX-Forwarded-For:\r\nX-Forwarded-For:", ", ,"),
    ] {
        check_lines(lines, Head { forwarded_for: Some(list.into()), ..plain() });
    }
    check_lines("Forwarded: for=192.0.2.1\r\nX-Forwarded-For-X: a", plain());
    check_lines_refused(
        "X-Forwarded-For: a\r\nX-Forwarded-For: \u{fc}",
        Refusal::NotAscii("X-Forwarded-For"),
    );
}

#[test]
fn what_follows_the_head_is_left_where_it_is() {
    for rest in ["\r\n", "\n\n", "body\n", "GET / HTTP/2.0\r\n\r\n", "\0\r\n \r\n\r\n"] {
        let parsed = parse(format!("{PLAIN}{rest}").as_bytes());
        assert_eq!(parsed, Parsed::Head { head: plain(), length: PLAIN.len() }, "{rest:?}");
    }
    let rest = "x".repeat(3 * HEAD_BYTES_MAX);
    let parsed = parse(format!("{PLAIN}{rest}").as_bytes());
    assert_eq!(parsed, Parsed::Head { head: plain(), length: PLAIN.len() });
}

#[test]
fn connections_go_on_by_default_in_1_1_and_on_demand_in_1_0() {
    let check = |version: &str, lines: &str, keep_alive: bool| {
        let bytes = format!("GET /health {version}\r\nHost: h\r\n{lines}\r\n");
        let Parsed::Head { head, .. } = parse(bytes.as_bytes()) else { panic!("{bytes:?}") };
        assert_eq!(head.keep_alive, keep_alive, "{bytes:?}");
    };
    check("HTTP/1.1", "", true);
    check("HTTP/1.1", "Connection: \r\n", true);
    check("HTTP/1.1", "Connection: Upgrade, HTTP2-Settings\r\n", true);
    check("HTTP/1.1", "Connection: CLOSE\r\n", false);
    check("HTTP/1.1", "Connection: ,TE,\t close ,\r\n", false);
    check("HTTP/1.1", "Connection: close\r\nConnection: keep-alive\r\n", false);
    check("HTTP/1.1", "Connection: keep-alive\r\nconnection: close\r\n", false);
    check("HTTP/1.1", "Connection: not-close\r\n", true);
    check("HTTP/1.0", "", false);
    check("HTTP/1.0", "Connection: TE\r\n", false);
    check("HTTP/1.0", "Connection: Keep-Alive\r\n", true);
    check("HTTP/1.0", "Connection: keep-alive, close\r\n", false);
}

#[test]
fn a_continue_is_expected_only_where_one_can_be_sent_and_a_body_is_to_come() {
    let check = |version: &str, lines: &str, expects: bool| {
        let bytes = format!("POST /upload {version}\r\nHost: h\r\nExpect: 100-continue{lines}\r\n");
        let Parsed::Head { head, .. } = parse((bytes + "\r\n").as_bytes()) else { panic!() };
        assert_eq!(head.expects_continue, expects, "{version} {lines:?}");
    };
    check("HTTP/1.1", "\r\nContent-Length: 1", true);
    check("HTTP/1.1", "\r\nContent-Length: 0", false);
    check("HTTP/1.1", "", false);
    check("HTTP/1.0", "\r\nContent-Length: 1", false);
}

#[test]
fn a_length_is_written_in_plain_digits() {
    for (text, length) in [
        ("0", 0),
        ("5", 5),
        ("70368744177664", 64 << 40),
        ("9223372036854775808", 1 << 63),
        ("18446744073709551615", u64::MAX),
    ] {
        let head = Head { content_length: Some(length), ..plain() };
        check_lines(&format!("Content-Length: {text}"), head);
    }
    for text in [
        "",
        "+5",
        "-1",
        "-0",
        "5, 5",
        "5,5",
        "5 5",
        "5;",
        "05",
        "00",
        "0x10",
        "1e3",
        "5.0",
        "1_000",
        "\"5\"",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        check_lines_refused(&format!("Content-Length: {text}"), Refusal::ContentLength);
    }
    check_lines_refused("Content-Length: \u{663}", Refusal::NotAscii("Content-Length"));
}

#[test]
fn there_is_one_framing_and_it_is_the_length() {
    for coding in ["chunked", "identity", "gzip, chunked", "", "xchunked"] {
        let lines = format!("Transfer-Encoding: {coding}");
        check_lines_refused(&lines, Refusal::TransferEncoding);
        check_lines_refused(&format!("Content-Length: 5\r\n{lines}"), Refusal::TwoFramings);
        check_lines_refused(&format!("{lines}\r\nContent-Length: 5"), Refusal::TwoFramings);
    }
    check_lines_refused("tRANSFER-eNCODING: chunked", Refusal::TransferEncoding);
    check_lines_refused("Transfer-Encoding: \u{fc}", Refusal::TransferEncoding);
    check_refused(
        "POST /upload HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Refusal::TransferEncoding,
    );
}

#[test]
fn no_field_that_counts_comes_twice() {
    for (name, value) in [
        ("Content-Length", "5"),
        ("Authorization", "Bearer sk_live_0123456789abcdef"),
        ("Content-Type", "text/plain"),
        ("Range", "bytes=0-"),
        ("Expect", "100-continue"),
    ] {
        let shouted = name.to_uppercase();
        let twice = format!("{name}: {value}\r\nX: y\r\n{shouted}: {value}");
        check_lines_refused(&twice, Refusal::Repeated(name));
        check_lines_refused(&format!("{name}:\r\n{name}: {value}"), Refusal::Repeated(name));
        check_lines_refused(&format!("{name}: \u{fc}"), Refusal::NotAscii(name));
    }
    check_lines_refused(
        "Content-Length: 5\r\nContent-Length: 6",
        Refusal::Repeated("Content-Length"),
    );
    check_lines_refused("Host: h", Refusal::Repeated("Host"));
    check_lines_refused("hOST: other", Refusal::Repeated("Host"));
    check_lines_refused("Connection: \u{fc}", Refusal::NotAscii("Connection"));
}

#[test]
fn a_host_is_there_and_could_be_one() {
    check_refused("GET / HTTP/1.1\r\n\r\n", Refusal::HostMissing);
    check_refused("GET / HTTP/1.1\r\nX-Host: h\r\n\r\n", Refusal::HostMissing);
    check_refused("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", Refusal::Repeated("Host"));
    for host in ["a b", "a, b", "a,b", "a/b", "user@h", "h?", "h#", "h\\", "\"h\""] {
        check_refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Refusal::Host);
        check_refused(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"), Refusal::Host);
    }
    check(
        "GET /health HTTP/1.0\r\n\r\n",
        Head { version: Version::Http10, keep_alive: false, ..plain() },
    );
}

#[test]
fn a_connection_option_names_nothing_that_everybody_needs() {
    for value in [
        "close;q=1",
        "\"close\"",
        "close x",
        "keep-alive, content-length",
        "Authorization",
        "close, Host",
        "transfer-encoding",
        "Content-Type",
        "range",
        "expect",
        "close, x-forwarded-for",
        "@",
    ] {
        check_lines_refused(&format!("Connection: {value}"), Refusal::Connection);
        let second = format!("Connection: close\r\nConnection: {value}");
        check_lines_refused(&second, Refusal::Connection);
    }
}

#[test]
fn nothing_but_a_continue_can_be_expected() {
    for value in ["", "200-ok", "100-continue, 100-continue", "100-continue;x", "100"] {
        check_lines_refused(&format!("Content-Length: 1\r\nExpect: {value}"), Refusal::Expect);
    }
    check_refused("GET / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n", Refusal::Expect);
}

#[test]
fn a_target_is_a_path_of_visible_ascii() {
    for target in [
        "*",
        "h:443",
        "health",
        "?path=a",
        "http://h/health",
        "HTTP://other/health",
        "/a#b",
        "#",
        "/\u{fc}",
        "\u{fc}",
    ] {
        check_target_refused(target, Refusal::Target);
    }
    check_refused(b"GET /\xfc HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::RequestLine);
    check_target_refused("/a\u{7f}", Refusal::RequestLine);
    check_target_refused("/a\0", Refusal::RequestLine);
    check_target_refused("/a\t", Refusal::RequestLine);
    check_target_refused("/a b", Refusal::Version);
    check_target_refused("", Refusal::RequestLine);

    let longest = format!("/{}", "a".repeat(TARGET_BYTES_MAX - 1));
    let head = Head { target: longest.clone(), ..plain() };
    check(format!("GET {longest} HTTP/1.1\r\nHost: h\r\n\r\n"), head);
    check_target_refused(&format!("{longest}a"), Refusal::TargetTooLong);
}

#[test]
fn a_method_is_a_token_of_some_length() {
    let longest = "M".repeat(METHOD_BYTES_MAX);
    let head = Head { method: longest.clone(), ..plain() };
    check(format!("{longest} /health HTTP/1.1\r\nHost: h\r\n\r\n"), head);
    let too_long = format!("{longest}M /health HTTP/1.1\r\nHost: h\r\n\r\n");
    check_refused(too_long, Refusal::MethodTooLong);
    for method in ["G\u{fc}T", "G(T", "G\0T", "", " GET", "\tGET", "GET\t", "GET ", "\"GET\""] {
        let line = format!("{method} /health HTTP/1.1\r\nHost: h\r\n\r\n");
        check_refused(line, Refusal::RequestLine);
    }
}

#[test]
fn other_versions_are_refused_and_in_their_first_line() {
    check_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::Version);
    check_refused("PRI * HTTP/2", Refusal::Version);
    check_refused("GET / HTTP/3.0\r\n", Refusal::Version);
    check_refused("GET / HTTP/1.2\r\n", Refusal::Version);
    check_refused("GET / HTTP/0.9\r\n", Refusal::Version);
    check_refused("GET / http/1.1\r\n", Refusal::Version);
    check_refused("GET / HTTP/1.10\r\n", Refusal::LineEnd);
    check_refused("GET / HTTP/1.1 x\r\n", Refusal::LineEnd);
    check_refused("GET / HTTP/1.1 \r\n", Refusal::LineEnd);
    check_refused("GET /\r\n", Refusal::RequestLine);
    check_refused("GET / \r\n", Refusal::Version);
    check_refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Refusal::RequestLine);
}

#[test]
fn what_others_have_taken_for_two_requests_is_none_here() {
    let hidden = "GET /download?path=x HTTP/1.1\r\nHost: h\r\n\r\n";
    for (lines, refusal) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Refusal::TwoFramings),
        ("Transfer-Encoding: chunked", Refusal::TransferEncoding),
        ("Transfer-Encoding : chunked", Refusal::FieldName),
        ("Transfer-Encoding\t: chunked", Refusal::FieldName),
        ("Transfer-Encoding: \u{b}chunked", Refusal::FieldValue),
        ("X: y\r\n Transfer-Encoding: chunked", Refusal::FieldName),
        ("X: y\nTransfer-Encoding: chunked", Refusal::LineEnd),
        ("X: y\rTransfer-Encoding: chunked", Refusal::FieldValue),
        ("Content-Length: 0\r\nContent-Length: 44", Refusal::Repeated("Content-Length")),
        ("Content-Length: 5\r\nContent-Length: 5", Refusal::Repeated("Content-Length")),
        ("Content-Length: 5, 5", Refusal::ContentLength),
        ("Content-Length: +5", Refusal::ContentLength),
        ("Content-Length: -1", Refusal::ContentLength),
        ("Content-Length: 18446744073709551616", Refusal::ContentLength),
        ("Content-Length : 5", Refusal::FieldName),
        ("Content-Length: 5\r\n 5", Refusal::FieldName),
        ("Content-Length:\r\n 5", Refusal::FieldName),
        ("Content-Length: 5\r\n\t", Refusal::FieldName),
        ("Content-Length: 5\0", Refusal::FieldValue),
        ("Content-Length: 5\u{b}", Refusal::FieldValue),
        ("X: a\0b", Refusal::FieldValue),
        ("X: a\u{1b}[31m", Refusal::FieldValue),
        ("X: a\u{7f}", Refusal::FieldValue),
        ("X\0: a", Refusal::FieldName),
        ("X\u{fc}: a", Refusal::FieldName),
        (": a", Refusal::FieldName),
        ("no colon", Refusal::FieldName),
        ("GET /download HTTP/1.1", Refusal::FieldName),
        ("Host: other", Refusal::Repeated("Host")),
    ] {
        let bytes = format!("POST /upload HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n{hidden}");
        check_refused(bytes, refusal);
    }
    check_refused(" X: y\r\nHost: h\r\n\r\n", Refusal::RequestLine);
    check_refused("GET / HTTP/1.1\r\n Host: h\r\n\r\n", Refusal::FieldName);
    check_refused("GET / HTTP/1.1\nHost: h\n\n", Refusal::LineEnd);
    check_refused("GET / HTTP/1.1\r\nHost: h\r\n\n", Refusal::LineEnd);
    check_refused("GET / HTTP/1.1\r\nHost: h\r\n\rX", Refusal::LineEnd);
    check_refused("GET / HTTP/1.1\r\rHost: h\r\n\r\n", Refusal::LineEnd);
    check_refused("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::EmptyLine);
    check_refused("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::EmptyLine);
    check_refused("\r", Refusal::EmptyLine);
}

/// If one of these is refused by a later `httparse`, its rule here may go, with its line in the
/// module's head.
#[test]
fn what_httparse_lets_through_is_refused_here() {
    for (bytes, refusal) in [
        (format!("\r\n{PLAIN}"), Refusal::EmptyLine),
        (format!("\n\n{PLAIN}"), Refusal::EmptyLine),
        (PLAIN.replace("\r\n", "\n"), Refusal::LineEnd),
        (PLAIN.replace("h\r\n", "h\n"), Refusal::LineEnd),
        (PLAIN.replace("/health", "http://h/health"), Refusal::Target),
        (PLAIN.replace("/health", "*"), Refusal::Target),
        (PLAIN.replace("/health", "/\u{fc}"), Refusal::Target),
        (PLAIN.replace("/health", &"/".repeat(5000)), Refusal::TargetTooLong),
        (PLAIN.replace("GET", &"G".repeat(5000)), Refusal::MethodTooLong),
        (PLAIN.replace(": h", ": \u{fc}"), Refusal::NotAscii("Host")),
        (PLAIN.replace("Host", "Other"), Refusal::HostMissing),
        (PLAIN.replace("Host: h", "Host: h\r\nHost: h"), Refusal::Repeated("Host")),
        (PLAIN.replace(": h", ": h\r\nContent-Length: 5, 5"), Refusal::ContentLength),
        (PLAIN.replace(": h", ": h\r\nTransfer-Encoding: chunked"), Refusal::TransferEncoding),
        (PLAIN.replace(": h", ": h\r\nExpect: a miracle"), Refusal::Expect),
        (PLAIN.replace(": h", ": h\r\nConnection: host"), Refusal::Connection),
    ] {
        let mut room = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
        let lax = httparse::Request::new(&mut room).parse(bytes.as_bytes());
        assert_eq!(lax, Ok(httparse::Status::Complete(bytes.len())), "{bytes:?}");
        check_refused(bytes, refusal);
    }
}

#[test]
fn a_head_has_a_longest_length_and_is_refused_at_the_byte_that_makes_it_too_long() {
    let padded = |length: usize| {
        let padding = "x".repeat(length - PLAIN.len() - "\r\nX: ".len());
        PLAIN.replace(": h", &format!(": h\r\nX: {padding}"))
    };
    let longest = padded(HEAD_BYTES_MAX);
    assert_eq!(longest.len(), HEAD_BYTES_MAX);
    check(&longest, plain());
    assert_eq!(parse(&longest.as_bytes()[..HEAD_BYTES_MAX - 1]), Parsed::Incomplete);
    let too_long = padded(HEAD_BYTES_MAX + 1);
    assert_eq!(parse(&too_long.as_bytes()[..HEAD_BYTES_MAX - 1]), Parsed::Incomplete);
    check_refused(&too_long.as_bytes()[..HEAD_BYTES_MAX], Refusal::TooLong);
    check_refused(&too_long, Refusal::TooLong);

    check_refused("G".repeat(1 << 20), Refusal::TooLong);
    check_refused(format!("GET /{}", "a".repeat(1 << 20)), Refusal::TooLong);
    check_refused(PLAIN.replace(": h", &": h".repeat(1 << 20)), Refusal::TooLong);
    // An offence in the bytes that count comes first, one behind them does not count.
    check_refused(too_long.replace("\r\n\r\n", "xxxx\0"), Refusal::TooLong);
    check_refused(too_long.replacen("xx", "x\0", 1), Refusal::FieldValue);
}

#[test]
fn a_head_has_a_largest_number_of_lines() {
    let with = |lines: usize| PLAIN.replace(": h", &format!(": h{}", "\r\na:".repeat(lines)));
    check(with(HEAD_FIELDS_MAX - 1), plain());
    check_refused(with(HEAD_FIELDS_MAX), Refusal::TooManyFields);
    check_refused(with(2_000_000), Refusal::TooManyFields);
}

#[test]
fn a_key_shows_neither_in_a_head_nor_in_a_refusal() {
    let key = "sk_live_0123456789abcdef";
    let good = PLAIN.replace(": h", &format!(": h\r\nAuthorization: Bearer {key}"));
    let twice = good.replace(": h", &format!(": h\r\nAuthorization: Bearer {key}"));
    let folded = good.replace("Bearer ", "Bearer\r\n ");
    for (bytes, expected) in [(good, "Some(***)"), (twice, "Repeated"), (folded, "FieldName")] {
        let parsed = parse(bytes.as_bytes());
        let mut shown = format!("{parsed:?}");
        if let Parsed::Refused(refusal) = parsed {
            shown += &format!("{refusal} {:?}", ApiError::from(refusal));
        }
        assert!(shown.contains(expected) && !shown.contains("0123"), "{shown}");
    }
}

#[test]
fn a_refusal_is_a_bad_request_or_asks_for_a_length() {
    let api = ApiError::from(Refusal::TransferEncoding);
    assert_eq!(api.code, ErrorCode::LengthRequired);
    assert_eq!(ApiError::from(Refusal::TwoFramings).code, ErrorCode::BadRequest);
    let api = ApiError::from(Refusal::Repeated("Host"));
    assert_eq!(api, ApiError::new(ErrorCode::BadRequest, "there is more than one Host"));
    let api = ApiError::from(Refusal::TooLong);
    assert_eq!(api.message, "the head is longer than 16384 bytes");
}
