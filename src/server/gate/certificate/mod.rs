//! The server's certificate and key, as they are now: read at the start, read again while it runs.
//!
//! Shared by the threads that begin a TLS connection, which look, and the `reload` thread, which
//! reads again. A pair that is not sound is refused and the last good one kept. Connections go on with
//! the pair they began with. The key's bytes stay here: no error, log line or `Debug` shows them.

mod concern;
mod pair;
#[cfg(test)]
mod tests;

pub use concern::{Concern, ConcernKind};
pub use pair::Problem;

use crate::limits::PEM_BYTES_MAX;
use crate::pin::Pin;
use crate::server::config::Tls;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// The one protocol that is spoken over TLS, by its registered name (RFC 7301, section 6).
const ALPN: &[u8] = b"http/1.1";

/// The pair that is served now.
pub struct Certificates {
    files: Tls,
    provider: Arc<CryptoProvider>,
    current: RwLock<Served>,
}

#[derive(Clone)]
struct Served {
    chain: Vec<CertificateDer<'static>>,
    config: Arc<ServerConfig>,
}

/// Why the two files are not a pair that can be served.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {file:?} {problem}")]
pub struct CertificateError {
    /// The configuration's key that names the file.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Certificates {
    /// Reads the two files of the configuration.
    pub fn load(files: &Tls) -> Result<Self, CertificateError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = RwLock::new(read(files, &provider)?);
        Ok(Self { files: files.clone(), provider, current })
    }

    /// What a connection that begins now is served with: TLS 1.2 and 1.3, `http/1.1`, no
    /// certificates of clients.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.served().config
    }

    /// Reads the two files again; `true` if connections now get another certificate. On an error
    /// the last good pair stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let read = read(&self.files, &self.provider)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // The key belongs to the first certificate, so an equal chain has an equal key. The old
        // state stays then, with the sessions that clients may resume.
        let changed = current.chain != read.chain;
        if changed {
            *current = read;
        }
        Ok(changed)
    }

    /// What clients will not like about the certificate that is served, if it were `now`.
    pub fn concern(&self, now: SystemTime) -> Option<Concern> {
        let chain = self.served().chain;
        concern::about(chain.first()?, &self.files.cert_file, &self.provider, now)
    }

    /// When the certificate ends that is served now, in seconds since 1970.
    pub fn not_after(&self) -> Option<i64> {
        let chain = self.served().chain;
        concern::not_after(chain.first()?, &self.provider)
    }

    /// Says what a client can know the server by.
    pub fn announce(&self) {
        if let Some(leaf) = self.served().chain.first() {
            log::info!("the certificate's SHA-256 is {}", Pin::of(leaf));
        }
    }

    fn served(&self) -> Served {
        // Only whole pairs are put in, so a panic elsewhere cannot have left half of one.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &Tls, provider: &Arc<CryptoProvider>) -> Result<Served, CertificateError> {
    let cert_error = |problem| CertificateError {
        key: "server.tls.cert_file",
        file: files.cert_file.clone(),
        problem,
    };
    let key_error = |problem| CertificateError {
        key: "server.tls.key_file",
        file: files.key_file.clone(),
        problem,
    };
    let chain =
        read_file(&files.cert_file).and_then(|pem| pair::chain(&pem)).map_err(cert_error)?;
    let key =
        read_file(&files.key_file).and_then(|pem| pair::key(&pem, provider)).map_err(key_error)?;
    let certified = CertifiedKey::new(chain.clone(), key);
    pair::belong_together(&certified, &files.cert_file).map_err(
        |(wrong, problem)| match wrong {
            pair::Half::Certificate => cert_error(problem),
            pair::Half::Key => key_error(problem),
        },
    )?;
    let config =
        server_config(certified, provider).map_err(|error| cert_error(Problem::Refused(error)))?;
    Ok(Served { chain, config: Arc::new(config) })
}

fn read_file(file: &Path) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read =
        File::open(file).and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(Problem::Unreadable)?;
    if bytes.len() as u64 > PEM_BYTES_MAX { Err(Problem::TooLarge) } else { Ok(bytes) }
}

fn server_config(
    certified: CertifiedKey,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}
