//! `server.yaml`: where to listen, where to store, and who may.
//!
//! Pure: text in, a checked [`Config`] or every problem at once out.

use crate::config::{self, ConfigError, Environment, Section};
use crate::digest::Digest;
use crate::limits::OBJECT_BYTES_MAX;
use crate::remote_path::{PathError, RemotePrefix};
use crate::secret::Secret;
use crate::server::key::ClientName;
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
}

/// Certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file with the private key.
    pub key_file: PathBuf,
}

/// Where files go.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// A bucket.
    S3(S3),
    /// A folder of this machine.
    Directory(PathBuf),
}

/// A bucket and the credentials for it.
#[derive(Clone, Debug)]
pub struct S3 {
    /// The service's address; `None` is Amazon's.
    pub endpoint: Option<String>,
    /// The region's name.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// The public half of the credentials.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Secret,
}

/// One client and its limits.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name: its folder in the bucket.
    pub name: ClientName,
    /// SHA-256 of each of its keys; more than one while a key is being replaced.
    pub keys: Vec<Digest>,
    /// Whether one of its keys is shorter than advised.
    pub weak_key: bool,
    /// Largest file it may store, in bytes.
    pub max_file_size: u64,
}

/// Bytes in a `_mb`: 1 MB is 1,048,576 bytes here.
const MB: u64 = 1024 * 1024;

/// Reads a configuration. `file` is the name problems are reported under.
pub fn parse(file: &str, text: &str, environment: Environment<'_>) -> Result<Config, ConfigError> {
    config::parse(file, text, environment, |root| {
        let server = root.section("server", server);
        let store = store(root);
        let clients = root.list("clients", client).filter(|clients| distinct(root, clients));
        let (store, path_prefix) = store?;
        Some(Config { server: server?, store, path_prefix, clients: clients? })
    })
}

