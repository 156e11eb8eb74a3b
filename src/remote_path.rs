//! The only way to name a remote file.
//!
//! Pure. [`RemotePath::parse`] refuses, it never cleans: two spellings that became one name would
//! let one file overwrite another. Whoever holds a `RemotePath` needs no further check; no handler
//! and no store ever sees a path as a bare string.

use crate::limits::{KEY_BYTES_MAX, SEGMENT_BYTES_MAX};
use std::fmt;

/// A relative path below one client's folder in the bucket, such as `uploads/users/7/avatar.png`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemotePath(String);

/// Why a text cannot name a remote file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Two slashes in a row.
    #[error("it has an empty segment (two slashes in a row)")]
    EmptySegment,
    /// A backslash, which some systems read as a separator.
    #[error("it has a backslash")]
    Backslash,
    /// A control character, NUL included.
    #[error("it has a control character")]
    ControlCharacter,
    /// A segment `.` or `..`.
    #[error("it has a segment '.' or '..'")]
    DotSegment,
    /// No character at all.
    #[error("it is empty")]
    Empty,
    /// A slash in front.
    #[error("it starts with a slash; paths are relative")]
    LeadingSlash,
    /// Bytes that are no UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A segment over [`SEGMENT_BYTES_MAX`].
    #[error("it has a segment of more than {SEGMENT_BYTES_MAX} bytes")]
    SegmentTooLong,
    /// More than [`KEY_BYTES_MAX`], alone or with what stands before it in the bucket.
    #[error("the whole key would be longer than {KEY_BYTES_MAX} bytes")]
    TooLong,
    /// A slash at the end.
    #[error("it ends with a slash")]
    TrailingSlash,
}

impl RemotePath {
    /// Reads a path; the rules stand in [`PathError`], one variant each.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }

    /// Reads a path from bytes, which must be UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| PathError::NotUtf8)?)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A folder that remote paths are put below: empty, or a path without its closing slash.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemotePrefix(Option<RemotePath>);

impl RemotePrefix {
    /// Reads a prefix as an operator writes it: `""`, `uploads` or `uploads/`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        RemotePath::parse(text.strip_suffix('/').unwrap_or(text)).map(|path| Self(Some(path)))
    }

    /// The path from `outer` to this prefix, if it lies below it: `a/b` below the empty one, `b` below
    /// `a`. `None` if it does not, or if they are the same.
    pub fn below(&self, outer: &Self) -> Option<&str> {
        let path = self.0.as_ref()?.as_str();
        match &outer.0 {
            None => Some(path),
            Some(outer) => path.strip_prefix(outer.as_str())?.strip_prefix('/'),
        }
    }

    /// The path of a file below this prefix.
    pub fn join(&self, relative: &str) -> Result<RemotePath, PathError> {
        // Both parts keep the rules by themselves; only the length is a matter of the whole. Every
        // file of a scan comes by here, so the rest is not read a second time.
        check(relative)?;
        let Some(RemotePath(prefix)) = &self.0 else { return Ok(RemotePath(relative.to_owned())) };
        if prefix.len() + 1 + relative.len() > KEY_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let path = [prefix.as_str(), relative].join("/");
        debug_assert_eq!(check(&path), Ok(()));
        Ok(RemotePath(path))
    }
}

impl fmt::Display for RemotePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, "{path}/"))
    }
}

fn check(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > KEY_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    if text.starts_with('/') {
        return Err(PathError::LeadingSlash);
    }
    if text.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    text.as_bytes().split(|byte| *byte == b'/').try_for_each(check_segment)
}

