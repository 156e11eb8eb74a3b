//! Certificates for one run of the demo: an authority, and the server's own, signed by it.
//!
//! Runs on the main thread, once. Two of them, because a client must not take an authority's
//! certificate for a server's.

use rcgen::{BasicConstraints, CertificateParams, DnType, Error, IsCa, Issuer, KeyPair};

/// What the server needs, and what its clients need to know it; all in PEM.
pub(crate) struct Certificates {
    /// The authority's certificate: `server.ca_file` of a client.
    pub(crate) authority: String,
    /// The server's certificate: `server.tls.cert_file`.
    pub(crate) certificate: String,
    /// The server's key: `server.tls.key_file`.
    pub(crate) key: String,
}

/// Makes them for a server at `name`.
pub(crate) fn make(name: &str) -> Result<Certificates, Error> {
    let mut authority = params(&[], "s3up demo authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;

    let server = params(&[name], "s3up demo server")?;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok(Certificates {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn params(names: &[&str], common_name: &str) -> Result<CertificateParams, Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
