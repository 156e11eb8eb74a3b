//! From the bytes that a connection has delivered so far to the head of a request, or to why not.
//!
//! Pure. [`parse`] reads all bytes that have come so far; [`Arrival`] is for asking again whenever
//! more have come.
//!
//! 1. A head or a refusal never changes by what comes after it, nor by the pieces it came in: the
//!    first offence decides.
//! 2. A head that will not fit into [`HEAD_BYTES_MAX`] is refused as soon as that is certain.
//! 3. What can be read in two ways is refused, even where the RFCs would let it pass.
//! 4. Nothing else of what was sent gets out: a [`Head`] is what this server asks for, and a
//!    [`Refusal`] repeats nothing.
//!
//! `httparse` takes the head apart, and is laxer than these rules. It refuses folded lines, blanks
//! before a colon, names that are no tokens, control characters in values, and versions other than
//! 1.0 and 1.1. It lets through, and this module refuses:
//!
//! - empty lines before the request line, and lines that end in a bare LF;
//! - targets of any form, in any bytes from 0x21 on, if they are UTF-8;
//! - methods and targets of any length;
//! - bytes from 0x80 on in values (here: in the fields that count);
//! - fields that are missing, repeated, contradictory, or nonsense.

mod arrival;
mod fields;
mod refusal;
#[cfg(test)]
mod tests;

pub use arrival::Arrival;
pub use refusal::Refusal;

use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use crate::secret::Secret;
use memchr::memchr_iter;

/// What the bytes of a connection amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a connection has one at a time, and takes it apart")]
pub enum Parsed {
    /// No whole head yet, and nothing against what there is.
    Incomplete,
    /// A head.
    Head {
        /// What it says.
        head: Head,
        /// How many bytes it took. What follows is the body, or the next request.
        length: usize,
    },
    /// These bytes are not served. The connection must be closed after the answer.
    Refused(Refusal),
}

/// The head of a request: all of it that this server wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method, a token in the case it was sent in.
    pub method: String,
    /// The target as it was sent: path and query, visible ASCII, at most [`TARGET_BYTES_MAX`].
    pub target: String,
    /// The version.
    pub version: Version,
    /// The declared length of the body. Without one there is no body.
    pub content_length: Option<u64>,
    /// Whether another request may follow on this connection.
    pub keep_alive: bool,
    /// Whether there is a body that the sender holds back until it sees `100 Continue`.
    pub expects_continue: bool,
    /// The value of `Authorization`.
    pub authorization: Option<Secret>,
    /// The value of `Content-Type`, in ASCII.
    pub content_type: Option<String>,
    /// The value of `Range`, in ASCII.
    pub range: Option<String>,
    /// The values of all `X-Forwarded-For`, in ASCII, joined by `, ` in their order: as one list,
    /// the nearest sender's entry last. Empty entries stay, so that none moves to the last place.
    /// **Anybody can send this**: it says something only if a trusted proxy sent the head.
    pub forwarded_for: Option<String>,
    /// The value of the first `User-Agent`, if it is in ASCII. Whatever else stands there is nobody's
    /// business.
    pub user_agent: Option<String>,
    /// The value of the first `Cookie`, if it is in ASCII.
    pub cookie: Option<Secret>,
    /// The value of the first `Sec-Fetch-Site`, if it is in ASCII: whose page a browser says that a
    /// request comes from.
    pub fetch_site: Option<String>,
}

impl Head {
    /// The cookies.
    pub fn cookies(&self) -> Option<&str> {
        self.cookie.as_ref().map(Secret::expose)
    }

    /// Whether a browser says that a page of this very server has caused the request. All browsers say
    /// so since 2023, to whoever they reach over TLS or on their own machine.
    pub fn is_same_origin(&self) -> bool {
        self.fetch_site.as_deref() == Some("same-origin")
    }

    /// The version of the client that sent it, if it says that it is one of ours.
    pub fn client_version(&self) -> Option<&str> {
        let version = self.user_agent.as_deref()?.strip_prefix("s3up/")?;
        version.split(' ').next().filter(|version| !version.is_empty())
    }
}

/// The versions that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Reads a head from the beginning of `received`, all that came since the request before.
pub fn parse(received: &[u8]) -> Parsed {
    match read(received) {
        Ok(Some((head, length))) => Parsed::Head { head, length },
        Ok(None) => Parsed::Incomplete,
        Err(refusal) => Parsed::Refused(refusal),
    }
}

fn read(received: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    let window = &received[..received.len().min(HEAD_BYTES_MAX)];
    let laxness = first_laxness(window);
    // `httparse` sees only what comes before: what it finds there came first, and a head that ends
    // there is not touched by line ends in its body.
    let strict = &window[..laxness.map_or(window.len(), |(at, _)| at)];
    let mut room = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
    let mut request = httparse::Request::new(&mut room);
    match (request.parse(strict)?, laxness) {
        (httparse::Status::Complete(length), _) => Ok(Some((judge(&request)?, length))),
        (httparse::Status::Partial, Some((_, refusal))) => Err(refusal),
        (httparse::Status::Partial, None) if window.len() == HEAD_BYTES_MAX => {
            Err(Refusal::TooLong)
        }
        (httparse::Status::Partial, None) => Ok(None),
    }
}

/// The first place at which `httparse` would pass over a line end that is none for others.
fn first_laxness(bytes: &[u8]) -> Option<(usize, Refusal)> {
    // RFC 9112, section 2.2, would have one empty line ignored, for clients of the nineties that
    // sent one after a body. Theirs was not counted in the length, and neither could others' be.
    if let Some(b'\r' | b'\n') = bytes.first() {
        return Some((0, Refusal::EmptyLine));
    }
    let bare = memchr_iter(b'\n', bytes).find(|at| !bytes[..*at].ends_with(b"\r"));
    bare.map(|at| (at, Refusal::LineEnd))
}

/// Holds a head that is whole against the rules.
fn judge(request: &httparse::Request<'_, '_>) -> Result<Head, Refusal> {
    let headers = &*request.headers;
    // All three are there in a request that was read to its end.
    let method = request.method.ok_or(Refusal::RequestLine)?;
    let target = request.path.ok_or(Refusal::RequestLine)?;
    let version = match request.version.ok_or(Refusal::RequestLine)? {
        0 => Version::Http10,
        1 => Version::Http11,
        _ => return Err(Refusal::Version),
    };
    if method.len() > METHOD_BYTES_MAX {
        return Err(Refusal::MethodTooLong);
    }
    check_target(target)?;
    fields::check_host(headers, version)?;
    let content_length = fields::content_length(headers)?;
    let waits = fields::expects_continue(headers, version)?;
    Ok(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        version,
        content_length,
        keep_alive: fields::keep_alive(headers, version)?,
        expects_continue: waits && content_length.is_some_and(|length| length > 0),
        authorization: fields::only(headers, "Authorization")?.map(Secret::new),
        content_type: fields::only(headers, "Content-Type")?.map(str::to_owned),
        range: fields::only(headers, "Range")?.map(str::to_owned),
        forwarded_for: fields::joined(headers, "X-Forwarded-For")?,
        user_agent: fields::first(headers, "User-Agent").map(str::to_owned),
        cookie: fields::first(headers, "Cookie").map(Secret::new),
        fetch_site: fields::first(headers, "Sec-Fetch-Site").map(str::to_owned),
    })
}

/// Lets only origin-form pass: an absolute target names a host that may not be the one in `Host`,
/// and a fragment never belongs into a request.
fn check_target(target: &str) -> Result<(), Refusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    let visible = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if visible && target.starts_with('/') { Ok(()) } else { Err(Refusal::Target) }
}
