//! What the head of one part says.
//!
//! Pure.

use super::error::FormError;
use super::parameters;
use crate::limits::PART_HEADERS_MAX;
use memchr::memchr_iter;
use percent_encoding::percent_decode_str;

/// The name of a part, and the file name if it has one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
}

impl Head {
    /// Reads a head, its empty line included.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        // `httparse` takes a bare LF for the end of a line, where another reader may go on.
        if memchr_iter(b'\n', bytes).any(|at| !bytes[..at].ends_with(b"\r")) {
            return Err(FormError::HeadMalformed);
        }
        let mut room = [httparse::EMPTY_HEADER; PART_HEADERS_MAX];
        let headers = match httparse::parse_headers(bytes, &mut room) {
            Ok(httparse::Status::Complete((length, headers))) if length == bytes.len() => headers,
            _ => return Err(FormError::HeadMalformed),
        };
        let mut head = None;
        for header in headers {
            if header.name.eq_ignore_ascii_case("content-disposition") {
                if head.replace(Self::from_disposition(header.value)?).is_some() {
                    return Err(FormError::HeadMalformed);
                }
            } else if header.name.eq_ignore_ascii_case("content-transfer-encoding") {
                check_encoding(header.value)?;
            }
        }
        head.ok_or(FormError::NotAField)
    }

    fn from_disposition(value: &[u8]) -> Result<Self, FormError> {
        let value = std::str::from_utf8(value).map_err(|_| FormError::NameNotUtf8)?;
        let (kind, parameters) = parameters::split(value);
        if !kind.eq_ignore_ascii_case("form-data") {
            return Err(FormError::NotAField);
        }
        let (mut name, mut file_name, mut extended) = (None, None, None);
        for parameter in parameters {
            let (key, value) = parameter.map_err(|_| FormError::HeadMalformed)?;
            let place = match key.to_ascii_lowercase().as_str() {
                "name" => &mut name,
                "filename" => &mut file_name,
                "filename*" => &mut extended,
                _ => continue,
            };
            // Of two names another reader might take the other one.
            if place.replace(value).is_some() {
                return Err(FormError::HeadMalformed);
            }
        }
        let name = unescape(&name.ok_or(FormError::NameMissing)?);
        let file_name = match (file_name, extended) {
            (Some(plain), _) => Some(unescape(&plain)),
            (None, Some(extended)) => Some(extended_value(&extended)?),
            (None, None) => None,
        };
        Ok(Self { name, file_name })
    }
}

/// Takes back what browsers and curl do to a name (HTML standard, "multipart form data"): these
/// three, and nothing else, not even the percent sign, are written in hexadecimal.
fn unescape(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// A value such as `UTF-8'en'a%20b` (RFC 8187), in the one character set that must be known.
fn extended_value(value: &str) -> Result<String, FormError> {
    let mut pieces = value.splitn(3, '\'');
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(charset), Some(_language), Some(text)) if charset.eq_ignore_ascii_case("utf-8") => {
            let text = percent_decode_str(text).decode_utf8();
            Ok(text.map_err(|_| FormError::NameNotUtf8)?.into_owned())
        }
        _ => Err(FormError::HeadMalformed),
    }
}

