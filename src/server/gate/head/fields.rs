//! What the header lines say of the few fields that count. All others are passed over.
//!
//! Pure.

use super::{Refusal, Version};
use httparse::Header;

/// Fields that everybody on the way has to see: a `Connection` that names one asks a proxy to drop
/// what the next one needs.
const END_TO_END: [&str; 8] = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Authorization",
    "Content-Type",
    "Range",
    "Expect",
    "X-Forwarded-For",
];

/// The value of the field `name`, which may be there once. A second one is refused even if it says
/// the same: another reader of this head may join the two, or take the other one.
pub(super) fn only<'h>(
    headers: &[Header<'h>],
    name: &'static str,
) -> Result<Option<&'h str>, Refusal> {
    let mut values = all(headers, name);
    let value = values.next();
    match values.next() {
        Some(_) => Err(Refusal::Repeated(name)),
        None => value.transpose(),
    }
}

/// The value of the first field `name`, of which nothing depends; none if it is no ASCII.
pub(super) fn first<'h>(headers: &[Header<'h>], name: &'static str) -> Option<&'h str> {
    all(headers, name).next()?.ok()
}

/// The values of all fields `name`, a list that may be spread over several lines, as one line.
pub(super) fn joined(
    headers: &[Header<'_>],
    name: &'static str,
) -> Result<Option<String>, Refusal> {
    let values = all(headers, name).collect::<Result<Vec<_>, _>>()?;
    // An empty last entry ends in a comma, and not in a blank that a header line would lose.
    Ok((!values.is_empty()).then(|| values.join(", ").trim_end_matches(' ').to_owned()))
}

/// The values of all fields `name`. `httparse` has refused control characters but the tab, and
/// trimmed blanks; what is left to refuse is what is no ASCII.
fn all<'s, 'h>(
    headers: &'s [Header<'h>],
    name: &'static str,
) -> impl Iterator<Item = Result<&'h str, Refusal>> + use<'s, 'h> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(move |header| {
        let text = std::str::from_utf8(header.value).ok().filter(|text| text.is_ascii());
        text.ok_or(Refusal::NotAscii(name))
    })
}

/// Checks `Host`, which is needed for nothing else: this server has one name.
pub(super) fn check_host(headers: &[Header<'_>], version: Version) -> Result<(), Refusal> {
    match (only(headers, "Host")?, version) {
        // An empty one is allowed (RFC 9112, section 3.2). A comma is not, though a name might have
        // one: it is how a proxy joins two.
        (Some(host), _) if host.bytes().all(is_host_byte) => Ok(()),
        (Some(_), _) => Err(Refusal::Host),
        (None, Version::Http10) => Ok(()),
        (None, Version::Http11) => Err(Refusal::HostMissing),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&byte)
}

/// The declared length of the body, the only framing that is taken.
pub(super) fn content_length(headers: &[Header<'_>]) -> Result<Option<u64>, Refusal> {
    let declared = only(headers, "Content-Length")?;
    let mut names = headers.iter().map(|header| header.name);
    if names.any(|name| name.eq_ignore_ascii_case("Transfer-Encoding")) {
        return Err(match declared {
            Some(_) => Refusal::TwoFramings,
            None => Refusal::TransferEncoding,
        });
    }
    declared.map(number).transpose()
}

/// Reads a length. RFC 9110 would let zeros lead; some read those as octal, and nobody who is
/// honest sends them.
fn number(text: &str) -> Result<u64, Refusal> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    // `parse` alone would take a plus sign.
    text.parse().ok().filter(|_| plain).ok_or(Refusal::ContentLength)
}

/// Whether the connection goes on after this request. `Connection` is a list and may be spread over
/// several lines; `close` wins wherever it stands.
pub(super) fn keep_alive(headers: &[Header<'_>], version: Version) -> Result<bool, Refusal> {
    let (mut close, mut keep) = (false, version == Version::Http11);
    for value in all(headers, "Connection") {
        for option in value?.split(',').map(|option| option.trim_matches([' ', '\t'])) {
            // `close;` or `"close"` might be meant as a close, or not.
            let sound = option.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !sound || END_TO_END.iter().any(|name| option.eq_ignore_ascii_case(name)) {
                return Err(Refusal::Connection);
            }
            close |= option.eq_ignore_ascii_case("close");
            keep |= option.eq_ignore_ascii_case("keep-alive");
        }
    }
    Ok(keep && !close)
}

/// Whether the sender waits for `100 Continue`.
pub(super) fn expects_continue(headers: &[Header<'_>], version: Version) -> Result<bool, Refusal> {
    match only(headers, "Expect")? {
        None => Ok(false),
        // RFC 9110, section 10.1.1: in HTTP/1.0 it has to be ignored.
        Some(value) if value.eq_ignore_ascii_case("100-continue") => Ok(version == Version::Http11),
        Some(_) => Err(Refusal::Expect),
    }
}
