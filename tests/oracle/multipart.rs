//! Judges `server::multipart` with any bytes as a body. The input: six bytes that say how the body
//! comes in, then the body.

use super::delivery::{Delivery, Field, Outcome};
use super::form_rules::{self, End, RawPart, Reading};
use super::shown;
use s3up::limits::{FIELD_BYTES_MAX, PART_HEAD_BYTES_MAX};
use s3up::server::multipart::FormError;
use std::io::Read as _;

pub(super) fn judge(bytes: &[u8]) {
    let (delivery, body) = Delivery::take(bytes);
    let delivery = delivery.paced(body.len());
    let text = [b"\r\n", body].concat();
    let reading = form_rules::read(&text, delivery.boundary);
    let by_bytes = delivery.byte_by_byte().paced(body.len());
    for delivery in [&delivery.at_once(), &by_bytes, &delivery] {
        let outcome = delivery.read(body, None);
        let wrong = differs(delivery, &reading, &outcome);
        assert!(
            wrong.is_none(),
            "{wrong:?}\n{}\nby {delivery:?} is\n{outcome:?}, and not\n{reading:?}",
            shown(body)
        );
    }
    skipped(&delivery, body);
    as_texts(&delivery.at_once(), body, &reading);
}

/// What is not as the rules want it.
fn differs(delivery: &Delivery, reading: &Reading<'_>, outcome: &Outcome) -> Option<&'static str> {
    let (seen, error) = (&outcome.seen, outcome.error.as_ref());
    let mut raw = reading.parts.clone();
    if let End::Truncated(Some(part)) = &reading.end {
        raw.push(part.clone());
    }
    if seen.len() > raw.len() {
        return Some("there are too many parts");
    }
    for (part, field) in raw.iter().zip(seen) {
        if form_rules::head(part.head) != Some((field.0.clone(), field.1.clone())) {
            return Some("a head is not read as the rules want it");
        }
    }
    let whole = seen.len().min(reading.parts.len());
    let same = |(part, field): (&RawPart<'_>, &Field)| part.content == field.2;
    if !raw[..whole].iter().zip(seen).all(same) {
        return Some("a content is not the one between the lines");
    }
    if outcome.ended > reading.parts.len() {
        return Some("the end of a part is told before its line is there");
    }
    // More than these, and all of what comes after them, must not be held back.
    let ended_as = match (error, &reading.end) {
        (Some(FormError::HeadTooLong), _) if delivery.buffer < 2 + PART_HEAD_BYTES_MAX => true,
        (None, End::Closed) => seen.len() == raw.len(),
        (Some(FormError::Truncated), End::Truncated(Some(part))) => {
            seen.len() == raw.len() && part.content.starts_with(&seen[whole].2)
        }
        (Some(FormError::Truncated), End::Truncated(None) | End::NearlyNoBoundary)
        | (Some(FormError::NoBoundary), End::NoBoundary | End::NearlyNoBoundary)
        | (Some(FormError::HeadTooLong), End::HeadTooLong)
        | (Some(FormError::TooManyParts), End::TooManyParts) => seen.len() == raw.len(),
        (
            Some(
                FormError::HeadMalformed
                | FormError::NotAField
                | FormError::NameMissing
                | FormError::NameNotUtf8
                | FormError::Encoded,
            ),
            _,
        ) => raw.get(seen.len()).is_some_and(|part| form_rules::head(part.head).is_none()),
        _ => false,
    };
    (!ended_as).then_some("it does not end as the rules want it")
}

/// A part that is not read to its end changes nothing for those after it.
fn skipped(delivery: &Delivery, body: &[u8]) {
    let outcome = delivery.read(body, None);
    let mut form = delivery.form(body, None);
    let mut expected = outcome.seen.iter();
    let error = loop {
        match form.next_part() {
            Ok(Some(part)) => {
                let field = expected.next().expect("no part more");
                assert_eq!((part.name(), part.file_name()), (&*field.0, field.1.as_deref()));
                let mut start = Vec::new();
                let read = part.take(delivery.step as u64 - 1).read_to_end(&mut start);
                assert!(field.2.starts_with(&start), "another content: {}", shown(body));
                let whole = field.2.len().min(delivery.step - 1);
                assert!(read.is_err() || start.len() == whole, "a part too short: {}", shown(body));
            }
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    assert_eq!(error, outcome.error.as_ref().map(ToString::to_string), "{}", shown(body));
    assert_eq!(expected.next(), None, "a part less: {}", shown(body));
}

/// A text is the content if that is short and UTF-8, and says so if it is not.
fn as_texts(delivery: &Delivery, body: &[u8], reading: &Reading<'_>) {
    let mut form = delivery.form(body, None);
    for part in &reading.parts {
        let Ok(Some(found)) = form.next_part() else { return };
        let text = found.text();
        let content = std::str::from_utf8(part.content);
        let wanted = match (&text, content) {
            (Err(FormError::FieldTooLong { .. }), _) => part.content.len() > FIELD_BYTES_MAX,
            (Err(FormError::FieldNotUtf8 { .. }), content) => content.is_err(),
            (Ok(text), Ok(content)) => text == content && text.len() <= FIELD_BYTES_MAX,
            _ => false,
        };
        assert!(wanted, "{text:?} is not the text of {}", shown(part.content));
        if let Err(error) = text {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?} has more than one line");
        }
    }
}
