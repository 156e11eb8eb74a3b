//! Heads made of all that is good, heads spoilt in one place, and bytes that are no heads, delivered
//! byte by byte.

use super::*;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A head as some client would write it, and what has to be read from it.
fn written() -> impl Strategy<Value = (Vec<u8>, Head)> {
    let token = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}";
    let value = || proptest::option::of("([!-~]([ -~\t]{0,20}[!-~])?)?");
    let others =
        proptest::collection::vec(("X[!-9;-~&&[0-9A-Za-z-]]{0,8}", "[ -~\tü]{0,20}"), 0..4);
    (
        (token, "/[!-\"$-~]{0,40}", any::<bool>(), any::<u64>()),
        (proptest::option::of(prop_oneof![Just(0), Just(1), any::<u64>()]), any::<bool>()),
        (any::<bool>(), any::<bool>(), value(), value(), value(), value(), value()),
        (value(), value()),
        others,
    )
        .prop_map(|(line, framing, fields, browsers, others)| {
            let (cookie, fetch_site) = browsers;
            let (method, target, http10, seed) = line;
            let (content_length, expect) = framing;
            let (close, keep, authorization, content_type, range, forwarded_for, user_agent) =
                fields;
            let mut lines: Vec<(String, String)> = others;
            let mut line = |name: &str, value: Option<String>| {
                lines.extend(value.map(|value| (name.to_owned(), value)));
            };
            line("Host", (!http10 || keep).then(|| "h:80".to_owned()));
            line("Content-Length", content_length.map(|length| length.to_string()));
            line("Authorization", authorization.clone());
            line("Content-Type", content_type.clone());
            line("Range", range.clone());
            line("X-Forwarded-For", forwarded_for.clone());
            line("User-Agent", user_agent.clone());
            line("Cookie", cookie.clone());
            line("Sec-Fetch-Site", fetch_site.clone());
            line("Expect", expect.then(|| "100-continue".to_owned()));
            line("Connection", close.then(|| "TE, close".to_owned()));
            line("Connection", keep.then(|| "Keep-Alive".to_owned()));
            let version = if http10 { Version::Http10 } else { Version::Http11 };
            let bytes = write(&method, &target, version, &lines, seed);
            let head = Head {
                expects_continue: expect && !http10 && content_length.is_some_and(|l| l > 0),
                keep_alive: !close && (keep || !http10),
                authorization: authorization.map(Secret::new),
                method,
                target,
                version,
                content_length,
                content_type,
                range,
                forwarded_for,
                user_agent,
                cookie: cookie.map(Secret::new),
                fetch_site,
            };
            (bytes, head)
        })
}

/// Writes a head with its lines in an order, a case and blanks that depend on `seed`.
fn write(
    method: &str,
    target: &str,
    version: Version,
    lines: &[(String, String)],
    mut seed: u64,
) -> Vec<u8> {
    let version = if version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut head = format!("{method} {target} {version}\r\n");
    let mut lines = lines.to_vec();
    while !lines.is_empty() {
        let (name, value) = lines.remove(seed as usize % lines.len());
        seed = seed.rotate_right(7);
        let name = if seed & 1 == 0 { name } else { name.to_lowercase() };
        let (before, after) = (["", " ", "\t "][seed as usize % 3], ["", " \t"][seed as usize % 2]);
        head += &format!("{name}:{before}{value}{after}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// Writes a head in the one way that has no choices.
fn canonical(head: &Head) -> Vec<u8> {
    let secret = head.authorization.as_ref().map(|secret| secret.expose().to_owned());
    let mut lines = Vec::new();
    let mut line = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{name}: {value}\r\n")));
    };
    line("Host", Some("h".into()));
    line("Content-Length", head.content_length.map(|length| length.to_string()));
    line("Connection", Some(if head.keep_alive { "keep-alive" } else { "close" }.into()));
    line("Expect", head.expects_continue.then(|| "100-continue".into()));
    line("Authorization", secret);
    line("Content-Type", head.content_type.clone());
    line("Range", head.range.clone());
    line("X-Forwarded-For", head.forwarded_for.clone());
    line("User-Agent", head.user_agent.clone());
    line("Cookie", head.cookie.as_ref().map(|cookie| cookie.expose().to_owned()));
    line("Sec-Fetch-Site", head.fetch_site.clone());
    let version = if head.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    format!("{} {} {version}\r\n{}\r\n", head.method, head.target, lines.concat()).into_bytes()
}

/// Reads `bytes` as they would come in pieces of `step` bytes: the first answer that is one.
fn drip(bytes: &[u8], step: usize) -> Parsed {
    let ends = (0..bytes.len()).step_by(step).chain([bytes.len()]);
    ends.map(|end| parse(&bytes[..end]))
        .find(|parsed| *parsed != Parsed::Incomplete)
        .unwrap_or(Parsed::Incomplete)
}

/// What has to be true of the answer to any bytes at all.
fn check_consistent(bytes: &[u8]) -> Result<(), TestCaseError> {
    let whole = parse(bytes);
    prop_assert_eq!(&drip(bytes, 1), &whole, "byte by byte");
    prop_assert_eq!(&drip(bytes, 7), &whole, "in pieces");
    if whole != Parsed::Incomplete {
        let more = [bytes, b"\r\n\r\n\0\nHost: h\r\n\r\n"].concat();
        prop_assert_eq!(&parse(&more), &whole, "more changes nothing");
    }
    if let Parsed::Head { head, length } = whole {
        check_strict(&bytes[..length])?;
        let again = canonical(&head);
        let length = again.len();
        prop_assert_eq!(parse(&again), Parsed::Head { head, length }, "written again");
    }
    Ok(())
}

/// Looks at an accepted head the slow and simple way.
fn check_strict(head: &[u8]) -> Result<(), TestCaseError> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let lines = text.strip_suffix("\r\n\r\n").unwrap_or_default();
    let allowed = |c: char| c == '\t' || !c.is_ascii_control();
    let mut lines = lines.split("\r\n");
    let request_line = lines.next().unwrap_or_default();
    prop_assert!(request_line.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    let pieces: Vec<&str> = request_line.split(' ').collect();
    prop_assert!(matches!(pieces[..], [_, _, "HTTP/1.0" | "HTTP/1.1"]));
    prop_assert!(pieces[1].starts_with('/') && !pieces[1].contains('#'));
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for line in lines {
        prop_assert!(line.chars().all(allowed), "{:?}", line);
        let (name, _) = line.split_once(':').unwrap_or_default();
        prop_assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()), "{:?}", line);
        *seen.entry(name.to_ascii_lowercase()).or_default() += 1;
    }
    let count = |name: &str| seen.get(name).copied().unwrap_or_default();
    prop_assert!(count("host") == 1 || count("host") == 0 && pieces[2] == "HTTP/1.0");
    prop_assert_eq!(count("transfer-encoding"), 0);
    for name in ["content-length", "authorization", "content-type", "range", "expect"] {
        prop_assert!(count(name) <= 1, "{}", name);
    }
    Ok(())
}