fn server(section: &Section<'_>) -> Option<Server> {
    let host = section.optional("host", |text| match text {
        "" => Err("is empty; 0.0.0.0 means every address"),
        text => Ok(text.to_owned()),
    });
    let port = section.integer("port", Some(8080), 0..=65535);
    let tls = section.section_or_default("tls", tls);
    let workers = section.integer("workers", Some(16), 1..=1024);
    Some(Server {
        host: host?.unwrap_or_else(|| "127.0.0.1".into()),
        port: u16::try_from(port?).ok()?,
        tls: tls?,
        workers: workers? as usize,
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

fn store(root: &Section<'_>) -> Option<(StoreConfig, RemotePrefix)> {
    match (root.has("s3"), root.has("directory")) {
        (true, false) => root.section("s3", s3),
        (false, true) => root.section("directory", directory),
        (true, true) => {
            root.problem("directory", "stands beside s3: only one of the two can be the store");
            None
        }
        (false, false) => {
            root.problem("s3", "is missing: `s3:` or `directory:` must say where files go");
            None
        }
    }
}

fn s3(section: &Section<'_>) -> Option<(StoreConfig, RemotePrefix)> {
    let endpoint = section.optional("endpoint", endpoint);
    let region = section.required("region", not_empty);
    let bucket = section.required("bucket", not_empty);
    let path_prefix = path_prefix(section);
    let access_key_id = section.required("access_key_id", not_empty);
    let secret_access_key =
        section.secret("secret_access_key", |text| not_empty(text).map(Secret::new));
    let s3 = S3 {
        endpoint: endpoint?.flatten(),
        region: region?,
        bucket: bucket?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
    };
    Some((StoreConfig::S3(s3), path_prefix?))
}

fn directory(section: &Section<'_>) -> Option<(StoreConfig, RemotePrefix)> {
    let path = section.required("path", |text| {
        let path = PathBuf::from(text);
        if path.is_absolute() { Ok(path) } else { Err("is not an absolute path") }
    });
    let path_prefix = path_prefix(section);
    Some((StoreConfig::Directory(path?), path_prefix?))
}

fn path_prefix(section: &Section<'_>) -> Option<RemotePrefix> {
    let prefix = section.optional("path_prefix", |text| {
        RemotePrefix::parse(text).map_err(|error: PathError| error.to_string())
    });
    Some(prefix?.unwrap_or_default())
}

fn endpoint(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = url::Url::parse(text).map_err(|error| error.to_string());
    match url {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        }
        _ => Err("is not an address; such as https://minio.example.com:9000 is expected, or \
                  nothing for Amazon S3"
            .into()),
    }
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("is empty") } else { Ok(text.to_owned()) }
}

fn client(section: &Section<'_>) -> Option<Client> {
    let name = section.required("name", ClientName::parse);
    let plain = section.secrets("api_key", Secret::api_key);
    let hashed = section.secrets("api_key_sha256", str::parse::<Digest>);
    let size = section.integer("max_file_size_mb", Some(100), 1..=OBJECT_BYTES_MAX / MB);
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

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"
server:
  host: "0.0.0.0"
  port: 8080
  tls:
    enabled: true
    cert_file: "/path/to/cert.pem"
    key_file: "/path/to/key.pem"

s3:
  endpoint: ""  # Leave empty for AWS, set for MinIO/etc
  region: "us-east-1"
  bucket: "mycompany-backups"
  path_prefix: "backups/"  # Global prefix, client name appended automatically
  access_key_id: "${S3_ACCESS_KEY_ID}"
  secret_access_key: "${S3_SECRET_ACCESS_KEY}"

clients:
  - name: "webapp-prod"
    api_key: "sk_live_abc123..."
    max_file_size_mb: 100

  - name: "webapp-staging"
    api_key: "sk_test_xyz789..."
    max_file_size_mb: 50
"#;

    fn environment(name: &str) -> Option<String> {
        name.starts_with("S3_").then(|| format!("value-of-{name}"))
    }

    fn read(text: &str) -> Result<Config, String> {
        parse("server.yaml", text, &environment).map_err(|error| error.to_string())
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(read(text).map(|_| ()).unwrap_err(), expected, "\n{text}");
    }

    #[test]
    fn the_design_documents_own_file_is_read() {
        let config = read(DOCUMENT).unwrap();
        let tls =
            Tls { cert_file: "/path/to/cert.pem".into(), key_file: "/path/to/key.pem".into() };
        assert_eq!(
            config.server,
            Server { host: "0.0.0.0".into(), port: 8080, tls: Some(tls), workers: 16 }
        );
        let StoreConfig::S3(s3) = &config.store else { panic!("{config:?}") };
        assert_eq!((s3.endpoint.as_deref(), s3.region.as_str()), (None, "us-east-1"));
        assert_eq!(s3.access_key_id, "value-of-S3_ACCESS_KEY_ID");
        assert_eq!(s3.secret_access_key.expose(), "value-of-S3_SECRET_ACCESS_KEY");
        assert_eq!(config.path_prefix.to_string(), "backups/");
        let [prod, staging] = &config.clients[..] else { panic!("{config:?}") };
        assert_eq!((prod.name.as_str(), prod.max_file_size), ("webapp-prod", 100 * MB));
        assert_eq!((staging.name.as_str(), staging.max_file_size), ("webapp-staging", 50 * MB));
        assert_eq!(prod.keys, [Digest::of(b"sk_live_abc123...")]);
        assert!(prod.weak_key, "17 characters are fewer than 32");
        let debug = format!("{config:?}");
        assert!(!debug.contains("sk_live") && !debug.contains("value-of-S3_SECRET"), "{debug}");
    }

    #[test]
    fn a_client_may_have_several_keys_in_either_form() {
        let sha256 = Digest::of(b"another-long-enough-key");
        let text = format!(
            "server: {{}}\ndirectory: {{path: /srv}}\nclients:\n  - name: a\n    api_key: \
             [0123456789abcdef, 0123456789abcdeg]\n    api_key_sha256: {sha256}\n"
        );
        let config = read(&text).unwrap();
        let keys = [b"0123456789abcdef", b"0123456789abcdeg"].map(|key| Digest::of(key));
        assert_eq!(config.clients[0].keys, [keys[0], keys[1], sha256]);
        assert!(matches!(config.store, StoreConfig::Directory(path) if path == *"/srv"));
        assert_eq!(config.server.host, "127.0.0.1");
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_no_key_is_shown() {
        check(
            "server:\n  host: ''\n  port: 99999\n  tls: {enabled: true}\ns3:\n  endpoint: minio:9000\n  \
             region: ''\n  path_prefix: /x\n  access_key_id: a\n  secret_access_key: ${UNSET}\nclients:\n  \
             - {name: Web, api_key: tooshort, max_file_size_mb: 0}\n  - {name: b}\n",
            "server.yaml:2: server.host: \"\": is empty; 0.0.0.0 means every address\n\
             server.yaml:3: server.port: \"99999\": is not a whole number from 0 to 65535\n\
             server.yaml:4: server.tls.cert_file: is missing: tls.enabled needs it\n\
             server.yaml:4: server.tls.key_file: is missing: tls.enabled needs it\n\
             server.yaml:6: s3.endpoint: \"minio:9000\": is not an address; such as \
             https://minio.example.com:9000 is expected, or nothing for Amazon S3\n\
             server.yaml:7: s3.region: \"\": is empty\n\
             server.yaml:5: s3.bucket: is missing\n\
             server.yaml:8: s3.path_prefix: \"/x\": it starts with a slash; paths are relative\n\
             server.yaml:10: s3.secret_access_key: the environment variable UNSET is not set; set it \
             or write the value here\n\
             server.yaml:12: clients[0].name: \"Web\": is not a client name: a-z, 0-9, '.', '_' and \
             '-' are allowed, the first one a letter or digit, at most 64\n\
             server.yaml:12: clients[0].api_key: is not an API key: 16 to 512 visible ASCII \
             characters without blanks are expected; `s3up-server keygen` makes one\n\
             server.yaml:12: clients[0].max_file_size_mb: \"0\": is not a whole number from 1 to \
             5242880\n\
             server.yaml:13: clients[1].api_key: is missing; `s3up-server keygen` makes one",
        );
    }

    #[test]
    fn exactly_one_store_and_no_shared_name_or_key() {
        let clients = "clients: [{name: a, api_key: 0123456789abcdef}]\n";
        check(
            &format!("server: {{}}\n{clients}"),
            "server.yaml: s3: is missing: `s3:` or `directory:` must say where files go",
        );
        check(
            &format!("server: {{}}\ns3: {{region: x}}\ndirectory: {{path: /x}}\n{clients}"),
            "server.yaml:3: directory: stands beside s3: only one of the two can be the store",
        );
        check(
            "server: {}\ndirectory: {path: /x}\nclients: [{name: a, api_key: 0123456789abcdef}, \
             {name: a, api_key: 0123456789abcdef}]\n",
            "server.yaml:3: clients: two clients are named a\n\
             server.yaml:3: clients: a and a have the same key",
        );
    }
}
