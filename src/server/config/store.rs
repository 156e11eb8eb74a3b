//! The store's part of `server.yaml`: `s3:` or `directory:`.
//!
//! Pure, as the whole configuration is.

use crate::config::Section;
use crate::limits::http::{ANSWER, CONNECT, STALL};
use crate::remote_path::{PathError, RemotePrefix};
use crate::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// Longest `connect_seconds`: a store that takes a minute to accept a connection is not there.
const CONNECT_SECONDS_MAX: u64 = 60;

/// Longest `stall_seconds` and `answer_seconds`: clients, and the server's own door, give a request up
/// when it has not been answered for so long.
const ANSWER_SECONDS_MAX: u64 = ANSWER.as_secs();

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
    /// How long to wait for its name, and for a connection to it.
    pub connect: Duration,
    /// How long it may neither take a byte of a request nor send one of an object.
    pub stall: Duration,
    /// How long it may take to be sent a body, and again to acknowledge it.
    pub answer: Duration,
}

/// The store, and what every key in it begins with.
pub(super) fn read(root: &Section<'_>) -> Option<(StoreConfig, RemotePrefix)> {
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
    let seconds = |key, default: Duration, most| {
        section.integer(key, Some(default.as_secs()), 1..=most).map(Duration::from_secs)
    };
    let connect = seconds("connect_seconds", CONNECT, CONNECT_SECONDS_MAX);
    let stall = seconds("stall_seconds", STALL, ANSWER_SECONDS_MAX);
    let answer = seconds("answer_seconds", ANSWER, ANSWER_SECONDS_MAX);
    let s3 = S3 {
        endpoint: endpoint?.flatten(),
        region: region?,
        bucket: bucket?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        connect: connect?,
        stall: stall?,
        answer: answer?,
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
