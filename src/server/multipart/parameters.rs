//! The `; name=value` list of a `Content-Type` or `Content-Disposition` header.
//!
//! Pure.

/// Walks over a list of parameters, the text after the first semicolon. Ends after an error.
pub(super) struct Parameters<'t>(&'t str);

/// A text that is no list of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Splits a header's value into what stands before the first semicolon and the parameters.
pub(super) fn split(header: &str) -> (&str, Parameters<'_>) {
    let (kind, rest) = header.split_once(';').unwrap_or((header, ""));
    (kind.trim_matches(BLANKS), Parameters(rest))
}

const BLANKS: [char; 2] = [' ', '\t'];

impl<'t> Iterator for Parameters<'t> {
    type Item = Result<(&'t str, String), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // A semicolon too many is harmless and seen in the wild.
        let list = self.0.trim_start_matches([' ', '\t', ';']);
        self.0 = "";
        if list.is_empty() {
            return None;
        }
        Some(parameter(list).ok_or(Malformed).map(|(name, value, rest)| {
            self.0 = rest;
            (name, value)
        }))
    }
}

/// Name and value of the first parameter, and what follows it.
fn parameter(list: &str) -> Option<(&str, String, &str)> {
    let (name, text) = list.split_once('=')?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    let (value, rest) = match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => bare(text)?,
    };
    let rest = rest.trim_start_matches(BLANKS);
    (rest.is_empty() || rest.starts_with(';')).then_some((name, value, rest))
}

/// A value without quotes. Clients put characters there that ought to be quoted, such as `/` or
/// `=` in a boundary; they are clear enough.
fn bare(text: &str) -> Option<(String, &str)> {
    let end = text.find([' ', '\t', ';']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    (!value.is_empty() && !value.contains('"')).then(|| (value.to_owned(), rest))
}

/// A value whose opening quote is already taken off. A backslash escapes a quote or a backslash;
/// in front of anything else it is itself, because browsers and curl send it as it is.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some((value, characters.as_str())),
            '\\' if characters.as_str().starts_with(['"', '\\']) => value.extend(characters.next()),
            _ => value.push(character),
        }
    }
    None
}

/// Whether RFC 9110 allows the byte in a token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(header: &str, kind: &str, expected: &[(&str, &str)]) {
        let (found, parameters) = split(header);
        assert_eq!(found, kind, "{header:?}");
        let parameters: Vec<_> = parameters.map(Result::unwrap).collect();
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(parameters, expected, "{header:?}");
    }

    #[test]
    fn values_come_quoted_or_bare_with_blanks_between_the_parameters() {
        check("x", "x", &[]);
        check(" x ;", "x", &[]);
        check("x;a=b", "x", &[("a", "b")]);
        check("x ; a=b\t;; c=\"d;e\" ;", "x", &[("a", "b"), ("c", "d;e")]);
        check("x; a=\"\"; b*=UTF-8''%41", "x", &[("a", ""), ("b*", "UTF-8''%41")]);
        check("x; a==/?:=", "x", &[("a", "=/?:=")]);
    }

    #[test]
    fn a_backslash_escapes_quotes_and_backslashes_and_is_itself_otherwise() {
        check(r#"x; a="b\"c\\d\e\"; f=g""#, "x", &[("a", r#"b"c\d\e"; f=g"#)]);
        check(r#"x; a="C:\Users\ü.txt""#, "x", &[("a", r"C:\Users\ü.txt")]);
    }

    #[test]
    fn anything_else_is_malformed_and_ends_the_list() {
        for bad in [
            "x; a",
            "x; =b",
            "x; a=",
            "x; a =b",
            "x; a= b",
            "x; a=b c",
            "x; a=b\"c",
            "x; a=\"b",
            "x; a=\"b\"c",
            "x; a=\"b\\\"",
            "x; ü=b",
            "x; \"a\"=b",
        ] {
            let parameters: Vec<_> = split(bad).1.collect();
            assert_eq!(parameters, [Err(Malformed)], "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_escaped_is_read_back(value in "[a\\\\\";= ü]{0,20}") {
            let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
            let header = format!("x; a=\"{escaped}\"; b=c");
            let parameters: Vec<_> = split(&header).1.collect();
            prop_assert_eq!(parameters, [Ok(("a", value)), Ok(("b", "c".to_owned()))]);
        }

        #[test]
        fn no_text_makes_the_list_panic_or_go_on_for_ever(text in "[a=;\"\\\\ ü\0]{0,40}") {
            prop_assert!(split(&text).1.count() <= text.len());
        }
    }
}
