//! Judges `server::multipart` with forms that a sender may write, and with the form of our client.
//!
//! The input: six bytes that say how the form comes in, two that say where it is cut short and how
//! names are written, then its parts. In those, some bytes stand for what chance would not write:
//!
//! | byte | stands for |
//! |---|---|
//! | 1 | the delimiter |
//! | 2 n | the first n bytes of the delimiter |
//! | 3 n c | 61 times n of the character c |
//! | 4 | the end of a part |
//! | 5 | the end of a name or of a file name |
//! | 6 | CR LF |
//!
//! A part is its name, its file name unless that is empty, and its content.

use super::delivery::{Delivery, Field};
use super::form_rules::{self, End};
use super::shown;
use s3up::client::form::{Fields, FormBody};
use s3up::digest::Digest;
use s3up::limits::FORM_PARTS_MAX;
use s3up::server::multipart::FormError;
use s3up::wire::{Mtime, field};
use std::io::{ErrorKind, Read as _};

/// Most bytes that a form is blown up to: more than most buffers hold.
const FORM_BYTES_MAX: usize = 40_000;

/// Most bytes of a name, before they are written as three bytes each.
const NAME_BYTES_MAX: usize = 200;

pub(super) fn judge(bytes: &[u8]) {
    let (delivery, rest) = Delivery::take(bytes);
    let (cut, rest) = rest.split_at(rest.len().min(2));
    let cut = cut.iter().fold(0, |cut, byte| cut * 256 + usize::from(*byte));
    let style = if cut % 2 == 0 { Style::Browser } else { Style::Curl };
    let mut room = FORM_BYTES_MAX;
    let parts = rest.split(|byte| *byte == 4).take(FORM_PARTS_MAX);
    let parts = parts.map(|part| part_of(part, delivery.boundary, style, &mut room));
    let fields: Vec<Field> = parts.collect();
    let body = write(delivery.boundary, &fields, style);
    let short = (cut * body.len()) >> 16;

    for delivery in [delivery.at_once(), delivery.byte_by_byte(), roomy(&delivery)] {
        let delivery = &delivery.paced(body.len());
        let outcome = delivery.read(&body, None);
        assert!(outcome.error.is_none(), "{delivery:?}: {outcome:?} for {}", shown(&body));
        assert_eq!((&outcome.seen, outcome.ended), (&fields, fields.len()), "{delivery:?}");
        is_told_when_cut_short(delivery, &body[..short], &fields);
    }
    // Everywhere in the closing line, and in the line end before it.
    let last = body.len().saturating_sub(delivery.boundary.len() + 8);
    let quick = Delivery { pieces: vec![usize::MAX], step: usize::MAX, ..roomy(&delivery) };
    for cut in (last..body.len()).take_while(|cut| *cut < 2000) {
        is_told_when_cut_short(&quick, &body[..cut], &fields);
    }
    of_our_client(&delivery.at_once(), &fields[0], cut);
}

/// How names are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// As HTML says: `%22` for a quote; a backslash is itself.
    Browser,
    /// As curl did for long: backslashes before quotes and backslashes.
    Curl,
}

/// The same delivery with a buffer that holds the heads that are written here.
fn roomy(delivery: &Delivery) -> Delivery {
    Delivery { buffer: delivery.buffer + 8 * NAME_BYTES_MAX, ..delivery.clone() }
}

/// A form that breaks off is an error, and what was read of it is how it begins. An error of the
/// body comes out as it is.
fn is_told_when_cut_short(delivery: &Delivery, body: &[u8], fields: &[Field]) {
    let text = [b"\r\n", body].concat();
    let reading = form_rules::read(&text, delivery.boundary);
    for failure in [None, Some(ErrorKind::ConnectionReset)] {
        let outcome = delivery.read(body, failure);
        let told = match (&outcome.error, &reading.end) {
            (Some(FormError::Truncated), _) => failure.is_none(),
            (Some(FormError::Body(error)), _) => error.to_string() == "injected",
            // Only its last line end may be missing, or a lookalike was cut so that it is one.
            (None, End::Closed) => failure.is_none(),
            _ => false,
        };
        let ended = outcome.ended <= reading.parts.len() && begins_with(&outcome.seen, fields);
        assert!(told && ended, "{delivery:?}: {outcome:?} for {}", shown(body));
    }
}

