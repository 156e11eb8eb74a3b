//! What all HTTP agents of the server have in common: whom they trust, and that they go where they are
//! told and nowhere else.
//!
//! Built by whoever sends. Deadlines and the pool of connections are the caller's to add.

use crate::names::Names;
use crate::tcp::TcpConnector;
use rustls::crypto::ring;
use std::sync::Arc;
use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsConfigBuilder};
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, RustlsConnector};
use ureq::{Agent, Proxy};

/// What an agent begins with that trusts these CAs.
pub fn config(roots: RootCerts, proxy: Option<Proxy>) -> ConfigBuilder<AgentScope> {
    config_with(TlsConfig::builder().root_certs(roots), proxy)
}

/// What an agent begins with. Every status is an answer, and no redirect is followed: signatures and
/// tokens are for one host.
pub fn config_with(trust: TlsConfigBuilder, proxy: Option<Proxy>) -> ConfigBuilder<AgentScope> {
    let tls = trust.unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .tls_config(tls.build())
        .user_agent(concat!("s3up-server/", env!("CARGO_PKG_VERSION")))
}

/// An agent that remembers names, and sends together what belongs together.
pub fn agent(config: Config) -> Agent {
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector)
            .chain(RustlsConnector::default());
    Agent::with_parts(config, connector, Names::default())
}

/// These CAs and no others.
pub fn only(certificates: &[impl AsRef<[u8]>]) -> RootCerts {
    let owned = |der: &[u8]| Certificate::from_der(der).to_owned();
    let certificates: Vec<_> = certificates.iter().map(|der| owned(der.as_ref())).collect();
    RootCerts::Specific(Arc::new(certificates))
}
