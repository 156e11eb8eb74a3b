//! Texts and lists that the other side may fill with anything: cut to a bound as they are read.
//!
//! Pure. What is in here can go to a terminal, a page or a log as it is, but for each one's own
//! quoting.

use crate::shown;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// What stands where a text was cut off.
const CUT: &str = "…";

/// One line of at most `MOST` bytes, in which everything shows: control characters, and those that
/// turn the direction of writing, are spelled out. Made from any text; what is too long ends in `…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<const MOST: usize>(String);

impl<const MOST: usize> Text<MOST> {
    /// As much of `text` as fits.
    pub fn new(text: &str) -> Self {
        const { assert!(MOST >= CUT.len()) };
        let mut line = String::new();
        // As far as it may be kept if the rest does not fit.
        let mut kept = 0;
        let mut one = [0; 4];
        for character in text.chars() {
            line.push_str(&shown::visible(character.encode_utf8(&mut one)));
            if line.len() > MOST {
                line.truncate(kept);
                line.push_str(CUT);
                return Self(line);
            }
            if line.len() + CUT.len() <= MOST {
                kept = line.len();
            }
        }
        Self(line)
    }
}

impl<const MOST: usize> Deref for Text<MOST> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MOST: usize> fmt::Display for Text<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const MOST: usize> From<&str> for Text<MOST> {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Text<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

/// A list of at most `MOST`: the first ones. Read from a longer one, it leaves out the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Few<T, const MOST: usize>(Vec<T>);

impl<T, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MOST: usize> Deref for Few<T, MOST> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MOST: usize> FromIterator<T> for Few<T, MOST> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        Self(all.into_iter().take(MOST).collect())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FirstOnes(PhantomData))
    }
}

struct FirstOnes<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for FirstOnes<T, MOST> {
    type Value = Few<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while first.len() < MOST {
            match all.next_element()? {
                Some(element) => first.push(element),
                None => return Ok(Few(first)),
            }
        }
        while all.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Few(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_cut_where_a_character_ends() {
        for (text, kept) in [
            ("", ""),
            ("0123456789", "0123456789"),
            ("0123456789a", "0123456…"),
            ("012345äöü", "012345…"),
            ("a\nb", "a\\nb"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("\u{1b}[31;1m", "\\u{1b}[…"),
            ("abcd\u{1b}", "abcd\\u{1b}"),
            ("abcde\u{1b}", "abcde…"),
            ("<b>&\"'", "<b>&\"'"),
        ] {
            assert_eq!(&*Text::<10>::new(text), kept, "{text:?}");
        }
    }

    #[test]
    fn a_list_keeps_its_first_ones_and_reads_past_the_rest() {
        let read = |json: &str| serde_json::from_str::<(Few<u8, 2>, u8)>(json);
        for (json, kept) in [
            ("[[], 9]", &[][..]),
            ("[[1], 9]", &[1]),
            ("[[1, 2], 9]", &[1, 2]),
            (r#"[[1, 2, 3, "x", {"a": [4]}], 9]"#, &[1, 2]),
        ] {
            let (list, after) = read(json).unwrap();
            assert_eq!((&*list, after), (kept, 9), "{json}");
        }
        assert!(read(r#"[["x"], 9]"#).is_err());
        assert!(read(r#"[7, 9]"#).is_err());
        assert_eq!(&*(1..9).collect::<Few<u8, 2>>(), [1, 2]);
    }

    proptest! {
        #[test]
        fn every_text_becomes_one_line_that_stays_as_it_is(text in "\\PC*|.*|[\\x00-\\x20ä\u{202e}]*") {
            let line = Text::<40>::new(&text);
            prop_assert!(line.len() <= 40);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(&Text::<40>::new(&line), &line);
            let json = serde_json::to_string(&line).unwrap();
            prop_assert_eq!(serde_json::from_str::<Text<40>>(&json).unwrap(), line);
        }
    }
}