/// Lets only those encodings pass that change nothing.
fn check_encoding(value: &[u8]) -> Result<(), FormError> {
    let value = value.trim_ascii();
    let plain = [&b"binary"[..], b"7bit", b"8bit"];
    match plain.iter().any(|name| value.eq_ignore_ascii_case(name)) {
        true => Ok(()),
        false => Err(FormError::Encoded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(lines: &str) -> Result<Head, FormError> {
        Head::parse(format!("{lines}\r\n\r\n").as_bytes())
    }

    fn check(lines: &str, name: &str, file_name: Option<&str>) {
        let head = parse(lines).unwrap();
        assert_eq!((head.name.as_str(), head.file_name.as_deref()), (name, file_name), "{lines:?}");
    }

    fn check_disposition(parameters: &str, name: &str, file_name: Option<&str>) {
        check(&format!("Content-Disposition: form-data{parameters}"), name, file_name);
    }

    macro_rules! check_refused {
        ($bytes:expr, $error:pat) => {
            let bytes = $bytes;
            let head = Head::parse(bytes.as_ref());
            assert!(matches!(head, Err($error)), "{bytes:?}: {head:?}");
        };
    }

    #[test]
    fn names_are_read_as_browsers_and_curl_write_them() {
        check_disposition("; name=\"path\"", "path", None);
        check_disposition(";name=path", "path", None);
        check_disposition("; name=\"file\"; filename=\"a.png\"", "file", Some("a.png"));
        check_disposition("; filename=\"a.png\"; name=\"file\"", "file", Some("a.png"));
        check_disposition("; NAME=\"file\"; FileName=\"\"", "file", Some(""));
        check_disposition("; name=\"\"", "", None);
        check_disposition("; name=\"Grüße\"; filename=\"日本.txt\"", "Grüße", Some("日本.txt"));
        check_disposition("; name=\"a%22b%0D%0A%20%0a%25\"", "a\"b\r\n%20%0a%25", None);
        check_disposition(r#"; name="a\"b\\c"; filename="C:\d\e""#, r#"a"b\c"#, Some(r"C:\d\e"));
        check_disposition("; x=y; name=\"a; name=b\"; names=c", "a; name=b", None);
    }

    #[test]
    fn an_extended_file_name_counts_only_without_a_plain_one() {
        check_disposition("; name=f; filename*=UTF-8''a%20%C3%BC%22", "f", Some("a ü\""));
        check_disposition("; name=f; filename*=utf-8'en'it's", "f", Some("it's"));
        check_disposition("; name=f; filename*=UTF-8''a; filename=b", "f", Some("b"));
        check_disposition("; name=f; filename=b; filename*=nonsense", "f", Some("b"));
    }

    #[test]
    fn other_headers_are_passed_over() {
        check(
            "Content-Type: text/plain\r\ncontent-disposition: Form-Data; name=a\r\nX: y",
            "a",
            None,
        );
        for encoding in ["binary", "8BIT", " 7bit "] {
            let lines = format!(
                "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: {encoding}"
            );
            check(&lines, "a", None);
        }
    }

    #[test]
    fn a_head_that_is_no_form_field_is_refused_with_its_reason() {
        check_refused!("\r\n", FormError::NotAField);
        check_refused!("Content-Type: text/plain\r\n\r\n", FormError::NotAField);
        check_refused!("Content-Disposition: file; name=a\r\n\r\n", FormError::NotAField);
        check_refused!("Content-Disposition: form-data\r\n\r\n", FormError::NameMissing);
        check_refused!(
            "Content-Disposition: form-data; filename=a\r\n\r\n",
            FormError::NameMissing
        );
        check_refused!(
            b"Content-Disposition: form-data; name=\"\xff\"\r\n\r\n",
            FormError::NameNotUtf8
        );
        check_refused!(
            "Content-Disposition: form-data; name=a; filename*=UTF-8''%FF\r\n\r\n",
            FormError::NameNotUtf8
        );
        for encoding in ["base64", "quoted-printable", "", "binary, base64"] {
            check_refused!(
                format!(
                    "Content-Disposition: form-data; name=a\r\n\
                     Content-Transfer-Encoding: {encoding}\r\n\r\n"
                ),
                FormError::Encoded
            );
        }
    }

    #[test]
    fn a_head_that_two_readers_could_read_in_two_ways_is_refused() {
        let field = "Content-Disposition: form-data; name=a";
        for lines in [
            format!("{field}\r\n{field}"),
            format!("{field}; name=b"),
            format!("{field}; filename=b; filename=c"),
            format!("{field}; filename*=b"),
            format!("{field}; filename*=ISO-8859-1''b"),
            format!("{field}; \"b\""),
            format!("{field}\n\nb"),
            format!("{field}\nX: y"),
            format!("X: y\n{field}"),
            format!("{field};\r\n name=b"),
            format!("{field}\rX: y"),
            format!("{field}\0"),
            format!(" {field}"),
            format!("{field}\r\nno colon"),
            format!("{field}\r\nX : y"),
            format!("{field}{}", "\r\nX: y".repeat(PART_HEADERS_MAX)),
        ] {
            check_refused!(format!("{lines}\r\n\r\n"), FormError::HeadMalformed);
        }
        check(&format!("{field}{}", "\r\nX: y".repeat(PART_HEADERS_MAX - 1)), "a", None);
    }

    proptest! {
        #[test]
        fn every_name_survives_the_way_browsers_write_it(name in "[a-z\\\\\"\r\n;=ü ]{0,20}[a-z]") {
            prop_assume!(!name.contains("\\\\") && !name.contains("\\\""));
            let written =
                name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
            let head = parse(&format!("Content-Disposition: form-data; name=\"{written}\"")).unwrap();
            prop_assert_eq!(head.name, name);
        }

        #[test]
        fn no_bytes_make_the_head_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Head::parse(&bytes);
            let _ = Head::parse(&[b"Content-Disposition: form-data;", &bytes[..], b"\r\n\r\n"].concat());
        }
    }
}
