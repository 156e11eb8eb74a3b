//! One request to the store, as the store means it.
//!
//! Pure: what is asked, how it is signed, how long its answer may take and whether it is sent again.

use crate::digest::Digest;
use crate::threads::Stop;
use http::{HeaderMap, Method};

/// One request.
pub(super) struct Call<'a> {
    /// For the error: what was tried.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// The object, or the bucket itself.
    pub(super) key: Option<&'a str>,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) signing: Signing,
    /// The statuses that are an answer; any other is an error.
    pub(super) expects: &'static [u16],
    /// How long to wait for the answer, after the last byte was sent.
    pub(super) wait: Wait,
    /// When it is too late to try once more.
    pub(super) retry: Retry<'a>,
}

/// How the signature covers the body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signing {
    /// By its SHA-256.
    Body(Digest),
    /// Not at all. For bodies that TLS protects, or that never leave this machine, and that a
    /// checksum in a signed header goes with.
    Head,
}

/// How long the store may take to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It has only to look.
    Look,
    /// It has to write what was sent.
    Write,
    /// It has to put an object together.
    Assemble,
}

/// Whether a request that failed for a reason that may pass is sent again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Retry<'a> {
    /// Whoever asks wants to know how it is now. A connection that the store closed while it was
    /// idle does not count.
    Never,
    /// For [`super::Deadlines::retry`].
    Window,
    /// As long, and no longer once this is raised.
    WindowUnless(&'a Stop),
}

impl<'a> Call<'a> {
    /// A call that reads: without a body, and answered soon. 200 is its answer.
    pub(super) fn ask(operation: &'static str, method: Method, key: Option<&'a str>) -> Self {
        Self {
            operation,
            method,
            key,
            query: &[],
            headers: HeaderMap::new(),
            body: b"",
            signing: Signing::Body(Digest::of(b"")),
            expects: &[200],
            wait: Wait::Look,
            retry: Retry::Window,
        }
    }

    /// A call that writes `body`, which the signature covers. 200 is its answer.
    pub(super) fn write(
        operation: &'static str,
        method: Method,
        key: &'a str,
        body: &'a [u8],
        digest: Digest,
    ) -> Self {
        let signing = Signing::Body(digest);
        Self { body, signing, wait: Wait::Write, ..Self::ask(operation, method, Some(key)) }
    }
}
