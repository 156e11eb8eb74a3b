//! The type of a file, by the end of its name: what browsers and S3's own tools go by when somebody
//! looks at the bucket without us.
//!
//! Pure. Our own answers never repeat it: a file that a stolen key brought in must not become a page
//! of ours.

use mime_infer::from_path;

/// What is said of a file of which nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// The type of the file at `key`.
pub(super) fn of(key: &str) -> &'static str {
    from_path(key).first_raw().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_says_the_type_in_any_case_of_letters() {
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        for (key, expected) in [
            ("backups/web/uploads/1/avatar.png", "image/png"),
            ("a/PHOTO.JPG", "image/jpeg"),
            ("a/page.html", "text/html"),
            ("a/app.js", "text/javascript"),
            ("a/site.tar.gz", "application/gzip"),
            ("a/letter.docx", docx),
            ("a/über uns.pdf", "application/pdf"),
            ("a/.env", UNKNOWN),
            ("a/.html", UNKNOWN),
            ("a/README", UNKNOWN),
            ("a.png/README", UNKNOWN),
            ("a/b.", UNKNOWN),
            ("a/b.no-such-extension", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(of(key), expected, "{key}");
        }
    }
}
