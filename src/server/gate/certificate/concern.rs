//! What clients will not like about a certificate that can be served.
//!
//! Pure: the time is an argument. It asks the same verifier that our client uses, without any roots:
//! the certificate's own dates and purposes come first, and who signed it is not this server's to
//! judge.

use crate::limits::CERTIFICATE_ENDS_SOON;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError as Refusal, Error, OtherError, RootCertStore};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// A moment that no certificate outlives: their years have four digits, and this one is 36812.
const END_OF_TIME: Duration = Duration::from_secs(1 << 40);

/// Something the operator should act on. The certificate is served nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server.tls.cert_file: {file:?} {kind}")]
pub struct Concern {
    /// The file with the certificate.
    pub file: PathBuf,
    /// What it is.
    pub kind: ConcernKind,
}

/// What may be wrong with a certificate that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcernKind {
    /// Its time is over since this moment, in seconds since 1970.
    Expired(u64),
    /// Its time is over at this moment, in seconds since 1970, less than
    /// [`CERTIFICATE_ENDS_SOON`] away.
    ExpiresSoon(u64),
    /// Its time begins at this moment, in seconds since 1970.
    NotYetValid(u64),
    /// It is marked as that of an authority.
    Authority,
    /// Its extended key usage leaves TLS servers out.
    NotForServers,
}

impl fmt::Display for ConcernKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Expired(end) => write!(
                f,
                "expired at {}: clients refuse it; hint: renew it, it is read again by itself",
                moment(end)
            ),
            Self::ExpiresSoon(end) => write!(
                f,
                "expires at {}: clients refuse it from then on; hint: renew it, it is read again by \
                 itself",
                moment(end)
            ),
            Self::NotYetValid(begin) => write!(
                f,
                "is not valid before {}: clients refuse it until then; hint: is this machine's clock \
                 right?",
                moment(begin)
            ),
            Self::Authority => f.write_str(
                "is the certificate of an authority (CA:TRUE, as `openssl req -x509` makes them): \
                 clients refuse it as a server's; hint: sign one for this server with it, or have \
                 clients pin it",
            ),
            Self::NotForServers => f.write_str(
                "is not made for servers: clients refuse it; hint: its extended key usage needs \
                 `serverAuth`",
            ),
        }
    }
}

/// UTC, or the bare number for a moment that no calendar holds.
fn moment(seconds: u64) -> String {
    let known =
        i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    known.map_or_else(
        || format!("{seconds} s after 1970"),
        |at| format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute()),
    )
}

/// What clients would say of the certificate `now`, and what they are going to say soon.
pub(super) fn about(
    certificate: &CertificateDer<'_>,
    file: &Path,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Option<Concern> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    let at = |time| kind(&certificate, provider, time);
    let soon = || match at(now + CERTIFICATE_ENDS_SOON) {
        Some(ConcernKind::Expired(end)) => Some(ConcernKind::ExpiresSoon(end)),
        _ => None,
    };
    at(now).or_else(soon).map(|kind| Concern { file: file.to_owned(), kind })
}

/// When the certificate ends, in seconds since 1970.
pub(super) fn not_after(
    certificate: &CertificateDer<'_>,
    provider: &CryptoProvider,
) -> Option<i64> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    // The verifier looks at the dates first, and says which one it is when that has passed.
    match kind(&certificate, provider, UNIX_EPOCH + END_OF_TIME)? {
        ConcernKind::Expired(end) => i64::try_from(end).ok(),
        _ => None,
    }
}

fn kind(
    certificate: &ParsedCertificate<'_>,
    provider: &CryptoProvider,
    time: SystemTime,
) -> Option<ConcernKind> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let verified = verify_server_cert_signed_by_trust_anchor(
        certificate,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(since),
        provider.signature_verification_algorithms.all,
    );
    match verified {
        Err(Error::InvalidCertificate(refusal)) => match refusal {
            Refusal::ExpiredContext { not_after, .. } => {
                Some(ConcernKind::Expired(not_after.as_secs()))
            }
            Refusal::NotValidYetContext { not_before, .. } => {
                Some(ConcernKind::NotYetValid(not_before.as_secs()))
            }
            Refusal::InvalidPurpose | Refusal::InvalidPurposeContext { .. } => {
                Some(ConcernKind::NotForServers)
            }
            // This one has no variant of its own; a test holds it to its name.
            Refusal::Other(OtherError(cause)) if cause.to_string() == "CaUsedAsEndEntity" => {
                Some(ConcernKind::Authority)
            }
            _ => None,
        },
        _ => None,
    }
}
