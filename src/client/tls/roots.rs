//! The CA certificates that a server's certificate may be issued by.
//!
//! Read once, on the main thread, when the client starts; what is trusted later was trusted then.
//! Which certificates those are is decided elsewhere.

use crate::ca_file::{self, CaFileProblem};
use rustls::RootCertStore;
use std::fmt;
use std::path::{Path, PathBuf};

/// CA certificates, and where they are from.
#[derive(Debug)]
pub struct Roots {
    /// The certificates; at least one.
    pub store: RootCertStore,
    /// Where they are from.
    pub source: Source,
}

/// Where CA certificates are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The system's own, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    System,
    /// Mozilla's, as they were when this program was built.
    BuiltIn,
    /// The file that `server.ca_file` names.
    File(PathBuf),
}

/// A `server.ca_file` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("server.ca_file: {path:?}: {cause}")]
pub struct CaFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what would be right.
    pub cause: CaFileProblem,
}

impl Roots {
    /// The certificates of the file that `server.ca_file` names, and no others.
    pub fn of_file(path: &Path) -> Result<Self, CaFileError> {
        let certificates =
            ca_file::read(path).map_err(|cause| CaFileError { path: path.to_owned(), cause })?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        Ok(Self { store, source: Source::File(path.to_owned()) })
    }

    /// The system's certificates; built-in ones if it has none.
    pub fn of_system() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // A system's collection is old and long: one that cannot be used is left out, as others do.
        store.add_parsable_certificates(found.certs);
        for error in &found.errors {
            log::debug!("CA certificates of the system: {error}");
        }
        if !store.is_empty() {
            return Self { store, source: Source::System };
        }
        let reason = found.errors.first().map_or("none found".to_owned(), ToString::to_string);
        log::warn!(
            "the system has no CA certificates ({reason}); built-in ones are used; hint: install \
             the package ca-certificates, or, in a container, mount /etc/ssl/certs"
        );
        let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        Self { store: RootCertStore { roots }, source: Source::BuiltIn }
    }
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.store.len();
        match &self.source {
            Source::System => write!(f, "one of the system's {number} CA certificates"),
            Source::BuiltIn => write!(f, "one of {number} built-in CA certificates"),
            Source::File(path) if number == 1 => {
                write!(f, "the CA certificate in server.ca_file ({path:?})")
            }
            Source::File(path) => {
                write!(f, "one of the {number} CA certificates in server.ca_file ({path:?})")
            }
        }
    }
}
