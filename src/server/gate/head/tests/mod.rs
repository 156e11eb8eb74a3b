//! Heads one by one, a sentence each. `offences` has those that must not pass, `delivery` those that
//! nobody thought of.

mod delivery;
mod offences;

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
        user_agent: None,
        cookie: None,
        fetch_site: None,
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

#[test]
fn a_user_agent_is_taken_if_it_is_sound_and_never_a_reason_to_refuse() {
    for (lines, user_agent, version) in [
        ("User-Agent: s3up/0.1.0", Some("s3up/0.1.0"), Some("0.1.0")),
        ("user-agent: s3up/0.1.0 (x)", Some("s3up/0.1.0 (x)"), Some("0.1.0")),
        ("User-Agent: s3up/1\r\nUser-Agent: s3up/2", Some("s3up/1"), Some("1")),
        ("User-Agent: curl/8", Some("curl/8"), None),
        ("User-Agent: s3up/", Some("s3up/"), None),
        ("User-Agent: ", Some(""), None),
        ("User-Agent: s3up/\u{e4}", None, None),
        ("X: y", None, None),
    ] {
        let head = Head { user_agent: user_agent.map(str::to_owned), ..plain() };
        assert_eq!(head.client_version(), version, "{lines}");
        check_lines(lines, head);
    }
}

#[test]
fn cookies_and_whose_page_it_comes_from_are_taken_and_never_a_reason_to_refuse() {
    for (lines, cookie, fetch_site) in [
        ("Cookie: a=b; c=d\r\nSec-Fetch-Site: same-origin", Some("a=b; c=d"), Some("same-origin")),
        ("cookie: a\r\nCookie: b\r\nsec-fetch-site: none", Some("a"), Some("none")),
        ("Cookie: \u{e4}\r\nSec-Fetch-Site: \u{e4}", None, None),
    ] {
        let (cookie, fetch_site) = (cookie.map(Secret::new), fetch_site.map(str::to_owned));
        let head = Head { cookie, fetch_site, ..plain() };
        assert_eq!(head.is_same_origin(), lines.contains("same-origin"));
        check_lines(lines, head);
    }
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
    check_lines("X: \u{fc}\r\nX: b\r\nAccept:\r\n\u{21}#$%&'*+-.^_`|~9: \t", plain());
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
