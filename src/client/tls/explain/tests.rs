//! The specification of the explanations.

use super::*;
use rustls::{ExtendedKeyPurpose, PeerMisbehaved};
use std::sync::Arc;
use std::time::Duration;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn wrapped(inner: impl std::error::Error + Send + Sync + 'static) -> CertificateError {
    CertificateError::Other(OtherError(Arc::new(inner)))
}

fn invalid(error: CertificateError) -> Error {
    let cause = Cause::Invalid { error: error.into(), issuers: "THESE".to_owned() };
    wrapped(Refused { shown: Pin::of(b"abc"), cause }).into()
}

fn check(error: Error, what: &str, hint: &str) {
    let Explanation { what: happened, hint: help } = explain(&error);
    // The fingerprint itself is the specification of `pin`.
    let happened = happened.replace(&Pin::of(b"abc").to_string(), "ABC");
    assert_eq!(happened, what);
    assert!(help.contains(hint), "{help}");
    let shown = explain(&error).to_string();
    assert!(!shown.contains('\n') && shown.chars().count() < 600, "a line of the log: {shown}");
}

#[test]
fn a_certificate_that_is_not_accepted_is_explained() {
    check(
        invalid(CertificateError::UnknownIssuer),
        "the server's certificate (SHA-256 ABC) is not issued by THESE",
        "a CA of your own belongs into server.ca_file",
    );
    check(
        invalid(CertificateError::BadSignature),
        "the server's certificate (SHA-256 ABC) names an issuer that did not sign it",
        "was the CA made anew",
    );
    check(
        invalid(wrapped(Verdict::CaUsedAsEndEntity)),
        "the server's certificate (SHA-256 ABC) is made for a CA (CA:TRUE), as `openssl req \
         -x509` makes them, and not for a server",
        "set server.certificate_sha256",
    );
    check(
        invalid(CertificateError::InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: vec![ExtendedKeyPurpose::ClientAuth],
        }),
        "the server's certificate (SHA-256 ABC) is not made for a server",
        "serverAuth",
    );
    check(
        invalid(CertificateError::UnhandledCriticalExtension),
        "the server's certificate (SHA-256 ABC) is not acceptable: UnhandledCriticalExtension",
        "openssl x509 -text",
    );
    check(
        wrapped(Refused { shown: Pin::of(b"abc"), cause: Cause::NotPinned }).into(),
        "the server shows another certificate than server.certificate_sha256 names; this one's \
         SHA-256 is ABC",
        "add it to server.certificate_sha256",
    );
    for error in [
        invalid(wrapped(Verdict::UnsupportedCertVersion)),
        wrapped(Verdict::UnsupportedCertVersion).into(),
    ] {
        check(error, "the server's certificate is not X.509 version 3", "make a new one");
    }
    check(
        CertificateError::BadSignature.into(),
        "the server does not prove that it has its certificate's key",
        "somebody is in between",
    );
}

#[test]
fn a_certificate_out_of_its_time_is_explained_with_both_times() {
    let here = "; here it is 2023-11-14 22:13:20 UTC: is this machine's clock right?";
    let time = at(1_700_000_000);
    check(
        invalid(CertificateError::ExpiredContext { time, not_after: at(1_688_137_199) }),
        "the server's certificate, or its issuer's, expired at 2023-06-30 14:59:59 UTC",
        here,
    );
    check(
        invalid(CertificateError::NotValidYetContext { time, not_before: at(4_102_444_800) }),
        "the server's certificate, or its issuer's, is not valid before 2100-01-01 00:00:00 UTC",
        here,
    );
    assert_eq!(utc(at(u64::MAX)), "18446744073709551615 s after 1970");
    assert_eq!(utc(at(0)), "1970-01-01 00:00:00 UTC");
}

#[test]
fn a_certificate_for_another_server_is_explained_with_the_names_it_has() {
    let check = |presented: &[&str], names: &str| {
        let presented = presented.iter().copied().map(str::to_owned).collect();
        let expected = ServerName::try_from("a.example").unwrap();
        check(
            invalid(CertificateError::NotValidForNameContext { expected, presented }),
            &format!(
                "the server's certificate is not for \"a.example\", which server.url names, but \
                 for {names}"
            ),
            "use one of its names",
        );
    };
    check(&[], "no name at all (it has no subjectAltName)");
    check(
        &["DnsName(\"*.b.example\")", "IpAddress(::1)", "DirectoryName"],
        "\"*.b.example\", \"::1\", \"DirectoryName\"",
    );
    check(&["DnsName(\"a\n2026 INFO all is well\")"], "\"a\\n2026 INFO all is well\"");
    let eight = ["\"1.2.3.4\""; 8].join(", ");
    check(&["IpAddress(1.2.3.4)"; 30], &format!("{eight} and 22 more"));
}

#[test]
fn a_server_that_does_not_come_to_terms_is_explained() {
    let no_tls = "the server answers, but does not speak TLS on this port";
    check(InvalidMessage::InvalidContentType.into(), no_tls, "tls.enabled");
    check(InvalidMessage::UnknownProtocolVersion.into(), no_tls, "the right port");
    let too_old = "the server speaks neither TLS 1.2 nor TLS 1.3, and no other version is safe";
    check(PeerIncompatible::ServerDoesNotSupportTls12Or13.into(), too_old, "update");
    check(Error::AlertReceived(AlertDescription::ProtocolVersion), too_old, "update");
    check(
        Error::AlertReceived(AlertDescription::NoApplicationProtocol),
        "the server does not speak HTTP/1.1 (ALPN http/1.1)",
        "s3up-server",
    );
    check(
        Error::AlertReceived(AlertDescription::UnrecognisedName),
        "the server does not know the name in server.url",
        "set up for",
    );
    check(
        Error::AlertReceived(AlertDescription::CertificateRequired),
        "the server asks for a client's certificate, and s3up shows none",
        "server.api_key",
    );
    check(
        Error::AlertReceived(AlertDescription::HandshakeFailure),
        "the server and this program have no way of encryption in common (received fatal \
         alert: HandshakeFailure)",
        "TLS 1.2 needs",
    );
    check(
        PeerMisbehaved::TooManyEmptyFragments.into(),
        "TLS failed: peer misbehaved: TooManyEmptyFragments",
        "openssl s_client",
    );
}
