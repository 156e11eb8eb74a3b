//! The rules of a form, the slow and simple way: all of it at once, each place compared with what a
//! delimiter line looks like.

use super::parameters;
use s3up::limits::{BOUNDARY_BLANKS_MAX, FORM_PARTS_MAX, PART_HEAD_BYTES_MAX, PART_HEADERS_MAX};

/// What the rules make of a body.
#[derive(Debug)]
pub(super) struct Reading<'b> {
    /// The parts whose delimiter lines are there on both sides.
    pub(super) parts: Vec<RawPart<'b>>,
    /// What comes after them.
    pub(super) end: End<'b>,
}

/// A part, its head not looked at.
#[derive(Clone, Debug)]
pub(super) struct RawPart<'b> {
    /// Its lines and the empty one.
    pub(super) head: &'b [u8],
    /// Its content.
    pub(super) content: &'b [u8],
}

/// How a body ends.
#[derive(Debug)]
pub(super) enum End<'b> {
    /// With the closing line.
    Closed,
    /// Too early, in this part if it has a head.
    Truncated(Option<RawPart<'b>>),
    /// Before any delimiter line, after about as much as may come before the first one.
    NearlyNoBoundary,
    /// There is too much before the first delimiter line.
    NoBoundary,
    /// There is a head that is too long.
    HeadTooLong,
    /// There is one part too many.
    TooManyParts,
}

/// A delimiter line, from the line end before it to the one after it.
struct Line {
    start: usize,
    end: usize,
    closing: bool,
}

/// Reads `text`, which is a line end and the body after it.
pub(super) fn read<'b>(text: &'b [u8], boundary: &str) -> Reading<'b> {
    let mut parts = Vec::new();
    let Some(mut line) = next_line(text, 0, boundary) else {
        return Reading { parts, end: without_lines(text.len(), boundary) };
    };
    if line.start > PART_HEAD_BYTES_MAX {
        return Reading { parts, end: End::NoBoundary };
    }
    let end = loop {
        if line.closing {
            break End::Closed;
        }
        if parts.len() == FORM_PARTS_MAX {
            break End::TooManyParts;
        }
        let after = &text[line.end..];
        // The line end before a head counts neither for its length nor as its own.
        let longest = b"\r\n".len() + PART_HEAD_BYTES_MAX;
        let head = match memchr::memmem::find(after, b"\r\n\r\n") {
            Some(found) if found + 4 <= longest => &after[2..found + 4],
            _ if after.len() >= longest => break End::HeadTooLong,
            _ => break End::Truncated(None),
        };
        let start = line.end + 2 + head.len();
        let Some(next) = next_line(text, start, boundary) else {
            break End::Truncated(Some(RawPart { head, content: &text[start..] }));
        };
        parts.push(RawPart { head, content: &text[start..next.start] });
        line = next;
    };
    Reading { parts, end }
}

fn without_lines(length: usize, boundary: &str) -> End<'static> {
    // What may still become a delimiter line is not counted.
    let undecided = b"\r\n----\r".len() + boundary.len() + BOUNDARY_BLANKS_MAX;
    if length > PART_HEAD_BYTES_MAX + undecided {
        End::NoBoundary
    } else if length > PART_HEAD_BYTES_MAX {
        End::NearlyNoBoundary
    } else {
        End::Truncated(None)
    }
}

/// Whether there is a delimiter line in `text`, which begins with a line end.
pub(super) fn has_line(text: &[u8], boundary: &str) -> bool {
    next_line(text, 0, boundary).is_some()
}

fn next_line(text: &[u8], from: usize, boundary: &str) -> Option<Line> {
    let mut starts = memchr::memchr_iter(b'\r', &text[from..]);
    starts.find_map(|offset| line_at(text, from + offset, boundary))
}

fn line_at(text: &[u8], start: usize, boundary: &str) -> Option<Line> {
    let rest = text[start..].strip_prefix(b"\r\n--")?.strip_prefix(boundary.as_bytes())?;
    let (closing, rest) = match rest.strip_prefix(b"--") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let blanks = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
    let (after, end) = (&rest[blanks..], text.len() - rest.len() + blanks);
    let ended = after.starts_with(b"\r\n") || closing && (after.is_empty() || after == b"\r");
    (blanks <= BOUNDARY_BLANKS_MAX && ended).then_some(Line { start, end, closing })
}

/// Name and file name of a part with this head; `None` if it has to be refused.
pub(super) fn head(bytes: &[u8]) -> Option<(String, Option<String>)> {
    let lines = bytes.strip_suffix(b"\r\n\r\n")?;
    // A byte is a character until its text is known to be UTF-8.
    let text: String = lines.iter().map(|byte| char::from(*byte)).collect();
    let fields: Vec<(String, &str)> = text.split("\r\n").map(field).collect::<Option<_>>()?;
    if fields.len() > PART_HEADERS_MAX {
        return None;
    }
    let values = |name: &str| {
        let found = fields.iter().filter(|field| field.0 == name);
        found.map(|field| field.1).collect::<Vec<_>>()
    };
    let plain = |value: &&str| {
        ["binary", "7bit", "8bit"].iter().any(|name| value.eq_ignore_ascii_case(name))
    };
    if !values("content-transfer-encoding").iter().all(plain) {
        return None;
    }
    let [disposition] = values("content-disposition")[..] else { return None };
    let disposition: Vec<u8> = disposition.chars().map(|c| c as u8).collect();
    names(&String::from_utf8(disposition).ok()?)
}

fn field(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let good = |c: char| c == '\t' || c >= ' ' && c != '\u{7f}';
    let whole = !name.is_empty() && name.chars().all(token) && value.chars().all(good);
    whole.then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

fn names(disposition: &str) -> Option<(String, Option<String>)> {
    let (kind, parameters) = parameters::read(disposition);
    let parameters = parameters?;
    let values = |name: &str| {
        let found = parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let once = |name: &str| match values(name)[..] {
        [] => Some(None),
        [value] => Some(Some(value)),
        _ => None,
    };
    let (name, plain, extended) = (once("name")??, once("filename")?, once("filename*")?);
    let file_name = match (plain, extended) {
        (Some(plain), _) => Some(unescape(plain)),
        (None, Some(extended)) => Some(decode_extended(extended)?),
        (None, None) => None,
    };
    kind.eq_ignore_ascii_case("form-data").then(|| (unescape(name), file_name))
}

/// Takes back the three escapes of browsers.
fn unescape(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (character, rest) = match piece.get(..2) {
            Some("22") => ('"', &piece[2..]),
            Some("0D") => ('\r', &piece[2..]),
            Some("0A") => ('\n', &piece[2..]),
            _ => ('%', piece),
        };
        plain.push(character);
        plain.push_str(rest);
    }
    plain
}

/// Reads `UTF-8'language'text` (RFC 8187).
fn decode_extended(value: &str) -> Option<String> {
    let [charset, _, text] = value.splitn(3, '\'').collect::<Vec<_>>()[..] else { return None };
    let known = charset.eq_ignore_ascii_case("utf-8");
    String::from_utf8(decode(text)).ok().filter(|_| known)
}

/// Percent-decodes; what is no escape is itself.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::new();
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
