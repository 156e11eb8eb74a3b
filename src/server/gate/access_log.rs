//! The access log: one line for each request, refused ones included, with the reason; and how long it
//! took, among the others of its kind.
//!
//! Runs on the connection's thread. It owns nothing. What peers send must not reach a terminal as
//! anything but text.

use super::head::Head;
use crate::clock;
use crate::server::metrics::Counts;
use crate::server::route::word;
use crate::shown;
use std::net::IpAddr;
use std::time::Instant;

/// What the log says of a request, but for how it ended.
#[derive(Clone, Copy)]
pub(super) struct Line<'l> {
    /// Where durations are counted.
    pub(super) counts: &'l Counts,
    /// Where it came from.
    pub(super) peer: IpAddr,
    /// Who sent it, if the key was good.
    pub(super) client: Option<&'l str>,
    /// Its head; none if there was no whole one.
    pub(super) request: Option<&'l Head>,
    /// When its first byte came.
    pub(super) started: Instant,
}

impl Line<'_> {
    /// Writes the line. `status` is what was sent, if anything was.
    pub(super) fn write(&self, status: Option<u16>, note: &str) {
        let Self { counts, peer, client, request, started } = self;
        let took = clock::monotonic() - *started;
        counts.request(self.word(), took);
        let (method, target) =
            request.map_or(("-", "-"), |head| (head.method.as_str(), head.target.as_str()));
        let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        log::info!(
            "{peer} {} {method} {target:?} {status} {:.3} s {}",
            client.unwrap_or("-"),
            took.as_secs_f64(),
            shown::visible(note)
        );
    }

    /// What was asked for, in one word.
    pub(super) fn word(&self) -> &'static str {
        self.request.map_or("other", |head| word(&head.target))
    }
}
