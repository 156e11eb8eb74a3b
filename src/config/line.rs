//! Finds the line a key of a YAML text stands on.
//!
//! Pure. `serde_yaml` keeps no positions in its values, but it puts one on every error. So the text
//! is read again by a visitor that knows the way to the key and fails exactly there. This runs only
//! when there is a problem to report.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// One step from a YAML value into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The path as people write it: `clients[1].api_key`.
pub(super) fn name(path: &[Step]) -> String {
    let mut name = String::new();
    for step in path {
        match step {
            Step::Key(key) if name.is_empty() => name.push_str(key),
            Step::Key(key) => name.extend([".", key]),
            Step::Index(index) => name.push_str(&format!("[{index}]")),
        }
    }
    name
}

/// The line of what `path` leads to, counted from 1. For a key that is not there, the line of the
/// nearest list entry or group around it; `None` if that is the whole file.
pub(super) fn line_of(text: &str, path: &[Step]) -> Option<usize> {
    (1..=path.len()).rev().find_map(|length| {
        let error = Seek(&path[..length]).deserialize(serde_yaml::Deserializer::from_str(text));
        let error = error.err()?;
        error.to_string().contains(FOUND).then_some(error.location()?.line())
    })
}

const FOUND: &str = "s3up: the key is here";

/// Walks along the path and fails at its end.
#[derive(Clone, Copy)]
struct Seek<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { FOUND } else { "something else" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Err(A::Error::custom(FOUND)) };
        while let Some(found) = map.next_key_seed(Key { step, last: rest.is_empty() })? {
            if found {
                return map.next_value_seed(Seek(rest));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Err(A::Error::custom(FOUND)) };
        let mut index = 0;
        loop {
            if *step == Step::Index(index) {
                seq.next_element_seed(Seek(rest))?;
                return Ok(());
            }
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }
}

/// Reads one key of a map: is it the next step? Fails if it is the last one.
struct Key<'p> {
    step: &'p Step,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text as key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let found = matches!(self.step, Step::Key(wanted) if wanted == key);
        if found && self.last { Err(E::custom(FOUND)) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    fn check(path: &[Step], line: Option<usize>) {
        let text =
            "a: 1\nb:\n  c: x\n\n  d:\n    - e: 1\n      f: 2\n    - e: 3\n    - 7\ng: {h: 1}\n";
        assert_eq!(line_of(text, path), line, "{}", name(path));
    }

    #[test]
    fn a_key_is_found_on_its_own_line() {
        check(&[key("a")], Some(1));
        check(&[key("b")], Some(2));
        check(&[key("b"), key("c")], Some(3));
        check(&[key("b"), key("d")], Some(5));
        check(&[key("b"), key("d"), Step::Index(0), key("f")], Some(7));
        check(&[key("b"), key("d"), Step::Index(1), key("e")], Some(8));
        check(&[key("b"), key("d"), Step::Index(1)], Some(8));
        check(&[key("g"), key("h")], Some(10));
    }

    #[test]
    fn a_key_that_is_absent_is_reported_where_it_is_missed() {
        check(&[key("z")], None);
        check(&[key("b"), key("z")], Some(2));
        check(&[key("b"), key("d"), Step::Index(1), key("z")], Some(8));
        check(&[key("a"), key("z")], Some(1));
    }
}
