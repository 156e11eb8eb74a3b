//! Where a server under test stores: a folder, or a real S3 server. Either way the objects are files
//! that a test can read behind the server's back.

use super::fault_proxy::FaultProxy;
use super::s3_server::{self, S3Server};
use super::{files_below, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The prefix of all keys.
pub(crate) const PREFIX: &str = "backups";

/// Waits for a test: a store that stalls is given up soon, one that works has time enough.
const SHORT_WAITS: &str = "  connect_seconds: 5\n  stall_seconds: 2\n  answer_seconds: 4\n";

/// A store that is away for good is told so soon.
const SHORT_RETRY: &str = "  retry_seconds: 1\n";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Directory,
    S3,
}

/// Makes two tests of each function: before a folder, and before an S3 server.
macro_rules! for_both_stores {
    ($($sentence:ident)+) => {
        mod directory {
            $(#[test] fn $sentence() { super::$sentence($crate::support::bucket::Kind::Directory); })+
        }
        mod s3 {
            $(#[test] fn $sentence() { super::$sentence($crate::support::bucket::Kind::S3); })+
        }
    };
}
pub(crate) use for_both_stores;

/// The store behind a server under test.
pub(crate) enum Bucket {
    Directory(PathBuf),
    S3(Box<S3Server>),
    /// An S3 server behind a proxy, which is not waited for as long as one usually would be.
    Proxied(Box<S3Server>, Box<FaultProxy>),
    /// An S3 endpoint where nobody answers.
    Nobody(String),
}

impl Bucket {
    /// An empty one; a folder lies in `folder`.
    pub(crate) fn new(kind: Kind, folder: &Path) -> Self {
        match kind {
            Kind::Directory => Self::Directory(folder.join("store")),
            Kind::S3 => Self::S3(Box::new(S3Server::start())),
        }
    }

    /// An empty bucket behind a proxy through which everything passes.
    pub(crate) fn proxied() -> Self {
        let server = Box::new(S3Server::start());
        let proxy = Box::new(FaultProxy::before(server.address()));
        Self::Proxied(server, proxy)
    }

    /// The proxy before it.
    pub(crate) fn proxy(&self) -> &FaultProxy {
        match self {
            Self::Proxied(_, proxy) => proxy,
            _ => panic!("there is no proxy"),
        }
    }

    /// Its part of `server.yaml`. Credentials come from the environment; see [`environment`].
    pub(crate) fn yaml(&self) -> String {
        let endpoint = match self {
            Self::Directory(path) => {
                return format!("directory:\n  path: {path:?}\n  path_prefix: \"{PREFIX}/\"\n");
            }
            Self::S3(server) => server.endpoint(),
            Self::Proxied(_, proxy) => proxy.endpoint(),
            Self::Nobody(endpoint) => endpoint.clone(),
        };
        let waits = if matches!(self, Self::Proxied(..)) { SHORT_WAITS } else { "" };
        format!(
            "s3:\n  endpoint: \"{endpoint}\"\n  region: \"{}\"\n  bucket: \"{}\"\n  \
             path_prefix: \"{PREFIX}/\"\n  access_key_id: \"${{S3_ACCESS_KEY_ID}}\"\n  \
             secret_access_key: \"${{S3_SECRET_ACCESS_KEY}}\"\n{SHORT_RETRY}{waits}",
            s3_server::REGION,
            s3_server::BUCKET
        )
    }

    /// Where the objects are files, below their keys.
    pub(crate) fn root(&self) -> PathBuf {
        match self {
            Self::Directory(path) => path.clone(),
            Self::S3(server) | Self::Proxied(server, _) => server.bucket_folder(),
            Self::Nobody(_) => PathBuf::from("/nowhere"),
        }
    }

    /// The content of the object at `key`, which stands for the whole key.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root().join(key)).ok()
    }

    /// All keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        let root = self.root();
        let mut keys = if root.exists() { files_below(&root) } else { vec![] };
        keys.retain(|key| !key.starts_with(".s3up-tmp"));
        keys
    }

    /// All objects of one client, by their remote paths.
    pub(crate) fn files_of(&self, client: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = format!("{PREFIX}/{client}/");
        let path = |key: &str| key.strip_prefix(&folder).map(str::to_owned);
        let keys = self.keys().into_iter();
        keys.filter_map(|key| Some((path(&key)?, self.get(&key)?))).collect()
    }

    /// What was begun, not finished and not removed.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        match self {
            Self::Directory(path) => files_below(&path.join(".s3up-tmp")),
            Self::S3(server) | Self::Proxied(server, _) => server.leftovers(),
            Self::Nobody(_) => vec![],
        }
    }

    pub(crate) fn show(&self) -> String {
        tree(&self.root())
    }
}

/// The credentials of the test's S3 server, as `server.yaml` asks for them.
pub(crate) fn environment() -> [(&'static str, &'static str); 2] {
    [
        ("S3_ACCESS_KEY_ID", s3_server::ACCESS_KEY_ID),
        ("S3_SECRET_ACCESS_KEY", s3_server::SECRET_ACCESS_KEY),
    ]
}
