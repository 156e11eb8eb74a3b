//! Where the bucket is: from region, endpoint and names to the URL of a request.
//!
//! Pure. Unless told otherwise, AWS is reached by the bucket's own host name, everything else by
//! path: that works for every S3 server, and without a name in the DNS for each bucket.

use s3::Region;
use s3::signing::uri_encode;
use url::{Host, Url};

/// One bucket's place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: Region,
    /// The URL of the bucket, without a slash at its end.
    base: String,
    /// Value of the `Host` header.
    pub(super) host: String,
}

/// What is wrong with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("the bucket's name is not one: letters, digits, '.', '-' and '_' are allowed")]
    Bucket,
    #[error("the endpoint is not a URL such as https://s3.example.org or http://10.0.0.5:9000")]
    Endpoint,
    #[error("the endpoint is an IP address, before which no bucket can be named")]
    Address,
    #[error("the region is not known, and no endpoint is given")]
    Region,
    #[error("the region's name is not one: letters, digits and '-' are allowed")]
    RegionName,
}

impl Place {
    pub(super) fn new(
        endpoint: Option<&str>,
        region: &str,
        bucket: &str,
        path_style: Option<bool>,
    ) -> Result<Self, PlaceError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(plain) || bucket.bytes().all(|b| b == b'.') {
            return Err(PlaceError::Bucket);
        }
        if region.is_empty() || !region.bytes().all(plain) {
            return Err(PlaceError::RegionName);
        }
        let (region, endpoint, by_path) = match endpoint {
            Some(endpoint) => {
                let endpoint = normal(endpoint).ok_or(PlaceError::Endpoint)?;
                let region =
                    Region::Custom { region: region.to_owned(), endpoint: endpoint.clone() };
                (region, endpoint, true)
            }
            None => {
                let region: Region = region.parse().map_err(|_| PlaceError::Region)?;
                if matches!(region, Region::Custom { .. }) {
                    return Err(PlaceError::Region);
                }
                let endpoint = format!("https://{}", region.endpoint());
                // A certificate for `*.s3.amazonaws.com` does not cover a name with more dots.
                (region, endpoint, bucket.contains('.'))
            }
        };
        let base = match path_style.unwrap_or(by_path) {
            true => format!("{endpoint}/{bucket}"),
            false => before(&endpoint, bucket)?,
        };
        let host = host_of(&base).ok_or(PlaceError::Endpoint)?;
        Ok(Self { region, base, host })
    }

    /// Whether nobody between us and the store can change what is sent: TLS sees to that, or there
    /// is nobody between.
    pub(super) fn is_safe(&self) -> bool {
        let Ok(url) = Url::parse(&self.base) else { return false };
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        url.scheme() == "https" || loopback
    }

    /// The URL of an object, or of the bucket, with query parameters.
    pub(super) fn url(&self, key: Option<&str>, query: &[(&str, &str)]) -> String {
        // The same encoding as in the signature: what is not a letter, a digit or one of `-._~` is
        // escaped, so that `%2F` in a name stays these three characters.
        let mut url = match key {
            Some(key) => format!("{}/{}", self.base, uri_encode(key, false)),
            None => format!("{}/", self.base),
        };
        for (number, (name, value)) in query.iter().enumerate() {
            url.push(if number == 0 { '?' } else { '&' });
            url += &format!("{}={}", uri_encode(name, true), uri_encode(value, true));
        }
        url
    }
}

/// An endpoint as `Url` writes it, without a slash at its end: what is sent is what was signed.
fn normal(endpoint: &str) -> Option<String> {
    let url = Url::parse(endpoint).ok()?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    bare.then(|| url.as_str().trim_end_matches('/').to_owned())
}

