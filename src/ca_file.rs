//! Certificates of CAs, from a PEM file that a configuration names.
//!
//! Read once, on the main thread, when a program starts; what is trusted later was trusted then.
//! What is wrong with a file is said in words, with what would be right; the key that named it is
//! the caller's to say.

use crate::limits::CA_FILE_BYTES_MAX;
use memchr::memmem;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What is wrong with a file of CA certificates.
#[derive(Debug, thiserror::Error)]
pub enum CaFileProblem {
    /// It is not there, or this user may not read it.
    #[error(
        "cannot read it: {0}; hint: name a PEM file with the CA's certificate that this user may \
         read"
    )]
    Unreadable(io::Error),
    /// It is far too large for what it should be.
    #[error(
        "it is larger than {CA_FILE_BYTES_MAX} bytes; hint: name a PEM file with nothing but CA \
         certificates"
    )]
    TooLarge,
    /// There is a private key in it, with or without certificates.
    #[error(
        "it holds a private key, which must not leave the machine it belongs to; hint: name a file \
         that holds nothing but the CA's certificate"
    )]
    PrivateKey,
    /// No certificate is in it.
    #[error(
        "it holds no certificate in PEM; hint: the CA's certificate is expected, which begins with \
         -----BEGIN CERTIFICATE----- (from DER: openssl x509 -inform der -in FILE)"
    )]
    NoCertificate,
    /// It is damaged PEM, or what is in it is no certificate.
    #[error("it is damaged: {0}; hint: copy the CA's certificate again, from BEGIN to END")]
    Damaged(String),
}

/// The certificates in the file at `path`: at least one, and each can be trusted as a CA's.
pub fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaFileProblem> {
    parse(&contents(path)?)
}

fn contents(path: &Path) -> Result<Vec<u8>, CaFileProblem> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(CaFileProblem::Unreadable)?;
    if text.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(CaFileProblem::TooLarge);
    }
    Ok(text)
}

fn parse(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CaFileProblem> {
    // Of any kind, encrypted ones too.
    if memmem::find(text, b"PRIVATE KEY-----").is_some() {
        return Err(CaFileProblem::PrivateKey);
    }
    let mut certificates = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(text).enumerate() {
        let certificate = certificate.map_err(|error| CaFileProblem::Damaged(damage(&error)))?;
        RootCertStore::empty().add(certificate.clone()).map_err(|_| {
            CaFileProblem::Damaged(format!(
                "what stands there as number {} is no certificate",
                index + 1
            ))
        })?;
        certificates.push(certificate);
    }
    if certificates.is_empty() { Err(CaFileProblem::NoCertificate) } else { Ok(certificates) }
}

/// The PEM reader's errors hold bytes as numbers; here they are words.
fn damage(error: &pem::Error) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the line \"-----END {}-----\" is missing", text(end_marker).escape_debug())
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("the line {:?} does not end with five hyphens", text(line))
        }
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is not base64".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> String {
        rcgen::generate_simple_self_signed([]).unwrap().cert.pem()
    }

    fn check(text: &str, expected: &str) {
        let shown = match parse(text.as_bytes()) {
            Ok(certificates) => format!("{} certificates", certificates.len()),
            Err(problem) => problem.to_string(),
        };
        assert!(shown.starts_with(expected), "{shown}\n{text}");
        assert!(!shown.contains('\n'), "one line: {shown:?}");
    }

    #[test]
    fn certificates_are_read_whatever_stands_around_them() {
        let certificate = certificate();
        check(&certificate, "1 certificates");
        check(&format!("# a\n{certificate}\nCN = b\n{certificate}"), "2 certificates");
        check(&certificate.replace('\n', "\r\n"), "1 certificates");
    }

    #[test]
    fn what_holds_no_certificate_is_told_what_it_holds() {
        let certificate = certificate();
        for nothing in
            ["", "0\u{82}\0", "# a\n", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"]
        {
            check(nothing, "it holds no certificate in PEM; hint: ");
        }
        for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let key = format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
            check(&key, "it holds a private key, ");
            check(&format!("{certificate}{key}"), "it holds a private key, ");
        }
    }

    #[test]
    fn damage_is_described() {
        let certificate = certificate();
        let (start, end) = certificate.split_at(certificate.find("-----END").unwrap());
        check(start, "it is damaged: the line \"-----END CERTIFICATE-----\" is missing; hint: ");
        check(&format!("{certificate}{start}"), "it is damaged: the line \"-----END");
        check(
            &certificate.replacen("CERTIFICATE-----", "CERTIFICATE---", 1),
            "it is damaged: the line \"-----BEGIN CERTIFICATE---\" does",
        );
        check(
            &format!("{start}*\n{end}"),
            "it is damaged: what stands between BEGIN and END is not base64; hint",
        );
        let cut = start.lines().take(3).collect::<Vec<_>>().join("\n");
        check(
            &format!("{cut}\n{end}"),
            "it is damaged: what stands there as number 1 is no certificate; hint: ",
        );
        check(
            &format!("{certificate}-----BEGIN CERTIFICATE-----\nAAAA\n{end}"),
            "it is damaged: what stands there as number 2 is",
        );
    }
}
