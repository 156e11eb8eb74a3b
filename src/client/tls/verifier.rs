//! Judges the certificate that the server shows: by who issued it, or by its own SHA-256.
//!
//! Runs on the uploader's threads, inside a handshake. It does no I/O and reads no clock: the time
//! is an argument. What it refuses it remembers in the error, since `rustls` keeps nothing of a
//! certificate that was not accepted.

use crate::client::tls::roots::Roots;
use crate::pin::Pin;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// Judges certificates and the signatures that prove who holds their keys.
#[derive(Debug)]
pub struct Verifier {
    rule: Rule,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Rule {
    /// Issued under one of these, for the name that was asked for, valid now. The text names them.
    Issued(Arc<WebPkiServerVerifier>, String),
    /// One of these and nothing else; neither name nor dates count.
    Pinned(Vec<Pin>),
}

/// A certificate that was not accepted. It travels inside [`CertificateError::Other`].
#[derive(Debug)]
pub struct Refused {
    /// The server's own certificate, the first of those it showed.
    pub shown: Pin,
    /// Why.
    pub cause: Cause,
}

/// Why a certificate was not accepted.
#[derive(Debug)]
pub enum Cause {
    /// It does not stand up to the rules for certificates.
    Invalid {
        /// What is wrong.
        error: Error,
        /// Who may issue it, in words.
        issuers: String,
    },
    /// It is not one of those that are pinned.
    NotPinned,
}

impl Verifier {
    /// Accepts what is issued under one of `roots`.
    pub fn issued_under(
        roots: Roots,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let issuers = roots.to_string();
        let store = Arc::new(roots.store);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(store, Arc::clone(provider)).build()?;
        Ok(Self::new(Rule::Issued(verifier, issuers), provider))
    }

    /// Accepts the certificates with these digests. Their names and dates are not looked at, nor
    /// who issued them: the digest says which certificate it is, and the handshake that the server
    /// has its key.
    pub fn pinned(pins: Vec<Pin>, provider: &CryptoProvider) -> Self {
        Self::new(Rule::Pinned(pins), provider)
    }

    fn new(rule: Rule, provider: &CryptoProvider) -> Self {
        Self { rule, algorithms: provider.signature_verification_algorithms }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Issued(_, issuers) => write!(f, "issued by {issuers}"),
            Rule::Pinned(pins) if pins.len() == 1 => {
                write!(f, "the one in server.certificate_sha256")
            }
            Rule::Pinned(pins) => {
                write!(f, "one of the {} in server.certificate_sha256", pins.len())
            }
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Pin::of(end_entity);
        let cause = match &self.rule {
            Rule::Issued(verifier, issuers) => match verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ) {
                Ok(verified) => return Ok(verified),
                Err(error) => Cause::Invalid { error, issuers: issuers.clone() },
            },
            // Each is compared, so that the time does not tell which one it was.
            Rule::Pinned(pins) => match pins.iter().filter(|pin| pin.matches(&shown)).count() {
                0 => Cause::NotPinned,
                _ => return Ok(ServerCertVerified::assertion()),
            },
        };
        let refused = OtherError(Arc::new(Refused { shown, cause }));
        Err(CertificateError::Other(refused).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Invalid { error, .. } => write!(f, "certificate {}: {error}", self.shown),
            Cause::NotPinned => write!(f, "certificate {} is not pinned", self.shown),
        }
    }
}