fn begins_with(seen: &[Field], fields: &[Field]) -> bool {
    let Some((last, whole)) = seen.split_last() else { return true };
    let Some(field) = fields.get(whole.len()) else { return false };
    fields.starts_with(whole)
        && (&last.0, &last.1) == (&field.0, &field.1)
        && field.2.starts_with(&last.2)
}

/// One part as the input describes it, without what would end it early.
fn part_of(bytes: &[u8], boundary: &str, style: Style, room: &mut usize) -> Field {
    let mut pieces = bytes.splitn(3, |byte| *byte == 5).map(|piece| blown_up(piece, boundary));
    let mut piece = || pieces.next().unwrap_or_default();
    let (name, file_name) = (name_of(piece(), style), name_of(piece(), style));
    let mut content = piece();
    content.truncate(*room);
    *room -= content.len();
    let around = [b"\r\n", &content[..], b"\r\n"].concat();
    if form_rules::has_line(&around, boundary) {
        content.retain(|byte| *byte != b'\r');
    }
    (name, Some(file_name).filter(|name| !name.is_empty()), content)
}

/// Replaces the bytes that stand for something else.
fn blown_up(bytes: &[u8], boundary: &str) -> Vec<u8> {
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut blown_up = Vec::new();
    let mut bytes = bytes.iter().copied();
    while let Some(byte) = bytes.next() {
        let mut number = || usize::from(bytes.next().unwrap_or_default());
        match byte {
            1 => blown_up.extend_from_slice(&delimiter),
            2 => blown_up.extend_from_slice(&delimiter[..number().min(delimiter.len())]),
            3 => {
                let count = number() * 61;
                blown_up.extend(std::iter::repeat_n(number() as u8, count));
            }
            6 => blown_up.extend_from_slice(b"\r\n"),
            plain => blown_up.push(plain),
        }
        blown_up.truncate(FORM_BYTES_MAX);
    }
    blown_up
}

/// A name that this way of writing can carry. A percent sign may be read as an escape, a backslash
/// that is not escaped too, and a header line holds no control characters.
fn name_of(mut bytes: Vec<u8>, style: Style) -> String {
    bytes.truncate(NAME_BYTES_MAX);
    let mut name = String::from_utf8_lossy(&bytes).into_owned();
    name.retain(|c| match c {
        '\r' | '\n' => true,
        '%' => false,
        '\\' => style == Style::Curl,
        other => !other.is_ascii_control(),
    });
    name
}

fn write(boundary: &str, fields: &[Field], style: Style) -> Vec<u8> {
    let escape = |name: &str| {
        let name = name.replace('\r', "%0D").replace('\n', "%0A");
        match style {
            Style::Browser => name.replace('"', "%22"),
            Style::Curl => name.replace('\\', r"\\").replace('"', "\\\""),
        }
    };
    let mut body = Vec::new();
    for (name, file_name, content) in fields {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; ");
        head += &format!("name=\"{}\"", escape(name));
        if let Some(file_name) = file_name {
            head += &format!("; filename=\"{}\"\r\nContent-Type: text/plain", escape(file_name));
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

/// What our client sends is read by our server.
fn of_our_client(delivery: &Delivery, (path, _, content): &Field, seed: usize) {
    let mtime = Mtime::from_nanos((seed as i64).wrapping_mul(0x0123_4567_89ab_cdef));
    let sha256 = Some(Digest::of(content)).filter(|_| seed.is_multiple_of(2));
    let size = content.len() as u64;
    let fields = Fields { path, size, mtime, sha256 };
    let mut form = FormBody::new(content.as_slice(), &fields, delivery.boundary.to_owned());
    let mut body = Vec::new();
    form.read_to_end(&mut body).unwrap();
    assert_eq!(body.len() as u64, form.length());

    let outcome = delivery.read(&body, None);
    let text = |name: &str, text: &str| (name.to_owned(), None, text.as_bytes().to_vec());
    let mut expected = vec![
        text(field::PATH, path),
        text(field::MTIME, &mtime.to_string()),
        (field::FILE.to_owned(), Some("file".to_owned()), content.clone()),
    ];
    let place = if sha256.is_some() { 2 } else { 3 };
    expected.insert(place, text(field::SHA256, &Digest::of(content).to_string()));
    // No path has a line end, and the client's boundary is made by chance: a name that holds the
    // delimiter is no name.
    if !path.contains("\r\n") {
        assert!(outcome.error.is_none(), "{outcome:?}, not {expected:?}");
        assert_eq!(outcome.seen, expected);
    }
    assert_eq!(form.digest(), Some(Digest::of(content)));
}
