//! Certificates of every kind, as PEM files in a folder.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use s3up::pin::Pin;
use std::path::{Path, PathBuf};

/// A certificate and its private key.
pub(crate) struct Identity {
    /// The certificate, in PEM.
    pub(crate) cert: PathBuf,
    /// Its private key, in PEM.
    pub(crate) key: PathBuf,
}

/// A CA that issues certificates.
pub(crate) struct Authority {
    /// Its own certificate, in PEM.
    pub(crate) cert: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one of this name. Another one of the same name is another one.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = write(folder, "ca.pem", &params.self_signed(&key).unwrap().pem());
        Self { cert, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names and IP addresses, valid in all the time there is.
    pub(crate) fn issue(&self, folder: &Path, names: &[&str]) -> Identity {
        self.sign(folder, &params("a server", names))
    }

    /// One that is valid from the beginning of one year to the beginning of another.
    pub(crate) fn issue_for_years(
        &self,
        folder: &Path,
        names: &[&str],
        years: [i32; 2],
    ) -> Identity {
        let [from, to] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
        let mut params = params("a server", names);
        (params.not_before, params.not_after) = (from, to);
        self.sign(folder, &params)
    }

    fn sign(&self, folder: &Path, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity::write(folder, &params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

impl Identity {
    /// A certificate that signed itself and says that it is a CA's, as `openssl req -x509` makes
    /// them.
    pub(crate) fn self_signed(folder: &Path, names: &[&str]) -> Self {
        let mut params = params("a server", names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self::write(folder, &params.self_signed(&key).unwrap(), &key)
    }

    fn write(folder: &Path, cert: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            cert: write(folder, "cert.pem", &cert.pem()),
            key: write(folder, "key.pem", &key.serialize_pem()),
        }
    }

    /// The SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it.
    pub(crate) fn sha256(&self) -> String {
        Pin::of(&self.chain()[0]).to_string()
    }

    /// What a server shows.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(&self.cert).unwrap().map(Result::unwrap).collect()
    }

    /// What a server keeps.
    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).unwrap()
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Writes a file whose name begins with some number, so that none is written twice.
fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(format!("{:016x}-{name}", fastrand::u64(..)));
    std::fs::write(&path, content).unwrap();
    path
}
