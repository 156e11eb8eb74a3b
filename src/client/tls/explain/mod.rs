//! TLS failures in the words of the operator who has to mend them.
//!
//! Pure: an error in, what happened and what to do about it out. What a server shows or says is
//! never repeated unescaped or at any length.

#[cfg(test)]
mod tests;

use crate::client::tls::verifier::{Cause, Refused};
use crate::limits::CERTIFICATE_NAMES_SHOWN_MAX;
use crate::pin::Pin;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible,
};
use std::fmt;
use std::io;
use time::OffsetDateTime;
use webpki::Error as Verdict;

/// A failure in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What happened.
    pub what: String,
    /// What may help.
    pub hint: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; hint: {}", self.what, self.hint)
    }
}

fn because(what: impl Into<String>, hint: impl Into<String>) -> Explanation {
    Explanation { what: what.into(), hint: hint.into() }
}

/// Why the handshake failed, or the connection later.
pub fn explain(error: &Error) -> Explanation {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            match (inner.downcast_ref::<Refused>(), inner.downcast_ref::<Verdict>()) {
                (Some(Refused { shown, cause }), _) => refused(shown, cause),
                (None, Some(verdict)) => unusable(verdict),
                (None, None) => other(error),
            }
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => because(
            "the server does not prove that it has its certificate's key",
            "do certificate and key of the server belong together, and has an RSA key 2048 bits at \
             least? Else somebody is in between",
        ),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => because(
            "the server answers, but does not speak TLS on this port",
            "does server.url name the right port? Is server.tls.enabled true on the server?",
        ),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => because(
            "the server speaks neither TLS 1.2 nor TLS 1.3, and no other version is safe",
            "update what ends TLS there",
        ),
        Error::PeerIncompatible(_)
        | Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        ) => because(
            format!("the server and this program have no way of encryption in common ({error})"),
            "TLS 1.2 needs ECDHE with AES-GCM or ChaCha20, and no client certificate",
        ),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => because(
            "the server does not speak HTTP/1.1 (ALPN http/1.1)",
            "is that an s3up-server? A proxy before it has to offer HTTP/1.1",
        ),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => because(
            "the server does not know the name in server.url",
            "use the name that it is set up for",
        ),
        Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::BadCertificate,
        ) => because(
            "the server asks for a client's certificate, and s3up shows none",
            "a client is known by server.api_key; do not ask for a certificate as well",
        ),
        error => other(error),
    }
}

/// The connection ended in the middle of the handshake.
pub fn cut(error: &io::Error) -> Explanation {
    because(
        format!("the connection was closed in the middle of the TLS handshake ({error})"),
        "does the server speak TLS on this port? A firewall in between, or a server that is full, \
         may close it as well",
    )
}

/// Nothing came in time.
pub fn silence() -> Explanation {
    because(
        "the server takes the connection and does not answer the TLS handshake",
        "does the server speak TLS on this port? A firewall in between may be in the way as well",
    )
}

/// The host cannot stand in any certificate.
pub fn unnameable(host: &str) -> Explanation {
    because(
        format!("{host:?} is no name that a certificate can be for"),
        "use the server's DNS name or IP address in server.url",
    )
}

fn other(error: &Error) -> Explanation {
    because(
        format!("TLS failed: {}", error.to_string().escape_debug()),
        "`openssl s_client -connect HOST:PORT` on this machine shows more",
    )
}

fn refused(shown: &Pin, cause: &Cause) -> Explanation {
    match cause {
        Cause::NotPinned => because(
            format!(
                "the server shows another certificate than server.certificate_sha256 names; this \
                 one's SHA-256 is {shown}"
            ),
            "if it was replaced there, and its SHA-256 is this one there, add it to \
             server.certificate_sha256; otherwise somebody is in between",
        ),
        Cause::Invalid { error: Error::InvalidCertificate(error), issuers } => {
            invalid(shown, error, issuers)
        }
        Cause::Invalid { error, .. } => other(error),
    }
}

