//! Who may use the server: `clients` and `admin_keys`.
//!
//! Pure, as the whole configuration is.

use super::MB;
use crate::config::Section;
use crate::digest::Digest;
use crate::limits::{API_KEY_BYTES_ADVISED, OBJECT_BYTES_MAX};
use crate::secret::Secret;
use crate::server::key::ClientName;

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

/// An administrator: may see how all clients are, and touch no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// SHA-256 of each of its keys.
    pub keys: Vec<Digest>,
    /// Whether one of its keys is shorter than advised.
    pub weak_key: bool,
}

/// Reads clients and administrators; no two of them share a key.
pub(super) fn read(root: &Section<'_>) -> Option<(Vec<Client>, Vec<Administrator>)> {
    let clients = root.list("clients", client);
    let administrators = match root.has("admin_keys") {
        true => root.list("admin_keys", administrator),
        false => Some(vec![]),
    };
    let (clients, administrators) = (clients?, administrators?);
    let distinct = distinct(root, &clients) & are_nobody_elses(root, &administrators, &clients);
    distinct.then_some((clients, administrators))
}

fn client(section: &Section<'_>) -> Option<Client> {
    let name = section.required("name", ClientName::parse);
    let keys = keys(section);
    let size = section.integer("max_file_size_mb", Some(100), 1..=OBJECT_BYTES_MAX / MB);
    let allow_download = section.flag("allow_download", true);
    let (keys, weak_key) = keys?;
    Some(Client {
        name: name?,
        keys,
        weak_key,
        max_file_size: size? * MB,
        allow_download: allow_download?,
    })
}

fn administrator(section: &Section<'_>) -> Option<Administrator> {
    let (keys, weak_key) = keys(section)?;
    Some(Administrator { keys, weak_key })
}

/// The digests of one's keys, and whether one of them is weak.
fn keys(section: &Section<'_>) -> Option<(Vec<Digest>, bool)> {
    let plain = section.secrets("api_key", Secret::api_key);
    let hashed = section.secrets("api_key_sha256", str::parse::<Digest>);
    let (plain, hashed) = (plain?, hashed?);
    if plain.is_empty() && hashed.is_empty() {
        section.problem("api_key", "is missing; `s3up-server keygen` makes one");
        return None;
    }
    let weak = plain.iter().any(|key| key.expose().len() < API_KEY_BYTES_ADVISED);
    let keys = plain.iter().map(|key| Digest::of(key.expose().as_bytes())).chain(hashed);
    Some((keys.collect(), weak))
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

/// A host that had an administrator's key could look at all others.
fn are_nobody_elses(
    root: &Section<'_>,
    administrators: &[Administrator],
    clients: &[Client],
) -> bool {
    let mut distinct = true;
    for (index, one) in administrators.iter().enumerate() {
        let shares_with = |keys: &[Digest]| one.keys.iter().any(|key| keys.contains(key));
        if let Some(client) = clients.iter().find(|client| shares_with(&client.keys)) {
            let message = format!(
                "entry {} has the same key as the client {}; hint: `s3up-server keygen` makes another",
                index + 1,
                client.name
            );
            root.problem("admin_keys", message);
            distinct = false;
        }
        if let Some(other) =
            administrators[..index].iter().position(|other| shares_with(&other.keys))
        {
            let message = format!("entries {} and {} have the same key", other + 1, index + 1);
            root.problem("admin_keys", message);
            distinct = false;
        }
    }
    distinct
}
