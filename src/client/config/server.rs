//! The server's part of `client.yaml`: where it is, how it is known, and this host's key.
//!
//! Pure, as the whole configuration is.

use super::absolute_path;
use crate::client::tls::Trust;
use crate::config::Section;
use crate::pin::Pin;
use crate::secret::Secret;
use url::{Host, Url};

/// The server and this host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The base address, without a slash at its end.
    pub url: String,
    /// How the server is known; of no use if `url` begins with `http://`.
    pub trust: Trust,
    /// This host's key.
    pub api_key: Secret,
}

/// Reads the section `server`.
pub(super) fn read(section: &Section<'_>) -> Option<Server> {
    let plaintext = section.flag("allow_plaintext", false);
    let url = section.required("url", |text| server_url(text, plaintext.unwrap_or(true)));
    let trust = trust(section, url.as_deref());
    let api_key = section.secret_or_file("api_key", Secret::api_key);
    plaintext?;
    Some(Server { url: url?, trust: trust?, api_key: api_key? })
}

fn server_url(text: &str, plaintext: bool) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("is not an address ({error}); such as https://backup.example.com:8080 is expected")
    })?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback || plaintext => {}
        "http" => {
            return Err("would send files and key unencrypted; use https://, or set \
                        server.allow_plaintext: true if the way there is safe"
                .into());
        }
        _ => return Err("must begin with https://".into()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name; the key goes to server.api_key".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end with the host, port or path; no '?' or '#'".into());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// There is one way to know a server. Two would leave open which of them counts.
fn trust(section: &Section<'_>, url: Option<&str>) -> Option<Trust> {
    let ca_file = section.optional("ca_file", absolute_path);
    let pins = section.texts("certificate_sha256", str::parse::<Pin>);
    let given = ["ca_file", "certificate_sha256"].into_iter().filter(|key| section.has(key));
    if url.is_some_and(|url| url.starts_with("http:")) {
        for key in given {
            section.problem(key, "has no use without TLS, and server.url begins with http://");
        }
        return Some(Trust::System);
    }
    if given.count() == 2 {
        section.problem(
            "certificate_sha256",
            "stands beside server.ca_file; the server is known by one of them: take the other out",
        );
        return None;
    }
    match (ca_file?, pins?) {
        (Some(path), _) => Some(Trust::CaFile(path)),
        (None, pins) if !pins.is_empty() => Some(Trust::Pins(pins)),
        (None, _) if section.has("certificate_sha256") => {
            section
                .problem("certificate_sha256", "is an empty list; one digest at least is needed");
            None
        }
        (None, _) => Some(Trust::System),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Outside};

    const A: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    const B: &str = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:\
                     B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";

    fn check(rest: &str, expected: &str) {
        let text = format!("api_key: 0123456789abcdef\n{rest}");
        let shown = match config::parse("client.yaml", &text, Outside::NOTHING, read) {
            Ok(server) => format!("{:?}", server.trust),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "\n{text}");
    }

    #[test]
    fn plain_http_needs_a_loopback_address_or_the_operators_word() {
        let url = |text: &str, plaintext| server_url(text, plaintext).is_ok();
        for safe in
            ["https://a.example", "http://127.0.0.1:8080", "http://[::1]/", "http://localhost"]
        {
            assert!(url(safe, false), "{safe}");
        }
        for unsafe_url in ["http://a.example", "http://10.0.0.1", "http://localhost.evil.example"] {
            assert!(!url(unsafe_url, false) && url(unsafe_url, true), "{unsafe_url}");
        }
        for wrong in ["", "a.example", "https://", "https://u:p@a.example", "https://a/?x", "//a"] {
            assert!(!url(wrong, true), "{wrong}");
        }
        assert_eq!(server_url("https://a.example/x/", false).unwrap(), "https://a.example/x");
    }

    #[test]
    fn a_server_is_known_by_the_systems_cas_or_a_file_of_cas_or_pins() {
        let https = |rest: &str| format!("url: https://a\n{rest}");
        check(&https(""), "System");
        check(&https("ca_file: /etc/s3up//ca.pem"), "CaFile(\"/etc/s3up/ca.pem\")");
        check(&https(&format!("certificate_sha256: '{B}'")), &format!("Pins([Pin({B})])"));
        let zero = format!("{}00", "00:".repeat(31));
        check(
            &https(&format!("certificate_sha256:\n  - '{A}'\n  - {B}")),
            &format!("Pins([Pin({zero}), Pin({B})])"),
        );
        check("url: http://localhost", "System");
    }

    #[test]
    fn what_would_leave_open_how_the_server_is_known_is_refused() {
        let line = |number: u32, rest: &str| format!("client.yaml:{number}: {rest}");
        let useless = "has no use without TLS, and server.url begins with http://";
        check(
            &format!("url: http://localhost\nca_file: /a\ncertificate_sha256: '{A}'"),
            &format!(
                "{}\n{}",
                line(3, &format!("ca_file: {useless}")),
                line(4, &format!("certificate_sha256: {useless}"))
            ),
        );
        check(
            &format!("url: https://a\nca_file: /a\ncertificate_sha256: '{A}'"),
            &line(
                4,
                "certificate_sha256: stands beside server.ca_file; the server is known by one of \
                 them: take the other out",
            ),
        );
        check(
            "url: https://a\ncertificate_sha256: []",
            &line(3, "certificate_sha256: is an empty list; one digest at least is needed"),
        );
        check(
            "url: https://a\nca_file: ca.pem",
            &line(3, "ca_file: \"ca.pem\": is not an absolute path"),
        );
        check(
            &format!("url: https://a\ncertificate_sha256:\n  - {B}\n  - abc"),
            &line(
                5,
                "certificate_sha256[1]: \"abc\": is not a certificate's SHA-256: 64 hexadecimal \
                 digits are expected, with or without a colon after every two, as `openssl x509 \
                 -noout -fingerprint -sha256 -in cert.pem` prints them",
            ),
        );
    }
}