/// The endpoint with the bucket's name before its host.
fn before(endpoint: &str, bucket: &str) -> Result<String, PlaceError> {
    let mut url = Url::parse(endpoint).map_err(|_| PlaceError::Endpoint)?;
    let host = url.domain().ok_or(PlaceError::Address)?;
    let host = format!("{bucket}.{host}");
    url.set_host(Some(&host)).map_err(|_| PlaceError::Bucket)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Host and, unless it is the scheme's own, port.
fn host_of(base: &str) -> Option<String> {
    let url = Url::parse(base).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        endpoint: Option<&str>,
        region: &str,
        bucket: &str,
        expected: Result<&str, PlaceError>,
    ) {
        check_style(None, endpoint, region, bucket, expected);
    }

    #[track_caller]
    fn check_style(
        path_style: Option<bool>,
        endpoint: Option<&str>,
        region: &str,
        bucket: &str,
        expected: Result<&str, PlaceError>,
    ) {
        let place = Place::new(endpoint, region, bucket, path_style);
        let url = place.map(|place| format!("{} {}", place.host, place.url(Some("a"), &[])));
        assert_eq!(url, expected.map(str::to_owned));
    }

    #[test]
    fn aws_is_reached_by_the_buckets_name_and_anything_else_by_path() {
        check(
            None,
            "eu-central-1",
            "bucket",
            Ok("bucket.s3.eu-central-1.amazonaws.com \
                https://bucket.s3.eu-central-1.amazonaws.com/a"),
        );
        check(
            None,
            "eu-central-1",
            "with.dots",
            Ok("s3.eu-central-1.amazonaws.com https://s3.eu-central-1.amazonaws.com/with.dots/a"),
        );
        check(
            Some("http://127.0.0.1:9000"),
            "garage",
            "bucket",
            Ok("127.0.0.1:9000 http://127.0.0.1:9000/bucket/a"),
        );
        check(
            Some("https://s3.example.org/"),
            "x",
            "bucket",
            Ok("s3.example.org https://s3.example.org/bucket/a"),
        );
        check(Some("http://Host:80"), "x", "bucket", Ok("host http://host/bucket/a"));
        check(
            Some("https://example.org/storage/s3"),
            "x",
            "bucket",
            Ok("example.org https://example.org/storage/s3/bucket/a"),
        );
    }

    #[test]
    fn the_way_to_a_store_is_safe_within_tls_and_on_this_machine() {
        for (endpoint, safe) in [
            (None, true),
            (Some("https://s3.example.org"), true),
            (Some("http://127.0.0.1:3900"), true),
            (Some("http://[::1]:3900"), true),
            (Some("http://10.0.0.5:9000"), false),
            (Some("http://s3.example.org"), false),
            // A name can mean any machine.
            (Some("http://localhost:9000"), false),
        ] {
            let place = Place::new(endpoint, "eu-central-1", "bucket", None).unwrap();
            assert_eq!(place.is_safe(), safe, "{endpoint:?}");
        }
    }

    #[test]
    fn where_the_bucket_is_named_can_be_said_for_any_endpoint() {
        let aws = "s3.eu-central-1.amazonaws.com";
        let by_path = |bucket| format!("{aws} https://{aws}/{bucket}/a");
        let by_host = |bucket| format!("{bucket}.{aws} https://{bucket}.{aws}/a");
        for bucket in ["bucket", "with.dots"] {
            for (path_style, expected) in [(true, by_path(bucket)), (false, by_host(bucket))] {
                check_style(Some(path_style), None, "eu-central-1", bucket, Ok(&expected));
            }
        }
        for (path_style, endpoint, expected) in [
            (true, "https://h", "h https://h/b/a"),
            (false, "https://h", "b.h https://b.h/a"),
            (false, "http://h:9000/", "b.h:9000 http://b.h:9000/a"),
            (false, "https://h/storage/s3/", "b.h https://b.h/storage/s3/a"),
        ] {
            check_style(Some(path_style), Some(endpoint), "x", "b", Ok(expected));
        }
        for address in ["http://127.0.0.1:9000", "https://[::1]"] {
            check_style(Some(false), Some(address), "x", "b", Err(PlaceError::Address));
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        check(None, "eu-centra-1", "bucket", Err(PlaceError::Region));
        check(None, "", "bucket", Err(PlaceError::RegionName));
        check(None, "a/b", "bucket", Err(PlaceError::RegionName));
        for bucket in ["", "a/b", "a b", "ü", "..", "a?b"] {
            check(Some("http://h"), "x", bucket, Err(PlaceError::Bucket));
        }
        for endpoint in
            ["", "h", "h:9000", "ftp://h", "http://", "http://u:p@h", "http://h/?a", "http://h#a"]
        {
            check(Some(endpoint), "x", "bucket", Err(PlaceError::Endpoint));
        }
    }

    #[test]
    fn every_byte_of_a_key_survives_the_url() {
        let place = Place::new(Some("http://h"), "x", "b", None).unwrap();
        for (key, url) in [
            ("a/b c", "http://h/b/a/b%20c"),
            ("ü+%#?&=", "http://h/b/%C3%BC%2B%25%23%3F%26%3D"),
            ("~-._", "http://h/b/~-._"),
            ("%2F", "http://h/b/%252F"),
            ("%2e%2e/x", "http://h/b/%252e%252e/x"),
            ("('!*')", "http://h/b/%28%27%21%2A%27%29"),
        ] {
            assert_eq!(place.url(Some(key), &[]), url);
            // Signing reads the path back out of the URL.
            let parsed = Url::parse(url).unwrap();
            assert_eq!(format!("http://h{}", s3::signing::canonical_uri_string(&parsed)), url);
        }
        let query = [("uploads", ""), ("uploadId", "a+b/c=&d")];
        assert_eq!(place.url(None, &query), "http://h/b/?uploads=&uploadId=a%2Bb%2Fc%3D%26d");
    }
}
