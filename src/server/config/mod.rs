//! `server.yaml`: where to listen, where to store, who may, and what is remembered.
//!
//! Pure: text in, a checked [`Config`] or every problem at once out.

mod activity;
mod alerts;
mod limits;
mod people;
mod proxies;
mod store;
#[cfg(test)]
mod tests;

pub use activity::Reports;
pub use alerts::{AlertCommand, AlertWebhook, OnSilent};
pub use limits::Limits;
pub use people::{Administrator, Client};
pub use store::{S3, StoreConfig};

use crate::config::{self, ConfigError, Outside, Section};
use crate::remote_path::RemotePrefix;
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;

/// A whole server configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub server: Server,
    /// Where files go.
    pub store: StoreConfig,
    /// What every key in the store begins with.
    pub path_prefix: RemotePrefix,
    /// Who may use the server; no two share a name or a key.
    pub clients: Vec<Client>,
    /// Who may see how the clients are; no key is a client's, too.
    pub administrators: Vec<Administrator>,
    /// Where it is remembered what the clients did; without one nothing is.
    pub database: Option<PathBuf>,
    /// When a client is late, and for how long what is known of it is kept.
    pub reports: Reports,
    /// Who is told when one is; needs the database.
    pub on_silent: OnSilent,
    /// What the gate bears.
    pub limits: Limits,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// An address of this machine, or a name of one.
    pub host: String,
    /// The port; 0 takes any that is free.
    pub port: u16,
    /// Certificate and key, if TLS is wanted.
    pub tls: Option<Tls>,
    /// How many requests are worked on at the same time.
    pub workers: usize,
    /// Addresses whose `X-Forwarded-For` is believed; see [`Server::trusts`].
    pub trusted_proxies: Vec<IpNet>,
}

impl Server {
    /// Whether `peer` is a proxy whose word on a client's address is taken. IPv4 addresses may come
    /// as such or mapped into IPv6.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        proxies::contain(&self.trusted_proxies, peer)
    }
}

/// Certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file with the private key.
    pub key_file: PathBuf,
}

/// Bytes in a `_mb`: 1 MB is 1,048,576 bytes here.
const MB: u64 = 1024 * 1024;

/// Reads a configuration. `file` is the name problems are reported under.
pub fn parse(file: &str, text: &str, outside: Outside<'_>) -> Result<Config, ConfigError> {
    config::parse(file, text, outside, |root| {
        let server = root.section("server", server);
        let store = store::read(root);
        let people = people::read(root);
        let limits = root.section_or_default("limits", limits::read);
        let database = root.section_or_default("database", activity::database);
        let reports = root.section_or_default("reports", activity::reports);
        let (store, path_prefix) = store?;
        let ((clients, administrators), limits) = (people?, limits?);
        let (database, (reports, on_silent)) = (database?, reports?);
        if database.is_none() && !on_silent.is_empty() {
            let message = "needs database.path, where it is remembered what was told";
            root.problem_in("reports", "on_silent", message);
            return None;
        }
        if !limits::suffice(root, &limits, &clients) {
            return None;
        }
        Some(Config {
            server: server?,
            store,
            path_prefix,
            clients,
            administrators,
            database,
            reports,
            on_silent,
            limits,
        })
    })
}

fn server(section: &Section<'_>) -> Option<Server> {
    let host = section.optional("host", |text| match text {
        "" => Err("is empty; 0.0.0.0 means every address"),
        text => Ok(text.to_owned()),
    });
    let port = section.integer("port", Some(8080), 0..=65535);
    let tls = section.section_or_default("tls", tls);
    let workers = section.integer("workers", Some(128), 4..=1024);
    let trusted_proxies = section.texts("trusted_proxies", proxies::parse);
    Some(Server {
        host: host?.unwrap_or_else(|| "127.0.0.1".into()),
        port: u16::try_from(port?).ok()?,
        tls: tls?,
        workers: workers? as usize,
        trusted_proxies: trusted_proxies?,
    })
}

fn tls(section: &Section<'_>) -> Option<Option<Tls>> {
    let enabled = section.flag("enabled", false);
    let file = |key| section.optional(key, |text| Ok::<_, &str>(PathBuf::from(text)));
    let (cert_file, key_file) = (file("cert_file"), file("key_file"));
    if !enabled? {
        return Some(None);
    }
    let (cert_file, key_file) = (cert_file?, key_file?);
    for (key, value) in [("cert_file", &cert_file), ("key_file", &key_file)] {
        if value.is_none() {
            section.problem(key, "is missing: tls.enabled needs it");
        }
    }
    Some(Some(Tls { cert_file: cert_file?, key_file: key_file? }))
}
