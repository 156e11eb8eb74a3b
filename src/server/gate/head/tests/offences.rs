//! What must not pass: heads that could be read in two ways, and those that mean what is not served.

use super::*;

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