/// Pieces of heads, good and bad, and random bytes.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    const FRAGMENTS: &[&str] = &[
        "GET ",
        "POST ",
        "/",
        "/upload?path=a",
        "*",
        "http://h/",
        " ",
        " HTTP/1.1",
        " HTTP/1.0",
        "HTTP/2.0",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "\t",
        "\0",
        ":",
        ",",
        "\u{fc}",
        "Host: h\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\n",
        "Content-Length: 5\r\n",
        "Content-Length:",
        "Transfer-Encoding: chunked\r\n",
        "X: y\r\n",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "X-Forwarded-For: a\r\n",
        "X-Forwarded-For:\r\n",
    ];
    let fragment = prop_oneof![
        12 => select(FRAGMENTS).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(fragment, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_good_head_is_read_and_is_incomplete_up_to_its_last_byte((bytes, head) in written()) {
        for end in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..end]), Parsed::Incomplete, "{} bytes", end);
        }
        let expected = Parsed::Head { head, length: bytes.len() };
        prop_assert_eq!(parse(&bytes), expected);
        check_consistent(&bytes)?;
    }

    #[test]
    fn a_head_spoilt_in_one_place_is_still_read_in_one_way(
        (mut bytes, _) in written(),
        place in any::<Index>(),
        removed in 0_usize..4,
        put in prop_oneof![
            select(&b"\r\n\t :,#;\0\x7f\x80/"[..]).prop_map(|byte| vec![byte]),
            noise(),
        ],
    ) {
        let from = place.index(bytes.len());
        let to = bytes.len().min(from + removed);
        bytes.splice(from..to, put);
        check_consistent(&bytes)?;
    }

    #[test]
    fn pieces_of_heads_are_read_in_one_way(bytes in noise()) {
        check_consistent(&bytes)?;
    }

    #[test]
    fn any_bytes_are_read_in_one_way(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        check_consistent(&bytes)?;
    }
}

proptest! {
    // Each case parses several hundred kilobytes.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn around_the_longest_length_pieces_change_nothing(
        (bytes, _) in written(),
        line in "\r\nX: [a-z\n]{1,4}",
        length in HEAD_BYTES_MAX - 8..HEAD_BYTES_MAX + 8,
        end in select(vec!["\r\n\r\n", "\r\n", "\n", "\0", ""]),
        step in 1_usize..600,
    ) {
        let mut long = bytes[..bytes.len() - 4].to_vec();
        long.extend_from_slice(line.as_bytes());
        long.resize(length.max(long.len()), b'x');
        long.extend_from_slice(end.as_bytes());
        let whole = parse(&long);
        prop_assert_eq!(&drip(&long, step), &whole);
        for end in HEAD_BYTES_MAX.min(long.len())..long.len() {
            prop_assert_eq!(&parse(&long[..end]), &parse(&long[..HEAD_BYTES_MAX]));
        }
        prop_assert!(long.len() < HEAD_BYTES_MAX || whole != Parsed::Incomplete);
    }
}
