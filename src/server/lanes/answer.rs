//! The head of a worker's answer, as the gate reads it from a lane.
//!
//! Pure. What the worker says to the gate alone ([`field`]) is taken out; what it says to the client
//! is kept as it is, but for what the gate says itself: length, connection, server.

use super::head::field;
use percent_encoding::percent_decode_str;

/// Most header lines of an answer on a lane: a download has thirteen.
const FIELDS_MAX: usize = 32;

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Length of its body in bytes, even if the body is not sent because only the head was wanted.
    pub length: u64,
    /// The lines that go to the client.
    pub headers: Vec<(String, String)>,
    /// The exchange it belongs to.
    pub exchange: u64,
    /// Whether the worker has read the whole body of the request.
    pub drained: bool,
    /// What the access log says of it.
    pub note: String,
}

/// Something came over a lane that is no answer of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker's answer that is none: {0}")]
pub(super) struct AnswerError(&'static str);

/// Reads the head at the beginning of `received`, and its length; `None` if it is not complete.
pub(super) fn read(received: &[u8]) -> Result<Option<(Answer, usize)>, AnswerError> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut room);
    let taken = match response.parse(received) {
        Ok(httparse::Status::Complete(taken)) => taken,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(AnswerError("not well formed")),
    };
    let mut answer = Answer {
        status: response.code.ok_or(AnswerError("no status"))?,
        length: 0,
        headers: Vec::with_capacity(response.headers.len()),
        exchange: 0,
        drained: false,
        note: String::new(),
    };
    let (mut length, mut exchange) = (None, None);
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| AnswerError("not text"))?;
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("Content-Length") {
            length = value.parse().ok();
        } else if is(field::EXCHANGE) {
            exchange = value.parse().ok();
        } else if is(field::DRAINED) {
            answer.drained = true;
        } else if is(field::NOTE) {
            answer.note = percent_decode_str(value).decode_utf8_lossy().into_owned();
        } else if !(is("Server") || is("Connection")) {
            answer.headers.push((header.name.to_owned(), value.to_owned()));
        }
    }
    answer.length = length.ok_or(AnswerError("no length"))?;
    // `tiny_http` refuses what it does not understand in words of its own.
    answer.exchange = exchange.ok_or(AnswerError("no exchange"))?;
    Ok(Some((answer, taken)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_the_gate_is_taken_out_and_the_rest_is_kept() {
        let head = b"HTTP/1.1 200 OK\r\nServer: tiny\r\nDate: today\r\nContent-Type: text/x\r\n\
            X-Gate-Exchange: 7\r\nX-Gate-Drained: yes\r\nX-Gate-Note: stored %22%C3%A4%22\r\n\
            Content-Length: 3\r\n\r\nabc";
        let (answer, taken) = read(head).unwrap().unwrap();
        assert_eq!(&head[taken..], b"abc");
        let headers =
            vec![("Date".into(), "today".into()), ("Content-Type".into(), "text/x".into())];
        assert_eq!(
            answer,
            Answer {
                status: 200,
                length: 3,
                headers,
                exchange: 7,
                drained: true,
                note: "stored \"ä\"".into()
            }
        );
    }

    #[test]
    fn a_head_is_awaited_to_its_end() {
        let head = b"HTTP/1.1 200 OK\r\nX-Gate-Exchange: 7\r\nContent-Length: 0\r\n\r\n";
        for count in 0..head.len() {
            assert_eq!(read(&head[..count]), Ok(None), "{count} bytes");
        }
        assert!(read(head).unwrap().is_some());
    }

    #[test]
    fn what_no_worker_wrote_is_no_answer() {
        for (head, why) in [
            (&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..], "no exchange"),
            (b"HTTP/1.1 200 OK\r\nX-Gate-Exchange: 7\r\n\r\n", "no length"),
            (b"HTTP/1.1 200 OK\r\nX-Gate-Exchange: x\r\nContent-Length: 0\r\n\r\n", "no exchange"),
            (b"garbage\r\n\r\n", "not well formed"),
        ] {
            assert_eq!(read(head), Err(AnswerError(why)));
        }
    }
}