/// Looks at bytes, which is a third of the time that characters take.
fn check_segment(segment: &[u8]) -> Result<(), PathError> {
    match segment {
        b"" => return Err(PathError::EmptySegment),
        b"." | b".." => return Err(PathError::DotSegment),
        _ if segment.len() > SEGMENT_BYTES_MAX => return Err(PathError::SegmentTooLong),
        _ => {}
    }
    let mut before = 0;
    for &byte in segment {
        match byte {
            b'\\' => return Err(PathError::Backslash),
            0..0x20 | 0x7f => return Err(PathError::ControlCharacter),
            // U+0080 to U+009F, which UTF-8 begins with this byte.
            0x80..0xa0 if before == 0xc2 => return Err(PathError::ControlCharacter),
            _ => before = byte,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<(), PathError>) {
        assert_eq!(RemotePath::parse(text).map(|_| ()), expected, "{text:?}");
        if let Ok(path) = RemotePath::parse(text) {
            assert_eq!(path.as_str(), text, "a path is taken as it stands or not at all");
        }
    }

    #[test]
    fn ordinary_names_are_taken_as_they_stand() {
        for text in [
            "a",
            "uploads/users/123/avatar.png",
            "foo..bar",
            "...",
            "..a/b..",
            ".hidden",
            " leading and trailing blank ",
            "Grüße/日本語.txt",
            "100% + #1 ?.txt",
            "%2e%2e/%2F",
            "a:b",
            "C:",
            "~",
            "\u{feff}bom",
        ] {
            check(text, Ok(()));
        }
    }

    #[test]
    fn every_rule_refuses_with_its_own_reason() {
        check("", Err(PathError::Empty));
        check("/", Err(PathError::LeadingSlash));
        check("/etc/passwd", Err(PathError::LeadingSlash));
        check("a/", Err(PathError::TrailingSlash));
        check("a//b", Err(PathError::EmptySegment));
        for dots in [".", "..", "../a", "a/../b", "a/..", "./a", "a/./b", "a/."] {
            check(dots, Err(PathError::DotSegment));
        }
        check("a\\b", Err(PathError::Backslash));
        check("..\\a", Err(PathError::Backslash));
        for control in ["a\0", "a\nb", "\u{1b}[2J", "\u{7f}", "\u{85}"] {
            check(control, Err(PathError::ControlCharacter));
        }
        assert_eq!(RemotePath::parse_bytes(b"a\xff"), Err(PathError::NotUtf8));
        assert_eq!(RemotePath::parse_bytes(b"\xc0\xae\xc0\xae/a"), Err(PathError::NotUtf8));
    }

    #[test]
    fn lengths_are_counted_in_bytes_up_to_their_last_one() {
        check(&"a".repeat(255), Ok(()));
        check(&"a".repeat(256), Err(PathError::SegmentTooLong));
        check(&"ü".repeat(127), Ok(()));
        check(&"ü".repeat(128), Err(PathError::SegmentTooLong));
        let long = format!("{}a", "a/".repeat(511));
        check(&format!("{long}a"), Ok(()));
        check(&format!("{long}aa"), Err(PathError::TooLong));
    }

    #[test]
    fn a_prefix_joins_with_exactly_one_slash_and_smuggles_nothing() {
        for (prefix, relative, expected) in [
            ("", "a", Ok("a")),
            ("uploads", "a/b", Ok("uploads/a/b")),
            ("uploads/", "a/b", Ok("uploads/a/b")),
            ("uploads/", "../b", Err(PathError::DotSegment)),
            ("uploads/", "/b", Err(PathError::LeadingSlash)),
            ("uploads/", "", Err(PathError::Empty)),
        ] {
            let joined = RemotePrefix::parse(prefix).unwrap().join(relative);
            assert_eq!(joined.as_ref().map(RemotePath::as_str), expected.as_ref().map(|s| *s));
        }
        for bad in ["/", "/a", "a//", "../", "a/../b/"] {
            assert!(RemotePrefix::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_prefix_lies_below_another_by_segments() {
        for (inner, outer, expected) in [
            ("a/b/c", "a", Some("b/c")),
            ("a/b", "", Some("a/b")),
            ("a", "a/", None),
            ("", "", None),
            ("", "a", None),
            ("ab", "a", None),
            ("a", "a/b", None),
        ] {
            let prefix = |text| RemotePrefix::parse(text).unwrap();
            assert_eq!(prefix(inner).below(&prefix(outer)), expected, "{inner:?} {outer:?}");
        }
    }

    proptest! {
        #[test]
        fn a_control_character_is_one_by_unicodes_own_table(character in any::<char>()) {
            let refused = RemotePath::parse(&format!("a{character}b")).is_err();
            let expected = character.is_control() || character == '\\' ;
            prop_assert_eq!(refused, expected);
        }

        #[test]
        fn a_joined_path_is_one_that_would_be_read(prefix in "[a/.]{0,4}", rest in "[a./\\\\]{0,6}") {
            if let Ok(prefix) = RemotePrefix::parse(&prefix)
                && let Ok(path) = prefix.join(&rest)
            {
                prop_assert_eq!(RemotePath::parse(path.as_str()), Ok(path.clone()));
                prop_assert_eq!(path.as_str(), format!("{prefix}{rest}"));
            }
        }

        #[test]
        fn whatever_is_accepted_stays_below_its_folder(text in "[a./\\\\ü\0 %-]{0,40}") {
            if let Ok(path) = RemotePath::parse(&text) {
                let mut depth = 0;
                for segment in path.as_str().split('/') {
                    prop_assert!(!segment.is_empty() && segment != "." && segment != "..");
                    depth += 1;
                }
                prop_assert_eq!(std::path::Path::new(&text).components().count(), depth);
                prop_assert_eq!(RemotePath::parse(path.as_str()), Ok(path.clone()));
            }
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = RemotePath::parse_bytes(&bytes);
        }
    }
}
