//! `server.yaml`: where to listen, where to store, and who may.
//!
//! Pure: text in, a checked [`Config`] or every problem at once out.

mod limits;
mod proxies;
mod store;
#[cfg(test)]
mod tests;

pub use limits::Limits;
pub use store::{S3, StoreConfig};

use crate::config::{self, ConfigError, Environment, Section};
use crate::digest::Digest;
use crate::limits::OBJECT_BYTES_MAX;
use crate::remote_path::RemotePrefix;
use crate::secret::Secret;
use crate::server::key::ClientName;
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

/// One client and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name: its folder in the bucket.
    pub name: ClientName,
    /// SHA-256 of each of its keys; more than one while a key is being replaced.
    pub keys: Vec<Digest>,
    /// Whether one of its keys is shorter than advised.
    pub weak_key: bool,
    /// Largest file it may store, in bytes.
    pub max_file_size: u64,
    /// Whether it may read its files back. Without that a stolen key gives no backup away; whether a
    /// file exists is told in any case.
    pub allow_download: bool,
}

/// Bytes in a `_mb`: 1 MB is 1,048,576 bytes here.
const MB: u64 = 1024 * 1024;

/// Reads a configuration. `file` is the name problems are reported under.
pub fn parse(file: &str, text: &str, environment: Environment<'_>) -> Result<Config, ConfigError> {
    config::parse(file, text, environment, |root| {
        let server = root.section("server", server);
        let store = store::read(root);
        let clients = root.list("clients", client).filter(|clients| distinct(root, clients));
        let limits = root.section_or_default("limits", limits::read);
        let (store, path_prefix) = store?;
        let (clients, limits) = (clients?, limits?);
        if !limits::suffice(root, &limits, &clients) {
            return None;
        }
        Some(Config { server: server?, store, path_prefix, clients, limits })
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

fn client(section: &Section<'_>) -> Option<Client> {
    let name = section.required("name", ClientName::parse);
    let plain = section.secrets("api_key", Secret::api_key);
    let hashed = section.secrets("api_key_sha256", str::parse::<Digest>);
    let size = section.integer("max_file_size_mb", Some(100), 1..=OBJECT_BYTES_MAX / MB);
    let allow_download = section.flag("allow_download", true);
    let (plain, hashed) = (plain?, hashed?);
    if plain.is_empty() && hashed.is_empty() {
        section.problem("api_key", "is missing; `s3up-server keygen` makes one");
        return None;
    }
    let short = |key: &Secret| key.expose().len() < crate::limits::API_KEY_BYTES_ADVISED;
    Some(Client {
        name: name?,
        weak_key: plain.iter().any(short),
        keys: plain.iter().map(|key| Digest::of(key.expose().as_bytes())).chain(hashed).collect(),
        max_file_size: size? * MB,
        allow_download: allow_download?,
    })
}

/// Two clients with one name would share a folder; with one key, the first would get all files.
fn distinct(root: &Section<'_>, clients: &[Client]) -> bool {
    let mut distinct = true;
    for (index, one) in clients.iter().enumerate() {
        for other in &clients[..index] {
            if one.name == other.name {
                root.problem("clients", format!("two clients are named {}", one.name));
                distinct = false;
            }
            if one.keys.iter().any(|key| other.keys.contains(key)) {
                let message = format!("{} and {} have the same key", other.name, one.name);
                root.problem("clients", message);
                distinct = false;
            }
        }
    }
    distinct
}
