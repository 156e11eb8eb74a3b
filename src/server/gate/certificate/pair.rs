//! From the bytes of two PEM files to a certificate chain and its key, or to why not.
//!
//! Pure. It owns nothing and shows nothing of what it reads: PEM errors can hold the line they stand
//! on, which may be the key, so only their kind is told.

use crate::limits::PEM_BYTES_MAX;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with one of the two files. Each says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not there, or may not be read.
    #[error("cannot be read: {0}; hint: name a PEM file that the server's user may read")]
    Unreadable(io::Error),
    /// It is larger than [`PEM_BYTES_MAX`].
    #[error(
        "is larger than {PEM_BYTES_MAX} bytes; a certificate chain or a key has a few thousand"
    )]
    TooLarge,
    /// It begins like PEM and does not go on so.
    #[error("is damaged: {0}; hint: copy it again, line breaks included")]
    Damaged(&'static str),
    /// It is something else.
    #[error(
        "holds no certificate: the server's own, as PEM, is expected first, then those that it was \
         signed with; hint: `openssl x509 -inform der -in FILE -out cert.pem` turns the binary form \
         into PEM"
    )]
    NoCertificate,
    /// Its first certificate is not one.
    #[error("begins with a certificate that cannot be read; X.509 version 3 is expected")]
    UnreadableCertificate,
    /// It is something else.
    #[error(
        "holds no private key: a PEM section `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY` is \
         expected"
    )]
    NoKey,
    /// It is the other file.
    #[error("holds a certificate and no private key; hint: are cert_file and key_file swapped?")]
    CertificateForKey,
    /// The key needs a passphrase, which nobody could give a daemon.
    #[error(
        "is encrypted, and a server that starts by itself has nobody to ask for the passphrase; hint: \
         `openssl pkey -in FILE -out key.pem` decrypts it"
    )]
    EncryptedKey,
    /// Damaged, or of a kind that `ring` does not sign with.
    #[error(
        "holds a private key that cannot be used: RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, \
         or Ed25519 is expected"
    )]
    UnsupportedKey,
    /// Both are sound, and not of each other.
    #[error(
        "is not the key of the certificate in {certificate:?}; hint: both come from one renewal"
    )]
    NotAPair {
        /// The file with the certificate.
        certificate: PathBuf,
    },
    /// The TLS library refuses it for another reason.
    #[error("cannot be served: {0}")]
    Refused(Error),
}

/// Reads the certificates of a file; there is at least one.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| damaged(&error))?;
    if chain.is_empty() { Err(Problem::NoCertificate) } else { Ok(chain) }
}

/// Reads the first private key of a file.
pub(super) fn key(pem: &[u8], provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, Problem> {
    let key = PrivateKeyDer::from_pem_slice(pem);
    // An encrypted key is a section of another name, or one with header lines, which is no Base64.
    let has = |text: &[u8]| memchr::memmem::find(pem, text).is_some();
    let encrypted = || has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED");
    let key = key.map_err(|error| match error {
        _ if encrypted() => Problem::EncryptedKey,
        pem::Error::NoItemsFound if has(b"BEGIN CERTIFICATE-") => Problem::CertificateForKey,
        pem::Error::NoItemsFound => Problem::NoKey,
        error => damaged(&error),
    })?;
    provider.key_provider.load_private_key(key).map_err(|_| Problem::UnsupportedKey)
}

fn damaged(error: &pem::Error) -> Problem {
    Problem::Damaged(match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line does not end as it should",
        pem::Error::Base64Decode(_) => "a section is not Base64",
        _ => "it cannot be decoded",
    })
}

/// Which of the two files a problem lies in.
pub(super) enum Half {
    Certificate,
    Key,
}

/// Whether the key is that of the chain's first certificate, by their public keys.
pub(super) fn belong_together(
    certified: &CertifiedKey,
    certificate: &Path,
) -> Result<(), (Half, Problem)> {
    certified.keys_match().map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            (Half::Key, Problem::NotAPair { certificate: certificate.to_owned() })
        }
        Error::InvalidCertificate(_) => (Half::Certificate, Problem::UnreadableCertificate),
        error => (Half::Certificate, Problem::Refused(error)),
    })
}