fn invalid(shown: &Pin, error: &CertificateError, issuers: &str) -> Explanation {
    match error {
        CertificateError::UnknownIssuer => because(
            format!("the server's certificate (SHA-256 {shown}) is not issued by {issuers}"),
            "the server has to send its intermediate certificates, too; a CA of your own belongs \
             into server.ca_file, and the SHA-256 of a self-signed certificate, once compared with \
             the server's, into server.certificate_sha256",
        ),
        CertificateError::BadSignature => because(
            format!(
                "the server's certificate (SHA-256 {shown}) names an issuer that did not sign it"
            ),
            "was the CA made anew under its old name? Compare server.ca_file with the CA's \
             certificate",
        ),
        CertificateError::NotValidForNameContext { expected, presented } => because(
            format!(
                "the server's certificate is not for {}, which server.url names, but for {}",
                asked(expected),
                names(presented)
            ),
            "use one of its names in server.url, or give the server a certificate with this name",
        ),
        CertificateError::ExpiredContext { time, not_after } => because(
            format!("the server's certificate, or its issuer's, expired at {}", utc(*not_after)),
            clock("renew it on the server", *time),
        ),
        CertificateError::NotValidYetContext { time, not_before } => because(
            format!(
                "the server's certificate, or its issuer's, is not valid before {}",
                utc(*not_before)
            ),
            clock("wait until then", *time),
        ),
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose => {
            because(
                format!("the server's certificate (SHA-256 {shown}) is not made for a server"),
                "issue one with the extended key usage serverAuth",
            )
        }
        CertificateError::Other(OtherError(inner)) => match inner.downcast_ref::<Verdict>() {
            Some(Verdict::CaUsedAsEndEntity) => because(
                format!(
                    "the server's certificate (SHA-256 {shown}) is made for a CA (CA:TRUE), as \
                     `openssl req -x509` makes them, and not for a server"
                ),
                "compare its SHA-256 with the server's and set server.certificate_sha256 to it, or \
                 have a CA issue a certificate for the server and name the CA's in server.ca_file",
            ),
            Some(verdict) => unusable(verdict),
            None => unacceptable(shown, error),
        },
        error => unacceptable(shown, error),
    }
}

fn unacceptable(shown: &Pin, error: &CertificateError) -> Explanation {
    let error = error.to_string();
    because(
        format!(
            "the server's certificate (SHA-256 {shown}) is not acceptable: {}",
            error.escape_debug()
        ),
        "`openssl x509 -text -in cert.pem` on the server shows what it is",
    )
}

fn unusable(verdict: &Verdict) -> Explanation {
    let what = match verdict {
        Verdict::UnsupportedCertVersion => "is not X.509 version 3".to_owned(),
        verdict => format!("is not acceptable: {verdict}"),
    };
    because(
        format!("the server's certificate {what}"),
        "make a new one; `openssl req -x509 -addext subjectAltName=DNS:NAME` makes one that can be \
         pinned",
    )
}

fn clock(hint: &str, now: UnixTime) -> String {
    format!("{hint}; here it is {}: is this machine's clock right?", utc(now))
}

fn utc(time: UnixTime) -> String {
    let seconds = time.as_secs();
    let moment = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(moment) = moment else { return format!("{seconds} s after 1970") };
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn asked(name: &ServerName<'_>) -> String {
    format!("{:?}", name.to_str())
}

/// The names in a certificate, which `rustls` hands over as `DnsName("a")` and `IpAddress(::1)`.
fn names(presented: &[String]) -> String {
    let name = |text: &String| {
        let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        format!("{:?}", inner.unwrap_or(text).trim_matches('"'))
    };
    let shown: Vec<String> = presented.iter().take(CERTIFICATE_NAMES_SHOWN_MAX).map(name).collect();
    match presented.len() - shown.len() {
        _ if shown.is_empty() => "no name at all (it has no subjectAltName)".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
