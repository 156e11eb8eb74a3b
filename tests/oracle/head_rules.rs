//! The rules of a request's head, the slow and simple way: split it into lines, look at each.

use s3up::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use s3up::secret::Secret;
use s3up::server::gate::head::{Head, Version};

/// What the rules make of some bytes.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Verdict {
    /// There is no end of a head yet.
    Open,
    /// A head, and its length.
    Good(Head, usize),
    /// A head that must not pass, or none within the longest length.
    Bad,
}

pub(super) fn read(bytes: &[u8]) -> Verdict {
    let window = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    match memchr::memmem::find(window, b"\r\n\r\n") {
        Some(end) => match head(&window[..end]) {
            Some(head) => Verdict::Good(head, end + 4),
            None => Verdict::Bad,
        },
        None if bytes.len() >= HEAD_BYTES_MAX => Verdict::Bad,
        None => Verdict::Open,
    }
}

/// Reads a head without its last four bytes. A byte is a character here, so that nothing is lost.
fn head(bytes: &[u8]) -> Option<Head> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n");
    let (method, target, version) = request_line(lines.next()?)?;
    let fields: Vec<(String, &str)> = lines.map(field).collect::<Option<_>>()?;
    if fields.len() > HEAD_FIELDS_MAX {
        return None;
    }
    let http11 = version == Version::Http11;

    host(&fields, http11)?;
    let content_length = only(&fields, "content-length")?.map(number);
    if content_length == Some(None) || !all(&fields, "transfer-encoding").is_empty() {
        return None;
    }
    let content_length = content_length.flatten();
    let expect = only(&fields, "expect")?;
    if expect.is_some_and(|value| !value.eq_ignore_ascii_case("100-continue")) {
        return None;
    }
    let forwarded_for = all(&fields, "x-forwarded-for");
    forwarded_for.iter().all(|value| value.is_ascii()).then_some(())?;
    Some(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        version,
        content_length,
        keep_alive: keep_alive(&fields, http11)?,
        expects_continue: expect.is_some() && http11 && content_length.unwrap_or(0) > 0,
        authorization: only(&fields, "authorization")?.map(Secret::new),
        content_type: only(&fields, "content-type")?.map(str::to_owned),
        range: only(&fields, "range")?.map(str::to_owned),
        forwarded_for: (!forwarded_for.is_empty())
            .then(|| forwarded_for.join(", ").trim_end().to_owned()),
        user_agent: first(&fields, "user-agent"),
        cookie: first(&fields, "cookie").map(Secret::new),
        fetch_site: first(&fields, "sec-fetch-site"),
    })
}

fn request_line(line: &str) -> Option<(&str, &str, Version)> {
    let [method, target, version] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    let version = match version {
        "HTTP/1.0" => Version::Http10,
        "HTTP/1.1" => Version::Http11,
        _ => return None,
    };
    let method_good = is_token(method) && method.len() <= METHOD_BYTES_MAX;
    let target_good = target.starts_with('/')
        && target.len() <= TARGET_BYTES_MAX
        && target.chars().all(|c| ('!'..='~').contains(&c) && c != '#');
    (method_good && target_good).then_some((method, target, version))
}

/// A line as its name in lower case and its value without the blanks around it.
fn field(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    let good = |c: char| c == '\t' || c >= ' ' && c != '\u{7f}';
    let whole = is_token(name) && value.chars().all(good);
    whole.then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

fn is_token(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(good)
}

fn all<'t>(fields: &[(String, &'t str)], name: &str) -> Vec<&'t str> {
    fields.iter().filter(|field| field.0 == name).map(|field| field.1).collect()
}

/// The first value of a field on which nothing depends.
fn first(fields: &[(String, &str)], name: &str) -> Option<String> {
    all(fields, name).first().filter(|value| value.is_ascii()).map(|value| (*value).to_owned())
}

/// The one value of a field that counts, if it is there.
fn only<'t>(fields: &[(String, &'t str)], name: &str) -> Option<Option<&'t str>> {
    match all(fields, name)[..] {
        [] => Some(None),
        [value] if value.is_ascii() => Some(Some(value)),
        _ => None,
    }
}

fn host(fields: &[(String, &str)], needed: bool) -> Option<()> {
    let good =
        |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c) || "%!$&'()*+;=:[]".contains(c);
    match only(fields, "host")? {
        Some(host) => host.chars().all(good).then_some(()),
        None => (!needed).then_some(()),
    }
}

fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn keep_alive(fields: &[(String, &str)], http11: bool) -> Option<bool> {
    let list = all(fields, "connection").join(",").to_ascii_lowercase();
    let options: Vec<&str> =
        list.split(',').map(|option| option.trim_matches([' ', '\t'])).collect();
    let counts = "host,content-length,transfer-encoding,authorization,content-type,range,expect,\
                  x-forwarded-for";
    let good = |option: &&str| {
        option.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && (option.is_empty() || counts.split(',').all(|name| name != *option))
    };
    let sound = options.iter().all(good);
    sound.then(|| !options.contains(&"close") && (http11 || options.contains(&"keep-alive")))
}
