//! Why files are parked, counted by what their reasons have in common.
//!
//! Pure. Holds a bounded number of texts, however many files there are.

use crate::limits::daily::REASONS_COUNTED_MAX;
use crate::wire::report::{Parked, ParkedFor, Reason};
use std::collections::HashMap;

/// What stands where reasons differ.
const ANY: char = '…';

/// So many hexadecimal digits in a row are a digest, which is another one for each file.
const DIGEST_DIGITS: usize = 32;

/// Counts reasons; see the module's head.
#[derive(Debug, Default)]
pub struct Reasons {
    counts: HashMap<Reason, u64>,
    /// Those that found no room.
    others: u64,
    total: u64,
    /// The one before: files side by side are often parked for the same reason.
    last: Option<(String, Reason)>,
}

impl Reasons {
    /// Takes in the reason of one more file.
    pub fn add(&mut self, reason: &str) {
        self.total += 1;
        let kind = match &self.last {
            Some((text, kind)) if text == reason => kind.clone(),
            _ => Reason::new(&common(reason)),
        };
        let full = self.counts.len() >= REASONS_COUNTED_MAX;
        match self.counts.get_mut(&kind) {
            Some(count) => *count += 1,
            None if full => self.others += 1,
            None => {
                self.counts.insert(kind.clone(), 1);
            }
        }
        self.last = Some((reason.to_owned(), kind));
    }

    /// How many there are, and those that most files have, the most frequent first.
    pub fn into_parked(self) -> Parked {
        let mut counts: Vec<(Reason, u64)> = self.counts.into_iter().collect();
        if self.others > 0 {
            counts.push((Reason::new("for one of many other reasons"), self.others));
        }
        counts.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
        let reasons = counts.into_iter().map(|(reason, count)| ParkedFor { reason, count });
        Parked { count: self.total, reasons: reasons.collect() }
    }
}

/// A reason without what is this file's alone: texts in quotation marks, which are names, and digests.
fn common(reason: &str) -> String {
    let mut common = String::with_capacity(reason.len());
    let mut rest = reason;
    // Once one does not end, no other is looked for: that would be as many searches as there are marks.
    let mut ends = true;
    while let Some(character) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let quoted = if character == '"' && ends { quoted_length(rest) } else { None };
        ends &= character != '"' || quoted.is_some();
        let (kept, taken) = match quoted {
            Some(length) => (None, length),
            None if digits >= DIGEST_DIGITS => (None, digits),
            None if digits > 0 => (Some(&rest[..digits]), digits),
            None => (Some(&rest[..character.len_utf8()]), character.len_utf8()),
        };
        match kept {
            Some(text) => common.push_str(text),
            None => common.push(ANY),
        }
        rest = &rest[taken..];
    }
    common
}

/// The length of the text in quotation marks that `text` begins with, both marks included; none if it
/// does not end.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::report::REASONS_MAX;
    use proptest::prelude::*;

    #[test]
    fn what_is_one_files_alone_does_not_tell_reasons_apart() {
        let digest = "0123456789abcdef".repeat(4);
        for (reason, expected) in [
            ("", ""),
            ("cannot open it: Permission denied (os error 13)", ""),
            (r#"watched folder "/srv/a \" b\\": gone; hint"#, "watched folder …: gone; hint"),
            (r#"two "ä" and "b""#, "two … and …"),
            (r#"an open end "ab \""#, ""),
            (
                &format!("confirms 5 bytes with SHA-256 {digest}."),
                "confirms 5 bytes with SHA-256 ….",
            ),
            (&format!("too short: {}", &digest[..31]), ""),
        ] {
            let expected = if expected.is_empty() { reason } else { expected };
            assert_eq!(common(reason), expected);
        }
    }

    #[test]
    fn the_most_frequent_reasons_come_first() {
        let mut reasons = Reasons::default();
        for name in ["a", "b", "c"] {
            reasons.add("too large");
            reasons.add(&format!("no such {name:?}"));
            reasons.add("no such \"d\"");
            reasons.add("alone");
            reasons.add("alone");
            reasons.add("alone");
        }
        let parked = reasons.into_parked();
        let told: Vec<(&str, u64)> = parked.reasons.iter().map(|p| (&*p.reason, p.count)).collect();
        assert_eq!(told, [("alone", 9), ("no such …", 6), ("too large", 3)]);
        assert_eq!(parked.count, 18);
    }

    #[test]
    fn a_million_reasons_take_the_room_of_a_thousand() {
        let mut reasons = Reasons::default();
        let many = 3 * REASONS_COUNTED_MAX as u64;
        for number in 0..many {
            reasons.add(&format!("reason {number}"));
        }
        assert_eq!(reasons.counts.len(), REASONS_COUNTED_MAX);
        let parked = reasons.into_parked();
        assert_eq!((parked.count, parked.reasons.len()), (many, REASONS_MAX));
        assert_eq!(&*parked.reasons[0].reason, "for one of many other reasons");
        assert_eq!(parked.reasons[0].count, many - REASONS_COUNTED_MAX as u64);
    }

    proptest! {
        #[test]
        fn any_text_has_something_in_common(text in "\\PC{0,60}|[\"\\\\a0ä]{0,80}") {
            let once = common(&text);
            prop_assert!(once.chars().count() <= text.chars().count());
            prop_assert_eq!(common(&format!("{:?}", text)), "…");
        }
    }
}
