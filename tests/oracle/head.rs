//! Judges `server::gate::head`. The input is what came over a connection.

use super::head_rules::{self, Verdict};
use super::shown;
use s3up::limits::HEAD_BYTES_MAX;
use s3up::server::gate::head::{Arrival, Head, Parsed, Version, parse};

/// Ends that could still make a head of what came. If one does, nothing was certain yet.
const ENDS: [&str; 10] = [
    "\n",
    "\n\r\n",
    "\r\n\r\n",
    "\r\nHost: h\r\n\r\n",
    "\nHost: h\r\n\r\n",
    ":\r\n\r\n",
    ":\r\nHost: h\r\n\r\n",
    "1\r\nHost: h\r\n\r\n",
    " HTTP/1.1\r\nHost: h\r\n\r\n",
    "/ HTTP/1.1\r\nHost: h\r\n\r\n",
];

pub(super) fn judge(bytes: &[u8]) {
    let whole = parse(bytes);
    obeys_the_rules(bytes, &whole);
    does_not_depend_on_the_pieces(bytes, &whole);
    for step in [1, 1 + bytes.len() % 97] {
        arrives(bytes, step, &whole);
    }
    if let Parsed::Head { head, .. } = whole {
        let again = canonical(&head);
        assert_eq!(parse(&again), Parsed::Head { head, length: again.len() }, "written again");
    }
}

/// Exactly what the rules allow is a head, and it says what it says.
fn obeys_the_rules(bytes: &[u8], parsed: &Parsed) {
    match (parsed, head_rules::read(bytes)) {
        (Parsed::Head { head, length }, Verdict::Good(expected, end)) => {
            assert_eq!((head, *length), (&expected, end), "{}", shown(bytes));
            assert!(end <= HEAD_BYTES_MAX);
        }
        (Parsed::Refused(_), Verdict::Bad) | (Parsed::Incomplete, Verdict::Open) => {}
        (Parsed::Refused(refusal), Verdict::Open) => {
            for end in ENDS {
                let ended = [bytes, end.as_bytes()].concat();
                let verdict = head_rules::read(&ended);
                let good = matches!(verdict, Verdict::Good(..));
                assert!(!good, "{refusal:?} too early: {}", shown(&ended));
            }
        }
        (parsed, verdict) => panic!("{parsed:?}, not {verdict:?}: {}", shown(bytes)),
    }
}

/// Any beginning is undecided or has the answer of the whole.
fn does_not_depend_on_the_pieces(bytes: &[u8], whole: &Parsed) {
    // About a hundred beginnings, each place of a short input, other ones for each length.
    let step = 1 + bytes.len() / 100;
    let mut decided = false;
    for end in (bytes.len() % step..bytes.len()).step_by(step) {
        let parsed = parse(&bytes[..end]);
        decided |= parsed != Parsed::Incomplete;
        if decided {
            assert_eq!(&parsed, whole, "after {end} bytes of {}", shown(bytes));
        }
    }
    if *whole != Parsed::Incomplete {
        let more = [bytes, b"\r\n\r\n\0\nHost: h\r\n\r\n"].concat();
        assert_eq!(parse(&more), *whole, "more after {}", shown(bytes));
    }
}

/// [`Arrival`] gives the same answer, a head at once and a refusal soon.
fn arrives(bytes: &[u8], step: usize, whole: &Parsed) {
    let mut arrival = Arrival::default();
    let mut ends = (0..bytes.len()).step_by(step).chain([bytes.len()]);
    let told = ends.find_map(|end| {
        let parsed = arrival.parse(&bytes[..end]);
        (parsed != Parsed::Incomplete).then_some(parsed)
    });
    if let Some(parsed) = told {
        assert_eq!(parsed, *whole, "in pieces of {step}: {}", shown(bytes));
        return;
    }
    // What is refused in the second half of what came may be told later.
    let late = matches!(whole, Parsed::Refused(_))
        && bytes.len() < HEAD_BYTES_MAX
        && parse(&bytes[..bytes.len() / 2]) == Parsed::Incomplete;
    assert!(late || *whole == Parsed::Incomplete, "nothing is told of {}", shown(bytes));
}

/// Writes a head in the one way that has no choices.
fn canonical(head: &Head) -> Vec<u8> {
    let mut text = format!("{} {} ", head.method, head.target);
    text += if head.version == Version::Http10 { "HTTP/1.0\r\n" } else { "HTTP/1.1\r\n" };
    let length = head.content_length.map(|length| length.to_string());
    let authorization = head.authorization.as_ref().map(|secret| secret.expose().to_owned());
    for (name, value) in [
        ("Host", Some("h".to_owned())),
        ("Connection", Some(if head.keep_alive { "keep-alive" } else { "close" }.to_owned())),
        ("Expect", head.expects_continue.then(|| "100-continue".to_owned())),
        ("Content-Length", length),
        ("Authorization", authorization),
        ("Content-Type", head.content_type.clone()),
        ("Range", head.range.clone()),
        ("X-Forwarded-For", head.forwarded_for.clone()),
        ("User-Agent", head.user_agent.clone()),
        ("Cookie", head.cookie.as_ref().map(|cookie| cookie.expose().to_owned())),
        ("Sec-Fetch-Site", head.fetch_site.clone()),
    ] {
        if let Some(value) = value {
            text += &format!("{name}: {value}\r\n");
        }
    }
    (text + "\r\n").into_bytes()
}
