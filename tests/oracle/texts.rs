//! Judges the texts that others send or write: ranges, times, digests, boundaries, names, days, and
//! what a client reports.
//!
//! The first byte of an input says which; the rest is the text.

use super::parameters;
use s3up::digest::Digest;
use s3up::limits::report::{BODY_BYTES_MAX, NUMBER_MAX};
use s3up::secret::Secret;
use s3up::server::key::ClientName;
use s3up::server::multipart::Boundary;
use s3up::server::range::{Wanted, wanted};
use s3up::server::store::ByteRange;
use s3up::wire::report::Report;
use s3up::wire::{Day, Mtime};

pub(super) fn judge(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match (kind, kind % 6) {
        (255, _) => report(text),
        (254, _) => day(text),
        (_, 0) => range(text),
        (_, 1) => mtime(text),
        (_, 2) => boundary(text),
        (_, 3) => digest(text),
        (_, 4) => client_name(text),
        _ => api_key(text),
    }
}

/// Whatever was sent: what is read of it fits, shows, and can be sent again.
fn report(text: &str) {
    let Ok(report) = serde_json::from_str::<Report>(text) else { return };
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.len() <= BODY_BYTES_MAX, "{} bytes from {text:?}", json.len());
    let failures = report.watch_failures.iter();
    let texts = failures
        .flat_map(|failure| [&*failure.path, &*failure.reason])
        .chain(report.parked.reasons.iter().map(|parked| &*parked.reason))
        .chain([&*report.version]);
    for shown in texts {
        assert!(!shown.contains(char::is_control), "{shown:?} from {text:?}");
    }
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report, "{text:?}");
    assert!(report.sent_at <= NUMBER_MAX && report.bytes <= NUMBER_MAX, "{text:?}");
    day(&report.date.to_string());
}

fn day(text: &str) {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, digits: usize| {
        let plain = part.len() == digits && part.chars().all(|c| c.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| plain)
    };
    let whole = match parts[..] {
        [year, month, day] => number(year, 4).zip(number(month, 2)).zip(number(day, 2)),
        _ => None,
    };
    let meant = whole.is_some_and(|((year, month), day)| {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 0,
        };
        year >= 1970 && (1..=days).contains(&day)
    });
    let parsed = text.parse::<Day>();
    assert_eq!(parsed.is_ok(), meant, "{text:?}");
    if let Ok(parsed) = parsed {
        assert_eq!(parsed.to_string(), text);
        assert_eq!(Day::of(parsed.start()), parsed);
    }
}

/// The header stands after a slash, the file's size before it.
fn range(text: &str) {
    let (size, header) = text.split_once('/').unwrap_or(("10", text));
    let size: u64 = size.parse().unwrap_or(u64::MAX);
    assert_eq!(wanted(Some(header), size), meant(header, size), "{header:?} of {size}");
}

/// What a range asks for, in numbers that have room for all of it.
fn meant(header: &str, size: u64) -> Wanted {
    let spec = header.trim().strip_prefix("bytes=").unwrap_or_default().trim();
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    if !first.chars().chain(last.chars()).all(|c| c.is_ascii_digit()) {
        return Wanted::Whole;
    }
    // Digits that are too many stand for more than any size.
    let most = u128::from(u64::MAX);
    let number =
        |text: &str| (!text.is_empty()).then(|| text.parse().map_or(most, |n: u128| n.min(most)));
    let size = u128::from(size);
    let (first, last) = match (number(first), number(last)) {
        (None, Some(count)) => (size.saturating_sub(count), if count == 0 { 0 } else { size }),
        (Some(first), Some(last)) if last < first => return Wanted::Whole,
        (Some(first), Some(last)) => (first, last + 1),
        (Some(first), None) => (first, u128::MAX),
        (None, None) => return Wanted::Whole,
    };
    // `last` is the first byte behind the range from here on.
    let last = last.min(size);
    if first >= last {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part(ByteRange { first: first as u64, last: (last - 1) as u64 })
}

fn mtime(text: &str) {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |part: &str| {
        let plain = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        part.parse::<i128>().ok().filter(|_| plain)
    };
    let nanos = match (number(whole), number(decimals), decimals.len()) {
        (Some(whole), Some(decimals), length @ 1..=9) => whole
            .checked_mul(1_000_000_000)
            .map(|nanos| sign * (nanos + decimals * 10_i128.pow(9 - length as u32)))
            .and_then(|nanos| i64::try_from(nanos).ok()),
        _ => None,
    };
    let parsed = text.parse::<Mtime>().ok();
    assert_eq!(parsed.map(Mtime::nanos), nanos, "{text:?}");
    if let Some(parsed) = parsed {
        assert_eq!(parsed.to_string().parse(), Ok(parsed), "{text:?}");
    }
}

fn boundary(text: &str) {
    let (kind, parameters) = parameters::read(text);
    let meant = parameters.and_then(|parameters| {
        let named =
            parameters.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("boundary"));
        let [(_, boundary)] = <[_; 1]>::try_from(named.collect::<Vec<_>>()).ok()?;
        let good = |c: char| c.is_ascii_alphanumeric() || "'()+_,-./:=? ".contains(c);
        let whole = (1..=70).contains(&boundary.len()) && boundary.chars().all(good);
        (whole && !boundary.ends_with(' ')).then_some(boundary)
    });
    let meant = meant.filter(|_| kind.eq_ignore_ascii_case("multipart/form-data"));
    let parsed = Boundary::from_content_type(text);
    let found = parsed.as_ref().ok().map(Boundary::as_str);
    assert_eq!(found, meant.as_deref(), "{parsed:?} from {text:?}");
    if let Ok(parsed) = parsed {
        let again = format!("multipart/form-data; boundary=\"{}\"", parsed.as_str());
        assert_eq!(Boundary::from_content_type(&again), Ok(parsed));
    }
}

fn digest(text: &str) {
    let good = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    let parsed = text.parse::<Digest>();
    assert_eq!(parsed.is_ok(), good, "{text:?}");
    if let Ok(parsed) = parsed {
        assert_eq!(parsed.to_string(), text.to_ascii_lowercase());
        assert_eq!(Digest::from_bytes(parsed.as_bytes()), Some(parsed));
    }
}

fn client_name(text: &str) {
    let good = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || "._-".contains(c);
    let whole = (1..=64).contains(&text.len()) && text.chars().all(good);
    let parsed = ClientName::parse(text);
    assert_eq!(parsed.is_ok(), whole && !text.starts_with(['.', '_', '-']), "{text:?}");
    if let Ok(parsed) = parsed {
        assert_eq!(parsed.as_str(), text);
    }
}

fn api_key(text: &str) {
    let good = (16..=512).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    let parsed = Secret::api_key(text);
    assert_eq!(parsed.is_ok(), good, "{text:?}");
    match parsed {
        Ok(parsed) => assert_eq!((parsed.expose(), &*format!("{parsed:?}")), (text, "***")),
        Err(error) => assert!(!error.to_string().contains(text) || text.len() < 16, "{error}"),
    }
}
