//! Tells delimiter lines from content.
//!
//! Pure. A delimiter line is `CR LF -- boundary`, `--` if it closes the form, at most
//! [`BOUNDARY_BLANKS_MAX`] blanks, `CR LF`; the closing one may also end with the body. Everything
//! else is content, however much it looks like one.

use super::boundary::Boundary;
use crate::limits::BOUNDARY_BLANKS_MAX;
use memchr::memmem::Finder;

/// Looks for the lines of one boundary.
pub(super) struct Delimiter {
    /// For `CR LF -- boundary`. It has one CR, its first byte: no two occurrences overlap.
    finder: Finder<'static>,
}

/// Whether there may be more bytes after those at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// There may be.
    Possible,
    /// The body has ended.
    Never,
}

/// A delimiter line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A part follows. Without its line end, which reads as the line before the part's head, the
    /// line has `bytes` bytes.
    Opening {
        /// Length without the line end.
        bytes: usize,
    },
    /// Nothing follows.
    Closing,
}

/// What some bytes of a body begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// So many bytes of content; only more bytes can tell what comes then.
    Content(usize),
    /// So many bytes of content, then a delimiter line.
    Line(usize, Line),
}

/// What the bytes after `CR LF -- boundary` make of it.
enum Verdict {
    Line(Line),
    Lookalike,
    Undecided,
}

impl Delimiter {
    pub(super) fn new(boundary: &Boundary) -> Self {
        let text = format!("\r\n--{}", boundary.as_str());
        Self { finder: Finder::new(text.as_bytes()).into_owned() }
    }

    /// The longest run of bytes that [`Delimiter::look`] may leave undecided: a closing line but
    /// for its last byte.
    pub(super) fn undecided_bytes_max(&self) -> usize {
        self.text().len() + b"--".len() + BOUNDARY_BLANKS_MAX + b"\r".len()
    }

    /// Looks at bytes of a body that begin outside of any delimiter line.
    pub(super) fn look(&self, bytes: &[u8], more: More) -> Sight {
        let mut content = 0;
        while let Some(offset) = self.finder.find(&bytes[content..]) {
            let line = content + offset;
            let after = line + self.text().len();
            match self.judge(&bytes[after..], more) {
                Verdict::Line(found) => return Sight::Line(line, found),
                Verdict::Undecided => return Sight::Content(line),
                Verdict::Lookalike => content = after,
            }
        }
        Sight::Content(bytes.len() - self.held_back(&bytes[content..]))
    }

    fn judge(&self, after: &[u8], more: More) -> Verdict {
        let (closing, rest) = match after.strip_prefix(b"--") {
            Some(rest) => (true, rest),
            None => (false, after),
        };
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if blanks > BOUNDARY_BLANKS_MAX {
            return Verdict::Lookalike;
        }
        match &rest[blanks..] {
            [b'\r', b'\n', ..] if closing => Verdict::Line(Line::Closing),
            [b'\r', b'\n', ..] => {
                Verdict::Line(Line::Opening { bytes: self.text().len() + blanks })
            }
            [] | [b'\r'] if closing && more == More::Never => Verdict::Line(Line::Closing),
            [] | [b'\r'] => Verdict::Undecided,
            [b'-'] if !closing && blanks == 0 => Verdict::Undecided,
            _ => Verdict::Lookalike,
        }
    }

    /// Length of the longest end of `bytes` that is a beginning of the delimiter.
    fn held_back(&self, bytes: &[u8]) -> usize {
        let tail = &bytes[bytes.len().saturating_sub(self.text().len() - 1)..];
        memchr::memchr_iter(b'\r', tail)
            .map(|start| &tail[start..])
            .find(|end| self.text().starts_with(end))
            .map_or(0, <[u8]>::len)
    }

    fn text(&self) -> &[u8] {
        self.finder.needle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimiter() -> Delimiter {
        Delimiter::new(&Boundary::from_content_type("multipart/form-data; boundary=X").unwrap())
    }

    fn check(bytes: &str, more: More, expected: Sight) {
        assert_eq!(delimiter().look(bytes.as_bytes(), more), expected, "{bytes:?}, {more:?}");
    }

    #[test]
    fn a_line_is_known_by_its_end_and_by_that_alone() {
        for more in [More::Possible, More::Never] {
            check("ab\r\n--X\r\nc", more, Sight::Line(2, Line::Opening { bytes: 5 }));
            check("\r\n--X \t \r\n", more, Sight::Line(0, Line::Opening { bytes: 8 }));
            check("ab\r\n--X--\r\nc", more, Sight::Line(2, Line::Closing));
            check("ab\r\n--X-- \t\r\n", more, Sight::Line(2, Line::Closing));
            check("\r\n--Xa\r\n--X\r\n", more, Sight::Line(6, Line::Opening { bytes: 5 }));
            check("\r\n--X\r\n--X\r\n", more, Sight::Line(0, Line::Opening { bytes: 5 }));
        }
    }

    #[test]
    fn lookalikes_are_content() {
        for after in
            ["XX", "Xa", "X\n", "X\ra", "X a", "X-a", "X--a", "X---", "X--\n", "X -", "X\0"]
        {
            let bytes = format!("a\r\n--{after}");
            check(&bytes, More::Possible, Sight::Content(bytes.len()));
            check(&bytes, More::Never, Sight::Content(bytes.len()));
        }
        for bytes in ["\n--X\r\na", "\r--X\r\na", "\r\n-X\r\na", "--X\r\na"] {
            check(bytes, More::Possible, Sight::Content(bytes.len()));
        }
    }

    #[test]
    fn only_what_may_still_become_a_line_is_held_back() {
        for end in
            ["\r", "\r\n", "\r\n-", "\r\n--", "\r\n--X", "\r\n--X-", "\r\n--X--", "\r\n--X\r"]
        {
            check(&format!("ab{end}"), More::Possible, Sight::Content(2));
        }
        check("ab\r\n--X--\r", More::Possible, Sight::Content(2));
        check("ab\r\n--X--", More::Never, Sight::Line(2, Line::Closing));
        check("ab\r\n--X-- \r", More::Never, Sight::Line(2, Line::Closing));
        check("ab\r\n--X", More::Never, Sight::Content(2));
        check("\r\r\n\r", More::Possible, Sight::Content(3));
        check("ab", More::Possible, Sight::Content(2));
        check("", More::Possible, Sight::Content(0));
    }

    #[test]
    fn blanks_after_the_boundary_are_bounded() {
        let most = " ".repeat(BOUNDARY_BLANKS_MAX);
        let opening = Line::Opening { bytes: 5 + BOUNDARY_BLANKS_MAX };
        check(&format!("\r\n--X{most}\r\n"), More::Possible, Sight::Line(0, opening));
        let held = format!("\r\n--X--{most}\r");
        check(&held, More::Possible, Sight::Content(0));
        assert_eq!(held.len(), delimiter().undecided_bytes_max());
        let more = format!("\r\n--X{most} \r\n");
        check(&more, More::Possible, Sight::Content(more.len() - 2));
    }
}
