//! TLS towards the server: whom to believe that it is the server, and how to say why not.
//!
//! Set up on the main thread when the client starts, used by the uploader's threads. All of the
//! client's TLS is here and its cryptography is `ring`'s, named and not found. `ureq` is known to
//! `connector` alone; `pin` and `explain` are pure. Nothing here knows the configuration file.

pub mod connector;
pub mod explain;
pub mod roots;
pub mod verifier;

use crate::clock;
use crate::pin::Pin;
use connector::TlsConnector;
use roots::{CaFileError, Roots};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::server::VerifierBuilderError;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use verifier::Verifier;

/// By what the server is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A certificate that one of the system's CAs issued, or a built-in one if the system has none.
    System,
    /// A certificate that a CA in this PEM file issued.
    CaFile(PathBuf),
    /// One of these certificates; at least one.
    Pins(Vec<Pin>),
}

/// TLS cannot be set up as asked for.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// `server.ca_file` cannot be used.
    #[error(transparent)]
    CaFile(#[from] CaFileError),
    /// The CA certificates make no verifier.
    #[error("cannot set up TLS: {0}")]
    Roots(#[from] VerifierBuilderError),
    /// The library does not take the configuration.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Reads what is trusted: the judge of what the server shows. As a text it is what that has to be.
pub fn verifier(trust: &Trust) -> Result<Verifier, TrustError> {
    let provider = Arc::new(ring::default_provider());
    Ok(match trust {
        Trust::System => Verifier::issued_under(Roots::of_system(), &provider)?,
        Trust::CaFile(path) => Verifier::issued_under(Roots::of_file(path)?, &provider)?,
        Trust::Pins(pins) => Verifier::pinned(pins.clone(), &provider),
    })
}

/// Reads what is trusted, says so in the log, and makes the connections' TLS.
pub fn connector(trust: &Trust) -> Result<TlsConnector, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(trust)?;
    log::info!("the server's certificate has to be {verifier}");
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::new(config))
}

/// Gives `rustls` the time, by which certificates expire. Before 1970 it is 1970.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = clock::utc().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(UnixTime::since_unix_epoch(since))
    }
}
