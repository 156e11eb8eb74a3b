//! Names in the store's lists.
//!
//! Pure. Lists are asked for with `encoding-type=url`: XML cannot hold every character of a key,
//! and its readers drop blanks at the ends. A store that does not know this leaves the names as they
//! are and `EncodingType` out.

use percent_encoding::percent_decode_str;

/// The parameter that asks for names in this form.
pub(super) const ENCODED: (&str, &str) = ("encoding-type", "url");

/// A name as a list has it, in plain; `None` if it is not UTF-8, and so none of ours. `encoding` is
/// the list's `EncodingType`. Some stores write a blank as `+`, others as `%20`; a plus is `%2B`.
pub(super) fn decode(name: &str, encoding: Option<&str>) -> Option<String> {
    if encoding != Some("url") {
        return Some(name.to_owned());
    }
    let blanks = name.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8().ok().map(|name| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use s3::signing::uri_encode;

    #[test]
    fn a_name_is_decoded_if_the_list_says_that_it_is_encoded() {
        for (name, plain) in [
            ("backups/web/a", Some("backups/web/a")),
            ("backups%2Fweb%2Fa", Some("backups/web/a")),
            ("a+b%20c%2Bd", Some("a b c+d")),
            ("%C3%BC", Some("ü")),
            ("%252F", Some("%2F")),
            ("100%", Some("100%")),
            ("%FF", None),
        ] {
            assert_eq!(decode(name, Some("url")).as_deref(), plain, "{name}");
            assert_eq!(decode(name, None).as_deref(), Some(name));
            assert_eq!(decode(name, Some("other")).as_deref(), Some(name));
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_both_ways_of_writing_it(name: String) {
            let escaped = uri_encode(&name, true);
            prop_assert_eq!(decode(&escaped, Some("url")), Some(name.clone()));
            prop_assert_eq!(decode(&escaped.replace("%20", "+"), Some("url")), Some(name));
        }
    }
}
