//! The `Range` header of a download.
//!
//! Pure. One range is served; several, or a form that is not understood, are ignored, which HTTP
//! allows (RFC 9110, 14.2): the answer is then the whole file.

use crate::server::store::ByteRange;

/// What a `Range` header asks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(ByteRange),
    /// Bytes that it does not have.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size` bytes.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let spec = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.trim().split_once('-')) else {
        return Wanted::Whole;
    };
    let range = match (number(first), number(last)) {
        (Some(Some(first)), Some(Some(last))) if first > last => return Wanted::Whole,
        (Some(Some(first)), Some(last)) => {
            let end = size.saturating_sub(1);
            (first < size)
                .then(|| ByteRange { first, last: last.map_or(end, |last| last.min(end)) })
        }
        (Some(None), Some(Some(count))) => (count > 0 && size > 0)
            .then(|| ByteRange { first: size.saturating_sub(count), last: size - 1 }),
        _ => return Wanted::Whole,
    };
    range.map_or(Wanted::Unsatisfiable, Wanted::Part)
}

/// A number, or nothing where nothing stands; `None` if something else does. A number too large to
/// hold lies behind the end of every file.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        Some(None)
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        Some(Some(text.parse().unwrap_or(u64::MAX)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, size: u64, expected: Wanted) {
        assert_eq!(wanted(Some(header), size), expected, "{header} of {size}");
    }

    fn part(first: u64, last: u64) -> Wanted {
        Wanted::Part(ByteRange { first, last })
    }

    #[test]
    fn one_range_is_cut_to_the_file() {
        check("bytes=0-0", 10, part(0, 0));
        check("bytes=2-5", 10, part(2, 5));
        check("bytes=2-", 10, part(2, 9));
        check("bytes=2-99", 10, part(2, 9));
        check("bytes=-3", 10, part(7, 9));
        check("bytes=-99", 10, part(0, 9));
        check("bytes=0-99999999999999999999999", 10, part(0, 9));
    }

    #[test]
    fn a_range_behind_the_end_cannot_be_satisfied() {
        for (header, size) in
            [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 10), ("bytes=-5", 0)]
        {
            check(header, size, Wanted::Unsatisfiable);
        }
    }

    #[test]
    fn what_is_not_one_range_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=a-b",
            "bytes=+1-2",
        ] {
            check(header, 10, Wanted::Whole);
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
    }
}
