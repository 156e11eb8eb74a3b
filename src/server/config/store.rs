//! The store's part of `server.yaml`: `s3:` or `directory:`.
//!
//! Pure, as the whole configuration is.

use crate::config::Section;
use crate::limits::http::ANSWER;
use crate::remote_path::{PathError, RemotePrefix};
use crate::secret::Secret;
use crate::server::store::s3::{Deadlines, Identity, Keys};
use std::path::PathBuf;
use std::time::Duration;

/// Longest `connect_seconds`: a store that takes a minute to accept a connection is not there.
const CONNECT_SECONDS_MAX: u64 = 60;

/// Longest `stall_seconds` and `answer_seconds`: clients, and the server's own door, give a request up
/// when it has not been answered for so long.
const ANSWER_SECONDS_MAX: u64 = ANSWER.as_secs();

/// Longest `retry_seconds`: a client that is told to come again later costs nothing meanwhile.
const RETRY_SECONDS_MAX: u64 = 120;

/// Where files go.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// A bucket.
    S3(Box<S3>),
    /// A folder of this machine.
    Directory(PathBuf),
}

/// A bucket, the way to it, and who we are there.
#[derive(Clone, Debug)]
pub struct S3 {
    /// The service's address; `None` is Amazon's.
    pub endpoint: Option<String>,
    /// The region's name.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// Whether the bucket is named in the path (`true`) or in the host's name; `None` leaves that to
    /// the endpoint: Amazon's by host, any other by path.
    pub force_path_style: Option<bool>,
    /// PEM file with the only CAs that may have issued the endpoint's certificate; `None` leaves it
    /// to Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// Who we are.
    pub identity: Identity,
    /// How long to wait.
    pub deadlines: Deadlines,
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
    let force_path_style = section.optional_flag("force_path_style");
    let ca_file = section.optional("ca_file", absolute_path);
    let identity = identity(section);
    let deadlines = deadlines(section);
    let plain = matches!(&endpoint, Some(Some(Some(url))) if url.starts_with("http:"));
    if plain && section.has("ca_file") {
        section.problem("ca_file", "has no use without TLS, and s3.endpoint begins with http://");
        return None;
    }
    let s3 = S3 {
        endpoint: endpoint?.flatten(),
        region: region?,
        bucket: bucket?,
        force_path_style: force_path_style?,
        ca_file: ca_file?,
        identity: identity?,
        deadlines: deadlines?,
    };
    Some((StoreConfig::S3(Box::new(s3)), path_prefix?))
}

/// Keys, a profile, or nothing. Half of the keys is a mistake that must not end with somebody else's
/// rights, and of two answers one would be ignored in silence.
fn identity(section: &Section<'_>) -> Option<Identity> {
    let hidden = |text: &str| not_empty(text).map(Secret::new);
    let access_key_id = section.optional_secret_or_file("access_key_id", not_empty);
    let secret_access_key = section.optional_secret_or_file("secret_access_key", hidden);
    let session_token = section.optional_secret("session_token", hidden);
    let profile = section.optional("profile", not_empty);
    let place = |keys: &[&'static str]| keys.iter().copied().find(|key| section.has(key));
    let id = place(&["access_key_id", "access_key_id_file"]);
    let secret = place(&["secret_access_key", "secret_access_key_file"]);
    let given = id.or(secret).or_else(|| place(&["session_token"]));
    if let (Some(given), true) = (given, section.has("profile")) {
        let message = format!("stands beside {given}; only one of the two can say who we are");
        section.problem("profile", message);
        return None;
    }
    if let Some(given) = given {
        for (key, place) in [("access_key_id", id), ("secret_access_key", secret)] {
            if place.is_none() {
                section.problem(key, format!("is missing: {given} is of no use without it"));
            }
        }
        return Some(Identity::Keys(Keys {
            access_key_id: access_key_id??,
            secret_access_key: secret_access_key??,
            session_token: session_token?,
        }));
    }
    Some(profile?.map_or(Identity::Found, Identity::Profile))
}

fn deadlines(section: &Section<'_>) -> Option<Deadlines> {
    let default = Deadlines::default();
    let seconds = |key, default: Duration, range| {
        section.integer(key, Some(default.as_secs()), range).map(Duration::from_secs)
    };
    let connect = seconds("connect_seconds", default.connect, 1..=CONNECT_SECONDS_MAX);
    let stall = seconds("stall_seconds", default.stall, 1..=ANSWER_SECONDS_MAX);
    let answer = seconds("answer_seconds", default.answer, 1..=ANSWER_SECONDS_MAX);
    let retry = seconds("retry_seconds", default.retry, 0..=RETRY_SECONDS_MAX);
    Some(Deadlines { connect: connect?, stall: stall?, answer: answer?, retry: retry? })
}

fn directory(section: &Section<'_>) -> Option<(StoreConfig, RemotePrefix)> {
    let path = section.required("path", absolute_path);
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

fn absolute_path(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("is not an absolute path") }
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("is empty") } else { Ok(text.to_owned()) }
}
