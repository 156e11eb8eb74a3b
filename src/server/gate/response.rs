//! The head of a response to a peer.
//!
//! Reads the clock for `Date`, otherwise pure. Every response says its length, and whether the connection goes on: nobody has to guess.

use crate::clock;
use crate::server::reply::{ApiError, Reply};
use http::StatusCode;
use std::fmt::Write as _;
use std::io::Read as _;

/// What a peer that waits with its body is told when it may send it.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A head, with `headers` as they are and what every response says. `Date` comes with the headers.
pub(super) fn head<'h>(
    status: u16,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    length: u64,
    keep_alive: bool,
) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or_default());
    // Writing to a `String` cannot fail.
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let _ = write!(head, "Content-Length: {length}\r\nConnection: {connection}\r\n\r\n");
    head.into_bytes()
}

/// A whole response that the gate gives by itself. To `HEAD` its head alone.
pub(super) fn whole(reply: Reply, head_only: bool, keep_alive: bool) -> Vec<u8> {
    let Reply { status, headers, length, body } = reply;
    let date = httpdate::fmt_http_date(clock::utc());
    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let mut response =
        head(status, [("Date", date.as_str())].into_iter().chain(headers), length, keep_alive);
    if !head_only {
        // From memory: it cannot fail.
        let _ = body.take(length).read_to_end(&mut response);
    }
    response
}

/// The response to a request that is refused.
pub(super) fn refusal(error: &ApiError, head_only: bool, keep_alive: bool) -> Vec<u8> {
    whole(Reply::error(error), head_only, keep_alive)
}
